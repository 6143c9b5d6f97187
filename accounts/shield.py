"""The shield of sign-up and sign-in: it slows guessing down and locks nobody out.

Two layers, both in Redis, and both refuse with 503 when Redis does not answer (never unlimited):

- **Windows** (django-ratelimit): so many attempts a minute and an hour, by client address, and by
  account from one address. Blunt, and cheap for us. No window is shared by several addresses:
  whoever filled it would keep the person out everywhere.
- **Ladders**: every wrong guess makes the wait before the next one longer. One ladder per account
  and address; a much looser one per account alone, for guesses that come from many addresses.

An address from which somebody signed in to the account in the last 30 days is *trusted*: the
ladder of the account as a whole does not apply to it, so strangers elsewhere cannot slow a person
down. On a new device under attack the way in is the reset link, because asking for it counts by
address alone, and who opens it calls ``succeeded`` and is trusted from there on.

An attempt is counted when it enters, as if it were going to be wrong, because of fifty attempts
at once all would pass otherwise. ``succeeded`` takes it back.

What a view that checks a password does::

    shield.check(request, group="login", email=email)      # raises TooManyAttempts, OutOfOrder
    ...                                                    # the domain call
    shield.failed(request, email)                          # wrong password, then raise on
    shield.succeeded(request, email)                       # signed in, second factor included

Emails and addresses are stored as keyed digests only.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.core.cache import caches
from django_ratelimit.core import get_usage
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted

from accounts.models import normalize_email
from tracker import clock, network
from tracker.api import OutOfOrder
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)


class TooManyAttempts(DomainError):
    code = "too_many_attempts"
    status = 429
    message = "Too many attempts. Please wait a moment and try again."


@dataclass(frozen=True, slots=True)
class Ladder:
    """After ``free`` failures the wait is ``first``, then twice that with each, up to ``longest``.

    Forgotten after ``memory`` without an attempt.
    """

    free: int
    first: timedelta
    longest: timedelta
    memory: timedelta


# By account and address, and for codes by person: 1 s after five failures, then 2, 4 … 15 min.
STEEP = Ladder(5, timedelta(seconds=1), timedelta(minutes=15), timedelta(days=1))
# By account alone. Loose and short, because strangers can climb it for somebody else.
LOOSE = Ladder(50, timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1))

# In these groups a secret is guessed, so a wrong attempt costs time. They share their ladders.
GUESSING = frozenset({"login", "reauthenticate", "admin"})


# --- passwords ----------------------------------------------------------------------------------
def check(request: Any, *, group: str, email: object = None) -> None:
    """Count this attempt; raises TooManyAttempts, or OutOfOrder when limits cannot be kept.

    ``group`` names the route; every group has windows of its own. Call it before the input is
    validated and before any work; ``email`` may be anything a caller sent.
    """
    if not settings.RATELIMIT_ENABLE:
        return
    address = network.client_address(request)
    for rate in settings.AUTH_SHIELD_RATES:
        _count(request, f"{group}.address", _digest(address), rate)
    if not isinstance(email, str) or not email:
        return
    account = _account(email)
    for rate in settings.AUTH_ACCOUNT_RATES:
        _count(request, f"{group}.account", _digest(account, address), rate)
    if group in GUESSING:
        _climb(_ladders(account, address, trusted=_is_trusted(account, address)))


def failed(request: Any, email: str) -> None:
    """The password was wrong: the wait before the next attempt starts now.

    Call it for unknown addresses too, or the wait would tell who has an account. Raises OutOfOrder.
    """
    address, account = network.client_address(request), _account(email)
    _restart(_ladders(account, address, trusted=_is_trusted(account, address)))


def succeeded(request: Any, email: str) -> None:
    """The person is who they say: forget the failures from this address, and trust it for a while.

    Call it once the person is signed in for good (after the second factor where there is one),
    after a reset by link, and after a fresh password check. Never raises: it only forgives.
    """
    address, account = network.client_address(request), _account(email)
    try:
        _forgive(_ladders(account, address, trusted=_is_trusted(account, address)))
        _trust(account, address)
    except OutOfOrder:
        log.warning("shield.redis_unavailable")


# --- codes --------------------------------------------------------------------------------------
def check_code(user_id: UUID) -> None:
    """Before a code of this person (second factor, recovery) is looked at: count the attempt.

    Raises TooManyAttempts, or OutOfOrder when limits cannot be kept. By person alone, because only
    who already knows the password, or has the session, gets to guess a code.
    """
    _climb(_code_ladder(user_id))


def code_failed(user_id: UUID) -> None:
    """The code was wrong: the wait before the next one starts now. Raises OutOfOrder."""
    _restart(_code_ladder(user_id))


def code_succeeded(user_id: UUID) -> None:
    """The code was right: forget the failures. Never raises."""
    try:
        _forgive(_code_ladder(user_id))
    except OutOfOrder:
        log.warning("shield.redis_unavailable")


# --- forgetting ---------------------------------------------------------------------------------
_FORGET = "return redis.call('DEL', unpack(KEYS))"


def forget(*, email: str, user_id: UUID, addresses: Iterable[str]) -> None:
    """Remove every ladder and every trust of a person from these addresses. Never raises.

    What was counted from other addresses lapses by itself: its digests cannot be made again.
    """
    account = _account(email)
    keys = [_key("password", account), _key("code", str(user_id))]
    for address in addresses:
        keys += [_key("password", account, address), _key("trust", account, address)]
    try:
        for start in range(0, len(keys), 1000):
            _run(_FORGET, keys[start : start + 1000])
    except OutOfOrder:
        log.warning("shield.redis_unavailable")


# --- windows ------------------------------------------------------------------------------------
def _count(request: Any, group: str, key: str, rate: str) -> None:
    try:
        usage = get_usage(
            getattr(request, "_request", request),
            group=group, key=lambda *_: key, rate=rate, increment=True,
        )  # fmt: skip
    except (redis.RedisError, ConnectionInterrupted, OSError):
        raise OutOfOrder from None
    if usage and usage["should_limit"]:
        raise TooManyAttempts(retry_after=max(1, usage["time_left"]))


# --- ladders ------------------------------------------------------------------------------------
_Rung = tuple[str, Ladder]

# One hash per ladder: failures, the moment from which the next attempt may come, the last attempt.
# Moments are ours, in milliseconds; Redis' own expiry only tidies up. Either every ladder lets
# the attempt in and counts it, or none does. Returns the milliseconds to wait.
_CLIMB = """
local now, wait = tonumber(ARGV[1]), 0
for i, key in ipairs(KEYS) do
  wait = math.max(wait, tonumber(redis.call('HGET', key, 'until') or 0) - now)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  local free, first = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local longest, memory = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local failures = tonumber(redis.call('HGET', key, 'failures') or 0)
  if now - tonumber(redis.call('HGET', key, 'last') or 0) > memory then failures = 0 end
  failures = failures + 1
  local pause = 0
  if failures >= free then pause = math.min(longest, first * 2 ^ (failures - free)) end
  redis.call('HSET', key, 'failures', failures, 'last', now, 'pause', pause, 'until', now + pause)
  redis.call('PEXPIRE', key, memory)
end
return 0
"""
_RESTART = """
for i, key in ipairs(KEYS) do
  local pause = tonumber(redis.call('HGET', key, 'pause') or 0)
  if pause > 0 then redis.call('HSET', key, 'until', tonumber(ARGV[1]) + pause) end
end
return 0
"""
# The first ladder is forgotten; a second one only loses the attempt that turned out right.
_FORGIVE = """
redis.call('DEL', KEYS[1])
if KEYS[2] and tonumber(redis.call('HGET', KEYS[2], 'failures') or 0) > 0 then
  redis.call('HINCRBY', KEYS[2], 'failures', -1)
end
return 0
"""


def _ladders(account: str, address: str, *, trusted: bool) -> list[_Rung]:
    near: _Rung = (_key("password", account, address), STEEP)
    return [near] if trusted else [near, (_key("password", account), LOOSE)]


def _code_ladder(user_id: UUID) -> list[_Rung]:
    return [(_key("code", str(user_id)), STEEP)]


def _climb(rungs: list[_Rung]) -> None:
    """Count an attempt on each ladder, or on none and raise TooManyAttempts."""
    numbers = [
        _milliseconds(value) if isinstance(value, timedelta) else value
        for _, ladder in rungs
        for value in (ladder.free, ladder.first, ladder.longest, ladder.memory)
    ]
    wait = _run(_CLIMB, [key for key, _ in rungs], _now(), *numbers)
    if wait > 0:
        raise TooManyAttempts(retry_after=-(-wait // 1000))


def _restart(rungs: list[_Rung]) -> None:
    _run(_RESTART, [key for key, _ in rungs], _now())


def _forgive(rungs: list[_Rung]) -> None:
    _run(_FORGIVE, [key for key, _ in rungs])


# --- trust --------------------------------------------------------------------------------------
_TRUST = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) and 1"
_TRUSTED_SINCE = "return redis.call('GET', KEYS[1]) or 0"


def _trust(account: str, address: str) -> None:
    if address != network.UNKNOWN:
        lasts = _milliseconds(settings.SESSION_LIFETIME)
        _run(_TRUST, [_key("trust", account, address)], _now(), lasts)


def _is_trusted(account: str, address: str) -> bool:
    since = _run(_TRUSTED_SINCE, [_key("trust", account, address)])
    return _now() - since < _milliseconds(settings.SESSION_LIFETIME)


# --- Redis --------------------------------------------------------------------------------------
def _run(script: str, keys: list[str], *arguments: int) -> int:
    if not settings.RATELIMIT_ENABLE:
        return 0
    try:
        return int(get_redis_connection("limits").eval(script, len(keys), *keys, *arguments))
    except (redis.RedisError, ConnectionInterrupted, OSError):
        raise OutOfOrder from None


def _key(kind: str, *parts: str) -> str:
    """A key that says neither who nor from where."""
    return caches["limits"].make_key(f"shield:{kind}:{_digest(*parts)}")


def _digest(*parts: str) -> str:
    """Keyed: addresses are few enough to try them all against a digest without a key."""
    text = "|".join(parts).encode()
    key = settings.SECRET_KEY.encode()[:64]
    return hashlib.blake2b(text, key=key, digest_size=24).hexdigest()


def _account(email: str) -> str:
    return _digest("account", normalize_email(email))


def _now() -> int:
    return int(clock.now().timestamp() * 1000)


def _milliseconds(period: timedelta) -> int:
    return period // timedelta(milliseconds=1)
