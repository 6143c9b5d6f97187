"""How far prices moved, minute by minute and hour by hour: the memory behind alerts on changes.

Kept in PostgreSQL of those prices alone that somebody watches for changes, so that a window is
known after a restart, and to the sweep. About nobody.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from portfolios.alerting import extremes
from portfolios.alerting.book import Pair, Quoted
from portfolios.alerting.extremes import HOUR, MINUTE, Range
from portfolios.models import PriceRange

LONGEST_WINDOW = timedelta(days=30)
_KEPT = {MINUTE: extremes.LONGEST_BY_MINUTES + HOUR, HOUR: LONGEST_WINDOW + timedelta(days=1)}
Window = tuple[UUID, str, timedelta]


def note(prices: Mapping[Pair, Quoted]) -> None:
    """Take prices into the step that each belongs to."""
    rows = [
        (*pair, step, extremes.step_at(quoted.as_of, step), quoted.usd)
        for pair, quoted in sorted(prices.items(), key=lambda item: (str(item[0][0]), item[0][1]))
        for step in _KEPT
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO price_ranges AS held (asset_id, currency, step, at, low, high)
            SELECT asset_id, currency, step, at, price, price
            FROM unnest(%s::uuid[], %s::text[], %s::interval[], %s::timestamptz[], %s::numeric[])
                AS seen (asset_id, currency, step, at, price)
            ON CONFLICT (asset_id, currency, step, at) DO UPDATE SET
                low = least(held.low, excluded.low), high = greatest(held.high, excluded.high)
            WHERE excluded.low < held.low OR excluded.high > held.high
            """,
            [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 5,
        )


def forget(*, now: datetime) -> int:
    """Delete what no window reaches any more; returns how many rows."""
    gone = 0
    for step, kept in _KEPT.items():
        gone += PriceRange.objects.filter(step=step, at__lt=now - kept).delete()[0]
    return gone


def of_windows(windows: Collection[Window], *, now: datetime) -> dict[Window, Range]:
    """The extremes of each window that ends now; one of which nothing is known is absent."""
    asked = list(windows)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.place, min(ranges.low), max(ranges.high)
            FROM unnest(%s::uuid[], %s::text[], %s::interval[], %s::timestamptz[])
                WITH ORDINALITY AS wanted (asset_id, currency, step, since, place)
            JOIN price_ranges AS ranges ON ranges.asset_id = wanted.asset_id
                AND ranges.currency = wanted.currency AND ranges.step = wanted.step
                AND ranges.at >= wanted.since AND ranges.at <= %s
            GROUP BY wanted.place
            """,
            [*_columns(asked, now), now],
        )
        return {asked[place - 1]: Range(low, high) for place, low, high in cursor.fetchall()}


def history(window: Window, *, now: datetime) -> list[tuple[datetime, Range]]:
    """The steps of one window, oldest first."""
    asset_id, currency, length = window
    rows = PriceRange.objects.filter(
        asset_id=asset_id, currency=currency, step=extremes.step_of(length),
        at__gte=now - length, at__lte=now,
    ).order_by("at")  # fmt: skip
    return [(at, Range(low, high)) for at, low, high in rows.values_list("at", "low", "high")]


def _columns(windows: Collection[Window], now: datetime) -> list[list[Any]]:
    return [
        [asset_id for asset_id, _, _ in windows],
        [currency for _, currency, _ in windows],
        [extremes.step_of(length) for _, _, length in windows],
        [now - length for _, _, length in windows],
    ]
