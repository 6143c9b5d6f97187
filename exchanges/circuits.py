"""A circuit breaker per exchange, shared by all workers through PostgreSQL.

When an exchange answers nobody, every account that is due would wait for its time-outs, and keep
workers from exchanges that do answer. So after ``ACCOUNTS`` accounts without any answer, and none
with one, the circuit opens: nothing is dispatched for half a minute, then one account tries (the
circuit is half open), and only when that is answered the others follow. Each failed try doubles
the pause, up to ten minutes.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import connection as database
from django.db.models import Q

from exchanges.models import ExchangeCircuit
from tracker.logs import get_logger

log = get_logger(__name__)
ACCOUNTS = 3  # without an answer in a row, before the circuit opens
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
LONGEST_TRY = timedelta(minutes=2)  # after which a worker that tried is taken for dead


class Circuit(StrEnum):
    """How an exchange is asked: as usual, by one account to try, or not at all."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


def standing(*, now: datetime) -> dict[str, Circuit]:
    """The exchanges whose circuit is not closed. Call inside ``as_system``."""
    rows = ExchangeCircuit.objects.filter(openings__gt=0)
    return {
        row.exchange_id: (
            Circuit.OPEN if row.open_until and row.open_until > now else Circuit.HALF_OPEN
        )
        for row in rows
    }


def trying(*, exchange: str, now: datetime) -> bool:
    """Take it upon oneself to try a half open circuit; False when somebody else does already."""
    free = Q(trying_until=None) | Q(trying_until__lte=now)
    return bool(
        ExchangeCircuit.objects.filter(
            free, exchange_id=exchange, openings__gt=0, open_until__lte=now
        ).update(trying_until=now + LONGEST_TRY)
    )


def note(*, exchange: str, answered: int, unanswered: int, now: datetime) -> None:
    """What a batch of visits met: accounts with any answer, and accounts without one."""
    if answered:
        _close(exchange, now)
    elif unanswered:
        _fail(exchange, unanswered, now)


def unreachable_since(exchanges: Iterable[str]) -> dict[str, datetime]:
    """Since when exchanges answer nobody; those that answer are left out."""
    rows = ExchangeCircuit.objects.filter(exchange_id__in=list(exchanges), openings__gt=0)
    return {row.exchange_id: row.failing_since for row in rows if row.failing_since}


def _close(exchange: str, now: datetime) -> None:
    """An exchange that is held by hand stays so, whatever answers what had begun before."""
    held = Q(held_until__gt=now)
    was_open = ExchangeCircuit.objects.filter(~held, exchange_id=exchange, openings__gt=0)
    if was_open.update(
        failures=0, openings=0, open_until=None, trying_until=None, failing_since=None,
        held_until=None,
    ):  # fmt: skip
        log.info("exchange.answers_again", exchange=exchange)
    failed = ExchangeCircuit.objects.filter(~held, exchange_id=exchange, failures__gt=0)
    failed.update(failures=0, failing_since=None)


_FAIL = """
INSERT INTO exchange_circuits AS circuit (exchange_id, failures, openings, failing_since)
VALUES (%(exchange)s, %(failed)s, 0, %(now)s)
ON CONFLICT (exchange_id) DO UPDATE SET
    failures = circuit.failures + excluded.failures,
    failing_since = coalesce(circuit.failing_since, excluded.failing_since)
"""


def _fail(exchange: str, failed: int, now: datetime) -> None:
    with database.cursor() as cursor:
        cursor.execute(_FAIL, {"exchange": exchange, "failed": failed, "now": now})
    row = ExchangeCircuit.objects.select_for_update().get(exchange_id=exchange)
    if row.open_until is not None and row.open_until > now:
        return  # visits that had begun before it opened
    if row.failures < ACCOUNTS and not row.openings:
        return
    pause = min(FIRST_PAUSE * 2 ** min(row.openings, 10), LONGEST_PAUSE)
    row.openings, row.open_until, row.trying_until = row.openings + 1, now + pause, None
    row.save(update_fields=["openings", "open_until", "trying_until"])
    log.warning("exchange.unreachable", exchange=exchange, pause_seconds=pause.total_seconds())
