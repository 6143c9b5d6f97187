"""A table as JSON Lines: an object a row, UTF-8. Decimals are strings, exact to the digit."""

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import orjson

from portfolios.exporting.columns import Kind
from portfolios.exporting.reading import Reader, Row, Selected
from portfolios.exporting.telling import BATCH, Told

SUFFIX, IS_PACKED = "jsonl", False
_AT_ONCE = 500
_READ: Mapping[Kind, Callable[[str], Any]] = {
    Kind.INTEGER: int,
    Kind.BOOLEAN: lambda text: text == "true",
    Kind.JSON: orjson.Fragment,
    Kind.VALUE: orjson.Fragment,
}


def write(out: IO[bytes], *, reader: Reader, selected: Selected, told: Told) -> int:
    """A line for each row, null for what is unknown; returns how many rows."""
    rows, waiting = 0, bytearray()
    with reader.rows(selected) as found:
        for line in _lines(found, selected):
            waiting += line
            rows += 1
            if rows % _AT_ONCE == 0:
                out.write(waiting)
                waiting = bytearray()
            if rows % BATCH == 0:
                told(rows)
    out.write(waiting)
    return rows


def _lines(rows: Iterator[Row], selected: Selected) -> Iterator[bytes]:
    names = [column.name for column in selected.columns]
    special = [
        (place, _READ[column.kind])
        for place, column in enumerate(selected.columns)
        if column.kind in _READ
    ]
    for row in rows:
        values: list[Any] = list(row)
        for place, read in special:
            if (text := row[place]) is not None:
                values[place] = read(text)
        line = dict(zip(names, values, strict=True))
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
