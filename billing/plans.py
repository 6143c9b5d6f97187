"""The table of plans. Nothing else in the code names a tier; operators change it by setting
``SUBSCRIPTION_TIERS`` in Django settings to a table of the same shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Plan:
    """What one tier includes. ``None`` means without limit."""

    connections: int | None
    sync_every: timedelta
    snapshot_every: timedelta
    manual_sync_every: timedelta
    calls_per_hour: int
    calls_per_day: int
    api_keys: bool = False
    live_prices: bool = False  # prices and the portfolio's value as they move
    live_assets: int = 0  # prices that one connection may watch
    live_connections: int = 2  # at once, of all devices together


DEFAULT_TIER = "free"
_DEFAULT: Mapping[str, Plan] = {
    "free": Plan(
        connections=1, sync_every=timedelta(days=1), snapshot_every=timedelta(days=1),
        manual_sync_every=timedelta(hours=1), calls_per_hour=50, calls_per_day=200,
    ),
    "pro": Plan(
        connections=3, sync_every=timedelta(minutes=5), snapshot_every=timedelta(hours=1),
        manual_sync_every=timedelta(seconds=30), calls_per_hour=500, calls_per_day=2_000,
        live_prices=True, live_assets=300, live_connections=5,
    ),
    "enterprise": Plan(
        connections=None, sync_every=timedelta(minutes=5), snapshot_every=timedelta(hours=1),
        manual_sync_every=timedelta(seconds=30), calls_per_hour=5_000, calls_per_day=20_000,
        api_keys=True, live_prices=True, live_assets=2_000, live_connections=20,
    ),
}  # fmt: skip


def table() -> Mapping[str, Plan]:
    """The plans in force, by tier."""
    return getattr(settings, "SUBSCRIPTION_TIERS", _DEFAULT)


def plan(tier: str) -> Plan:
    """The plan of a tier; an unknown tier has the default plan, never none."""
    plans = table()
    return plans.get(tier) or plans[DEFAULT_TIER]


def all_names() -> tuple[str, ...]:
    """The tiers in force, in the order of the table."""
    return tuple(table())


def with_live_prices() -> str:
    """The first tier whose people see prices move; the default tier where there is none."""
    return next((name for name, plan in table().items() if plan.live_prices), DEFAULT_TIER)
