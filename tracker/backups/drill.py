"""The restore drill: bring the newest copy back beside the real database and look at it closely.

Rooms above add what only they can look at with ``check``; their checks run on the scratch
database, in the order of their ``place``, after those that stand here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError

from tracker.backups import content, keys, making, media, restoring, scratch
from tracker.backups.content import Told
from tracker.backups.errors import AlreadyRunning, BackupError
from tracker.backups.manifest import Manifest
from tracker.logs import get_logger

logger = get_logger(__name__)
LOCK = "tracker.backups.drill"
SUFFIX = "restore_drill"


class Faulty(Exception):
    """What a check found wrong, in a sentence without secrets."""


# Looks at the restored database and says what it saw. Raises Faulty.
Check = Callable[[datetime], str]
_checks: dict[str, tuple[int, Check]] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at."""

    name: str
    ok: bool
    said: str
    seconds: float


@dataclass(slots=True)
class Outcome:
    """``seconds`` is the time from an empty database to the first query that was verified."""

    backup: str = ""
    made_at: datetime | None = None
    seconds: float | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)


def check(name: str, look: Check, *, place: int) -> None:
    """Have ``look`` called in every drill; called in ``AppConfig.ready``."""
    _checks[name] = (place, look)


def run(*, now: datetime, name: str = "", told: Told = making.silent) -> Outcome:
    """Drill one copy, the newest without a name. What fails is a step of the outcome.

    Raises AlreadyRunning.
    """
    outcome = Outcome()
    try:
        with making.one_at_a_time(LOCK):
            _run(outcome, now, name, told)
    except AlreadyRunning:
        raise
    except _Stopped:
        pass
    except Exception as error:  # whatever it was: a drill that ends without a result looks green
        outcome.steps.append(Step("scratch database", False, _reason(error), 0.0))
    return outcome


def _run(outcome: Outcome, now: datetime, name: str, told: Told) -> None:
    with _step(outcome, "manifest") as say:
        made = restoring.find(name)
        outcome.backup, outcome.made_at = made.name, made.begun_at
        say(f"{made.rows:,} rows, {made.size:,} bytes")
    with scratch.database(SUFFIX) as database, scratch.working_on(database):
        _drill(outcome, made, now, told)


def _drill(outcome: Outcome, made: Manifest, now: datetime, told: Told) -> None:
    begun = time.monotonic()
    with _step(outcome, "restore") as say:
        source, count = restoring.restore(made, told=told)
        say(f"decrypted and restored; {count:,} data keys of {source}")
    with _step(outcome, "rows and checksums") as say:
        say(_compare_tables(made, told))
    outcome.seconds = round(time.monotonic() - begun, 1)
    with _step(outcome, "policies") as say:
        say(_compare_policies(made))
    with _step(outcome, "nobody sees rows") as say:
        say(_look_as_nobody())
    with _step(outcome, "private files") as say:
        say(_count_files(made))
    with _step(outcome, "migrations") as say:  # the checks that follow are of today's code
        say(scratch.migrate())
    for name, (_, look) in sorted(_checks.items(), key=lambda entry: entry[1][0]):
        with _step(outcome, name) as say:
            say(look(now))


class _Stopped(Exception):
    """Nothing after this step can be looked at."""


# Without these there is nothing that the others could look at.
_NEEDED = ("manifest", "restore")


@contextmanager
def _step(outcome: Outcome, name: str) -> Iterator[Callable[[str], None]]:
    said: list[str] = []
    begun, ok = time.monotonic(), False
    try:
        yield said.append
        ok = True
    except Exception as error:
        said = [_reason(error)]
    finally:
        seconds = round(time.monotonic() - begun, 1)
        outcome.steps.append(Step(name, ok, " ".join(said), seconds))
    if not ok and name in _NEEDED:
        raise _Stopped


def _reason(error: Exception) -> str:
    """In a sentence; of errors that are not ours only the kind, for their text may quote a row."""
    if isinstance(error, BackupError | Faulty):
        return str(error)
    logger.error("restore_drill.step_failed", error=type(error).__name__)
    if isinstance(error, DatabaseError):
        return f"the database refused it: {type(error).__name__}"
    strerror = isinstance(error, OSError) and error.strerror
    return f"it broke off: {type(error).__name__}" + (f" ({strerror})" if strerror else "")


# --- what the copy itself says ------------------------------------------------------------------
def _compare_tables(made: Manifest, told: Told) -> str:
    with content.snapshot("restore drill") as run:
        found = content.tables(run, told)
        hidden = content.hidden_rows(run, found)
    expected = {name: table for name, table in made.tables.items() if name != keys.TABLE}
    found.pop(keys.TABLE, None)  # they come from the newest copy of keys
    counted = making.differences(
        {name: rows for name, (rows, _) in expected.items()},
        {name: rows for name, (rows, _) in found.items()},
    )
    if counted or expected.keys() != found.keys():
        raise Faulty(f"the rows differ: {counted or 'tables are missing'}")
    if hidden:
        raise Faulty(f"partitions do not belong to their tables: {', '.join(hidden)}")
    changed = [name for name, table in expected.items() if found[name] != table]
    if changed:
        raise Faulty(f"the contents differ: {', '.join(changed[:5])}")
    return f"{made.rows:,} rows in {len(found)} tables are the same"


def _compare_policies(made: Manifest) -> str:
    with content.snapshot("restore drill") as run:
        found, unprotected = content.policies(run), content.unprotected(run)
    if unprotected:
        raise Faulty(f"not protected: {', '.join(unprotected[:5])}")
    if found != made.policies:
        differing = {row[0] for row in found if row not in made.policies}
        differing |= {row[0] for row in made.policies if row not in found}
        raise Faulty(f"policies differ: {', '.join(sorted(differing)[:5])}")
    return f"{len(found)} entries are the same, enabled and forced"


def _look_as_nobody() -> str:
    with content.snapshot("restore drill") as run:
        shown = content.shown_to_nobody(run)
    if shown:
        raise Faulty(f"rows are shown to nobody in particular: {', '.join(shown[:5])}")
    return "no row of a protected table is seen without an identity"


def _count_files(made: Manifest) -> str:
    if made.files is None:
        return "in a bucket, not in this copy"
    if media.count(making.read_files(made)) != made.files:
        raise Faulty("the archive does not hold as many files as it should")
    return f"{made.files:,} files"
