"""Files of entries: kept sealed until they are booked, shown beforehand, booked by a worker.

Booking is a job with a lease that is renewed with every batch; a dead worker's job is found by
``sweep``. Each claim counts one attempt, and a worker must still hold its attempt to write
anything. A batch is one transaction: its facts, the holdings, and how many rows it booked.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from celery import current_app
from django.db import DataError, transaction
from django.db.models import F, Q

from accounts import datakeys
from audit import log as activity
from audit.actions import Action
from exchanges import assets, connections
from exchanges.models import ConnectionKind, ExchangeConnection
from portfolios.importing import namesakes, plan, superseded, table
from portfolios.importing.coverage import Known
from portfolios.importing.formats import registry
from portfolios.importing.plan import Layout, Plan
from portfolios.importing.reading import Found, Remark
from portfolios.ledger import accounts_by_hand, books, facts, new_assets
from portfolios.models import FileImport, ImportState
from tracker import ids, leases, tenancy, vault
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound
from tracker.leases import Lost
from tracker.logs import get_logger

log = get_logger(__name__)
APPLY_TASK = "portfolios.tasks.apply_import"
LEASE = timedelta(minutes=2)
MOST_ATTEMPTS = 5
MOST_WAITING = 10
KEPT = timedelta(days=7)
BATCH = 1_000
SAMPLE = 20
_LINES_SHOWN = 1_000
_OPEN = (ImportState.QUEUED, ImportState.APPLYING)


class ImportsFull(DomainError):
    code = "imports_full"
    status = 409
    message = "Several files are waiting already. Please book or remove one of them first."


class ImportStarted(DomainError):
    code = "import_started"
    status = 409
    message = "This file is being booked, or was. Send it again to change how it is read."


class ImportForgotten(DomainError):
    code = "import_forgotten"
    status = 409
    message = "This file is no longer kept. Please send it again."


class ImportUnmapped(DomainError):
    code = "import_unmapped"
    status = 409
    message = "Please say first which column of the file is which."


class ImportAlreadyBooked(DomainError):
    code = "import_already_booked"
    status = 409
    message = (
        "This file was booked into this account before, and was read in another way then. Remove "
        "that file and its entries first."
    )


class AccountNotRead(DomainError):
    code = "account_not_read_yet"
    status = 409
    message = (
        "This account has not been read from its exchange yet. Please wait for its first sync, so "
        "that nothing is booked twice."
    )


# --- sending and looking ------------------------------------------------------------------------
def upload(
    *,
    user_id: UUID,
    connection_id: UUID,
    file_name: str,
    content: bytes,
    format: str = "",
    time_zone: str = "UTC",
    mapping: Mapping[str, str] | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Keep a file and show what would be booked of it.

    Raises NotFound (the account), FileUnreadable, InvalidInput, ImportsFull.
    """
    text = table.decode(content)
    layout = _layout(text, format, mapping)
    read = plan.interpret(layout, zone=ZoneInfo(time_zone), now=now)
    with tenancy.as_user(user_id):
        account = connections.find(user_id=user_id, connection_id=connection_id)
        _check_room(user_id)
        row = FileImport(
            id=ids.new_id(), user_id=user_id, connection_id=account.id, format=layout.format.name,
            file_name=_safe_name(file_name), mapping=dict(layout.mapping), time_zone=time_zone,
            created_at=now,
        )  # fmt: skip
        _seal(row, text)
        _count(row, account, read)
        row.save(force_insert=True)
        activity.record(
            Action.IMPORT_UPLOADED, user_id=user_id, connection_id=str(account.id),
            import_id=str(row.id), format=row.format,
        )  # fmt: skip
        return _shown(row, _header(layout), _sample(read))


def remap(
    *,
    user_id: UUID,
    import_id: UUID,
    format: str | None = None,
    time_zone: str | None = None,
    mapping: Mapping[str, str] | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Read a file that waits in another way. Raises NotFound, ImportStarted, ImportForgotten."""
    with tenancy.as_user(user_id):
        row = _find(user_id, import_id, lock=True)
        if row.state != ImportState.PREVIEW:
            raise ImportStarted
        stated = mapping if mapping is not None or format else row.mapping
        layout = _layout(_unseal(row), format or row.format, stated)
        row.format, row.mapping = layout.format.name, dict(layout.mapping)
        row.time_zone = time_zone or row.time_zone
        read = plan.interpret(layout, zone=ZoneInfo(row.time_zone), now=now)
        _count(row, connections.find(user_id=user_id, connection_id=row.connection_id), read)
        row.save()
        activity.record(Action.IMPORT_CHANGED, user_id=user_id, import_id=str(import_id))
        return _shown(row, _header(layout), _sample(read))


def listed(*, user_id: UUID) -> list[dict[str, Any]]:
    """A person's files, newest first, without what is in them."""
    with tenancy.as_user(user_id):
        rows = FileImport.objects.filter(user_id=user_id).defer("content")
        return [_summary(row) for row in rows.order_by("-created_at", "-id")[:100]]


def detail(*, user_id: UUID, import_id: UUID, now: datetime) -> dict[str, Any]:
    """One file; while it waits, with its columns and the first entries. Raises NotFound."""
    with tenancy.as_user(user_id):
        row = _find(user_id, import_id)
        try:
            text = _unseal(row) if row.state == ImportState.PREVIEW else ""
        except ImportForgotten:
            text = ""
    if not text:
        return _shown(row, [], [])
    layout = plan.lay_out(text, format=row.format, mapping=row.mapping)
    read = plan.interpret(layout, zone=ZoneInfo(row.time_zone), now=now, first=10 * SAMPLE)
    return _shown(row, _header(layout), _sample(read))


def remove(*, user_id: UUID, import_id: UUID) -> None:
    """Forget a file; entries that were booked from it stay. Raises NotFound, ImportStarted."""
    with tenancy.as_user(user_id):
        row = _find(user_id, import_id, lock=True)
        if row.state in _OPEN:
            raise ImportStarted
        FileImport.objects.filter(id=row.id, user_id=user_id).delete()
        activity.record(Action.IMPORT_REMOVED, user_id=user_id, import_id=str(import_id))


def _find(user_id: UUID, import_id: UUID, *, lock: bool = False) -> FileImport:
    rows = FileImport.objects.filter(id=import_id, user_id=user_id)
    row = (rows.select_for_update() if lock else rows).first()
    if row is None:
        raise NotFound
    return row


def _check_room(user_id: UUID) -> None:
    waiting = FileImport.objects.filter(user_id=user_id, content__isnull=False)
    if waiting.count() >= MOST_WAITING:
        raise ImportsFull


def _layout(text: str, format: str, mapping: Mapping[str, str] | None) -> Layout:
    layout = plan.lay_out(text, format=format, mapping=mapping)
    for name, ours in (mapping or {}).items():
        if name not in layout.header:
            raise InvalidInput.of("mapping", f"The file has no column {name[:100]!r}.")
        if ours and ours not in layout.format.columns:
            raise InvalidInput.of("mapping", f"{ours[:100]!r} is none of our columns.")
    stated = [ours for ours in (mapping or {}).values() if ours]
    if len(set(stated)) < len(stated):
        raise InvalidInput.of("mapping", "Two columns of the file stand for the same of ours.")
    return layout


def _safe_name(name: str) -> str:
    bare = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in bare if letter.isprintable())[:200] or "file.csv"


# --- what is sealed -----------------------------------------------------------------------------
def _seal(row: FileImport, text: str) -> None:
    data_key = datakeys.obtain(row.user_id)
    row.content = vault.seal(
        text, data_key=data_key, user_id=row.user_id, row_id=row.id, field="content"
    )
    row.content_digest = hashlib.blake2b(text.encode(), key=data_key, digest_size=32).digest()


def _unseal(row: FileImport) -> str:
    if row.content is None:
        raise ImportForgotten
    try:
        return vault.unseal(
            bytes(row.content), data_key=datakeys.obtain(row.user_id), user_id=row.user_id,
            row_id=row.id, field="content",
        )  # fmt: skip
    except vault.VaultError:
        log.error("import.unreadable", file_import=str(row.id))
        raise ImportForgotten from None


# --- counting what would be booked --------------------------------------------------------------
def _count(row: FileImport, account: ExchangeConnection, read: Plan) -> None:
    """How many rows are new, known, skipped and refused; together they are all rows."""
    fresh, remarks = _uncovered(account, read)
    new_assets.check_file(
        exchange=read.layout.format.exchange or account.exchange_id,
        codes=facts.codes([item.fact for item in fresh]),
    )
    here = _already(account, fresh)
    row.rows_total = read.total
    row.rows_known = _rows_of(item for item in fresh if _name(item) in here)
    row.rows_booked = _rows_of(fresh) - row.rows_known
    row.rows_skipped = _lines(remarks, "skipped")
    row.rows_refused = _lines(remarks, "refused")
    row.issues = _issues(remarks)


def _uncovered(account: ExchangeConnection, read: Plan) -> tuple[list[Found], list[Remark]]:
    """Without what the exchange has told itself."""
    known = _told_by_exchange(account)
    fresh: list[Found] = []
    covered: list[Found] = []
    for item in read.found:
        (covered if known.has(item.fact) else fresh).append(item)
    told = Remark(
        "skipped", "covered", "The exchange has reported this time itself.",
        tuple(sorted(line for item in covered for line in item.lines)),
    )  # fmt: skip
    return fresh, [*read.remarks, *([told] if told.lines else [])]


def _told_by_exchange(account: ExchangeConnection) -> Known:
    return superseded.known(user_id=account.user_id, connection_id=account.id)


def _already(account: ExchangeConnection, found: Sequence[Found]) -> set[str]:
    """Names of those that are in the books."""
    here: set[str] = set()
    for batch in _batches(found):
        here |= namesakes.already(account, batch)
    return here


def _name(item: Found) -> str:
    return item.fact.exchange_id


def _rows_of(found: Any) -> int:
    return sum(len(item.lines) for item in found)


def _lines(remarks: Sequence[Remark], outcome: str) -> int:
    return sum(len(remark.lines) for remark in remarks if remark.outcome == outcome)


def _batches(found: Sequence[Found]) -> Iterator[Sequence[Found]]:
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]


def _issues(remarks: Sequence[Remark]) -> list[dict[str, Any]]:
    """Reasons with all their lines; of a very common one the first thousand, and how many."""
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for remark in remarks:
        key = (remark.outcome, remark.code, remark.sentence)
        grouped.setdefault(key, []).extend(remark.lines)
    return [
        {
            "outcome": outcome, "code": code, "message": sentence, "count": len(lines),
            "lines": sorted(lines)[:_LINES_SHOWN],
        }
        for (outcome, code, sentence), lines in sorted(grouped.items())
    ]  # fmt: skip


# --- showing ------------------------------------------------------------------------------------
_SUMMARY = (
    "id", "format", "file_name", "time_zone", "mapping", "state", "rows_total", "rows_booked",
    "rows_known", "rows_skipped", "rows_refused", "issues", "error", "created_at", "finished_at",
)  # fmt: skip


def _summary(row: FileImport) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _SUMMARY} | {"connection": row.connection_id}


def _shown(
    row: FileImport, header: Sequence[str], sample: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    known = registry.FORMATS[row.format]
    return _summary(row) | {
        "columns": list(header), "our_columns": sorted(known.columns),
        "missing_columns": known.missing(row.mapping), "sample": list(sample),
    }  # fmt: skip


def _header(layout: Layout) -> list[str]:
    return [name for name in layout.header if name]


def _sample(read: Plan) -> list[dict[str, Any]]:
    """The first entries as they would be booked."""
    first = sorted((item for item in read.found if item.lines), key=lambda item: min(item.lines))
    return [
        {"lines": list(item.lines[:_LINES_SHOWN]), "entry": _told(item)} for item in first[:SAMPLE]
    ]


def _told(item: Found) -> dict[str, Any]:
    fact = item.fact
    values = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    hidden = ("feed", "exchange_id", "order_id", "settled")
    return {"type": type(fact).__name__.lower()} | {
        name: value for name, value in values.items() if name not in hidden
    }


# --- booking ------------------------------------------------------------------------------------
def confirm(*, user_id: UUID, import_id: UUID) -> dict[str, Any]:
    """Have a file booked; asked twice it is booked once.

    Raises NotFound, ImportForgotten, ImportUnmapped, ImportAlreadyBooked, AccountNotRead.
    """
    with tenancy.as_user(user_id):
        place = _find(user_id, import_id).connection_id
        # The account before the file, as booking locks them.
        account = connections.find(user_id=user_id, connection_id=place, lock=True)
        row = _find(user_id, import_id, lock=True)
        if row.state in (ImportState.PREVIEW, ImportState.FAILED):
            _check_ready(row)
            _check_account(account)
            _check_not_booked(row)
            row.state, row.rows_booked, row.attempts, row.error = ImportState.QUEUED, 0, 0, ""
            row.save(update_fields=["state", "rows_booked", "attempts", "error"])
            activity.record(Action.IMPORT_CONFIRMED, user_id=user_id, import_id=str(import_id))
            transaction.on_commit(lambda: _enqueue(import_id), robust=True)
        return _shown(row, [], [])


def _check_ready(row: FileImport) -> None:
    if row.content is None:
        raise ImportForgotten
    if missing := registry.FORMATS[row.format].missing(row.mapping):
        raise ImportUnmapped(details={"missing_columns": missing})


def _check_account(account: ExchangeConnection) -> None:
    """Until its first visit nobody knows what an exchange will tell itself."""
    if account.kind != ConnectionKind.MANUAL and account.last_synced_at is None:
        raise AccountNotRead


def _check_not_booked(row: FileImport) -> None:
    """The same bytes read as before change nothing; read in another way they are other entries,
    and all would be booked a second time."""
    reading = ("format", "time_zone", "mapping")
    before = FileImport.objects.filter(
        user_id=row.user_id, connection_id=row.connection_id, content_digest=row.content_digest
    ).exclude(id=row.id)
    booked = before.filter(Q(state__in=_OPEN) | Q(rows_booked__gt=0)).exclude(
        state=ImportState.PREVIEW
    )
    told = {name: getattr(row, name) for name in reading}
    brings_any = row.rows_booked or row.state == ImportState.FAILED
    if brings_any and any(other != told for other in booked.values(*reading)):
        raise ImportAlreadyBooked


def _enqueue(import_id: UUID) -> None:
    """By name: the task calls this module."""
    current_app.send_task(APPLY_TASK, kwargs={"import_id": str(import_id)})


def apply(*, import_id: UUID, clock: Callable[[], datetime]) -> bool:
    """Book a file that waits, or that a dead worker left; returns whether it is booked now."""
    row = _claim(import_id, clock())
    if row is None:
        return False
    try:
        with tenancy.as_user(row.user_id):
            account = connections.find(user_id=row.user_id, connection_id=row.connection_id)
            text = _unseal(row)
        layout = plan.lay_out(text, format=row.format, mapping=row.mapping)
        read = plan.interpret(layout, zone=ZoneInfo(row.time_zone), now=clock())
        with tenancy.as_user(row.user_id):
            fresh, remarks = _uncovered(account, read)
        for batch in _batches(fresh):
            _book(row, layout, batch, clock())
        _finish(row, read, remarks, clock())
    except (Lost, NotFound):
        return False
    except (DomainError, DataError) as refusal:  # the next time it would be the same
        log.warning("import.refused", file_import=str(row.id), error=type(refusal).__name__)
        _put_off(row, getattr(refusal, "code", type(refusal).__name__), again=False)
        return False
    except Exception as error:  # whatever it is: the sweeper tries again, and then it is said
        log.error("import.failed", file_import=str(row.id), error=type(error).__name__)
        _put_off(row, type(error).__name__)
        return False
    return True


def _claim(import_id: UUID, now: datetime) -> FileImport | None:
    with tenancy.as_system("claim an import"):
        taken = leases.take(
            FileImport.objects.filter(state__in=_OPEN), import_id, now=now, lease=LEASE,
            most=MOST_ATTEMPTS, state=ImportState.APPLYING,
        )  # fmt: skip
        return FileImport.objects.get(id=import_id) if taken else None


def _held(row: FileImport) -> Any:
    return leases.held(row, state=ImportState.APPLYING)


def _book(row: FileImport, layout: Layout, batch: Sequence[Found], now: datetime) -> None:
    """One transaction: what is new of a batch, and how many rows that were."""
    wanted = [item.fact for item in batch]
    exchange = layout.format.exchange or _exchange_of(row)
    codes = facts.codes(wanted)
    new_assets.allow(user_id=row.user_id, exchange=exchange, codes=codes, now=now)
    meanings = assets.resolve(exchange, codes)
    with tenancy.as_user(row.user_id):
        account = connections.find(user_id=row.user_id, connection_id=row.connection_id, lock=True)
        known = _told_by_exchange(account)  # again: a visit may have ended meanwhile
        batch = [item for item in batch if not known.has(item.fact)]
        here = _already(account, batch)
        fresh = [item for item in batch if _name(item) not in here]
        kept = _held(row).update(
            leased_until=now + LEASE, rows_booked=F("rows_booked") + _rows_of(fresh)
        )
        if not kept:
            raise Lost
        stored = facts.store(
            user_id=row.user_id, connection_id=account.id, meanings=meanings,
            facts=[item.fact for item in fresh],
        )  # fmt: skip
        accounts_by_hand.follow_ledger(account=account, asset_ids=stored.touched.keys(), now=now)
        if stored.touched:
            books.changed(user_id=row.user_id, touched=stored.touched, now=now)


def _exchange_of(row: FileImport) -> str:
    with tenancy.as_user(row.user_id):
        return ExchangeConnection.objects.values_list("exchange_id", flat=True).get(
            id=row.connection_id
        )


def _finish(row: FileImport, read: Plan, remarks: Sequence[Remark], now: datetime) -> None:
    """Booked, said and the file forgotten. What is neither booked nor remarked was known."""
    skipped, refused = _lines(remarks, "skipped"), _lines(remarks, "refused")
    with tenancy.as_user(row.user_id):
        done = _held(row).update(
            state=ImportState.APPLIED, finished_at=now, leased_until=None, content=None, error="",
            rows_total=read.total, rows_skipped=skipped, rows_refused=refused,
            rows_known=read.total - skipped - refused - F("rows_booked"), issues=_issues(remarks),
        )  # fmt: skip
        if not done:
            raise Lost
        booked = FileImport.objects.values_list("rows_booked", flat=True).get(id=row.id)
        activity.record(
            Action.IMPORT_APPLIED, user_id=row.user_id, import_id=str(row.id), rows=booked
        )


def _put_off(row: FileImport, error: str, *, again: bool = True) -> None:
    failed = not again or row.attempts >= MOST_ATTEMPTS
    state = ImportState.FAILED if failed else ImportState.QUEUED
    with tenancy.as_user(row.user_id):
        _held(row).update(state=state, leased_until=None, error=error[:48])
        if failed:
            activity.record(
                Action.IMPORT_FAILED, user_id=row.user_id, outcome="failed", import_id=str(row.id)
            )


def sweep(*, now: datetime) -> int:
    """Queue what waits or was left by a dead worker; give up what died too often."""
    with tenancy.as_system("sweep imports"):
        left = list(
            FileImport.objects.filter(leases.free(now), state__in=_OPEN)
            .defer("content")
            .order_by("created_at")[:500]
        )
    for row in left:
        if row.attempts < MOST_ATTEMPTS:
            _enqueue(row.id)
        elif row.state == ImportState.APPLYING:
            _put_off(row, "WorkerDied")
    return len(left)


def forget_files(*, now: datetime) -> int:
    """Forget the files that nobody had booked within a week; returns how many."""
    with tenancy.as_system("forget files"):
        old = FileImport.objects.filter(content__isnull=False, created_at__lt=now - KEPT)
        return old.exclude(state__in=_OPEN).update(content=None)
