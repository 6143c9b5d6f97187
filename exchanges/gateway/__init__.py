"""The only place that talks to exchanges: the only one that imports ccxt or opens an API key.

All functions are called from ordinary (synchronous) code, outside any transaction; they never
touch the ORM. What they return is in ``exchanges.reports``; what they raise is in
``exchanges.gateway.errors``, and neither holds a key or a word of ccxt's. Importing this package
is cheap: ccxt is imported with the first call.

Where an exchange is reached: ``EXCHANGE_BASE_URLS``. How fast: ``EXCHANGE_BUDGETS``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING
from uuid import UUID

from exchanges.gateway import loop
from exchanges.gateway.errors import GatewayError
from exchanges.reports import (
    AccountReport,
    BudgetState,
    Candle,
    Credential,
    ExchangeDescription,
    FeedDescription,
    Kept,
    Listing,
    Privileges,
    Progress,
    Reread,
    SealedCredential,
    Ticker,
    Visit,
)

if TYPE_CHECKING:
    from exchanges.gateway.streams import TickerStream

_MARGIN = 0.5  # seconds that the caller's thread waits beyond the loop's own timeout


def visit_accounts(
    visits: Iterable[Visit],
    *,
    concurrency: int = 64,
    deadline_seconds: float = 240.0,
    watch: Callable[[Progress], None] | None = None,
) -> Iterator[AccountReport | tuple[UUID, GatewayError]]:
    """Read accounts, at most ``concurrency`` at once; yield each as it finishes.

    A visit that could read at least one wallet yields an AccountReport, with what failed among
    its ``failures``; any other yields its connection id and the error. Each visit has
    ``deadline_seconds`` from its own start: when they are over it yields what it has, and its
    coverage says where the next visit goes on. ``visits`` is consumed before the first call.
    ``watch`` is called on the gateway's own thread, at most twice a second for each visit, and must
    not wait for anything.
    """
    from exchanges.gateway import visits as visiting

    started = [
        visiting.visit_account(visit, deadline_seconds=deadline_seconds, watch=watch)
        for visit in visits
    ]
    return loop.as_finished(started, concurrency=concurrency)


def check_key(
    exchange: str,
    credential: SealedCredential | Credential,
    *,
    timeout: float = 10.0,
    account: UUID | None = None,
) -> Privileges:
    """What the exchange says an API key may do: READ_ONLY, or UNVERIFIED where it tells nothing.

    ``account`` is the connection's id: the key is tested from the address that it is used from.

    Raises, within ``timeout`` seconds: WrongKey, MissingPermission, AddressNotAllowed,
    KeyTooPowerful (it may trade or withdraw), Unreachable, TimedOut, OnMaintenance, WrongClock,
    RateLimited (with ``retry_after``), UnknownExchange, Malformed.
    """
    from exchanges.gateway import visits as visiting

    work = visiting.check_key(exchange, credential, seconds=timeout, account=account)
    return loop.run(work, timeout=timeout + _MARGIN)


def fetch_tickers(exchange: str) -> list[Ticker]:
    """The latest spot prices of an exchange, in one batch. Raises GatewayError."""
    from exchanges.gateway import visits as visiting

    return loop.run(visiting.fetch_tickers(exchange), timeout=60)


def can_stream(exchange: str) -> bool:
    """Whether an exchange streams the tickers of all its markets. Raises UnknownExchange."""
    from exchanges.gateway import streams

    return streams.can_stream(exchange)


def stream_tickers(exchange: str) -> "TickerStream":
    """The tickers of all spot markets of an exchange as they change; the caller closes it.

    It connects in the background: what goes wrong is raised by ``take``.
    """
    from exchanges.gateway import streams

    return streams.TickerStream(exchange)


def fetch_markets(exchange: str) -> list[Listing]:
    """Every spot market of an exchange, closed ones included. Raises GatewayError."""
    from exchanges.gateway import visits as visiting

    return loop.run(visiting.fetch_markets(exchange), timeout=60)


def fetch_candles(
    exchange: str, *, market: str, interval: str, since: datetime, until: datetime
) -> list[Candle]:
    """The candles of a market that begin in [since, until), in order; gaps are left out.

    ``interval`` is ``"5m"``, ``"15m"``, ``"1h"`` or ``"1d"``. The last one may still be growing
    when ``until`` is not over. Raises GatewayError: SymbolUnknown where the exchange no longer
    answers for the market, Unsupported where it has no candles, or none of this length.
    """
    from exchanges.gateway import visits as visiting

    work = visiting.fetch_candles(exchange, market, interval, since, until)
    return loop.run(work, timeout=60)


def replay(
    exchange: str,
    *,
    feed: str,
    scope: str,
    rows: Sequence[Kept],
    codes: Collection[str] = (),
    now: datetime,
) -> Reread:
    """What today's dialect makes of payloads that were quarantined: no account, no key.

    ``codes`` are those ever seen on the connection. A page is read row by row. Raises GatewayError
    when the dialect needs the public list of markets and it cannot be had.
    """
    from exchanges.gateway import replaying
    from exchanges.gateway import visits as visiting

    work = visiting.bounded(replaying.reread(exchange, feed, scope, rows, codes, now))
    return loop.run(work, timeout=60)


def budget_state(exchange: str) -> BudgetState | None:
    """How the exchange's rate budget stands now; None when Redis does not answer."""
    from exchanges.gateway import budget, declared

    return budget.state(exchange, declared.pools(exchange))


def describe_feeds(exchange: str) -> list[FeedDescription]:
    """The feeds that are read of an exchange, in order. Raises GatewayError."""
    from exchanges.gateway import declared

    return declared.feeds(exchange)


@cache
def ccxt_version() -> str:
    """The release of ccxt that answers are read with, without importing it."""
    return metadata.version("ccxt")


def describe_exchanges() -> list[ExchangeDescription]:
    """Every exchange that can be connected: balances and own trades readable with a key."""
    from exchanges.gateway import catalogue

    return catalogue.describe()


def supports(exchange: str) -> bool:
    """Whether ccxt knows an exchange of this id that can be connected."""
    return any(described.id == exchange for described in describe_exchanges())
