"""Sweeps, what their best is worth, and settings judged on bars that did not choose them."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest

from portfolios.strategies import measuring, overfitting, running, sweeping, walking
from portfolios.strategies.errors import Stopped, StrategyInvalid
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import by_hand, noise, real

MARKET = noise(800, seed=3)
GRID = {"fast": [3, 5, 8], "slow": [5, 20, 40]}
COSTS = {"cash": 1_000.0, "fee": 0.001, "slippage": 0.0005}


def sweep(market=MARKET, key="sma_crossover", grid=GRID, **more):
    return sweeping.sweep(market, key, grid, **COSTS, **more)


# --- trials -------------------------------------------------------------------------------------
def test_each_trial_is_the_run_alone():
    found = sweep()
    assert found.skipped == 2  # 5 and 5, 8 and 5
    for place, values in enumerate(found.settings):
        alone = running.simulate(MARKET, Definition("sma_crossover", values), **COSTS)
        figures = measuring.metrics(alone, MARKET)
        assert found.total_return[place] == figures.total_return
        assert found.sharpe[place] == figures.sharpe
        assert found.max_drawdown[place] == figures.drawdown.depth
        assert found.fills[place] == len(alone.fills)
        assert found.fees[place] == figures.fees
    assert [one["parameters"] for one in found.rows()] == list(found.settings)
    assert found.sharpe[found.best] == found.sharpe.max()


def test_a_trial_without_trades_has_no_ratio_and_is_never_best():
    found = sweep(grid={"fast": [5], "slow": [20, 900]})
    assert [one["sharpe"] is None for one in found.rows()] == [False, True]
    assert found.best == 0
    nothing = sweep(grid={"slow": [900]})
    assert nothing.best is None
    assert nothing.overfitting.deflated_sharpe is None


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ({"nope": [1]}, [("/grid/nope", "unknown")]),
        ({"fast": 5}, [("/grid/fast", "wrong_type")]),
        ({"fast": []}, [("/grid/fast", "wrong_type")]),
        ({"fast": [5, 1, "x"]}, [("/grid/fast/1", "out_of_range"), ("/grid/fast/2", "wrong_type")]),
        ({"fast": [50], "slow": [20]}, [("/grid", "no_combination")]),
        ({"fast": range(2, 102), "slow": range(200, 300)}, [("/grid", "too_many")]),
        ({"slow": range(3, 4000)}, [("/grid/slow", "too_many")]),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_its_place(grid, expected):
    with pytest.raises(StrategyInvalid) as caught:
        sweep(grid=grid)
    assert [(one.pointer, one.code) for one in caught.value.problems] == expected


def test_a_sweep_tells_and_stops():
    told = []
    sweep(told=lambda *now: told.append(now))
    assert told == [(done, 7) for done in range(8)]
    with pytest.raises(Stopped):
        sweep(told=lambda *now: told.append(now), stop=lambda: told[-1] == (3, 7))
    assert told[-1] == (3, 7)


def test_values_given_twice_are_tried_once():
    assert len(sweep(grid={"fast": [5, 5.0, 5]}).settings) == 1


# --- luck ---------------------------------------------------------------------------------------
def _moves(trials, bars, *, merit=0.0, seed=1):
    draw = np.random.default_rng(seed)
    found = draw.normal(0, 0.02, (trials, bars))
    found[0] += merit
    return found


def test_the_deflated_ratio_is_the_formula_over_all_returns():
    moves = _moves(7, 500, merit=0.003)
    sums = np.array([overfitting.powers(row) for row in moves])
    found = overfitting.judged(sums, 0)
    ratios = moves.mean(axis=1) / moves.std(axis=1, ddof=1)
    normal = NormalDist()
    luck = ratios.std(ddof=1) * (
        (1 - np.euler_gamma) * normal.inv_cdf(1 - 1 / 7)
        + np.euler_gamma * normal.inv_cdf(1 - 1 / (7 * math.e))
    )
    apart = (moves[0] - moves[0].mean()) / moves[0].std()
    skew, peaked = (apart**3).mean(), (apart**4).mean()
    spread = 1 - skew * ratios[0] + (peaked - 1) / 4 * ratios[0] ** 2
    expected = normal.cdf((ratios[0] - luck) * math.sqrt(499 / spread))
    assert found.deflated_sharpe == pytest.approx(expected, rel=1e-9)
    assert found.trials == 7


def test_the_probability_is_what_a_loop_over_all_choices_counts():
    moves = _moves(4, 320)
    blocks = moves.reshape(4, 16, 20)
    worse = count = 0
    for chosen in itertools.combinations(range(16), 8):
        rest = [block for block in range(16) if block not in chosen]
        inside, outside = (blocks[:, part].reshape(4, -1) for part in (list(chosen), rest))
        best = (inside.mean(axis=1) / inside.std(axis=1)).argmax()
        after = outside.mean(axis=1) / outside.std(axis=1)
        rank = (after < after[best]).sum() + 1
        worse += math.log((rank / 5) / (1 - rank / 5)) <= 0
        count += 1
    sums = np.array([overfitting.powers(row) for row in moves])
    assert overfitting.judged(sums, 0).probability == pytest.approx(worse / count, abs=1e-12)


def test_merit_is_told_from_luck():
    lucky, able = (
        overfitting.judged(np.array([overfitting.powers(row) for row in moves]),
                           int((moves.mean(axis=1) / moves.std(axis=1)).argmax()))
        for moves in (_moves(50, 1_000), _moves(50, 1_000, merit=0.006))
    )  # fmt: skip
    assert able.deflated_sharpe > 0.95 > lucky.deflated_sharpe
    assert able.probability < 0.05 < lucky.probability


def test_the_warning_says_how_many_were_tried_and_who_says_so():
    found = sweep().overfitting
    assert "7 trials" in found.message
    assert "López de Prado" in found.message
    assert 0 <= found.probability <= 1
    assert 0 <= found.deflated_sharpe <= 1


def test_too_few_bars_for_blocks_have_a_warning_and_no_figures():
    found = sweep(noise(30), grid={"fast": [2, 3], "slow": [4]}).overfitting
    assert (found.deflated_sharpe, found.probability) == (None, None)
    assert "2 trials" in found.message


# --- walking forward ----------------------------------------------------------------------------
def walk(market=MARKET, key="sma_crossover", grid=GRID, folds=4, train_share=0.6, **more):
    return walking.walk_forward(market, key, grid, folds=folds, train_share=train_share,
                                **COSTS, **more)  # fmt: skip


def test_stretches_that_judge_follow_one_another_and_end_with_the_market():
    found = walk()
    tests = [(one.test_start, one.test_end) for one in found.folds]
    assert [end for _, end in tests[:-1]] == [start for start, _ in tests[1:]]
    assert tests[-1][1] == MARKET.bars
    for one in found.folds:
        chosen, judged = one.test_start - one.train_start, one.test_end - one.test_start
        assert chosen / (chosen + judged) == pytest.approx(0.6, abs=0.01)
    assert found.trials == 7


def test_settings_are_the_best_of_the_bars_before():
    found = walk()
    for one in found.folds:
        trials = sweep(MARKET.part(one.train_start, one.test_start))
        assert one.parameters == trials.settings[trials.best]
        assert one.train_sharpe == trials.sharpe[trials.best]
        assert one.train_return == trials.total_return[trials.best]


def test_with_one_setting_to_choose_a_walk_is_the_plain_run_from_there_on():
    """What it holds at each seam is carried over, so nothing is bought or paid twice."""
    found = walk(grid={"fast": [5], "slow": [20]})
    start = found.folds[0].test_start - 1
    whole = running.decide(MARKET, Definition("sma_crossover", {"fast": 5, "slow": 20}))
    inside = np.nan_to_num(whole.standing(start))[0] > 0
    state = [inside]
    for bar in range(start + 1, MARKET.bars):
        wanted = whole.on(bar)
        state.append(state[-1] if wanted is None else wanted[0] > 0)
    held = found.outcome.units[0, 1:] > 0
    assert held.tolist() == state[:-1]
    changes = np.flatnonzero(np.diff(np.array([False, *state[:-1]], dtype=int)))
    assert len(found.outcome.fills) == changes.size


def test_the_stretches_make_up_the_whole_equity():
    found = walk()
    equity = found.outcome.equity
    grown = math.prod(1 + one.test_return for one in found.folds)
    assert equity[-1] / equity[0] == pytest.approx(grown, rel=1e-12)
    assert found.market.bars == equity.size == MARKET.bars - found.folds[0].test_start + 1


def test_efficiency_is_growth_judged_over_growth_chosen():
    found = walk(noise(600, seed=11))
    chose = sum(math.log1p(one.train_return) for one in found.folds)
    judged = sum(math.log1p(one.test_return) for one in found.folds)
    long = sum(one.test_start - one.train_start for one in found.folds)
    short = sum(one.test_end - one.test_start for one in found.folds)
    assert chose > 0
    assert found.efficiency == pytest.approx((judged / short) / (chose / long))


def test_where_even_the_chosen_lost_there_is_no_efficiency():
    sinking = by_hand(MARKET.close[0] * np.exp(-0.02 * np.arange(MARKET.bars)))
    assert walk(sinking).efficiency is None


def test_rebalancing_and_rotation_can_be_walked(shared_data):
    market = real(shared_data, "BTC", "ETH", "LTC")
    for key, grid in (("periodic_rebalancing", {"every": [7, 30]}),
                      ("momentum_rotation", {"look_back": [10, 40]})):  # fmt: skip
        found = walk(market, key, grid, folds=3)
        assert (found.outcome.cash >= 0).all()
        assert len(found.outcome.fills) > 3


def test_where_nothing_could_be_chosen_cash_is_held():
    found = walk(grid={"slow": [700]})
    assert [one.parameters for one in found.folds] == [None] * 4
    assert len(found.outcome.fills) == 0
    assert found.efficiency is None


@pytest.mark.parametrize(
    ("wrong", "place"),
    [({"folds": 0}, "/folds"), ({"folds": 51}, "/folds"), ({"folds": 30}, "/folds"),
     ({"train_share": 1.0}, "/train_share"),
     ({"key": "dollar_cost_averaging", "grid": {"parts": [3]}}, "/kind")],
)  # fmt: skip
def test_a_walk_that_cannot_be_is_refused(wrong, place):
    with pytest.raises(StrategyInvalid) as caught:
        walk(**wrong)
    assert [one.pointer for one in caught.value.problems] == [place]


def test_a_walk_tells_and_stops():
    told = []
    walk(told=lambda *now: told.append(now))
    assert told == [(done, 4) for done in range(5)]
    with pytest.raises(Stopped):
        walk(stop=lambda: True)
