"""``make bench``: every benchmark in turn, a table, and ``bench.json``.

``python -m tests.benchmarks home snapshots`` runs only those named.
"""

import importlib
import os
import sys
from pathlib import Path

from tracker import embedded

NAMES = (
    "home",
    "lists",
    "snapshots",
    "hanging",
    "sync",
    "start",
    "request",
    "metrics",
    "status",
    "export",
    "file_export",
    "erasure",
    "refresh",
    "lots",
    "derive",
    "returns",
    "performance",
    "candles",
    "gateway",
    "fleet",
    "budget",
    "fanout",
    "tick_delay",
    "metering",
    "webhook",
    "lifecycle",
    "usage",
    "backtest",
    "alerts",
    "backup",
    "desk",
)


def main(wanted: list[str]) -> None:
    for name in ("EXCHANGE_BASE_URLS", "EXCHANGE_BUDGETS", "DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    embedded.use_embedded_servers(os.environ, data_dir=embedded.DATA_DIR / "bench")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from tests import emptying
    from tests.benchmarks import measure

    call_command("migrate", verbosity=0)
    emptying.allow()
    results: list[measure.Result] = []
    for name in wanted or NAMES:
        print(f"… {name}", flush=True)
        results += importlib.import_module(f"tests.benchmarks.bench_{name}").measure()
        measure.write(results, Path("bench.json"))  # kept, should a later one fail
    measure.show(results)


if __name__ == "__main__":
    main(sys.argv[1:])
