"""Candles as they are read: in order, with every stretch that is missing and why.

Nothing here talks to an exchange. A candle of four hours or a week is added up from the stored
hours or days in it: it opens with the first, closes with the last, reaches as far as any of them,
and its volume is their sum (unknown if one is unknown). It is ``closed`` when every part of it
is there and closed, or when markets were asked about all of it and had no more.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection

from exchanges import intervals, spans
from exchanges.intervals import LENGTHS
from exchanges.models import NeedKind, NeedState, PriceNeed
from exchanges.spans import Span

# first instant, open, high, low, close in US dollars, volume in units, closed
Row = tuple[datetime, Decimal, Decimal, Decimal, Decimal, Decimal | None, bool]
_CHUNK = 20_000  # rows that a reader holds at once


class Reason(StrEnum):
    """Why candles are missing."""

    NOT_FETCHED = "not_fetched"
    SOURCE_UNAVAILABLE = "source_unavailable"
    NO_MARKET = "no_market"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch [since, until) without candles.

    ``NOT_FETCHED`` is still to come, ``SOURCE_UNAVAILABLE`` is tried again by itself, and what
    has ``NO_MARKET`` no market of ours quoted.
    """

    since: datetime
    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Standing:
    """A stretch that was wanted once, and how far it is.

    ``asked_at`` is when markets last told all they had so far, ``error`` what keeps them from it.
    """

    span: Span
    state: str
    asked_at: datetime | None
    error: str

    @property
    def is_told(self) -> bool:
        """Whether markets have told all they had, be it nothing."""
        return self.state != NeedState.OPEN or (self.asked_at is not None and not self.error)


@dataclass(frozen=True, slots=True)
class Series:
    """One asset's candles of one interval in whole intervals from ``since`` to ``until``.

    ``begun`` is the end of the last stored interval that has begun: nothing is known after it.
    """

    asset_id: UUID
    interval: str
    since: datetime
    until: datetime
    begun: datetime

    @property
    def span(self) -> Span:
        return self.since, self.until

    @property
    def knowable(self) -> list[Span]:
        """The stretch of which there can be candles; none when all of it lies in the future."""
        return spans.within([self.span], (self.since, self.begun))

    @property
    def stored(self) -> str:
        """The interval of the rows that it is read from."""
        return intervals.stored_as(self.interval)


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows in order, to be gone through once, and what is missing of them."""

    rows: Iterator[Row]
    gaps: list[Gap]


def series_of(
    *, asset_id: UUID, interval: str, since: datetime, until: datetime, now: datetime
) -> Series:
    """The candles of a stretch, widened to whole intervals."""
    span = intervals.widened((since, until), interval)
    begun = intervals.ends(now, intervals.stored_as(interval))
    return Series(asset_id, interval, *span, begun)


def read(
    *, asset_id: UUID, interval: str, since: datetime, until: datetime, now: datetime
) -> Reading:
    """What is stored of a stretch, widened to whole intervals: for a million rows as for ten.

    Rows come in chunks as they are gone through, so that no statement and no transaction stays
    open meanwhile. The last may be growing still, and is not ``closed`` then.
    """
    series = series_of(asset_id=asset_id, interval=interval, since=since, until=until, now=now)
    told = standing(series)
    return Reading(_rows(series, told), gaps(series, told=told, held=held(series)))


# --- what was wanted ----------------------------------------------------------------------------
def standing(series: Series) -> list[Standing]:
    """What was ever wanted of a series, in order, and how far it is. Read it before the rows."""
    return [
        Standing((since, until), *told)
        for since, until, *told in _needs(series)
        .order_by("since")
        .values_list("since", "until", "state", "asked_at", "error")
    ]


def ask_again(series: Series, *, now: datetime) -> int:
    """Have open stretches fetched at once, unless somebody is at it or failed at it.

    Returns how many were not due before.
    """
    waiting = _needs(series).filter(state=NeedState.OPEN, error="", next_try_at__gt=now)
    return waiting.exclude(leased_until__gt=now).update(next_try_at=now)


def _needs(series: Series) -> Any:
    return PriceNeed.objects.filter(
        asset_id=series.asset_id, kind=NeedKind.CANDLE, interval=series.stored,
        since__lt=series.until, until__gt=series.since,
    )  # fmt: skip


# --- what is missing ----------------------------------------------------------------------------
def held(series: Series) -> list[Span]:
    """The stretches of which there are candles, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT min(at), max(at) + %(length)s FROM (
                SELECT at, at - row_number() OVER (ORDER BY at) * %(length)s AS island
                FROM candles
                WHERE asset_id = %(asset_id)s AND interval = %(stored)s
                  AND at >= %(since)s AND at < %(until)s
            ) AS stored
            GROUP BY island ORDER BY 1
            """,
            _parameters(series, ()) | {"length": LENGTHS[series.stored]},
        )
        return cursor.fetchall()


def gaps(series: Series, *, told: Sequence[Standing], held: Sequence[Span]) -> list[Gap]:
    """What of a series is not there, in order, and why.

    An hour that no market had is no gap in four hours that have a candle.
    """
    settled = [known.span for known in told if known.is_told]
    failed = [known.span for known in told if known.error]
    lacking = spans.without(spans.without(series.knowable, held), settled)
    filled = [intervals.widened(span, series.interval) for span in held]
    empty = spans.common(spans.without(series.knowable, filled), settled)
    found = [Gap(*span, Reason.NO_MARKET) for span in empty]
    found += [Gap(*span, Reason.SOURCE_UNAVAILABLE) for span in spans.common(lacking, failed)]
    found += [Gap(*span, Reason.NOT_FETCHED) for span in spans.without(lacking, failed)]
    return sorted(found, key=lambda gap: gap.since)


# --- rows ---------------------------------------------------------------------------------------
_STORED = """
    SELECT at, open, high, low, close, volume, closed, source FROM candles
    WHERE asset_id = %(asset_id)s AND interval = %(stored)s AND at >= %(since)s AND at < %(until)s
"""
_ADDED_UP = f"""
    SELECT start AS at, (array_agg(open ORDER BY at))[1] AS open, max(high) AS high,
           min(low) AS low, (array_agg(close ORDER BY at DESC))[1] AS close,
           CASE WHEN count(volume) = count(*) THEN sum(volume) END AS volume,
           bool_and(closed) AND (count(*) = %(parts)s OR
               %(settled)s::tstzmultirange @> tstzrange(start, start + %(length)s)) AS closed,
           (array_agg(source ORDER BY at DESC))[1] AS source
    FROM (
        SELECT date_bin(%(length)s, at, %(origin)s) AS start, * FROM ({_STORED}) AS stored
    ) AS parts
    GROUP BY start
"""  # noqa: S608  (a statement of ours)
_ROWS = """
SELECT at, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close),
       trim_scale(volume), closed
FROM ({bars}) AS bars ORDER BY at
"""
# Text put together takes a fraction of the time of json_build_object. Of what stands in it only
# a source needs to be written as JSON: it holds codes of an exchange.
_AS_JSON = """
SELECT '[' || coalesce(string_agg(concat(
    '{{"at":"', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    '","open":"', trim_scale(open), '","high":"', trim_scale(high),
    '","low":"', trim_scale(low), '","close":"', trim_scale(close),
    '","volume":', coalesce('"' || trim_scale(volume) || '"', 'null'),
    ',"closed":', CASE WHEN closed THEN 'true' ELSE 'false' END,
    ',"source":', to_json(source), '}}'
), ',' ORDER BY at), '') || ']'
FROM ({bars}) AS bars
"""


def as_json(series: Series, *, told: Sequence[Standing]) -> bytes:
    """The rows as a JSON list of objects, written by PostgreSQL; numbers are strings."""
    with connection.cursor() as cursor:
        cursor.execute(_AS_JSON.format(bars=_bars(series)), _parameters(series, told))
        (text,) = cursor.fetchone()
        return text.encode()


def _rows(series: Series, told: Sequence[Standing]) -> Iterator[Row]:
    statement = _ROWS.format(bars=_bars(series))
    for since, until in spans.cut(series.span, _CHUNK * LENGTHS[series.interval]):
        chunk = replace(series, since=since, until=until)
        with connection.cursor() as cursor:
            cursor.execute(statement, _parameters(chunk, told))
            yield from cursor.fetchall()


def _bars(series: Series) -> str:
    return _STORED if series.stored == series.interval else _ADDED_UP


def _parameters(series: Series, told: Iterable[Standing]) -> dict[str, Any]:
    settled = (known.span for known in told if known.state == NeedState.DONE)
    ranges = (f"[{since.isoformat()},{until.isoformat()})" for since, until in settled)
    length = LENGTHS[series.interval]
    return {
        "asset_id": series.asset_id, "stored": series.stored, "since": series.since,
        "until": series.until, "length": length, "parts": length // LENGTHS[series.stored],
        "origin": intervals.ORIGIN, "settled": "{" + ",".join(ranges) + "}",
    }  # fmt: skip
