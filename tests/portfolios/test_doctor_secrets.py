"""However an exchange fails, neither a run, nor the quarantine, nor the doctor holds a key."""

import json
from typing import Any

import pytest
from django.urls import reverse

from accounts import datakeys
from accounts.models import User
from exchanges import credentials
from exchanges.models import Exchange, ExchangeConnection, QuarantinedPage
from exchanges.reports import Privileges
from portfolios.models import SyncRun
from portfolios.sync import visiting
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tests.exchanges.gateway.conftest import gateway_settings, server
from tests.exchanges.gateway.test_secrets import CANARIES, CREDENTIAL, FAILURES, log
from tracker import clock, tenancy, vault

__all__ = ["gateway_settings", "log", "server"]
EXCHANGES = ["binance", "bitstamp", "coinbase", "kraken", "kucoin", "okx"]


@pytest.fixture
def client(db):
    with tenancy.as_system("test"):
        staff = User.objects.create_superuser("staff@example.com", PASSWORD)
    return signed_in(staff)


def connected(user: User, exchange: str) -> ExchangeConnection:
    Exchange.objects.create(id=exchange, name=exchange, ccxt_version="1")
    now = clock.now()
    with tenancy.as_user(user.id):
        connection = ExchangeConnection.objects.create(
            user=user, exchange_id=exchange, privileges=Privileges.READ_ONLY, next_sync_at=now
        )
        credentials.store(user_id=user.id, connection_id=connection.id, credential=CREDENTIAL)
    return connection


def stored(connection: ExchangeConnection) -> tuple[list[Any], str]:
    """The timelines of all runs, and all that is written of the connection, opened."""
    with tenancy.as_user(connection.user_id):
        data_key = datakeys.obtain(connection.user_id)
        timelines = list(SyncRun.objects.order_by("id").values_list("timeline", flat=True))
        payloads = [
            vault.unseal(
                bytes(row.payload), data_key=data_key, user_id=row.user_id, row_id=row.id,
                field="payload",
            ) + row.reason + row.name + row.scope
            for row in QuarantinedPage.objects.all()
        ]  # fmt: skip
        problems = list(SyncRun.objects.values_list("problems", "error"))
    return timelines, json.dumps([timelines, payloads, problems])


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_nothing_secret_is_kept_or_shown(
    alice, client, server, settings, log, capsys, exchange: str
) -> None:
    """S26"""
    connection = connected(alice, exchange)
    settings.SYNC_DEADLINE_SECONDS = 1
    for failure in FAILURES.values():
        server.answers["*"] = failure
        with tenancy.as_system("test"):
            ExchangeConnection.objects.update(
                next_sync_at=clock.now(), state="pending", reason="", failures=0
            )
        ended = visiting.visit_batch(
            exchange=exchange, connection_ids=[connection.id], now=clock.now()
        )
        assert sum(ended.values()) == 1
    timelines, said = stored(connection)
    assert len(timelines) == len(FAILURES)
    assert any(timelines)  # something was asked, and noted
    doctor = reverse("admin:exchanges_exchangeconnection_doctor", args=[connection.id])
    run = reverse("admin:portfolios_syncrun_changelist")
    for address in (doctor, run):
        said += client.get(address).content.decode()
    said += log.getvalue() + "".join(capsys.readouterr())
    assert "Newest visits" in said
    for canary in CANARIES:
        assert canary not in said
    assert "signature" not in json.dumps(timelines)
    assert "http" not in json.dumps(timelines)
