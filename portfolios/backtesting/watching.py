"""Strategies that watch: as each candle closes, what they would do. Nothing is traded.

A watch looks at candles from a fixed moment on, so that what counts bars (every 30 days) counts
the same ones each time. What it holds is what the strategy would hold had it traded on paper,
without costs, from then on. A candle that was missed is judged late; people are told only while
that is news.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from celery import current_app
from django.db import connection, transaction

from accounts import notifications
from accounts.models import User
from accounts.notifications import Event
from audit import log as activity
from audit.actions import Action
from billing import entitlements
from exchanges import crossing, intervals
from exchanges.intervals import LENGTHS, SETTLING
from exchanges.models import Asset
from portfolios.backtesting import asking, definitions, keeping, markets, results
from portfolios.backtesting.definitions import CustomNotInPlan, StrategyNotInPlan
from portfolios.backtesting.markets import Awaited, HasGaps, NoCandles, Wanted
from portfolios.models import Strategy, StrategySignal, StrategyWatch
from portfolios.strategies import catalogue, running
from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import StrategyInvalid
from portfolios.strategies.market import Floats, Market
from portfolios.strategies.outcome import Outcome
from portfolios.strategies.running import Definition
from tracker import ids, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound
from tracker.logs import get_logger

log = get_logger(__name__)
JUDGE_TASK = "portfolios.tasks.judge_watch"
AT_ONCE = 500
FEWEST_BARS, MOST_BARS = 300, 20_000  # of the past that a watch looks at
LOOK_AGAIN = timedelta(seconds=20)  # while a candle is being fetched
LOOK_AGAIN_LATER = timedelta(hours=1)  # after something that does not mend by itself soon
NEWS = 2  # people are told while the candle closed less than so many intervals ago
_LEAST_MOVE = 1e-3  # of the whole: smaller ones are no signal
MOST_WATCHES = 10
Kind = StrategySignal.Action


class WatchesFull(DomainError):
    code = "watches_full"
    status = 409
    message = "As many of your strategies watch as can at once. Please end one of them first."


# --- asking -------------------------------------------------------------------------------------
def watch(
    *, user: User, strategy_id: UUID, assets: Sequence[UUID], interval: str, now: datetime
) -> StrategyWatch:
    """Have a strategy watch some assets, or what the person owns where none are named.

    Replaces what it watched before. Raises NotFound, InvalidInput, StrategyNotInPlan,
    CustomNotInPlan.
    """
    if interval not in LENGTHS:
        raise InvalidInput.of("interval", f"Use one of {', '.join(LENGTHS)}.", code="not_offered")
    with tenancy.as_user(user.id):
        strategy = keeping.find(user_id=user.id, strategy_id=strategy_id)
        definitions.check_plan(strategy.kind, entitlements.for_user(user))
        _check_room(user.id, strategy.id)
        if assets:
            asking.check_assets(assets, definitions.stored(_told(strategy)))
        row, _ = StrategyWatch.objects.update_or_create(
            user_id=user.id, strategy_id=strategy.id,
            defaults={
                "assets": list(assets), "interval": interval, "created_at": now, "error": "",
                "judged_through": intervals.begins(now, interval), "next_check_at": now,
                "wanted": {},
            },
        )  # fmt: skip
        activity.record(
            Action.STRATEGY_WATCHED, user_id=user.id, strategy_id=str(strategy.id),
            interval=interval,
        )  # fmt: skip
        transaction.on_commit(lambda: _enqueue(row.id), robust=True)
        return row


def _check_room(user_id: UUID, strategy_id: UUID) -> None:
    """Judging costs a worker's time at each candle. Changes of one person come one by one."""
    User.objects.select_for_update(no_key=True).get(id=user_id)
    others = StrategyWatch.objects.filter(user_id=user_id).exclude(strategy_id=strategy_id)
    if others.count() >= MOST_WATCHES:
        raise WatchesFull


def unwatch(*, user_id: UUID, strategy_id: UUID) -> None:
    """Have it watch no longer; its signals stay. Raises NotFound."""
    with tenancy.as_user(user_id):
        gone, _ = StrategyWatch.objects.filter(user_id=user_id, strategy_id=strategy_id).delete()
        if not gone:
            raise NotFound
        activity.record(Action.STRATEGY_UNWATCHED, user_id=user_id, strategy_id=str(strategy_id))


def _told(strategy: Strategy) -> dict[str, Any]:
    return {
        "kind": strategy.kind, "parameters": strategy.parameters, "rules": strategy.rules
    }  # fmt: skip


def _enqueue(watch_id: UUID) -> None:
    current_app.send_task(JUDGE_TASK, kwargs={"watch_id": str(watch_id)})


# --- each candle --------------------------------------------------------------------------------
def dispatch(*, now: datetime) -> int:
    """Queue the watches that are due; each is put off, so that it is not queued twice meanwhile."""
    with tenancy.as_system("dispatch watches"), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE strategy_watches SET next_check_at = %(later)s WHERE id = ANY(ARRAY(
                SELECT strategy_watches.id FROM strategy_watches
                JOIN users ON users.id = strategy_watches.user_id
                WHERE next_check_at <= %(now)s AND users.is_active
                ORDER BY next_check_at LIMIT %(most)s FOR UPDATE OF strategy_watches SKIP LOCKED
            )) RETURNING id
            """,
            {"now": now, "later": now + 3 * LOOK_AGAIN, "most": AT_ONCE},
        )
        due = [row[0] for row in cursor.fetchall()]
    for watch_id in due:
        _enqueue(watch_id)
    return len(due)


def judge(*, watch_id: UUID, now: datetime) -> int:
    """Judge the candles that have closed since the last time; returns how many signals are new."""
    with tenancy.as_system("judge watch"):
        row = StrategyWatch.objects.select_related("strategy", "user").filter(id=watch_id).first()
        if row is None or not row.user.is_active:
            return 0
        assets = row.assets or _owned(row)
    try:
        definition = _permitted(row, now)
        seen = _seen(row, assets, definition, now)
        paper = running.simulate(seen, definition, cash=1.0, fee=0.0, slippage=0.0)
        found = list(_signals(row, running.decide(seen, definition), paper))
    except Awaited:
        return _put_off(row, now + LOOK_AGAIN, "")
    except (NoCandles, HasGaps):
        return _put_off(row, now + LOOK_AGAIN_LATER, "no_candles")
    except (StrategyInvalid, StrategyNotInPlan, CustomNotInPlan) as error:
        code = error.code if not isinstance(error, StrategyInvalid) else "strategy_invalid"
        return _put_off(row, now + LOOK_AGAIN_LATER, code)
    return _store(row, paper, found, now)


def _permitted(row: StrategyWatch, now: datetime) -> Definition:
    with tenancy.as_user(row.user_id):
        granted = entitlements.for_user(row.user, now=now)
    definitions.check_plan(row.strategy.kind, granted)
    return definitions.stored(_told(row.strategy))


# The largest holdings that markets quote. Money of states is no asset to trade into.
_OWNED = """
    SELECT holdings.asset_id FROM holdings
    JOIN assets ON assets.id = holdings.asset_id AND NOT assets.is_fiat
    JOIN prices ON prices.asset_id = holdings.asset_id
    WHERE holdings.user_id = %(user_id)s AND assets.code <> ALL(%(dollars)s)
    GROUP BY holdings.asset_id, prices.usd
    HAVING sum(holdings.quantity) > 0
    ORDER BY sum(holdings.quantity) * prices.usd DESC LIMIT %(most)s
"""


def _owned(row: StrategyWatch) -> list[UUID]:
    most = catalogue.MOST_ASSETS
    if row.strategy.kind != running.CUSTOM:
        most = catalogue.CATALOGUE[row.strategy.kind].most_assets
    with connection.cursor() as cursor:
        cursor.execute(
            _OWNED,
            {"user_id": row.user_id, "dollars": list(crossing.STABLECOINS), "most": most},
        )
        return sorted(found[0] for found in cursor.fetchall())


def _seen(
    row: StrategyWatch, assets: Sequence[UUID], definition: Definition, now: datetime
) -> Market:
    """The candles that a watch looks at, all closed. Raises Awaited, NoCandles."""
    if not assets:
        raise NoCandles
    length = LENGTHS[row.interval]
    until = intervals.begins(now - SETTLING, row.interval)
    before = max(FEWEST_BARS, 2 * definition.warm_up()) * length
    since = intervals.begins(row.created_at, row.interval) - before
    # The window moves seldom and far, so that bars are counted alike for long.
    while (until - since) // length > MOST_BARS:
        since += MOST_BARS // 2 * length
    wanted = Wanted(tuple(assets), row.interval, since, until)
    markets.have_fetched(wanted, now=now)
    found = markets.read(wanted, fills_gaps=True, now=now)
    if int(found.market.at[-1]) + found.market.length < until.timestamp():
        raise Awaited if _may_come(found.market, row, until) else NoCandles
    return found.market


def _may_come(market: Market, row: StrategyWatch, until: datetime) -> bool:
    """Whether the newest candle is only late, and not one that no market will ever have."""
    late = until.timestamp() - (int(market.at[-1]) + market.length)
    return late <= LENGTHS[row.interval].total_seconds() * NEWS


@dataclass(frozen=True, slots=True)
class Signal:
    """What to do with one asset as a bar closed; shares are of the whole."""

    asset: UUID
    at: datetime
    action: str
    before: float
    wanted: float
    price: float


def _signals(row: StrategyWatch, decisions: Decisions, paper: Outcome) -> Iterator[Signal]:
    market = paper.market
    shares = paper.units * market.close / paper.equity
    judged = row.judged_through.timestamp() if row.judged_through else 0.0
    for place, bar in enumerate(decisions.at.tolist()):
        closes_at = int(market.at[bar]) + market.length
        if closes_at <= judged:
            continue
        targets = decisions.targets[:, place]
        spent = None if decisions.spend is None else decisions.spend[:, place]
        wanted = _wanted(targets, spent, shares[:, bar], float(paper.equity[bar]))
        yield from _changes(market, bar, closes_at, shares[:, bar], wanted)


def _wanted(targets: Floats, spent: Floats | None, before: Floats, equity: float) -> Floats:
    """Shares after the order: a target where there is one, more of what is bought for cash."""
    wanted = np.where(np.isnan(targets), before, targets)
    return wanted if spent is None else wanted + np.nan_to_num(spent) / equity


def _changes(
    market: Market, bar: int, closes_at: int, before: Floats, wanted: Floats
) -> Iterator[Signal]:
    for asset, name in enumerate(market.assets):
        old, new = float(before[asset]), float(wanted[asset])
        if abs(new - old) < _LEAST_MOVE:
            continue
        yield Signal(
            UUID(name), datetime.fromtimestamp(closes_at, UTC), _action(old, new), old, new,
            float(market.close[asset, bar]),
        )  # fmt: skip


def _action(old: float, new: float) -> str:
    if old < _LEAST_MOVE:
        return Kind.BUY
    if new < _LEAST_MOVE:
        return Kind.SELL
    return Kind.INCREASE if new > old else Kind.REDUCE


# --- storing and telling ------------------------------------------------------------------------
def _store(row: StrategyWatch, paper: Outcome, found: Sequence[Signal], now: datetime) -> int:
    market = paper.market
    closed = datetime.fromtimestamp(int(market.at[-1]) + market.length, UTC)
    shares = paper.units_after[:, -1] * market.close[:, -1] / paper.equity[-1]
    holds = {
        name: results.number(float(one)) for name, one in zip(market.assets, shares, strict=True)
    }
    with tenancy.as_user(row.user_id):
        # The watch as it was judged: another one may stand there by now.
        held = StrategyWatch.objects.filter(
            id=row.id, user_id=row.user_id, created_at=row.created_at,
            judged_through=row.judged_through,
        )  # fmt: skip
        if not held.update(
            judged_through=max(closed, row.judged_through or closed), wanted=holds, error="",
            next_check_at=intervals.ends(closed, row.interval) + SETTLING,
        ):  # fmt: skip
            return 0
        rows = [_stored(row, one, now) for one in found]
        StrategySignal.objects.bulk_create(rows, ignore_conflicts=True)
        fresh = now - NEWS * LENGTHS[row.interval]
        _tell(row, [one for one in rows if one.at > fresh], now)
    return len(rows)


def _stored(row: StrategyWatch, one: Signal, now: datetime) -> StrategySignal:
    return StrategySignal(
        id=ids.new_id(), user_id=row.user_id, strategy_id=row.strategy_id, asset_id=one.asset,
        interval=row.interval, at=one.at, action=one.action, created_at=now,
        share_before=_decimal(one.before), share_wanted=_decimal(one.wanted),
        price=Decimal(results.exact(one.price) or 0),
    )  # fmt: skip


def _decimal(value: float) -> Decimal:
    return Decimal(results.number(value) or 0)


def _tell(row: StrategyWatch, signals: Sequence[StrategySignal], now: datetime) -> None:
    codes: Mapping[UUID, str] = dict(
        Asset.objects.filter(id__in=[one.asset_id for one in signals]).values_list("id", "code")
    )
    for one in signals:
        notifications.notify(
            user_id=row.user_id, event=Event.STRATEGY_SIGNAL, dedupe=f"{row.id}:{one.asset_id}:"
            f"{one.at.isoformat()}", now=now, strategy_id=row.strategy_id, signal_id=one.id,
            strategy=row.strategy.name, code=codes.get(one.asset_id, ""), action=str(one.action),
            price=f"{one.price.normalize():f} USD", at=one.at,
        )  # fmt: skip


def _put_off(row: StrategyWatch, until: datetime, error: str) -> int:
    with tenancy.as_user(row.user_id):
        StrategyWatch.objects.filter(
            id=row.id, user_id=row.user_id, created_at=row.created_at
        ).update(next_check_at=until, error=error)
    return 0
