"""What people used: written from Redis every ten seconds, shown, warned of and billed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Sum
from django.db.models.functions import Greatest

from audit import log
from audit.actions import Action
from billing import counting, entitlements, judging, plans, stripe_gateway
from billing.models import BillingAccount, MeterReport, UsageBatch, UsageDay, UsageMonth
from billing.throttling import start_of_next_month
from tracker import ids, tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

logger = get_logger(__name__)
WARN_AT = (80, 100)  # percent of the included calls
REPORT_AT_MOST, JUDGED_AT_ONCE = 500, 2_000
MOST_ATTEMPTS = 1_000  # of a report, one a minute
BATCHES_KEPT = timedelta(days=7)


# --- from Redis to PostgreSQL -------------------------------------------------------------------
def flush(*, now: datetime) -> int:
    """Write what was counted since the last time; returns how many rows. Exactly once.

    What is counted is put aside under the id of a batch, which is written with it in one
    statement. A batch that a process left behind is written by the next one, or only forgotten
    when its id stands in the database already. Raises redis.RedisError.
    """
    counting.take(str(ids.new_id()))
    return sum(_write(batch, now) for batch in counting.batches())


_WRITE = """
WITH batch AS (
    INSERT INTO usage_batches (id, flushed_at) VALUES (%(batch)s, %(now)s)
    ON CONFLICT DO NOTHING RETURNING id
),
used AS (
    SELECT rows.user_id, rows.day, rows.endpoint_group, rows.calls
    FROM unnest(%(users)s::uuid[], %(days)s::date[], %(groups)s::text[], %(calls)s::int[])
        AS rows (user_id, day, endpoint_group, calls)
    JOIN users ON users.id = rows.user_id  -- who was erased meanwhile has no usage
    WHERE EXISTS (SELECT FROM batch)
),
written AS (
    INSERT INTO usage_days AS known (user_id, day, endpoint_group, calls)
    SELECT * FROM used
    ON CONFLICT (user_id, day, endpoint_group) DO UPDATE SET calls = known.calls + excluded.calls
)
INSERT INTO usage_months AS known
    (user_id, month, calls, judged, beyond, reported, warned, let_through)
SELECT user_id, date_trunc('month', day)::date, sum(calls), 0, 0, 0, 0, 0 FROM used
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (user_id, month) DO UPDATE SET calls = known.calls + excluded.calls
RETURNING user_id, month, calls
"""


def _write(batch: str, now: datetime) -> int:
    rows = counting.read(batch)
    parameters: dict[str, Any] = {
        "batch": batch, "now": now, "users": [row[0] for row in rows],
        "days": [row[1] for row in rows], "groups": [row[2] for row in rows],
        "calls": [row[3] for row in rows],
    }  # fmt: skip
    with tenancy.as_system("write usage"), connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
        totals = cursor.fetchall()
    counting.at_least([(str(user), _midnight(month), calls) for user, month, calls in totals])
    counting.finish(batch)
    return len(rows)


def forget_batches(*, now: datetime) -> int:
    """Forget the ids of batches that no process can find in Redis any more."""
    return UsageBatch.objects.filter(flushed_at__lt=now - BATCHES_KEPT).delete()[0]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# --- warning and billing ------------------------------------------------------------------------
_TO_WARN = f"""
SELECT m.user_id, m.calls, m.warned, plan.tier
FROM usage_months m LEFT JOIN billing_accounts b ON b.user_id = m.user_id
JOIN unnest(%(tiers)s::text[], %(included)s::int[]) AS plan (tier, included)
  ON plan.tier = CASE WHEN {entitlements.TIER} = ANY(%(tiers)s) THEN {entitlements.TIER}
                      ELSE '{plans.DEFAULT_TIER}' END
WHERE m.month = %(month)s AND m.warned < 100 AND m.calls * 100 >= plan.included * %(first)s
  AND m.warned < CASE WHEN m.calls >= plan.included THEN 100 ELSE %(first)s END
LIMIT %(most)s
"""  # noqa: S608  (fixed text)


def warn(*, now: datetime) -> int:
    """Have those told who have used 80 or 100 % of their included calls; each once a month."""
    table = plans.table()
    month = month_of(now)
    parameters: dict[str, Any] = {
        "now": now, "month": month, "first": WARN_AT[0], "most": REPORT_AT_MOST,
        "tiers": list(table), "included": [plan.calls_per_month for plan in table.values()],
    }  # fmt: skip
    with tenancy.as_system("warn of usage"):
        with connection.cursor() as cursor:
            cursor.execute(_TO_WARN, parameters)
            found = cursor.fetchall()
        granted = entitlements.of_users([row[0] for row in found], now=now)
        for user_id, calls, _, tier in found:
            included = table[tier].calls_per_month
            level = 100 if calls >= included else WARN_AT[0]
            rows = UsageMonth.objects.filter(user_id=user_id, month=month, warned__lt=level)
            if rows.update(warned=level):
                log.record(
                    Action.USAGE_WARNED, user_id=user_id, percent=level, calls=calls,
                    included=included, month=month.isoformat(),
                    goes_on=granted[user_id].call_price is not None,
                )  # fmt: skip
    return len(found)


def judge(*, now: datetime) -> int:
    """Say of calls that were not judged yet whether they are billed; returns of how many people.

    By the plan in force now, so that a change of plan changes nothing about calls of before.
    """
    months = {month_of(now), month_of(now - timedelta(days=2))}  # and the end of the last one
    with tenancy.as_system("judge usage"):
        rows = UsageMonth.objects.filter(month__in=months, calls__gt=F("judged"))
        waiting = list(
            rows.order_by("user_id", "month").values_list("user_id", flat=True)[:JUDGED_AT_ONCE]
        )
    for user_id in dict.fromkeys(waiting):
        with tenancy.as_system("judge usage"):
            judging.judge_one(user_id=user_id, now=now)
    return len(waiting)


def report(*, now: datetime) -> int:
    """Tell Stripe's meter of calls that are billed; returns how many reports were sent.

    A report is written first, with what it covers, and its id is what Stripe counts once.
    """
    _write_reports(now)
    with tenancy.as_system("report usage"):
        unsent = list(
            MeterReport.objects.filter(sent_at=None, attempts__lt=MOST_ATTEMPTS)
            .order_by("attempts", "created_at")[:REPORT_AT_MOST]
        )  # fmt: skip
    return sum(_send(row, now) for row in unsent)


def _write_reports(now: datetime) -> None:
    with tenancy.as_system("report usage"):
        rows = UsageMonth.objects.select_for_update(skip_locked=True).filter(
            month__gte=month_of(now - timedelta(days=40)), beyond__gt=F("reported")
        )
        for row in rows.order_by("user_id", "month")[:REPORT_AT_MOST]:
            MeterReport.objects.create(
                user_id=row.user_id, month=row.month, calls=row.beyond - row.reported,
                created_at=now,
            )  # fmt: skip
            UsageMonth.objects.filter(user_id=row.user_id, month=row.month).update(
                reported=row.beyond
            )


def _send(row: MeterReport, now: datetime) -> bool:
    with tenancy.as_system("report usage"):
        account = BillingAccount.objects.filter(user_id=row.user_id).first()
    customer = account.stripe_customer_id if account else None
    try:
        if customer:
            stripe_gateway.report_calls(
                customer_id=customer, calls=row.calls, at=row.created_at, identifier=str(row.id)
            )
    except DomainError as error:
        logger.warning("usage.report_failed", code=error.code, report=str(row.id))
        if row.attempts + 1 == MOST_ATTEMPTS:
            logger.error("usage.report_given_up", report=str(row.id))
        with tenancy.as_system("report usage"):
            MeterReport.objects.filter(id=row.id).update(attempts=row.attempts + 1)
        return False
    with tenancy.as_system("report usage"):
        MeterReport.objects.filter(id=row.id).update(sent_at=now)
    return True


# --- showing ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Usage:
    """A person's running month. ``cost`` is USD for calls beyond the included ones so far."""

    month: date
    used: int
    included: int
    resets_at: datetime
    beyond: int
    call_price: Decimal | None
    cost: Decimal
    spending_cap: Decimal | None
    days: Sequence[dict[str, Any]]
    groups: Sequence[dict[str, Any]]


def of_user(user: Any, *, now: datetime) -> Usage:
    """What a person has used this month, as of the last flush."""
    granted, month = entitlements.for_user(user, now=now), month_of(now)
    with tenancy.as_user(user.pk):
        rows = UsageDay.objects.filter(user_id=user.pk, day__gte=month)
        days: list[Any] = list(rows.order_by("day").values("day").annotate(calls=Sum("calls")))
        groups: list[Any] = list(
            rows.order_by("group").values("group").annotate(calls=Sum("calls"))
        )
        found = UsageMonth.objects.filter(user_id=user.pk, month=month).first()
    used = found.calls if found else 0
    beyond = found.beyond + judging.billable(found, granted) if found else 0
    price = granted.call_price
    return Usage(
        month=month, used=used, included=granted.plan.calls_per_month, beyond=beyond,
        resets_at=start_of_next_month(now), call_price=price, cost=beyond * (price or Decimal(0)),
        spending_cap=None if price is None else granted.cap, days=days, groups=groups,
    )  # fmt: skip


def set_cap(*, user_id: UUID, cap: Decimal | None, now: datetime) -> None:
    """Let calls beyond the included ones cost so much a month, in USD; None is the usual cap."""
    with tenancy.as_user(user_id):
        account, _ = BillingAccount.objects.select_for_update().get_or_create(
            user_id=user_id, defaults={"tier": plans.DEFAULT_TIER, "created_at": now}
        )
        if account.spending_cap != cap:
            _keep_what_passed(user_id, now)
            account.spending_cap = cap
            account.save(update_fields=["spending_cap"])
            log.record(
                Action.SPENDING_CAP_SET, user_id=user_id, cap=None if cap is None else str(cap)
            )


def _keep_what_passed(user_id: UUID, now: datetime) -> None:
    """Note the calls that were let through so far, those that were not written yet among them."""
    month = month_of(now)
    UsageMonth.objects.bulk_create(
        [UsageMonth(user_id=user_id, month=month, calls=0)], ignore_conflicts=True
    )
    passed = counting.month_used(user_id=str(user_id), now=now)
    UsageMonth.objects.filter(user_id=user_id, month=month).update(
        let_through=Greatest(F("let_through"), F("calls"), passed)
    )


def month_of(now: datetime) -> date:
    """The first day of the UTC month of an instant."""
    return now.astimezone(UTC).date().replace(day=1)
