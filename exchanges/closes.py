"""The table of past prices: what one unit cost in US dollars when a UTC day or an hour ended."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from django.db import connection

from exchanges import bars
from exchanges.bars import Bar
from exchanges.models import HistoricPrice, PriceInterval
from exchanges.spans import Span

WHOLE = False  # of a candle nothing but its close is kept
Priced = tuple[Decimal, str]  # US dollars for one unit, and the source


def days(
    *, asset_ids: Collection[UUID], since: date, until: date
) -> dict[UUID, dict[date, Priced]]:
    """Closes of UTC days from ``since`` to ``until``, both included: US dollars and the source.

    A day without a price is absent, and so is an asset without any.
    """
    found: dict[UUID, dict[date, Priced]] = {}
    for asset_id, at, usd, source in _closes(asset_ids, since, until):
        found.setdefault(asset_id, {})[at] = usd, source
    return found


def quoted_days(*, asset_ids: Collection[UUID], since: date, until: date) -> dict[UUID, list[date]]:
    """The UTC days from ``since`` to ``until``, both included, that have a close, in order."""
    rows = HistoricPrice.objects.filter(
        asset_id__in=asset_ids, interval=PriceInterval.DAY,
        at__gte=_midnight(since), at__lte=_midnight(until),
    ).order_by("at")  # fmt: skip
    found: dict[UUID, list[date]] = {}
    for asset_id, at in rows.values_list("asset_id", "at"):
        found.setdefault(asset_id, []).append(at.astimezone(UTC).date())
    return found


def hours(*, wanted: Collection[tuple[UUID, datetime]]) -> dict[tuple[UUID, datetime], Priced]:
    """Closes of hours by asset and first instant of the hour: US dollars and the source.

    ``wanted`` names assets and instants at which hours begin (``floor_hour``).
    """
    keys = list(set(wanted))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asset_id, at, trim_scale(usd), source
            FROM unnest(%s::uuid[], %s::timestamptz[]) AS wanted (asset_id, at)
            JOIN historic_prices USING (asset_id, at)
            WHERE interval = '1h'
            """,
            [[asset_id for asset_id, _ in keys], [at for _, at in keys]],
        )
        return {(asset_id, at): (usd, source) for asset_id, at, usd, source in cursor}


def floor_hour(instant: datetime) -> datetime:
    """The first instant of the hour that holds ``instant`` (which is in UTC)."""
    return instant.replace(minute=0, second=0, microsecond=0)


def between(*, asset_id: UUID, interval: str, span: Span) -> dict[datetime, Bar]:
    """One asset's closes by the first instant of their interval, in [since, until)."""
    since, until = span
    rows = HistoricPrice.objects.filter(
        asset_id=asset_id, interval=interval, at__gte=since, at__lt=until
    )
    return {at: bars.flat(usd, told) for at, usd, told in rows.values_list("at", "usd", "source")}


def store(*, asset_id: UUID, interval: str, found: Mapping[datetime, Bar], now: datetime) -> None:
    """Keep closes. What is known already stays as it is: a price of the past does not change."""
    rows = sorted(found.items())
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO historic_prices (asset_id, interval, at, usd, source, fetched_at)
            SELECT %s, %s, at, usd, source, %s
            FROM unnest(%s::timestamptz[], %s::numeric[], %s::text[]) AS found (at, usd, source)
            ON CONFLICT (asset_id, interval, at) DO NOTHING
            """,
            [
                asset_id, interval, now,
                [at for at, _ in rows],
                [bar.close for _, bar in rows],
                [bar.source for _, bar in rows],
            ],
        )  # fmt: skip


def _closes(
    asset_ids: Collection[UUID], since: date, until: date
) -> list[tuple[UUID, date, Decimal, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asset_id, (at AT TIME ZONE 'UTC')::date, trim_scale(usd), source
            FROM historic_prices
            WHERE asset_id = ANY(%s) AND interval = '1d' AND at >= %s AND at <= %s
            """,
            [list(asset_ids), _midnight(since), _midnight(until)],
        )
        return cursor.fetchall()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
