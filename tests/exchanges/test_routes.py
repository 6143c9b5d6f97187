"""Which market prices a coin, and arithmetic of stretches of time: pure."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges import spans
from exchanges.crossing import BRIDGES
from exchanges.reports import Listing
from exchanges.routes import Routes

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


def routes(*pairs):
    """Of markets written as people write them: ``BTC/USDT``."""
    return Routes(Listing(pair.replace("/", ""), *pair.split("/")) for pair in pairs)


@pytest.mark.parametrize(
    ("pairs", "code", "expected"),
    [
        (["A/BTC", "A/USDT", "A/USD"], "A", ["A/USD", "A/USDT", "A/BTC"]),
        (["A/USDC", "A/USDT"], "A", ["A/USDT", "A/USDC"]),
        (["A/B", "A/XYZ"], "A", []),  # nothing to cross through
        (["BTC/JPY"], "JPY", ["BTC/JPY"]),
        (["ETH/BTC", "ETH/USDT", "BNB/ETH"], "ETH", ["ETH/USDT", "ETH/BTC"]),
        (["ETH/BTC"], "BTC", []),  # a bitcoin is not priced by what is priced by it
        (["BTC/EUR", "EUR/USDT"], "EUR", ["EUR/USDT", "BTC/EUR"]),
        (["BTC/EUR"], "BTC", []),
        (["USDC/USDT"], "USDC", []),  # a stablecoin by dollars alone
        (["USDT/USD"], "USDT", ["USDT/USD"]),
        (["USDT/USD"], "USD", []),
    ],
)
def test_the_most_direct_market_comes_first(pairs, code, expected):
    assert [route.pair for route in routes(*pairs).of(code)] == expected


def test_a_stablecoin_is_pegged_only_where_no_market_quotes_it_in_dollars():
    assert routes("BTC/USDT").is_pegged("USDT")
    assert not routes("BTC/USDT", "USDT/USD").is_pegged("USDT")
    assert not routes("BTC/USDT").is_pegged("USDC")
    assert not routes("BTC/USDT").is_pegged("BTC")


codes = st.sampled_from([*BRIDGES, "SHIB", "JPY", "GBP"])


@given(st.lists(st.tuples(codes, codes).filter(lambda pair: pair[0] != pair[1]), max_size=30))
def test_following_bridges_always_ends_at_the_dollar_or_nowhere(pairs):
    found = routes(*("/".join(pair) for pair in pairs))
    for code in found.codes:
        for route in found.of(code):
            assert route.bridge in BRIDGES
            if code in BRIDGES:
                assert BRIDGES.index(route.bridge) < BRIDGES.index(code)


# --- stretches ----------------------------------------------------------------------------------

hours = st.integers(0, 60)
stretches = st.lists(
    st.tuples(hours, hours).filter(lambda ends: ends[0] < ends[1]).map(
        lambda ends: (START + ends[0] * HOUR, START + ends[1] * HOUR)
    ),
    max_size=8,
)  # fmt: skip


def covered(found):
    """The hours that stretches hold."""
    return {at for span in found for at, _ in spans.cut(span, HOUR)}


@given(stretches)
def test_merged_stretches_hold_the_same_and_do_not_touch(found):
    merged = spans.merged(found)
    assert covered(merged) == covered(found)
    assert all(before[1] < after[0] for before, after in pairwise(merged))


@given(stretches, stretches)
def test_what_is_left_and_what_is_taken_make_the_whole(found, taken):
    left = spans.without(found, taken)
    assert covered(left) == covered(found) - covered(taken)
    assert spans.without(left, taken) == left


@given(stretches, st.tuples(hours, hours).filter(lambda ends: ends[0] < ends[1]))
def test_what_lies_in_a_frame(found, ends):
    frame = START + ends[0] * HOUR, START + ends[1] * HOUR
    assert covered(spans.within(found, frame)) == covered(found) & covered([frame])


@given(st.integers(-(10**15), 10**15))
def test_a_widened_stretch_is_whole_days_and_holds_it(microseconds):
    at = START + timedelta(microseconds=microseconds)
    since, until = spans.widened((at, at + timedelta(microseconds=1)), timedelta(days=1))
    assert since <= at < until
    assert (since.hour, since.minute, since.microsecond) == (0, 0, 0)
    assert until - since == timedelta(days=1)
