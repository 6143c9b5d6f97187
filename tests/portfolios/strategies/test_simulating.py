"""Fills, cash and units: laws that hold for every strategy over every market."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.strategies import measuring, running
from portfolios.strategies.catalogue import CATALOGUE
from portfolios.strategies.errors import Stopped, StrategyInvalid
from portfolios.strategies.market import Market
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import by_hand, markets, noise

unhurried = settings(deadline=None, max_examples=60)
costs = st.sampled_from([0.0, 1e-4, 0.01, 0.2])
# Short look-backs, so that small markets have orders.
LIVELY = {
    "buy_and_hold": {}, "dollar_cost_averaging": {"every": 3, "parts": 5},
    "sma_crossover": {"fast": 2, "slow": 5}, "ema_crossover": {"fast": 2, "slow": 5},
    "rsi_mean_reversion": {"bars": 3, "enter_below": 40, "exit_above": 60},
    "macd": {"fast": 2, "slow": 5, "signal": 2}, "bollinger_reversion": {"bars": 4, "width": 0.8},
    "donchian_breakout": {"enter": 4, "exit": 3}, "momentum_rotation": {"look_back": 3, "every": 2},
    "volatility_targeting": {"window": 4, "every": 2, "target": 60},
    "periodic_rebalancing": {"every": 4, "invested": 0.9},
    "threshold_rebalancing": {"threshold": 1},
    "custom": {"enter": {"left": "close", "is": "gt", "right": {"indicator": "sma", "bars": 4}},
               "exit": {"left": "close", "is": "lt", "right": {"indicator": "ema", "bars": 3}},
               "size": {"volatility_target": 80, "window": 3}, "stops": {"stop_loss": 4}},
}  # fmt: skip
definitions = st.sampled_from(
    [Definition(key, rules=given) if key == "custom" else Definition(key, given)
     for key, given in LIVELY.items()]
)  # fmt: skip


def run(market, key, *, cash=1_000.0, fee=0.0, slippage=0.0, **parameters):
    return running.simulate(market, Definition(key, parameters), cash=cash, fee=fee,
                            slippage=slippage)  # fmt: skip


def fits(market, definition):
    fewest = 1 if definition.kind == "custom" else CATALOGUE[definition.kind].fewest_assets
    return len(market.assets) >= fewest


# --- laws ---------------------------------------------------------------------------------------
@unhurried
@given(markets(), definitions, costs, costs)
def test_equity_is_cash_and_units_and_neither_is_ever_below_zero(market, definition, fee, slip):
    if not fits(market, definition):
        return
    found = running.simulate(market, definition, cash=1e4, fee=fee, slippage=slip)
    cash, units = found.cash, found.units
    assert (cash >= 0).all()
    assert (units >= 0).all()
    assert found.equity == pytest.approx(cash + (units * market.close).sum(axis=0), rel=1e-12)
    # The books balance: what is left is what came in, less what was paid, and fees.
    fills = found.fills
    spent = (fills.side * fills.value).sum() + fills.fee.sum()
    assert cash[-1] == pytest.approx(1e4 - spent, rel=1e-9, abs=1e-6)
    # And round trips tell the same story.
    assert found.trades.gain.sum() == pytest.approx(found.equity[-1] - 1e4, rel=1e-9, abs=1e-6)


@unhurried
@given(markets(), definitions, costs, costs)
def test_targets_are_reached_exactly_whatever_it_costs(market, definition, fee, slip):
    if not fits(market, definition):
        return
    wanted = running.decide(market, definition)
    found = running.simulate(market, definition, cash=1e4, fee=fee, slippage=slip)
    units, cash = found.units, found.cash
    for bar, targets in zip(wanted.at + 1, wanted.targets.T, strict=True):
        if bar >= market.bars or np.isnan(targets).any():
            continue
        worth = units[:, bar] * market.open[:, bar]
        if worth.sum() + cash[bar] < 1e-12 * 1e4:
            continue  # costs have eaten everything, and nothing more is bought
        assert worth / (worth.sum() + cash[bar]) == pytest.approx(targets, abs=1e-9)


@unhurried
@given(markets(), definitions)
def test_weights_are_shares_of_at_most_everything(market, definition):
    if fits(market, definition):
        wanted = running.decide(market, definition)
        assert (np.nan_to_num(wanted.targets) >= 0).all()
        assert (np.nansum(wanted.targets, axis=0) <= 1 + 1e-12).all()
        assert (np.diff(wanted.at) > 0).all()


@unhurried
@given(markets(), definitions, st.data())
def test_what_happens_later_changes_nothing_before(market, definition, data):
    if not fits(market, definition) or market.bars < 2:
        return
    cut = data.draw(st.integers(1, market.bars - 1))
    whole = running.simulate(market, definition, cash=1e4, fee=0.001, slippage=0.001)
    head = running.simulate(market.head(cut), definition, cash=1e4, fee=0.001, slippage=0.001)
    assert np.array_equal(whole.equity[:cut], head.equity)
    assert np.array_equal(whole.units[:, :cut], head.units)


@unhurried
@given(markets(), st.floats(1, 1e9))
def test_buy_and_hold_without_costs_is_the_ratio_of_prices(market, cash):
    equity = run(market, "buy_and_hold", cash=cash).equity
    assert equity[0] == cash
    if market.bars > 1:
        ratio = (market.close[:, -1] / market.open[:, 1]).mean()
        assert equity[-1] == pytest.approx(cash * ratio, rel=1e-12)


@unhurried
@given(markets(most_assets=1), st.sampled_from(["sma_crossover", "rsi_mean_reversion"]), costs)
def test_one_asset_twice_earns_what_it_earns_once(market, key, fee):
    """One asset all in or out has a closed form; two are filled order by order."""
    rows = [np.repeat(getattr(market, name), 2, axis=0)
            for name in ("open", "high", "low", "close")]  # fmt: skip
    twice = Market(market.at, market.length, ("A", "B"), *rows)
    once, both = (run(one, key, fee=fee, slippage=0.002, **LIVELY[key]) for one in (market, twice))
    assert both.equity == pytest.approx(once.equity, rel=1e-9)
    assert len(both.fills) == 2 * len(once.fills)


# --- by hand ------------------------------------------------------------------------------------
def test_an_order_is_filled_at_the_next_open_with_slippage_and_fee():
    market = by_hand([10, 20, 40], opens=[[10, 16, 30]])
    found = run(market, "buy_and_hold", cash=1_000, fee=0.01, slippage=0.1)
    (fill,) = found.each_fill()
    assert (fill.bar, fill.asset, fill.side) == (1, "A", "buy")
    assert fill.price == pytest.approx(17.6)
    assert fill.units == pytest.approx(1_000 / (17.6 * 1.01))
    assert fill.fee == pytest.approx(fill.units * 17.6 * 0.01)
    assert found.equity == pytest.approx([1_000, fill.units * 20, fill.units * 40])


def test_the_decision_of_the_last_bar_is_not_filled():
    assert len(run(by_hand([1]), "buy_and_hold").fills) == 0
    rising = by_hand([3, 2, 1, 1, 5])
    assert running.decide(rising, Definition("sma_crossover", {"fast": 2, "slow": 3})).at[-1] == 4
    assert len(run(rising, "sma_crossover", fast=2, slow=3).fills) == 0


def test_a_round_trip_tells_prices_gain_fees_and_how_long():
    market = by_hand([5, 4, 3, 4, 6, 7, 5, 2], opens=[[5, 5, 4, 3, 4, 8, 7, 4]])
    found = run(market, "sma_crossover", fast=2, slow=3, fee=0.1, cash=1_100)
    (trade,) = found.each_trade()
    # in at the open of bar 5 (8), out at that of bar 7 (4)
    assert (trade.entry_bar, trade.exit_bar, trade.bars_held) == (5, 7, 2)
    assert (trade.entry_price, trade.exit_price, trade.units) == pytest.approx((8, 4, 125))
    assert trade.fees == pytest.approx(100 + 50)
    assert trade.gain == pytest.approx(500 - 50 - 1_100)
    assert trade.gain_share == pytest.approx(-650 / 1_100)


def test_an_open_trade_is_worth_the_last_close():
    found = run(by_hand([10, 20, 40], opens=[[10, 16, 30]]), "buy_and_hold", cash=1_600)
    (trade,) = found.each_trade()
    assert (trade.exit_bar, trade.exit_price, trade.bars_held) == (None, 40, 1)
    assert trade.gain == pytest.approx(100 * 24)


def test_dollar_cost_averaging_spends_the_same_each_time_fees_included():
    market = by_hand([1, 2, 4, 5, 5, 5])
    found = run(market, "dollar_cost_averaging", every=1, parts=4, cash=400, fee=0.25)
    paid = found.fills.value + found.fills.fee
    assert paid == pytest.approx([100] * 4)
    assert found.cash.tolist() == pytest.approx([400, 300, 200, 100, 0, 0])
    assert found.cash[-1] == 0.0


def test_nothing_is_borrowed_for_an_asset_when_another_has_grown():
    """A's share grew to most of the equity, so B gets what cash there is."""
    a = [1, 1, 2, 10, 10, 10, 10]
    b = [5, 4, 3, 2, 3, 4, 5]
    rule = {"left": "close", "is": "gt", "right": {"indicator": "sma", "bars": 2}}
    never = {"left": 1, "is": "gt", "right": 2}
    definition = Definition("custom", rules={"enter": rule, "exit": never})
    found = running.simulate(by_hand(a, b), definition, cash=100, fee=0.01, slippage=0)
    assert (found.cash >= 0).all()
    assert found.cash[-1] == pytest.approx(0, abs=1e-9)
    assert found.units[:, -1] == pytest.approx([50 / 2 / 1.01, (100 - 50.25) / 3 / 1.01], rel=0.02)


# --- refused and stopped ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wrong", "place"),
    [({"cash": 0.0}, "/cash"), ({"cash": float("inf")}, "/cash"), ({"fee": 1.0}, "/fee"),
     ({"fee": -0.1}, "/fee"), ({"slippage": float("nan")}, "/slippage")],
)  # fmt: skip
def test_costs_that_cannot_be_are_refused(wrong, place):
    with pytest.raises(StrategyInvalid) as caught:
        run(noise(5), "buy_and_hold", **wrong)
    assert [one.pointer for one in caught.value.problems] == [place]


def test_a_run_tells_how_far_it_is_and_stops_when_told():
    market, told = noise(20_000, assets=2), []
    definition = Definition("periodic_rebalancing", {"every": 1})
    running.simulate(market, definition, cash=1, fee=0, slippage=0,
                     told=lambda done, total: told.append((done, total)))  # fmt: skip
    assert told[0] == (0, 19_999)
    assert len(told) > 3
    with pytest.raises(Stopped):
        running.simulate(market, definition, cash=1, fee=0, slippage=0,
                         told=lambda done, total: told.append(done),
                         stop=lambda: told[-1] != (0, 0) and isinstance(told[-1], int)
                         and told[-1] > 4_000)  # fmt: skip
    assert told[-1] < 19_999


@pytest.mark.parametrize("assets", [1, 2])
@pytest.mark.parametrize("key", ["rsi_mean_reversion", "periodic_rebalancing"])
def test_who_is_ruined_by_costs_stops_and_still_has_figures(key, assets):
    market = noise(3_000, assets=assets, spread=0.1)
    found = run(market, key, fee=0.9, slippage=0.9, **LIVELY[key])
    figures = measuring.metrics(found, market)
    assert (found.units >= 0).all()
    assert figures.total_return < -0.99
    assert figures.sharpe is None or np.isfinite(figures.sharpe)
    assert (np.isfinite(found.trades.gain_share)).all()
    if key == "rsi_mean_reversion":
        assert 2 < len(found.fills) < 60


def test_prices_that_lead_past_all_numbers_are_refused():
    market = by_hand([1e-300, 1e-300, 1e300, 1e-300, 1e-300, 1e300, 1e300])
    rules = {"enter": {"left": "close", "is": "lt", "right": 1},
             "exit": {"left": "close", "is": "gt", "right": 1}}  # fmt: skip
    with pytest.raises(StrategyInvalid) as caught:
        running.simulate(market, Definition("custom", rules=rules), cash=1e9, fee=0, slippage=0)
    assert [one.pointer for one in caught.value.problems] == ["/assets"]
