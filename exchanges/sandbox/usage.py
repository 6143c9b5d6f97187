"""How much of what is allowed was used, by address or account, pool and minute."""

from collections import Counter, defaultdict
from typing import Any

MINUTE = 60_000
KEPT_MINUTES = 30

Place = tuple[str, str]  # subject, pool


class Usage:
    """Weights of the last half hour. It is told the time and never looks."""

    def __init__(self) -> None:
        self._minutes: defaultdict[int, Counter[Place]] = defaultdict(Counter)
        self._limits: dict[Place, float] = {}

    def note(self, *, subject: str, pool: str, weight: float, limit: float, now: int) -> None:
        """Count a request; `limit` is what its pool allows in a minute, 0 if it is unlimited."""
        minute = now // MINUTE
        if minute not in self._minutes:
            self._forget(minute)
        self._minutes[minute][subject, pool] += weight  # type: ignore[assignment]  # may be a part
        self._limits[subject, pool] = limit

    def told(self, *, minutes: int, now: int) -> dict[str, dict[str, Any]]:
        """What was used in the last whole minutes and this one, by subject and pool.

        Of each: the limit per minute, the weight of each minute (the latest last), the most of
        one minute, and the part of all that was allowed (None where there is no limit).
        """
        last = now // MINUTE
        span = range(last - minutes + 1, last + 1)
        found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for place in sorted({key for minute in span for key in self._minutes.get(minute, ())}):
            subject, pool = place
            found[subject][pool] = self._row(place, span)
        return dict(found)

    def _row(self, place: Place, span: range) -> dict[str, Any]:
        used = [self._minutes[minute][place] if minute in self._minutes else 0 for minute in span]
        limit = self._limits[place]
        return {
            "limit_per_minute": limit or None,
            "used_per_minute": used,
            "used": sum(used),
            "most_in_a_minute": max(used),
            "part_used": round(sum(used) / (limit * len(span)), 6) if limit else None,
        }

    def _forget(self, minute: int) -> None:
        for old in [kept for kept in self._minutes if kept <= minute - KEPT_MINUTES]:
            del self._minutes[old]
