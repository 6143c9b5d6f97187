"""A table as Apache Parquet, in groups of rows.

Units and prices have up to 60 digits, more than the 38 that most readers know of; some turn longer
ones into floating point without a word. They are strings here, exact to the digit, to be cast by
whoever knows how much is needed. Totals of snapshots are decimal128(28, 8).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from portfolios.exporting.columns import Column, Kind
from portfolios.exporting.reading import Reader, Row, Selected
from portfolios.exporting.telling import BATCH, Told
from tracker.money import VALUE_DECIMALS, VALUE_DIGITS

SUFFIX, IS_PACKED = "parquet", True
_GROUP = 2 * BATCH  # rows: some ten megabytes
_TYPES: Mapping[Kind, pa.DataType] = {
    Kind.MONEY: pa.decimal128(VALUE_DIGITS, VALUE_DECIMALS),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
}


def value(text: str) -> str:
    """One value out of JSON: a string without its quotes, anything else as its JSON."""
    found = orjson.loads(text) if text.startswith('"') else text
    return str(found)


_READ: Mapping[Kind, Callable[[str], Any]] = {
    Kind.MONEY: Decimal,
    Kind.INTEGER: int,
    Kind.BOOLEAN: lambda text: text == "true",
    Kind.INSTANT: datetime.fromisoformat,
    Kind.VALUE: value,
}


def write(out: IO[bytes], *, reader: Reader, selected: Selected, told: Told) -> int:
    """Rows in groups; returns how many. Null is what is unknown."""
    schema = pa.schema([_field(column) for column in selected.columns])
    rows = 0
    with (
        reader.rows(selected) as source,
        pq.ParquetWriter(out, schema, compression="zstd") as writer,
    ):
        while group := list(islice(_telling(source, rows, told), _GROUP)):
            writer.write_table(_table(group, selected.columns, schema))
            rows += len(group)
    return rows


def _telling(source: Iterator[Row], before: int, told: Told) -> Iterator[Row]:
    for number, row in enumerate(source, start=before + 1):
        if number % BATCH == 0:
            told(number)
        yield row


def _field(column: Column) -> pa.Field:
    kind = _TYPES.get(column.kind, pa.string())
    return pa.field(column.name, kind, metadata={"meaning": column.meaning})


def _table(group: Sequence[Row], columns: Sequence[Column], schema: pa.Schema) -> pa.Table:
    arrays = [
        pa.array(_values(texts, _READ.get(column.kind)), type=field.type)
        for texts, column, field in zip(zip(*group, strict=True), columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(texts: Sequence[str | None], read: Callable[[str], Any] | None) -> Sequence[Any]:
    if read is None:
        return texts
    return [None if text is None else read(text) for text in texts]
