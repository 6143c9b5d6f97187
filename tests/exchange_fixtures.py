"""Fixtures of the rooms that talk to an exchange: the sandbox in the place of Binance."""

import uuid

import pytest

from exchanges import assets, connections, prices
from exchanges.models import Exchange, ExchangeConnection
from exchanges.reports import Credential
from portfolios.sync import visiting
from tests import factories
from tests import sandbox as sandboxes
from tracker import clock, tenancy

UNLIMITED = {"ip": 0, "sapi": 0, "uid": 0, "futures": 0, "coin-futures": 0}


@pytest.fixture(scope="session")
def sandbox():
    with sandboxes.running(weight_limit=0, assets=8, trades=60) as running:
        yield running


@pytest.fixture
def exchange(db, settings, sandbox):
    """The sandbox in the place of Binance."""
    settings.EXCHANGE_BASE_URLS = {"binance": sandbox.url}
    settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
    settings.PRICE_EXCHANGES = ["binance"]
    assets._resolved.clear()
    row, _ = Exchange.objects.get_or_create(
        id="binance",
        defaults={"name": "Binance", "required_fields": ["api_key", "api_secret"],
                  "ccxt_version": "test"},
    )  # fmt: skip
    return row


@pytest.fixture
def connect(exchange, sandbox):
    """`connect(alice, 3)`: her connection to sandbox account 3, not synced yet; of any number."""

    def connect(user, account, label=""):
        if user.subscription_tier == "free":
            factories.put_on_plan(user, "enterprise")
        return connections.create(
            user=user, exchange="binance", label=label or uuid.uuid4().hex[:8],
            credential=Credential(**sandbox.key(account)), now=clock.now(),
        )  # fmt: skip

    return connect


@pytest.fixture
def visit(exchange):
    """`visit(connection)`: one sync run here and now; returns how the runs ended."""

    def visit(*found, now=None):
        now = now or clock.now()
        with tenancy.as_system("test"):  # as the dispatcher does with what is due
            rows = ExchangeConnection.objects.filter(id__in=[item.id for item in found])
            rows.exclude(next_sync_at=None).update(next_sync_at=now)
        return visiting.visit_batch(
            exchange="binance", connection_ids=[item.id for item in found],
            now=now,
        )  # fmt: skip

    return visit


@pytest.fixture
def priced(exchange):
    prices.refresh("binance", now=clock.now())
