"""What a dialect declares: calls, wallets, feeds, paging, privileges. ``engine`` reads it.

A dialect is data: a ``Dialect`` made of the frozen pieces below, and small pure functions that
turn one row of an answer into facts. To add an exchange, copy a neighbour (``bitstamp`` is the
shortest) and register it in ``dialects.table``. Exchanges without a module of their own speak
``generic``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway.budget import Pool
from exchanges.gateway.errors import GatewayError
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import Row
from exchanges.reports import Balance, Fact, Privileges, Ticker

ANY_POOL = Pool("ip", 600)
Parse = Callable[[Row, str, "Surroundings"], Iterable[Fact]]
Rows = Callable[[Any], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One endpoint: a method of ccxt, what it weighs, and which pool the weight is drawn from.

    ``method`` is an implicit method (raw answer) or, for the generic dialect, a unified one.
    ``per_account`` pools are counted per API key's account and not per address.
    """

    method: str
    weight: float = 1
    pool: Pool = ANY_POOL
    per_account: bool = False
    unified: bool = False  # called as (symbol, since, limit, params)
    fixed: Mapping[str, Any] = field(default_factory=dict)


# --- paging -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Windows:
    """Pages by time: adjacent windows that share their edge, halved while a page comes back full.

    Needs no order, no page number and no id from the exchange. ``length`` is the longest window
    that it accepts. ``since`` and ``until`` name the parameters (empty where the exchange takes no
    times), ``stamp`` writes an instant. Where the exchange has a cursor or counts its pages,
    ``page`` names that parameter and ``following`` says what it is for the next page; then a
    window is read page by page and never halved. ``exclusive`` edges belong to no window: both
    are asked for one ``smallest`` further out.
    """

    length: timedelta
    limit: int
    since: str = "startTime"
    until: str = "endTime"
    size: str = "limit"
    stamp: Callable[[datetime], Any] | None = None
    smallest: timedelta = timedelta(milliseconds=1)
    page: str = ""
    following: "Following | None" = None
    exclusive: bool = False


# (answer, its rows, how many pages were read) -> the next page's parameter, empty at the end
Following = Callable[[Any, Sequence[Any], int], Any]


def by_cursor(*path: str) -> Following:
    """The next page is named by the answer itself, below ``path``."""

    def following(answer: Any, found: Sequence[Any], read: int) -> str:
        for step in path:
            answer = (answer or {}).get(step)
        return str(answer or "")

    return following


def by_oldest(field: str, limit: int, *, overlap: int = 0) -> Following:
    """The next page begins below the lowest id (or instant) of a full page.

    ``overlap`` is added where others may share that instant and would be left out.
    """

    def following(answer: Any, found: Sequence[Any], read: int) -> str:
        ids = [str(row.get(field)) for row in found if isinstance(row, Mapping)]
        numbers = [int(found_id) for found_id in ids if found_id.isdigit()]
        return str(min(numbers) + overlap) if numbers and len(found) >= limit else ""

    return following


def by_number(limit: int) -> Following:
    """Pages are numbered from 1; one that is not full is the last."""
    return lambda answer, found, read: read + 1 if len(found) >= limit else ""


def by_offset(limit: int) -> Following:
    """The next page begins after the rows already read; one that is not full is the last."""
    return lambda answer, found, read: read * limit if len(found) >= limit else ""


def by_total(*path: str) -> Following:
    """Pages are numbered from 1, and the answer says how many there are, below ``path``."""

    def following(answer: Any, found: Sequence[Any], read: int) -> Any:
        for step in path:
            answer = (answer or {}).get(step)
        return read + 1 if read < int(answer or 0) else ""

    return following


@dataclass(frozen=True, slots=True)
class Ids:
    """Pages of one symbol by ascending id, from the cursor on."""

    limit: int
    param: str = "fromId"
    size: str = "limit"
    field: str = "id"
    first: int = 0


@dataclass(frozen=True, slots=True)
class Offsets:
    """Pages by offset inside one span, newest first; stops when a page brings nothing new."""

    since: str
    until: str
    param: str
    stamp: Callable[[datetime], Any]
    total: Callable[[Any], int] | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Pages by the cursor that each answer gives, until it gives none or nothing new comes."""

    param: str
    following: Callable[[Any], str]
    since: str = ""
    stamp: Callable[[datetime], Any] | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """``since`` moves to the newest row seen until nothing new comes.

    For unified ccxt methods, and for exchanges that give their oldest rows after an instant first
    and take no end. ``since`` and ``size`` name the parameters, ``stamp`` writes an instant.
    """

    limit: int
    since: str = "since"
    size: str = "limit"
    stamp: Callable[[datetime], Any] | None = None


Paging = Windows | Ids | Offsets | Cursor | Forward


# --- feeds and wallets --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One kind of history.

    ``id_field`` names the exchange's id in a row; where a row has none, ``stable`` are the fields
    that never change and stand in for it. ``interpret`` replaces ``parse`` where several rows
    make one fact. ``scoped`` feeds are asked once per symbol or account (see ``Dialect.scopes``).
    One that is ``instead_of`` another is asked only where the exchange refused that one to the key,
    and from then on.
    """

    name: str
    call: Call
    paging: Paging
    launched: datetime
    rows: Rows
    parse: Parse | None = None
    interpret: "Interpret | None" = None
    id_field: str = "id"
    stable: tuple[str, ...] = ()
    scoped: bool = False
    scope_param: str = "symbol"
    overlap: timedelta = timedelta(hours=1)
    horizon: timedelta | None = None  # how far back the exchange promises to answer
    tries_older: bool = False  # ask beyond the horizon at first, until that is refused
    concerns: Callable[[Collection[str]], bool] = bool  # of the codes that moved
    optional: bool = False  # "not permitted" means "not enabled here", and is no failure
    needs_earn: bool = False  # only where earn was ever seen
    from_opening: bool = False  # dear: begins when the account was opened, where that is told
    instead_of: str = ""
    other_account: bool = False  # "unsupported": another kind of account, which has its own feed
    when: Callable[[Row], datetime] | None = None  # for ``Forward`` and ``Dialect.sliced_by``


Bad = tuple[str, Any]  # reason, row(s)


@dataclass(frozen=True, slots=True)
class Batch:
    """Where the rows of one reading come from.

    Rows up to ``known_until`` were read before (None at first); those after ``until`` are still
    to come. ``error`` is set when the reading broke off, so that rows may be missing.
    """

    since: datetime
    until: datetime
    known_until: datetime | None = None
    error: GatewayError | None = None


Interpret = Callable[[Mapping[str, Row], Batch, "Surroundings"], tuple[list[Fact], list[Bad]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletCall:
    """One call that tells (a part of) a wallet's balances.

    ``parse`` gives (code, quantity) pairs; several pairs of one code are added up. ``tells`` are
    wallets that the answer tells to their end as well: what it does not name there is nothing.
    Where the answer lists accounts, ``accounts`` makes one call for each, and nothing is parsed.
    """

    wallet: str
    call: Call
    otherwise: Call | None = None  # an older endpoint, asked when ``call`` gives nothing usable
    parse: "Callable[[Any, Surroundings], Iterable[Holding]]"
    page: str = ""  # parameter of the page number, where the answer is paged
    total: Callable[[Any], int] | None = None
    page_size: int = 100
    following: Callable[[Any], str] | None = None  # cursor of the next page
    tells: frozenset[str] = frozenset()
    accounts: "Callable[[Any, Surroundings], Iterable[WalletCall]] | None" = None
    optional: bool = False
    rarely: bool = False  # only when everything is asked
    needs_earn: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """Units of a code, in the call's wallet unless the row names another."""

    code: str
    quantity: Decimal
    wallet: str = ""


@dataclass(slots=True)
class Surroundings:
    """What parsing may need to know, and what it may note for later calls."""

    markets: Markets
    known_codes: Collection[str] = ()
    earn_seen: bool = False
    accounts: dict[str, str] = field(default_factory=dict)  # account id -> its code, if only one
    bad: list[Bad] = field(default_factory=list)
    noted: dict[str, Row] = field(default_factory=dict)  # rows that help to read another feed
    seen: set[str] = field(default_factory=set)  # codes beyond those of facts, to find symbols by
    refused: set[str] = field(default_factory=set)  # optional feeds that the key may not read
    scope: str = ""  # symbol or account that the row at hand was asked for


# --- candles ------------------------------------------------------------------------------------

# (market, interval, since, until, limit), times in milliseconds, ``until`` not included -> the
# positional arguments and the parameters of the call
Asking = Callable[[str, str, int, int, int], tuple[tuple[Any, ...], dict[str, Any]]]
CANDLE_INTERVALS = frozenset({"5m", "15m", "1h", "1d"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleCall:
    """How an exchange tells past prices: rows of (start in milliseconds, open, high, low, close,
    volume in units of the base).

    ``limit`` is how many come in one answer, ``intervals`` which of ours it knows.
    """

    call: Call
    limit: int
    asking: Asking
    rows: Rows
    intervals: frozenset[str] = CANDLE_INTERVALS


def unified_candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ccxt's ``fetchOHLCV`` is asked."""
    return (market, interval, since, limit), {"until": until - 1}


# --- dialect ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheck:
    """How the exchange tells what a key may do; ``read`` may raise MissingPermission.

    ``before`` is asked first where the exchange wants to be told who asks: ``naming`` makes
    parameters of its answer and of the API key. An ``optional`` check is not for every key: one
    that it is refused to may read, if it can, and is unverified.
    """

    call: Call
    read: Callable[[Any], Privileges]
    # Whether the key works from some addresses only; None where the answer does not say.
    restricted: Callable[[Any], bool | None] = lambda answer: None
    # The exchange tells it to some keys only; a refusal then says nothing about the key.
    optional: bool = False
    before: Call | None = None
    naming: Callable[[Any, str], Mapping[str, Any]] = lambda answer, api_key: {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How the exchange tells when an account was opened; nothing happened before."""

    call: Call
    read: Callable[[Any], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Everything that sets one exchange apart."""

    id: str
    wallets: tuple[WalletCall, ...]
    feeds: tuple[Feed, ...]
    key_check: KeyCheck | None = None
    opening: Opening | None = None
    error_codes: Mapping[str, type[GatewayError]] = field(default_factory=dict)
    prepare: Callable[[Any], None] | None = None  # gives a client what ccxt left out of it
    needs_markets: bool = False
    markets_optional: bool = False  # without them, only scoped feeds cannot be asked
    load_markets: Callable[[Any], Any] | None = None  # async (client) -> Markets
    markets_call: Call = Call("load_markets")
    tickers_call: Call = Call("fetch_tickers")
    tickers_args: tuple[Any, ...] = ()  # (None,) for unified methods: all symbols
    read_tickers: Callable[[Any, Markets, datetime], Iterable[Ticker]] | None = None
    candles: CandleCall | None = None
    major_quotes: frozenset[str] = frozenset()
    # Whether requests carry our time, measured against the exchange's. Where only a growing nonce
    # is asked for, a measured offset does harm: processes that measured differently would send
    # one key's nonces out of order.
    keeps_time: bool = True
    limits_by_key: bool = False  # "too many requests" is meant for the key, not for our address
    symbols: bool = False  # scoped feeds are scoped by symbol (else by account)
    # The feed (paged by offsets, with a total) by whose rows a long history is cut into stretches,
    # each of which is read to its end through all feeds before the next one begins.
    sliced_by: str = ""


async def load_with_ccxt(client: Any) -> Markets:
    """Spot markets through ccxt's own loading, for dialects that need unified methods."""
    await client.load_markets()
    return Markets(
        Market(market["symbol"], market["base"], market["quote"])
        for market in client.markets.values()
        if market.get("spot") and market.get("base") and market.get("quote")
    )


def at(year: int, month: int = 1, day: int = 1) -> datetime:
    """A date as an instant in UTC."""
    return datetime(year, month, day, tzinfo=UTC)


def the_list(answer: Any) -> Sequence[Any]:
    """Rows of an answer that is a list itself."""
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return answer


def under(*path: str) -> Rows:
    """Rows found by walking down ``path``; a missing or wrong step is a malformed answer."""

    def walk(answer: Any) -> Sequence[Any]:
        for step in path:
            answer = answer[step]
        return the_list(answer if answer is not None else [])

    return walk


def balance(wallet: str, holding: Holding) -> Balance:
    """A holding as it is reported."""
    return Balance(holding.wallet or wallet, holding.code, holding.quantity)
