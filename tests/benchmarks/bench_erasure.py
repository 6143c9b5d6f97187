"""Erasing somebody with 100,000 trades: how long, and whether anybody else waits meanwhile."""

import itertools
import math
import statistics
import threading
import time
from collections.abc import Callable
from decimal import Decimal

from django.db import OperationalError, connection

from accounts.privacy import erasure
from exchanges.models import Asset, ExchangeConnection
from portfolios.models import Trade
from tests.benchmarks import history, rows
from tests.benchmarks.measure import Result
from tracker import clock, tenancy

ALONE_SECONDS = 5


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    person, _ = history.somebody(now)
    (other,) = rows.connections_of(rows.people_named(["other@example.com"]), now)
    alone = _writing_while(other, lambda: time.sleep(ALONE_SECONDS))
    started = time.perf_counter()
    during = _writing_while(other, lambda: erasure.erase(user_id=person.id, now=clock.now()))
    seconds = time.perf_counter() - started
    assert not erasure.remains(person.id)
    ratio = statistics.median(during) / statistics.median(alone)
    longest, stopped = max(during) * 1000, during.count(math.inf)
    return [
        Result("erasure of 100,000 trades", seconds, "s", "", None, "≤ 60", seconds <= 60),
        Result("another person's write meanwhile, median", statistics.median(during) * 1000, "ms",
               f"{statistics.median(alone) * 1000:.2f} ms alone", ratio, "(no target)", True),
        Result("another person's write meanwhile, longest", longest, "ms",
               f"{max(alone) * 1000:.0f} ms alone", None, "≤ 500", longest <= 500),
        Result("another person's writes stopped by a lock for 50 ms", stopped, "writes",
               f"of {len(during):,}", None, "0", stopped == 0),
    ]  # fmt: skip


def _writing_while(connected: ExchangeConnection, work: Callable[[], object]) -> list[float]:
    """How long each of another person's writes took while something else went on."""
    done, times = threading.Event(), []
    writer = threading.Thread(target=_write_until, args=(done, connected, times))
    writer.start()
    try:
        work()
    finally:
        done.set()
        writer.join()
    return times


_numbers = itertools.count()


def _write_until(done: threading.Event, connected: ExchangeConnection, times: list[float]) -> None:
    try:
        with tenancy.as_system("benchmark"):
            asset = Asset.objects.order_by("slug")[0]
        while not done.is_set():
            started = time.perf_counter()
            try:
                _write(connected, asset)
            except OperationalError:  # it waited for a lock
                times.append(math.inf)
                continue
            times.append(time.perf_counter() - started)
            time.sleep(0.002)
    finally:
        connection.close()  # this thread's own


def _write(connected: ExchangeConnection, asset: Asset) -> None:
    with tenancy.as_user(connected.user_id):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
        Trade.objects.create(
            user_id=connected.user_id, connection=connected, feed="trades",
            exchange_id=f"w{next(_numbers)}", kind="fill", symbol="C0/USD", side="buy",
            base_asset=asset, base_quantity=Decimal(1), quote_asset=asset,
            quote_quantity=Decimal(1), price=Decimal(1), wallet="spot", occurred_at=clock.now(),
        )  # fmt: skip
