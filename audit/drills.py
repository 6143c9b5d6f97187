"""Backups and restore drills as operators see them: logged, stored, and told when they fail."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from audit import alerts, log, verification
from audit.actions import Action
from audit.models import ActivitySeal, DrillResult
from tracker import tenancy
from tracker.backups import drill, keys, making
from tracker.backups.content import Told
from tracker.backups.drill import Faulty, Outcome
from tracker.backups.errors import AlreadyRunning, BackupError
from tracker.backups.manifest import Manifest
from tracker.logs import get_logger

logger = get_logger(__name__)
BACKUP_FAILED, DRILL_FAILED = "backup_failed", "restore_drill_failed"
PRUNING_FAILED = "backup_pruning_failed"
OVERDUE = timedelta(days=92)  # a quarter
_SAMPLE = 50  # seals


# --- making -------------------------------------------------------------------------------------
def back_up(*, now: datetime, told: Told = making.silent) -> Manifest:
    """Make a copy and remove those whose time is over.

    Raises AlreadyRunning. Whatever else is raised was logged, and operators were alerted.
    """
    try:
        made = making.make(now=now, told=told)
    except AlreadyRunning:
        raise
    except Exception as error:  # whatever it is, operators are told below
        _tell_of_failure(error, now)
        raise
    _note(made, _pruned(making.prune, now))
    return made


def back_up_if_due(*, now: datetime, told: Told = making.silent) -> Manifest | None:
    """The day's copy, unless it is there already or somebody is making it. As ``back_up``."""
    try:
        due = making.due(now=now)
    except Exception as error:  # a store that does not answer
        _tell_of_failure(error, now)
        raise
    try:
        return back_up(now=now, told=told) if due else None
    except AlreadyRunning:
        return None


def prune_keys(*, now: datetime) -> int:
    """Remove the copies of keys whose time is over; when that fails, operators are alerted."""
    return _pruned(keys.prune, now)


def _pruned(prune: Callable[..., int], now: datetime) -> int:
    """What is told on its own: a copy that was made stays made when an old one cannot go."""
    try:
        return prune(now=now)
    except Exception as error:  # whatever it is, operators are told below
        why = _why(error)
        logger.error("backup.pruning_failed", why=why)
        _alert(PRUNING_FAILED, why, now)
        return 0


def _note(made: Manifest, removed: int) -> None:
    facts: dict[str, Any] = {
        "backup": made.name, "rows": made.rows, "bytes": made.size, "seconds": made.seconds,
        "removed": removed,
    }  # fmt: skip
    logger.info("backup.made", **facts)
    with tenancy.as_system("backup"):
        log.record(Action.BACKUP_MADE, user_id=None, **facts)


def _tell_of_failure(error: Exception, now: datetime) -> None:
    """Once a day, however often it was tried."""
    why = _why(error)
    logger.error("backup.failed", why=why)
    with tenancy.as_system("backup"):
        log.record(Action.BACKUP_FAILED, user_id=None, outcome="failed", why=why)
    _alert(BACKUP_FAILED, why, now)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, BackupError) else type(error).__name__


def _alert(kind: str, why: str, now: datetime) -> None:
    with tenancy.as_system("backup"):
        alerts.raise_alert(
            kind=kind, severity="high", user_id=None, evidence={"why": why},
            dedupe=f"{now:%Y-%m-%d}", now=now,
        )  # fmt: skip


# --- drilling -----------------------------------------------------------------------------------
def run(*, now: datetime, name: str = "", told: Told = making.silent) -> DrillResult:
    """Drill a copy, the newest without a name, and store what came of it.

    Raises AlreadyRunning. A drill that failed is a result, and operators are alerted.
    """
    outcome = drill.run(now=now, name=name, told=told)
    with tenancy.as_system("restore drill"):
        result = _store(outcome, now)
        log.record(
            Action.RESTORE_DRILLED, user_id=None, outcome="ok" if result.ok else "failed",
            backup=result.backup, seconds=result.seconds,
        )  # fmt: skip
        if not result.ok:
            failed = [step.name for step in outcome.steps if not step.ok]
            alerts.raise_alert(
                kind=DRILL_FAILED, severity="high", user_id=None, dedupe=str(result.id), now=now,
                evidence={"backup": result.backup, "failed": failed},
            )  # fmt: skip
    return result


def newest() -> DrillResult | None:
    """The last drill. Call inside a tenancy context or the admin."""
    return DrillResult.objects.order_by("-ran_at").first()


def trouble(*, now: datetime) -> str:
    """Why the state of drills is red, in a sentence; empty when it is not."""
    last = newest()
    if last is None:
        return "No backup has been restored yet."
    if not last.ok:
        return "The last restore drill failed."
    if now - last.ran_at > OVERDUE:
        return f"The last restore drill is older than {OVERDUE.days} days."
    return ""


def _store(outcome: Outcome, now: datetime) -> DrillResult:
    return DrillResult.objects.create(
        ran_at=now, backup=outcome.backup, backup_made_at=outcome.made_at, ok=outcome.ok,
        seconds=outcome.seconds, steps=[asdict(step) for step in outcome.steps],
    )  # fmt: skip


# --- what this room looks at in a restored database ---------------------------------------------
def look_at_seals(now: datetime) -> str:
    """The newest seals of the activity log and their rows, as they were sealed. Raises Faulty."""
    with tenancy.as_system("restore drill"):
        instants = ActivitySeal.objects.order_by("-number").values_list("sealed_at", flat=True)
        sample = list(instants[:_SAMPLE])
    if not sample:
        return "nothing has been sealed yet"
    report = verification.verify(since=min(sample))
    if report.total:
        raise Faulty(f"{report.total} findings, the first: {report.findings[0].text}")
    return f"{report.rows:,} rows under {report.seals:,} seals are as they were sealed"
