"""Prices of the past: wanted, fetched in the background, stored once for everybody.

What is wanted stands in ``price_needs``; ``backfill_due`` fetches it. What no market had stays
absent, and is not asked for again. An asset that no market quotes is ``nowhere``, and is looked
for again after a week.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from exchanges import spans
from exchanges.closes import LENGTHS, Priced, days, floor_hour, hours, quoted_days
from exchanges.models import NeedState, PriceNeed
from exchanges.quoting import Desk
from exchanges.spans import Span
from tracker.logs import get_logger

__all__ = [
    "LENGTHS", "Priced", "Want", "backfill_due", "days", "floor_hour", "hours", "outstanding",
    "pending", "quoted_days", "unanswered", "waiting", "want",
]  # fmt: skip

log = get_logger(__name__)
LEASE = timedelta(seconds=30)  # renewed while its worker lives
RENEW_EVERY_SECONDS = 10.0
SETTLING = timedelta(minutes=2)  # how long after its end an interval is asked for
LOOK_AGAIN = timedelta(days=7)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=12)
PAGE = 1000  # intervals in one window, about what one call brings
_CLAIMING = "price needs"  # the lock of whoever picks


@dataclass(frozen=True, slots=True)
class Want:
    """A stretch [since, until) of one asset's prices that somebody's figures need.

    ``interval`` is ``"1d"`` or ``"1h"``; the stretch is widened to whole intervals.
    """

    asset_id: UUID
    interval: str
    since: datetime
    until: datetime


# --- wanting ------------------------------------------------------------------------------------


def want(*, needs: Iterable[Want]) -> int:
    """Note what is to be fetched; returns how many of the needs are still to be answered.

    Idempotent: what was asked for before, answered or not, is not noted again, so that 0 means
    that everything there is to know is known. Neighbouring needs become one.
    """
    wanted = _grouped(needs)
    known = _known({asset_id for asset_id, _ in wanted})
    awaited, fresh = 0, []
    for key, parts in wanted.items():
        noted = known.get(key, [])
        fresh += [(*key, *span) for span in spans.without(parts, (span for span, _ in noted))]
        settled = [span for span, state in noted if state != NeedState.OPEN]
        awaited += sum(bool(spans.without([part], settled)) for part in parts)
    _note(fresh)
    return awaited


def unanswered(*, needs: Iterable[Want]) -> list[Want]:
    """What of some needs markets may still say: not fetched yet, or quoted nowhere so far."""
    wanted = _grouped(needs)
    known = _known({asset_id for asset_id, _ in wanted})
    found = []
    for key, parts in wanted.items():
        done = [span for span, state in known.get(key, []) if state == NeedState.DONE]
        found += [Want(*key, *span) for span in spans.without(parts, done)]
    return found


def pending(*, asset_ids: Collection[UUID]) -> set[UUID]:
    """Which of these assets have prices that are still to be fetched."""
    rows = PriceNeed.objects.filter(asset_id__in=asset_ids, state=NeedState.OPEN)
    return set(rows.values_list("asset_id", flat=True).distinct())


def outstanding(*, now: datetime) -> int:
    """How many windows of prices are due to be fetched."""
    rows = PriceNeed.objects.filter(state=NeedState.OPEN, next_try_at__lte=now)
    grouped = _grouped(Want(*row) for row in rows.values_list(*_STRETCH))
    return sum(
        len(_windows(_over(parts, interval, now), interval))
        for (_, interval), parts in grouped.items()
    )


def waiting() -> int:
    """How many stretches wait because an exchange failed to answer."""
    return PriceNeed.objects.filter(state=NeedState.OPEN).exclude(error="").count()


_STRETCH = ("asset_id", "interval", "since", "until")


def _grouped(needs: Iterable[Want]) -> dict[tuple[UUID, str], list[Span]]:
    groups: dict[tuple[UUID, str], list[Span]] = {}
    for need in needs:
        span = spans.widened((need.since, need.until), LENGTHS[need.interval])
        groups.setdefault((need.asset_id, need.interval), []).append(span)
    return {key: spans.merged(parts) for key, parts in groups.items()}


def _known(asset_ids: Collection[UUID]) -> dict[tuple[UUID, str], list[tuple[Span, str]]]:
    """What was asked for before, by asset and interval: the stretch and how far it is."""
    found: dict[tuple[UUID, str], list[tuple[Span, str]]] = {}
    rows = PriceNeed.objects.filter(asset_id__in=asset_ids)
    for asset_id, interval, since, until, state in rows.values_list(*_STRETCH, "state"):
        found.setdefault((asset_id, interval), []).append(((since, until), state))
    return found


def _note(rows: Collection[tuple[UUID, str, datetime, datetime]]) -> None:
    """In one order, so that two writers never wait crosswise. Due as soon as it has begun."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: (str(row[0]), *row[1:]))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO price_needs AS needs
                (asset_id, interval, since, until, state, attempts, next_try_at, error, created_at)
            SELECT asset_id, interval, since, until, 'open', 0, since, '', now()
            FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
                AS wanted (asset_id, interval, since, until)
            ON CONFLICT (asset_id, interval, since) DO UPDATE
                SET until = greatest(needs.until, excluded.until), state = 'open'
            """,
            [list(column) for column in zip(*ordered, strict=True)],
        )


# --- fetching -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Job:
    """The open needs of one asset and interval, in one worker's hands."""

    asset_id: UUID
    interval: str
    needs: list[PriceNeed]

    @property
    def attempts(self) -> int:
        return max(need.attempts for need in self.needs)

    @property
    def spans(self) -> list[Span]:
        return spans.merged((need.since, need.until) for need in self.needs)


@dataclass(slots=True)
class _Outcome:
    """How far a job got: answered stretches, and what kept the rest open."""

    answered: list[Span]
    has_market: bool = False
    problem: str = ""


def backfill_due(
    *, now: datetime, limit: int = 200, report: Callable[[int], None] | None = None
) -> set[UUID]:
    """Fetch what is due, at most ``limit`` windows of a thousand prices.

    Returns the assets about which something is known now that was not: prices, or that there are
    none. Needs are leased to one worker at a time; what an exchange fails to answer waits, longer
    each time. ``report`` is told of windows as they are done. Network: call outside any
    transaction.
    """
    _look_again(now)
    desk, answered, left = Desk(settings.PRICE_EXCHANGES, now=now), set[UUID](), limit
    began = time.monotonic()
    while left > 0 and (job := _claim(now)):
        outcome = _Outcome([])
        with _lease_kept(job, lambda: now + timedelta(seconds=time.monotonic() - began)):
            for window in _windows(_over(job.spans, job.interval, now), job.interval)[:left]:
                _fetch(desk, job, window, outcome)
                left -= 1
                if report:
                    report(1)
        if _settle(job, outcome, now):
            answered.add(job.asset_id)
    return answered | desk.gained


def _look_again(now: datetime) -> None:
    rows = PriceNeed.objects.filter(state=NeedState.NOWHERE, next_try_at__lte=now)
    rows.update(state=NeedState.OPEN)


def _claim(now: datetime) -> _Job | None:
    """Take all due needs of one asset and interval that nobody has; the longest due first.

    They go to the end of the queue at once, so that a job which kills its worker does not stand
    before all the others for ever.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_CLAIMING])
        cursor.execute(
            """
            WITH chosen AS (
                SELECT asset_id, interval FROM price_needs AS due
                WHERE state = 'open' AND next_try_at <= %(now)s AND NOT EXISTS (
                    SELECT FROM price_needs AS held
                    WHERE held.asset_id = due.asset_id AND held.interval = due.interval
                      AND held.leased_until > %(now)s)
                ORDER BY next_try_at, id LIMIT 1
            )
            UPDATE price_needs AS needs
            SET leased_until = %(until)s, next_try_at = %(until)s, attempts = attempts + 1
            FROM chosen
            WHERE needs.asset_id = chosen.asset_id AND needs.interval = chosen.interval
              AND needs.state = 'open' AND needs.next_try_at <= %(now)s
            RETURNING needs.id
            """,
            {"now": now, "until": now + LEASE},
        )
        taken = [row[0] for row in cursor.fetchall()]
    needs = list(PriceNeed.objects.filter(id__in=taken).order_by("since"))
    return _Job(needs[0].asset_id, needs[0].interval, needs) if needs else None


@contextmanager
def _lease_kept(job: _Job, instant: Callable[[], datetime]) -> Iterator[None]:
    """Renew the lease of a job until its windows are read, however long exchanges take."""
    _renew(job, instant())
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(done, job, instant), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_until(done: threading.Event, job: _Job, instant: Callable[[], datetime]) -> None:
    try:
        while not done.wait(RENEW_EVERY_SECONDS):
            _renew_safely(job, instant())
    finally:
        connection.close()  # this thread's own


def _renew_safely(job: _Job, now: datetime) -> None:
    try:
        _renew(job, now)
    except Exception as error:  # the database may be away; the next renewal tries again
        log.warning("backfill.lease_not_renewed", error=type(error).__name__)
        connection.close()


def _renew(job: _Job, now: datetime) -> None:
    rows = PriceNeed.objects.filter(id__in=[need.id for need in job.needs])
    rows.update(leased_until=now + LEASE)


def _over(parts: Iterable[Span], interval: str, now: datetime) -> list[Span]:
    """What of some stretches is over, so that its prices are known."""
    closed = spans.floor(now - SETTLING, LENGTHS[interval])
    return [(since, min(until, closed)) for since, until in parts if since < closed]


def _windows(parts: Iterable[Span], interval: str) -> list[Span]:
    """Stretches to fetch at once: needs that one call can bring together are one window."""
    longest, windows = PAGE * LENGTHS[interval], list[Span]()
    for since, until in spans.merged(parts):
        if windows and until - windows[-1][0] <= longest:
            windows[-1] = windows[-1][0], until
        else:
            windows += spans.cut((since, until), longest)
    return windows


def _fetch(desk: Desk, job: _Job, window: Span, outcome: _Outcome) -> None:
    length = LENGTHS[job.interval]
    needed = spans.within(job.spans, window)
    wanted = [at for since, until in needed for at, _ in spans.cut((since, until), length)]
    answer = desk.closes(job.asset_id, job.interval, wanted)
    outcome.has_market |= answer.has_market or bool(answer.closes)
    outcome.answered += [(at, at + length) for at in answer.closes]
    if answer.problem and any(at not in answer.closes for at in wanted):
        outcome.problem = answer.problem
    else:
        outcome.answered += needed


def _settle(job: _Job, outcome: _Outcome, now: datetime) -> bool:
    """Write down what is answered and when the rest is due; tells whether anything is answered."""
    over = _over(job.spans, job.interval, now)
    if over and not outcome.has_market and not outcome.problem:
        states = [(span, NeedState.NOWHERE, now + LOOK_AGAIN) for span in over]
    else:
        due = now + _wait(job.attempts) if outcome.problem else now
        states = [(span, NeedState.OPEN, due) for span in spans.without(over, outcome.answered)]
    length = LENGTHS[job.interval]
    for since, until in spans.without(job.spans, over):
        states.append(((since, until), NeedState.OPEN, since + length + SETTLING))
    with transaction.atomic():
        PriceNeed.objects.filter(id__in=[need.id for need in job.needs]).delete()
        _add_answered(job, outcome.answered)
        _write(job, states, outcome.problem)
    return any(state == NeedState.NOWHERE for _, state, _ in states) or bool(outcome.answered)


def _wait(attempts: int) -> timedelta:
    """Doubles with each failure."""
    return min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)


def _add_answered(job: _Job, answered: list[Span]) -> None:
    """Answered stretches that touch become one row."""
    rows = PriceNeed.objects.filter(
        asset_id=job.asset_id, interval=job.interval, state=NeedState.DONE
    )
    before = {(row.since, row.until): row.id for row in rows}
    after = spans.merged([*before, *answered])
    rows.filter(id__in=[before[span] for span in before.keys() - set(after)]).delete()
    fresh = [(span, NeedState.DONE, span[0]) for span in after if span not in before]
    _write(job, fresh, "")


def _write(job: _Job, rows: Iterable[tuple[Span, NeedState, datetime]], problem: str) -> None:
    found = [
        PriceNeed(
            asset_id=job.asset_id, interval=job.interval, since=since, until=until, state=state,
            next_try_at=due, error=problem, attempts=job.attempts if problem else 0,
        )
        for (since, until), state, due in rows
    ]  # fmt: skip
    PriceNeed.objects.bulk_create(
        found, update_conflicts=True, unique_fields=["asset", "interval", "since"],
        update_fields=["until", "state", "next_try_at", "error", "attempts"],
    )  # fmt: skip
