"""Eight exchanges that hang while eight people connect: what everybody else notices."""

import http.client
import json
import statistics
import threading

from exchanges.models import Exchange
from tests import sandbox as sandboxes
from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, web_server
from tracker import clock, tenancy

HANGING = 8


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    assets = rows.priced_assets(50, now)
    users = rows.people(HANGING + 1)
    connections = rows.connections_of(users[:1], now)
    rows.holdings(connections, assets, 50, now)
    tokens = [rows.access_token(user, now) for user in users]
    with tenancy.as_system("benchmark"):
        assert Exchange.objects.filter(id="binance").exists()
    with sandboxes.running(weight_limit=0) as sandbox:
        base = json.dumps({"binance": sandbox.url})
        with web_server(EXCHANGE_BASE_URLS=base) as port:
            _connect(port, tokens[1], sandbox.key(1))  # the first test imports ccxt
            quiet, busy = _compare(port, tokens, sandbox)
    ratio = busy / quiet
    return [
        Result("p99 of reads while 8 exchanges hang", busy, "ms", f"p99 without {quiet:.1f} ms",
               ratio, "≤ 2", ratio <= 2)
    ]  # fmt: skip


def _compare(port: int, tokens: list[str], sandbox) -> tuple[float, float]:
    def reads() -> float:
        return load.run(port, "/api/v1/portfolio", token=tokens[0], connections=2, requests=600).p99

    reads()
    quiet = [reads() for _ in range(3)]
    with sandbox.fault(path="/", kind="hang"):
        threads = [
            threading.Thread(target=_connect, args=(port, token, sandbox.key(number + 2)))
            for number, token in enumerate(tokens[1:])
        ]
        for thread in threads:
            thread.start()
        busy = [reads() for _ in range(3)]
        assert any(thread.is_alive() for thread in threads), "the tests ended too early"
        for thread in threads:
            thread.join()
    return statistics.median(quiet), statistics.median(busy)


def _connect(port: int, token: str, key: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"exchange": "binance", "label": "x", **key})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/connections", body=body, headers=headers)
    connection.getresponse().read()
    connection.close()
