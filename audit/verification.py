"""Whether the activity log is what was sealed: every row, every seal, and nothing besides.

PostgreSQL computes the commitments again, some ten thousand rows a statement, by the same
function that the trigger uses. A row that was erased is known by its emptiness, and by the marker
that the erasure left; rows of months that retention dropped are known by the marker that it left.
"""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Length

from audit import sealing
from audit.actions import Action
from audit.models import ActivitySeal
from audit.sealing import MEMBER_BYTES
from tracker import tenancy

MOST_FINDINGS = 1_000
_PAGE = 100  # seals held at once
_SKEW = timedelta(hours=1)  # between the clocks that stamp rows and seals
_NEVER = datetime.min.replace(tzinfo=UTC)
Told = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was sealed. ``kind`` is stable, ``text`` is for people."""

    kind: str
    text: str
    log_id: UUID | None = None
    seal: int | None = None


@dataclass(slots=True)
class Report:
    """What was looked at and what was found; it is sound when nothing was found."""

    seals: int = 0
    rows: int = 0
    erased: int = 0
    retired: int = 0
    unsealed: int = 0
    oldest_unsealed: datetime | None = None
    retired_before: datetime | None = None
    head: str = ""
    total: int = 0
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: str, text: str, *, log_id: UUID | None = None, seal: int | None = None):
        """Count it, and keep it unless there are very many already."""
        self.total += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, text, log_id, seal))


def count(since: datetime | None = None) -> int:
    """How many rows a verification will look at."""
    with tenancy.as_system("verify the activity log"):
        total = _seals(since).aggregate(total=Sum(Length("members")))["total"]
    return (total or 0) // MEMBER_BYTES


def verify(
    *, since: datetime | None = None, head: str = "", told: Told = lambda rows: None
) -> Report:
    """Compare the log with its seals. ``told`` hears how many rows were just compared.

    ``since`` leaves out what was sealed before; what it rests on is then taken on trust. ``head``
    is a line kept outside the database, ``number:digest``: that seal must still be there.
    """
    report = Report()
    with tenancy.as_system("verify the activity log"):
        _prepare()
        report.retired_before = _retired_before()
        last = None
        for page in _pages(since):
            last = _check_chain(page, last, report, whole=since is None)
            _check_rows(page, report)
            told(sum(len(seal.members) for seal in page) // MEMBER_BYTES)
        _check_head(last, head, report)
        _check_waiting(report)
        _check_strays(since, last, report)
        _check_erased(report)
    return report


# --- seals --------------------------------------------------------------------------------------
def _seals(since: datetime | None):
    seals = ActivitySeal.objects.order_by("number")
    return seals if since is None else seals.filter(sealed_at__gte=since - _SKEW)


def _pages(since: datetime | None, after: int | None = None) -> Iterator[list[ActivitySeal]]:
    while True:
        seals = _seals(since)
        page = list((seals if after is None else seals.filter(number__gt=after))[:_PAGE])
        if not page:
            return
        yield page
        after = page[-1].number


def _check_chain(
    page: list[ActivitySeal], last: ActivitySeal | None, report: Report, *, whole: bool
) -> ActivitySeal:
    for seal in page:
        report.seals += 1
        if last is None and whole:
            _check_link(seal, number=1, previous=sealing.GENESIS, report=report)
        elif last is not None:
            _check_link(seal, number=last.number + 1, previous=bytes(last.digest), report=report)
        _check_seal(seal, report)
        last = seal
    assert last is not None  # noqa: S101  (no page is empty)
    return last


def _check_link(seal: ActivitySeal, *, number: int, previous: bytes, report: Report) -> None:
    if seal.number != number:
        gap = f"{number}" if seal.number == number + 1 else f"{number} to {seal.number - 1}"
        report.find("seal_missing", f"Seal {gap} is missing.", seal=number)
    elif bytes(seal.previous) != previous:
        text = f"Seal {seal.number} does not continue seal {number - 1}."
        report.find("chain_broken", text, seal=seal.number)


def _check_seal(seal: ActivitySeal, report: Report) -> None:
    digest, mac = bytes(seal.digest), sealing.mac_of(bytes(seal.digest), seal.key_id)
    if sealing.digest_of(seal) != digest or len(seal.members) % MEMBER_BYTES:
        report.find("seal_changed", f"Seal {seal.number} was changed.", seal=seal.number)
    # A key that was rotated out is no fault: a later seal vouches for this one.
    if mac is not None and not hmac.compare_digest(mac, bytes(seal.mac)):
        report.find("seal_forged", f"Seal {seal.number} was not made by us.", seal=seal.number)


def _check_head(last: ActivitySeal | None, head: str, report: Report) -> None:
    if last is not None:
        report.head = f"{last.number}:{bytes(last.digest).hex()}"
        if sealing.mac_of(bytes(last.digest), last.key_id) is None:
            text = f"The newest seal, {last.number}, names a key that ENCRYPTION_KEY lacks."
            report.find("key_unknown", text, seal=last.number)
    if not head:
        return
    number, _, digest = head.partition(":")
    known = ActivitySeal.objects.filter(number=int(number)).first()
    if known is None or bytes(known.digest).hex() != digest.lower():
        text = f"Seal {number} is not the one that was named: the chain was cut or made anew."
        report.find("head_differs", text, seal=int(number))


# --- rows ---------------------------------------------------------------------------------------
_COMMITMENT = (
    "activity_commitment(r.salt, r.id, r.created_at, r.user_id, r.actor_id, r.action, r.outcome, "
    "r.details, r.ip_address, r.session_id, r.request_id)"
)
_EMPTY = (
    "(r.salt IS NULL AND r.details = '{}' AND r.ip_address IS NULL AND r.session_id IS NULL "
    "AND r.request_id = '')"
)
_COMPARE = f"""
    WITH member AS MATERIALIZED (
        SELECT encode(substring(blob FROM 1 + %(size)s * i FOR 16), 'hex')::uuid AS id,
               timestamptz '1970-01-01 00:00+00' + interval '1 microsecond'
               * ('x' || encode(substring(blob FROM 17 + %(size)s * i FOR 8), 'hex'))
                 ::bit(64)::bigint AS created_at,
               substring(blob FROM 25 + %(size)s * i FOR 32) AS commitment
        FROM (SELECT %(members)s::bytea AS blob) AS given,
             generate_series(0, %(rows)s - 1) AS i
    ), noted AS (
        INSERT INTO pg_temp.activity_sealed SELECT id FROM member ON CONFLICT DO NOTHING
    )
    SELECT m.id, m.created_at, r.id IS NULL, r.erased_at IS NOT NULL, {_EMPTY}, r.action
    FROM member AS m
    LEFT JOIN activity_logs AS r ON r.id = m.id AND r.created_at = m.created_at
    WHERE r.id IS NULL OR r.erased_at IS NOT NULL OR {_COMMITMENT} <> m.commitment
    ORDER BY m.id
"""  # noqa: S608  (fixed text)
_WAITING = f"""
    SELECT u.log_id, u.created_at, r.id IS NULL, r.erased_at IS NOT NULL, {_EMPTY}, r.action
    FROM activity_unsealed AS u
    LEFT JOIN activity_logs AS r ON r.id = u.log_id AND r.created_at = u.created_at
    WHERE r.id IS NULL OR r.erased_at IS NOT NULL OR {_COMMITMENT} <> u.commitment
    ORDER BY u.log_id
"""  # noqa: S608
_STRAYS = """
    SELECT id, created_at, action FROM activity_logs AS r
    WHERE (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
      AND NOT EXISTS (SELECT FROM pg_temp.activity_sealed AS s WHERE s.id = r.id)
      AND NOT EXISTS (SELECT FROM activity_unsealed AS u WHERE u.log_id = r.id)
    ORDER BY id LIMIT %(most)s
"""
# Names of groups are compared as text: nothing that stands in a marker can make this fail.
_UNMARKED = f"""
    WITH emptied (erased_at, month, rows, ids) AS MATERIALIZED (
        {sealing.ERASED_GROUPS.format(rows="activity_logs")}
    )
    SELECT erased_at::timestamptz, month, rows FROM emptied AS e
    WHERE NOT EXISTS (
        SELECT FROM activity_logs AS m
        WHERE m.action = %(marker)s AND m.erased_at IS NULL
          AND m.details->>'erased_at' = e.erased_at
          AND m.details->'months'->e.month = jsonb_build_object('rows', e.rows, 'ids', e.ids))
    ORDER BY 1, 2
"""  # noqa: S608
# What is not empty either is known as changed already.
_UNMARKED_ROWS = f"""
    SELECT id, created_at, action FROM activity_logs AS r
    WHERE (erased_at, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM'))
       IN (SELECT * FROM unnest(%(moments)s::timestamptz[], %(months)s::text[]))
      AND {_EMPTY}
    ORDER BY id LIMIT %(most)s
"""  # noqa: S608


def _prepare() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("DROP TABLE IF EXISTS pg_temp.activity_sealed")
        cursor.execute("CREATE TEMP TABLE activity_sealed (id uuid PRIMARY KEY) ON COMMIT DROP")


def _retired_before() -> datetime | None:
    """Up to when retention has dropped whole months, by its newest marker."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max((details->>'before')::date) FROM activity_logs "
            "WHERE action = %s AND details->>'table' = 'activity_logs'",
            [Action.RETENTION_APPLIED],
        )
        (day,) = cursor.fetchone()
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _check_rows(page: list[ActivitySeal], report: Report) -> None:
    members = b"".join(bytes(seal.members) for seal in page)
    rows = len(members) // MEMBER_BYTES
    report.rows += rows
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE, {"members": members, "rows": rows, "size": MEMBER_BYTES})
        differing = cursor.fetchall()
    _judge(differing, report, {} if not differing else _seal_of(page))


def _seal_of(page: list[ActivitySeal]) -> dict[bytes, int]:
    """Which seal covers a row, for those pages in which something differs."""
    return {
        bytes(seal.members[place : place + 16]): seal.number
        for seal in page
        for place in range(0, len(seal.members), MEMBER_BYTES)
    }


def _judge(differing: list, report: Report, seal_of: dict[bytes, int]) -> None:
    missing = []
    for log_id, created_at, gone, erased, empty, action in differing:
        where = {"log_id": log_id, "seal": seal_of.get(log_id.bytes)}
        if gone and created_at < (report.retired_before or _NEVER):
            report.retired += 1
        elif gone:
            missing.append((log_id, created_at, where))
        elif erased and empty:
            report.erased += 1
        else:
            text = f"Row {log_id} ({action}, {created_at:%Y-%m-%d %H:%M:%S}) was changed."
            report.find("row_changed", text, **where)
    elsewhere = _found_elsewhere([log_id for log_id, _, _ in missing[:MOST_FINDINGS]])
    for log_id, created_at, where in missing:
        when = f"{created_at:%Y-%m-%d %H:%M:%S}"
        if log_id in elsewhere:
            text = f"Row {log_id} of {when} was moved to {elsewhere[log_id]:%Y-%m-%d %H:%M:%S}."
            report.find("row_moved", text, **where)
        else:
            report.find("row_missing", f"Row {log_id} of {when} is missing.", **where)


def _found_elsewhere(ids: list[UUID]) -> dict[UUID, datetime]:
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, created_at FROM activity_logs WHERE id = ANY(%s)", [ids])
        return dict(cursor.fetchall())


def _check_waiting(report: Report) -> None:
    """Rows that are not sealed yet must still be what was noted about them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(created_at) FROM activity_unsealed")
        report.unsealed, report.oldest_unsealed = cursor.fetchone()
        cursor.execute(_WAITING)
        _judge(cursor.fetchall(), report, {})


def _check_strays(since: datetime | None, last: ActivitySeal | None, report: Report) -> None:
    """Rows that no seal knows and that do not wait for one: slipped in past the trigger."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pg_temp.activity_sealed")
        cursor.execute(_STRAYS, {"since": since, "most": 10 * MOST_FINDINGS})
        strays = cursor.fetchall()
    if not strays:
        return
    # What was sealed while we looked is no stray.
    fresh: set[bytes] = set()
    for page in _pages(since, after=last.number if last else 0):
        fresh |= set(_seal_of(page))
    for log_id, created_at, action in strays:
        if log_id.bytes not in fresh:
            text = f"Row {log_id} ({action}, {created_at:%Y-%m-%d %H:%M:%S}) was never sealed."
            report.find("row_unsealed", text, log_id=log_id)


def _check_erased(report: Report) -> None:
    """Rows that were emptied without the marker of an erasure, which says how many and which.

    Always the whole log: an old row may have been emptied today.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNMARKED, {"marker": Action.ACTIVITY_ERASED})
        groups = cursor.fetchall()
        if not groups:
            return
        moments, months, _ = zip(*groups, strict=True)
        given: dict[str, Any] = {"moments": list(moments), "months": list(months)}
        cursor.execute(_UNMARKED_ROWS, given | {"most": 10 * MOST_FINDINGS})
        rows = cursor.fetchall()
    for log_id, created_at, action in rows:
        text = f"Row {log_id} ({action}, {created_at:%Y-%m-%d %H:%M:%S}) was emptied unannounced."
        report.find("row_erased_without_marker", text, log_id=log_id)
