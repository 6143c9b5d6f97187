"""Which plan is in force, from subscriptions and grants: one pure decision, and its one writer.

The largest plan that anything gives wins. A subscription gives its plan while it is paid for, on
trial, or owes a payment for less than the days of grace; not while its newest payment was given
back. A grant gives its plan from its start to its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q

from audit import log
from audit.actions import Action
from billing import judging, plans
from billing.models import BillingAccount, PlanGrant, Subscription
from tracker import tenancy

SUBSCRIBED, GRANTED, GRACE = "subscription", "grant", "grace"
SETTLE_AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that gives a plan, from now until an instant (None: for as long as it stands)."""

    tier: str
    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The plan in force, until when, and what then follows by itself."""

    tier: str
    reason: str = ""
    until: datetime | None = None
    next_tier: str = ""


# --- the decision -------------------------------------------------------------------------------
def decide(claims: Iterable[Claim], *, now: datetime) -> Standing:
    """The standing that follows from claims. Pure.

    Of equal plans the claim that lasts longer counts, so that a grant of the plan that somebody
    pays for ends nothing.
    """
    live = [claim for claim in claims if claim.until is None or claim.until > now]
    if not live:
        return Standing(plans.DEFAULT_TIER)
    best = max(live, key=_strength)
    if best.until is None:
        return Standing(plans.known(best.tier), best.reason)
    after = decide((claim for claim in live if claim is not best), now=best.until)
    return Standing(plans.known(best.tier), best.reason, best.until, after.tier)


def _strength(claim: Claim) -> tuple[int, bool, float]:
    lasting = claim.until is None
    return plans.rank(claim.tier), lasting, claim.until.timestamp() if claim.until else 0.0


def claim_of_subscription(row: Subscription, *, grace: timedelta) -> Claim | None:
    """What a subscription gives. Pure."""
    if row.withdrawn or row.ended_at is not None:
        return None
    if row.status in ("active", "trialing"):
        ends = row.current_period_end if row.cancel_at_period_end else None
        return Claim(row.tier, ends, SUBSCRIBED)
    if row.status in ("past_due", "unpaid") and row.past_due_since is not None:
        return Claim(row.tier, row.past_due_since + grace, GRACE)
    return None


def claim_of_grant(row: PlanGrant, *, now: datetime) -> Claim | None:
    """What a grant gives. Pure."""
    if row.revoked_at is not None or row.starts_at > now:
        return None
    return Claim(row.tier, row.ends_at, GRANTED)


# --- the writer ---------------------------------------------------------------------------------
def settle(*, user_id: UUID, now: datetime) -> Standing:
    """Decide anew and write what is in force; a change is logged, once.

    Call inside a tenancy context, which owns the transaction. Two at once take turns on the
    person's own row, which exists before they have an account here.
    """
    user = take_turns(user_id)
    account = BillingAccount.objects.filter(user_id=user_id).first()
    found = decide(_claims(user_id, now), now=now)
    if account is None and found == Standing(plans.DEFAULT_TIER):
        return found
    if account is None:
        account = BillingAccount(user_id=user_id, tier=plans.DEFAULT_TIER, created_at=now)
        account.save(force_insert=True)
    if (account.tier, account.reason) != (found.tier, found.reason):
        judging.judge_one(user_id=user_id, now=now)  # by what was in force until now
    _write(account, found)
    before = user.subscription_tier
    if before != found.tier:
        get_user_model().objects.filter(pk=user_id).update(subscription_tier=found.tier)
        log.record(
            Action.PLAN_CHANGED, user_id=user_id, before=before, after=found.tier,
            reason=found.reason,
        )  # fmt: skip
    return found


def take_turns(user_id: UUID) -> Any:
    """Lock the person's own row, before any other of billing's; returns the person."""
    return get_user_model().objects.select_for_update(no_key=True).get(pk=user_id)


def _claims(user_id: UUID, now: datetime) -> Sequence[Claim]:
    grace = settings.BILLING_GRACE
    given = [
        claim_of_subscription(row, grace=grace)
        for row in Subscription.objects.filter(user_id=user_id, ended_at=None)
    ]
    granted = PlanGrant.objects.filter(user_id=user_id, revoked_at=None, ends_at__gt=now)
    given += [claim_of_grant(row, now=now) for row in granted]
    return [claim for claim in given if claim is not None]


def _write(account: BillingAccount, found: Standing) -> None:
    account.tier, account.reason = found.tier, found.reason
    account.until, account.next_tier = found.until, found.next_tier
    account.save(update_fields=["tier", "reason", "until", "next_tier"])


def settle_due(*, now: datetime) -> int:
    """Settle everybody whose plan has given way to another by itself, and whoever was granted one
    that begins by now; returns how many. What was in force until now needed no such help."""
    with tenancy.as_system("settle plans"):
        over = BillingAccount.objects.filter(until__lte=now).order_by("until")
        people = set(over.values_list("user_id", flat=True)[:SETTLE_AT_MOST])
        begun = PlanGrant.objects.filter(
            Q(starts_at__gt=now - timedelta(hours=1)), starts_at__lte=now, revoked_at=None
        )
        people |= set(begun.values_list("user_id", flat=True)[:SETTLE_AT_MOST])
    for user_id in sorted(people):
        with tenancy.as_system("settle plans"):
            settle(user_id=user_id, now=now)
    return len(people)
