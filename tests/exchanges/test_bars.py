"""Crossing candles: what is a price, what is certain, and what is not told."""

from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges import bars
from exchanges.bars import Bar
from exchanges.reports import Candle

AT = datetime(2026, 1, 1, tzinfo=UTC)
DOLLAR = bars.flat(D(1), "")


def candle(opened, high, low, close, volume="3"):
    return Candle(AT, D(close), D(opened), D(high), D(low), None if volume is None else D(volume))


def crossed(told, bridge=DOLLAR, *, inverse=False):
    return bars.crossed(told, bridge, inverse=inverse, source="x: A/B")


def prices(bar):
    return bar.open, bar.high, bar.low, bar.close


def test_against_the_dollar_a_candle_is_what_the_market_told():
    bar = crossed(candle("10", "12.5", "9.1", "11"))
    assert bar == Bar(D(10), D("12.5"), D("9.1"), D(11), D(3), "x: A/B")


def test_a_crossed_high_is_the_highest_that_was_certainly_reached():
    """At 12 the other side stood at 0.5 or more; at 2 the coin stood at 9 or more."""
    bridge = Bar(D(1), D(2), D("0.5"), D(1), None, "")
    assert prices(crossed(candle("10", "12", "9", "11"), bridge)) == (10, 18, 6, 11)


def test_an_inverse_market_is_turned_over_and_tells_no_volume():
    """The yen by BTC/JPY: dollars of a bitcoin over yen of a bitcoin."""
    bitcoin = Bar(D(100), D(120), D(90), D(110), D(7), "")
    bar = crossed(candle("10000", "12500", "9000", "11000"), bitcoin, inverse=True)
    assert prices(bar) == (D("0.01"), D("0.01"), D("0.0096"), D("0.01"))
    assert bar.volume is None


@pytest.mark.parametrize("missing", ["open", "high", "low"])
def test_a_candle_that_lacks_a_price_is_none(missing):
    told = {"open": D(1), "high": D(2), "low": D(1)} | {missing: None}
    assert crossed(Candle(AT, D(1), **told)) is None


@pytest.mark.parametrize(("low", "high"), [("1e-31", "1"), ("1", "1e30")])
def test_a_price_that_cannot_be_kept_makes_none(low, high):
    assert crossed(candle("1", high, low, "1")) is None


@pytest.mark.parametrize(("told", "kept"), [("0", D(0)), (None, None), ("1e-31", None)])
def test_a_volume_is_kept_to_the_last_digit_or_not_at_all(told, kept):
    assert crossed(candle("1", "1", "1", "1", told)).volume == kept


def test_a_high_below_its_close_is_widened_to_hold_it():
    assert prices(crossed(candle("10", "10.5", "10.2", "11"))) == (10, 11, 10, 11)


price = st.decimals("0.000001", "1000000", places=6)


@given(st.lists(st.tuples(price, price), min_size=1, max_size=8), st.booleans())
def test_no_price_is_claimed_that_was_not_passed(path, inverse):
    """Two markets walk along any path together; crossed step by step, that is what was paid."""
    coin, other = zip(*path, strict=True)
    told = candle(coin[0], max(coin), min(coin), coin[-1])
    bridge = Bar(other[0], max(other), min(other), other[-1], None, "")
    bar = crossed(told, bridge, inverse=inverse)
    paid = [b / a if inverse else a * b for a, b in path]
    quantum = D("1e-30")
    assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
    assert min(paid) - quantum <= bar.low
    assert bar.high <= max(paid) + quantum
    assert abs(bar.open - paid[0]) <= quantum
    assert abs(bar.close - paid[-1]) <= quantum
