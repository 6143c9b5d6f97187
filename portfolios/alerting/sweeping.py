"""Each minute, every alert is checked against what PostgreSQL and Redis know.

The watcher sees a price within a second of its tick; this sees what the watcher does not: prices
that are polled, portfolios, and everything while the watcher or Redis is away. Both settle through
``firing``, so an alert is told once. Only what a figure reaches is read, by an index.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from portfolios.alerting import conditions, figures, firing, ranges
from portfolios.alerting.book import Pair, Quoted
from portfolios.alerting.figures import Market, Subject
from portfolios.alerting.firing import Judgement
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
AT_MOST = 10_000  # that are settled in one sweep; the next takes the others


def sweep(*, now: datetime) -> int:
    """Settle whatever has come true or has gone back; returns how many people were told.

    Idempotent; two at once tell once.
    """
    with tenancy.as_system("which alerts there are"):
        subjects = _subjects()
    market = Market(subjects, now=now)  # asks Redis, so outside the transaction
    with tenancy.as_system("check alerts"):
        ranges.note(_moving(subjects, market))
        ranges.forget(now=now)
        due = _due(list(_known(subjects, market, now)))
    if len(due) == AT_MOST:
        log.warning("alerts.sweep_full", most=AT_MOST)
    return sum(_settled(one, now) for one in due)


def _settled(one: Judgement, now: datetime) -> bool:
    """Whether somebody was told. One that cannot be settled must not hold up the others."""
    try:
        return firing.settle(one, now=now) and one.told
    except (OperationalError, InterfaceError):
        raise  # the database is gone, for all of them
    except Exception as error:  # whatever it is, such as of who is being erased just now
        log.error("alerts.not_settled", alert=str(one.alert_id), error=type(error).__name__)
        return False


_SUBJECTS = """
SELECT DISTINCT alerts.kind, alerts.asset_id, alerts.currency, alerts.direction, alerts."window",
       CASE WHEN alerts.asset_id IS NULL THEN alerts.user_id END
FROM price_alerts AS alerts
WHERE alerts.state = 'active'
"""


def _subjects() -> list[Subject]:
    with connection.cursor() as cursor:
        cursor.execute(_SUBJECTS)
        return [Subject(*row) for row in cursor.fetchall()]


def _moving(subjects: Collection[Subject], market: Market) -> dict[Pair, Quoted]:
    """The prices that are watched for changes."""
    pairs = {one.pair for one in subjects if one.pair and one.window}
    return {pair: price for pair in pairs if (price := market.fresh(pair))}


# --- what is due --------------------------------------------------------------------------------
class _Known(NamedTuple):
    """A figure that may tell something, as the statement takes it."""

    kind: str
    rises: bool
    asset_id: UUID | None
    currency: str
    direction: str
    window: timedelta | None
    user_id: UUID | None
    figure: Decimal
    shown: Decimal
    as_of: datetime


def _known(subjects: Collection[Subject], market: Market, now: datetime) -> Iterator[_Known]:
    """Figures that are complete and fresh. A missing one, or one in doubt, is no reason."""
    for subject, found in figures.of(subjects, market, now=now).items():
        if found.value is None or found.status != "complete":
            continue
        as_of = now
        if subject.pair:
            price = market.fresh(subject.pair)
            if price is None:
                continue
            as_of = price.as_of
        moves = subject.kind == conditions.PRICE_CHANGE
        yield _Known(
            subject.kind, subject.kind in conditions.RISING, *subject[1:],
            abs(found.value) if moves else found.value, found.value, as_of,
        )  # fmt: skip


_FOUND = """
SELECT alerts.id, alerts.user_id, alerts.threshold, {told}, figures.shown, figures.as_of
FROM figures
JOIN price_alerts AS alerts ON alerts.kind = figures.kind AND {same}
JOIN users ON users.id = alerts.user_id AND users.is_active
WHERE alerts.state = 'active' AND alerts.judged_at < figures.as_of AND {reached}
"""
# Each as an index or the person reaches it; null is equal to nothing.
_PRICES = "alerts.asset_id = figures.asset_id AND alerts.currency = figures.currency"
_SAME = (
    f'{_PRICES} AND alerts."window" IS NULL',
    f'{_PRICES} AND alerts."window" = figures."window" AND alerts.direction = figures.direction',
    "alerts.user_id = figures.user_id AND alerts.currency = figures.currency"
    ' AND alerts."window" IS NULL AND figures."window" IS NULL',
    'alerts.user_id = figures.user_id AND alerts."window" = figures."window"',
)
# As ``conditions.reached`` and ``conditions.gone_back`` have it.
_REACHED = (
    ("true", "alerts.armed AND figures.rises AND alerts.threshold <= figures.figure"),
    ("true", "alerts.armed AND NOT figures.rises AND alerts.threshold >= figures.figure"),
    (
        "false",
        """NOT alerts.armed AND CASE WHEN figures.rises
            THEN figures.figure < alerts.threshold * (1 - alerts.hysteresis / 100)
            ELSE figures.figure > alerts.threshold * (1 + alerts.hysteresis / 100) END""",
    ),
)
_JUDGE = f"""
WITH figures AS MATERIALIZED (
    SELECT * FROM unnest(%s::text[], %s::bool[], %s::uuid[], %s::text[], %s::text[],
                         %s::interval[], %s::uuid[], %s::numeric[], %s::numeric[],
                         %s::timestamptz[])
        AS f (kind, rises, asset_id, currency, direction, "window", user_id, figure, shown, as_of)
)
{
    " UNION ALL ".join(
        _FOUND.format(same=same, told=told, reached=reached)
        for same in _SAME
        for told, reached in _REACHED
    )
}
LIMIT {AT_MOST}
"""  # noqa: S608  (all parts are ours)


def _due(known: list[_Known]) -> list[Judgement]:
    if not known:
        return []
    columns: list[list[Any]] = [list(column) for column in zip(*known, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_JUDGE, columns)
        return [Judgement(*row) for row in cursor.fetchall()]
