"""Request weights: how much is allowed, and what happens to those who go too far.

A request over the limit is refused with 429. Who carries on regardless is banned (418), each
time for twice as long. Limits are counted per pool (a family of paths or one endpoint) and per
subject (an address or an account).
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from exchanges.sandbox import config
from exchanges.sandbox.usage import MINUTE

TOLERATED = 5
FIRST_BAN = 2 * MINUTE
LONGEST_BAN = 3 * 24 * 60 * MINUTE
LOCKOUT = 15 * MINUTE


# What the counter of one of Kraken's keys may reach, and by how much it falls in a second.
TIERS = {"starter": (15, 0.33), "intermediate": (20, 0.5), "pro": (20, 1.0)}


class LimitsError(ValueError):
    """Limits that cannot be read; the message says why."""


@dataclass(slots=True)
class Allowance:
    """The weight that an address may use per minute, 0 for no limit; other pools scale with it.

    `tier` is the tier of all accounts at Kraken, one of TIERS.
    """

    weight: int
    by_address: dict[str, int] = field(default_factory=dict)
    tier: str = "intermediate"

    def of(self, address: str, limit: int) -> int:
        """What an address may use of a pool that allows `limit` at the usual weight."""
        asked = self.by_address.get(address, self.weight)
        return max(limit * asked // config.DEFAULT_WEIGHT_LIMIT, 1) if asked else 0

    def set(self, plain: dict[str, object]) -> None:
        """Take what JSON gives; an address with null is as all others. Raises LimitsError."""
        if unknown := set(plain) - {"weight", "addresses", "tier"}:
            raise LimitsError(f"unknown field {', '.join(sorted(unknown))}")
        tier = plain.get("tier", self.tier)
        if tier not in TIERS:
            raise LimitsError(f"tier must be one of {', '.join(TIERS)}")
        weight, addresses = plain.get("weight", self.weight), plain.get("addresses", {})
        if not isinstance(addresses, dict):
            raise LimitsError("addresses must be an object of address and weight")
        for given in (weight, *(found for found in addresses.values() if found is not None)):
            if type(given) is not int or given < 0:
                raise LimitsError("a weight must be a whole number, 0 or more")
        self.weight, self.tier = weight, str(tier)  # type: ignore[assignment]  # checked above
        changed = self.by_address | addresses
        self.by_address = {
            address: found for address, found in changed.items() if found is not None
        }


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
        return Verdict(status, used, retry_after=_seconds(wait), carried_on=carried_on)


@dataclass(slots=True)
class _Count:
    """A counter's value at an instant."""

    value: float = 0
    at: int = 0


class CallCounter:
    """Counters that every call raises and time lowers, one per subject.

    A call that would lift the counter over what is allowed is refused and not counted. Who
    carries on regardless is locked out (418).
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._subjects: dict[str, _Subject] = {}

    def charge(
        self, *, subject: str, weight: float, most: float, per_second: float, now: int
    ) -> Verdict:
        """Count a call and judge it; `most` of 0 is no limit."""
        who = self._subjects.setdefault(subject, _Subject())
        if not most:
            return Verdict(200, 0)
        if now < who.banned_until:
            return Verdict(418, 0, _seconds(who.banned_until - now), carried_on=True)
        count = self._counts.setdefault(subject, _Count())
        count.value = max(count.value - per_second * (now - count.at) / 1000, 0)
        count.at = now
        if count.value + weight <= most:
            count.value += weight
            who.ignored = 0
            return Verdict(200, round(count.value))
        return self._over(who, now, int((count.value + weight - most) / per_second * 1000))

    def _over(self, who: _Subject, now: int, wait: int) -> Verdict:
        carried_on = who.ignored > 0
        who.ignored += 1
        if who.ignored <= TOLERATED:
            return Verdict(429, 0, _seconds(wait), carried_on=carried_on)
        who.ignored = 0
        who.banned_until = now + LOCKOUT
        return Verdict(418, 0, _seconds(LOCKOUT), carried_on=True)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
