"""Which copies are kept: the newest of each of 7 days, 4 weeks and 12 months, the running included.

Pure. In steady use the oldest copy is eleven months and a day old at most, so nobody's data is in
any copy for longer than twelve months after it was erased.
"""

from collections.abc import Iterable
from datetime import datetime

DAYS, WEEKS, MONTHS = 7, 4, 12


def kept(instants: Iterable[datetime], *, now: datetime) -> set[datetime]:
    """Those of the instants (UTC) whose copies are kept. What is not yet is kept too."""
    found = set(instants)
    newest: dict[tuple[str, int], datetime] = {}
    for instant in found:
        for unit, age, most in _ages(instant, now):
            if 0 <= age < most and instant <= now:
                newest[unit, age] = max(newest.get((unit, age), instant), instant)
    return set(newest.values()) | {instant for instant in found if instant > now}


def _ages(instant: datetime, now: datetime) -> list[tuple[str, int, int]]:
    """How many calendar days, weeks (from Monday) and months ago that was."""
    days = now.date().toordinal() - instant.date().toordinal()
    weeks = (now.date().toordinal() - 1) // 7 - (instant.date().toordinal() - 1) // 7
    months = 12 * (now.year - instant.year) + now.month - instant.month
    return [("day", days, DAYS), ("week", weeks, WEEKS), ("month", months, MONTHS)]
