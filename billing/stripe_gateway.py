"""The only place that speaks to Stripe. It returns frozen facts, and raises errors of ours.

Amounts leave as ``Decimal`` in their currency, instants in UTC. A call never stands inside a
database transaction. Stripe's texts are kept out of our errors but for a declined card's, which is
written for its owner.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import stripe
from django.conf import settings

from tracker import tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)
TIER, PART, USER = "tracker_tier", "tracker_part", "tracker_user"  # keys of metadata
PLAN, CALLS = "plan", "calls"  # parts
METER = "tracker_api_calls"
LIVE = ("trialing", "active", "past_due", "unpaid", "paused")
# Currencies without a smaller unit (docs.stripe.com/currencies#zero-decimal).
_WHOLE = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split()  # noqa: SIM905
)
_PAGE = 100


class NotConfigured(DomainError):
    code = "billing_not_configured"
    status = 503
    message = "Plans cannot be bought here yet. Everything else works."


class Unavailable(DomainError):
    """Stripe does not answer; what was asked for is asked again under the same key."""

    code = "billing_unavailable"
    status = 503
    message = "Our payment provider does not answer right now. Please try again in a moment."


class CardDeclined(DomainError):
    code = "card_declined"
    status = 402
    message = "The payment was declined. Please use another payment method."


class Refused(DomainError):
    """Stripe understood and refused: wrong in itself, so trying again will not help."""

    code = "billing_refused"
    status = 409
    message = "Our payment provider refused this. Please write to us if it stays so."


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
    """Everything about a customer that a plan depends on."""

    id: str
    is_deleted: bool
    subscriptions: tuple[SubscriptionState, ...] = ()
    invoices: tuple[InvoiceState, ...] = ()
    withdrawn: str = ""  # why the newest payment went back: "refunded", "disputed" or ""
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


# --- customers and what they have ---------------------------------------------------------------
def create_customer(*, email: str, user_id: str, key: str) -> str:
    """A new customer's id."""
    params = {"email": email, "metadata": {USER: user_id}}
    made = _ask(lambda c: c.v1.customers.create(params, options={"idempotency_key": key}))
    return str(made.id)


def delete_customer(customer_id: str) -> None:
    """Delete a customer, which ends every subscription; Stripe keeps the payments that were made.

    One who is gone already is fine.
    """
    try:
        _ask(lambda c: c.v1.customers.delete(customer_id))
    except Refused as refusal:
        if not refusal.details.get("missing"):
            raise


def customer_exists(customer_id: str) -> bool:
    """Whether Stripe has this customer and it was not deleted."""
    return _customer(customer_id) is not None


def _customer(customer_id: str) -> Any | None:
    try:
        found = _ask(lambda c: c.v1.customers.retrieve(customer_id))
    except Refused as refusal:
        if refusal.details.get("missing"):
            return None
        raise
    return None if getattr(found, "deleted", False) else found


def read_customer(customer_id: str) -> CustomerState:
    """A customer with subscriptions, the newest invoices, and whether the last payment stood."""
    customer = _customer(customer_id)
    if customer is None:
        return CustomerState(customer_id, is_deleted=True)
    return CustomerState(
        customer_id, is_deleted=False, subscriptions=tuple(_subscriptions(customer_id)),
        invoices=list_invoices(customer_id), withdrawn=_withdrawn(customer_id), source=customer,
    )  # fmt: skip


def _subscriptions(customer_id: str) -> Iterator[SubscriptionState]:
    params = {"customer": customer_id, "status": "all", "limit": _PAGE,
              "expand": ["data.latest_invoice"]}  # fmt: skip
    found = _ask(lambda c: c.v1.subscriptions.list(params))
    return (_subscription(row) for row in found.data)


def list_invoices(customer_id: str) -> tuple[InvoiceState, ...]:
    """The newest 24 invoices."""
    found = _ask(lambda c: c.v1.invoices.list({"customer": customer_id, "limit": 24}))
    return tuple(_invoice(row) for row in found.data)


def _withdrawn(customer_id: str) -> str:
    """Whether the newest payment was given back in full, or is disputed and not won again."""
    charges = _ask(lambda c: c.v1.charges.list({"customer": customer_id, "limit": 10})).data
    paid = next((row for row in charges if row.paid), None)
    if paid is None:
        return ""
    if paid.refunded:
        return "refunded"
    if not paid.disputed:
        return ""
    disputes = _ask(lambda c: c.v1.disputes.list({"charge": paid.id, "limit": 10})).data
    fine = ("won", "warning_closed", "prevented")
    return "disputed" if any(row.status not in fine for row in disputes) else ""


def customer_of_dispute(dispute_id: str) -> str:
    """Whose payment a dispute is about; it does not say so itself. Empty for nobody's."""
    dispute = _ask(lambda c: c.v1.disputes.retrieve(dispute_id))
    charge = _ask(lambda c: c.v1.charges.retrieve(_id(dispute.charge)))
    return _id(charge.customer) if charge.customer else ""


# --- subscribing --------------------------------------------------------------------------------
def subscribe(
    *, customer_id: str, prices: Sequence[str], trial_days: int, coupon: str, key: str
) -> SubscriptionState:
    """Begin a subscription that becomes active when its first payment is made in the app."""
    params: dict[str, Any] = {
        "customer": customer_id, "items": [{"price": price} for price in prices],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"],
    }  # fmt: skip
    if trial_days:
        params["trial_period_days"] = trial_days
    if coupon:
        params["discounts"] = [{"coupon": coupon}]
    if settings.STRIPE_TAX:
        params["automatic_tax"] = {"enabled": True}
    options = {"idempotency_key": key}
    return _subscription(_ask(lambda c: c.v1.subscriptions.create(params, options=options)))


def read_subscription(subscription_id: str) -> SubscriptionState:
    """One subscription, with the secret by which its first payment can still be made."""
    expand = {"expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"]}
    return _subscription(_ask(lambda c: c.v1.subscriptions.retrieve(subscription_id, expand)))


def change(
    found: SubscriptionState, *, prices: Mapping[str, str], at_once: bool,
    proration_at: datetime | None, key: str,
) -> None:  # fmt: skip
    """Put other prices into a subscription, by part. ``at_once`` charges the difference now, and
    changes nothing when that is declined."""
    params: dict[str, Any] = {
        "items": _changed_items(found, prices), "cancel_at_period_end": False,
        "proration_behavior": "always_invoice" if at_once else "create_prorations",
    }  # fmt: skip
    if at_once:
        params["payment_behavior"] = "error_if_incomplete"
    if proration_at is not None:
        params["proration_date"] = int(proration_at.timestamp())
    options = {"idempotency_key": key}
    _ask(lambda c: c.v1.subscriptions.update(found.id, params, options=options))


def preview(
    found: SubscriptionState, customer_id: str, *, prices: Mapping[str, str], at_once: bool,
    now: datetime,
) -> Preview:  # fmt: skip
    """What ``change`` would charge at ``now``."""
    details = {
        "items": _changed_items(found, prices), "proration_date": int(now.timestamp()),
        "proration_behavior": "always_invoice" if at_once else "create_prorations",
    }  # fmt: skip
    params = {
        "customer": customer_id, "subscription": found.id, "subscription_details": details
    }  # fmt: skip
    shown = _ask(lambda c: c.v1.invoices.create_preview(params))
    lines = tuple(
        (str(line.description or ""), _amount(line.amount, shown.currency))
        for line in shown.lines.data
    )
    due = _amount(shown.amount_due, shown.currency)
    return Preview(shown.currency, due, lines, now.replace(microsecond=0))


def _changed_items(found: SubscriptionState, prices: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each part keeps its item; a part that the new plan lacks goes, one that it adds comes."""
    by_part = {item.part: item.id for item in found.items}
    items: list[dict[str, Any]] = []
    for part in {**by_part, **prices}:
        if part not in prices:
            items.append({"id": by_part[part], "deleted": True, "clear_usage": True})
        elif part in by_part:
            items.append({"id": by_part[part], "price": prices[part]})
        else:
            items.append({"price": prices[part]})
    return items


def end_with_period(subscription_id: str, *, ends: bool, key: str) -> None:
    """Let a subscription end when what was paid for is over, or go on after all."""
    params = {"cancel_at_period_end": ends}
    options = {"idempotency_key": key}
    _ask(lambda c: c.v1.subscriptions.update(subscription_id, params, options=options))


def end_now(subscription_id: str) -> None:
    """End a subscription at once, with what is owed for calls; one that ended already is fine."""
    try:
        _ask(lambda c: c.v1.subscriptions.cancel(subscription_id, {"invoice_now": True}))
    except Refused as refusal:
        if not refusal.details.get("missing"):
            raise


def sheet(customer_id: str, found: SubscriptionState) -> Sheet:
    """What the app's payment sheet needs to pay for a subscription."""
    version = {"stripe_version": stripe.api_version}
    made = _ask(lambda c: c.v1.ephemeral_keys.create({"customer": customer_id}, options=version))
    return Sheet(
        customer=customer_id, ephemeral_key=made.secret, client_secret=found.client_secret,
        intent=found.intent, publishable_key=settings.STRIPE_PUBLISHABLE_KEY,
    )  # fmt: skip


def checkout_url(
    *, customer_id: str, prices: Mapping[str, str], trial_days: int, return_url: str, key: str
) -> str:
    """Where a hosted page takes the payment for a new subscription."""
    # A metered price has no quantity: what was used is counted.
    lines = [
        {"price": price} | ({} if part == CALLS else {"quantity": 1})
        for part, price in prices.items()
    ]
    params: dict[str, Any] = {
        "mode": "subscription", "customer": customer_id, "line_items": lines,
        "success_url": return_url, "cancel_url": return_url, "allow_promotion_codes": True,
    }  # fmt: skip
    if settings.STRIPE_TAX:
        params["automatic_tax"] = {"enabled": True}
        params["customer_update"] = {"address": "auto"}
    if trial_days:
        params["subscription_data"] = {"trial_period_days": trial_days}
    options = {"idempotency_key": key}
    return str(_ask(lambda c: c.v1.checkout.sessions.create(params, options=options)).url)


def portal_url(*, customer_id: str, return_url: str) -> str:
    """Where a hosted page manages cards, invoices and the subscription."""
    params = {"customer": customer_id, "return_url": return_url}
    return str(_ask(lambda c: c.v1.billing_portal.sessions.create(params)).url)


# --- the catalogue and the meter ----------------------------------------------------------------
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


def find_prices(lookup_keys: Sequence[str]) -> dict[str, Price]:
    """The prices in force, by lookup key; a key without one is left out."""
    params = {"lookup_keys": list(lookup_keys), "active": True, "limit": _PAGE}
    return {row.lookup_key: _price(row) for row in _ask(lambda c: c.v1.prices.list(params)).data}


def find_product(product_id: str) -> Any | None:
    """A product as Stripe has it, or None."""
    try:
        return _ask(lambda c: c.v1.products.retrieve(product_id))
    except Refused as refusal:
        if refusal.details.get("missing"):
            return None
        raise


def save_product(product_id: str, name: str, *, exists: bool) -> Any:
    """Create a product with an id of ours, or rename it."""
    if exists:
        return _ask(lambda c: c.v1.products.update(product_id, {"name": name, "active": True}))
    options = {"idempotency_key": f"product:{product_id}:{name}"}
    params = {"id": product_id, "name": name}
    return _ask(lambda c: c.v1.products.create(params, options=options))


def create_price(
    *, product: str, lookup_key: str, tier: str, part: str, amount: Decimal, currency: str,
    meter: str,
) -> Price:  # fmt: skip
    """A new price under a lookup key, which it takes from the one that had it."""
    recurring: dict[str, Any] = {"interval": "month"}
    if meter:
        recurring |= {"usage_type": "metered", "meter": meter}
    params = {
        "product": product, "currency": currency, "recurring": recurring,
        "unit_amount_decimal": f"{amount * 100:f}", "lookup_key": lookup_key,
        "transfer_lookup_key": True, "metadata": {TIER: tier, PART: part},
    }  # fmt: skip
    return _price(_ask(lambda c: c.v1.prices.create(params)))


def retire_price(price_id: str) -> None:
    """Sell a price to nobody any more; who has it keeps it."""
    _ask(lambda c: c.v1.prices.update(price_id, {"active": False}))


def find_meter() -> str:
    """The id of the meter of API calls, or an empty string."""
    found = _ask(lambda c: c.v1.billing.meters.list({"status": "active", "limit": _PAGE}))
    return next((str(row.id) for row in found.data if row.event_name == METER), "")


def create_meter() -> str:
    """A meter that adds up calls; its id."""
    params = {
        "display_name": "API calls beyond the included ones", "event_name": METER,
        "default_aggregation": {"formula": "sum"},
    }  # fmt: skip
    return str(_ask(lambda c: c.v1.billing.meters.create(params)).id)


def report_calls(*, customer_id: str, calls: int, at: datetime, identifier: str) -> None:
    """Tell the meter; the same identifier counts once."""
    params = {
        "event_name": METER, "identifier": identifier, "timestamp": int(at.timestamp()),
        "payload": {"stripe_customer_id": customer_id, "value": str(calls)},
    }  # fmt: skip
    options = {"idempotency_key": f"meter:{identifier}"}
    try:
        _ask(lambda c: c.v1.billing.meter_events.create(params, options=options))
    except Refused as refusal:
        if not refusal.details.get("known"):
            raise


def every_subscription() -> Iterator[tuple[str, str]]:
    """Customer and subscription ids of everything that is not over, for reconciliation."""
    after: dict[str, str] = {}
    while True:
        found = _page(after)
        yield from ((_id(row.customer), row.id) for row in found.data)
        if not found.has_more or not found.data:
            return
        after = {"starting_after": found.data[-1].id}


def _page(after: dict[str, str]) -> Any:
    return _ask(lambda c: c.v1.subscriptions.list({"limit": _PAGE, **after}))


# --- reading Stripe's objects -------------------------------------------------------------------
def _subscription(row: Any) -> SubscriptionState:
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


def _price(row: Any) -> Price:
    return Price(
        id=row.id, lookup_key=row.lookup_key or "", amount=_unit_amount(row),
        currency=row.currency, product=_id(row.product), source=row,
        tier=_told(row.metadata or {}, TIER), part=_told(row.metadata or {}, PART),
        is_metered=row.recurring.usage_type == "metered",
    )  # fmt: skip


def _invoice(row: Any) -> InvoiceState:
    return InvoiceState(
        id=row.id, number=row.number or "", status=row.status or "",
        total=_amount(row.total, row.currency), paid=_amount(row.amount_paid, row.currency),
        currency=row.currency, created_at=_required(row.created),
        period_start=_instant(row.period_start), period_end=_instant(row.period_end),
        page_url=row.hosted_invoice_url or "", pdf_url=row.invoice_pdf or "",
    )  # fmt: skip


def _unit_amount(price: Any) -> Decimal:
    cents = price.unit_amount_decimal if price.unit_amount_decimal is not None else 0
    return _amount(cents, price.currency)


def _amount(units: Any, currency: str) -> Decimal:
    value = Decimal(str(units))
    return value if currency in _WHOLE else value / 100


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _required(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _id(value: Any) -> str:
    return value if isinstance(value, str) else str(value.id)


# --- one call -----------------------------------------------------------------------------------
def is_configured() -> bool:
    """Whether there is a key to speak to Stripe with."""
    return bool(settings.STRIPE_API_KEY)


@cache
def _client(key: str, url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key, base_addresses={"api": url}, max_network_retries=1,
        http_client=stripe.RequestsClient(timeout=settings.STRIPE_TIMEOUT_SECONDS),
    )  # fmt: skip


def _ask(call: Callable[[Any], Any]) -> Any:
    """Make one call. Raises NotConfigured, Unavailable, CardDeclined, Refused."""
    if not is_configured():
        raise NotConfigured
    if tenancy.current() != tenancy.Identity():
        raise RuntimeError("Stripe is not asked inside a database transaction")
    try:
        return call(_client(settings.STRIPE_API_KEY, settings.STRIPE_API_URL))
    except stripe.CardError as error:
        problem: DomainError = CardDeclined(
            error.user_message, details={"reason": error.code or ""}
        )
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe.key_refused", error=type(error).__name__)
        problem = Unavailable(retry_after=60)
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        log.warning("stripe.refused", code=error.code, param=getattr(error, "param", None))
        problem = Refused(details=_why(error))
    except stripe.StripeError as error:
        log.warning("stripe.unavailable", error=type(error).__name__, status=error.http_status)
        problem = Unavailable(retry_after=10)
    raise problem


def _why(error: stripe.StripeError) -> dict[str, Any]:
    missing = error.code == "resource_missing"
    # Told a second time, a meter says so in words alone.
    known = "already exists with identifier" in str(error)
    return {"reason": error.code or ""} | {
        name: True for name, so in (("missing", missing), ("known", known)) if so
    }
