"""Prices made anew for what moved are those that all tickers together make."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchanges import crossing
from exchanges.board import Board
from exchanges.reports import Ticker

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
CODES = ["USD", "USDT", "USDC", "BTC", "ETH", "BNB", "EUR", "ADA", "SOL", "JPY"]

tickers = st.builds(
    lambda pair, last, opened, age: Ticker(
        *pair, Decimal(last) / 100, Decimal(opened) / 100 or None, NOW - timedelta(seconds=age)
    ),
    st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)).filter(lambda p: p[0] != p[1]),
    st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 100),
)  # fmt: skip


def newest(batches: list[list[Ticker]]) -> dict[tuple[str, str], Ticker]:
    held: dict[tuple[str, str], Ticker] = {}
    for ticker in (ticker for batch in batches for ticker in batch):
        pair = (ticker.base_code, ticker.quote_code)
        if pair not in held or held[pair].as_of <= ticker.as_of:
            held[pair] = ticker
    return held


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(tickers, max_size=8), max_size=5))
def test_what_moved_is_priced_as_if_everything_were(batches):
    board = Board()
    for count, batch in enumerate(batches, start=1):
        board.update(batch)
        everything = crossing.usd_prices(newest(batches[:count]).values(), now=NOW)
        for code, price in board.moved_prices(now=NOW).items():
            assert price.usd == everything[code].usd
    assert board.moved_prices(now=NOW) == {}
    whole = board.all_prices(now=NOW)
    assert {code: price.usd for code, price in whole.items()} == {
        code: price.usd
        for code, price in crossing.usd_prices(newest(batches).values(), now=NOW).items()
    }


def test_a_market_never_goes_back_in_time():
    board = Board()
    board.update([Ticker("BTC", "USD", Decimal(2), None, NOW)])
    board.update([Ticker("BTC", "USD", Decimal(1), None, NOW - timedelta(seconds=1))])
    assert board.all_prices(now=NOW)["BTC"].usd == 2


def test_codes_that_did_not_move_are_left_out():
    board = Board()
    board.update(Ticker(code, "USD", Decimal(2), None, NOW) for code in ("BTC", "ADA", "SOL"))
    board.moved_prices(now=NOW)
    board.update([Ticker("ADA", "USD", Decimal(3), None, NOW)])
    moved = board.moved_prices(now=NOW)
    assert moved["ADA"].usd == 3
    assert set(moved) <= {"ADA", "USD"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(tickers, max_size=12), st.randoms())
def test_prices_do_not_depend_on_the_order_of_the_tickers(found, random):
    held = list(newest([found]).values())
    shuffled = random.sample(held, len(held))
    assert crossing.usd_prices(shuffled, now=NOW) == crossing.usd_prices(held, now=NOW)
