"""What a run came to, as it is stored and told: decimal strings, null where not defined."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portfolios.returns import performance
from portfolios.strategies import measuring
from portfolios.strategies.market import Floats, Integers, Market
from portfolios.strategies.measuring import Drawdown, Metrics
from portfolios.strategies.outcome import Outcome
from portfolios.strategies.round_trips import Trade
from tracker import money

MOST_POINTS, MOST_TRADES = 1_000, 500
_DECIMALS = Decimal("1e-8")
_MONEY = frozenset({"final_equity", "fees"})


def number(value: float | None) -> str | None:
    """A figure with eight decimals as text; nothing where it is not defined."""
    if value is None or not math.isfinite(value):
        return None
    exact = Decimal(value)
    if abs(exact) < Decimal(10) ** 20:
        exact = exact.quantize(_DECIMALS)
    return money.to_text(exact)


def exact(value: float | None) -> str | None:
    """A price or an amount of units: some coins cost less than a hundred millionth of a dollar."""
    if value is None or not math.isfinite(value):
        return None
    return money.to_text(Decimal(f"{value:.15g}"))


def instant(seconds: int | None) -> str | None:
    """Seconds since 1970 as RFC 3339 in UTC."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def figures(found: Metrics) -> dict[str, Any]:
    """All figures of a run; rates are shares, money is US dollars."""
    told: dict[str, Any] = {}
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        told[field.name] = value if isinstance(value, int) else _told(value)
    return told


def _told(value: float | Drawdown | None) -> Any:
    if isinstance(value, Drawdown):
        return {
            "depth": number(value.depth), "peak": instant(value.peak),
            "trough": instant(value.trough), "recovered": instant(value.recovered),
        }  # fmt: skip
    return number(value)


# --- what is large ------------------------------------------------------------------------------
def curve(at: Sequence[int] | Integers, values: NDArray[Any], *, length: int) -> list[list[Any]]:
    """Pairs of the instant at which a bar closed and a value, thinned without losing an extreme."""
    kept = performance.extremes(values, points=MOST_POINTS)
    return [[instant(int(at[place]) + length), number(float(values[place]))] for place in kept]


def details(outcome: Outcome, market: Market, names: Mapping[str, str]) -> dict[str, Any]:
    """The equity, the round trips and what is held at the end."""
    trades = outcome.each_trade()
    return {
        "equity": curve(market.at, outcome.equity, length=market.length),
        "drawdown": curve(market.at, _falls(outcome.equity), length=market.length),
        "trades": [_trade(one, market, names) for one in trades[-MOST_TRADES:]],
        "trades_total": len(trades),
        "positions": _positions(outcome, market, names),
    }


def _falls(equity: Floats) -> Floats:
    return equity / np.maximum.accumulate(equity) - 1


def _trade(one: Trade, market: Market, names: Mapping[str, str]) -> dict[str, Any]:
    exit_at = None if one.exit_bar is None else instant(int(market.at[one.exit_bar]))
    return {
        "asset": one.asset, "code": names.get(one.asset, ""),
        "entry_at": instant(int(market.at[one.entry_bar])), "entry_price": exact(one.entry_price),
        "exit_at": exit_at, "exit_price": exact(one.exit_price), "units": exact(one.units),
        "gain": number(one.gain), "gain_share": number(one.gain_share),
        "bars_held": one.bars_held, "fees": number(one.fees),
    }  # fmt: skip


def _positions(outcome: Outcome, market: Market, names: Mapping[str, str]) -> list[dict[str, Any]]:
    total = float(outcome.equity[-1])
    units, closes = outcome.units_after[:, -1], market.close[:, -1]
    held = [
        {
            "asset": asset, "code": names.get(asset, ""), "units": exact(float(amount)),
            "value": number(float(amount * price)), "share": number(float(amount * price) / total),
        }
        for asset, amount, price in zip(market.assets, units, closes, strict=True)
        if amount > 0
    ]  # fmt: skip
    cash = float(outcome.cash_after[-1])
    return [
        *held,
        {"asset": None, "code": "USD", "units": number(cash), "value": number(cash),
         "share": number(cash / total)},
    ]  # fmt: skip


def summary(outcome: Outcome, market: Market) -> dict[str, Any]:
    """The figures of a run, as they stand in its result."""
    return figures(measuring.metrics(outcome, market))
