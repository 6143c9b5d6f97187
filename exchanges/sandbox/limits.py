"""Request weights per minute: who used how much, and what happens to those who go too far.

A request over the limit is refused with 429. Who carries on regardless is banned (418), each
time for twice as long. Limits are counted per pool (a family of paths or one endpoint) and per
subject (an address or an account).
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

MINUTE = 60_000
TOLERATED = 5
FIRST_BAN = 2 * MINUTE
LONGEST_BAN = 3 * 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to answer: `status` 200, 429 or 418, the weight used, and the seconds to wait."""

    status: int
    used: int
    retry_after: int = 0
    carried_on: bool = False


@dataclass(slots=True)
class _Subject:
    """Whoever is counted, with what they did after having been told to stop."""

    stop_until: int = 0
    ignored: int = 0
    banned_until: int = 0
    bans: int = 0


@dataclass(slots=True)
class _Window:
    minute: int = 0
    used: dict[Hashable, int] = field(default_factory=dict)


class Limiter:
    """Counts weights in the minutes of the clock. It is told the time and never looks."""

    def __init__(self) -> None:
        self._window = _Window()
        self._subjects: dict[str, _Subject] = {}

    def charge(self, *, pool: str, subject: str, weight: int, limit: int, now: int) -> Verdict:
        """Count a request and judge it; a limit of 0 counts only."""
        used = self._count(pool, subject, weight, now)
        if not limit:
            return Verdict(200, used)
        who = self._subjects.setdefault(subject, _Subject())
        if used > limit:
            return self._over(who, used, now)
        if now >= who.stop_until:
            who.ignored = 0
        return Verdict(200, used)

    def ban(self, *, subject: str, now: int) -> Verdict | None:
        """The refusal for a subject that is shut out; None for all others."""
        who = self._subjects.get(subject)
        if who is None or now >= who.banned_until:
            return None
        return self._refused(418, 0, who.banned_until - now, carried_on=True)

    def _count(self, pool: str, subject: str, weight: int, now: int) -> int:
        if self._window.minute != now // MINUTE:
            self._window = _Window(now // MINUTE)
        key = (pool, subject)
        self._window.used[key] = self._window.used.get(key, 0) + weight
        return self._window.used[key]

    def _over(self, who: _Subject, used: int, now: int) -> Verdict:
        carried_on = now < who.stop_until or who.ignored > 0
        who.stop_until = (now // MINUTE + 1) * MINUTE
        who.ignored += 1
        if who.ignored > TOLERATED:
            return self._ban(who, used, now)
        return self._refused(429, used, who.stop_until - now, carried_on=carried_on)

    def _ban(self, who: _Subject, used: int, now: int) -> Verdict:
        length = min(FIRST_BAN * 2**who.bans, LONGEST_BAN)
        who.bans += 1
        who.ignored = 0
        who.banned_until = now + length
        return self._refused(418, used, length, carried_on=True)

    def _refused(self, status: int, used: int, wait: int, *, carried_on: bool) -> Verdict:
        return Verdict(status, used, retry_after=-(-wait // 1000), carried_on=carried_on)
