"""10,000 accounts through the queue: real workers and the exchange on this machine.

One incremental round over everybody, and how the rate grows with worker processes.
"""

from django.conf import settings

from tests import sandbox as sandboxes
from tests.benchmarks import fleet, rows
from tests.benchmarks.bench_sync import UNLIMITED
from tests.benchmarks.measure import Result

ACCOUNTS, ASSETS, SOME = 10_000, 30, 2_000


def measure() -> list[Result]:
    rows.clear()
    config = {"accounts": ACCOUNTS, "assets": ASSETS, "trades": 40, "weight_limit": 0}
    with sandboxes.running(**config) as sandbox:
        settings.EXCHANGE_BASE_URLS = {"binance": sandbox.url}
        settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
        keys = [row.id for row in fleet.connect(sandbox, ACCOUNTS)]
        rates = {}
        for processes in (1, 2, 4):
            with fleet.workers(sandbox, processes=processes, budgets={"binance": UNLIMITED}):
                rates[processes] = SOME / fleet.round_of(keys[:SOME])
                if processes == 2:
                    whole = fleet.round_of(keys)
        assert sandbox.violations()["total"] == 0
    return [
        Result("10,000 accounts, one incremental round", whole, "s", "2 worker processes", None,
               "≤ 180", whole <= 180),
        *(
            Result(f"accounts by {processes} worker processes", rate, "accounts/s",
                   "through the queue, rows written", None, "≥ 100" if processes > 1 else "none",
                   rate >= 100 or processes == 1)
            for processes, rate in rates.items()
        ),
    ]  # fmt: skip
