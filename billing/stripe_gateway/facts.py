"""Stripe's objects as frozen facts: amounts as Decimal in their currency, instants in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

TIER, PART, USER = "tracker_tier", "tracker_part", "tracker_user"  # keys of metadata
PLAN, CALLS = "plan", "calls"  # parts
LIVE = ("trialing", "active", "past_due", "unpaid", "paused")
# Currencies without a smaller unit (docs.stripe.com/currencies#zero-decimal).
_WHOLE = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Item:
    """One priced part of a subscription."""

    id: str
    price_id: str
    tier: str
    part: str
    price: Decimal  # for each unit and month
    currency: str


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """A subscription as it stands at Stripe."""

    id: str
    status: str
    items: tuple[Item, ...]
    started_at: datetime
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    trial_end: datetime | None
    ended_at: datetime | None
    past_due_since: datetime | None
    lacks_card: bool = False  # a trial for which nobody has named a way to pay yet
    client_secret: str = field(default="", repr=False)
    intent: str = ""  # of the secret: "payment" or "setup"
    source: Any = field(default=None, repr=False, compare=False)  # what dj-stripe mirrors

    @property
    def plan(self) -> Item | None:
        return next((item for item in self.items if item.part == PLAN), None)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE


@dataclass(frozen=True, slots=True)
class InvoiceState:
    """An invoice; its links are for its owner alone and stored nowhere."""

    id: str
    number: str
    status: str
    total: Decimal
    paid: Decimal
    currency: str
    created_at: datetime
    period_start: datetime | None
    period_end: datetime | None
    page_url: str = field(default="", repr=False)
    pdf_url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CustomerState:
    """Everything about a customer that a plan depends on. ``withdrawn`` says of a subscription why
    the newest payment of its plan went back: "refunded" or "disputed"."""

    id: str
    is_deleted: bool
    subscriptions: tuple[SubscriptionState, ...] = ()
    invoices: tuple[InvoiceState, ...] = ()
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    source: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change of plan would cost: ``due_now`` for a larger one; a credit has negative
    lines, and comes off the next invoice."""

    currency: str
    due_now: Decimal
    lines: tuple[tuple[str, Decimal], ...]
    proration_at: datetime


@dataclass(frozen=True, slots=True)
class Sheet:
    """What Stripe's payment sheet in the app needs; told once and stored nowhere."""

    customer: str
    ephemeral_key: str = field(repr=False)
    client_secret: str = field(repr=False)
    intent: str
    publishable_key: str


@dataclass(frozen=True, slots=True)
class Price:
    """A price as it stands at Stripe. ``amount`` is USD for each unit."""

    id: str
    lookup_key: str
    amount: Decimal
    currency: str
    product: str
    is_metered: bool
    tier: str
    part: str
    source: Any = field(default=None, repr=False, compare=False)


# --- reading Stripe's objects -------------------------------------------------------------------
def subscription(row: Any) -> SubscriptionState:
    items = tuple(_item(item) for item in row["items"].data)
    invoice = row.latest_invoice if not isinstance(row.latest_invoice, str) else None
    secret, intent = _secret(row, invoice)
    first = row["items"].data[0] if row["items"].data else None
    owed = row.status in ("past_due", "unpaid") and invoice is not None
    return SubscriptionState(
        id=row.id, status=row.status, items=items, started_at=_required(row.start_date),
        current_period_start=_instant(first.current_period_start) if first else None,
        current_period_end=_instant(first.current_period_end) if first else None,
        cancel_at_period_end=bool(row.cancel_at_period_end), trial_end=_instant(row.trial_end),
        ended_at=_instant(row.ended_at), client_secret=secret, intent=intent, source=row,
        lacks_card=getattr(row, "pending_setup_intent", None) is not None,
        past_due_since=_instant(invoice.created) if owed and invoice is not None else None,
    )  # fmt: skip


def _secret(row: Any, invoice: Any) -> tuple[str, str]:
    setup = getattr(row, "pending_setup_intent", None)
    if setup is not None and not isinstance(setup, str):
        return str(setup.client_secret), "setup"
    secret = getattr(invoice, "confirmation_secret", None)
    return (str(secret.client_secret), "payment") if secret else ("", "")


def _item(row: Any) -> Item:
    told = row.price.metadata or {}
    return Item(
        id=row.id, price_id=row.price.id, tier=_told(told, TIER), part=_told(told, PART) or PLAN,
        price=_unit_amount(row.price), currency=row.price.currency,
    )  # fmt: skip


def _told(metadata: Any, name: str) -> str:
    try:
        return str(metadata[name])
    except (KeyError, TypeError, AttributeError):
        return ""


def price(row: Any) -> Price:
    return Price(
        id=row.id, lookup_key=row.lookup_key or "", amount=_unit_amount(row),
        currency=row.currency, product=id_of(row.product), source=row,
        tier=_told(row.metadata or {}, TIER), part=_told(row.metadata or {}, PART),
        is_metered=row.recurring.usage_type == "metered",
    )  # fmt: skip


def invoice(row: Any) -> InvoiceState:
    return InvoiceState(
        id=row.id, number=row.number or "", status=row.status or "",
        total=amount(row.total, row.currency), paid=amount(row.amount_paid, row.currency),
        currency=row.currency, created_at=_required(row.created),
        period_start=_instant(row.period_start), period_end=_instant(row.period_end),
        page_url=row.hosted_invoice_url or "", pdf_url=row.invoice_pdf or "",
    )  # fmt: skip


def _unit_amount(price: Any) -> Decimal:
    cents = price.unit_amount_decimal if price.unit_amount_decimal is not None else 0
    return amount(cents, price.currency)


def amount(units: Any, currency: str) -> Decimal:
    value = Decimal(str(units))
    return value if currency in _WHOLE else value / 100


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _required(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def id_of(value: Any) -> str:
    return value if isinstance(value, str) else str(value.id)
