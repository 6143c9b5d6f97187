"""Every fault of the sandbox, through ccxt and the gateway: the report says what failed, and once
the fault is gone nothing is missing and nothing was booked twice."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import AccountReport, Credential, Fact, Visit
from exchanges.sandbox import config, testing
from tests.exchanges.gateway import ledger, sandboxes

TRADES = {"binance": "/api/v3/myTrades", "kraken": "/0/private/TradesHistory"}
DEPOSITS, LEDGER = "/sapi/v1/capital/deposit/hisrec", "/0/private/Ledgers"
BALANCES = {"binance": "/api/v3/account", "kraken": "/0/private/BalanceEx"}
DAY = 86_400_000


@pytest.fixture(scope="module")
def exchange() -> Iterator[testing.SandboxProcess]:
    settings = config.Config(seed=5, accounts=2, assets=6, trades=120, weight_limit=0)
    with testing.start(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def reached(exchange: Any, gateway_settings: dict[str, str]) -> None:
    gateway_settings |= {"binance": exchange.url, "kraken": exchange.url}
    sandboxes.control(exchange, "violations", method="DELETE")


@pytest.fixture
def first(exchange: Any, visit: Callable[..., Visit]) -> Callable[[str], Visit]:
    """`first("kraken")`: the first visit to account 0 of a house."""

    def build(house: str) -> Visit:
        key, secret = exchange.api_key(0, "read", house), exchange.api_secret(0, "read", house)
        return visit(house, credential=Credential(key, secret), now=datetime.now(UTC))

    return build


@contextmanager
def fault(exchange: Any, **wanted: Any) -> Iterator[None]:
    sandboxes.control(exchange, "faults", method="POST", body=wanted)
    try:
        yield
    finally:
        sandboxes.control(exchange, "faults", method="DELETE")


@dataclass
class Course:
    """What came of a visit under a fault, and of the visits after it."""

    during: AccountReport | errors.GatewayError
    after: AccountReport
    facts: Mapping[tuple[str, str], Fact]
    repeated: list[tuple[str, str]]

    @property
    def failed(self) -> set[tuple[str, str]]:
        """(feed, code) of what failed under the fault."""
        assert isinstance(self.during, AccountReport), self.during
        return {(failure.feed, failure.code) for failure in self.during.failures}


def read(made: Visit, *, deadline: float = 60) -> AccountReport | errors.GatewayError:
    (result,) = gateway.visit_accounts([made], deadline_seconds=deadline)
    return result if isinstance(result, AccountReport) else result[1]


def course(exchange: Any, made: Visit, *, deadline: float = 60, **wanted: Any) -> Course:
    """A visit under a fault, and one after it: what both told together."""
    with fault(exchange, **wanted):
        during = read(made, deadline=deadline)
    told = during if isinstance(during, AccountReport) else None
    following = sandboxes.follow_up(made, told, everything=True) if told else made
    after = read(following)
    assert isinstance(after, AccountReport), after
    reports = [report for report in (told, after) if report]
    facts: dict[tuple[str, str], Fact] = {}
    for report in reversed(reports):  # what is recorded once stays as it was
        facts |= {(f.feed, f.exchange_id): f for f in report.facts}
    names = [[(f.feed, f.exchange_id) for f in report.facts] for report in reports]
    repeated = [name for found in names for name in set(found) if found.count(name) > 1]
    return Course(during, after, facts, repeated)


def assert_whole(exchange: Any, house: str, found: Course) -> None:
    """Nothing failed after the fault, nothing is missing, nothing came twice."""
    held = sandboxes.books(exchange, 0, house)
    assert found.repeated == []
    assert found.after.failures == ()
    assert sandboxes.reported(found.after) == held
    assert ledger.net(found.facts.values()) == held


def violations(exchange: Any) -> dict[str, int]:
    return sandboxes.control(exchange, "violations")["by_kind"]


# --- nothing of it is felt --------------------------------------------------------------------


@pytest.mark.parametrize("house", ["binance", "kraken"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "delay", "seconds": 0.01, "path": "/", "count": 50},
        {"kind": "drip", "seconds": 0.02, "path": "/", "count": 20},
        {"kind": "drop", "count": 1},
        {"kind": "lost_answer", "count": 1},
        {"kind": "duplicates"},
        {"kind": "reordered", "path": "/"},
        {"kind": "coarse_times", "milliseconds": 7 * DAY, "path": "/"},
    ],
    ids=lambda wanted: wanted["kind"],
)
def test_what_a_visit_survives_unharmed(
    exchange: Any, first: Callable[[str], Visit], house: str, wanted: dict[str, Any]
) -> None:
    found = course(exchange, first(house), **{"path": TRADES[house]} | wanted)
    assert found.failed == set()
    assert isinstance(found.during, AccountReport)
    assert found.during.quarantined == ()
    assert ledger.net(found.during.facts) == sandboxes.books(exchange, 0, house)
    assert_whole(exchange, house, found)
    assert violations(exchange) == {}


@pytest.mark.parametrize("milliseconds", [90_000, -90_000])
@pytest.mark.parametrize("house", ["binance", "kraken"])
def test_a_wrong_clock_is_measured_or_does_not_matter(
    exchange: Any, first: Callable[[str], Visit], house: str, milliseconds: int
) -> None:
    read(first(house))
    found = course(exchange, first(house), kind="clock", milliseconds=milliseconds, path="/")
    assert found.failed == set()
    assert_whole(exchange, house, found)
    # Binance's clock was measured before it went wrong: one refusal tells, when it did and when
    # it went right again.
    expected = {"stale_timestamp": 2} if house == "binance" else {}
    assert violations(exchange) == expected


# --- a part fails, and is read later ----------------------------------------------------------


@pytest.mark.parametrize("house", ["binance", "kraken"])
@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"kind": "status", "status": 500}, "exchange_unreachable"),
        ({"kind": "status", "status": 503}, "exchange_unreachable"),
        ({"kind": "drop"}, "exchange_unreachable"),
        ({"kind": "lost_answer"}, "exchange_unreachable"),
        ({"kind": "truncate"}, "exchange_answer_malformed"),
        ({"kind": "garbage", "broken": "json"}, "exchange_answer_malformed"),
        ({"kind": "schema", "change": "envelope"}, "exchange_answer_malformed"),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else value,
)
def test_a_feed_that_fails_is_named_and_read_again(
    exchange: Any, first: Callable[[str], Visit], house: str, wanted: dict[str, Any], code: str
) -> None:
    found = course(exchange, first(house), **{"path": TRADES[house]} | wanted)
    assert ("trades", code) in found.failed
    assert_whole(exchange, house, found)
    assert violations(exchange) == {}


@pytest.mark.parametrize("house", ["binance", "kraken"])
@pytest.mark.parametrize(
    "wanted", [{"kind": "hang"}, {"kind": "lost_answer", "by": "hang"}, {"kind": "drip"}],
    ids=["hang", "lost_answer", "drip"],
)  # fmt: skip
def test_what_never_comes_ends_with_the_deadline(
    exchange: Any, first: Callable[[str], Visit], house: str, wanted: dict[str, Any]
) -> None:
    made = first(house)
    given = {"path": TRADES[house], "seconds": 600} | wanted
    found = course(exchange, made, deadline=3, **given)
    # The visit's own time was over: it is put off where the visit got any further, else it failed.
    put_off = isinstance(found.during, AccountReport) and found.during.unfinished
    assert put_off or ("trades", "exchange_timeout") in found.failed
    assert sandboxes.reported(found.during) == sandboxes.books(exchange, 0, house)
    assert_whole(exchange, house, found)
    assert violations(exchange) == {}


@pytest.mark.parametrize("house", ["binance", "kraken"])
@pytest.mark.parametrize(
    "wanted", [{"kind": "storm", "count": 1, "retry_after": 1}, {"kind": "ban", "lasts": 1.5}],
    ids=["storm", "ban"],
)  # fmt: skip
def test_who_is_told_to_wait_waits(
    exchange: Any, first: Callable[[str], Visit], house: str, wanted: dict[str, Any]
) -> None:
    path = "/" if wanted["kind"] == "ban" else TRADES[house]
    with fault(exchange, path=path, **wanted):
        made = first(house)
        during = read(made)
        if isinstance(during, AccountReport):
            assert ("trades", "exchange_rate_limited") in {
                (f.feed, f.code) for f in during.failures
            }
        else:
            assert isinstance(during, errors.RateLimited)
            assert during.retry_after
        assert violations(exchange) == {}
    found = course(exchange, first(house), kind="delay", seconds=0)
    assert_whole(exchange, house, found)


@pytest.mark.parametrize("house", ["binance", "kraken"])
def test_balances_that_cannot_be_read_are_not_taken_for_nothing(
    exchange: Any, first: Callable[[str], Visit], house: str
) -> None:
    wanted = {"kind": "schema", "change": "type"}
    field = {"binance": "free", "kraken": "balance"}[house]
    path = BALANCES[house]
    found = course(exchange, first(house), path=path, field=field, **wanted)
    if isinstance(found.during, AccountReport):
        assert ("balances", "exchange_answer_malformed") in found.failed
        assert not any(b.wallet == "spot" for b in found.during.balances)
    assert_whole(exchange, house, found)


@pytest.mark.parametrize("kind", ["drop", "truncate", "lost_answer"])
def test_a_ledger_that_fails_leaves_its_fills_for_the_next_visit(
    exchange: Any, first: Callable[[str], Visit], kind: str
) -> None:
    found = course(exchange, first("kraken"), kind=kind, path=LEDGER)
    assert {feed for feed, _ in found.failed} == {"ledger"}
    assert isinstance(found.during, AccountReport)
    assert found.during.facts == ()
    assert_whole(exchange, "kraken", found)


# --- rows -------------------------------------------------------------------------------------


def test_a_fill_of_another_schema_is_kept_aside_and_said(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    path = TRADES["binance"]
    for change in ("rename", "type"):
        with fault(exchange, kind="schema", change=change, field="qty", path=path):
            report = read(first("binance"))
        assert isinstance(report, AccountReport)
        assert not any(fact.feed == "trades" for fact in report.facts)
        told = sandboxes.control(exchange, "accounts/0/books")["facts"]["trades"]
        kept = "".join(item.payload for item in report.quarantined if item.feed == "trades")
        assert all(f'"id": {trade["id"]}' in kept for trade in told)


def test_a_fill_whose_ledger_is_of_another_schema_is_not_booked_by_half(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    with fault(exchange, kind="schema", change="rename", field="amount", path=LEDGER):
        report = read(first("kraken"))
    assert isinstance(report, AccountReport)
    assert report.facts == ()
    assert len(report.quarantined) > 300
    assert sandboxes.reported(report) == sandboxes.books(exchange, 0, "kraken")


def test_one_bad_row_spoils_nothing_else(exchange: Any, first: Callable[[str], Visit]) -> None:
    found = course(exchange, first("binance"), kind="garbage", path=DEPOSITS, count=1)
    assert isinstance(found.during, AccountReport)
    assert len(found.during.quarantined) == 1
    assert_whole(exchange, "binance", found)


def test_one_bad_entry_sets_its_event_aside_and_no_other(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    whole = read(first("kraken"))
    with fault(exchange, kind="garbage", path=LEDGER, count=3):  # the first two only count
        report = read(first("kraken"))
    assert isinstance(whole, AccountReport)
    assert isinstance(report, AccountReport)
    assert len(report.quarantined) == 1
    missing = {(f.feed, f.exchange_id) for f in whole.facts} - {
        (f.feed, f.exchange_id) for f in report.facts
    }
    assert len(missing) <= 1


def test_a_page_that_ends_early_is_noticed_where_the_exchange_counts_or_numbers(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    for house in ("binance", "kraken"):
        found = course(exchange, first(house), kind="short_page", path=TRADES[house], count=3)
        assert_whole(exchange, house, found)
    found = course(exchange, first("kraken"), kind="short_page", path=LEDGER, count=3)
    assert_whole(exchange, "kraken", found)


def test_a_delisted_symbol_is_out_of_reach_and_the_rest_is_not(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    with fault(exchange, kind="delisted", symbol="BTCUSDT", path="/api/"):
        report = read(first("binance"))
    assert isinstance(report, AccountReport)
    assert [(f.feed, f.scope, f.code, f.permanent) for f in report.failures] == [
        ("trades", "BTCUSDT", "exchange_symbol_unknown", True)
    ]
    (covered,) = (c for c in report.covered if c.scope == "BTCUSDT")
    assert covered.cursor.startswith("delisted")
    fills = [fact for fact in report.facts if fact.feed == "trades"]
    told = sandboxes.control(exchange, "accounts/0/books")["facts"]["trades"]
    rest = [trade for trade in told if (trade["base"], trade["quote"]) != ("BTC", "USDT")]
    assert len(fills) == len(rest) < len(told)


def test_the_candles_of_a_delisted_pair_are_out_of_reach_and_the_others_are_not(
    exchange: Any,
) -> None:
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    span = {"interval": "1d", "since": until - timedelta(days=3), "until": until}
    for house, gone in (("binance", "BTCUSDT"), ("kraken", "XXBTZEUR")):
        market, other = {
            "binance": ("BTCUSDT", "ETHUSDT"), "kraken": ("BTC/EUR", "ETH/EUR"),
        }[house]  # fmt: skip
        with fault(exchange, kind="delisted", symbol=gone, path="/"):
            with pytest.raises(errors.SymbolUnknown):
                gateway.fetch_candles(house, market=market, **span)
            assert len(gateway.fetch_candles(house, market=other, **span)) == 3


def test_krakens_clock_is_not_asked_since_its_nonces_need_only_grow(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    read(first("kraken"))
    gateway.check_key("kraken", first("kraken").credential)
    assert "/0/public/Time" not in sandboxes.control(exchange, "stats")["requests"]


def test_a_nonce_that_came_too_late_is_followed_by_a_higher_one(
    exchange: Any, first: Callable[[str], Visit]
) -> None:
    """As when two programs of one person use one key at the same time."""
    refused = {"error": ["EAPI:Invalid nonce"]}
    wanted = {"kind": "status", "status": 200, "body": refused, "count": 1}
    found = course(exchange, first("kraken"), path=BALANCES["kraken"], **wanted)
    assert found.failed == set()
    assert_whole(exchange, "kraken", found)
    wanted = {"kind": "status", "status": 200, "body": refused}
    with fault(exchange, path="/0/private/", **wanted):
        during = read(first("kraken"))
    assert isinstance(during, errors.WrongClock)
