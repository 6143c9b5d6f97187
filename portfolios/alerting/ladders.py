"""Alerts on one figure, sorted by the level at which each comes true: pure.

A figure finds those that it reaches by bisection. Whatever it does not reach is not looked at.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from uuid import UUID

from portfolios.alerting import conditions


@dataclass(slots=True, eq=False)
class Watched:
    """One alert on a price or its moves, as far as finding it needs."""

    id: UUID
    user_id: UUID
    kind: str
    asset_id: UUID
    currency: str
    direction: str
    window: timedelta | None
    threshold: Decimal
    hysteresis: Decimal
    repeats: bool
    armed: bool

    @property
    def rises(self) -> bool:
        return self.kind in conditions.RISING

    def is_like(self, other: "Watched | None") -> bool:
        """Whether the other one is the same alert in the same state."""
        return other is not None and _STATE(self) == _STATE(other)

    @property
    def level(self) -> Decimal:
        """The figure at which it is told or, after it was, armed again."""
        if self.armed:
            return self.threshold
        return conditions.rearm_level(
            threshold=self.threshold, hysteresis=self.hysteresis, rises=self.rises
        )


_STATE = attrgetter("id", "threshold", "hysteresis", "repeats", "armed")


class _Rungs:
    """Alerts by ascending level."""

    __slots__ = ("_alerts", "_levels")

    def __init__(self) -> None:
        self._levels: list[Decimal] = []
        self._alerts: list[Watched] = []

    def __len__(self) -> int:
        return len(self._levels)

    def add(self, alert: Watched) -> None:
        level = alert.level
        place = bisect_right(self._levels, level)
        self._levels.insert(place, level)
        self._alerts.insert(place, alert)

    def remove(self, alert: Watched) -> None:
        place = self._alerts.index(alert, bisect_left(self._levels, alert.level))
        del self._levels[place], self._alerts[place]

    def take_up_to(self, figure: Decimal, *, included: bool) -> list[Watched]:
        """Those whose level is below the figure, or at it; they are here no longer."""
        end = (bisect_right if included else bisect_left)(self._levels, figure)
        return self._take(0, end) if end else []

    def take_from(self, figure: Decimal, *, included: bool) -> list[Watched]:
        """Those whose level is above the figure, or at it; they are here no longer."""
        start = (bisect_left if included else bisect_right)(self._levels, figure)
        return self._take(start, len(self._levels)) if start < len(self._levels) else []

    def _take(self, start: int, end: int) -> list[Watched]:
        taken = self._alerts[start:end]
        del self._levels[start:end], self._alerts[start:end]
        return taken


class Ladder:
    """All alerts on one figure: armed ones by threshold, told ones by the level of going back."""

    __slots__ = ("_armed_falling", "_armed_rising", "_told_falling", "_told_rising")

    def __init__(self) -> None:
        self._armed_rising, self._told_rising = _Rungs(), _Rungs()
        self._armed_falling, self._told_falling = _Rungs(), _Rungs()

    def __len__(self) -> int:
        armed = len(self._armed_rising) + len(self._armed_falling)
        return armed + len(self._told_rising) + len(self._told_falling)

    def add(self, alert: Watched) -> None:
        """Watch an alert from now on."""
        self._rungs(alert).add(alert)

    def remove(self, alert: Watched) -> None:
        """Watch it no longer. It must not have changed since it was added."""
        self._rungs(alert).remove(alert)

    def take(self, figure: Decimal) -> tuple[list[Watched], list[Watched]]:
        """Those that come true at a figure, and those that are armed again by it.

        Both are changed accordingly. What is told once is not watched any more.
        """
        told = self._armed_rising.take_up_to(figure, included=True)
        told += self._armed_falling.take_from(figure, included=True)
        back = self._told_rising.take_from(figure, included=False)
        back += self._told_falling.take_up_to(figure, included=False)
        for alert in back:
            alert.armed = True
            self.add(alert)
        for alert in told:
            alert.armed = False
            if alert.repeats:
                self.add(alert)
        return told, back

    def _rungs(self, alert: Watched) -> _Rungs:
        if alert.rises:
            return self._armed_rising if alert.armed else self._told_rising
        return self._armed_falling if alert.armed else self._told_falling
