"""Asking for backtests: what is asked is checked whole before anything is queued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction

from accounts.models import User
from audit import log as activity
from audit.actions import Action
from billing import entitlements
from exchanges import intervals
from exchanges.intervals import LENGTHS
from exchanges.models import Asset
from portfolios.backtesting import costs, definitions, keeping
from portfolios.backtesting.costs import Fee
from portfolios.models import Backtest, BacktestKind, BacktestState, Strategy
from portfolios.strategies import catalogue, running, sweeping
from portfolios.strategies.running import CUSTOM, Definition
from tracker import ids, live, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

BACKTEST_TASK = "portfolios.tasks.run_backtest"
MOST_BARS = 1_000_000  # bars × assets of one market
MOST_WORK = 200_000_000  # bars × assets × simulations
MOST_OPEN, MOST_KEPT = 3, 200
FOLDS, TRAIN_SHARE = 5, 0.7  # of walk-forward tests, unless they are told
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)  # no coin is older than the first block
OPEN = (BacktestState.WAITING, BacktestState.RUNNING)


class BacktestsBusy(DomainError):
    code = "backtests_busy"
    status = 409
    message = "Some of your backtests are still running. Please wait for them or cancel one."


class BacktestsFull(DomainError):
    code = "backtests_full"
    status = 409
    message = "You keep as many backtests as there can be. Please remove some first."


class BacktestEnded(DomainError):
    code = "backtest_ended"
    status = 409
    message = "This backtest has ended already."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for. Fee and slippage are shares; no fee means their own."""

    strategy_id: UUID
    kind: str
    options: Mapping[str, Any]
    assets: Sequence[UUID]
    interval: str
    since: datetime
    until: datetime | None
    cash: Decimal
    fee: Decimal | None
    slippage: Decimal
    fills_gaps: bool


def ask(*, user: User, asked: Asked, now: datetime) -> Backtest:
    """Queue a backtest.

    Raises NotFound (the strategy), InvalidInput, StrategyNotInPlan, CustomNotInPlan,
    BacktestsBusy, BacktestsFull.
    """
    since, until = _range(asked, now)
    with tenancy.as_user(user.id):
        User.objects.select_for_update(no_key=True).get(id=user.id)
        strategy = keeping.find(user_id=user.id, strategy_id=asked.strategy_id)
        definition = definitions.checked(
            kind=strategy.kind, parameters=strategy.parameters, rules=strategy.rules,
            granted=entitlements.for_user(user),
        )  # fmt: skip
        check_assets(asked.assets, definition)
        _check_work(asked, definition, bars=(until - since) // LENGTHS[asked.interval])
        _check_room(user.id)
        row = _row(user.id, strategy, definition, asked, (since, until), now)
        row.save(force_insert=True)
        activity.record(
            Action.BACKTEST_REQUESTED, user_id=user.id, backtest_id=str(row.id), kind=row.kind,
            strategy=row.definition["kind"],
        )  # fmt: skip
        transaction.on_commit(lambda: enqueue(row.id), robust=True)
    return row


def _row(
    user_id: UUID, strategy: Strategy, definition: Definition, asked: Asked,
    span: tuple[datetime, datetime], now: datetime,
) -> Backtest:  # fmt: skip
    fee = _fee(user_id, asked, now)
    return Backtest(
        id=ids.new_id(), user_id=user_id, strategy_id=strategy.id, strategy_name=strategy.name,
        definition=definitions.told(definition), kind=asked.kind,
        options=definitions.plain(dict(asked.options)), assets=list(asked.assets),
        interval=asked.interval, since=span[0], until=span[1], cash=asked.cash, fee=fee.share,
        fee_source=fee.source, slippage=asked.slippage, fills_gaps=asked.fills_gaps,
        created_at=now,
    )  # fmt: skip


def _fee(user_id: UUID, asked: Asked, now: datetime) -> Fee:
    if asked.fee is not None:
        return Fee(asked.fee, "given")
    return costs.usual(user_id=user_id, now=now)


def enqueue(backtest_id: UUID, *, wait: timedelta = timedelta(0)) -> None:
    """By name: the task calls this room, which therefore cannot import it."""
    current_app.send_task(
        BACKTEST_TASK, kwargs={"backtest_id": str(backtest_id)}, countdown=wait.total_seconds()
    )


def tell(row: Backtest, state: str, *, done: int = 0, total: int = 0) -> None:
    """Tell whoever looks at the app right now."""
    live.publish(
        user_id=row.user_id, topic=live.JOB,
        payload={"kind": "backtest", "id": row.id, "state": str(state), "done": done,
                 "total": total},
    )  # fmt: skip


# --- what can be asked --------------------------------------------------------------------------
def _range(asked: Asked, now: datetime) -> tuple[datetime, datetime]:
    """Whole intervals; the one that has not ended yet is left out."""
    if asked.interval not in LENGTHS:
        raise InvalidInput.of("interval", f"Use one of {', '.join(LENGTHS)}.", code="not_offered")
    latest = intervals.begins(now, asked.interval)
    until = min(asked.until or latest, latest)
    if asked.since < _EARLIEST:
        raise InvalidInput.of("from", "This lies before 2009, when there were no coins.")
    if asked.since >= until:
        raise InvalidInput.of("from", "This does not lie before the end of the range.")
    since, until = intervals.widened((asked.since, until), asked.interval)
    until = min(until, latest)
    bars = (until - since) // LENGTHS[asked.interval]
    if bars < 2:
        raise InvalidInput.of("from", "This range has fewer than two whole intervals.")
    if bars * len(asked.assets) > MOST_BARS:
        text = (
            f"One backtest reads at most {MOST_BARS:,} candles, and these are "
            f"{bars * len(asked.assets):,}. Ask for a shorter range or a longer interval."
        )
        raise InvalidInput.of("from", text, code="too_many_bars")
    return since, until


def check_assets(assets: Sequence[UUID], definition: Definition) -> None:
    """Raises InvalidInput where an asset is unknown or named twice, or their number is wrong."""
    if len(set(assets)) != len(assets):
        raise InvalidInput.of("assets", "An asset is named twice.", code="unique")
    known = Asset.objects.filter(id__in=assets).count()
    if known < len(assets):
        raise InvalidInput.of("assets", "There is no asset with this id.", code="not_found")
    fewest, most = _counts(definition)
    if not fewest <= len(assets) <= most:
        raise InvalidInput.of("assets", f"This strategy needs {fewest} to {most} assets.")


def _counts(definition: Definition) -> tuple[int, int]:
    if definition.kind == CUSTOM:
        return 1, catalogue.MOST_ASSETS
    one = catalogue.CATALOGUE[definition.kind]
    return one.fewest_assets, one.most_assets


def _check_work(asked: Asked, definition: Definition, *, bars: int) -> None:
    """Whatever would be refused while it runs, or run for ever, is refused now."""
    with definitions.refusing():
        running.checked_costs(
            cash=float(asked.cash), fee=float(asked.fee or 0), slippage=float(asked.slippage)
        )
    if asked.kind not in (BacktestKind.SWEEP, BacktestKind.WALK_FORWARD):
        if asked.options:
            text = "Only sweeps and walk-forward tests have options."
            raise InvalidInput.of("options", text, code="not_offered")
        return
    if definition.kind == CUSTOM:
        text = "Own rules have no parameters to vary."
        raise InvalidInput.of("options.grid", text, code="not_offered")
    with definitions.refusing():
        trials, _ = sweeping.combinations(
            definition.kind, definitions.plain(dict(asked.options.get("grid", {})))
        )
    # Stretches that choose overlap, so a walk goes over most bars once for each fold.
    walks = asked.kind == BacktestKind.WALK_FORWARD
    folds = int(asked.options.get("folds", FOLDS)) if walks else 1
    if len(trials) * bars * len(asked.assets) * folds > MOST_WORK:
        text = (
            f"This is {len(trials):,} simulations of {bars:,} bars, more than is computed at "
            "once. Ask for fewer values, a shorter range or a longer interval."
        )
        raise InvalidInput.of("options.grid", text, code="too_much_work")


def _check_room(user_id: UUID) -> None:
    rows = Backtest.objects.filter(user_id=user_id)
    if rows.filter(state__in=OPEN).count() >= MOST_OPEN:
        raise BacktestsBusy
    if rows.count() >= MOST_KEPT:
        raise BacktestsFull


# --- afterwards ---------------------------------------------------------------------------------
def find(*, user_id: UUID, backtest_id: UUID) -> Backtest:
    """One backtest with everything. Call inside ``as_user``. Raises NotFound."""
    row = Backtest.objects.filter(user_id=user_id, id=backtest_id).first()
    if row is None:
        raise NotFound
    return row


def cancel(*, user_id: UUID, backtest_id: UUID, now: datetime) -> Backtest:
    """Stop a backtest: at once while it waits, else at its next step.

    Raises NotFound, BacktestEnded.
    """
    with tenancy.as_user(user_id):
        rows = Backtest.objects.filter(user_id=user_id, id=backtest_id)
        row = rows.select_for_update().first()
        if row is None:
            raise NotFound
        if row.state == BacktestState.CANCELLED or row.cancel_asked:
            return row
        if row.state not in OPEN:
            raise BacktestEnded
        row.cancel_asked = True
        if row.state == BacktestState.WAITING:
            row.state, row.finished_at = BacktestState.CANCELLED, now
            tell(row, row.state)
        row.save(update_fields=["cancel_asked", "state", "finished_at"])
        activity.record(Action.BACKTEST_CANCELLED, user_id=user_id, backtest_id=str(row.id))
        return row


def remove(*, user_id: UUID, backtest_id: UUID) -> None:
    """Forget a backtest, be it running. Raises NotFound."""
    with tenancy.as_user(user_id):
        find(user_id=user_id, backtest_id=backtest_id).delete()
        activity.record(Action.BACKTEST_REMOVED, user_id=user_id, backtest_id=str(backtest_id))
