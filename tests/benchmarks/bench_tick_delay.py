"""How old a tick is when a client has it: exchange, streamer, Redis, server, 500 clients.

The sandbox exchange dates each tick when it makes it. It ticks fifty times a second; each asset
moves less than once a second, so that none waits for its second to be over.
"""

import json
import statistics
import urllib.request

from exchanges import prices
from exchanges.models import Asset
from tests import sandbox as sandboxes
from tests.benchmarks import live_processes, rows
from tests.benchmarks.measure import Result
from tests.exchange_fixtures import UNLIMITED
from tracker import clock

CLIENTS, PEOPLE, SECONDS, TURNS = 500, 25, 10, 3
PACE = {"ticks_per_second": 50, "symbols_per_tick": 2}


def measure() -> list[Result]:
    from django.conf import settings

    with sandboxes.running(weight_limit=0, accounts=1) as sandbox:
        settings.EXCHANGE_BASE_URLS = {"binance": sandbox.url}
        settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
        settings.PRICE_EXCHANGES = ["binance"]
        tokens = _prepare(sandbox.url)
        environment = {
            "EXCHANGE_BASE_URLS": json.dumps(settings.EXCHANGE_BASE_URLS),
            "EXCHANGE_BUDGETS": json.dumps(settings.EXCHANGE_BUDGETS),
            "PRICE_EXCHANGES": "binance",
        }
        with (
            live_processes.streamer(**environment),
            live_processes.live_server() as port,
            live_processes.crowd(port, CLIENTS, tokens=tokens) as crowd,
        ):
            crowd.ask("listen 5")
            turns = [crowd.ask(f"listen {SECONDS}") for _ in range(TURNS)]
    told = sum(len(turn) for turn in turns) / (TURNS * SECONDS * CLIENTS)
    late = statistics.median(statistics.quantiles(turn, n=100)[98] * 1000 for turn in turns)
    usual = statistics.median(statistics.median(turn) * 1000 for turn in turns)
    return [
        Result("tick delay, exchange to 500 clients, p99", late, "ms",
               f"p50 {usual:.1f} ms, {told:.0f} prices/s each", None, "≤ 100 ms", late <= 100)
    ]  # fmt: skip


def _prepare(url: str) -> list[str]:
    """People who own something of everything that the exchange quotes."""
    now = clock.now()
    rows.clear()
    prices.refresh("binance", now=now)
    assets = list(Asset.objects.all())
    people, tokens = live_processes.tokens(PEOPLE)
    rows.holdings(rows.connections_of(people, now), assets, len(assets), now)
    request = urllib.request.Request(  # noqa: S310  (loopback)
        f"{url}/sandbox/stream", json.dumps(PACE).encode(), method="POST"
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    return tokens
