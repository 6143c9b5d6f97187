"""Billing periods, and the part of a price that a part of a period costs."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from dateutil.relativedelta import relativedelta

from billing.sandbox.wire import Object

_ONE = Decimal(1)


def end_of(anchor: int, start: int, recurring: Object) -> int:
    """When the period that starts at `start` ends, on the anchor's day of the month."""
    unit, count = f"{recurring['interval']}s", recurring["interval_count"]
    first, times = moment(anchor), 1
    while True:
        # From the anchor each time: added one by one, the 31st would become the 28th for good.
        end = first + relativedelta(**{unit: count * times})
        if end.timestamp() > start:
            return int(end.timestamp())
        times += 1


def moment(at: int) -> datetime:
    """A time of Stripe's as a time of Python's."""
    return datetime.fromtimestamp(at, UTC)


def part_of(amount: int, *, at: int, start: int, end: int) -> int:
    """What is left of an amount at a time within its period, by seconds."""
    left = min(max(end - at, 0), end - start)
    return whole(Decimal(amount) * left / (end - start)) if end > start else 0


def whole(amount: Decimal) -> int:
    """Rounded to the smallest unit of the currency, half away from zero."""
    return int(amount.quantize(_ONE, ROUND_HALF_UP))
