"""The table of plans. Nothing else in the code names a tier; operators change it by setting
``SUBSCRIPTION_TIERS`` in Django settings to a table of the same shape."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings

CURRENCY = "usd"  # of the prices below; Stripe converts where the operator has it so


@dataclass(frozen=True, slots=True)
class Plan:
    """What one tier includes. ``None`` means without limit."""

    connections: int | None
    sync_every: timedelta
    snapshot_every: timedelta
    manual_sync_every: timedelta
    calls_per_hour: int
    calls_per_day: int
    calls_per_month: int  # included
    name: str = ""
    price: Decimal = Decimal(0)  # USD a month; 0 is sold to nobody
    call_price: Decimal | None = None  # USD for each call beyond the included; None refuses it
    trial_days: int = 0
    strategies: int | None = None  # built-in ones that may be used
    custom_strategies: bool = False
    alerts: int | None = None  # that are watched or paused
    api_keys: bool = False
    live_prices: bool = False  # prices and the portfolio's value as they move
    live_assets: int = 0  # prices that one connection may watch
    live_connections: int = 2  # at once, of all devices together

    @property
    def is_paid(self) -> bool:
        return self.price > 0


DEFAULT_TIER = "free"
_DEFAULT: Mapping[str, Plan] = {
    "free": Plan(
        name="Free", connections=1, strategies=5, alerts=10,
        sync_every=timedelta(days=1), snapshot_every=timedelta(days=1),
        manual_sync_every=timedelta(hours=1),
        calls_per_hour=50, calls_per_day=200, calls_per_month=1_000,
    ),
    "pro": Plan(
        name="Pro", price=Decimal("19.99"), call_price=Decimal("0.002"), connections=3,
        alerts=100,
        sync_every=timedelta(minutes=5), snapshot_every=timedelta(hours=1),
        manual_sync_every=timedelta(seconds=30),
        calls_per_hour=500, calls_per_day=2_000, calls_per_month=10_000,
        live_prices=True, live_assets=300, live_connections=5,
    ),
    "enterprise": Plan(
        name="Enterprise", price=Decimal("99.99"), call_price=Decimal("0.001"), connections=None,
        custom_strategies=True, alerts=1_000,
        sync_every=timedelta(minutes=5), snapshot_every=timedelta(hours=1),
        manual_sync_every=timedelta(seconds=30),
        calls_per_hour=5_000, calls_per_day=20_000, calls_per_month=100_000,
        api_keys=True, live_prices=True, live_assets=2_000, live_connections=20,
    ),
}  # fmt: skip


def table() -> Mapping[str, Plan]:
    """The plans in force, by tier, from the smallest to the largest."""
    return getattr(settings, "SUBSCRIPTION_TIERS", _DEFAULT)


def plan(tier: str) -> Plan:
    """The plan of a tier; an unknown tier has the default plan, never none."""
    plans = table()
    return plans.get(tier) or plans[DEFAULT_TIER]


def known(tier: str) -> str:
    """The tier itself, or the default one when it is not (or no longer) in the table."""
    return tier if tier in table() else DEFAULT_TIER


def rank(tier: str) -> int:
    """The place of a tier in the table; an unknown one stands before all."""
    return list(table()).index(tier) if tier in table() else -1


def for_sale() -> Iterator[tuple[str, Plan]]:
    """The tiers that cost money."""
    return ((tier, plan) for tier, plan in table().items() if plan.is_paid)


def with_live_prices() -> str:
    """The first tier whose people see prices move; the default tier where there is none."""
    return next((name for name, plan in table().items() if plan.live_prices), DEFAULT_TIER)
