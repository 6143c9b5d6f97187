"""Tables of a person as one zip: a file each, a manifest for programs, a README for people.

Written in pieces, never held whole. The zip is 64-bit; what is not packed already is deflated at
the fastest level, since somebody waits and the line is seldom the narrow place.
"""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import ModuleType
from typing import IO, Any, cast

import orjson
from django.template.loader import render_to_string

from portfolios.exporting import csv_file, jsonl_file, parquet_file, xlsx_file
from portfolios.exporting.reading import Range, Reader, Selected
from portfolios.exporting.tables import Table
from portfolios.exporting.telling import Told


class Format(StrEnum):
    """How the rows of a table are written."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"
    PARQUET = "parquet"


WRITERS: Mapping[Format, ModuleType] = {
    Format.CSV: csv_file,
    Format.XLSX: xlsx_file,
    Format.JSONL: jsonl_file,
    Format.PARQUET: parquet_file,
}


@dataclass(frozen=True, slots=True)
class Order:
    """What a file is of; ``figures`` are the rules that lots and gains were computed by."""

    tables: Sequence[Table]
    format: Format
    within: Range
    figures: Mapping[str, Any]
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """One file inside the zip."""

    name: str
    selected: Selected
    bytes: int
    sha256: str


def write(
    target: IO[bytes], order: Order, *, reader: Reader, counted: Callable[[int], None], told: Told
) -> int:
    """Write the zip; returns its rows. Whatever the two listeners raise ends the writing.

    ``counted`` hears once how many there will be, ``told`` after each batch how many are written.
    """
    chosen = [reader.select(table) for table in order.tables]
    counted(sum(selected.rows for selected in chosen))
    done, files = 0, []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for selected in chosen:
            files.append(_write_table(archive, order, reader, selected, _beyond(done, told)))
            done += selected.rows
            told(done)
        _write_index(archive, order, files)
    return done


def _beyond(before: int, told: Told) -> Told:
    return lambda rows: told(before + rows)


def _write_table(
    archive: zipfile.ZipFile, order: Order, reader: Reader, selected: Selected, told: Told
) -> Written:
    writer: Any = WRITERS[order.format]
    name = f"{selected.table.name}.{writer.SUFFIX}"
    with _Entry(archive, name, order.made_at, packed=writer.IS_PACKED) as entry:
        rows = writer.write(cast(IO[bytes], entry), reader=reader, selected=selected, told=told)
    if rows != selected.rows:
        raise RuntimeError(f"{name} has {rows} rows, not {selected.rows}")
    return Written(name, selected, entry.tell(), entry.sha256)


class _Entry:
    """One file inside the zip, counted and hashed while it is written from front to back."""

    closed = False

    def __init__(
        self, archive: zipfile.ZipFile, name: str, now: datetime, *, packed: bool = False
    ) -> None:
        info = zipfile.ZipInfo(name, now.astimezone(UTC).timetuple()[:6])
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        info._compresslevel = archive.compresslevel  # type: ignore[attr-defined]
        self._digest, self._bytes = hashlib.sha256(), 0
        self._file = archive.open(info, "w", force_zip64=True)

    def __enter__(self) -> "_Entry":
        return self

    def __exit__(self, *details: object) -> None:
        self._file.close()

    def write(self, piece: Any) -> int:
        self._file.write(piece)
        self._digest.update(piece)
        self._bytes += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._bytes

    def flush(self) -> None:
        """Nothing waits here."""

    def seekable(self) -> bool:
        return False

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


# --- what is said of it -------------------------------------------------------------------------
def _write_index(archive: zipfile.ZipFile, order: Order, files: Sequence[Written]) -> None:
    told = manifest(order, files)
    texts = {
        "manifest.json": orjson.dumps(told, option=orjson.OPT_INDENT_2),
        "README.txt": render_to_string("exports/readme.txt", told).encode(),
    }
    for name, text in texts.items():
        with _Entry(archive, name, order.made_at) as entry:
            entry.write(text)


def manifest(order: Order, files: Sequence[Written]) -> dict[str, Any]:
    """What the zip holds, as ``manifest.json`` says it."""
    return {
        "made_at": _instant(order.made_at),
        "format": str(order.format),
        "since": _instant(order.within.since),
        "until": _instant(order.within.until),
        "rows": sum(item.selected.rows for item in files),
        "figures": {name: _plain(value) for name, value in order.figures.items()},
        "files": [_described(item) for item in files],
    }


def _described(item: Written) -> dict[str, Any]:
    table = item.selected.table
    return {
        "name": item.name, "table": table.name, "meaning": table.meaning,
        "rows": item.selected.rows, "bytes": item.bytes, "sha256": item.sha256,
        "range_by": table.range_by,
        "columns": [
            {"name": column.name, "kind": str(column.kind), "meaning": column.meaning}
            for column in item.selected.columns
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return _instant(value) if isinstance(value, datetime) else value


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
