"""Indicators against plain definitions, at sizes and lengths where TA-Lib has traps."""

import numpy as np
import pytest
import talib

from portfolios.strategies.indicators import Indicators
from portfolios.strategies.market import Market
from tests.portfolios.strategies.markets import by_hand, noise

MARKET = noise(300)
CLOSE = MARKET.close[0]


def scaled(market, factor):
    rows = [getattr(market, name) * factor for name in ("open", "high", "low", "close")]
    return Market(market.at, market.length, market.assets, *rows, market.volume)


def wilder_rsi(close, bars):
    moves = np.diff(close)
    up, down = np.maximum(moves, 0), np.maximum(-moves, 0)
    gain, loss = up[:bars].mean(), down[:bars].mean()
    found = [100 * gain / (gain + loss)]
    for rise, fall in zip(up[bars:], down[bars:], strict=True):
        gain, loss = (gain * (bars - 1) + rise) / bars, (loss * (bars - 1) + fall) / bars
        found.append(100 * gain / (gain + loss))
    return np.array(found)


def ema(values, bars):
    found = [values[:bars].mean()]
    for value in values[bars:]:
        found.append(found[-1] + 2 / (bars + 1) * (value - found[-1]))
    return np.array(found)


def windows(values, bars):
    return np.lib.stride_tricks.sliding_window_view(values, bars)


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e7])
def test_indicators_are_what_their_definitions_say_at_any_price(factor):
    market = scaled(MARKET, factor)
    known, close = Indicators(market), market.close[0]

    def same(found, expected):
        assert np.isnan(found[: -len(expected)]).all()
        assert found[-len(expected) :] == pytest.approx(expected, rel=1e-9)

    same(known.sma(0, 20), windows(close, 20).mean(axis=1))
    same(known.ema(0, 20), ema(close, 20))
    same(known.rsi(0, 14), wilder_rsi(close, 14))
    same(known.stdev(0, 20), windows(close, 20).std(axis=1))
    upper, middle, lower = known.bollinger(0, 20, 2.0)
    spread = windows(close, 20).std(axis=1)
    same(upper, windows(close, 20).mean(axis=1) + 2 * spread)
    same(middle, windows(close, 20).mean(axis=1))
    same(lower, windows(close, 20).mean(axis=1) - 2 * spread)
    same(known.roc(0, 5), (close[5:] / close[:-5] - 1) * 100)
    same(known.highest(0, 9), windows(market.high[0], 9).max(axis=1))
    same(known.lowest(0, 9), windows(market.low[0], 9).min(axis=1))
    moves = close[1:] / close[:-1] - 1
    same(known.volatility(0, 30), windows(moves, 30).std(axis=1, ddof=1) * 365**0.5)


def test_macd_is_the_distance_of_two_averages_seeded_on_one_bar():
    line, signal, histogram = Indicators(MARKET).macd(0, 12, 26, 9)
    distance = ema(CLOSE[14:], 12) - ema(CLOSE, 26)  # both begin on bar 25
    assert line[33:] == pytest.approx(distance[8:], rel=1e-9)
    assert signal[33:] == pytest.approx(ema(distance, 9), rel=1e-9)
    assert histogram[33:] == pytest.approx((line - signal)[33:], rel=1e-9)


def test_average_true_range_smooths_as_wilder_does():
    high, low = MARKET.high[0], MARKET.low[0]
    ranges = np.maximum.reduce(
        [high[1:] - low[1:], np.abs(high[1:] - CLOSE[:-1]), np.abs(low[1:] - CLOSE[:-1])]
    )
    expected = [ranges[:14].mean()]
    for value in ranges[14:]:
        expected.append((expected[-1] * 13 + value) / 14)
    assert Indicators(MARKET).atr(0, 14)[14:] == pytest.approx(np.array(expected), rel=1e-9)


def test_a_price_that_stands_still_has_the_least_volatility_and_not_none():
    found = Indicators(by_hand([5.0] * 20)).volatility(0, 5)
    assert (found[5:] == 1e-9).all()


def test_a_price_that_fell_a_millionfold_still_has_an_average_and_a_spread():
    fallen = CLOSE[100:] / 1e6
    known = Indicators(by_hand(np.concatenate((CLOSE[:100], fallen))))
    found = known.sma(0, 20)[119:], known.stdev(0, 20)[119:]
    assert found[0] == pytest.approx(windows(fallen, 20).mean(axis=1), rel=1e-8)
    assert found[1] == pytest.approx(windows(fallen, 20).std(axis=1), rel=1e-6)


def test_what_is_known_is_computed_once_and_forgotten_when_it_gets_too_much():
    known = Indicators(MARKET, most_bytes=3 * CLOSE.nbytes)
    first = known.sma(0, 10)
    assert known.sma(0, 10) is first
    for bars in range(20, 30):
        known.sma(0, bars)
    assert known.sma(0, 10) is not first
    assert np.array_equal(known.sma(0, 10), first, equal_nan=True)


def test_volume_that_is_not_there_is_said():
    bare = Market(MARKET.at, MARKET.length, MARKET.assets, *[MARKET.close] * 4)
    with pytest.raises(LookupError):
        Indicators(bare).sma(0, 5, "volume")


def test_a_process_in_which_talib_computes_otherwise_is_refused():
    talib.set_unstable_period("EMA", 5)
    try:
        with pytest.raises(RuntimeError):
            Indicators(MARKET)
    finally:
        talib.set_unstable_period("EMA", 0)
    Indicators(MARKET)


def test_a_market_that_has_not_moved_yet_is_neither_strong_nor_weak():
    closes = np.concatenate((np.full(40, 7.0), [7.0, 8.0, 7.5, 7.25]))
    flat = Market(np.arange(44) * 86_400, 86_400, ("a",), *([closes[np.newaxis]] * 4))
    found = Indicators(flat).rsi(0, 14)
    assert np.isnan(found[:14]).all()
    assert (found[14:41] == 50).all()
    assert found[41] == 100  # one rise and no fall
