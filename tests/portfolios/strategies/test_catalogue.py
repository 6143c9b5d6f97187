"""The twelve strategies: what the app is told of them, what they refuse, and what each decides."""

import jsonschema
import numpy as np
import pytest

from portfolios.strategies import catalogue, running
from portfolios.strategies.catalogue import CATALOGUE
from portfolios.strategies.errors import StrategyInvalid
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import by_hand, noise

KEYS = [
    "buy_and_hold", "dollar_cost_averaging", "sma_crossover", "ema_crossover",
    "rsi_mean_reversion", "macd", "bollinger_reversion", "donchian_breakout",
    "momentum_rotation", "volatility_targeting", "periodic_rebalancing", "threshold_rebalancing",
]  # fmt: skip


def problems(key, given):
    with pytest.raises(StrategyInvalid) as caught:
        catalogue.checked(key, given)
    return [(one.pointer, one.code) for one in caught.value.problems]


def weights(market, key, **parameters):
    """What is wanted on each bar that wants anything: {bar: weights}."""
    found = running.decide(market, Definition(key, parameters))
    return {
        int(bar): row.round(9).tolist() for bar, row in zip(found.at, found.targets.T, strict=True)
    }


# --- what is told -------------------------------------------------------------------------------
def test_there_are_twelve_in_order():
    assert list(CATALOGUE) == KEYS
    assert [one.key for one in CATALOGUE.values()] == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_each_schema_is_one_and_agrees_with_the_check(key):
    one, schema = CATALOGUE[key], catalogue.schema(key)
    jsonschema.Draft202012Validator.check_schema(schema)
    judge = jsonschema.Draft202012Validator(schema)
    defaults = catalogue.checked(key, {})
    judge.validate(defaults)
    assert defaults == {name: told["default"] for name, told in schema["properties"].items()}
    assert not judge.is_valid({"nonsense": 1})
    for parameter in one.parameters:
        for value in (parameter.minimum, parameter.maximum):
            judge.validate({parameter.name: value})
            assert parameter.problem(value) is None
        for value in (parameter.minimum - 1, parameter.maximum + 1, "5", None, True, [1]):
            assert not judge.is_valid({parameter.name: value}) or value is True
            assert parameter.problem(value) is not None


@pytest.mark.parametrize("key", KEYS)
def test_each_says_what_it_does_and_where_it_comes_from(key):
    one = CATALOGUE[key]
    assert one.name
    assert len(one.description) > 60
    assert any(str(year) in one.source for year in range(1940, 2027))
    assert all(parameter.description for parameter in one.parameters)
    assert 1 <= one.fewest_assets <= one.most_assets <= 10


def test_rules_between_parameters_are_told_in_the_schema():
    assert "fast must be less than slow." in catalogue.schema("sma_crossover")["description"]


# --- what is refused ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("nope", {}, [("/kind", "unknown")]),
        (["macd"], {}, [("/kind", "unknown")]),
        ("macd", [1], [("/parameters", "wrong_type")]),
        ("macd", None, [("/parameters", "wrong_type")]),
        ("buy_and_hold", {"a/b~": 1}, [("/parameters/a~1b~0", "unknown")]),
        ("sma_crossover", {"fast": 50, "slow": 20}, [("/parameters/fast", "not_less")]),
        ("sma_crossover", {"fast": 50}, [("/parameters/fast", "not_less")]),
        ("sma_crossover", {"fast": 1}, [("/parameters/fast", "out_of_range")]),
        ("sma_crossover", {"fast": 10**400}, [("/parameters/fast", "out_of_range")]),
        ("sma_crossover", {"fast": 2.5}, [("/parameters/fast", "wrong_type")]),
        ("sma_crossover", {"fast": float("nan")}, [("/parameters/fast", "wrong_type")]),
        ("sma_crossover", {"fast": True}, [("/parameters/fast", "wrong_type")]),
        ("rsi_mean_reversion", {"enter_below": 70, "exit_above": 30},
         [("/parameters/enter_below", "not_less")]),
        ("sma_crossover", {"fast": "x", "slow": 0, "more": 1},
         [("/parameters/more", "unknown"), ("/parameters/fast", "wrong_type"),
          ("/parameters/slow", "out_of_range")]),
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused_each_with_its_place(key, given, expected):
    assert problems(key, given) == expected


def test_a_whole_number_may_be_written_with_a_point():
    found = catalogue.checked("sma_crossover", {"fast": 5.0})
    assert found == {"fast": 5, "slow": 50}
    assert isinstance(found["fast"], int)


@pytest.mark.parametrize(("key", "assets"), [("momentum_rotation", 1), ("macd", 11)])
def test_too_few_or_too_many_assets_are_refused(key, assets):
    names = tuple("ABCDEFGHIJK"[:assets])
    ones = np.ones((assets, 5))
    market = running.Market(np.arange(5), 1, names, ones, ones, ones, ones)
    with pytest.raises(StrategyInvalid) as caught:
        running.decide(market, Definition(key))
    assert [one.pointer for one in caught.value.problems] == ["/assets"]


def test_only_custom_strategies_have_rules_and_those_no_parameters():
    for wrong, place in (
        (Definition("macd", {}, {"enter": {}}), "/rules"),
        (Definition("custom", {"fast": 1}, {}), "/parameters"),
        (Definition("custom"), "/rules"),
    ):
        with pytest.raises(StrategyInvalid) as caught:
            wrong.checked()
        assert [one.pointer for one in caught.value.problems] == [place]


# --- what is decided ----------------------------------------------------------------------------
def test_buy_and_hold_asks_once():
    assert weights(by_hand([1, 2, 3], [3, 2, 1]), "buy_and_hold") == {0: [0.5, 0.5]}


def test_sma_crossover_is_in_while_the_fast_average_is_above():
    market = by_hand([5, 4, 3, 4, 6, 7, 5, 2, 1])
    # fast(2) − slow(3) on bars 2…: −0.5, −1/6, 2/3, 5/6, 0, −7/6, −7/6
    assert weights(market, "sma_crossover", fast=2, slow=3) == {4: [1.0], 6: [0.0]}


def test_in_at_once_where_the_first_known_averages_say_so():
    assert weights(by_hand([1, 2, 3, 4]), "sma_crossover", fast=2, slow=3) == {2: [1.0]}


def test_ema_crossover_follows_faster_than_sma():
    market = by_hand([10.0] * 6 + [12.0, 9.0, 9.0])
    # ema(2): 10, 34/3, 88/9, 250/27; ema(3): 10, 11, 10, 9.5
    assert weights(market, "ema_crossover", fast=2, slow=3) == {6: [1.0], 7: [0.0]}


def test_macd_is_in_while_its_line_is_above_its_signal():
    rising = [100.0] * 12 + [100 + 2.0**n for n in range(5)]
    falling = [rising[-1] - 2.0**n for n in range(5)]
    found = weights(by_hand(rising + falling), "macd", fast=2, slow=4, signal=3)
    first, last = found
    assert (first, found[first], found[last]) == (12, [1.0], [0.0])
    assert 17 <= last <= 19


def test_rsi_buys_what_fell_fast_and_sells_what_rose_fast():
    market = by_hand([10, 9, 8, 8.5, 9, 12, 13, 9, 5])
    # Wilder's index of 2 bars: 0 on bar 2, 33 on 3, 60, 93 on 5, 95, 27 on 7, 12
    found = weights(market, "rsi_mean_reversion", bars=2, enter_below=20, exit_above=90)
    assert found == {2: [1.0], 5: [0.0], 8: [1.0]}


def test_bollinger_buys_below_the_lower_band_and_sells_above_the_middle():
    market = by_hand([10, 10, 10, 7, 8, 10, 10, 12])
    found = weights(market, "bollinger_reversion", bars=3, width=1.0)
    assert found == {3: [1.0], 5: [0.0]}


def test_donchian_compares_with_the_bars_before_and_not_its_own():
    market = by_hand([5, 6, 5, 7, 8, 6, 5, 4])
    # bar 3 closes above the highs of bars 1 and 2; bar 6 below the lows of bars 4 and 5
    assert weights(market, "donchian_breakout", enter=2, exit=2) == {3: [1.0], 6: [0.0]}


def test_momentum_holds_those_that_rose_most_and_nothing_that_fell():
    market = by_hand([10, 11, 12, 11, 10, 9], [10, 10, 11, 13, 14, 13], [10, 9, 8, 7, 6, 5])
    assert weights(market, "momentum_rotation", look_back=1, top=1, every=2) == {
        1: [1.0, 0.0, 0.0], 3: [0.0, 1.0, 0.0], 5: [0.0, 0.0, 0.0],
    }  # fmt: skip
    assert weights(market, "momentum_rotation", look_back=2, top=2, every=9) == {2: [0.5, 0.5, 0]}


def test_volatility_targeting_invests_target_over_realised():
    market = by_hand([100, 101, 100, 101, 100, 120])
    moves = np.array([101 / 100, 100 / 101, 101 / 100]) - 1
    realised = moves.std(ddof=1) * 365**0.5
    found = weights(market, "volatility_targeting", target=10, window=3, every=1)
    assert found[3] == [round(0.1 / realised, 9)]
    assert list(found) == [3, 4, 5]
    calm = weights(market, "volatility_targeting", target=500, window=3, every=1)
    assert calm[3] == [1.0]


def test_periodic_rebalancing_keeps_its_timetable():
    market = by_hand([1.0] * 7, [2.0] * 7)
    found = weights(market, "periodic_rebalancing", every=3, invested=0.5)
    assert found == {0: [0.25, 0.25], 3: [0.25, 0.25], 6: [0.25, 0.25]}


def test_threshold_rebalancing_waits_until_a_share_is_off():
    market = by_hand([1, 1, 1.2, 1.4, 2, 2, 2], [1, 1, 1, 1, 1, 1, 1])
    # shares of A at closes: 1/2, .545, .583; bought again at the opens of bar 4 (1.4 and 1), and
    # at its close A is off by 2/1.4 ÷ (2/1.4 + 1) − 1/2 = .088; from bar 5 on nothing moves
    found = weights(market, "threshold_rebalancing", threshold=8)
    assert list(found) == [0, 3, 4]


def test_dollar_cost_averaging_spends_equal_parts_of_the_start():
    found = running.decide(by_hand([1.0] * 9), Definition("dollar_cost_averaging",
                                                          {"every": 2, "parts": 4}))  # fmt: skip
    assert found.at.tolist() == [0, 2, 4, 6]
    assert found.amounts[0, [0, 2, 4, 6]].tolist() == [0.25] * 4
    assert np.isnan(found.amounts[0, 1])
    assert found.spend_on(-3).tolist() == [0.25]
    assert found.spend_on(-1) is None


@pytest.mark.parametrize("key", KEYS)
def test_nothing_is_decided_before_the_warm_up_is_over(key):
    market = noise(200, assets=3, spread=0.1)
    definition = Definition(key)
    first = running.decide(market, definition).at[0]
    assert first >= definition.warm_up()
    short = market.head(definition.warm_up() or 1)
    assert definition.warm_up() == 0 or not running.decide(short, definition).at.size


def test_what_it_wants_now_and_what_stands_can_be_asked():
    found = running.decide(
        by_hand([5, 4, 3, 4, 6, 7, 5]), Definition("sma_crossover", {"fast": 2, "slow": 3})
    )
    assert found.on(-1).tolist() == [0.0]
    assert found.on(5) is None
    assert found.standing(5).tolist() == found.standing(4).tolist() == [1.0]
    assert np.isnan(found.standing(3)).all()
    assert found.weights.shape == (1, 7)
    assert found.weights[0, 4] == 1.0
