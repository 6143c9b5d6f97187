"""The table of candles: what an asset cost while five minutes, a quarter, an hour or a day lasted.

The months are made as they are needed, because candles reach back as far as somebody looks.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection

from exchanges import intervals
from exchanges.bars import Bar
from exchanges.models import Candle
from exchanges.spans import Span
from tracker import partitions

WHOLE = True
TABLE = Candle._meta.db_table


def between(*, asset_id: UUID, interval: str, span: Span) -> dict[datetime, Bar]:
    """One asset's closed candles by the first instant of their interval, in [since, until)."""
    since, until = span
    rows = Candle.objects.filter(
        asset_id=asset_id, interval=interval, at__gte=since, at__lt=until, closed=True
    )
    return {
        at: Bar(opened, high, low, close, volume, source)
        for at, opened, high, low, close, volume, source in rows.values_list(
            "at", "open", "high", "low", "close", "volume", "source"
        )
    }


def store(*, asset_id: UUID, interval: str, found: Mapping[datetime, Bar], now: datetime) -> None:
    """Keep candles. A closed one stays as it is, a growing one makes room for a newer one."""
    if not found:
        return
    partitions.ensure(TABLE, first=min(found).date(), last=max(found).date(), protected=False)
    rows = sorted(found.items())
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO candles AS known
                (asset_id, interval, at, open, high, low, close, volume, source, closed, fetched_at)
            SELECT %s, %s, told.*, %s
            FROM unnest(%s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[],
                        %s::numeric[], %s::numeric[], %s::text[], %s::boolean[]) AS told
            ON CONFLICT (asset_id, interval, at) DO UPDATE
                SET open = excluded.open, high = excluded.high, low = excluded.low,
                    close = excluded.close, volume = excluded.volume, source = excluded.source,
                    closed = excluded.closed, fetched_at = excluded.fetched_at
                WHERE NOT known.closed AND known.fetched_at <= excluded.fetched_at
            """,
            [
                asset_id, interval, now,
                [at for at, _ in rows],
                [bar.open for _, bar in rows],
                [bar.high for _, bar in rows],
                [bar.low for _, bar in rows],
                [bar.close for _, bar in rows],
                [bar.volume for _, bar in rows],
                [bar.source for _, bar in rows],
                [intervals.is_final(at, interval, now) for at, _ in rows],
            ],
        )  # fmt: skip
