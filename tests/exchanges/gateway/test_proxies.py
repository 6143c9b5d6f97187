"""Several outgoing addresses: each has the exchange's limit to itself; an account keeps one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings

from exchanges import gateway
from exchanges.reports import AccountReport, Visit
from exchanges.sandbox import config, testing
from tests.exchanges.gateway import proxy, sandboxes
from tests.exchanges.gateway.test_sandbox import credential

ACCOUNTS = 12
ADDRESSES = ("127.0.0.2", "127.0.0.3")


@pytest.fixture(scope="module")
def exchange() -> Iterator[testing.SandboxProcess]:
    with testing.start(config.Config(seed=7, accounts=ACCOUNTS, assets=6, trades=10)) as running:
        yield running


@pytest.fixture
def visits(
    exchange: Any, visit: Callable[..., Visit], gateway_settings: dict[str, str]
) -> list[Visit]:
    gateway_settings["binance"] = exchange.url
    return [
        replace(
            visit("binance", now=datetime.now(UTC), credential=credential(exchange, number)),
            history=False,
        )
        for number in range(ACCOUNTS)
    ]


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with proxy.leaving_by(ADDRESSES[0]) as one, proxy.leaving_by(ADDRESSES[1]) as other:
        monkeypatch.setattr(settings, "EXCHANGE_PROXIES", {"binance": [one, other]}, raising=False)
        yield


def used(exchange: Any) -> dict[str, float]:
    """Weight that the exchange counted, by address."""
    told = sandboxes.control(exchange, "limits")["used"]
    return {
        address: sum(pool["used"] for pool in pools.values())
        for address, pools in told.items()
        if address.startswith("127.")
    }


def read(visits: list[Visit]) -> None:
    assert all(isinstance(report, AccountReport) for report in gateway.visit_accounts(visits))


def test_accounts_are_spread_over_all_addresses(
    exchange: Any, visits: list[Visit], two_addresses: None
) -> None:
    read(visits)
    assert set(used(exchange)) == set(ADDRESSES)
    assert sandboxes.control(exchange, "violations")["total"] == 0


def test_an_account_always_comes_by_the_same_address(
    exchange: Any, visits: list[Visit], two_addresses: None
) -> None:
    read(visits[:1])
    before = used(exchange)
    for _ in range(3):
        read(visits[:1])
    moved = [address for address, weight in used(exchange).items() if weight > before[address]]
    assert len(moved) == 1


def test_a_key_is_tested_from_the_address_that_it_is_used_from(
    exchange: Any, visits: list[Visit], two_addresses: None
) -> None:
    read(visits)
    one = visits[0]
    before = used(exchange)
    read([one])
    home = [address for address, weight in used(exchange).items() if weight > before[address]]
    before = used(exchange)
    gateway.check_key("binance", one.credential, account=one.connection_id)
    asked = [address for address, weight in used(exchange).items() if weight > before[address]]
    assert asked == home
