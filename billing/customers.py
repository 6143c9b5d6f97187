"""A person's customer at Stripe, and reading everything about it again.

Whatever Stripe told us, the answer is the same: read the customer's state as it is now, and store
that. So the order and number of messages do not matter. Two readers at once are told apart by a
revision: who finds, with the row locked, that somebody else stored meanwhile reads again, because
what it read may be older.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from audit import log
from audit.actions import Action
from billing import mirror, plans, standing, stripe_gateway, stripe_requests
from billing.models import BillingAccount, Invoice, Subscription
from billing.standing import Standing
from billing.stripe_gateway import CustomerState, InvoiceState, SubscriptionState, Unavailable
from tracker import tenancy
from tracker.logs import get_logger

logger = get_logger(__name__)
MOST_READINGS = 20
WITHDRAWN = ("refunded", "disputed")


def find(user_id: UUID) -> BillingAccount | None:
    """A person's account here, if they have one."""
    with tenancy.as_user(user_id):
        return BillingAccount.objects.filter(user_id=user_id).first()


def ensure(*, user_id: UUID, email: str, now: datetime) -> str:
    """The person's customer id; made at Stripe the first time, and again should it be gone there.

    Raises as the gateway does.
    """
    account = find(user_id)
    if account is not None and account.stripe_customer_id:
        if stripe_gateway.customer_exists(account.stripe_customer_id):
            return account.stripe_customer_id
        refresh(user_id=user_id, now=now)
    with stripe_requests.once(user_id=user_id, purpose="customer", now=now) as key:
        made = stripe_gateway.create_customer(email=email, user_id=str(user_id), key=key)
        with tenancy.as_user(user_id):
            account, _ = BillingAccount.objects.get_or_create(
                user_id=user_id, defaults={"tier": plans.DEFAULT_TIER, "created_at": now}
            )
            rows = BillingAccount.objects.filter(user_id=user_id, stripe_customer_id=None)
            rows.update(stripe_customer_id=made)
            account.refresh_from_db()
            return str(account.stripe_customer_id)


def refresh(*, user_id: UUID, now: datetime) -> Standing | None:
    """Read a person's customer and store what is so; None for who has none.

    Raises as the gateway does, and Unavailable when others kept on storing meanwhile.
    """
    for _ in range(MOST_READINGS):
        account = find(user_id)
        if account is None or not account.stripe_customer_id:
            return None
        state = stripe_gateway.read_customer(account.stripe_customer_id)
        stored = _store(account, state, now)
        if stored is not None:
            mirror.write(state, user_id=user_id)
            return stored
    raise Unavailable(retry_after=5)


def _store(seen: BillingAccount, state: CustomerState, now: datetime) -> Standing | None:
    """None when somebody else stored since ``seen`` was read."""
    with tenancy.as_system("store what Stripe says"):
        standing.take_turns(seen.user_id)
        account = BillingAccount.objects.select_for_update().get(user_id=seen.user_id)
        if account.revision != seen.revision:
            return None
        account.revision, account.refreshed_at = account.revision + 1, now
        if state.is_deleted:
            account.stripe_customer_id = None
        account.save(update_fields=["revision", "refreshed_at", "stripe_customer_id"])
        _store_subscriptions(account.user_id, state, now)
        _store_invoices(account.user_id, state.invoices)
        return standing.settle(user_id=account.user_id, now=now)


# --- subscriptions ------------------------------------------------------------------------------
def _store_subscriptions(user_id: UUID, state: CustomerState, now: datetime) -> None:
    known = {row.stripe_id: row for row in Subscription.objects.filter(user_id=user_id)}
    sold = [found for found in state.subscriptions if found.plan is not None]
    if sum(found.is_live for found in sold) > 1:
        logger.error("billing.two_subscriptions", customer=state.id)  # charged twice: mend by hand
    for found in sold:
        withdrawn = state.withdrawn.get(found.id, "") or ("no_card" if found.lacks_card else "")
        _store_subscription(user_id, known.get(found.id), found, withdrawn, now)
    gone = known.keys() - {found.id for found in sold}
    Subscription.objects.filter(user_id=user_id, stripe_id__in=gone, ended_at=None).update(
        status="canceled", ended_at=now, read_at=now
    )


def _store_subscription(
    user_id: UUID, before: Subscription | None, found: SubscriptionState, withdrawn: str,
    now: datetime,
) -> None:  # fmt: skip
    fields = _fields(found, before, withdrawn if found.is_live else "", now)
    Subscription.objects.update_or_create(stripe_id=found.id, user_id=user_id, defaults=fields)
    for action, details in _news(before, fields):
        log.record(action, user_id=user_id, subscription=found.id, **details)


def _fields(
    found: SubscriptionState, before: Subscription | None, withdrawn: str, now: datetime
) -> dict[str, Any]:
    plan = found.plan
    assert plan is not None  # noqa: S101  (others are not stored)
    owed = found.past_due_since
    if owed is not None and before is not None and before.past_due_since is not None:
        owed = min(owed, before.past_due_since)  # the days of grace begin once
    ended = found.ended_at or (now if found.status == "incomplete_expired" else None)
    return {
        "tier": plan.tier, "status": found.status, "price": plan.price, "currency": plan.currency,
        "current_period_start": found.current_period_start,
        "current_period_end": found.current_period_end,
        "cancel_at_period_end": found.cancel_at_period_end, "trial_end": found.trial_end,
        "ended_at": ended, "past_due_since": owed, "withdrawn": withdrawn,
        "started_at": found.started_at, "read_at": now,
    }  # fmt: skip


def _news(
    before: Subscription | None, fields: Mapping[str, Any]
) -> Iterable[tuple[Action, dict[str, Any]]]:
    """What has happened to a subscription since it was read before, each once."""
    was = before.status if before else ""
    details = {"tier": fields["tier"]}
    ran = before is not None and _runs(before.status, before.withdrawn)
    if _runs(fields["status"], fields["withdrawn"]) and not ran:
        yield Action.SUBSCRIPTION_STARTED, details
    if fields["past_due_since"] and not (before and before.past_due_since):
        yield Action.PAYMENT_FAILED, {**details, "since": fields["past_due_since"].isoformat()}
    if fields["ended_at"] and not (before and before.ended_at) and was not in ("", "incomplete"):
        yield Action.SUBSCRIPTION_ENDED, details
    if fields["withdrawn"] in WITHDRAWN and not (before and before.withdrawn in WITHDRAWN):
        yield Action.PAYMENT_WITHDRAWN, {**details, "why": fields["withdrawn"]}


def _runs(status: str, withdrawn: str) -> bool:
    return status in ("active", "trialing") and withdrawn != "no_card"


# --- invoices -----------------------------------------------------------------------------------
def _store_invoices(user_id: UUID, found: Iterable[InvoiceState]) -> None:
    Invoice.objects.bulk_create(
        [
            Invoice(
                user_id=user_id, stripe_id=row.id, number=row.number, status=row.status,
                total=row.total, paid=row.paid, currency=row.currency, created_at=row.created_at,
                period_start=row.period_start, period_end=row.period_end,
            )
            for row in found
        ],
        update_conflicts=True, unique_fields=["stripe_id"],
        update_fields=["number", "status", "total", "paid", "period_start", "period_end"],
    )  # fmt: skip
