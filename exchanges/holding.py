"""Leaving an exchange alone by hand: for a ban, or while it is found out what goes wrong there.

Two things are set. The key that a 429 sets holds back every call of every process that draws
weight, whatever it is for; not the exchange's clock, and not streams of prices. The open circuit
keeps accounts from being dispatched meanwhile, and tells people that the exchange is not read;
nothing that was under way closes or shortens it. When the time is over one account tries, and the
others follow its answer. Both are undone by `release`, which processes learn of within seconds.
A longer time, of an earlier hold or told by the exchange, is not cut short but by `release`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from audit import log
from audit.actions import Action
from exchanges.gateway import budget
from exchanges.gateway.errors import RateLimited
from exchanges.models import Exchange, ExchangeCircuit, ExchangeConnection
from tracker import tenancy

LONGEST = timedelta(days=7)


class NotHeld(Exception):
    """Nothing was changed; the text says why."""


def hold(*, exchange: str, lasting: timedelta, now: datetime) -> datetime:
    """Have nobody ask an exchange; returns until when. Raises NotHeld."""
    _require(exchange)
    if not timedelta(0) < lasting <= LONGEST:
        raise NotHeld(f"a hold lasts for {LONGEST.days} days at most")
    until = now + _held_back(exchange, lasting)
    with tenancy.as_system("hold an exchange"):
        ExchangeCircuit.objects.update_or_create(
            exchange_id=exchange, create_defaults=_opened(until) | {"failing_since": now},
            defaults=_opened(until) | {"failing_since": Coalesce("failing_since", Value(now))},
        )  # fmt: skip
        log.record(Action.EXCHANGE_HELD, user_id=None, exchange=exchange,
                   seconds=int(lasting.total_seconds()))  # fmt: skip
    return until


def release(*, exchange: str, now: datetime) -> bool:
    """Let one account try at once, and the others after it; False when nothing was held.

    Raises NotHeld.
    """
    _require(exchange)
    with _redis() as client:
        stopped = client.delete(*budget.stop_keys(exchange))
    with tenancy.as_system("release an exchange"):
        ExchangeCircuit.objects.filter(exchange_id=exchange).update(held_until=None)
        opened = ExchangeCircuit.objects.filter(exchange_id=exchange, open_until__gt=now).update(
            open_until=now, trying_until=None
        )
        _put_off(exchange).filter(next_sync_at__gt=now).update(next_sync_at=now)
        log.record(Action.EXCHANGE_RELEASED, user_id=None, exchange=exchange)
    return bool(stopped or opened)


def held() -> dict[str, timedelta]:
    """For how much longer exchanges are left alone in Redis, by hand or after a 429."""
    with tenancy.as_system("held exchanges"):
        names = list(Exchange.objects.values_list("id", flat=True))
    left: dict[str, timedelta] = {}
    with _redis() as client:
        for name in names:
            longest = max((int(client.pttl(key)) for key in budget.stop_keys(name)), default=0)
            if longest > 0:
                left[name] = timedelta(milliseconds=longest)
    return left


def _held_back(exchange: str, lasting: timedelta) -> timedelta:
    """For how long the calls of all processes are held back now: at least as long as asked."""
    keys = budget.stop_keys(exchange)
    with _redis() as client:
        pipe = client.pipeline(transaction=True)
        for key in keys:
            budget.lengthen(pipe, key, round(lasting.total_seconds() * 1000))
        for key in keys:
            pipe.pttl(key)
        left = pipe.execute()[-len(keys) :]
    return max(lasting, timedelta(milliseconds=max(left)))


def _put_off(exchange: str) -> QuerySet[ExchangeConnection]:
    """Accounts whose visits were told to wait for as long as the hold was to last."""
    return ExchangeConnection.objects.filter(exchange_id=exchange, reason=RateLimited.code)


def _opened(until: datetime) -> dict[str, Any]:
    return {"failures": 0, "openings": 1, "open_until": until, "held_until": until,
            "trying_until": None}  # fmt: skip


def _require(exchange: str) -> None:
    with tenancy.as_system("hold an exchange"):
        if not Exchange.objects.filter(id=exchange).exists():
            raise NotHeld(f"there is no exchange {exchange}")


@contextmanager
def _redis() -> Iterator[redis.Redis]:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
            yield client
    except redis.RedisError as error:
        raise NotHeld(f"Redis does not answer ({type(error).__name__})") from None
