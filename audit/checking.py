"""The weekly comparison of the activity log with its seals, and the alert when they differ.

An operator's own run of `manage.py verify_activity_log`, from a machine whose answers they trust
and with a seal kept elsewhere, says more: who has our processes in hand can keep this one quiet.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from audit import alerts, log, verification
from audit.actions import Action
from audit.models import ActivityLog
from audit.verification import Report
from tracker import tenancy
from tracker.logs import get_logger

logger = get_logger(__name__)
TAMPERED = "activity_log_tampered"
EVERY = timedelta(days=7)
# A million rows take half a minute, a task may take fourteen: beyond this only the newest weeks.
MOST_ROWS = 10_000_000
_NEWEST = timedelta(days=35)


def check_if_due(*, now: datetime) -> Report | None:
    """Compare what there is, unless that was done within a week; None then."""
    with tenancy.as_system("check the activity log"):
        last = newest()
    if last is not None and now - last.created_at < EVERY:
        return None
    return check(now=now)


def check(*, now: datetime) -> Report:
    """Compare everything, or the newest weeks of very much, log it, and alert when it differs."""
    whole = verification.count() <= MOST_ROWS
    report = verification.verify(since=None if whole else now - _NEWEST)
    with tenancy.as_system("check the activity log"):
        log.record(
            Action.ACTIVITY_CHECKED, user_id=None, outcome="failed" if report.total else "ok",
            rows=report.rows, seals=report.seals, whole=whole, findings=report.total,
            head=report.head,
        )  # fmt: skip
        if report.total:
            _alert(report, now)
    return report


def newest() -> ActivityLog | None:
    """The last comparison. Call inside a tenancy context."""
    done = ActivityLog.objects.filter(action=Action.ACTIVITY_CHECKED)
    return done.order_by("-created_at").first()


def _alert(report: Report, now: datetime) -> None:
    """Once a week at most; nothing more until somebody has resolved it."""
    kinds: dict[str, Any] = Counter(finding.kind for finding in report.findings)
    logger.error("activity.tampered", findings=report.total, **kinds)
    alerts.raise_alert(
        kind=TAMPERED, severity="critical", user_id=None, dedupe="", now=now,
        evidence={"findings": report.total, "kinds": dict(kinds), "head": report.head},
    )  # fmt: skip
