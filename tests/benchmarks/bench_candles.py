"""A chart of 300 and of 2,000 candles, and a million candles as a backtest reads them."""

import statistics
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection

from exchanges import candle_table, candles
from exchanges.models import Asset
from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, seconds, web_server
from tracker import clock, partitions, tenancy

MANY = 1_000_000
LENGTH = timedelta(minutes=5)
FIRST = datetime(2016, 1, 1, tzinfo=UTC)


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    asset_id = _candles(now)
    (user,) = rows.people(1)
    token = rows.access_token(user, now)
    with web_server() as port:
        few, many, stock = _charts(port, token, asset_id)
    ours, bare = seconds(lambda: _read(asset_id, now)), seconds(lambda: _fetch(asset_id))
    return [
        Result("chart, 300 candles, 1 connection, p50", few, "ms", "", None, "≤ 10 ms", few <= 10),
        Result("chart, 2,000 candles, 1 connection, p50", many, "ms",
               f"stock DRF serializer {stock:.0f} ms", many / stock, "≤ 1/3", many * 3 <= stock),
        Result("candles read for a backtest", MANY / ours, "rows/s",
               f"bare cursor {MANY / bare:,.0f}", bare / ours, "≥ 0.8", ours * 0.8 <= bare),
    ]  # fmt: skip


def _candles(now: datetime) -> UUID:
    """A million candles of five minutes of one asset, all of them known."""
    until = FIRST + MANY * LENGTH
    asset = Asset.objects.create(slug="btc", code="BTC")
    partitions.ensure(candle_table.TABLE, first=FIRST.date(), last=until.date(), protected=False)
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE candles, price_needs")
        cursor.execute(
            """
            INSERT INTO candles (asset_id, interval, at, open, high, low, close, volume, source,
                                 closed, fetched_at)
            SELECT %(asset)s, '5m', %(first)s::timestamptz + n * interval '5 minutes',
                   30000 + n %% 997 + 0.25, 30000 + n %% 997 + 61.5, 29000 + n %% 997 + 0.125,
                   30000 + n %% 997 + 0.75, 1 + n %% 89 + 0.12345,
                   'binance: BTC/USDT, USDT pegged to USD', true, %(now)s
            FROM generate_series(0, %(count)s - 1) AS n
            """,
            {"asset": asset.id, "first": FIRST, "count": MANY, "now": now},
        )
        cursor.execute(
            """
            INSERT INTO price_needs (asset_id, kind, interval, since, until, state, attempts,
                                     next_try_at, error, created_at)
            VALUES (%(asset)s, 'candle', '5m', %(first)s, %(until)s, 'done', 0, %(first)s, '',
                    %(now)s)
            """,
            {"asset": asset.id, "first": FIRST, "until": until, "now": now},
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE candles")
    return asset.id


def _charts(port: int, token: str, asset_id: UUID) -> tuple[float, float, float]:
    """Ours and the reference in turn, because the machine's speed drifts."""
    few, many = (_path(asset_id, count) for count in (300, 2000))
    stock = f"/reference/candles/{asset_id}"
    for path in (few, many, stock):
        load.run(port, path, token=token, connections=1, requests=20)
    figures = [
        [load.run(port, path, token=token, connections=1, requests=count).p50
         for path, count in ((few, 200), (many, 100), (stock, 20))]
        for _ in range(3)
    ]  # fmt: skip
    first, second, third = (statistics.median(column) for column in zip(*figures, strict=True))
    return first, second, third


def _path(asset_id: UUID, count: int) -> str:
    since = FIRST + 100_000 * LENGTH
    return (
        f"/api/v1/prices/{asset_id}/candles?interval=5m&from={since:%Y-%m-%dT%H:%M:%SZ}"
        f"&to={since + count * LENGTH:%Y-%m-%dT%H:%M:%SZ}"
    )


def _read(asset_id: UUID, now: datetime) -> None:
    until = FIRST + MANY * LENGTH
    found = candles.read(asset_id=asset_id, interval="5m", since=FIRST, until=until, now=now)
    assert sum(1 for _ in found.rows) == MANY
    assert found.gaps == []


def _fetch(asset_id: UUID) -> None:
    """The same columns in one answer, all of them held at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT at, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close), "
            "trim_scale(volume), closed FROM candles "
            "WHERE asset_id = %s AND interval = '5m' ORDER BY at",
            [asset_id],
        )
        assert len(cursor.fetchall()) == MANY
