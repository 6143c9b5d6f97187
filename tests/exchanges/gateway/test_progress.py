"""What is left of a visit, and from where an account is asked."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from exchanges import gateway
from exchanges.gateway import proxies
from exchanges.reports import Progress, Visit
from tests.exchanges.gateway.test_sandbox import credential, exchange, reached  # noqa: F401


@pytest.fixture
def first_import(exchange: Any, visit: Callable[..., Visit]) -> Visit:  # noqa: F811
    return visit("binance", now=datetime.now(UTC), credential=credential(exchange, 0))


def progress_of(asked: Visit, **limits: Any) -> list[Progress]:
    told: list[Progress] = []
    (report,) = gateway.visit_accounts([asked], watch=told.append, **limits)
    assert not isinstance(report, tuple)
    return told


def test_the_price_of_a_history_is_told_and_falls_to_nothing(first_import: Visit) -> None:
    told = progress_of(first_import)
    # Windows of 90 days since 2017, of a dozen feeds.
    assert 250 < told[0].calls_left < 1_000
    assert {item.connection_id for item in told} == {first_import.connection_id}
    assert [item.calls for item in told] == sorted(item.calls for item in told)
    assert told[-1].phase == "trades"
    assert told[-1].calls_left < told[0].calls_left / 4
    assert told[-1].calls > 250


def test_it_takes_as_long_as_the_tightest_pool_lets_it(
    first_import: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = progress_of(first_import)[0]
    assert quick.seconds_left == pytest.approx(quick.calls_left * 0.15, abs=2)
    limits = {"ip": 0, "sapi": 0, "uid": 180_000}
    monkeypatch.setattr(settings, "EXCHANGE_BUDGETS", {"binance": limits})
    slow = progress_of(first_import, deadline_seconds=10)[0]
    # 39 pages of withdrawals at 18,000 each: four minutes.
    assert 220 < slow.seconds_left < 260


def test_an_account_stays_with_its_address_when_others_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts = [uuid4() for _ in range(400)]

    def spread(*urls: str) -> dict[UUID, str]:
        monkeypatch.setattr(settings, "EXCHANGE_PROXIES", {"binance": list(urls)}, raising=False)
        return {account: proxies.of_account("binance", account) for account in accounts}

    three = spread("direct", "http://10.0.0.1:1", "http://10.0.0.2:1")
    assert min(list(three.values()).count(proxy) for proxy in set(three.values())) > 90
    two = spread("direct", "http://10.0.0.1:1")
    assert all(two[key] == proxy for key, proxy in three.items() if proxy != "http://10.0.0.2:1")


def test_a_label_gives_nothing_of_a_proxy_away() -> None:
    """S26"""
    assert "secret" not in proxies.label("http://user:secret@10.0.0.1:3128")
    assert proxies.label("http://a") != proxies.label("http://b")
