"""The same runs by another engine, bt, on real candles: equal to 1e-9.

bt trades at the price of the row that an order stands in. So its rows are our opens, and an order
that we decide at a close stands in the row of the next bar. What it then has at a row is compared
with our cash and units at that open. It takes costs off one purchase after another where ours
makes the shares exact, so where several assets are reweighed they are compared without costs.
"""

import bt
import numpy as np
import pandas as pd
import pytest

from portfolios.strategies import measuring, running
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import real

CASH = 10_000.0
ALL = ("BTC", "ETH", "LTC")

CASES = [
    ("buy_and_hold", {}, ALL, 0.002, 0.001),
    ("sma_crossover", {}, ("BTC",), 0.001, 0.0005),
    ("ema_crossover", {}, ("BTC",), 0.001, 0.0),
    ("rsi_mean_reversion", {}, ("ETH",), 0.0026, 0.001),
    ("donchian_breakout", {}, ("LTC",), 0.001, 0.002),
    ("periodic_rebalancing", {"every": 30, "invested": 0.8}, ALL, 0.0, 0.0),
    ("threshold_rebalancing", {"threshold": 5}, ALL, 0.0, 0.0),
    ("momentum_rotation", {"top": 2}, ALL, 0.0, 0.0),
    ("volatility_targeting", {}, ("BTC",), 0.0, 0.0),
]  # fmt: skip


def by_bt(market, decisions, fee, slippage):
    """What bt is worth at each open, after trading there."""
    days = pd.to_datetime(market.at, unit="s")
    names = list(market.assets)
    opens = pd.DataFrame(market.open.T, index=days, columns=names)
    kept = decisions.at < market.bars - 1
    targets = pd.DataFrame(decisions.targets.T[kept], index=days[decisions.at[kept] + 1],
                           columns=names)  # fmt: skip
    strategy = bt.Strategy("theirs", [bt.algos.WeighTarget(targets), bt.algos.Rebalance()])
    buying = (1 + slippage) * (1 + fee) - 1
    selling = 1 - (1 - slippage) * (1 - fee)
    test = bt.Backtest(
        strategy, opens, initial_capital=CASH, integer_positions=False, progress_bar=False,
        commissions=lambda units, price: abs(units) * price * (buying if units > 0 else selling),
    )  # fmt: skip
    test.run()
    return test.strategy.values.loc[days].to_numpy()


@pytest.mark.parametrize(("key", "parameters", "names", "fee", "slippage"), CASES)
def test_an_independent_engine_comes_to_the_same(
    shared_data, key, parameters, names, fee, slippage
):
    market, definition = real(shared_data, *names), Definition(key, parameters)
    ours = running.simulate(market, definition, cash=CASH, fee=fee, slippage=slippage)
    at_opens = ours.cash + (ours.units * market.open).sum(axis=0)
    theirs = by_bt(market, running.decide(market, definition), fee, slippage)
    assert len(ours.fills) > len(names) - 1
    assert at_opens == pytest.approx(theirs, rel=1e-9)
    assert at_opens[-1] != pytest.approx(CASH, rel=0.01)


def test_bitcoin_from_2017_to_2019_by_plain_pandas(shared_data):
    """Decided, filled and measured a second time, without any of our code."""
    whole = real(shared_data, "BTC")
    first, last = (pd.Timestamp(day).timestamp() for day in ("2017-01-01", "2020-01-01"))
    market = whole.part(*np.searchsorted(whole.at, (first, last)))
    ours = running.simulate(market, Definition("sma_crossover"), cash=CASH, fee=0.001, slippage=0)

    days = pd.to_datetime(market.at, unit="s")
    close, opens = (pd.Series(row[0], index=days) for row in (market.close, market.open))
    inside = (close.rolling(20).mean() > close.rolling(50).mean()).shift(1, fill_value=False)
    equity, cash, units = [], CASH, 0.0
    for day in days:
        if inside[day] and not units:
            units, cash = cash / (opens[day] * 1.001), 0.0
        elif units and not inside[day]:
            units, cash = 0.0, units * opens[day] * 0.999
        equity.append(cash + units * close[day])
    theirs = pd.Series(equity, index=days)
    moves = theirs.pct_change().dropna()

    assert ours.equity == pytest.approx(theirs.to_numpy(), rel=1e-9)
    found = measuring.metrics(ours, market)
    assert found.sharpe == pytest.approx(moves.mean() / moves.std() * 365**0.5, rel=1e-9)
    assert found.volatility == pytest.approx(moves.std() * 365**0.5, rel=1e-9)
    assert found.drawdown.depth == pytest.approx((theirs / theirs.cummax() - 1).min(), rel=1e-9)
    years = (days[-1] - days[0]).days / 365
    assert found.cagr == pytest.approx((theirs.iloc[-1] / CASH) ** (1 / years) - 1, rel=1e-9)
    assert found.exposure == pytest.approx(inside.mean(), rel=1e-9)
