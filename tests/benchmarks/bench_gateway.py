"""CPU of a visit beside bare ccxt making the identical calls with everything shared.

Both run in this process, in turn; the exchange is another one, so what is counted is ours alone.
The reference keeps ccxt's own client, markets, session and SSL context for all accounts, signs and
sends the same requests, and makes ccxt's unified trades of the answers that hold fills, as its
``fetch_my_trades`` does; every other answer it throws away.
"""

import asyncio
import gc
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from exchanges import gateway
from exchanges.gateway import clients, engine, loop
from exchanges.reports import AccountReport, Credential, Visit
from tests import sandbox as sandboxes
from tests.benchmarks.bench_sync import UNLIMITED
from tests.benchmarks.measure import Result

IDLE, ASSETS = 200, 30
IMPORTS, TRADES = 4, 1_000
ROUNDS, AT_ONCE = 7, 64

Asked = tuple[str, tuple[Any, ...], dict[str, Any]]
Recorded = dict[UUID, list[Asked]]


def measure() -> list[Result]:
    idle = {"accounts": IDLE, "assets": ASSETS, "trades": 50, "weight_limit": 0}
    imports = {"accounts": IMPORTS, "assets": ASSETS, "trades": TRADES, "weight_limit": 0}
    return [
        _compared("an idle account of 30 assets", idle, _after_a_visit),
        _compared("a first import of 1,000 trades", imports, _as_they_are),
    ]


def _compared(
    name: str, config: dict[str, int], prepare: Callable[[list[Visit]], list[Visit]]
) -> Result:
    with sandboxes.running(**config) as sandbox:
        settings.EXCHANGE_BASE_URLS = {"binance": sandbox.url}
        settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
        visits = prepare([_visit(sandbox, number) for number in range(config["accounts"])])
        with _recorded() as calls:
            _ours(visits)
        shared = loop.run(_shared(), timeout=60)
        keys = {visit.connection_id: visit.credential for visit in visits}
        times = [
            (_cpu(lambda: _ours(visits)), _cpu(lambda: _bare(calls, keys, shared)))
            for _ in range(ROUNDS)
        ]
        assert sandbox.violations()["total"] == 0
    ours, bare = (statistics.median(part) / len(visits) * 1000 for part in zip(*times, strict=True))
    ratio = statistics.median(one / other for one, other in times)
    made = sum(map(len, calls.values())) / len(visits)
    return Result(
        f"CPU of {name}", ours, "ms", f"bare ccxt {bare:.2f} ms, {made:.0f} calls", ratio,
        "≤ 1.2", ratio <= 1.2,
    )  # fmt: skip


def _visit(sandbox: sandboxes.Sandbox, number: int) -> Visit:
    return Visit(
        connection_id=uuid4(), exchange="binance", credential=Credential(**sandbox.key(number)),
        now=datetime.now(UTC), known={}, held={}, codes=frozenset(), everything=True,
    )  # fmt: skip


def _as_they_are(visits: list[Visit]) -> list[Visit]:
    _ours(visits[:1])  # markets and clock
    return visits


def _after_a_visit(visits: list[Visit]) -> list[Visit]:
    """The same accounts when nothing has moved since their balances were read."""
    found = {}
    for report in _ours([replace(visit, history=False) for visit in visits]):
        held = {(item.wallet, item.code): item.quantity for item in report.balances}
        found[report.connection_id] = held
    return [replace(visit, held=found[visit.connection_id], everything=False) for visit in visits]


def _ours(visits: list[Visit]) -> list[AccountReport]:
    reports = list(gateway.visit_accounts(visits, concurrency=AT_ONCE))
    assert all(isinstance(item, AccountReport) and not item.failures for item in reports)
    return reports  # type: ignore[return-value]


@contextmanager
def _recorded() -> Iterator[Recorded]:
    """Notes which calls are made for which account, in their order."""
    calls: Recorded = {}
    original = engine.AccountVisit._ask

    async def noting(self: Any, call: Any, *args: Any, **params: Any) -> Any:
        asked = (call.method, args, {**call.fixed, **params})
        calls.setdefault(self.visit.connection_id, []).append(asked)
        return await original(self, call, *args, **params)

    engine.AccountVisit._ask = noting  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        engine.AccountVisit._ask = original  # type: ignore[method-assign]


def _bare(calls: Recorded, keys: dict[UUID, Any], shared: Any) -> None:
    loop.run(_all(calls, keys, shared), timeout=600)


async def _shared() -> Any:
    """The client whose markets, session and SSL context all others of the reference share."""
    import ccxt.async_support as ccxt

    ours = clients.exchange("binance").template
    made = ccxt.binance(_settings(ours) | {"options": {"fetchMarkets": {"types": ["spot"]}}})
    made.urls, made.own_session, made.ssl_context = ours.urls, False, ssl.create_default_context()
    made.has["fetchCurrencies"] = False
    await made.load_markets()
    made.options["timeDifference"] = ours.options.get("timeDifference", 0)
    return made


def _settings(ours: Any) -> dict[str, Any]:
    return {
        "number": str, "enableRateLimit": False, "session": ours.session,
        "asyncio_loop": asyncio.get_running_loop(),
    }  # fmt: skip


async def _all(calls: Recorded, keys: dict[UUID, Any], shared: Any) -> None:
    import ccxt.async_support as ccxt

    turns = asyncio.Semaphore(AT_ONCE)

    async def account(key: Any, asked: list[Asked]) -> None:
        client = ccxt.binance(_settings(shared) | {"apiKey": key.api_key, "secret": key.api_secret})
        client.urls, client.own_session = shared.urls, False
        client.ssl_context = shared.ssl_context
        client.set_markets_from_exchange(shared)
        client.options["timeDifference"] = shared.options["timeDifference"]
        async with turns:
            for method, args, params in asked:
                answer = await getattr(client, method)(*args, params)
                if method == "privateGetMyTrades":
                    client.parse_trades(answer, client.market(params["symbol"]))

    await asyncio.gather(*(account(keys[key], asked) for key, asked in calls.items()))


def _cpu(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began
