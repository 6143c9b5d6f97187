"""Against the sandbox's Kraken: everything that ever happened, to the last digit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import (
    AccountReport,
    Credential,
    Direction,
    Privileges,
    Trade,
    Transfer,
    Visit,
)
from exchanges.sandbox import config, testing
from tests.exchanges.gateway import ledger, sandboxes

D = Decimal
ACCOUNTS = 6


@pytest.fixture(scope="module")
def exchange() -> Iterator[testing.SandboxProcess]:
    settings = config.Config(seed=7, accounts=ACCOUNTS, assets=15, trades=200, weight_limit=0)
    with testing.start(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def reached(exchange: testing.SandboxProcess, gateway_settings: dict[str, str]) -> None:
    gateway_settings |= {"binance": exchange.url, "kraken": exchange.url}


def credential(
    exchange: Any, account: int, role: str = "read", house: str = "kraken"
) -> Credential:
    key, secret = (half(account, role, house) for half in (exchange.api_key, exchange.api_secret))
    return Credential(key, secret)


@pytest.fixture
def visits(exchange: Any, visit: Callable[..., Visit]) -> list[Visit]:
    now = datetime.now(UTC)
    return [visit("kraken", credential=credential(exchange, n), now=now) for n in range(ACCOUNTS)]


def read(made: Visit) -> AccountReport:
    (report,) = gateway.visit_accounts([made], deadline_seconds=120)
    assert isinstance(report, AccountReport), report
    return report


def test_balances_and_history_equal_the_books(exchange: Any, visits: list[Visit]) -> None:
    reports = {
        r.connection_id: r
        for r in gateway.visit_accounts(visits, deadline_seconds=120)
        if isinstance(r, AccountReport)
    }
    for number, made in enumerate(visits):
        report = reports[made.connection_id]
        assert (report.failures, report.quarantined) == ((), ())
        held = sandboxes.books(exchange, number, "kraken")
        assert sandboxes.reported(report) == held
        assert ledger.net(report.facts) == held
        assert report.privileges is Privileges.READ_ONLY
    assert sandboxes.control(exchange, "violations")["total"] == 0


def test_every_fill_of_the_books_is_one_trade(exchange: Any, visits: list[Visit]) -> None:
    report = read(visits[0])
    told = sandboxes.control(exchange, "kraken/accounts/0/books")["facts"]["trades"]
    expected = sorted(
        (f"{t['base']}/{t['quote']}", t["side"], D(t["quantity"]), D(t["quote_quantity"]),
         D(t["price"]), t["commission_asset"], D(t["commission"]))
        for t in told
    )  # fmt: skip
    found = sorted(
        (t.symbol, t.side, t.base_quantity, t.quote_quantity, t.price, t.fee_code, t.fee_quantity)
        for t in report.facts
        if isinstance(t, Trade) and t.feed == "trades"
    )
    assert found == expected
    assert len(found) == 200


def test_what_happens_next_is_found(exchange: Any, visits: list[Visit]) -> None:
    first = read(visits[0])
    idle = sandboxes.follow_up(visits[0], first)
    assert read(idle).facts == ()
    happened = {"feed": "deposits", "asset": "BTC", "quantity": "0.12345678"}
    sandboxes.control(exchange, "kraken/accounts/0/facts", method="POST", body=happened)
    after = read(sandboxes.follow_up(idle, first))
    assert sandboxes.reported(after) == sandboxes.books(exchange, 0, "kraken")
    known = {(fact.feed, fact.exchange_id) for fact in first.facts}
    fresh = [fact for fact in after.facts if (fact.feed, fact.exchange_id) not in known]
    assert [(fact.feed, ledger.legs(fact)) for fact in fresh] == [
        ("deposits", [("spot", "BTC", D("0.12345678"))])
    ]


def test_reading_again_gives_the_same_facts(visits: list[Visit]) -> None:
    first = read(visits[1])
    again = read(sandboxes.follow_up(visits[1], first, everything=True))
    assert set(again.facts) <= set(first.facts)
    assert again.complete_history
    assert again.failures == ()


def test_both_houses_of_one_sandbox_are_read_at_once(
    exchange: Any, visits: list[Visit], visit: Callable[..., Visit]
) -> None:
    """What a person withdrew at one arrives at the other, under the same transaction id."""
    at_binance = visit("binance", credential=credential(exchange, 3, house="binance"),
                       now=datetime.now(UTC))  # fmt: skip
    made = [at_binance, visits[3]]
    reports = {
        r.connection_id: r
        for r in gateway.visit_accounts(made, deadline_seconds=120)
        if isinstance(r, AccountReport)
    }
    sent = [f for f in reports[at_binance.connection_id].facts if isinstance(f, Transfer)]
    withdrawals = {(f.txid): f for f in sent if f.direction is Direction.WITHDRAWAL and f.txid}
    told = sandboxes.control(exchange, "kraken/accounts/3/books")["facts"]["deposits"]
    pairs = [(withdrawals[d["tx_id"]], d) for d in told if d["tx_id"] in withdrawals]
    assert len(pairs) == 2
    arrived = {
        (f.code, f.quantity): f.occurred_at
        for f in reports[visits[3].connection_id].facts
        if isinstance(f, Transfer) and f.direction is Direction.DEPOSIT
    }
    for withdrawal, _ in pairs:
        minutes = (arrived[withdrawal.code, withdrawal.quantity] - withdrawal.occurred_at) / 60
        assert 3 <= minutes.total_seconds() < 36
        assert withdrawal.fee_quantity


@pytest.mark.parametrize(
    ("role", "outcome"),
    [
        ("trade", errors.KeyTooPowerful),
        ("withdraw", errors.KeyTooPowerful),
        ("restricted", errors.MissingPermission),
    ],
)
def test_a_key_that_may_do_too_much_or_too_little_is_refused(
    exchange: Any, role: str, outcome: Any
) -> None:
    with pytest.raises(outcome):
        gateway.check_key("kraken", credential(exchange, 2, role))


def test_a_key_that_may_read_is_taken(exchange: Any) -> None:
    assert gateway.check_key("kraken", credential(exchange, 2)) is Privileges.READ_ONLY


@pytest.mark.parametrize("secret", ["Zm9yZ2Vk", "not base64"])
def test_a_forged_secret_is_refused(exchange: Any, secret: str) -> None:
    with pytest.raises(errors.WrongKey):
        gateway.check_key("kraken", Credential(exchange.api_key(0, "read", "kraken"), secret))


def test_an_unknown_key_is_refused(exchange: Any) -> None:
    with pytest.raises(errors.WrongKey):
        gateway.check_key("kraken", replace(credential(exchange, 0), api_key="a" * 56))


def test_tickers_and_candles(exchange: Any) -> None:
    found = {(t.base_code, t.quote_code): t for t in gateway.fetch_tickers("kraken")}
    assert len(found) > 100
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    since = now.replace(hour=0)
    candles = gateway.fetch_candles(
        "kraken", market="BTC/EUR", interval="1d", since=since, until=now
    )
    assert [candle.start for candle in candles] == ([since] if since < now else [])
    assert found["BTC", "EUR"].last > 0


def test_a_pair_that_is_unknown_says_so(exchange: Any) -> None:
    with pytest.raises(errors.SymbolUnknown):
        gateway.fetch_candles(
            "kraken", market="NO/SUCH", interval="1d", since=datetime(2026, 1, 1, tzinfo=UTC),
            until=datetime(2026, 1, 2, tzinfo=UTC),
        )  # fmt: skip


def test_a_history_too_long_for_one_visit_is_read_stretch_by_stretch(
    exchange: Any, visits: list[Visit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kraken pages by offsets, which cannot be taken up again, and allows few calls a minute."""
    made, facts, rounds = visits[1], {}, 0
    while rounds < 30:
        rounds += 1
        # Another limit is another budget: as if a minute had gone by. Without Redis a process
        # allows itself an eighth of it, here 20: ten calls.
        limits = {"kraken": {"account": 160 + rounds, "public": 0}}
        monkeypatch.setattr(settings, "EXCHANGE_BUDGETS", limits)
        (report,) = gateway.visit_accounts([made], deadline_seconds=5)
        assert isinstance(report, AccountReport)
        facts |= {(fact.feed, fact.exchange_id): fact for fact in report.facts}
        covered = {(item.feed, item.scope): item for item in report.covered}
        made = replace(made, known={**made.known, **covered})
        if not report.unfinished:
            break
    assert (report.failures, report.complete_history) == ((), True)
    assert rounds > 1
    assert ledger.net(facts.values()) == sandboxes.books(exchange, 1, "kraken")
