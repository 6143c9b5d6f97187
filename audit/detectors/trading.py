"""Trading and withdrawals unlike the person's own last 30 days.

Read-only keys cannot do this, so it happens at the exchange: somebody else trades or withdraws
there, and the first thing that we see of it is here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from audit.detectors.findings import Finding, Kind
from audit.detectors.thresholds import Thresholds

# What is found again within this time is the same incident.
SAME_INCIDENT = timedelta(days=3)
# Fleeing into these is what people do when prices fall; no sign of a stranger.
CASH = frozenset({
    "USD", "EUR", "GBP", "CHF", "JPY", "AUD", "CAD", "BRL", "TRY", "USDT", "USDC", "DAI", "TUSD",
    "BUSD", "FDUSD", "USDE", "PYUSD", "EURC", "EURT",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Habit:
    """The 30 days before. All values are in US dollars of today."""

    days: int  # for how many of them there is a history at all
    most_orders_a_day: int
    most_traded_a_day: Decimal
    most_withdrawn_a_day: Decimal
    assets: frozenset[str]  # ever traded, received or held before
    addresses: frozenset[str]  # ever withdrawn to before


@dataclass(frozen=True, slots=True)
class Bought:
    """What one asset was bought for."""

    asset: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What went to one address."""

    address: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Day:
    """The 24 hours that are judged, on one exchange connection."""

    until: datetime
    orders: int
    traded: Decimal
    bought: tuple[Bought, ...]
    withdrawn: tuple[Withdrawn, ...]
    worth: Decimal  # of the portfolio before it


def judge(day: Day, habit: Habit, thresholds: Thresholds, *, dedupe: str = "") -> list[Finding]:
    """What is unusual about a day. Without some history there is nothing to compare with."""
    if habit.days < thresholds.habit_days or day.worth < Decimal(thresholds.worth_at_least):
        return []
    found = [_trading(day, habit, thresholds, dedupe), _withdrawal(day, habit, thresholds, dedupe)]
    return [finding for finding in found if finding]


def _trading(day: Day, habit: Habit, thresholds: Thresholds, dedupe: str) -> Finding | None:
    signs = dict(_trading_signs(day, habit, thresholds))
    if not signs:
        return None
    return Finding(
        Kind.UNUSUAL_TRADING,
        "high" if len(signs) > 1 else "medium",
        {
            "signs": sorted(signs), "until": day.until.isoformat(), "worth_usd": _text(day.worth),
            "orders": day.orders, "traded_usd": _text(day.traded),
            "most_orders_a_day_before": habit.most_orders_a_day,
            "most_traded_a_day_before_usd": _text(habit.most_traded_a_day),
            **{f"{name}_detail": detail for name, detail in signs.items() if detail},
        },
        dedupe=f"{dedupe}:{day.until.date().isoformat()}",
    )  # fmt: skip


def _trading_signs(day: Day, habit: Habit, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    if day.orders >= max(
        thresholds.trades_at_least, thresholds.trades_factor * habit.most_orders_a_day
    ):
        yield "frequency", ""
    share, factor = Decimal(str(thresholds.size_share)), Decimal(str(thresholds.size_factor))
    if day.traded >= max(share * day.worth, factor * habit.most_traded_a_day):
        yield "size", ""
    share = Decimal(str(thresholds.new_asset_share))
    for bought in day.bought:
        unknown = bought.asset not in habit.assets and bought.asset not in CASH
        if unknown and bought.value >= share * day.worth:
            yield "asset", bought.asset


def _withdrawal(day: Day, habit: Habit, thresholds: Thresholds, dedupe: str) -> Finding | None:
    """Much of the portfolio went where nothing went before."""
    strange = [item for item in day.withdrawn if item.address not in habit.addresses]
    value = sum((item.value for item in strange), Decimal(0))
    share = Decimal(str(thresholds.withdrawal_share))
    factor = Decimal(str(thresholds.withdrawal_factor))
    if not strange or value < max(share * day.worth, factor * habit.most_withdrawn_a_day):
        return None
    return Finding(
        Kind.UNEXPECTED_WITHDRAWAL,
        "critical" if value >= Decimal("0.7") * day.worth else "high",
        {
            "withdrawn_usd": _text(value), "worth_usd": _text(day.worth),
            "addresses": sorted({item.address for item in strange})[:10],
            "most_withdrawn_a_day_before_usd": _text(habit.most_withdrawn_a_day),
            "until": day.until.isoformat(),
        },
        dedupe=f"{dedupe}:{day.until.date().isoformat()}",
    )  # fmt: skip


def _text(value: Decimal) -> str:
    return f"{value:.2f}"
