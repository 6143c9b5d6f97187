"""Hours in which nothing disturbs: what is due then waits until they are over. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From a local time until another one, which may be the next day's."""

    start: time
    end: time
    zone: ZoneInfo

    def over(self, moment: datetime) -> datetime:
        """The moment itself, or the end of the quiet hours that it lies in; in UTC.

        By the clock on the wall: on the night that the clock is set, quiet hours are an hour
        shorter or longer. An end that this night skips is as much later as the clock was set.
        """
        local = moment.astimezone(self.zone)
        if not self._hold(local.time()):
            return moment
        day = local.date() if local.time() < self.end else local.date() + timedelta(days=1)
        end = datetime.combine(day, self.end, tzinfo=self.zone)
        if end.astimezone(UTC) <= moment:  # the hour that this night has twice, for the second time
            end = end.replace(fold=1)
        return end.astimezone(UTC)

    def _hold(self, at: time) -> bool:
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name; UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
