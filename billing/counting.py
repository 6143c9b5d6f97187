"""Counting calls in Redis: one round trip as a call enters, one as it leaves.

**Burst limits** are moving windows, exact under concurrency: a script looks at the hour, the day
and the month's included calls, and counts the call in both windows or in none, in one step. (The
``limits`` library has the same windows, at four round trips a call and without the month.)

**Usage** is counted as a call leaves: once in the person's month, and once in a heap that is
flushed to PostgreSQL (``billing.usage``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import redis
from django.conf import settings

MONTH_KEPT = 40 * 86_400  # seconds
PENDING, FLUSHING, BATCHES = "usage:pending", "usage:flushing:", "usage:batches"
_SEPARATOR = "|"

# A window is a list of the instants of its calls, newest first. What left the window is dropped
# from its end, so its length is the number of calls in it.
_ENTER = """
local now, month_most = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer, allowed = {}, 1
for i = 1, 2 do
  local length, most = tonumber(ARGV[1 + i * 2]), tonumber(ARGV[2 + i * 2])
  while true do
    local oldest = redis.call('LINDEX', KEYS[i], -1)
    if not oldest or tonumber(oldest) > now - length then break end
    redis.call('RPOP', KEYS[i])
  end
  local count = redis.call('LLEN', KEYS[i])
  local leaves = 0
  if count >= most then
    allowed = 0
    if most > 0 then leaves = tonumber(redis.call('LINDEX', KEYS[i], most - 1)) + length
    else leaves = now + length end
  elseif count > 0 then
    leaves = tonumber(redis.call('LINDEX', KEYS[i], -1)) + length
  end
  answer[i * 2] = count
  answer[i * 2 + 1] = string.format('%.0f', leaves)
end
local used = tonumber(redis.call('GET', KEYS[3]) or '0')
if month_most >= 0 and used >= month_most and allowed == 1 then allowed = -1 end
if allowed == 1 then
  for i = 1, 2 do
    redis.call('LPUSH', KEYS[i], ARGV[1])
    redis.call('PEXPIRE', KEYS[i], math.ceil(tonumber(ARGV[1 + i * 2]) / 1000))
  end
end
answer[1] = allowed
answer[6] = used
return answer
"""
_LEAVE = """
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
local used = redis.call('INCR', KEYS[2])
if used == 1 then redis.call('EXPIRE', KEYS[2], ARGV[2]) end
return used
"""
# Named and put aside in one step, so that no batch is without its name.
_TAKE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
"""
# After a loss of Redis the month begins again with what PostgreSQL has.
_AT_LEAST = """
for i = 1, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or '0') < tonumber(ARGV[i + 1]) then
    redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1])
  end
end
"""


@dataclass(frozen=True, slots=True)
class Window:
    """So many calls in so many seconds, at any time."""

    name: str
    seconds: int
    most: int


@dataclass(frozen=True, slots=True)
class Seen:
    """How full a window is after a call, and when it has room for one more or one less in it."""

    window: Window
    calls: int
    changes_at: float  # seconds since the epoch; 0 for an empty one


@dataclass(frozen=True, slots=True)
class Entered:
    """Whether a call may go on; ``month_used`` are the person's calls of this month before it."""

    allowed: bool
    month_is_full: bool
    seen: tuple[Seen, Seen]
    month_used: int


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)


def client() -> redis.Redis:
    """The connections of this process."""
    return _client(settings.REDIS_URL)


def enter(
    *, key: str, windows: tuple[Window, Window], month_most: int | None, now: datetime
) -> Entered:
    """Count one call in both windows, or in none when one of them or the month is full.

    ``key`` is ``user:<id>`` or ``address:<…>``; ``month_most`` of None does not limit. Raises
    redis.RedisError.
    """
    keys = [*(f"burst:{key}:{window.name}" for window in windows), month_key(key, now)]
    moment = round(now.timestamp() * 1_000_000)
    arguments: list[int] = [moment, -1 if month_most is None else month_most]
    for window in windows:
        arguments += [window.seconds * 1_000_000, window.most]
    told = client().register_script(_ENTER)(keys=keys, args=arguments)
    allowed, used = int(told[0]), int(told[5])
    seen = tuple(
        Seen(window, int(told[1 + 2 * n]) + (allowed == 1), float(told[2 + 2 * n]) / 1_000_000)
        for n, window in enumerate(windows)
    )
    return Entered(allowed == 1, allowed == -1, (seen[0], seen[1]), used)


def leave(*, user_id: str, group: str, now: datetime) -> int:
    """Count a call that was answered; returns the person's calls of this month, this one included.

    Raises redis.RedisError.
    """
    field = _SEPARATOR.join((user_id, now.astimezone(UTC).date().isoformat(), group))
    keys = [PENDING, month_key(f"user:{user_id}", now)]
    return int(client().register_script(_LEAVE)(keys=keys, args=[field, MONTH_KEPT]))


def month_used(*, user_id: str, now: datetime) -> int:
    """A person's calls of this month; 0 while Redis is away."""
    try:
        return int(client().get(month_key(f"user:{user_id}", now)) or 0)
    except (redis.RedisError, OSError):
        return 0


def month_key(key: str, now: datetime) -> str:
    """Where the calls of a UTC calendar month are counted."""
    return f"usage:month:{now.astimezone(UTC):%Y-%m}:{key}"


# --- flushing -----------------------------------------------------------------------------------
def take(batch: str) -> bool:
    """Put what has been counted so far aside under the name of a batch; False for nothing."""
    keys = [PENDING, FLUSHING + batch, BATCHES]
    return bool(client().register_script(_TAKE)(keys=keys, args=[batch]))


def batches() -> list[str]:
    """The batches that were put aside and not finished."""
    found: set[bytes] = client().smembers(BATCHES)  # type: ignore[assignment]
    return sorted(batch.decode() for batch in found)


def read(batch: str) -> list[tuple[str, str, str, int]]:
    """User id, day, group and calls of everything in a batch."""
    found: dict[bytes, bytes] = client().hgetall(FLUSHING + batch)  # type: ignore[assignment]
    return [(*_parts(field), int(calls)) for field, calls in found.items()]


def _parts(field: bytes) -> tuple[str, str, str]:
    user_id, day, group = field.decode().split(_SEPARATOR, 2)
    return user_id, day, group


def finish(batch: str) -> None:
    """Forget a batch that was written."""
    with client().pipeline(transaction=True) as both:
        both.unlink(FLUSHING + batch)
        both.srem(BATCHES, batch)
        both.execute()


def at_least(totals: Sequence[tuple[str, datetime, int]]) -> None:
    """Let no person's month count less than PostgreSQL has: what Redis lost comes back."""
    for start in range(0, len(totals), 1000):
        some = totals[start : start + 1000]
        keys = [month_key(f"user:{user_id}", month) for user_id, month, _ in some]
        calls = [total for *_, total in some]
        client().register_script(_AT_LEAST)(keys=keys, args=[MONTH_KEPT, *calls])
