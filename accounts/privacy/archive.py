"""A copy of everything about one person as one zip: written in pieces, never held whole.

Each table is read in short transactions, a few thousand rows each in the order of an index, so
neither memory nor a snapshot of the database grows with the person. A table is a JSON and a CSV
file; ``index.html`` and ``README.txt`` say what is in them, what is held and not given out, and
why; ``manifest.json`` has counts and hashes.
"""

import csv
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO, Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Case, F, ForeignKey, Q, QuerySet, When
from django.template.loader import render_to_string

from accounts.models import DataKey
from accounts.notifications import Event
from accounts.privacy import inventory
from accounts.privacy.inventory import TABLES
from tracker import money, tenancy, vault

BATCH = 2_000
_COPY = 256 * 1024
# Columns that are sealed and that the person gets opened.
_SEALED = {"exchanges.QuarantinedPage": ("payload",), "portfolios.FileImport": ("content",)}
# Rows of catalogues get their label beside their id.
_LABELS = {"exchanges.Asset": "code"}
# From where it was done is told only if nobody else did it: staff are people too.
_OF_ACTOR = {"audit.ActivityLog": ("ip_address", "session_id", "request_id")}
# What a spreadsheet takes for a formula at the beginning of a text (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """One file of the archive."""

    name: str
    rows: int
    bytes: int
    sha256: str


def count(user_id: UUID) -> int:
    """How many rows an archive of this person would hold."""
    total = 0
    for label in _exported():
        with tenancy.as_user(user_id):
            total += _rows_of(label, user_id).count()
    return total


def write(target: IO[bytes], *, user_id: UUID, now: datetime, told: Told) -> int:
    """Write the archive; returns its rows. ``told`` hears after each batch how many are done.

    Whatever ``told`` raises ends the writing.
    """
    files: list[Written] = []
    done = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for label in _exported():
            written = _write_table(
                archive,
                label,
                user_id,
                now,
                lambda rows: told(done + rows),  # noqa: B023  (called at once)
            )
            files += written
            done += written[0].rows
        _write_index(archive, files, user_id, now)
    return done


def _exported() -> list[str]:
    """Tables with something to export, in the order of the inventory."""
    return [label for label, table in TABLES.items() if table.owner and table.exported]


# --- one table ----------------------------------------------------------------------------------
def _write_table(
    archive: zipfile.ZipFile, label: str, user_id: UUID, now: datetime, told: Told
) -> list[Written]:
    """JSON goes straight into the zip; CSV waits in a nameless file, since a zip takes one at a
    time and the rows should be read once."""
    name = inventory.model(label)._meta.db_table
    with tempfile.TemporaryFile() as waiting:
        table = csv.writer(io.TextIOWrapper(waiting, "utf-8", newline="", write_through=True))
        with _Entry(archive, f"json/{name}.json", now) as json_file:
            rows = 0
            for names, batch in _batches(label, user_id):
                if not rows:
                    table.writerow(names)
                _write_json(json_file, names, batch, first=not rows)
                table.writerows([_cell(value) for value in row] for row in batch)
                rows += len(batch)
                told(rows)
            json_file.write(b"\n]\n" if rows else b"[]\n")
        if not rows:
            table.writerow(_columns(label)[0])
        with _Entry(archive, f"csv/{name}.csv", now) as csv_file:
            waiting.seek(0)
            while piece := waiting.read(_COPY):
                csv_file.write(piece)
    return [json_file.written(rows), csv_file.written(rows)]


def _write_json(target: "_Entry", names: list[str], batch: list[Any], *, first: bool) -> None:
    lines = [
        orjson.dumps(dict(zip(names, row, strict=True)), default=_plain, option=orjson.OPT_UTC_Z)
        for row in batch
    ]
    target.write((b"[\n" if first else b",\n") + b",\n".join(lines))


def _columns(label: str) -> tuple[list[str], list[str]]:
    """Names as they are written, and the lookups that they are read by."""
    names, lookups = [], []
    for name in TABLES[label].exported:
        names.append(name)
        lookups.append(name)
        field = inventory.model(label)._meta.get_field(name)
        target = field.related_model._meta.label if isinstance(field, ForeignKey) else ""
        if shown := _LABELS.get(target):
            names.append(f"{name}_{shown}")
            lookups.append(f"{name}__{shown}")
    return names, lookups


def _rows_of(label: str, user_id: UUID) -> QuerySet[Any]:
    """A person's rows that are told.

    Without messages to an address that they asked to change to: the message is theirs only where
    the address was free, and so would say who has an account (S13). `account_links` names every
    address they asked for.
    """
    rows = inventory.rows_of(label, user_id)
    if label == "accounts.Delivery":
        return rows.exclude(event=Event.CONFIRM_NEW_EMAIL)
    return rows


def _batches(label: str, user_id: UUID) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    """A person's rows in order, each batch in a transaction of its own."""
    names, lookups = _columns(label)
    columns = [_column(label, lookup, user_id) for lookup in lookups]
    order = [_pk(label) if name == "pk" else name for name in TABLES[label].order]
    place: tuple[Any, ...] | None = None
    while True:
        with tenancy.as_user(user_id):
            rows = _rows_of(label, user_id).order_by(*order)
            if place is not None:
                rows = rows.filter(_beyond(order, place))
            found = list(rows.values_list(*order, *columns)[:BATCH])
            if not found:
                return
            place = found[-1][: len(order)]
            batch = [row[len(order) :] for row in found]
            _open_sealed(label, user_id, names, batch)
        yield names, batch
        if len(batch) < BATCH:
            return


def _column(label: str, lookup: str, user_id: UUID) -> Any:
    if lookup not in _OF_ACTOR.get(label, ()):
        return lookup
    return Case(When(Q(actor=None) | Q(actor=user_id), then=F(lookup)), default=None)


def _pk(label: str) -> str:
    return inventory.model(label)._meta.pk.name


def _beyond(order: list[str], place: tuple[Any, ...]) -> Q:
    """After that row. The first condition alone bounds the index; the others make it exact."""
    if len(order) == 1:
        return Q(**{f"{order[0]}__gt": place[0]})
    first, second = order
    exact = Q(**{f"{first}__gt": place[0]}) | Q(**{f"{second}__gt": place[1]})
    return Q(**{f"{first}__gte": place[0]}) & exact


def _open_sealed(label: str, user_id: UUID, names: list[str], batch: list[Any]) -> None:
    """Replace what is sealed by its text, or by nothing where it cannot be opened."""
    if label not in _SEALED or not batch:
        return
    data_key = _data_key(user_id)
    for number, row in enumerate(batch):
        values = dict(zip(names, row, strict=True))
        for field in _SEALED[label]:
            values[field] = _opened(values[field], data_key, user_id, values["id"], field)
        batch[number] = tuple(values.values())


def _data_key(user_id: UUID) -> bytes | None:
    row = DataKey.objects.filter(user_id=user_id).first()
    if row is None:
        return None
    wrapped = vault.WrappedKey(row.key_id, bytes(row.wrapped_key))
    try:
        return settings.ENCRYPTION_KEYRING.unwrap(wrapped, user_id=user_id)
    except vault.VaultError:
        return None


def _opened(
    sealed: Any, data_key: bytes | None, user_id: UUID, row_id: UUID, field: str
) -> str | None:
    if data_key is None or sealed is None:
        return None
    try:
        return vault.unseal(
            bytes(sealed), data_key=data_key, user_id=user_id, row_id=row_id, field=field
        )
    except vault.VaultError:
        return None


# --- values -------------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    """What JSON does not know by itself."""
    if isinstance(value, Decimal):
        return money.to_text(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def _cell(value: Any) -> Any:
    """One value of a CSV row; text that a spreadsheet would run is quoted with an apostrophe."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value
    if isinstance(value, Decimal):
        return money.to_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (list, dict)):
        return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z).decode()
    return _plain(value)


# --- files --------------------------------------------------------------------------------------
class _Entry:
    """One file inside the zip, counted and hashed while it is written."""

    def __init__(self, archive: zipfile.ZipFile, name: str, now: datetime) -> None:
        info = zipfile.ZipInfo(name, now.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        self._name, self._digest, self._bytes = name, hashlib.sha256(), 0
        self._file = archive.open(info, "w", force_zip64=True)

    def __enter__(self) -> "_Entry":
        return self

    def __exit__(self, *details: object) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._digest.update(piece)
        self._bytes += len(piece)

    def written(self, rows: int) -> Written:
        return Written(self._name, rows, self._bytes, self._digest.hexdigest())


def _write_index(
    archive: zipfile.ZipFile, files: list[Written], user_id: UUID, now: datetime
) -> None:
    manifest = {
        "user_id": str(user_id),
        "made_at": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "files": [
            {"name": item.name, "rows": item.rows, "bytes": item.bytes, "sha256": item.sha256}
            for item in files
        ],
    }
    facts = {
        "user_id": user_id, "made_at": now, "operator": settings.OPERATOR,
        "tables": list(_described(files)), "held": list(_held()), "stores": inventory.STORES,
    }  # fmt: skip
    texts = {
        "manifest.json": orjson.dumps(manifest, option=orjson.OPT_INDENT_2).decode(),
        "index.html": render_to_string("privacy/export_index.html", facts),
        "README.txt": render_to_string("privacy/export_readme.txt", facts),
    }
    for name, text in texts.items():
        with _Entry(archive, name, now) as entry:
            entry.write(text.encode())


def _described(files: list[Written]) -> Iterator[dict[str, Any]]:
    rows = {item.name: item.rows for item in files}
    for label in _exported():
        table, name = TABLES[label], inventory.model(label)._meta.db_table
        yield {
            "name": name, "purpose": table.purpose, "basis": table.basis,
            "retention": table.retention, "rows": rows[f"json/{name}.json"],
        }  # fmt: skip


def _held() -> Iterator[dict[str, Any]]:
    """What we hold about people and do not give out: it would only help a thief of the copy."""
    for label, table in TABLES.items():
        if table.fields["secret"]:
            name = inventory.model(label)._meta.db_table
            yield {"name": name, "purpose": table.purpose, "fields": table.fields["secret"]}
