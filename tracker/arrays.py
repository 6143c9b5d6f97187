"""Columns packed as PostgreSQL's arrays, several times as fast as psycopg packs lists.

Binary where that is cheaper to make (https://www.postgresql.org/docs/current/protocol.html says
where the formats are; an array's is that of ``array_recv``), else text. A packed value is given
to a statement with a cast that says its type: ``%s::uuid[]``.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_NULL = b"\xff\xff\xff\xff"  # the length of what is not there
_SIXTEEN = b"\x00\x00\x00\x10"
_EIGHT = struct.Struct("!iq").pack
_UUID, _INT8, _TEXT, _TIMESTAMPTZ = 2950, 20, 25, 1184  # of the catalogue pg_type, for good


class Packed(bytes):
    """An array in PostgreSQL's binary format."""

    __slots__ = ()


class PackedDumper(Dumper):
    """Hands a packed array on as it is."""

    format = Format.BINARY

    def dump(self, obj: Packed) -> Buffer:
        return obj


def of(kind: str, values: Sequence[Any]) -> Packed | str:
    """An array of one type's values. Raises KeyError for a type that is not served.

    ``uuid`` from UUIDs or their 16 bytes, ``numeric`` from text, ``timestamptz`` from aware
    datetimes, ``text``, ``int8``. None is null.
    """
    return _PACKERS[kind](values)


def _ids(values: Sequence[Any]) -> Packed:
    if None not in values and isinstance(values[0], bytes):
        return _array(_UUID, len(values), [_SIXTEEN + _SIXTEEN.join(values)])
    return _array(_UUID, len(values), [
        _NULL if value is None else _SIXTEEN + (value.bytes if isinstance(value, UUID) else value)
        for value in values
    ])  # fmt: skip


def _instants(values: Sequence[datetime | None]) -> Packed:
    since = [None if value is None else value - _EPOCH for value in values]
    return _array(_TIMESTAMPTZ, len(values), [
        _NULL if past is None
        else _EIGHT(8, (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds)
        for past in since
    ])  # fmt: skip


def _whole(values: Sequence[int]) -> Packed:
    return _array(_INT8, len(values), [_EIGHT(8, value) for value in values])


def _texts(values: Sequence[str | None]) -> Packed:
    packed = {value: _text(value) for value in set(values)}  # few are different
    return _array(_TEXT, len(values), [packed[value] for value in values])


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode()
    return len(encoded).to_bytes(4) + encoded


def _numbers(values: Sequence[str | None]) -> str:
    listed = ["NULL" if value is None else value for value in values]
    return f"{{{','.join(listed)}}}"


def _array(oid: int, length: int, parts: Iterable[bytes]) -> Packed:
    """One dimension, with or without nulls, counted from 1."""
    return Packed(struct.pack("!iiIii", 1, 1, oid, length, 1) + b"".join(parts))


_PACKERS: dict[str, Callable[[Sequence[Any]], Packed | str]] = {
    "uuid": _ids,
    "timestamptz": _instants,
    "int8": _whole,
    "text": _texts,
    "numeric": _numbers,
}
