"""Running a backtest: once, however many workers take it up, and to an end that is said.

A job is a row with a lease that is renewed while it works; a dead worker's job is found by the
sweeper. Each claim counts one attempt, and a worker must still hold its attempt to write anything,
so one that comes back late changes nothing. A job whose candles are still being fetched goes back
to wait without using up an attempt.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.db.models import Q

from accounts import notifications
from accounts.notifications import Event
from audit import log as activity
from audit.actions import Action
from portfolios.backtesting import asking, computing, markets
from portfolios.backtesting.computing import Computed
from portfolios.backtesting.markets import Awaited, HasGaps, NoCandles, Wanted
from portfolios.models import Backtest, BacktestState
from portfolios.strategies.errors import Stopped, StrategyInvalid
from portfolios.strategies.market import BadMarket
from tracker import leases, tenancy
from tracker.leases import Lost
from tracker.logs import get_logger

log = get_logger(__name__)
LEASE = timedelta(minutes=2)
MOST_ATTEMPTS = 3
LOOK_AGAIN = timedelta(seconds=3)  # while candles are being fetched
_AFTERWARDS = timedelta(milliseconds=100)
LEFT_FOR = timedelta(seconds=30)  # what was not taken up by then was lost, or is in a long queue
PATIENCE = timedelta(hours=1)  # for candles
WORTH_TELLING = timedelta(seconds=30)  # who waited longer may have put the phone away
_TELL_EVERY_SECONDS = 0.5
State = BacktestState

FAULTS = {
    "no_candles": "No market of ours had candles of these assets in this range.",
    "has_gaps": "Candles are missing inside this range. Ask again with gaps filled, or for another "
    "range.",
    "candles_unavailable": "The exchanges did not give us the candles of this range. Please try "
    "again later.",
    "strategy_invalid": "This strategy cannot run on this range.",
    "took_too_long": "This backtest took too long. Ask for fewer values, a shorter range or a "
    "longer interval.",
    "failed": "This backtest failed on our side. Please try again.",
}


def run(*, backtest_id: UUID, clock: Callable[[], datetime]) -> bool:
    """Run a backtest that waits, or that a dead worker left; returns whether it is done now."""
    row = _claim(backtest_id, clock())
    if row is None:
        return False
    hold = _Hold(row, clock)
    try:
        return _finish(row, computing.compute(row, _market(row, clock()), told=hold.told,
                                              stop=hold.stop), clock())  # fmt: skip
    except Awaited:
        return _await(row, clock())
    except Stopped:
        _end(row, State.CANCELLED, clock())
    except Lost:
        pass
    except NoCandles:
        _fail(row, "no_candles", clock())
    except HasGaps as error:
        _fail(row, "has_gaps", clock(), gaps=markets.told(error.gaps, computing.codes_of(row)))
    except (StrategyInvalid, BadMarket) as error:
        _fail(row, "strategy_invalid", clock(), message=_first(error))
    except SoftTimeLimitExceeded:
        _fail(row, "took_too_long", clock())
    except Exception as error:  # whatever it is: the sweeper tries again, and then it is said
        log.error("backtest.failed", backtest=str(row.id), error=type(error).__name__)
        _put_off(row, clock())
    return False


def _market(row: Backtest, now: datetime) -> markets.Found:
    wanted = Wanted(tuple(row.assets), row.interval, row.since, row.until)
    markets.have_fetched(wanted, now=now)
    return markets.read(wanted, fills_gaps=row.fills_gaps, now=now)


def _first(error: Exception) -> str:
    if isinstance(error, StrategyInvalid):
        return error.problems[0].message
    return FAULTS["strategy_invalid"]


# --- holding it ---------------------------------------------------------------------------------
def _claim(backtest_id: UUID, now: datetime) -> Backtest | None:
    with tenancy.as_system("run backtest"):
        due = Q(looked_after=None) | Q(looked_after__lte=now)
        claimed = leases.take(
            Backtest.objects.filter(due, state__in=asking.OPEN, cancel_asked=False), backtest_id,
            now=now, lease=LEASE, most=MOST_ATTEMPTS, state=State.RUNNING, done=0,
        )  # fmt: skip
        return Backtest.objects.get(id=backtest_id) if claimed else None


def _held(row: Backtest) -> Any:
    return leases.held(row, state=State.RUNNING)


@dataclass
class _Hold:
    """Keeps the lease and tells how far it is, each half second at most; hears of a wish to stop.

    Raises Lost from either when the job is somebody else's.
    """

    row: Backtest
    clock: Callable[[], datetime]
    done: int = 0
    planned: int = 0
    _stopped: bool = False
    _next: float = field(default=0.0)

    def told(self, done: int, planned: int) -> None:
        self.done, self.planned = done, planned
        self._look()

    def stop(self) -> bool:
        self._look()
        return self._stopped

    def _look(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _TELL_EVERY_SECONDS
        with tenancy.as_user(self.row.user_id):
            held = _held(self.row)
            if not held.update(
                leased_until=self.clock() + LEASE, done=self.done, planned=self.planned
            ):
                raise Lost
            self._stopped = held.filter(cancel_asked=True).exists()
        asking.tell(self.row, State.RUNNING, done=self.done, total=self.planned)


# --- how it ended -------------------------------------------------------------------------------
def _finish(row: Backtest, found: Computed, now: datetime) -> bool:
    return _end(
        row, State.DONE, now, result=found.result, details=found.details,
        result_hash=found.result_hash,
    )  # fmt: skip


def _fail(row: Backtest, code: str, now: datetime, *, message: str = "", **facts: Any) -> None:
    _end(
        row, State.FAILED, now, error=code, message=(message or FAULTS[code])[:300],
        result=facts or None,
    )  # fmt: skip


def _end(row: Backtest, state: str, now: datetime, **changes: Any) -> bool:
    """Ended, told and logged in one transaction, by whoever still holds it."""
    with tenancy.as_user(row.user_id):
        if not _held(row).update(state=state, finished_at=now, leased_until=None, **changes):
            return False
        if state != State.CANCELLED:
            activity.record(
                Action.BACKTEST_FINISHED, user_id=row.user_id, backtest_id=str(row.id),
                outcome="done" if state == State.DONE else "failed",
            )  # fmt: skip
            _tell(row, state, now, changes.get("result"))
        asking.tell(row, state, done=row.done, total=row.planned)
    return True


def _tell(row: Backtest, state: str, now: datetime, result: Any) -> None:
    if now - row.created_at < WORTH_TELLING:
        return
    total = (result or {}).get("metrics", {}).get("total_return")
    notifications.notify(
        user_id=row.user_id, event=Event.BACKTEST_FINISHED, dedupe=str(row.id), now=now,
        backtest_id=row.id, strategy=row.strategy_name,
        outcome="done" if state == State.DONE else "failed",
        total_return="" if total is None else f"{float(total):+.1%}",
    )  # fmt: skip


def _await(row: Backtest, now: datetime) -> bool:
    """Candles are on their way: look again soon, for an hour."""
    since = row.awaited_since or now
    if now - since > PATIENCE:
        _fail(row, "candles_unavailable", now)
        return False
    with tenancy.as_user(row.user_id):
        # Until then every other message finds nothing to do; the sweeper is for a lost one.
        _held(row).update(
            state=State.WAITING, leased_until=None, attempts=0, awaited_since=since,
            looked_after=now + LOOK_AGAIN,
        )  # fmt: skip
        asking.tell(row, State.WAITING)
        wait = LOOK_AGAIN + _AFTERWARDS
        transaction.on_commit(lambda: asking.enqueue(row.id, wait=wait), robust=True)
    return False


def _put_off(row: Backtest, now: datetime) -> None:
    if row.attempts >= MOST_ATTEMPTS:
        _fail(row, "failed", now)
        return
    with tenancy.as_user(row.user_id):
        _held(row).update(state=State.WAITING, leased_until=None)


def sweep(*, now: datetime) -> int:
    """Queue what waits or was left by a dead worker, each once in a while; end what died too
    often. Returns how many there were."""
    with tenancy.as_system("sweep backtests"):
        rows = _left(now).defer("details", "result")
        left = list(rows.order_by("created_at")[:500])
        _left(now).filter(id__in=[row.id for row in left]).update(swept_at=now)
    for row in left:
        if row.cancel_asked and row.state == State.RUNNING:
            _end(row, State.CANCELLED, now)
        elif row.attempts < MOST_ATTEMPTS:
            asking.enqueue(row.id)
        elif row.state == State.RUNNING:
            _fail(row, "failed", now)
    return len(left)


def _left(now: datetime) -> Any:
    """What should be in somebody's hands and is in nobody's."""
    free = Q(leased_until=None, created_at__lt=now - LEFT_FOR) | Q(leased_until__lt=now)
    due = Q(looked_after=None) | Q(looked_after__lte=now - LEFT_FOR)
    fresh = Q(swept_at=None) | Q(swept_at__lt=now - LEFT_FOR)
    return Backtest.objects.filter(free, due, fresh, state__in=asking.OPEN)
