"""Recorded candles from a folder of CSV files, moved in time so that they end at the anchor."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from exchanges.sandbox import prices

_HOUR = 3_600_000
_LENGTHS = {"1h": _HOUR, "1d": 24 * _HOUR}
_FILE_NAME = re.compile(r"(?P<code>[A-Z0-9]+)-USD-(?P<interval>1h|1d)\.csv")


class MarketDataError(Exception):
    """A market data folder or file that cannot be read; the message names it."""


def load(folder: Path, *, anchor: int) -> dict[str, list[prices.Candle]]:
    """Candles by asset code from `<CODE>-USD-<1h|1d>.csv`, the last one ending at `anchor`.

    One shift, in whole hours, moves all files: what happened at the same time to two coins
    still does. Where an asset has hours and days, hours are used as far as they reach.

    Raises MarketDataError.
    """
    series = _series(folder)
    newest = max(candles[-1].end for candles in series.values())
    shift = (anchor - newest) // _HOUR * _HOUR
    codes = {code for code, _ in series}
    return {code: _shifted(_best(series, code), shift) for code in sorted(codes)}


def _series(folder: Path) -> dict[tuple[str, str], list[prices.Candle]]:
    found = {}
    for path in sorted(folder.glob("*.csv")):
        if match := _FILE_NAME.fullmatch(path.name):
            found[match["code"], match["interval"]] = read(path, _LENGTHS[match["interval"]])
    if not found:
        raise MarketDataError(f"{folder} holds no file named like BTC-USD-1d.csv")
    return found


def _best(series: dict[tuple[str, str], list[prices.Candle]], code: str) -> Sequence[prices.Candle]:
    return prices.joined(series.get((code, "1h"), []), series.get((code, "1d"), []))


def _shifted(candles: Iterable[prices.Candle], shift: int) -> list[prices.Candle]:
    return [replace(candle, start=candle.start + shift) for candle in candles]


def read(path: Path, length: int) -> list[prices.Candle]:
    """The candles of one file in order of time. Raises MarketDataError naming the line."""
    with path.open(newline="") as lines:
        rows = csv.DictReader(lines)
        candles = [_candle(path, number, row, length) for number, row in enumerate(rows, start=2)]
    if not candles:
        raise MarketDataError(f"{path} holds no candles")
    return sorted(candles, key=lambda candle: candle.start)


def _candle(path: Path, number: int, row: dict[str, str], length: int) -> prices.Candle:
    try:
        start = int(datetime.fromisoformat(row["timestamp"]).timestamp()) * 1000
        columns = [Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")]
    except (KeyError, TypeError, ValueError, InvalidOperation):
        raise MarketDataError(f"{path}, line {number}: not a candle") from None
    return prices.Candle(start, length, *columns)
