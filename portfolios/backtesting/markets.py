"""Candles of the past as a market that strategies run over: whole, or not at all.

Assets share one grid. It begins with the first bar that all of them have and ends with the last;
that it is shorter than what was asked for is said. A bar that is missing in between refuses the
run, unless gaps are to be filled: then the last close stands still, and each gap is said.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from django.db import transaction

from exchanges import candles, charts, history
from exchanges.candles import Reading, Reason
from exchanges.history import Want
from exchanges.intervals import LENGTHS
from exchanges.models import NeedKind
from portfolios.strategies.market import Floats, Integers, Market

MOST_GAPS_TOLD = 20


class NoCandles(Exception):
    """No market had any candle that all the assets share."""


class Awaited(Exception):
    """Candles are still being fetched."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Bars [since, until) that an asset does not have."""

    asset: UUID
    since: datetime
    until: datetime


class HasGaps(Exception):
    """Bars are missing between others."""

    def __init__(self, gaps: Sequence[Missing]) -> None:
        self.gaps = list(gaps)
        super().__init__(f"{len(self.gaps)} gaps")


@dataclass(frozen=True, slots=True)
class Found:
    """A market, and the bars of it that stand still because there was none."""

    market: Market
    filled: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read. ``assets`` in order, [since, until) in whole intervals."""

    assets: tuple[UUID, ...]
    interval: str
    since: datetime
    until: datetime


def have_fetched(wanted: Wanted, *, now: datetime) -> None:
    """Have what is not here yet fetched in the background, beginning now. Idempotent."""
    needs = []
    for asset in wanted.assets:
        series = candles.series_of(
            asset_id=asset, interval=wanted.interval, since=wanted.since, until=wanted.until,
            now=now,
        )  # fmt: skip
        needs += [Want(asset, series.stored, *span) for span in series.knowable]
    with transaction.atomic():
        if history.want(needs=needs, kind=NeedKind.CANDLE):
            transaction.on_commit(charts.enqueue, robust=True)


def read(wanted: Wanted, *, fills_gaps: bool, now: datetime) -> Found:
    """Closed candles as a market. Raises Awaited, NoCandles, HasGaps."""
    columns = [_columns(asset, wanted, now) for asset in wanted.assets]
    if not all(columns):
        raise NoCandles
    grids = [column[0] for column in columns]
    first, last = max(int(grid[0]) for grid in grids), min(int(grid[-1]) for grid in grids)
    if first > last:
        raise NoCandles
    return _joined(wanted, columns, first, last, fills_gaps=fills_gaps)


def _columns(asset: UUID, wanted: Wanted, now: datetime) -> tuple[Floats, ...]:
    """Seconds, open, high, low, close and volume of one asset; nothing when there is none."""
    reading = candles.read(
        asset_id=asset, interval=wanted.interval, since=wanted.since, until=wanted.until, now=now
    )
    if any(gap.reason != Reason.NO_MARKET for gap in reading.gaps):
        raise Awaited
    rows = np.fromiter(_numbers(reading), dtype=np.dtype((np.float64, 6)))
    return tuple(rows.T) if rows.size else ()


def _numbers(reading: Reading) -> Iterator[tuple[float, ...]]:
    for at, opened, high, low, close, volume, closed in reading.rows:
        if closed:
            yield (
                at.timestamp(), float(opened), float(high), float(low), float(close),
                np.nan if volume is None else float(volume),
            )  # fmt: skip


def _joined(
    wanted: Wanted, columns: Sequence[tuple[Floats, ...]], first: int, last: int, *,
    fills_gaps: bool,
) -> Found:  # fmt: skip
    length = int(LENGTHS[wanted.interval].total_seconds())
    at = np.arange(first, last + 1, length, dtype=np.int64)
    rows, missing = [], []
    for asset, column in zip(wanted.assets, columns, strict=True):
        row, gone = _on_grid(column, at, length)
        rows.append(row)
        missing += [Missing(asset, _instant(since), _instant(until)) for since, until in gone]
    if missing and not fills_gaps:
        raise HasGaps(missing)
    stacked = np.array(rows)
    volume = None if np.isnan(stacked[:, 4]).any() else stacked[:, 4]
    market = Market(
        at=at, length=length, assets=tuple(str(asset) for asset in wanted.assets),
        open=stacked[:, 0], high=stacked[:, 1], low=stacked[:, 2], close=stacked[:, 3],
        volume=volume,
    )  # fmt: skip
    return Found(market, tuple(missing))


def _on_grid(
    column: tuple[Floats, ...], at: Integers, length: int
) -> tuple[Floats, list[tuple[int, int]]]:
    """Prices and volume of one asset at each bar, (5, bars), and where they had to stand still."""
    seconds, *values = column
    places = np.searchsorted(seconds, at, side="right") - 1
    found = np.array([value[places] for value in values])
    absent = seconds[places] != at
    found[:4, absent] = found[3, absent]
    found[4, absent] = 0.0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], absent, [False])).astype(np.int8)))
    gaps = [(int(at[start]), int(at[end - 1]) + length) for start, end in edges.reshape(-1, 2)]
    return found, gaps


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def told(missing: Collection[Missing], codes: Mapping[UUID, str]) -> list[dict[str, str]]:
    """Some of what is missing, as it is stored and told."""
    return [
        {
            "asset": str(one.asset), "code": codes.get(one.asset, ""),
            "from": f"{one.since:%Y-%m-%dT%H:%M:%SZ}", "to": f"{one.until:%Y-%m-%dT%H:%M:%SZ}",
        }
        for one in list(missing)[:MOST_GAPS_TOLD]
    ]  # fmt: skip
