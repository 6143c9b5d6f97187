"""Writing what a visit brought back: one transaction per connection, under its own user.

Raw facts, then the ledger legs of those that are new, then holdings, coverage and the run. The
coverage moves in the same transaction as the rows, or not at all. Recording the same report
twice changes nothing the second time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from audit import log
from audit.actions import Action
from exchanges import assets, lateness, quarantine
from exchanges.gateway.errors import (
    CredentialUnreadable,
    GatewayError,
    KeyTooPowerful,
    MissingPermission,
    SymbolUnknown,
    Unreachable,
    WrongKey,
)
from exchanges.models import ConnectionState, Coverage, ExchangeConnection
from exchanges.reports import (
    AccountReport,
    Covered,
    Fact,
    Failure,
    Form,
    Quarantined,
    Timeline,
)
from portfolios.importing import superseded
from portfolios.ledger import books, facts
from portfolios.models import PortfolioState, SyncRun, SyncState
from portfolios.sync import holdings, timelines
from tracker import live, money, tenancy

# Most faults are over in seconds, so the first retry comes soon; only then the pauses grow.
FIRST_RETRY_AFTER = timedelta(seconds=30)
RETRY_AFTER = timedelta(minutes=2)
RETRY_AT_MOST = timedelta(hours=6)
TOO_LONG = "number_too_long"
ROWS_QUARANTINED = "rows_quarantined"
_COUNTED = ("new_trades", "new_transfers", "new_rewards")
_NEEDS_NEW_KEY = (
    WrongKey.code, MissingPermission.code, KeyTooPowerful.code, CredentialUnreadable.code,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """A connection in this worker's hands: who owns it, and by which token it is held."""

    connection_id: UUID
    user_id: UUID
    exchange: str
    token: UUID
    sync_every: timedelta
    calls_before: int = 0  # that earlier visits of the same run made


def record(*, claim: Claim, report: AccountReport, now: datetime) -> SyncState | None:
    """Store a report and release the claim; returns how the run ended.

    Returns None, and stores nothing, when the claim was lost meanwhile: whoever has it now
    reads the same facts again.
    """
    report = _without_unstorable(report)
    meanings = assets.resolve(claim.exchange, _codes(report))
    with tenancy.as_user(claim.user_id):
        connection = _still_ours(claim)
        if connection is None:
            return None
        stored = facts.store(
            user_id=claim.user_id, connection_id=claim.connection_id, facts=report.facts,
            meanings=meanings,
        )  # fmt: skip
        counts = {name: stored.counts[name] for name in _COUNTED}
        moved = holdings.apply_report(user_id=claim.user_id, report=report, assets=meanings)
        _record_coverage(claim, report.covered)
        retired = _retire_imported(claim, report.covered)
        _record_quarantine(claim, report, now)
        state = _outcome(claim, report)
        changes = _success(claim, report, state, connection, now)
        _settle(claim, connection, changes)
        _note_key(claim, connection, report.privileges, report.address_restricted, now)
        _finish_run(claim, state, now, counts=counts, report=report)
        _tell_the_books(
            claim, _earliest(stored.touched, retired), now, moved=moved,
            turned=connection.state != changes["state"],
        )  # fmt: skip
        if any(counts.values()) or connection.state != changes["state"]:
            log.record(
                Action.SYNC_FINISHED, user_id=claim.user_id, outcome=str(state),
                connection_id=str(claim.connection_id), holdings_changed=moved,
                **cast(dict[str, Any], counts),
            )  # fmt: skip
        return state


def put_off(*, claim: Claim, now: datetime) -> bool:
    """Let go of an account whose history is to be read by the next visit; False when it was lost.

    Its run stays open and goes on then.
    """
    with tenancy.as_user(claim.user_id):
        connection = _still_ours(claim)
        if connection is None:
            return False
        _settle(claim, connection, {"next_sync_at": _unless_paused(connection, now)})
        _open_runs(claim).update(state=SyncState.QUEUED)
        return True


def record_balances(*, claim: Claim, report: AccountReport) -> None:
    """Store what an account holds before its history has been read; the claim is kept."""
    report = _without_unstorable(report)
    meanings = assets.resolve(claim.exchange, _codes(report))
    with tenancy.as_user(claim.user_id):
        if _still_ours(claim):
            holdings.apply_report(user_id=claim.user_id, report=report, assets=meanings)
            live.publish(user_id=claim.user_id, topic=live.PORTFOLIO)


def record_failure(*, claim: Claim, error: GatewayError, now: datetime) -> None:
    """Note that nothing could be read; a permanent error stops the syncing until a new key."""
    with tenancy.as_user(claim.user_id):
        connection = _still_ours(claim)
        if connection is None:
            return
        changes = _failure(connection, error, now)
        _settle(claim, connection, changes)
        if isinstance(error, KeyTooPowerful):
            told = error.details
            restricted = told.get("address_restricted")
            _note_key(claim, connection, told.get("privileges"), restricted, now)
        _finish_run(claim, SyncState.FAILED, now, error=error.code, calls=error.timeline)
        if changes.get("state", connection.state) != connection.state:
            log.record(
                Action.SYNC_FINISHED, user_id=claim.user_id, outcome="failed", code=error.code,
                connection_id=str(claim.connection_id),
            )  # fmt: skip


def _codes(report: AccountReport) -> set[str]:
    return {balance.code for balance in report.balances} | facts.codes(report.facts)


# --- numbers that do not fit --------------------------------------------------------------------
def _without_unstorable(report: AccountReport) -> AccountReport:
    """Put aside what PostgreSQL could only store rounded: kept, said, never altered."""
    facts = tuple(fact for fact in report.facts if storable(fact))
    balances = tuple(item for item in report.balances if money.fits_units(item.quantity))
    aside = [too_long(fact) for fact in report.facts if not storable(fact)]
    aside += [
        Quarantined("balances", item.wallet, TOO_LONG, repr(item), Form.NUMBER)
        for item in report.balances
        if not money.fits_units(item.quantity)
    ]
    if not aside:
        return report
    return replace(
        report, facts=facts, balances=balances, quarantined=(*report.quarantined, *aside)
    )


def too_long(fact: Fact) -> Quarantined:
    """A fact with a number that does not fit, for the quarantine."""
    return Quarantined(fact.feed, "", TOO_LONG, repr(fact), Form.NUMBER, fact.exchange_id)


def storable(fact: Fact) -> bool:
    """Whether every number of a fact can be stored as it is."""
    # A price may be a quotient without end; it is rounded, because the ledger does not read it.
    numbers = [getattr(fact, name) for name in fact.__dataclass_fields__ if name != "price"]
    return all(money.fits_units(item) for item in numbers if isinstance(item, Decimal))


def _outcome(claim: Claim, report: AccountReport) -> SyncState:
    if report.unfinished:
        return SyncState.QUEUED
    return SyncState.PARTIAL if _is_partial(claim, report) else SyncState.COMPLETE


def _is_partial(claim: Claim, report: AccountReport) -> bool:
    """Something is missing: now, or since a row that is still waiting to be understood.

    A market that the exchange has closed for good is known to be out of reach; that is said by
    its coverage, and does not make every sync partial.
    """
    if _missing(report) or report.quarantined:
        return True
    return quarantine.waits(user_id=claim.user_id, connection_id=claim.connection_id)


def _missing(report: AccountReport) -> list[Failure]:
    return [item for item in report.failures if item.code != SymbolUnknown.code]


# --- coverage and quarantine --------------------------------------------------------------------
def _record_coverage(claim: Claim, covered: Iterable[Covered]) -> None:
    """Extend what was read: the earliest beginning and the latest end of what touches."""
    rows = [
        Coverage(
            user_id=claim.user_id, connection_id=claim.connection_id, feed=item.feed,
            scope=item.scope, since=item.since, until=item.until, cursor=item.cursor,
        )
        for item in covered
    ]  # fmt: skip
    if not rows:
        return
    before = {
        (row.feed, row.scope): row.since
        for row in Coverage.objects.filter(user_id=claim.user_id, connection_id=claim.connection_id)
    }
    for row in rows:
        row.since = min(row.since, before.get((row.feed, row.scope), row.since))
    Coverage.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["user", "connection", "feed", "scope"],
        update_fields=["since", "until", "cursor"],
    )


def _retire_imported(claim: Claim, covered: Sequence[Covered]) -> dict[UUID, datetime]:
    """What files told of a time that the exchange now tells itself goes; each asset's earliest."""
    if not covered:
        return {}
    touched = superseded.retire(
        user_id=claim.user_id, connection_id=claim.connection_id,
        since=min(item.since for item in covered), until=max(item.until for item in covered),
    )  # fmt: skip
    if touched:
        log.record(
            Action.ENTRIES_SUPERSEDED, user_id=claim.user_id,
            connection_id=str(claim.connection_id), assets=len(touched),
        )  # fmt: skip
    return touched


def _earliest(
    stored: Mapping[UUID, datetime], retired: Mapping[UUID, datetime]
) -> dict[UUID, datetime]:
    merged = dict(stored)
    for asset_id, at in retired.items():
        merged[asset_id] = min(at, merged.get(asset_id, at))
    return merged


def _record_quarantine(claim: Claim, report: AccountReport, now: datetime) -> None:
    quarantine.drop_read_again(user_id=claim.user_id, report=report)
    quarantine.keep(
        user_id=claim.user_id, connection_id=claim.connection_id, items=report.quarantined, now=now
    )


# --- connection, run, portfolio -----------------------------------------------------------------
def _still_ours(claim: Claim) -> ExchangeConnection | None:
    return (
        ExchangeConnection.objects.select_for_update()
        .filter(id=claim.connection_id, user_id=claim.user_id, claimed_by=claim.token)
        .first()
    )


def _success(
    claim: Claim, report: AccountReport, state: SyncState, before: ExchangeConnection, now: datetime
) -> dict[str, Any]:
    if state == SyncState.QUEUED:
        return _to_go_on(claim, report, before, now)
    complete = state == SyncState.COMPLETE
    changes: dict[str, Any] = {
        "state": ConnectionState.OK if complete else ConnectionState.PARTIAL,
        "reason": "" if complete else _reason(report),
        "last_synced_at": now,
        "failures": 0,
        "next_sync_at": now + claim.sync_every + _jitter(claim),
        "late_after": _late_after(claim, now),
    }
    if complete:
        changes["last_complete_at"] = report.read_at
    if complete and report.complete_history:
        changes["last_full_at"] = report.read_at
    if before.state == ConnectionState.PAUSED:  # paused while the visit ran: it stays so
        changes |= {"state": before.state, "reason": before.reason, "next_sync_at": None}
    if not complete and any(not failure.permanent for failure in report.failures):
        first = before.state != ConnectionState.PARTIAL
        changes["next_sync_at"] = now + min(
            claim.sync_every, FIRST_RETRY_AFTER if first else RETRY_AFTER
        )
    return changes


def _late_after(claim: Claim, now: datetime) -> datetime:
    """It was read now, and is expected to be again after its plan's interval."""
    return lateness.after(now + claim.sync_every, every=claim.sync_every)


def _to_go_on(
    claim: Claim, report: AccountReport, before: ExchangeConnection, now: datetime
) -> dict[str, Any]:
    """The health that it had stays until all is read; the next visit follows at once, or as soon
    as the exchange allows."""
    again = now + timedelta(seconds=report.resume_after)
    return {
        "state": before.state, "reason": before.reason, "last_synced_at": now, "failures": 0,
        "next_sync_at": _unless_paused(before, again), "late_after": _late_after(claim, now),
    }  # fmt: skip


def _unless_paused(connection: ExchangeConnection, at: datetime) -> datetime | None:
    return None if connection.state == ConnectionState.PAUSED else at


def _reason(report: AccountReport) -> str:
    missing = _missing(report)
    return missing[0].code[:48] if missing else ROWS_QUARANTINED


def _jitter(claim: Claim) -> timedelta:
    """Up to a tenth of the cadence, the same for a connection each time: a fleet spreads out."""
    share = claim.connection_id.int % 1000 / 1000
    return claim.sync_every * (share / 10)


def _failure(before: ExchangeConnection, error: GatewayError, now: datetime) -> dict[str, Any]:
    failures = before.failures + 1
    if error.permanent:
        needs_key = error.code in _NEEDS_NEW_KEY
        state = ConnectionState.NEEDS_NEW_KEY if needs_key else ConnectionState.PAUSED
        return {
            "state": state, "reason": error.code, "failures": failures, "next_sync_at": None,
        }  # fmt: skip
    wait = FIRST_RETRY_AFTER
    if failures > 1:
        wait = min(RETRY_AFTER * 2 ** min(failures - 2, 10), RETRY_AT_MOST)
    if isinstance(error, Unreachable):  # the exchange's trouble, for which circuits are there
        wait = min(wait, RETRY_AFTER)
    if error.retry_after:
        wait = max(wait, timedelta(seconds=error.retry_after))
    next_sync_at = _unless_paused(before, now + wait)
    return {"reason": error.code, "failures": failures, "next_sync_at": next_sync_at}


def _settle(claim: Claim, connection: ExchangeConnection, changes: Mapping[str, Any]) -> None:
    ExchangeConnection.objects.filter(id=connection.id).update(
        **changes, claimed_by=None, lease_until=None
    )


def _note_key(
    claim: Claim,
    before: ExchangeConnection,
    privileges: str | None,
    restricted: bool | None,
    now: datetime,
) -> None:
    """Keep what the exchange says about the key, and log it when that has changed (S27)."""
    if privileges is None:
        return
    ExchangeConnection.objects.filter(id=before.id).update(
        privileges=str(privileges), address_restricted=restricted, privileges_read_at=now
    )
    told = None not in (before.address_restricted, restricted)
    moved = told and before.address_restricted != restricted
    if before.privileges == privileges and not moved:
        return
    log.record(
        Action.CONNECTION_PRIVILEGES_CHANGED, user_id=claim.user_id,
        connection_id=str(claim.connection_id), before=str(before.privileges),
        after=str(privileges), restricted_before=before.address_restricted,
        restricted_after=restricted,
    )  # fmt: skip


def _finish_run(
    claim: Claim,
    state: SyncState,
    now: datetime,
    *,
    counts: Mapping[str, int] | None = None,
    report: AccountReport | None = None,
    error: str = "",
    calls: Timeline | None = None,
) -> None:
    problems = [
        {"feed": item.feed, "scope": item.scope, "code": item.code}
        for item in (report.failures if report else ())
    ]
    over = state != SyncState.QUEUED
    added = {name: F(name) + count for name, count in (counts or {}).items()}
    _open_runs(claim).update(
        state=state, finished_at=now if over else None, problems=problems, error=error,
        quarantined=F("quarantined") + (len(report.quarantined) if report else 0),
        timeline=timelines.to_plain(report.timeline if report else calls or Timeline()),
        **added, **({"calls_left": None, "seconds_left": None, "phase": ""} if over else {}),
    )  # fmt: skip
    timelines.forget_older(user_id=claim.user_id, connection_id=claim.connection_id)
    live.publish(
        user_id=claim.user_id, topic=live.SYNC,
        payload={"connection": claim.connection_id, "state": str(state)},
    )  # fmt: skip


def _open_runs(claim: Claim) -> QuerySet[SyncRun]:
    return SyncRun.objects.filter(
        user_id=claim.user_id, connection_id=claim.connection_id, state=SyncState.RUNNING
    )


def _tell_the_books(
    claim: Claim, touched: Mapping[UUID, datetime], now: datetime, *, moved: int, turned: bool
) -> None:
    """Have what is derived computed anew when anything it depends on has changed.

    The first visit makes snapshots due, whatever it found.
    """
    with transaction.atomic():
        PortfolioState.objects.bulk_create(
            [PortfolioState(user_id=claim.user_id, next_snapshot_at=now)], ignore_conflicts=True
        )
    if touched or moved or turned:
        books.changed(user_id=claim.user_id, touched=touched, now=now)
