"""Candles of one market, page by page. ccxt's own pagination stops silently at ten calls.

A page is asked for from where the last one ended. Where nothing comes (before the listing, after
the end of trading, in a hole), the next page begins a whole page later, so that the reading ends
whatever the exchange answers. Candles of a day that begins elsewhere than in UTC are left out:
their close is not that of a UTC day.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import rows
from exchanges.gateway.dialects.base import CandleCall
from exchanges.gateway.errors import Malformed, Unsupported
from exchanges.gateway.line import Line
from exchanges.gateway.rows import BadRow
from exchanges.reports import Candle

_LENGTHS = {
    "5m": timedelta(minutes=5), "15m": timedelta(minutes=15), "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}  # fmt: skip
_START, _CLOSE = "start", "close"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def read(
    line: Line, market: str, interval: str, span: tuple[datetime, datetime]
) -> list[Candle]:
    """The candles that begin in a span, in order. Raises GatewayError."""
    if line.dialect.candles is None or interval not in line.dialect.candles.intervals:
        raise Unsupported
    await line.markets()  # unified methods know a market by its name only then
    (at, until), length = span, _LENGTHS[interval]
    found: dict[datetime, Candle] = {}
    while at < until:
        page_end = min(at + line.dialect.candles.limit * length, until)
        page = [
            candle
            for candle in await _page(line, line.dialect.candles, market, interval, at, page_end)
            if at <= candle.start < page_end and not (candle.start - _EPOCH) % length
        ]
        found |= {candle.start: candle for candle in page}
        at = max(candle.start for candle in page) + length if page else page_end
    return [found[start] for start in sorted(found)]


async def _page(
    line: Line, how: CandleCall, market: str, interval: str, at: datetime, until: datetime
) -> list[Candle]:
    args, params = how.asking(market, interval, rows.millis(at), rows.millis(until), how.limit)
    answer = await line.ask(line.exchange.template, how.call, *args, **params)
    try:
        return list(_readable(how.rows(answer)))
    except (KeyError, TypeError, AttributeError):
        pass
    raise Malformed


def _readable(found: Any) -> Iterator[Candle]:
    """The candles of an answer; one that cannot be read, or has no close, is left out."""
    for row in found:
        try:
            named = {_START: row[0], _CLOSE: row[4]}
            close = rows.positive(rows.quantity(named, _CLOSE), field=_CLOSE)
            start = rows.milliseconds(named, _START)
        except (BadRow, IndexError, TypeError, KeyError):
            continue
        opened, high, low = (_price(row, place) for place in (1, 2, 3))
        yield Candle(start, close, opened, high, low, _volume(row))


def _price(row: Sequence[Any], place: int) -> Decimal | None:
    try:
        return rows.positive(rows.number(row[place], field="price"), field="price")
    except BadRow:
        return None


def _volume(row: Sequence[Any]) -> Decimal | None:
    try:
        volume = rows.number(row[5], field="volume")
    except (BadRow, IndexError):
        return None
    return volume if volume >= 0 else None
