"""Tickers as an exchange streams them, through ccxt.pro.

The stream runs on the gateway's loop; whoever follows it asks from ordinary code for what changed
since it last asked. One value is kept per market, so a slow asker loses intermediate ticks and
never memory.
"""

import asyncio
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from exchanges.gateway import clients, loop, translation
from exchanges.gateway.dialects import generic, table
from exchanges.gateway.errors import GatewayError, Malformed, Unsupported
from exchanges.gateway.line import Line
from exchanges.gateway.markets import Market, Markets
from exchanges.reports import Listing, Ticker
from exchanges.routes import Routes

_START_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
# Where one subscription brings every market; elsewhere the markets are named.
_WHOLE = frozenset({"binance"})
# As the exchange's own limits of one connection allow; the most direct markets come first.
_MOST_MARKETS = 1000


class TickerStream:
    """One exchange's stream of tickers, from its making until ``close``."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._fresh: dict[str, Ticker] = {}
        self._problem: GatewayError | None = None
        self._ended = threading.Event()
        self._running = asyncio.run_coroutine_threadsafe(self._run(), loop.current().loop)

    def take(self, *, timeout: float) -> list[Ticker]:
        """The latest ticker of each market that changed since the last call.

        Waits up to ``timeout`` seconds for the first; none is an empty list. Raises GatewayError
        when the stream has ended, once everything before that was taken.
        """
        self._news.wait(timeout)
        with self._lock:
            self._news.clear()
            fresh, self._fresh = self._fresh, {}
            if self._problem and not fresh:
                raise self._problem
            if self._problem:
                self._news.set()
        return list(fresh.values())

    def close(self) -> None:
        """End the stream and its connection."""
        self._running.cancel()
        self._ended.wait(_CLOSE_SECONDS)

    # --- on the loop ----------------------------------------------------------------------------
    async def _run(self) -> None:
        problem: GatewayError = Malformed()
        try:
            await self._follow()
        except GatewayError as error:
            problem = error
        finally:
            with self._lock:
                self._problem = problem.with_traceback(None)
                self._news.set()
            self._ended.set()

    async def _follow(self) -> None:
        line = Line(
            clients.exchange(self._exchange), table.dialect(self._exchange),
            deadline=time.monotonic() + _START_SECONDS,
        )  # fmt: skip
        markets = await line.markets()
        client = clients.watching(self._exchange)
        problem = None
        try:
            await self._watch(line, client, markets)
        except (asyncio.CancelledError, GatewayError):
            raise
        except Exception as error:
            codes = line.dialect.error_codes
            problem = translation.translate(error, client=client, codes=codes)
        finally:
            await _close(client)
        if problem:
            raise problem

    async def _watch(self, line: Line, client: Any, markets: Markets) -> None:
        if client.has.get("watchTickers") is not True:
            raise Unsupported
        await _know_markets(line, client)
        wanted = None if self._exchange in _WHOLE else _most_direct(client, markets)
        changed = client.tickers = _Changed()
        while True:
            await client.watch_tickers(wanted)
            self._put(changed.taken(), client, markets)

    def _put(self, tickers: dict[str, Any], client: Any, markets: Markets) -> None:
        named = {_market(symbol, client, markets): row for symbol, row in tickers.items()}
        rows = {market.id: row for market, row in named.items() if market}
        found = generic.tickers(rows, markets, datetime.now(UTC))
        with self._lock:
            for ticker in found:
                self._fresh[f"{ticker.base_code}/{ticker.quote_code}"] = ticker
            self._news.set()


def can_stream(exchange: str) -> bool:
    """Whether ccxt can watch all tickers of an exchange. Raises UnknownExchange."""
    return loop.run(_can_stream(exchange), timeout=_START_SECONDS)


async def _can_stream(exchange: str) -> bool:
    client = clients.watching(exchange)
    try:
        return client.has.get("watchTickers") is True
    finally:
        await _close(client)


class _Changed(dict[str, Any]):
    """ccxt's table of tickers, which also knows what was written since it was last asked.

    Several messages may come in between two turns of a watcher, and ccxt tells it of one only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._symbols: set[str] = set()

    def __setitem__(self, symbol: str, ticker: Any) -> None:
        super().__setitem__(symbol, ticker)
        self._symbols.add(symbol)

    def taken(self) -> dict[str, Any]:
        """What was written since the last call."""
        symbols, self._symbols = self._symbols, set()
        return {symbol: self[symbol] for symbol in symbols if symbol in self}


async def _know_markets(line: Line, client: Any) -> None:
    """ccxt parses nothing without its own markets; where they are loaded, they are shared."""
    template = line.exchange.template
    if template.markets:
        client.set_markets_from_exchange(template)
        return
    client.options["fetchMarkets"] = {"types": ["spot"]}
    await line.ask(client, replace(line.dialect.markets_call, method="load_markets"))


def _market(symbol: str, client: Any, markets: Markets) -> Market | None:
    """Our market behind ccxt's symbol: dialects name theirs as ccxt does, or as the exchange."""
    known = client.markets.get(symbol) or {}
    return markets.by_id.get(symbol) or markets.by_id.get(known.get("id", ""))


def _most_direct(client: Any, markets: Markets) -> list[str]:
    """The market that prices each code best, as symbols that ccxt lists as open."""
    rows = markets.by_id.values()
    routes = Routes(Listing(row.id, row.base, row.quote) for row in rows)
    chosen = dict.fromkeys(_open_markets(client, routes, routes.codes))
    return list(chosen)[:_MOST_MARKETS]


def _open_markets(client: Any, routes: Routes, codes: Iterable[str]) -> Iterable[str]:
    for code in sorted(codes):
        for route in routes.of(code):
            listed = client.markets.get(route.market) or {}
            if listed.get("spot") and listed.get("active") is not False:
                yield route.market
                break


async def _close(client: Any) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
    except Exception:  # noqa: S110  (a connection that is gone needs no closing)
        pass
