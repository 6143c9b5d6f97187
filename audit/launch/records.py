"""What stands recorded: backups, drills, verifications, how old keys are, when code was audited."""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from audit import checking, drills, secrets_in_use
from tracker import dependencies, tenancy
from tracker.backups import store
from tracker.dependencies import NotAudited
from tracker.launch import Missing, Occasion

FRESH = timedelta(hours=26)  # a day, and an hour until beat looks again, and time to make it
KEYS_LAST = timedelta(days=365)


def look_at_backups(occasion: Occasion) -> str:
    """The newest copy is of the last day, and lies elsewhere. Raises Missing."""
    copies, remedy = store.copies(), "Run manage.py backup; see why audit.tasks.back_up did not."
    if not copies:
        raise Missing("there is no backup", remedy=remedy)
    age = occasion.now - store.made_at(copies[-1])
    if age > FRESH:
        raise Missing(f"the newest backup is {_said(age)} old", remedy=remedy)
    if not store.key_copies():
        raise Missing("there is no copy of the data keys", remedy="Run manage.py backup.")
    if settings.BACKUP_KEYRING.current_id == settings.ENCRYPTION_KEYRING.current_id:
        raise Missing(
            "backups are sealed with ENCRYPTION_KEY",
            remedy="Set BACKUP_KEY, keep it in a second place, run manage.py backup.",
        )
    return f"{copies[-1]}, {_said(age)} old; {len(copies)} kept"


def look_at_drills(occasion: Occasion) -> str:
    """The last restore drill went well and is younger than a quarter. Raises Missing."""
    with tenancy.as_system("launch checklist"):
        trouble, last = drills.trouble(now=occasion.now), drills.newest()
    if trouble or last is None:
        raise Missing(trouble.rstrip("."), remedy="Run manage.py restore_drill.")
    return f"{last.backup} restored on {last.ran_at:%Y-%m-%d}, verified after {last.seconds} s"


def look_at_log(occasion: Occasion) -> str:
    """The activity log was compared with its seals of late, and was whole. Raises Missing."""
    with tenancy.as_system("launch checklist"):
        last = checking.newest()
    if last is None or occasion.now - last.created_at > checking.EVERY + timedelta(days=1):
        raise Missing("it was not compared with its seals this week", remedy="Start beat.")
    if last.outcome != "ok":
        raise Missing("rows differ from their seals", remedy="Run manage.py verify_activity_log.")
    return f"{last.details['rows']:,} rows compared on {last.created_at:%Y-%m-%d}"


def look_at_keys(occasion: Occasion) -> str:
    """Every secret in force was first seen within a year. Raises Missing."""
    secrets_in_use.note(now=occasion.now)
    with tenancy.as_system("launch checklist"):
        since = secrets_in_use.since()
    old = [name for name, seen in since.items() if occasion.now - seen > KEYS_LAST]
    if old:
        remedy = "Rotate as docs/operations.md says under Rotating all secrets."
        raise Missing(f"in use for more than a year: {', '.join(sorted(old))}", remedy=remedy)
    oldest: datetime = min(since.values())
    return f"{len(since)} secrets, the oldest first seen on {oldest:%Y-%m-%d}"


def look_at_dependencies(occasion: Occasion) -> str:
    """What is installed was looked up among known holes within a month. Raises Missing."""
    try:
        audited_at = dependencies.audited_at(Path(settings.REQUIREMENTS), now=occasion.now)
    except NotAudited as problem:
        raise Missing(str(problem), remedy="Run make audit and release what it notes.") from None
    return f"no known hole on {audited_at:%Y-%m-%d} in what is installed"


def _said(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{age.days} days"
