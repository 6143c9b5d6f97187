"""A person's own acts: subscribe, look at what a change would cost, change, end, pay elsewhere.

Every act asks Stripe under a stored key and then reads the customer again, so that the answer is
what is so, and the webhook that follows finds nothing new.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from audit import log
from audit.actions import Action
from billing import catalogue, customers, plans, stripe_gateway, stripe_requests
from billing.models import BillingAccount, Invoice, Subscription
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
from tracker.api import InvalidInput
from tracker.errors import DomainError

BEGINNING = timedelta(minutes=1)
PREVIEW_LASTS = timedelta(minutes=15)


class AlreadySubscribed(DomainError):
    code = "already_subscribed"
    status = 409
    message = "You have a subscription already. Change it instead."


class NotSubscribed(DomainError):
    code = "not_subscribed"
    status = 404
    message = "You have no subscription."


class PaymentOwed(DomainError):
    code = "payment_owed"
    status = 409
    message = "A payment is owed. Please pay it first; then the plan can be changed."


class TrialRunning(DomainError):
    code = "trial_running"
    status = 409
    message = "You are on a trial. This plan can be chosen when it is over."


class BeingBegun(DomainError):
    code = "subscription_being_begun"
    status = 409
    message = "A subscription is being begun right now. Please try again in a moment."


class PromotionUnknown(DomainError):
    code = "promotion_code_unknown"
    status = 400
    message = "This promotion code is not valid."


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
def subscribe(*, user: Any, tier: str, promotion_code: str = "", now: datetime) -> Begun:
    """Begin a subscription; asked again, the one that waits for payment is given again.

    Raises AlreadySubscribed, BeingBegun, PromotionUnknown, NotForSale, PricesMissing, or as the
    gateway does. Never makes two: one beginning at a time, whatever it is for, under a key that
    is stored before the request leaves; whoever comes afterwards finds what was made.
    """
    prices = catalogue.prices_of(tier)
    customer_id = customers.ensure(user_id=user.pk, email=user.email, now=now)
    with _beginning(user.pk, now) as account:
        found = _waiting(customer_id, tier)
        if found is None:
            found = _begin(account, customer_id, tier, prices, promotion_code, now)
    customers.refresh(user_id=user.pk, now=now)
    sheet = stripe_gateway.sheet(customer_id, found) if found.client_secret else None
    return Begun(_stored(user.pk, found.id), sheet)


def _begin(
    account: BillingAccount, customer_id: str, tier: str, prices: Mapping[str, str], code: str,
    now: datetime,
) -> SubscriptionState:  # fmt: skip
    promotion = stripe_gateway.find_promotion(code, customer_id=customer_id) if code else ""
    if code and not promotion:
        raise PromotionUnknown
    trial_days = _trial_days(account.user_id, tier)
    purpose = stripe_requests.purpose(
        "subscribe", account.revision, tier, promotion, trial_days, customer_id, prices
    )
    with stripe_requests.once(user_id=account.user_id, purpose=purpose, now=now) as key:
        return stripe_gateway.subscribe(
            customer_id=customer_id, prices=list(prices.values()), promotion=promotion, key=key,
            trial_days=trial_days,
        )  # fmt: skip


@contextmanager
def _beginning(user_id: UUID, now: datetime) -> Iterator[BillingAccount]:
    """Let nobody else begin a subscription of this person meanwhile; a process that dies lets go
    by itself after a minute. Raises BeingBegun."""
    with tenancy.as_user(user_id):
        free = BillingAccount.objects.filter(
            Q(begins_until=None) | Q(begins_until__lt=now), user_id=user_id
        )
        if not free.update(begins_until=now + BEGINNING):
            raise BeingBegun(retry_after=2)
        account = BillingAccount.objects.get(user_id=user_id)
    try:
        yield account
    finally:
        with tenancy.as_user(user_id):
            BillingAccount.objects.filter(user_id=user_id).update(begins_until=None)


def _waiting(customer_id: str, tier: str) -> SubscriptionState | None:
    """The subscription to this tier that waits for payment; those to others are given up, and
    hosted pages on which another could be paid are closed."""
    stripe_gateway.close_pages(customer_id)
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
    """What another plan would cost now.

    Raises NotSubscribed, SamePlan, PaymentOwed, TrialRunning, or as the gateway does.
    """
    customer_id, found = _changeable(user_id, tier)
    prices = _other_prices(found, tier)
    return stripe_gateway.preview(
        found, customer_id, prices=prices, at_once=_is_larger(found, tier), now=now
    )


def change(
    *, user_id: UUID, tier: str, proration_at: datetime | None, now: datetime
) -> Subscription:
    """Go to another plan. A larger one is paid for at once, and nothing changes when that is
    declined; what is left of a smaller one's price is credited.

    ``proration_at`` is that of a preview of the last minutes, so that what was shown is what is
    charged; any other would let people choose what they pay. Raises InvalidInput, or as
    ``preview``.
    """
    _refuse_other_times(proration_at, now)
    _, found = _changeable(user_id, tier)
    prices = _other_prices(found, tier)
    with stripe_requests.once(
        user_id=user_id,
        purpose=stripe_requests.purpose(
            "change", found.id, found.items, prices, proration_at, _revision(user_id)
        ),
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

    Should there be several, all of them. Raises NotSubscribed, or as the gateway does.
    """
    shown = _any(user_id)
    account = customers.find(user_id)
    state = stripe_gateway.read_customer(str(account.stripe_customer_id if account else ""))
    for found in state.subscriptions:
        if found.status == "incomplete" or (found.is_live and at_once):
            stripe_gateway.end_now(found.id)
        elif found.is_live:
            _set_end(user_id, found, ends=True, now=now)
    customers.refresh(user_id=user_id, now=now)
    return _stored(user_id, shown.id)


def go_on(*, user_id: UUID, now: datetime) -> Subscription:
    """Take back that the subscription ends with its period. Raises as ``end``."""
    _, found = _live(user_id)
    _set_end(user_id, found, ends=False, now=now)
    customers.refresh(user_id=user_id, now=now)
    return _stored(user_id, found.id)


def _set_end(user_id: UUID, found: SubscriptionState, *, ends: bool, now: datetime) -> None:
    purpose = stripe_requests.purpose("end", found.id, ends, _revision(user_id))
    with stripe_requests.once(user_id=user_id, purpose=purpose, now=now) as key:
        stripe_gateway.end_with_period(found.id, ends=ends, key=key)
    with tenancy.as_user(user_id):
        log.record(Action.SUBSCRIPTION_ENDING, user_id=user_id, ends=ends)


def _live(user_id: UUID) -> tuple[str, SubscriptionState]:
    found = _any(user_id)
    if not found.is_live:
        raise NotSubscribed
    account = customers.find(user_id)
    return str(account.stripe_customer_id if account else ""), found


def _changeable(user_id: UUID, tier: str) -> tuple[str, SubscriptionState]:
    """The subscription, where its plan may be changed: what is owed is paid first, since what is
    left of a period is credited, and a trial is not carried over to a plan without one."""
    customer_id, found = _live(user_id)
    if found.status == "trialing" and not plans.plan(tier).trial_days:
        raise TrialRunning
    if found.status not in ("active", "trialing"):
        raise PaymentOwed
    return customer_id, found


def _refuse_other_times(proration_at: datetime | None, now: datetime) -> None:
    if proration_at is None:
        return
    if not now - PREVIEW_LASTS <= proration_at <= now + timedelta(seconds=1):
        raise InvalidInput.of("proration_at", "This preview is too old. Please ask for a new one.")


def _revision(user_id: UUID) -> int:
    account = customers.find(user_id)
    return account.revision if account else 0


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
    """The address of a hosted page that takes the first payment. Raises as ``subscribe``.

    It is the only way to pay that is then open: other pages are closed, and a subscription that
    waits for its payment is given up.
    """
    prices = catalogue.prices_of(tier)
    customer_id = customers.ensure(user_id=user.pk, email=user.email, now=now)
    with _beginning(user.pk, now) as account:
        waiting = _waiting(customer_id, tier)
        if waiting is not None:
            stripe_gateway.end_now(waiting.id)
        trial_days = _trial_days(user.pk, tier)
        purpose = stripe_requests.purpose(
            "checkout", account.revision, customer_id, prices, trial_days, return_url(), now
        )
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
