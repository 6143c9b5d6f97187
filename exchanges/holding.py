"""Leaving an exchange alone by hand: for a ban, or while it is found out what goes wrong there.

Two things are set. The key that a 429 sets holds back every call of every process that draws
weight, whatever it is for; not the exchange's clock, and not streams of prices. The open circuit
keeps accounts from being dispatched meanwhile, and tells people that the exchange is not read.
When the time is over one account tries, and the others follow its answer.
Both are undone by `release`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import redis
from django.conf import settings

from audit import log
from audit.actions import Action
from exchanges.gateway import budget
from exchanges.models import Exchange, ExchangeCircuit
from tracker import tenancy

LONGEST = timedelta(days=7)


class NotHeld(Exception):
    """Nothing was changed; the text says why."""


def hold(*, exchange: str, lasting: timedelta, now: datetime) -> datetime:
    """Have nobody ask an exchange; returns until when. Raises NotHeld."""
    _require(exchange)
    if not timedelta(0) < lasting <= LONGEST:
        raise NotHeld(f"a hold lasts for {LONGEST.days} days at most")
    with _redis() as client:
        for key in budget.stop_keys(exchange):
            client.set(key, 1, px=lasting)
    with tenancy.as_system("hold an exchange"):
        ExchangeCircuit.objects.update_or_create(
            exchange_id=exchange, create_defaults=_opened(now, lasting) | {"failing_since": now},
            defaults=_opened(now, lasting),
        )  # fmt: skip
        log.record(Action.EXCHANGE_HELD, user_id=None, exchange=exchange,
                   seconds=int(lasting.total_seconds()))  # fmt: skip
    return now + lasting


def release(*, exchange: str, now: datetime) -> bool:
    """Let one account try at once, and the others after it; False when nothing was held.

    Raises NotHeld.
    """
    _require(exchange)
    with _redis() as client:
        stopped = client.delete(*budget.stop_keys(exchange))
    with tenancy.as_system("release an exchange"):
        opened = ExchangeCircuit.objects.filter(exchange_id=exchange, open_until__gt=now).update(
            open_until=now, trying_until=None
        )
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


def _opened(now: datetime, lasting: timedelta) -> dict[str, object]:
    return {"failures": 0, "openings": 1, "open_until": now + lasting, "trying_until": None}


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
