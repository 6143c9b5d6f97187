"""A person's own acts: subscribe, look at what a change would cost, change, end, pay elsewhere.

Every act asks Stripe under a stored key and then reads the customer again, so that the answer is
what is so, and the webhook that follows finds nothing new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from audit import log
from audit.actions import Action
from billing import catalogue, customers, plans, stripe_gateway, stripe_requests
from billing.models import Invoice, Subscription
from billing.stripe_gateway import (
    InvoiceState,
    NotConfigured,
    Preview,
    Refused,
    Sheet,
    SubscriptionState,
    Unavailable,
)
from tracker import tenancy
from tracker.errors import DomainError


class AlreadySubscribed(DomainError):
    code = "already_subscribed"
    status = 409
    message = "You have a subscription already. Change it instead."


class NotSubscribed(DomainError):
    code = "not_subscribed"
    status = 404
    message = "You have no subscription."


class SamePlan(DomainError):
    code = "same_plan"
    status = 409
    message = "You are on this plan already."


@dataclass(frozen=True, slots=True)
class Begun:
    """A subscription that waits for its first payment, and what the app needs to make it."""

    subscription: Subscription
    sheet: Sheet | None


# --- reading ------------------------------------------------------------------------------------
def current(user_id: UUID) -> Subscription | None:
    """The subscription that counts: a live one, else one that waits for payment, else the last."""
    with tenancy.as_user(user_id):
        rows = list(Subscription.objects.filter(user_id=user_id).order_by("-started_at", "-id"))
    for wanted in (stripe_gateway.LIVE, ("incomplete",)):
        for row in rows:
            if row.status in wanted and row.ended_at is None:
                return row
    return rows[0] if rows else None


def invoices(user_id: UUID) -> Sequence[InvoiceState]:
    """The newest invoices with their pages, read from Stripe; while it does not answer, those
    that were read before, without their pages."""
    account = customers.find(user_id)
    if account is not None and account.stripe_customer_id:
        try:
            return stripe_gateway.list_invoices(account.stripe_customer_id)
        except (NotConfigured, Unavailable, Refused):
            pass
    with tenancy.as_user(user_id):
        rows = Invoice.objects.filter(user_id=user_id).order_by("-created_at")[:24]
        return [
            InvoiceState(
                row.stripe_id, row.number, row.status, row.total, row.paid, row.currency,
                row.created_at, row.period_start, row.period_end,
            )
            for row in rows
        ]  # fmt: skip


# --- beginning ----------------------------------------------------------------------------------
def subscribe(*, user: Any, tier: str, coupon: str = "", now: datetime) -> Begun:
    """Begin a subscription; asked again, the one that waits for payment is given again.

    Raises AlreadySubscribed, NotForSale, PricesMissing, or as the gateway does. Never makes two:
    the key is stored before anything is looked at, so whoever comes meanwhile asks under the same
    one, and whoever comes afterwards finds what was made.
    """
    prices = catalogue.prices_of(tier)
    customer_id = customers.ensure(user_id=user.pk, email=user.email, now=now)
    trial_days = _trial_days(user.pk, tier)
    purpose = stripe_requests.purpose("subscribe", tier, coupon, trial_days, customer_id, prices)
    with stripe_requests.once(user_id=user.pk, purpose=purpose, now=now) as key:
        found = _waiting(customer_id, tier)
        if found is None:
            found = stripe_gateway.subscribe(
                customer_id=customer_id, prices=list(prices.values()), coupon=coupon, key=key,
                trial_days=trial_days,
            )  # fmt: skip
    customers.refresh(user_id=user.pk, now=now)
    sheet = stripe_gateway.sheet(customer_id, found) if found.client_secret else None
    return Begun(_stored(user.pk, found.id), sheet)


def _waiting(customer_id: str, tier: str) -> SubscriptionState | None:
    """The subscription to this tier that waits for payment; those to others are given up."""
    waiting = None
    for found in stripe_gateway.read_customer(customer_id).subscriptions:
        if found.is_live:
            raise AlreadySubscribed
        if found.status == "incomplete":
            if waiting is None and found.plan is not None and found.plan.tier == tier:
                waiting = found
            else:
                stripe_gateway.end_now(found.id)
    return stripe_gateway.read_subscription(waiting.id) if waiting else None


def _trial_days(user_id: UUID, tier: str) -> int:
    """The plan's days of trial, for who has never subscribed before."""
    with tenancy.as_user(user_id):
        before = Subscription.objects.filter(user_id=user_id).exclude(
            status__in=["incomplete", "incomplete_expired"]
        )
        return 0 if before.exists() else plans.plan(tier).trial_days


def _stored(user_id: UUID, stripe_id: str) -> Subscription:
    with tenancy.as_user(user_id):
        return Subscription.objects.get(user_id=user_id, stripe_id=stripe_id)


# --- changing -----------------------------------------------------------------------------------
def preview(*, user_id: UUID, tier: str, now: datetime) -> Preview:
    """What another plan would cost now. Raises NotSubscribed, SamePlan, or as the gateway does."""
    customer_id, found = _live(user_id)
    prices = _other_prices(found, tier)
    return stripe_gateway.preview(
        found, customer_id, prices=prices, at_once=_is_larger(found, tier), now=now
    )


def change(
    *, user_id: UUID, tier: str, proration_at: datetime | None, now: datetime
) -> Subscription:
    """Go to another plan. A larger one is paid for at once, and nothing changes when that is
    declined; what is left of a smaller one's price is credited.

    ``proration_at`` is that of a preview, so that what was shown is what is charged. Raises as
    ``preview``.
    """
    _, found = _live(user_id)
    prices = _other_prices(found, tier)
    with stripe_requests.once(
        user_id=user_id,
        purpose=stripe_requests.purpose("change", found.id, prices, proration_at),
        now=now,
    ) as key:
        stripe_gateway.change(
            found, prices=prices, at_once=_is_larger(found, tier), proration_at=proration_at,
            key=key,
        )  # fmt: skip
    with tenancy.as_user(user_id):
        log.record(Action.SUBSCRIPTION_CHANGED, user_id=user_id, tier=tier)
    customers.refresh(user_id=user_id, now=now)
    return _stored(user_id, found.id)


def end(*, user_id: UUID, at_once: bool, now: datetime) -> Subscription:
    """End the subscription with what was paid for, or at once; what only waits goes at once.

    Raises NotSubscribed, or as the gateway does.
    """
    found = _any(user_id)
    if at_once or found.status == "incomplete":
        stripe_gateway.end_now(found.id)
    else:
        _set_end(user_id, found, ends=True, now=now)
    customers.refresh(user_id=user_id, now=now)
    return _stored(user_id, found.id)


def go_on(*, user_id: UUID, now: datetime) -> Subscription:
    """Take back that the subscription ends with its period. Raises as ``end``."""
    _, found = _live(user_id)
    _set_end(user_id, found, ends=False, now=now)
    customers.refresh(user_id=user_id, now=now)
    return _stored(user_id, found.id)


def _set_end(user_id: UUID, found: SubscriptionState, *, ends: bool, now: datetime) -> None:
    with stripe_requests.once(
        user_id=user_id, purpose=stripe_requests.purpose("end", found.id, ends), now=now
    ) as key:
        stripe_gateway.end_with_period(found.id, ends=ends, key=key)
    with tenancy.as_user(user_id):
        log.record(Action.SUBSCRIPTION_ENDING, user_id=user_id, ends=ends)


def _live(user_id: UUID) -> tuple[str, SubscriptionState]:
    found = _any(user_id)
    if not found.is_live:
        raise NotSubscribed
    account = customers.find(user_id)
    return str(account.stripe_customer_id if account else ""), found


def _any(user_id: UUID) -> SubscriptionState:
    row = current(user_id)
    if row is None or row.ended_at is not None:
        raise NotSubscribed
    return stripe_gateway.read_subscription(row.stripe_id)


def _other_prices(found: SubscriptionState, tier: str) -> dict[str, str]:
    if found.plan is not None and found.plan.tier == tier:
        raise SamePlan
    return catalogue.prices_of(tier)


def _is_larger(found: SubscriptionState, tier: str) -> bool:
    return found.plan is None or plans.rank(tier) > plans.rank(found.plan.tier)


# --- hosted pages -------------------------------------------------------------------------------
def checkout(*, user: Any, tier: str, now: datetime) -> str:
    """The address of a hosted page that takes the first payment. Raises as ``subscribe``."""
    prices = catalogue.prices_of(tier)
    customer_id = customers.ensure(user_id=user.pk, email=user.email, now=now)
    for found in stripe_gateway.read_customer(customer_id).subscriptions:
        if found.is_live:
            raise AlreadySubscribed
    trial_days = _trial_days(user.pk, tier)
    purpose = stripe_requests.purpose("checkout", customer_id, prices, trial_days, return_url())
    with stripe_requests.once(user_id=user.pk, purpose=purpose, now=now) as key:
        return stripe_gateway.checkout_url(
            customer_id=customer_id, prices=prices, key=key, return_url=return_url(),
            trial_days=trial_days,
        )  # fmt: skip


def portal(*, user: Any, now: datetime) -> str:
    """The address of a hosted page for cards, invoices and the subscription."""
    customer_id = customers.ensure(user_id=user.pk, email=user.email, now=now)
    return stripe_gateway.portal_url(customer_id=customer_id, return_url=return_url())


def return_url() -> str:
    """Where hosted pages send people back to: the app's own address, or a page of ours."""
    return settings.BILLING_RETURN_URL or f"{settings.PUBLIC_URL}/billing/done"
