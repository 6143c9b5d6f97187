"""Figures against small cases by hand, and None for what is not defined."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.strategies import measuring, running
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import DAY, by_hand, markets, noise


def run(market, key="buy_and_hold", *, fee=0.0, cash=100.0, **parameters):
    found = running.simulate(market, Definition(key, parameters), cash=cash, fee=fee, slippage=0)
    return measuring.metrics(found, market)


# Bought at the open of bar 1, which is 10: the equity is 100, 110, 99, 110, 121, 90.75.
UP_AND_DOWN = by_hand([10, 11, 9.9, 11, 12.1, 9.075])
MOVES = [0.1, -0.1, 1 / 9, 0.1, -0.25]


def test_return_volatility_and_ratios():
    found = run(UP_AND_DOWN)
    mean = sum(MOVES) / 5
    spread = math.sqrt(sum((one - mean) ** 2 for one in MOVES) / 4)
    downside = math.sqrt((0.01 + 0.0625) / 5)
    assert found.final_equity == pytest.approx(90.75)
    assert found.total_return == pytest.approx(-0.0925)
    assert found.volatility == pytest.approx(spread * 365**0.5)
    assert found.sharpe == pytest.approx(mean / spread * 365**0.5)
    assert found.sortino == pytest.approx(mean / downside * 365**0.5)


def test_the_length_of_a_bar_is_the_length_of_a_year():
    rows = UP_AND_DOWN.close
    hourly = run(by_hand(*rows, length=3_600))
    assert hourly.volatility == pytest.approx(run(UP_AND_DOWN).volatility * 24**0.5)


def test_the_deepest_fall_has_its_dates():
    found = run(UP_AND_DOWN).drawdown
    assert found.depth == pytest.approx(-0.25)
    assert (found.peak, found.trough, found.recovered) == (4 * DAY, 5 * DAY, None)
    found = run(by_hand([10, 11, 9.9, 11, 12.1])).drawdown
    assert found.depth == pytest.approx(-0.1)
    assert (found.peak, found.trough, found.recovered) == (DAY, 2 * DAY, 3 * DAY)


def test_a_fall_begins_on_the_last_bar_of_its_peak():
    found = run(by_hand([10, 10, 12, 12, 12, 6, 12])).drawdown
    assert (found.peak, found.trough, found.recovered) == (4 * DAY, 5 * DAY, 6 * DAY)


def test_yearly_growth_and_calmar_from_a_year_on():
    market = by_hand([100, *np.linspace(100, 80, 365), 144])
    found = run(market)  # 366 days, from 100 to 144
    assert found.cagr == pytest.approx(1.44 ** (365 / 366) - 1)
    assert found.calmar == pytest.approx(found.cagr / 0.2)
    less = run(market.head(365))
    assert (less.cagr, less.calmar) == (None, None)


def test_trades_exposure_turnover_and_fees():
    # In while sma(2) > sma(3): bought at the opens of bars 5 (10) and 10 (5), sold at that of 7
    # (15), each time after what it decides by.
    market = by_hand([5, 4, 3, 4, 6, 7, 5, 2, 5, 9, 9], opens=[[5, 5, 4, 3, 4, 10, 7, 15, 5, 5, 5]])
    found = run(market, "sma_crossover", fast=2, slow=3, fee=0.1, cash=1_100.0)
    first = 1_000 / 10 * 15 * 0.9  # 1,350 after the sale's fee of 150
    second = first / 1.1
    assert (found.trades, found.open_trades) == (1, 1)
    assert found.fees == pytest.approx(100 + 150 + second * 0.1)
    assert found.win_rate == 1.0
    assert found.profit_factor is None  # nothing was lost
    assert found.best_trade == found.worst_trade == pytest.approx(250 / 1_100)
    assert found.exposure == pytest.approx(3 / 11)
    equity = [1_100] * 5 + [700, 500, first, first, first, second / 5 * 9]
    traded = 1_000 + 1_500 + second
    assert found.turnover == pytest.approx(traded / 2 / (sum(equity) / 11))


def test_gains_over_losses():
    market = by_hand([3, 2, 4, 5, 3, 2, 4, 5, 3, 2],
                     opens=[[3, 3, 3, 10, 15, 15, 15, 10, 6, 6]])  # fmt: skip
    rules = {
        "enter": {"left": "close", "is": "gte", "right": 4},
        "exit": {"left": "close", "is": "lt", "right": 4},
    }
    run_ = running.simulate(market, Definition("custom", rules=rules), cash=100, fee=0, slippage=0)
    # 10 → 15 gains 50; the second is bought at 10 (bar 7) and sold at 6 (bar 9): loses 60 of 150.
    found = measuring.metrics(run_, market)
    assert (found.trades, found.win_rate) == (2, 0.5)
    assert found.profit_factor == pytest.approx(50 / 60)
    assert (found.best_trade, found.worst_trade) == pytest.approx((0.5, -0.4))


def test_one_of_two_assets_is_exposure_too():
    market = by_hand([10, 11, 12, 13], [10, 9, 8, 7])
    assert run(market, "momentum_rotation", look_back=1, every=9).exposure == 2 / 4


def test_a_trade_that_comes_out_even_is_no_win():
    found = run(by_hand([5, 4, 3, 4, 6, 7, 5, 2], opens=[[5, 5, 4, 3, 4, 8, 7, 8]]),
                "sma_crossover", fast=2, slow=3)  # fmt: skip
    assert (found.trades, found.win_rate, found.profit_factor) == (1, 0.0, None)


# --- not defined --------------------------------------------------------------------------------
def test_without_trades_nothing_is_made_up():
    found = run(noise(40), "sma_crossover")
    assert (found.trades, found.win_rate, found.profit_factor) == (0, None, None)
    assert (found.best_trade, found.worst_trade) == (None, None)
    assert (found.sharpe, found.sortino, found.calmar, found.cagr) == (None,) * 4
    assert found.volatility == 0.0  # cash alone does not swing, and that is known
    assert found.drawdown == measuring.Drawdown(0.0, None, None, None)


def test_of_a_single_bar_there_is_no_volatility():
    found = run(by_hand([5]))
    assert (found.total_return, found.volatility, found.sharpe, found.sortino) == (0, *[None] * 3)


def test_without_a_loss_there_is_no_sortino():
    found = run(by_hand([1, 2, 3, 5]))
    assert found.sortino is None
    assert found.sharpe > 0


@settings(deadline=None, max_examples=60)
@given(markets(), st.sampled_from(["buy_and_hold", "sma_crossover", "dollar_cost_averaging"]))
def test_no_figure_is_ever_nan_or_infinite(market, key):
    found = run(market, key, fee=0.001)
    for one in fields(found):
        value = getattr(found, one.name)
        assert value is None or one.name == "drawdown" or math.isfinite(value), one.name
    assert -1 <= found.drawdown.depth <= 0
    assert 0 <= found.exposure <= 1
