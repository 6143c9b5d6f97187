"""What happened on an account, as the exchange itself knows it, and what each moved.

A fact's legs are the only thing that changes a balance: `legs()` is the exchange's bookkeeping.
Dialects render facts; nothing here knows a wire format.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, NamedTuple, get_type_hints

SPOT, FUNDING, EARN = "spot", "funding", "earn"
WALLETS = (SPOT, FUNDING, EARN)

# No wire format here carries more decimals, so books with more could never be reproduced.
_LEAST = Decimal("0.00000001")

COMPLETED, CANCELLED, FAILED = "completed", "cancelled", "failed"


class FactError(ValueError):
    """A fact that cannot be read; the message says which field and why."""


class Leg(NamedTuple):
    """One signed movement of one asset in one wallet."""

    asset: str
    wallet: str
    quantity: Decimal
    kind: str
    occurred_at: int
    fact_id: str
    feed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Anything that happened; `occurred_at` is in milliseconds and as the feed shows it."""

    feed: ClassVar[str]

    id: str
    occurred_at: int

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """(asset, wallet, quantity, kind) of each leg."""
        raise NotImplementedError

    def legs(self) -> list[Leg]:
        """The movements of balances that this fact is."""
        return [
            Leg(asset, wallet, quantity, kind, self.occurred_at, self.id, self.feed)
            for asset, wallet, quantity, kind in self.moves()
            if quantity
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade(Fact):
    """One fill of a spot order; the commission may be in a third asset."""

    feed: ClassVar[str] = "trades"

    base: str
    quote: str
    order_id: str
    side: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    commission: Decimal
    commission_asset: str
    maker: bool = False

    @property
    def symbol(self) -> str:
        """Base and quote in one word."""
        return self.base + self.quote

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Base one way, quote the other, the commission out."""
        sign = 1 if self.side == "buy" else -1
        yield self.base, SPOT, sign * self.quantity, "trade"
        yield self.quote, SPOT, -sign * self.quote_quantity, "trade"
        yield self.commission_asset, SPOT, -self.commission, "fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit(Fact):
    """Coins that arrived from a blockchain."""

    feed: ClassVar[str] = "deposits"

    asset: str
    quantity: Decimal
    network: str
    address: str
    tx_id: str
    status: str = COMPLETED

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Into spot."""
        if self.status == COMPLETED:
            yield self.asset, SPOT, self.quantity, "deposit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal(Fact):
    """Coins sent away: the receiver gets `quantity`, the fee is on top."""

    feed: ClassVar[str] = "withdrawals"

    asset: str
    quantity: Decimal
    fee: Decimal
    network: str
    address: str
    tx_id: str
    status: str = COMPLETED

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Amount and fee out of spot; a cancelled one moves nothing."""
        if self.status == COMPLETED:
            yield self.asset, SPOT, -self.quantity, "withdrawal"
            yield self.asset, SPOT, -self.fee, "fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiatOrder(Fact):
    """A bank transfer in or out; out, the bank gets `quantity` and the fee is on top."""

    feed: ClassVar[str] = "fiat_orders"

    asset: str
    direction: str
    quantity: Decimal
    fee: Decimal
    method: str
    status: str = COMPLETED

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """In: the amount. Out: the amount and the fee."""
        if self.status != COMPLETED:
            return
        if self.direction == "deposit":
            yield self.asset, SPOT, self.quantity, "deposit"
        else:
            yield self.asset, SPOT, -self.quantity, "withdrawal"
            yield self.asset, SPOT, -self.fee, "fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiatPayment(Fact):
    """Coins bought by card: `source_quantity` of fiat, the fee included, came from the card."""

    feed: ClassVar[str] = "fiat_payments"

    fiat: str
    source_quantity: Decimal
    asset: str
    quantity: Decimal
    fee: Decimal
    price: Decimal
    method: str
    status: str = COMPLETED

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """The fiat comes in and goes at once, so its balance never shows it."""
        if self.status != COMPLETED:
            return
        yield self.fiat, SPOT, self.source_quantity, "deposit"
        yield self.fiat, SPOT, self.fee - self.source_quantity, "trade"
        yield self.fiat, SPOT, -self.fee, "fee"
        yield self.asset, SPOT, self.quantity, "trade"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion(Fact):
    """One asset turned into another at a quoted rate, the fee inside the rate."""

    feed: ClassVar[str] = "conversions"

    quote_id: str
    from_asset: str
    from_quantity: Decimal
    to_asset: str
    to_quantity: Decimal

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """One out, the other in."""
        yield self.from_asset, SPOT, -self.from_quantity, "conversion"
        yield self.to_asset, SPOT, self.to_quantity, "conversion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dust(Fact):
    """One asset's small remainder turned into another; several share a batch."""

    feed: ClassVar[str] = "dust"

    batch_id: str
    from_asset: str
    from_quantity: Decimal
    to_asset: str
    to_quantity: Decimal
    service_charge: Decimal

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """The charge is taken from what was received (`to_quantity` is before it)."""
        yield self.from_asset, SPOT, -self.from_quantity, "conversion"
        yield self.to_asset, SPOT, self.to_quantity, "conversion"
        yield self.to_asset, SPOT, -self.service_charge, "fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dividend(Fact):
    """Coins given: an airdrop, a staking reward."""

    feed: ClassVar[str] = "dividends"

    asset: str
    quantity: Decimal
    reason: str

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Into spot."""
        yield self.asset, SPOT, self.quantity, "reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnSubscription(Fact):
    """Coins moved from spot into flexible earn."""

    feed: ClassVar[str] = "earn_subscriptions"

    asset: str
    quantity: Decimal

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Spot to earn."""
        return _between(SPOT, EARN, self.asset, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnRedemption(Fact):
    """Coins moved back from flexible earn into spot."""

    feed: ClassVar[str] = "earn_redemptions"

    asset: str
    quantity: Decimal

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Earn to spot."""
        return _between(EARN, SPOT, self.asset, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnReward(Fact):
    """Interest of flexible earn: `realtime` grows the position, `bonus` is paid into spot."""

    feed: ClassVar[str] = "earn_rewards"

    asset: str
    quantity: Decimal
    type: str = "realtime"

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Into earn or into spot."""
        yield self.asset, EARN if self.type == "realtime" else SPOT, self.quantity, "reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSubscription(Fact):
    """Coins locked for a term, which opens a position."""

    feed: ClassVar[str] = "locked_subscriptions"

    position_id: str
    asset: str
    quantity: Decimal
    days: int

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Spot to earn."""
        return _between(SPOT, EARN, self.asset, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRedemption(Fact):
    """A locked position that came due."""

    feed: ClassVar[str] = "locked_redemptions"

    position_id: str
    asset: str
    quantity: Decimal
    days: int

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Earn to spot."""
        return _between(EARN, SPOT, self.asset, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedReward(Fact):
    """Interest of a locked position, paid into spot."""

    feed: ClassVar[str] = "locked_rewards"

    position_id: str
    asset: str
    quantity: Decimal
    days: int

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Into spot."""
        yield self.asset, SPOT, self.quantity, "reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Fact):
    """Coins moved by their owner between spot and funding."""

    feed: ClassVar[str] = "transfers"

    asset: str
    quantity: Decimal
    from_wallet: str
    to_wallet: str

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """One wallet to the other."""
        return _between(self.from_wallet, self.to_wallet, self.asset, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Fact):
    """Units taken for a service, as for keeping a margin position open."""

    feed: ClassVar[str] = "charges"

    asset: str
    quantity: Decimal
    reason: str

    def moves(self) -> Iterator[tuple[str, str, Decimal, str]]:
        """Out of spot."""
        yield self.asset, SPOT, -self.quantity, "fee"


def _between(
    source: str, target: str, asset: str, quantity: Decimal
) -> Iterator[tuple[str, str, Decimal, str]]:
    yield asset, source, -quantity, "transfer"
    yield asset, target, quantity, "transfer"


_TYPES: tuple[type[Fact], ...] = (
    Trade,
    Deposit,
    Withdrawal,
    FiatOrder,
    FiatPayment,
    Conversion,
    Dust,
    Dividend,
    EarnSubscription,
    EarnRedemption,
    EarnReward,
    LockedSubscription,
    LockedRedemption,
    LockedReward,
    Transfer,
    Charge,
)
BY_FEED = {fact_type.feed: fact_type for fact_type in _TYPES}
FEEDS = tuple(BY_FEED)

_CHOICES = {
    "side": ("buy", "sell"),
    "direction": ("deposit", "withdrawal"),
    "status": (COMPLETED, CANCELLED, FAILED),
    "from_wallet": WALLETS,
    "to_wallet": WALLETS,
    "type": ("realtime", "bonus"),
}


def to_plain(fact: Fact) -> dict[str, Any]:
    """The fact as JSON takes it: quantities as plain decimal strings."""
    plain = {field.name: _plain(getattr(fact, field.name)) for field in fields(fact)}
    return {"feed": fact.feed} | plain


def _plain(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value


def from_plain(plain: dict[str, Any]) -> Fact:
    """The fact that `to_plain` gave. Raises FactError."""
    fact_type = BY_FEED.get(str(plain.get("feed")))
    if fact_type is None:
        raise FactError(f"feed must be one of {', '.join(FEEDS)}")
    return fact_type(**_arguments(fact_type, plain))


def _arguments(fact_type: type[Fact], plain: dict[str, Any]) -> dict[str, Any]:
    known = {field.name: field for field in fields(fact_type)}
    if unknown := set(plain) - set(known) - {"feed"}:
        raise FactError(f"unknown field {', '.join(sorted(unknown))}")
    hints = get_type_hints(fact_type)
    return {
        name: _value(name, hints[name], plain[name])
        for name, field in known.items()
        if name in plain or _needed(field)
    }


def _needed(field: "Field[Any]") -> bool:
    if field.default is MISSING:
        raise FactError(f"{field.name} is missing")
    return False


def _value(name: str, wanted: type, given: Any) -> Any:
    if name in _CHOICES and given not in _CHOICES[name]:
        raise FactError(f"{name} must be one of {', '.join(_CHOICES[name])}")
    if wanted is Decimal:
        return quantity(name, given)
    if type(given) is not wanted:
        raise FactError(f"{name} must be of type {wanted.__name__}")
    return given


def quantity(name: str, given: Any) -> Decimal:
    """A decimal from its string. Raises FactError for anything else, and for a negative one."""
    try:
        value = Decimal(given) if isinstance(given, str) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or value < 0:
        raise FactError(f"{name} must be a decimal number, not negative, as a string")
    if value != value.quantize(_LEAST):
        raise FactError(f"{name} has more than 8 decimals")
    return value
