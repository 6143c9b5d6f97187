"""What is promised, how far it was kept, and how much may still go wrong.

A level says which share of what was counted must be good within 30 days. Its error budget is what
may be bad: of 1,000,000 requests at 99.9 % a thousand. What is left of it is
``1 - (bad / total) / (1 - target)``; below nought it is overspent.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

from django.db.models import F, Max, Q, Sum

from audit.models import ComponentDay
from tracker.money import to_text

WINDOW_DAYS = 30
MINUTES_A_DAY = 1440
API, SYNC, PRICES, BILLING = "api", "sync.", "prices", "billing"  # keys of parts; SYNC begins them


@dataclass(frozen=True, slots=True)
class Level:
    """One promise: over which parts, and what counts as good."""

    name: str
    title: str
    promise: str
    target: Decimal
    parts: Q

    @property
    def target_percent(self) -> str:
        return percent(self.target)


LEVELS = (
    Level(
        "availability", "Availability", "Requests answered without an error of ours",
        Decimal("0.999"), Q(component=API),
    ),
    Level(
        "sync_freshness", "Accounts up to date",
        "Connected accounts read within one and a half times their plan's interval",
        Decimal("0.99"), Q(component__key__startswith=SYNC),
    ),
    Level(
        "price_freshness", "Prices up to date", "Sources whose prices are younger than 15 minutes",
        Decimal("0.995"), Q(component=PRICES),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a promise was kept; shares from 0 to 1, ``None`` where nothing was measured.

    ``minutes`` is in how many of the window's minutes anything was measured for it: what was kept
    is known of these alone.
    """

    level: Level
    good: int
    total: int
    minutes: int

    @property
    def share(self) -> Decimal | None:
        return Decimal(self.good) / self.total if self.total else None

    @property
    def budget_left(self) -> Decimal | None:
        if self.share is None:
            return None
        return 1 - (1 - self.share) / (1 - self.level.target)

    @property
    def measured_days(self) -> str:
        """Of how many of the window's days anything is known, in whole and tenths, rounded down."""
        days = Decimal(self.minutes) / MINUTES_A_DAY
        return to_text(days.quantize(Decimal("0.1"), rounding=ROUND_DOWN))

    @property
    def percent(self) -> str | None:
        return None if self.share is None else percent(self.share)

    @property
    def budget_percent(self) -> str | None:
        """Rounded towards less: an overspent budget never reads as nought."""
        left = self.budget_left
        return None if left is None else to_text(_rounded(left, "0.1", ROUND_FLOOR))

    @property
    def kept(self) -> bool | None:
        return None if self.share is None else self.share >= self.level.target


def percent(share: Decimal) -> str:
    """Of a hundred, rounded down: 99.9996 % is not yet 100 %."""
    return to_text(_rounded(share, "0.001", ROUND_DOWN))


def standings(today: date) -> list[Standing]:
    """Every promise over the 30 days that end with ``today`` (UTC)."""
    return [_standing(level, today) for level in LEVELS]


def _standing(level: Level, today: date) -> Standing:
    days = ComponentDay.objects.filter(level.parts, day__gt=today - timedelta(days=WINDOW_DAYS))
    # Of several parts the one that was measured most: they are measured together.
    found = days.filter(day__lte=today).values("day").annotate(
        good_then=Sum("good"), total_then=Sum("total"),
        minutes=Max(F("up") + F("degraded") + F("down")),
    )  # fmt: skip
    rows = list(found.values_list("good_then", "total_then", "minutes"))
    good, total, minutes = (int(sum(row[place] for row in rows)) for place in range(3))
    return Standing(level, good, total, minutes)


def _rounded(share: Decimal, step: str, how: str) -> Decimal:
    return (share * 100).quantize(Decimal(step), rounding=how)
