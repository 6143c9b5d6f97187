"""What is known of an account, as far as the explanation of differences leans on it: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from portfolios.reconciling.differences import Place

SMALLEST = Decimal("1e-8")  # in which most exchanges count


class Fact(StrEnum):
    """Kinds of facts, as causes name the one that is missing."""

    TRADE = "trade"
    CONVERSION = "conversion"
    DUST = "dust"
    PURCHASE = "purchase"  # by card: the money never lay in a wallet
    SALE = "sale"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REWARD = "reward"
    EARN = "earn"
    MOVE = "move"
    FEE = "fee"


@dataclass(frozen=True, slots=True)
class Habit:
    """How often an account did something of a kind, and how big it was in US dollars.

    ``values`` are by the middle of all prices since the account began and serve to compare sizes;
    ``worths``, as far as known, by the prices of ``Account.priced_on``, and are shown.
    """

    count: int = 0
    values: tuple[float, ...] = ()
    worths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars for one unit, and the UTC day of that price."""

    usd: Decimal
    day: date


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far a feed was read: ``since`` None when it never was; ``error`` of the last try."""

    since: datetime | None = None
    until: datetime | None = None
    error: str = ""
    unread: int = 0  # rows that were received and not understood
    launched: datetime | None = None  # nothing is older


@dataclass(frozen=True, slots=True)
class OtherSide:
    """A transfer that may explain a difference: unmatched in another account, or pending here."""

    id: UUID
    account: UUID
    asset: UUID
    came_in: bool
    quantity: Decimal
    fee: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """What a person entered or imported in a place beside what is reported: units of one fact.

    ``twin_at`` is when a fact of the same units was reported; None: there is none.
    """

    id: UUID
    place: Place
    units: Decimal
    at: datetime
    twin_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the explanation may lean on."""

    by_hand: bool = False
    codes: Mapping[UUID, str] = field(default_factory=dict)
    fiat: frozenset[UUID] = frozenset()
    # Lowest and highest price in US dollars since the account's beginning, as far as known.
    prices: Mapping[UUID, tuple[Decimal, Decimal]] = field(default_factory=dict)
    # The price of an asset when a difference of it appeared, where one is known.
    rates: Mapping[tuple[UUID, datetime], Rate] = field(default_factory=dict)
    habits: Mapping[tuple[Fact, str], Habit] = field(default_factory=dict)  # by fact and wallet
    priced_on: date | None = None
    # Base and quote of every market traded in, with the decimals of the units traded.
    markets: Mapping[tuple[UUID, UUID], int] = field(default_factory=dict)
    fee_rates: tuple[Decimal, ...] = ()
    fee_assets: frozenset[UUID] = frozenset()
    dust_targets: frozenset[UUID] = frozenset()
    booked: frozenset[UUID] = frozenset()  # assets that have entries
    first_at: datetime | None = None
    feeds: Mapping[str, FeedState] = field(default_factory=dict)
    feeds_of: Mapping[Fact, tuple[str, ...]] = field(default_factory=dict)
    delisted: Mapping[UUID, str] = field(default_factory=dict)  # asset → a market that is closed
    other_sides: tuple[OtherSide, ...] = ()
    pending: tuple[OtherSide, ...] = ()
    own: tuple[OwnEntry, ...] = ()
    steps: Mapping[Place, Decimal] = field(default_factory=dict)  # smallest unit ever reported
