"""What came of each row: kept row by row, so that a run that was ended goes on where it was.

Rows lie in ``var/chaos/rows.csv`` under the commit that last touched the product; when all rows of
a seed have passed, they go to ``results.csv`` beside this file, which is committed.
"""

import csv
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

from rich.table import Table

from tests.chaos import matrix
from tests.chaos.matrix import Outcome, Row
from tests.servers import PROJECT

KEPT = Path(__file__).with_name("results.csv")
WORKING = PROJECT / "var" / "chaos" / "rows.csv"
FIELDS = ("seed", "kind", "operation", "outcome", "seconds", "date", "commit", "note")
_PRODUCT = ("accounts", "audit", "billing", "exchanges", "portfolios", "tracker", "requirements")


class Book:
    """The outcomes of one version of the product."""

    def __init__(self, *, fresh: bool = False) -> None:
        self.commit = _commit()
        self.outcomes: dict[Row, Outcome] = {} if fresh else self._read()

    def has(self, row: Row) -> bool:
        """Whether this row has passed, or could not be tried here."""
        return row in self.outcomes and self.outcomes[row].outcome != "failed"

    def add(self, outcome: Outcome) -> None:
        """Write it down at once."""
        self.outcomes[outcome.row] = outcome
        _append(WORKING, [self._plain(outcome)])

    def keep_passed(self, seeds: Sequence[int]) -> None:
        """Move the seeds of which nothing failed to the committed table."""
        for seed in seeds:
            rows = matrix.rows(seed)
            if all(self.has(row) for row in rows):
                others = [plain for plain in _lines(KEPT) if plain["seed"] != str(seed)]
                kept = others + [self._plain(self.outcomes[row]) for row in rows]
                KEPT.unlink(missing_ok=True)
                _append(KEPT, kept)

    def is_good(self, rows: Sequence[Row]) -> bool:
        """No row failed, and 95 of 100 have recovered within a minute."""
        found = [self.outcomes[row] for row in rows if row in self.outcomes]
        passed = all(outcome.outcome != "failed" for outcome in found)
        return passed and percentile(found, 95) <= matrix.GOAL

    def table(self, rows: Sequence[Row]) -> Table:
        """Kinds of fault by operations: seconds to recovery, and what failed."""
        found = [self.outcomes[row] for row in rows if row in self.outcomes]
        operations = list(dict.fromkeys(row.operation for row in rows))
        good = sum(outcome.outcome == "passed" for outcome in found)
        skipped = sum(outcome.outcome == "skipped" for outcome in found)
        table = Table(
            title=f"{good} of {len(found)} passed, {skipped} skipped; recovered in "
            f"{percentile(found, 50):.1f} s (p50), {percentile(found, 95):.1f} s (p95)"
        )
        for name in ("fault", *operations, "p50", "p95"):
            table.add_column(name, justify="left" if name == "fault" else "right")
        for kind in dict.fromkeys(row.kind for row in rows):
            of_kind = [outcome for outcome in found if outcome.row.kind == kind]
            cells = [_cell(of_kind, operation) for operation in operations]
            last = [f"{percentile(of_kind, share):.0f}" for share in (50, 95)]
            table.add_row(kind, *cells, *last)
        return table

    def _read(self) -> dict[Row, Outcome]:
        return {
            outcome.row: outcome
            for plain in _lines(WORKING)
            if plain["commit"] == self.commit
            for outcome in [_outcome(plain)]
        }

    def _plain(self, outcome: Outcome) -> dict[str, object]:
        row = outcome.row
        return {
            "seed": row.seed, "kind": row.kind, "operation": row.operation,
            "outcome": outcome.outcome, "seconds": outcome.seconds,
            "date": datetime.now(UTC).date().isoformat(), "commit": self.commit,
            "note": outcome.note,
        }  # fmt: skip


def percentile(outcomes: Sequence[Outcome], share: int) -> float:
    """Seconds in which this share (of 100) of the rows that passed had recovered."""
    seconds = sorted(outcome.seconds for outcome in outcomes if outcome.outcome == "passed")
    if len(seconds) < 2:
        return seconds[0] if seconds else 0.0
    return quantiles(seconds, n=100, method="inclusive")[share - 1]


def line(outcome: Outcome) -> str:
    """One row as the progress prints it."""
    row = outcome.row
    text = f"{outcome.outcome:8}{outcome.seconds:6.1f} s  {row.kind} × {row.operation}"
    return f"{text}: {outcome.note}" if outcome.note else text


def _cell(outcomes: Sequence[Outcome], operation: str) -> str:
    cells = []
    for outcome in outcomes:
        if outcome.row.operation == operation:
            passed = outcome.outcome == "passed"
            cells.append(f"{outcome.seconds:.0f}" if passed else outcome.outcome)
    return " ".join(cells)


def _commit() -> str:
    """The last commit of the product; a mark when the files differ from it."""
    words = ["git", "log", "-1", "--format=%h", "--", *_PRODUCT]
    commit = _output(words)
    changed = _output(["git", "status", "--porcelain", "--", *_PRODUCT])
    return f"{commit}+" if changed else commit


def _output(words: Sequence[str]) -> str:
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _lines(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _append(path: Path, rows: Sequence[dict[str, object] | dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    begins = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if begins:
            writer.writeheader()
        writer.writerows(rows)


def _outcome(plain: dict[str, str]) -> Outcome:
    row = Row(int(plain["seed"]), plain["kind"], plain["operation"])
    return Outcome(row, plain["outcome"], float(plain["seconds"]), plain["note"])
