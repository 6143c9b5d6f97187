"""ccxt instances, cheaply: one template per exchange and process, one small copy per account.

Building a ccxt instance costs milliseconds and hundreds of kilobytes, mostly tables that are the
same for every account. Here a template is built once; it holds the markets, the shared HTTP
session (one SSL context, no cookies) and the measured clock difference. An account's client is a
shallow copy of it with options and credentials of its own, emptied when the visit ends.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from exchanges.gateway import addresses, loop, proxies
from exchanges.gateway.errors import GatewayError, TimedOut, UnknownExchange
from exchanges.gateway.markets import Markets
from exchanges.reports import Credential

REQUEST_TIMEOUT = 10.0  # seconds
MARKETS_MAX_AGE = 6 * 3600.0  # seconds
_CONNECTIONS = 512

Load = Callable[[Any], Awaitable[Markets]]


class Exchange:
    """One exchange as this process reaches it; lives on the gateway's loop."""

    def __init__(self, name: str, base: str | None) -> None:
        self.name = name
        self.template = _build_template(name, base)
        self._markets: Markets | None = None
        self._markets_at = 0.0
        self._loading: asyncio.Task[Markets] | None = None
        self._clock: asyncio.Task[None] | None = None

    async def markets(self, load: Load) -> Markets:
        """The markets, loaded once for all who wait and again when older than some hours."""
        if self._markets and time.monotonic() - self._markets_at < MARKETS_MAX_AGE:
            return self._markets
        if self._loading is None or self._loading.done():
            self._loading = asyncio.ensure_future(self._load_markets(load))
        try:
            return await asyncio.shield(self._loading)
        except GatewayError:
            if self._markets is None:
                raise
            return self._markets  # old markets are better than none

    async def _load_markets(self, load: Load) -> Markets:
        self._markets = await load(self.template)
        self._markets_at = time.monotonic()
        return self._markets

    @property
    def keeps_time(self) -> bool:
        """Whether requests carry our time, which ccxt can then correct by a measured offset."""
        has_clock = self.template.has.get("fetchTime") is True
        return has_clock and "adjustForTimeDifference" in self.template.options

    async def measure_clock(self, *, again: bool = False) -> None:
        """Measure the difference to the exchange's clock: once, shared by all who wait."""
        if not self.keeps_time:
            return
        if self._clock is None or (again and self._clock.done()):
            self._clock = asyncio.ensure_future(self._measure_clock())
        await asyncio.shield(self._clock)

    async def _measure_clock(self) -> None:
        problem = None
        try:
            await self.template.load_time_difference()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            problem = _is_timeout(error)
        if problem:
            self._clock = None
            raise TimedOut

    @contextmanager
    def account(self, credential: Credential, proxy: str = proxies.DIRECT) -> Iterator[Any]:
        """A client with this credential, emptied of everything when the block ends."""
        client = _copy(self.template)
        client.aiohttp_proxy = proxy or None
        client.apiKey, client.secret = credential.api_key, credential.api_secret
        setattr(client, third_credential(client) or "password", credential.passphrase or None)
        try:
            yield client
        finally:
            vars(client).clear()


def exchange(name: str) -> Exchange:
    """The exchange of this name on the running loop. Raises UnknownExchange."""
    base = addresses.base_url(name)
    first = proxies.of_account(name, None)
    return loop.local(("exchange", name, base, first), lambda: Exchange(name, base))


def third_credential(client: Any) -> str | None:
    """The ccxt credential beyond key and secret that this exchange asks for, if any."""
    needed = client.requiredCredentials
    return next((name for name in ("password", "uid", "accountId") if needed.get(name)), None)


def parse_json(body: str) -> Any:
    """JSON with every fractional number as the text it was written in: no digit is lost."""
    return json.loads(body, parse_float=str, parse_constant=str)


def forget_answer(client: Any) -> None:
    """Let the next failure be judged by its own answer, or by the lack of one."""
    client.last_http_response = client.last_response_headers = client.last_status = None
    client.on_rest_response = partial(_note_status, client)


def _note_status(client: Any, status: int, *answer: Any) -> Any:
    client.last_status = status
    return type(client).on_rest_response(client, status, *answer)


def _is_timeout(error: BaseException) -> bool:
    import ccxt

    return isinstance(error, (ccxt.RequestTimeout, asyncio.TimeoutError))


def watching(name: str) -> Any:
    """A client of ccxt.pro for one exchange, of its own because it holds connections; the caller
    closes it. Raises UnknownExchange."""
    import ccxt.pro

    client = _build(ccxt.pro, name, addresses.base_url(name))
    client.newUpdates = True
    return client


def _build_template(name: str, base: str | None) -> Any:
    import ccxt.async_support

    return _build(ccxt.async_support, name, base)


def _build(ccxt: Any, name: str, base: str | None) -> Any:
    logging.getLogger("ccxt").setLevel(logging.ERROR)  # at DEBUG it logs signed requests
    if name not in ccxt.exchanges:
        raise UnknownExchange(details={"exchange": name})
    template = getattr(ccxt, name)(_settings())
    template.on_json_response = template.onJsonResponse = parse_json
    template.own_session = False
    template.aiohttp_proxy = proxies.of_account(name, None) or None
    forget_answer(template)
    if base:
        addresses.redirect(template, base)
    return template


def _settings() -> dict[str, Any]:
    return {
        "number": str,
        "enableRateLimit": False,
        "timeout": int(REQUEST_TIMEOUT * 1000),
        "session": loop.local("session", _new_session),
        "asyncio_loop": asyncio.get_running_loop(),
        "options": {"warnOnFetchOpenOrdersWithoutSymbol": False},
    }


def _new_session() -> Any:
    """One session for all exchanges; without cookies, which would tie accounts together."""
    import ssl

    import aiohttp
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    connector = aiohttp.TCPConnector(ssl=context, limit=_CONNECTIONS)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _own(option: Any) -> Any:
    """Requests change options in place, at most one level down; a deep copy costs ten times."""
    return option.copy() if isinstance(option, (dict, list)) else option


def _copy(template: Any) -> Any:
    """A copy that shares the big tables and owns what requests write to."""
    client = object.__new__(type(template))
    vars(client).update(vars(template))
    client.options = {name: _own(value) for name, value in template.options.items()}
    client.headers = dict(template.headers)
    forget_answer(client)
    return client
