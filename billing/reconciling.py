"""Once a day: read every customer who has or had something running, at Stripe or here.

Messages may be lost for good. What differs is repaired by reading, and reported: the count in the
log entry, each change of plan under its own person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit import log
from audit.actions import Action
from billing import catalogue, customers, stripe_gateway
from billing.models import BillingAccount, Subscription
from tracker import tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What a reconciliation found: customers read, plans repaired, reads that failed, customers
    of nobody here, tiers that the table lacks."""

    read: int
    repaired: int
    failed: int
    strangers: int
    unknown_tiers: tuple[tuple[str, int], ...]
    left: int = 0


def reconcile(
    *, now: datetime, most: int | None = None,
    told: Callable[[int, int], None] = lambda n, of: None,
) -> Report:  # fmt: skip
    """Compare everything with Stripe and repair it. Raises as the gateway does, before anything.

    With ``most``, so many people at a time, first those who were not read for longest; ``left``
    says how many are to be read next. ``told`` hears how many of how many people were read.
    """
    at_stripe = {customer for customer, _ in stripe_gateway.every_subscription()}
    with tenancy.as_system("reconcile with Stripe"):
        rows = BillingAccount.objects.exclude(stripe_customer_id=None)
        known = dict(rows.values_list("stripe_customer_id", "user_id"))
        open_here = set(
            Subscription.objects.filter(ended_at=None).values_list("user_id", flat=True)
        )
    people = {known[c] for c in at_stripe & known.keys()} | (open_here & set(known.values()))
    chosen = _longest_unread(people)[:most]
    repaired = failed = 0
    for number, user_id in enumerate(chosen, start=1):
        outcome = _repair(user_id, now)
        repaired, failed = repaired + (outcome == "repaired"), failed + (outcome == "failed")
        told(number, len(chosen))
    report = Report(
        len(chosen), repaired, failed, len(at_stripe - known.keys()),
        tuple(catalogue.unknown_tiers()), left=len(people) - len(chosen),
    )  # fmt: skip
    _record(report)
    return report


def _longest_unread(people: set[UUID]) -> list[UUID]:
    with tenancy.as_system("reconcile with Stripe"):
        rows = BillingAccount.objects.filter(user_id__in=people)
        return list(rows.order_by("refreshed_at", "user_id").values_list("user_id", flat=True))


def _repair(user_id: UUID, now: datetime) -> str:
    before = _shape(user_id)
    try:
        customers.refresh(user_id=user_id, now=now)
    except DomainError as error:
        logger.warning("billing.reconcile_failed", code=error.code)
        return "failed"
    return "repaired" if _shape(user_id) != before else "same"


def _shape(user_id: UUID) -> object:
    """What is in force and why; not when it was read."""
    with tenancy.as_user(user_id):
        account = BillingAccount.objects.filter(user_id=user_id)
        rows = Subscription.objects.filter(user_id=user_id).order_by("stripe_id")
        return (
            list(account.values_list("tier", "until", "next_tier", "reason")),
            list(rows.values_list("stripe_id", "tier", "status", "current_period_end",
                                  "cancel_at_period_end", "ended_at", "past_due_since",
                                  "withdrawn")),
        )  # fmt: skip


def _record(report: Report) -> None:
    with tenancy.as_system("reconcile with Stripe"):
        log.record(
            Action.BILLING_RECONCILED, user_id=None, read=report.read, repaired=report.repaired,
            failed=report.failed, strangers=report.strangers,
            unknown_tiers=[f"{tier}: {people}" for tier, people in report.unknown_tiers],
        )  # fmt: skip
    if report.strangers or report.unknown_tiers or report.failed:
        logger.warning(
            "billing.reconciled", strangers=report.strangers, failed=report.failed,
            unknown_tiers=dict(report.unknown_tiers),
        )  # fmt: skip
