"""Which calls cost something: each is judged once, by the plan in force at that time."""

from datetime import datetime
from uuid import UUID

from django.db.models import F

from billing import entitlements
from billing.entitlements import Entitlements
from billing.models import BillingAccount, UsageMonth


def judge_one(*, user_id: UUID, now: datetime) -> None:
    """Judge what one person has used and nobody judged yet. Call inside a tenancy context, also
    before their plan changes."""
    account = BillingAccount.objects.filter(user_id=user_id).first()
    granted = entitlements.of_account(account, now=now)
    rows = UsageMonth.objects.select_for_update().filter(user_id=user_id, calls__gt=F("judged"))
    for row in rows.order_by("month"):
        more = billable(row, granted)
        UsageMonth.objects.filter(user_id=user_id, month=row.month).update(
            judged=row.calls, beyond=row.beyond + more
        )


def billable(row: UsageMonth, granted: Entitlements) -> int:
    """How many of the calls that were not judged yet cost something: those beyond the included
    ones, and never more than the cap allows, or let through before it was lowered."""
    new = row.calls - row.judged
    past = max(0, row.calls - granted.plan.calls_per_month)
    passed = row.let_through - granted.plan.calls_per_month if granted.call_price is not None else 0
    room = max(granted.most_beyond(granted.cap), passed) - row.beyond
    return max(0, min(new, past, room))
