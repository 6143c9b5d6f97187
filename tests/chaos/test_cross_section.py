"""S41, S43, S44: a cross-section of the matrix of faults: every kind, every operation, on the real
system. All ninety-six rows of a seed: ``make chaos SEEDS=1``.

The rows are those whose recovery needs no lease to lapse. Faults at the exchange concern single
accounts or paths, so such rows run at once.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos import matrix, people
from tests.chaos.faults import FAULTS
from tests.chaos.matrix import Outcome, Row
from tests.chaos.operations import OPERATIONS
from tests.chaos.system import running

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(600)]

SEED = 1
# Each alone, because the fault concerns everybody.
ONE_BY_ONE = (
    ("child killed", "snapshot"), ("child killed", "key rotation"),
    ("worker killed", "snapshot"), ("worker killed", "key rotation"),
    ("redis killed", "incremental sync"), ("redis killed", "export"),
    ("redis paused", "price refresh"), ("redis paused", "backfill"),
    ("database killed", "snapshot"), ("database killed", "key rotation"),
    ("429 storm", "price refresh"), ("429 storm", "export"),
    ("clock off", "connect"), ("clock off", "first import"),
    ("disk full", "export"), ("disk full", "key rotation"),
)  # fmt: skip
# All at the same time, on accounts and paths of their own.
AT_ONCE = (
    ("connection dropped", "incremental sync"), ("connection dropped", "first import"),
    ("5xx", "connect"), ("5xx", "price refresh"),
    ("timeout after commit", "connect"), ("timeout after commit", "first import"),
    ("malformed page", "first import"), ("malformed page", "backfill"),
)  # fmt: skip


@pytest.fixture(scope="module")
def do() -> Iterator[Callable[..., Outcome]]:
    """`do(("disk full", "backfill"))`: one row on the system that all of them share."""
    with running() as system:
        settled = people.settle(system, 4)
        yield lambda names, **how: matrix.run(system, settled, Row(SEED, *names), **how)


def _is_well(outcome: Outcome) -> None:
    if outcome.outcome == "skipped":
        pytest.skip(outcome.note)
    assert outcome.outcome == "passed", outcome.note


@pytest.mark.parametrize("names", ONE_BY_ONE, ids=" × ".join)
def test_all_is_well_again(do, names):
    _is_well(do(names))


def test_all_is_well_again_after_faults_of_single_accounts_and_paths_at_once(do):
    with ThreadPoolExecutor(len(AT_ONCE)) as pool:
        for outcome in pool.map(lambda names: do(names, alone=False), AT_ONCE):
            _is_well(outcome)


def test_every_kind_and_every_operation_is_in_the_cross_section_twice():
    rows = [*ONE_BY_ONE, *AT_ONCE]
    assert len(set(rows)) == len(rows) == 24
    kinds, operations = (Counter(row[place] for row in rows) for place in (0, 1))
    assert all(kinds[fault.name] >= 2 for fault in FAULTS)
    assert all(operations[operation.name] >= 2 for operation in OPERATIONS)
