"""What an exchange told us, in our own words: the frozen values that leave the gateway.

No Django and no ccxt here. Quantities are Decimal and never float, instants are aware UTC
datetimes, codes are the exchange's own spelling of a coin after its dialect has separated the
wallet from it (``BTC.F`` becomes code ``BTC`` in wallet ``earn``). Who owns the account is not
known here; ``portfolios.sync`` joins reports to their connection.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class Wallet(StrEnum):
    """Where in an exchange account a coin lies."""

    SPOT = "spot"
    FUNDING = "funding"
    EARN = "earn"
    MARGIN = "margin"
    FUTURES = "futures"


class TradeKind(StrEnum):
    """How one asset became another."""

    FILL = "fill"
    CONVERSION = "conversion"
    DUST = "dust"
    FIAT = "fiat"


class Direction(StrEnum):
    """Deposit into, withdrawal from, or internal move between wallets of one account."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    INTERNAL = "internal"


class Privileges(StrEnum):
    """What the exchange says an API key may do."""

    READ_ONLY = "read_only"
    TRADE = "trade"
    WITHDRAW = "withdraw"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Balance:
    """Units of one code in one wallet, free and locked together."""

    wallet: str
    code: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill, conversion or dust sweep exactly as reported. Quantities are positive.

    ``quote_quantity`` is what the exchange says changed hands, else base x price. The fee, when
    there is one, comes on top of both and may be in any asset.
    """

    feed: str
    exchange_id: str
    kind: TradeKind
    symbol: str
    side: str  # "buy" or "sell", seen from the base
    base_code: str
    base_quantity: Decimal
    quote_code: str
    quote_quantity: Decimal
    price: Decimal
    fee_code: str | None
    fee_quantity: Decimal | None
    wallet: str
    order_id: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Transfer:
    """A deposit, withdrawal or move between wallets of the same account.

    ``quantity`` is what arrived (deposit, internal) or what the receiver gets (withdrawal);
    ``fee_quantity`` left the account on top of it, whatever convention the exchange uses.
    ``counter_wallet`` is where an internal move went; empty otherwise. ``settled`` is False while
    the exchange still calls it pending: such a transfer is no ledger fact yet.
    """

    feed: str
    exchange_id: str
    direction: Direction
    code: str
    quantity: Decimal
    fee_code: str | None
    fee_quantity: Decimal | None
    wallet: str
    counter_wallet: str
    settled: bool
    txid: str
    address: str
    network: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Reward:
    """Units credited without a counterpart: interest, staking, airdrop, distribution.

    ``quantity`` is below 0 where units were taken without one: an adjustment, the interest of a
    margin position, a second fee of one trade (kinds "adjustment", "rollover", "fee" …).
    """

    feed: str
    exchange_id: str
    kind: str
    code: str
    quantity: Decimal
    wallet: str
    occurred_at: datetime


Fact = Trade | Transfer | Reward


@dataclass(frozen=True, slots=True)
class Covered:
    """An interval of one feed (and symbol, else ``scope`` is empty) that was asked to its end.

    ``cursor`` is the dialect's own note of where to go on, such as the last trade id.
    """

    feed: str
    scope: str
    since: datetime
    until: datetime
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A feed (or wallet) that could not be read: the stable code of the error, no exchange text."""

    feed: str
    scope: str
    code: str
    permanent: bool


class Form(StrEnum):
    """What a payload in quarantine is, which says what can become of it."""

    ROW = "row"  # one row of a feed, or the rows of one event
    PAGE = "page"  # a whole answer; its coverage stayed where it was
    BALANCE = "balance"  # of a wallet; the next visit asks anew
    NUMBER = "number"  # understood, but longer than a column can hold
    GAP = "gap"  # rows that the exchange held back


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row or page that could not be understood, kept for a later replay.

    ``name`` is what the visit called the row, so that a replay gives its fact the same id; empty
    where it had none. A payload that is not ``is_whole`` was cut off, and cannot be read again.
    """

    feed: str
    scope: str
    reason: str
    payload: str = field(repr=False)
    form: Form = Form.ROW
    name: str = ""
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """A payload out of the quarantine, to be read again."""

    key: UUID
    form: Form
    name: str
    payload: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reread:
    """What a dialect makes today of payloads that it could not read once.

    ``understood`` are the keys of those that need not be kept any more; ``left`` are rows of
    pages among them that are still not understood.
    """

    facts: tuple[Fact, ...] = ()
    understood: frozenset[UUID] = frozenset()
    left: tuple[Quarantined, ...] = ()


class Asked(NamedTuple):
    """One call of a visit: what was asked, never with which values.

    Times are in milliseconds; ``at`` counts from the beginning of the visit. ``status`` is 0
    where nothing was answered, ``rows`` -1 where the answer is no list, ``code`` our own error.
    """

    at: int
    method: str
    weight: float
    pool: str
    waited: int
    took: int
    status: int
    rows: int
    code: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The calls of a visit in order: the first ones, then the last ones, ``left_out`` between."""

    first: tuple[Asked, ...] = ()
    last: tuple[Asked, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class PoolState:
    """Weight granted in the last minute, and how much may be; ``allowed`` 0 means any."""

    name: str
    used: float
    allowed: float


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How an exchange's rate budget stands now; ``stopped_for`` are seconds, else None."""

    pools: tuple[PoolState, ...]
    stopped_for: float | None


@dataclass(frozen=True, slots=True)
class FeedDescription:
    """A feed as a dialect declares it: since when there is any, how far back it answers."""

    name: str
    launched: datetime
    horizon: timedelta | None
    is_scoped: bool


@dataclass(frozen=True, slots=True)
class AccountReport:
    """Everything one visit to one account brought back.

    ``wallets`` are those that were read to their end: a code that is absent from a read wallet is
    zero, a code in a wallet that is not in ``wallets`` is unknown.
    """

    connection_id: UUID
    read_at: datetime
    wallets: frozenset[str]
    balances: tuple[Balance, ...]
    facts: tuple[Fact, ...]
    covered: tuple[Covered, ...]
    failures: tuple[Failure, ...]
    quarantined: tuple[Quarantined, ...]
    complete_history: bool  # every feed was asked, not only those whose assets moved
    # The visit ran out of time, or of weight that the exchange allows, and got further all the
    # same: it is to go on where it was, in ``resume_after`` seconds at the earliest.
    unfinished: bool = False
    resume_after: int = 0
    privileges: Privileges | None = None  # what the key may do, where it was asked again
    address_restricted: bool | None = None  # whether it works from some addresses only
    timeline: Timeline = Timeline()


@dataclass(frozen=True, slots=True)
class Ticker:
    """Latest price of one base in one quote, and what it was 24 hours ago where known."""

    base_code: str
    quote_code: str
    last: Decimal
    open_24h: Decimal | None
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """A spot market, open or closed: what it is called in calls, and what is traded for what."""

    market: str
    base_code: str
    quote_code: str


@dataclass(frozen=True, slots=True)
class Candle:
    """What a market traded at while an interval lasted, from ``start`` on.

    Prices are units of the quote for one of the base, ``volume`` is in units of the base. What
    the exchange does not tell, or tells in no sane way, is None; the close is always there.
    """

    start: datetime
    close: Decimal
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ExchangeDescription:
    """One row of the exchange catalogue."""

    id: str
    name: str
    required_fields: tuple[str, ...]
    supports: tuple[str, ...]
    website: str
    ccxt_version: str
    feeds: tuple[FeedDescription, ...] = ()


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """An API key as stored: ciphertexts by field, and the wrapped data key that opens them."""

    user_id: UUID
    row_id: UUID
    key_id: str
    wrapped_key: bytes = field(repr=False)
    fields: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """An API key in the clear: only ever in memory, for one visit."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """What to ask of one account.

    ``known`` is the coverage so far by (feed, scope); ``held`` the balances as last recorded, by
    (wallet, code), from which the dialect sees what moved; ``codes`` every code ever seen on the
    connection, for symbol discovery. With ``everything`` all feeds are asked, whatever moved;
    without ``history`` none is, and the visit ends with the balances. A ``first_import`` leaves
    what the exchange allows to others first.
    """

    connection_id: UUID
    exchange: str
    credential: SealedCredential | Credential
    now: datetime
    known: dict[tuple[str, str], Covered]
    held: dict[tuple[str, str], Decimal]
    codes: frozenset[str]
    everything: bool
    history: bool = True
    first_import: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a visit is: what it reads, calls made, and about how many and how long are left."""

    connection_id: UUID
    phase: str  # "balances", or the feed that is being read
    calls: int
    calls_left: int
    seconds_left: int
