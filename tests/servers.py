"""The servers of the tests, named in the environment before Django reads its settings.

A pytest plugin, because pytest-django loads the settings before any conftest. The servers are
not those of ``make run``: tests have data of their own. Each parallel worker has a PostgreSQL
database of its own (pytest-django makes it) and a Valkey database of its own.
"""

import os
from pathlib import Path

from tracker import embedded

PROJECT = Path(__file__).resolve().parent.parent


def use_servers() -> None:
    os.environ.setdefault("ENVIRONMENT", "development")
    for name in ("EXCHANGE_BASE_URLS", "EXCHANGE_BUDGETS", "PRICE_EXCHANGES", "BURST_LIMITS"):
        os.environ.pop(name, None)
    # Another PostgreSQL than the embedded one: CI's matrix of versions.
    if os.environ.get("TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    embedded.use_embedded_servers(os.environ, data_dir=embedded.DATA_DIR / "test")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    base, _, _ = os.environ["REDIS_URL"].rpartition("/")
    os.environ["REDIS_URL"] = f"{base}/{int(worker) % 16}"


use_servers()
