"""Recorded answers of Binance, read through the gateway and booked: the ledger that comes out."""

from decimal import Decimal as D

import pytest

from exchanges import connections
from exchanges.models import ExchangeConnection
from exchanges.reports import Credential
from portfolios.models import Holding, LedgerEntry
from portfolios.sync import visiting
from tests.exchange_fixtures import UNLIMITED
from tests.exchanges.gateway.conftest import recorded, server
from tests.exchanges.gateway.test_binance import binance
from tracker import clock, tenancy

__all__ = ["binance", "recorded", "server"]

LEDGER = """
2017-07-12 spot    +12           BNB   trade
2017-07-12 spot    -48.000012    BTC   trade
2017-07-12 spot    -10.1         BNB   fee
2017-10-17 spot    +0.04670582   ETH   deposit
2017-10-17 spot    -0.99         ETH   withdrawal
2017-10-17 spot    -0.01         ETH   fee
2017-10-17 spot    -999.9999     XMR   withdrawal
2017-10-17 spot    -0.0001       XMR   fee
2017-10-19 spot    +1000         XMR   deposit
2021-06-24 spot    +4.462        LUNC  trade
2021-06-24 spot    -19.8         EUR   trade
2021-06-24 spot    -0.2          EUR   fee
2021-06-24 spot    +20           EUR   deposit
2021-07-13 spot    +10           EUR   deposit
2021-08-09 spot    -4.462        ETH   trade
2021-08-09 spot    +19.8         EUR   trade
2021-08-09 spot    -0.2          EUR   fee
2021-08-09 spot    -19.6         EUR   withdrawal
2021-11-05 spot    -10           EUR   withdrawal
2021-11-05 spot    -0.02         EUR   fee
2023-01-24 spot    -0.001        BTC   conversion
2023-01-24 spot    +30.521       USDT  conversion
2023-01-24 spot    -0.1          ETH   conversion
2023-01-24 spot    +0.5          BNB   conversion
"""
HOLDINGS = """
spot     4723846.89208129  BTC
spot     4763368.68006011  ETH
spot     5                 IDONTEXIST
funding  1                 USDT
earn     75.46             USDT
earn     122.09202928      AXS
futures  125.55            USDT
futures  0.5               BTC
futures  500.55            DOT
"""


@pytest.fixture
def connection(alice, exchange, settings, binance):
    settings.EXCHANGE_BASE_URLS = {"binance": binance.url}
    settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
    binance.answers["/sapi/v1/account/apiRestrictions"] = {"enableReading": True}
    return connections.create(
        user=alice, exchange="binance", label="", now=clock.now(),
        credential=Credential(api_key="k" * 64, api_secret="s" * 64),
    )  # fmt: skip


def test_the_recorded_account_comes_out_as_the_right_ledger(alice, connection):
    ended = visiting.visit_batch(
        exchange="binance", connection_ids=[connection.id], now=clock.now()
    )
    with tenancy.as_user(alice.id):
        problems = ExchangeConnection.objects.get().reason
        entries = LedgerEntry.objects.order_by("occurred_at", "trade", "transfer", "leg")
        ours = sorted(
            (f"{row.occurred_at:%Y-%m-%d}", row.wallet, row.quantity, row.asset.code, row.kind)
            for row in entries.select_related("asset")
        )
        held = sorted(
            (row.wallet, row.quantity, row.asset.code)
            for row in Holding.objects.select_related("asset")
        )
    assert ended == {"complete": 1}, problems
    lines = [line.split() for line in LEDGER.strip().splitlines()]
    assert ours == sorted((day, wallet, D(units), code, kind)
                          for day, wallet, units, code, kind in lines)  # fmt: skip
    rows = [line.split() for line in HOLDINGS.strip().splitlines()]
    assert held == sorted((wallet, D(units), code) for wallet, units, code in rows)
