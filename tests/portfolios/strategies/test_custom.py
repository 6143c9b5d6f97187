"""What rules decide: each indicator and comparison, sizes, and stops, against a loop over bars."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.strategies import running
from portfolios.strategies.errors import Stopped, StrategyInvalid
from portfolios.strategies.market import Market
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import by_hand, markets, noise

NEVER = {"left": 0, "is": "gt", "right": 1}
ALWAYS = {"left": 1, "is": "gt", "right": 0}


def custom(enter, leave=NEVER, **more):
    return Definition("custom", rules={"enter": enter, "exit": leave, **more})


def true_on(market, condition):
    """Bars on which a condition is true: it goes in there and out wherever it is not."""
    decided = running.decide(market, custom(condition, {"not": condition}))
    state = decided.weights[0]
    known = np.maximum.accumulate(np.where(np.isnan(state), 0, np.arange(state.size)))
    return np.flatnonzero(state[known] == 1.0).tolist()


# --- conditions ---------------------------------------------------------------------------------
TEN = by_hand([4, 5, 6, 5, 4, 5, 5, 6, 7, 3])


@pytest.mark.parametrize(
    ("condition", "bars"),
    [
        ({"left": "close", "is": "gt", "right": 5}, [2, 7, 8]),
        ({"left": "price", "is": "gte", "right": 5}, [1, 2, 3, 5, 6, 7, 8]),
        ({"left": "close", "is": "lt", "right": 5}, [0, 4, 9]),
        ({"left": "close", "is": "lte", "right": 4}, [0, 4, 9]),
        ({"left": "close", "is": "crosses_above", "right": 5}, [2, 7]),
        ({"left": "close", "is": "crosses_below", "right": 5}, [4, 9]),
        ({"left": "close", "is": "gt", "right": "open"}, [1, 2, 5, 7, 8]),
        ({"left": {"indicator": "close", "lag": 2}, "is": "gt", "right": 5}, [4, 9]),
        ({"left": "close", "is": "gt", "right": {"indicator": "sma", "bars": 3}}, [2, 5, 6, 7, 8]),
        ({"left": "close", "is": "lte", "right": {"indicator": "donchian", "bars": 3,
                                                  "part": "lower", "lag": 1}}, [4, 9]),
        ({"left": "close", "is": "gte", "right": {"indicator": "highest", "bars": 4,
                                                  "of": "close"}}, [6, 7, 8]),
        ({"left": {"indicator": "roc", "bars": 1}, "is": "gt", "right": 19}, [1, 2, 5, 7]),
        ({"left": {"indicator": "stdev", "bars": 2}, "is": "gte", "right": 0.6}, [9]),
        ({"left": {"indicator": "atr", "bars": 1}, "is": "gte", "right": 2}, [9]),
        ({"all": [{"left": "close", "is": "gt", "right": 4},
                  {"left": "close", "is": "lt", "right": 6}]}, [1, 3, 5, 6]),
        ({"any": [{"left": "close", "is": "lt", "right": 4},
                  {"left": "close", "is": "gt", "right": 6}]}, [8, 9]),
        ({"not": {"left": "close", "is": "lt", "right": 6}}, [2, 7, 8]),
        # Before the averages are known nothing is true, and neither is its opposite.
        ({"not": {"left": "close", "is": "gt", "right": {"indicator": "sma", "bars": 3}}},
         [3, 4, 9]),
    ],
)  # fmt: skip
def test_conditions_are_true_where_they_say(condition, bars):
    assert true_on(TEN, condition) == bars


@pytest.mark.parametrize(
    "operand",
    [
        {"indicator": "ema", "bars": 5}, {"indicator": "rsi", "bars": 5},
        {"indicator": "macd", "part": "line"}, {"indicator": "macd", "part": "signal"},
        {"indicator": "macd", "part": "histogram"}, {"indicator": "bollinger", "part": "upper"},
        {"indicator": "bollinger", "part": "middle"}, {"indicator": "bollinger", "part": "lower"},
        {"indicator": "donchian", "part": "upper"}, {"indicator": "lowest", "of": "volume"},
        "volume", "high", "low",
    ],
)  # fmt: skip
def test_every_indicator_can_be_compared(operand):
    market = noise(400)
    above, below = ({"left": operand, "is": how, "right": {"indicator": "sma", "bars": 40}}
                    for how in ("gt", "lte"))  # fmt: skip
    one, other = set(true_on(market, above)), set(true_on(market, below))
    assert one | other == set(range(39, 400))
    assert not one & other


def test_leaving_wins_where_both_are_true():
    market = by_hand([1, 2, 3, 4, 5, 6])
    enter = {"left": "close", "is": "gte", "right": 2}
    leave = {"left": "close", "is": "gte", "right": 4}
    assert running.decide(market, custom(enter, leave)).at.tolist() == [1, 3]
    assert running.decide(market, custom(enter, enter)).at.tolist() == []


def test_rules_are_judged_for_each_asset_in_equal_shares():
    market = by_hand([1, 2, 3, 2], [3, 2, 1, 2])
    high = {"left": "close", "is": "gte", "right": 2}
    decided = running.decide(market, custom(high, {"not": high}, size={"fraction": 0.8}))
    assert decided.at.tolist() == [0, 1, 2, 3]
    assert decided.targets.tolist() == [
        [pytest.approx(n, nan_ok=True) for n in row]
        for row in ([np.nan, 0.4, np.nan, np.nan], [0.4, np.nan, 0.0, 0.4])
    ]


def test_the_size_can_follow_volatility_on_entering():
    market = noise(60)
    decided = running.decide(
        market, custom(ALWAYS, size={"volatility_target": 20, "window": 10, "most": 0.9})
    )
    moves = market.close[0, 1:11] / market.close[0, :10] - 1
    assert decided.at.tolist() == [10]
    assert decided.targets[0, 0] == pytest.approx(0.2 / (moves.std(ddof=1) * 365**0.5))


def test_volume_that_is_missing_is_said_at_its_place():
    rows = np.ones((1, 5))
    market = Market(np.arange(5), 1, ("A",), rows, rows, rows, rows)
    volume = {"left": 5, "is": "lt", "right": {"indicator": "sma", "bars": 2, "of": "volume"}}
    with pytest.raises(StrategyInvalid) as caught:
        running.decide(market, custom({"all": [ALWAYS, volume]}))
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == ("/rules/enter/all/1/right", "no_volume")


# --- stops --------------------------------------------------------------------------------------
def decided(market, **stops):
    return running.decide(market, custom(ALWAYS, stops=stops)).at.tolist()


def test_a_stop_is_decided_at_a_close_and_filled_at_the_next_open():
    """Bought at 100; the close of 94 is past the stop at 95; the next open is worse still."""
    market = by_hand([100, 101, 94, 90, 90], opens=[[100, 100, 101, 80, 90]])
    found = running.simulate(market, custom(ALWAYS, stops={"stop_loss": 5}),
                             cash=100, fee=0, slippage=0)  # fmt: skip
    sale = found.each_fill()[1]
    assert (sale.bar, sale.side, sale.price) == (3, "sell", 80)


def test_each_stop_by_hand():
    market = by_hand([100, 104, 110, 107, 104, 120, 90, 91, 92])
    # Bought at the open of bar 1 (100) unless stopped before; it goes in again a bar later.
    assert decided(market, take_profit=10) == [0, 2, 3, 5, 6]
    assert decided(market, trailing_stop=5) == [0, 4, 5, 6, 7]
    assert decided(market, max_bars=3) == [0, 3, 4, 7, 8]
    assert decided(market, max_bars=1) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert decided(market, stop_loss=9) == [0, 6, 7]


def test_the_highest_close_is_remembered_however_long_ago_it_was():
    """120 at bar 20, then half a point less on each bar: a tenth off that is 108, 24 bars later."""
    closes = [*range(100, 121), *np.arange(119.5, 60, -0.5)]
    assert decided(by_hand(closes), trailing_stop=10)[:2] == [0, 44]
    slowly = [*range(100, 121), *np.arange(119.9, 60, -0.1)]
    assert decided(by_hand(slowly), trailing_stop=10.05)[:2] == [0, 141]


@settings(deadline=None, max_examples=80)
@given(
    markets(most_assets=1),
    st.fixed_dictionaries({}, optional={
        "stop_loss": st.sampled_from([0.5, 5.0]), "take_profit": st.sampled_from([0.5, 5.0]),
        "trailing_stop": st.sampled_from([1.0, 5.0]), "max_bars": st.integers(1, 60)}),
)  # fmt: skip
def test_stops_are_what_a_loop_over_the_bars_finds(market, stops):
    enter = {"left": "close", "is": "gt", "right": {"indicator": "close", "lag": 1}}
    leave = {"left": "close", "is": "lt", "right": {"indicator": "lowest", "bars": 4, "lag": 1}}
    found = running.decide(market, custom(enter, leave, stops=stops))
    assert found.at.tolist() == _by_loop(market, stops)


def _by_loop(market, stops):
    close, opens, low = market.close[0], market.open[0], market.low[0]
    at, fill, top = [], None, 0.0
    for bar in range(4, market.bars):
        rises, falls = close[bar] > close[bar - 1], close[bar] < low[bar - 4 : bar].min()
        if fill is None:
            if rises and not falls:
                at.append(bar)
                fill = bar + 1
                top = opens[fill] if fill < market.bars else 0.0
            continue
        top = max(top, close[bar])
        if (
            falls
            or close[bar] <= opens[fill] * (100 - stops.get("stop_loss", 200)) / 100
            or close[bar] >= opens[fill] * (100 + stops.get("take_profit", np.inf)) / 100
            or close[bar] <= top * (100 - stops.get("trailing_stop", 200)) / 100
            or bar - fill + 1 >= stops.get("max_bars", np.inf)
        ):
            at.append(bar)
            fill = None
    return at


def test_a_search_for_stops_can_be_stopped():
    market = noise(5_000)
    with pytest.raises(Stopped):
        running.decide(market, custom(ALWAYS, stops={"max_bars": 2}), stop=lambda: True)
