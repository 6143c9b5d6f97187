"""Against the sandbox exchange: everything that ever happened, to the last digit."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import AccountReport, Credential, Privileges, Visit
from tests.exchanges.gateway import ledger
from tests.exchanges.gateway.sandboxes import books, control, follow_up, reported

D = Decimal
sandbox = pytest.importorskip("exchanges.sandbox.testing")
config = pytest.importorskip("exchanges.sandbox.config")

ACCOUNTS = 6


@pytest.fixture(scope="module")
def exchange() -> Iterator[Any]:
    settings = config.Config(seed=7, accounts=ACCOUNTS, assets=15, trades=200, weight_limit=0)
    with sandbox.start(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def reached(exchange: Any, gateway_settings: dict[str, str]) -> None:
    gateway_settings["binance"] = exchange.url


def credential(exchange: Any, account: int, role: str = "read") -> Credential:
    return Credential(exchange.api_key(account, role), exchange.api_secret(account, role))


@pytest.fixture
def visits(exchange: Any, visit: Callable[..., Visit]) -> list[Visit]:
    now = datetime.now(UTC)
    return [visit(credential=credential(exchange, n), now=now) for n in range(ACCOUNTS)]


def test_balances_and_history_equal_the_books(exchange: Any, visits: list[Visit]) -> None:
    reports = {
        r.connection_id: r
        for r in gateway.visit_accounts(visits, deadline_seconds=120)
        if isinstance(r, AccountReport)
    }
    for number, made in enumerate(visits):
        report = reports[made.connection_id]
        assert (report.failures, report.quarantined) == ((), ())
        assert reported(report) == books(exchange, number)
        assert ledger.net(report.facts) == books(exchange, number)
    assert control(exchange, "violations")["total"] == 0


def test_what_happens_next_is_found(exchange: Any, visits: list[Visit]) -> None:
    (first,) = gateway.visit_accounts(visits[:1], deadline_seconds=120)
    assert isinstance(first, AccountReport)
    idle = follow_up(visits[0], first)
    (nothing,) = gateway.visit_accounts([idle], deadline_seconds=60)
    assert isinstance(nothing, AccountReport)
    assert nothing.facts == ()
    happened = {"feed": "deposits", "asset": "BTC", "quantity": "0.12345678"}
    control(exchange, "accounts/0/facts", method="POST", body=happened)
    (after,) = gateway.visit_accounts([follow_up(idle, first)], deadline_seconds=60)
    assert isinstance(after, AccountReport)
    assert reported(after) == books(exchange, 0)
    known = {(fact.feed, fact.exchange_id) for fact in first.facts}
    fresh = [fact for fact in after.facts if (fact.feed, fact.exchange_id) not in known]
    assert [(fact.feed, ledger.legs(fact)) for fact in fresh] == [
        ("deposits", [("spot", "BTC", D("0.12345678"))])
    ]


def test_reading_again_gives_the_same_facts(visits: list[Visit]) -> None:
    """S40"""
    (first,) = gateway.visit_accounts(visits[1:2], deadline_seconds=120)
    assert isinstance(first, AccountReport)
    (again,) = gateway.visit_accounts(
        [follow_up(visits[1], first, everything=True)], deadline_seconds=120
    )
    assert isinstance(again, AccountReport)
    assert set(again.facts) <= set(first.facts)
    assert again.complete_history
    assert again.failures == ()


@pytest.mark.parametrize(
    ("role", "outcome"),
    [
        ("read", Privileges.READ_ONLY),
        ("trade", errors.KeyTooPowerful),
        ("withdraw", errors.KeyTooPowerful),
    ],
)
def test_what_a_key_may_do(exchange: Any, role: str, outcome: Any) -> None:
    if outcome is Privileges.READ_ONLY:
        assert gateway.check_key("binance", credential(exchange, 2, role)) is outcome
        return
    with pytest.raises(outcome):
        gateway.check_key("binance", credential(exchange, 2, role))


def test_a_forged_secret_is_refused(exchange: Any) -> None:
    with pytest.raises(errors.WrongKey):
        gateway.check_key("binance", Credential(exchange.api_key(0), "forged"))


def test_tickers(exchange: Any) -> None:
    found = gateway.fetch_tickers("binance")
    assert len(found) > 10
    assert all(ticker.last > 0 for ticker in found)
