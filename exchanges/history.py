"""Prices of the past: wanted, fetched in the background, stored once for everybody.

What is wanted stands in ``price_needs``: closes for the books, whole candles for charts.
``backfill_due`` fetches one kind. What no market had stays absent, and is not asked for again. An
asset that no market quotes is ``nowhere``, and is looked for again after a week.

A close is fetched when its interval is over. A candle that is still growing is fetched as it is;
its stretch stays open until the interval is over, and ``candles`` has it fetched anew meanwhile.
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

from exchanges import candle_table, closes, spans
from exchanges.closes import Priced, days, floor_hour, hours, quoted_days
from exchanges.intervals import LENGTHS, SETTLING
from exchanges.models import NeedKind, NeedState, PriceNeed
from exchanges.quoting import Desk, Shelf
from exchanges.spans import Span
from tracker.logs import get_logger

__all__ = [
    "LENGTHS", "Priced", "Want", "backfill_due", "days", "floor_hour", "hours", "outstanding",
    "pending", "quoted_days", "unanswered", "waiting", "want",
]  # fmt: skip

log = get_logger(__name__)
LEASE = timedelta(seconds=30)  # renewed while its worker lives
RENEW_EVERY_SECONDS = 10.0
LOOK_AGAIN = timedelta(days=7)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=12)
PAGE = 1000  # intervals in one window, about what one call brings
_CLAIMING = "price needs"  # the lock of whoever picks
_SHELVES: dict[str, Shelf] = {NeedKind.CLOSE: closes, NeedKind.CANDLE: candle_table}


@dataclass(frozen=True, slots=True)
class Want:
    """A stretch [since, until) of one asset's prices that somebody's figures need.

    ``interval`` is ``"1d"`` or ``"1h"``, for candles also ``"5m"`` or ``"15m"``; the stretch is
    widened to whole intervals.
    """

    asset_id: UUID
    interval: str
    since: datetime
    until: datetime


# --- wanting ------------------------------------------------------------------------------------


def want(*, needs: Iterable[Want], kind: str = NeedKind.CLOSE) -> int:
    """Note what is to be fetched; returns how many of the needs are still to be answered.

    Idempotent: what was asked for before, answered or not, is not noted again, so that 0 means
    that everything there is to know is known. Neighbouring needs become one.
    """
    wanted = _grouped(needs)
    known = _known({asset_id for asset_id, _ in wanted}, kind)
    awaited, fresh = 0, []
    for key, parts in wanted.items():
        noted = known.get(key, [])
        fresh += [(*key, *span) for span in spans.without(parts, (span for span, _ in noted))]
        settled = [span for span, state in noted if state != NeedState.OPEN]
        awaited += sum(bool(spans.without([part], settled)) for part in parts)
    _note(fresh, kind)
    return awaited


def unanswered(*, needs: Iterable[Want]) -> list[Want]:
    """Closes that markets may still tell: not fetched yet, or quoted nowhere so far."""
    wanted = _grouped(needs)
    known = _known({asset_id for asset_id, _ in wanted}, NeedKind.CLOSE)
    found = []
    for key, parts in wanted.items():
        done = [span for span, state in known.get(key, []) if state == NeedState.DONE]
        found += [Want(*key, *span) for span in spans.without(parts, done)]
    return found


def pending(*, asset_ids: Collection[UUID]) -> set[UUID]:
    """Which of these assets have closes that are still to be fetched."""
    rows = PriceNeed.objects.filter(
        asset_id__in=asset_ids, kind=NeedKind.CLOSE, state=NeedState.OPEN
    )
    return set(rows.values_list("asset_id", flat=True).distinct())


def outstanding(*, now: datetime) -> int:
    """How many windows of closes are due to be fetched."""
    rows = PriceNeed.objects.filter(kind=NeedKind.CLOSE, state=NeedState.OPEN, next_try_at__lte=now)
    grouped = _grouped(Want(*row) for row in rows.values_list(*_STRETCH))
    return sum(
        len(_windows(_over(parts, interval, now), interval))
        for (_, interval), parts in grouped.items()
    )


def waiting() -> int:
    """How many stretches of closes wait because an exchange failed to answer."""
    rows = PriceNeed.objects.filter(kind=NeedKind.CLOSE, state=NeedState.OPEN)
    return rows.exclude(error="").count()


_STRETCH = ("asset_id", "interval", "since", "until")


def _grouped(needs: Iterable[Want]) -> dict[tuple[UUID, str], list[Span]]:
    groups: dict[tuple[UUID, str], list[Span]] = {}
    for need in needs:
        span = spans.widened((need.since, need.until), LENGTHS[need.interval])
        groups.setdefault((need.asset_id, need.interval), []).append(span)
    return {key: spans.merged(parts) for key, parts in groups.items()}


def _known(
    asset_ids: Collection[UUID], kind: str
) -> dict[tuple[UUID, str], list[tuple[Span, str]]]:
    """What was asked for before, by asset and interval: the stretch and how far it is."""
    found: dict[tuple[UUID, str], list[tuple[Span, str]]] = {}
    rows = PriceNeed.objects.filter(asset_id__in=asset_ids, kind=kind)
    for asset_id, interval, since, until, state in rows.values_list(*_STRETCH, "state"):
        found.setdefault((asset_id, interval), []).append(((since, until), state))
    return found


def _note(rows: Collection[tuple[UUID, str, datetime, datetime]], kind: str) -> None:
    """In one order, so that two writers never wait crosswise. Due as soon as it has begun."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: (str(row[0]), *row[1:]))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO price_needs AS needs
                (asset_id, kind, interval, since, until, state, attempts, next_try_at, error,
                 created_at)
            SELECT asset_id, %s, interval, since, until, 'open', 0, since, '', now()
            FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
                AS wanted (asset_id, interval, since, until)
            ON CONFLICT (asset_id, kind, interval, since) DO UPDATE
                SET until = greatest(needs.until, excluded.until), state = 'open', asked_at = NULL
            """,
            [kind, *(list(column) for column in zip(*ordered, strict=True))],
        )


# --- fetching -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Job:
    """The open needs of one asset, kind and interval, in one worker's hands."""

    asset_id: UUID
    kind: str
    interval: str
    needs: list[PriceNeed]

    @property
    def attempts(self) -> int:
        return max(need.attempts for need in self.needs)

    @property
    def spans(self) -> list[Span]:
        return spans.merged((need.since, need.until) for need in self.needs)

    def over(self, now: datetime) -> list[Span]:
        """What is over, so that its prices stay as they are."""
        return _over(self.spans, self.interval, now)

    def askable(self, now: datetime) -> list[Span]:
        """What markets can be asked about: of candles also the one that is still growing."""
        if self.kind == NeedKind.CLOSE:
            return self.over(now)
        length = LENGTHS[self.interval]
        begun = spans.floor(now, length) + length
        return [(since, min(until, begun)) for since, until in self.spans if since < begun]


@dataclass(slots=True)
class _Outcome:
    """How far a job got: answered stretches, and what kept the rest open."""

    answered: list[Span]
    has_market: bool = False
    problem: str = ""


def backfill_due(
    *,
    now: datetime,
    kind: str = NeedKind.CLOSE,
    limit: int = 200,
    report: Callable[[int], None] | None = None,
) -> set[UUID]:
    """Fetch what is due of one kind, at most ``limit`` windows of a thousand prices.

    Returns the assets about which something is known now that was not: prices, or that there are
    none. Needs are leased to one worker at a time; what an exchange fails to answer waits, longer
    each time. ``report`` is told of windows as they are done. Network: call outside any
    transaction.
    """
    _look_again(kind, now)
    desk = Desk(settings.PRICE_EXCHANGES, now=now, shelf=_SHELVES[kind])
    answered, left = set[UUID](), limit
    began = time.monotonic()
    while left > 0 and (job := _claim(kind, now)):
        outcome = _Outcome([])
        with _lease_kept(job, lambda: now + timedelta(seconds=time.monotonic() - began)):
            for window in _windows(job.askable(now), job.interval)[:left]:
                _fetch(desk, job, window, outcome)
                left -= 1
                if report:
                    report(1)
        if _settle(job, outcome, now):
            answered.add(job.asset_id)
    return answered | desk.gained


def _look_again(kind: str, now: datetime) -> None:
    rows = PriceNeed.objects.filter(kind=kind, state=NeedState.NOWHERE, next_try_at__lte=now)
    rows.update(state=NeedState.OPEN, asked_at=None)


def _claim(kind: str, now: datetime) -> _Job | None:
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
                WHERE kind = %(kind)s AND state = 'open' AND next_try_at <= %(now)s AND NOT EXISTS (
                    SELECT FROM price_needs AS held
                    WHERE held.asset_id = due.asset_id AND held.kind = due.kind
                      AND held.interval = due.interval AND held.leased_until > %(now)s)
                ORDER BY next_try_at, id LIMIT 1
            )
            UPDATE price_needs AS needs
            SET leased_until = %(until)s, next_try_at = %(until)s, attempts = attempts + 1
            FROM chosen
            WHERE needs.asset_id = chosen.asset_id AND needs.interval = chosen.interval
              AND needs.kind = %(kind)s AND needs.state = 'open' AND needs.next_try_at <= %(now)s
            RETURNING needs.id
            """,
            {"kind": kind, "now": now, "until": now + LEASE},
        )
        taken = [row[0] for row in cursor.fetchall()]
    needs = list(PriceNeed.objects.filter(id__in=taken).order_by("since"))
    return _Job(needs[0].asset_id, kind, needs[0].interval, needs) if needs else None


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
    answer = desk.bars(job.asset_id, job.interval, wanted)
    outcome.has_market |= answer.has_market or bool(answer.bars)
    outcome.answered += [(at, at + length) for at in answer.bars]
    if answer.problem and any(at not in answer.bars for at in wanted):
        outcome.problem = answer.problem
    else:
        outcome.answered += needed


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A row to write: a stretch, how far it is, and when it is due."""

    span: Span
    state: NeedState
    due: datetime
    asked_at: datetime | None = None


def _settle(job: _Job, outcome: _Outcome, now: datetime) -> bool:
    """Write down what is answered and when the rest is due; tells whether anything is answered."""
    over = job.over(now)
    answered = spans.common(outcome.answered, over)
    known = job.askable(now)
    if known and not outcome.has_market and not outcome.problem:
        fresh = [_Fresh(span, NeedState.NOWHERE, now + LOOK_AGAIN) for span in known]
        growing = spans.without(job.spans, known)
    else:
        due = now + _wait(job.attempts) if outcome.problem else now
        fresh = [_Fresh(span, NeedState.OPEN, due) for span in spans.without(over, answered)]
        growing = spans.without(job.spans, over)
    fresh += _growing(job, growing, outcome, now)
    with transaction.atomic():
        PriceNeed.objects.filter(id__in=[need.id for need in job.needs]).delete()
        _add_answered(job, answered)
        _write(job, fresh, outcome.problem)
    return any(row.state == NeedState.NOWHERE for row in fresh) or bool(outcome.answered)


def _growing(
    job: _Job, parts: Iterable[Span], outcome: _Outcome, now: datetime
) -> Iterable[_Fresh]:
    """What is not over: due when its first interval is, or when the exchange is asked again."""
    length = LENGTHS[job.interval]
    for since, until in parts:
        due = since + length + SETTLING
        told = spans.within(outcome.answered, (since, until))
        if outcome.problem:
            due = min(due, now + _wait(job.attempts))
        elif job.kind == NeedKind.CANDLE and not told and since <= now:
            due = now  # the run ended before it came to this
        yield _Fresh((since, until), NeedState.OPEN, due, asked_at=now if told else None)


def _wait(attempts: int) -> timedelta:
    """Doubles with each failure."""
    return min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)


def _add_answered(job: _Job, answered: list[Span]) -> None:
    """Answered stretches that touch become one row."""
    rows = PriceNeed.objects.filter(
        asset_id=job.asset_id, kind=job.kind, interval=job.interval, state=NeedState.DONE
    )
    before = {(row.since, row.until): row.id for row in rows}
    after = spans.merged([*before, *answered])
    rows.filter(id__in=[before[span] for span in before.keys() - set(after)]).delete()
    fresh = [_Fresh(span, NeedState.DONE, span[0]) for span in after if span not in before]
    _write(job, fresh, "")


def _write(job: _Job, rows: Iterable[_Fresh], problem: str) -> None:
    found = [
        PriceNeed(
            asset_id=job.asset_id, kind=job.kind, interval=job.interval, since=row.span[0],
            until=row.span[1], state=row.state, next_try_at=row.due, asked_at=row.asked_at,
            error=problem, attempts=job.attempts if problem else 0,
        )
        for row in rows
    ]  # fmt: skip
    PriceNeed.objects.bulk_create(
        found, update_conflicts=True, unique_fields=["asset", "kind", "interval", "since"],
        update_fields=["until", "state", "next_try_at", "asked_at", "error", "attempts"],
    )  # fmt: skip
