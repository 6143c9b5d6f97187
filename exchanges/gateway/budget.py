"""One rate budget per exchange, pool and outgoing address, shared by all processes through Redis.

An exchange counts the weight of all calls from one address, whichever user they are for. So the
budget is kept in Redis: what was granted in the last minute, in slices of half a second. A grant
is made when the last minute and a bit leave room under the limit; a process takes a little more
than it needs at once, so that cheap calls do not cost a round trip each.

Calls go in two lanes. A first import (``BULK``) takes whatever the others leave: while somebody
else waits for weight it gets none, beyond a fifth of the limit which is always its own, so that
neither lane can starve the other.

Without Redis each process gives itself a small fixed share of the limit: slow, never unlimited.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings

from exchanges.gateway import loop, proxies
from exchanges.gateway.errors import RateLimited
from exchanges.reports import BudgetState, PoolState

logger = logging.getLogger(__name__)

PERIOD = 60.0  # seconds over which limits are counted
CHUNK_LIFE = 0.5  # seconds in which a taken chunk must be used
TRAVEL = 1.0  # seconds a granted call may need to reach the exchange
WINDOW = PERIOD + CHUNK_LIFE + TRAVEL
SLICE = 0.5  # seconds; grants are remembered in slices of this length
CHUNK_PART = 100  # a chunk is at most this part of the limit
FALLBACK_PART = 8  # without Redis a process allows itself this part of the limit
DEFAULT_STOP = 60  # seconds, when an exchange says stop and not how long
URGENT, BULK = "urgent", "bulk"
BULK_PART = 5  # first imports may always use this part of the limit
WAITING_SECONDS = 1.5  # how long somebody who was refused counts as waiting
_LOOK_AGAIN = 5.0  # seconds until Redis is tried again after it failed
_REDIS_TIMEOUT = 2.0  # seconds
_MANY_SHARES = 5000

_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local limit, need, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local window, slice = tonumber(ARGV[4]), tonumber(ARGV[5])
local stopped = redis.call('PTTL', KEYS[2])
if stopped > 0 then return {'0', tostring(stopped / 1000), '1'} end
local bulk = ARGV[6] == 'bulk'
local used, of_bulk, grants = 0, 0, redis.call('HGETALL', KEYS[1])
local slices = {}
for i = 1, #grants, 2 do
  local is_bulk = string.sub(grants[i], 1, 1) == 'b'
  local ends = (tonumber(is_bulk and string.sub(grants[i], 2) or grants[i]) + 1) * slice
  if ends + window <= now then redis.call('HDEL', KEYS[1], grants[i])
  else
    used = used + tonumber(grants[i + 1])
    if is_bulk then of_bulk = of_bulk + tonumber(grants[i + 1]) end
    slices[#slices + 1] = {ends + window, tonumber(grants[i + 1])}
  end
end
local granted = math.min(want, limit - used)
if bulk and redis.call('EXISTS', KEYS[3]) == 1 then
  granted = math.min(need, granted)
  if of_bulk + need > limit / tonumber(ARGV[7]) then return {'0', '0.5', '0'} end
end
if granted >= need then
  local field = (bulk and 'b' or '') .. math.floor(now / slice)
  redis.call('HINCRBYFLOAT', KEYS[1], field, granted)
  redis.call('EXPIRE', KEYS[1], math.ceil(window) + 5)
  return {tostring(granted), '0', '0'}
end
if not bulk then redis.call('SET', KEYS[3], '1', 'PX', tonumber(ARGV[8])) end
table.sort(slices, function(a, b) return a[1] < b[1] end)
local missing = need - (limit - used)
for i = 1, #slices do
  missing = missing - slices[i][2]
  if missing <= 0 then return {'0', tostring(slices[i][1] - now), '0'} end
end
return {'0', tostring(window), '0'}
"""


@dataclass(frozen=True, slots=True)
class Pool:
    """What one kind of call draws from: its name, and the weight allowed per minute."""

    name: str
    per_minute: float


class _Place(NamedTuple):
    """Whose budget: an exchange, the address it is asked from, the pool, and the lane."""

    exchange: str
    address: str
    pool: str
    lane: str

    @property
    def asked_from(self) -> str:
        return _asked_from(self.exchange, self.address)


@dataclass(frozen=True, slots=True)
class _Stop:
    """Until when an exchange is left alone, and when Redis is asked whether that still holds."""

    until: float
    look_at: float


@dataclass
class _Share:
    """What this process holds of one pool: an unused chunk, and who waits first."""

    left: float = 0.0
    until: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    granted: deque[tuple[float, float]] = field(default_factory=deque)  # without Redis only


class Budget:
    """The budgets of all exchanges as one process sees them; lives on the gateway's loop."""

    def __init__(self, url: str, limits: Mapping[str, Mapping[str, float]]) -> None:
        self._limits = limits
        self._redis, self._script = _connect(url)
        self._no_redis_until = 0.0
        self._shares: dict[_Place, _Share] = defaultdict(_Share)
        self._stops: dict[str, _Stop] = {}

    async def take(
        self,
        exchange: str,
        pool: Pool,
        weight: float,
        *,
        wait: float,
        address: str = "",
        lane: str = URGENT,
    ) -> None:
        """Wait until ``weight`` may be spent. Raises RateLimited when that is over ``wait`` s.

        ``address`` is the label of the outgoing address, each of which has a budget of its own.
        """
        limit = self.limit(exchange, pool)
        give_up = time.monotonic() + wait
        if limit <= 0:
            await self._wait_for_stop(_asked_from(exchange, address), give_up)
            return
        place = _Place(exchange, address, pool.name, lane)
        share = self._share(place)
        await _take_turn(share.turn, wait)
        try:
            while not self._spend(place, share, weight):
                await self._refill(place, share, limit, weight, give_up)
        finally:
            share.turn.release()

    def limit(self, exchange: str, pool: Pool) -> float:
        """Weight per minute: as the settings say for the pool or its family, else as declared.

        The family of ``sapi:asset/transfer`` is ``sapi``. 0 means unlimited.
        """
        ours = self._limits.get(exchange, {})
        return ours.get(pool.name, ours.get(pool.name.partition(":")[0], pool.per_minute))

    async def stop(self, exchange: str, seconds: float | None, *, address: str = "") -> None:
        """Let all processes wait before they ask again from this address: it was told 429 or 418.

        Other addresses have not been told to wait, and go on. A longer stop stays.
        """
        pause, asked_from = seconds or DEFAULT_STOP, _asked_from(exchange, address)
        until = max(self._until(asked_from), time.monotonic() + pause)
        self._stops[asked_from] = _Stop(until, look_at=math.inf)  # till Redis knows of it
        for place, share in self._shares.items():
            share.left = 0 if place.asked_from == asked_from else share.left
        if not self._has_redis():
            return
        try:
            pipe = self._redis.pipeline(transaction=True)
            lengthen(pipe, _stop_key(asked_from), math.ceil(pause * 1000))
            await pipe.execute()
        except Exception:
            self._redis_failed()
        else:
            self._stops[asked_from] = _Stop(until, time.monotonic() + _LOOK_AGAIN)

    def _share(self, place: _Place) -> _Share:
        if len(self._shares) > _MANY_SHARES:  # pools of single accounts come and go
            idle = [k for k, s in self._shares.items() if not s.turn.locked() and not s.granted]
            for key in idle:
                del self._shares[key]
        return self._shares[place]

    def _spend(self, place: _Place, share: _Share, weight: float) -> bool:
        now = time.monotonic()
        stopped = now < self._until(place.asked_from)
        if stopped or now > share.until or share.left < weight:
            return False
        share.left -= weight
        return True

    async def _refill(
        self, place: _Place, share: _Share, limit: float, weight: float, give_up: float
    ) -> None:
        need = min(weight, limit)  # a call heavier than its limit waits for an empty minute
        granted, pause = await self._grant(place, share, limit, need)
        if granted:
            share.left, share.until = max(granted, weight), time.monotonic() + CHUNK_LIFE
            return
        await _sleep(pause, give_up)

    async def _grant(
        self, place: _Place, share: _Share, limit: float, need: float
    ) -> tuple[float, float]:
        """Weight granted now, else 0 and the seconds until it is worth asking again."""
        if (stopped := await self._stopped(place.asked_from)) > 0:
            return 0.0, stopped
        if self._has_redis():
            try:
                return await self._ask_redis(place, limit, need)
            except Exception:
                self._redis_failed()
        granted, pause = _grant_alone(share, max(limit / FALLBACK_PART, need), need)
        return granted, min(pause, _LOOK_AGAIN)  # Redis may be back before the share is

    async def _ask_redis(self, place: _Place, limit: float, need: float) -> tuple[float, float]:
        budget = _budget_key(place.asked_from, place.pool)
        keys = [budget, _stop_key(place.asked_from), f"{budget}:waiting"]
        want = max(need, math.floor(limit / CHUNK_PART))
        answer = await self._script(
            keys=keys,
            args=[limit, need, want, WINDOW, SLICE, place.lane, BULK_PART,
                  int(WAITING_SECONDS * 1000)],
        )  # fmt: skip
        granted, pause, stopped = (float(part) for part in answer)
        if stopped:
            self._heard(place.asked_from, pause)
        return granted, pause

    async def _wait_for_stop(self, asked_from: str, give_up: float) -> None:
        while (pause := await self._stopped(asked_from)) > 0:
            await _sleep(pause, give_up)

    async def _stopped(self, asked_from: str) -> float:
        """Seconds for which an exchange is left alone, as Redis said some seconds ago at most: what
        an operator releases there is released here. What it was not told stays as it is."""
        stop = self._stops.get(asked_from)
        if stop and stop.look_at <= time.monotonic() < stop.until and self._has_redis():
            try:
                self._heard(asked_from, await self._redis.pttl(_stop_key(asked_from)) / 1000)
            except Exception:
                self._redis_failed()
        return self._until(asked_from) - time.monotonic()

    def _heard(self, asked_from: str, seconds: float) -> None:
        now = time.monotonic()
        self._stops[asked_from] = _Stop(now + seconds, now + _LOOK_AGAIN)

    def _until(self, asked_from: str) -> float:
        stop = self._stops.get(asked_from)
        return stop.until if stop else 0.0

    def _has_redis(self) -> bool:
        return bool(self._redis) and time.monotonic() >= self._no_redis_until

    def _redis_failed(self) -> None:
        if time.monotonic() >= self._no_redis_until:
            logger.warning("exchange budget: Redis is unreachable, using a small share")
        self._no_redis_until = time.monotonic() + _LOOK_AGAIN


def shared() -> Budget:
    """The budget of this process, from ``REDIS_URL`` and ``EXCHANGE_BUDGETS``."""
    url = getattr(settings, "REDIS_URL", "") or ""
    limits = getattr(settings, "EXCHANGE_BUDGETS", None) or {}
    return loop.local(("budget", url, repr(limits)), lambda: Budget(url, limits))


def state(exchange: str, pools: Iterable[Pool]) -> BudgetState | None:
    """What all processes together were granted of ``pools`` in the last minute and a half, and for
    how long the exchange must be left alone; None when Redis does not answer. Ordinary code.

    Where several outgoing addresses are used, each pool is told once for each: ``ip@1f2e3d4c``.
    """
    import redis

    addresses = [proxies.label(proxy) for proxy in proxies.of_exchange(exchange)]
    asked = [(_asked_from(exchange, label), label, pool) for label in addresses for pool in pools]
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=_REDIS_TIMEOUT) as client:
            pipe = client.pipeline(transaction=False)
            pipe.time()
            for label in addresses:
                pipe.pttl(_stop_key(_asked_from(exchange, label)))
            for asked_from, _, pool in asked:
                pipe.hgetall(_budget_key(asked_from, pool.name))
            (seconds, micros), *told = pipe.execute()
    except (redis.RedisError, ValueError, OSError):
        return None
    now, stopped = seconds + micros / 1_000_000, max(told[: len(addresses)])
    limits = Budget("", getattr(settings, "EXCHANGE_BUDGETS", None) or {})
    return BudgetState(
        tuple(
            PoolState(
                f"{pool.name}@{label}" if label else pool.name, _used(granted, now),
                limits.limit(exchange, pool),
            )
            for (_, label, pool), granted in zip(asked, told[len(addresses) :], strict=True)
        ),
        stopped / 1000 if stopped > 0 else None,
    )  # fmt: skip


def stop_keys(exchange: str) -> list[str]:
    """The keys in Redis that hold everybody back from an exchange, one for each address of ours."""
    return [
        _stop_key(_asked_from(exchange, proxies.label(proxy)))
        for proxy in proxies.of_exchange(exchange)
    ]


def lengthen(pipe: Any, key: str, milliseconds: int) -> None:
    """Add to a pipeline that a key stands for so long at least; it never stands for less than it
    would have: who is told to wait five seconds may have been told an hour before."""
    pipe.set(key, 1, px=milliseconds, nx=True)
    pipe.pexpire(key, milliseconds, gt=True)


def _used(granted: Mapping[bytes, bytes], now: float) -> float:
    """What slices that still count were granted, in either lane, as the script reckons."""
    return sum(
        float(weight)
        for number, weight in granted.items()
        if (int(number.removeprefix(b"b")) + 1) * SLICE + WINDOW > now
    )


def _connect(url: str) -> tuple[Any, Any]:
    if not url:
        return None, None
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(
        url, socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT
    )
    return client, client.register_script(_TAKE)


def _grant_alone(share: _Share, limit: float, need: float) -> tuple[float, float]:
    now = time.monotonic()
    while share.granted and share.granted[0][0] + WINDOW <= now:
        share.granted.popleft()
    if sum(weight for _, weight in share.granted) + need <= limit:
        share.granted.append((now, need))
        return need, 0.0
    return 0.0, share.granted[0][0] + WINDOW - now


async def _take_turn(turn: asyncio.Lock, wait: float) -> None:
    try:
        async with asyncio.timeout(max(wait, 0)):
            await turn.acquire()
            return
    except TimeoutError:
        pass
    raise RateLimited(retry_after=math.ceil(PERIOD))


async def _sleep(pause: float, give_up: float) -> None:
    if time.monotonic() + pause > give_up:
        raise RateLimited(retry_after=math.ceil(pause))
    await asyncio.sleep(min(max(pause, 0.01), _LOOK_AGAIN))  # it may be released meanwhile


def _asked_from(exchange: str, address: str) -> str:
    return f"{exchange}@{address}" if address else exchange


def _budget_key(asked_from: str, pool: str) -> str:
    return f"exchange-budget:{asked_from}:{pool}"


def _stop_key(asked_from: str) -> str:
    return f"exchange-stop:{asked_from}"
