"""A person is told that an account is not read as it should be: once, not every hour."""

from datetime import timedelta

import pytest

from accounts.models import Delivery
from audit import log
from exchanges.models import ConnectionState, ExchangeConnection
from portfolios.sync import health
from tests import factories
from tracker import clock, tenancy

REFUSED = {"kind": "status", "status": 401, "body": {"code": -2015, "msg": "x"}}


def told(user):
    with tenancy.as_user(user.id):
        events = ["connection_stopped", "sync_incomplete"]
        rows = Delivery.objects.filter(event__in=events, channel="email")
        return [(row.event, row.parameters["reason"]) for row in rows.order_by("created_at")]


@pytest.fixture
def deliver(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def test_a_key_that_was_revoked_is_told_once(alice, connect, visit, sandbox, deliver):
    connection = connect(alice, 3)
    visit(connection)
    with sandbox.fault(path="/api/v3/account", **REFUSED), sandbox.fault(path="/sapi", **REFUSED):
        with deliver():
            assert visit(connection) == {"failed": 1}
        with deliver():
            assert visit(connection) == {}
    assert told(alice) == [
        ("connection_stopped", "The exchange does not accept this API key and secret.")
    ]


def test_running_the_subscriber_again_tells_nothing_twice(alice, connect, visit, sandbox, deliver):
    connection = connect(alice, 3)
    with (
        sandbox.fault(path="/api/v3/account", **REFUSED),
        sandbox.fault(path="/sapi", **REFUSED),
        deliver(),
    ):
        visit(connection)
    happening = log.Happening(
        action=log.Action.SYNC_FINISHED, user_id=alice.id,
        details={"connection_id": str(connection.id), "code": "exchange_key_rejected"},
    )  # fmt: skip
    health.after_sync(happening)
    assert len(told(alice)) == 1


def test_trouble_that_lasts_two_days_is_told_once(alice, bob):
    now = clock.now()
    hers, his = factories.connection(alice), factories.connection(bob)
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=hers.id).update(
            state=ConnectionState.PARTIAL, reason="exchange_timeout",
            created_at=now - timedelta(days=9), last_complete_at=now - timedelta(days=3),
        )  # fmt: skip
        ExchangeConnection.objects.filter(id=his.id).update(
            state=ConnectionState.PARTIAL, reason="exchange_timeout",
            created_at=now - timedelta(days=9), last_complete_at=now - timedelta(hours=30),
        )  # fmt: skip
    for hours in (0, 1, 48):
        health.tell_of_lasting_trouble(now=now + timedelta(hours=hours / 24))
    assert [event for event, _ in told(alice)] == ["sync_incomplete"]
    assert told(bob) == []


@pytest.mark.parametrize("code", ["exchange_key_rejected", "exchange_timeout", "rows_quarantined"])
def test_every_reason_has_words(code):
    assert health.in_words(code).endswith(".")
    assert code not in health.in_words(code)
