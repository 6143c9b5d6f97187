"""One row of the matrix: an operation, a fault at a moment the seed chooses, and the verdict."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import faults, verdicts
from tests.chaos.faults import FAULTS, Fault, Impossible
from tests.chaos.operations import OPERATIONS, Operation
from tests.chaos.people import Person
from tests.chaos.system import Away, System, wait_until

DEADLINE = 180.0  # seconds after which a row has failed
GOAL = 60.0  # seconds in which 95 of 100 rows have recovered
QUIET_SECONDS = 60.0


@dataclass(frozen=True)
class Row:
    """Which fault in which operation, with which seed."""

    seed: int
    kind: str
    operation: str


@dataclass(frozen=True)
class Outcome:
    """``passed``, ``failed`` or ``skipped``; seconds from the end of the fault to all well."""

    row: Row
    outcome: str
    seconds: float = 0.0
    note: str = ""


def rows(seed: int) -> list[Row]:
    """All ninety-six of a seed, kind by kind."""
    return [Row(seed, fault.name, op.name) for fault in FAULTS for op in OPERATIONS]


def run(system: System, settled: Sequence[Person], row: Row, *, alone: bool = True) -> Outcome:
    """Do one row on a system that is well, and leave it well if it can be.

    Rows whose faults concern accounts or paths of their own need not be ``alone``.
    """
    draw = random.Random(f"{row.seed}/{row.kind}/{row.operation}")
    operation = _named(OPERATIONS, row.operation)(system, settled, draw)
    fault = _named(FAULTS, row.kind)(system, operation, draw)
    if alone:
        wait_until(lambda: not verdicts.unsettled(system), QUIET_SECONDS)
    try:
        return _disturbed(system, row, operation, fault)
    except Impossible as reason:
        return Outcome(row, "skipped", note=str(reason))
    finally:
        if fault.is_on:
            fault.lift()
        operation.end()


def _disturbed(system: System, row: Row, operation: Operation, fault: Fault) -> Outcome:
    operation.prepare()
    if fault.at_the_exchange and not _can_be_midway(operation):
        _strike(fault)
        operation.begin()
        operation.reach(before=True)
    else:
        operation.begin()
        operation.reach(before=False)
        _strike(fault)
    operation.release()
    faults.let_pass(fault)
    fault.lift()
    fault.is_on = False
    return _watched(system, row, operation)


def _strike(fault: Fault) -> None:
    fault.is_on = True
    fault.strike()


def _can_be_midway(operation: Operation) -> bool:
    """Whether it asks the exchange often enough for a fault to come in between."""
    return operation.name in ("connect", "first import", "incremental sync", "backfill")


def _watched(system: System, row: Row, operation: Operation) -> Outcome:
    """Look again and again until all is well, or the deadline has passed."""
    began, wrong = time.monotonic(), ["nothing was looked at"]
    while time.monotonic() - began < DEADLINE:
        operation.drive()
        seconds = time.monotonic() - began
        wrong = _wrong(system, operation)
        if not wrong:
            return Outcome(row, "passed", round(seconds, 1))
        time.sleep(0.5)
    return Outcome(row, "failed", DEADLINE, "; ".join(wrong))


def _wrong(system: System, operation: Operation) -> list[str]:
    try:
        return operation.wrong() or verdicts.unsettled(system) or verdicts.chain(system)
    except Away as error:
        return [f"away: {error}"]


def _named(kinds: Sequence[type], name: str) -> type:
    return next(kind for kind in kinds if kind.name == name)
