"""The matrix of faults: ``make chaos SEEDS=1``, or ``python -m tests.chaos --help``."""

import argparse
import signal
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos import matrix, people, results
from tests.chaos.matrix import Row
from tests.chaos.system import running


def main() -> int:
    """Run what is not done yet; 1 when a row failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything ends with it
    chosen = _arguments()
    rows = [
        row for seed in chosen.seeds for row in matrix.rows(seed)
        if any(part in row.kind for part in chosen.kind.split(","))
        if any(part in row.operation for part in chosen.operation.split(","))
    ]  # fmt: skip
    book = results.Book(fresh=chosen.fresh)
    left = [row for row in rows if not book.has(row)]
    if left:
        _run(left, book)
    book.keep_passed(chosen.seeds)
    Console().print(book.table(rows))
    return 0 if book.is_good(rows) else 1


def _run(left: list[Row], book: "results.Book") -> None:
    columns = (TextColumn("{task.description:>44}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns) as progress:
        bar = progress.add_task("starting", total=len(left))
        with running() as system:
            settled = people.settle(system)
            for row in left:
                progress.update(bar, description=f"{row.kind} × {row.operation}")
                outcome = matrix.run(system, settled, row)
                book.add(outcome)
                progress.console.print(results.line(outcome))
                progress.advance(bar)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1", type=_seeds, help="1, or 1,4, or 1-5")
    parser.add_argument("--kind", default="", help="only kinds with one of these in their name")
    parser.add_argument("--operation", default="", help="only such operations")
    parser.add_argument("--fresh", action="store_true", help="also what is done already")
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


if __name__ == "__main__":
    sys.exit(main())
