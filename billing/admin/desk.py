"""What this room brings to the support desk: plan and payments of a person; revenue and messages of
Stripe's; people by the ids that Stripe uses.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Min
from django.urls import reverse

from billing import figures, plans
from billing.models import BillingAccount, Invoice, PlanGrant, StripeEvent, Subscription
from tracker import desk, gathering
from tracker.admin import Panel, list_url
from tracker.desk import Figure, Finder, Hit, Level, Section, Tile
from tracker.gathering import written

DAYS = 30
_DAY = timedelta(days=1)
_LATE, _LOST = timedelta(minutes=10), timedelta(hours=2)  # as the status page judges it
_OF_PERSON = "user__id__exact"


# --- a person's page ----------------------------------------------------------------------------
_BILLING = {
    "account": """
        SELECT tier, reason, until, next_tier, stripe_customer_id, spending_cap::text AS cap
        FROM billing_accounts WHERE user_id = %(person)s""",
    "subscriptions": """
        SELECT tier, status, price::text AS price, currency, current_period_end,
               cancel_at_period_end, past_due_since, withdrawn, ended_at, stripe_id
        FROM subscriptions WHERE user_id = %(person)s ORDER BY started_at DESC LIMIT 3""",
    "invoices": """
        SELECT number, status, total::text AS total, paid::text AS paid, currency, created_at,
               stripe_id
        FROM invoices WHERE user_id = %(person)s ORDER BY created_at DESC LIMIT 6""",
    "grants": """
        SELECT tier, reason, starts_at, ends_at, revoked_at FROM plan_grants
        WHERE user_id = %(person)s ORDER BY id DESC LIMIT 3""",
    "events": """
        SELECT type, state, reason, received_at FROM stripe_events
        WHERE user_id = %(person)s AND state IN ('received', 'failed')
        ORDER BY received_at DESC LIMIT 5""",
    "usage": """
        SELECT calls, beyond, reported FROM usage_months
        WHERE user_id = %(person)s AND month = date_trunc('month', %(now)s AT TIME ZONE 'UTC')""",
}


def payments(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """The plan in force and why, what was bought and charged, what was used. One query."""
    found = gathering.rows_of(_BILLING, {"person": person_id, "now": now})
    account = (found["account"] or [{}])[0]
    return {
        "facts": list(_plan(account, now)) + list(_usage(found["usage"])),
        "panels": [
            Panel(
                "Subscriptions", list_url(Subscription, {_OF_PERSON: person_id}),
                ("Plan", "Status", "A month", "Period ends", "Ends then", "Owed since", "Stripe"),
                [(row["tier"], f"{row['status']} {row['withdrawn']}".strip(),
                  f"{row['price']} {row['currency'].upper()}", written(row["current_period_end"]),
                  "yes" if row["cancel_at_period_end"] else "no",
                  written(row["past_due_since"], "nothing owed"), row["stripe_id"])
                 for row in found["subscriptions"]],
            ),
            Panel(
                "Invoices", list_url(Invoice, {_OF_PERSON: person_id}),
                ("Number", "Status", "Total", "Paid", "Made", "At Stripe"),
                [(row["number"] or "-", row["status"],
                  f"{_money(row['total'])} {row['currency'].upper()}", _money(row["paid"]),
                  written(row["created_at"]), row["stripe_id"]) for row in found["invoices"]],
            ),
            Panel(
                "Plans given by staff", list_url(PlanGrant, {_OF_PERSON: person_id}),
                ("Plan", "Why", "From", "Until", "Taken back"),
                [(row["tier"], row["reason"], written(row["starts_at"]), written(row["ends_at"]),
                  written(row["revoked_at"], "no")) for row in found["grants"]],
            ),
            Panel(
                "Messages of Stripe's that wait or failed",
                list_url(StripeEvent, {_OF_PERSON: person_id}),
                ("When", "Type", "State", "Why"),
                [(written(row["received_at"]), row["type"], row["state"], row["reason"] or "-")
                 for row in found["events"]],
            ),
        ],
    }  # fmt: skip


def _plan(account: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    until = gathering.at(account.get("until"))
    tier = account.get("tier") or plans.DEFAULT_TIER
    if until and until <= now:
        tier = account["next_tier"]
    yield "Plan in force", tier
    yield "Because of", (account.get("reason") or "nothing bought or given").replace("_", " ")
    if until and until > now:
        yield "Until", f"{written(account['until'])}, then {account['next_tier']}"
    yield "Customer at Stripe", account.get("stripe_customer_id") or "none"
    if account.get("cap") is not None:
        yield "Spending cap", f"{account['cap']} USD a month"


def _usage(rows: gathering.Rows) -> Iterator[tuple[str, str]]:
    used = rows[0] if rows else {"calls": 0, "beyond": 0}
    beyond = f", {used['beyond']:,} of them beyond the plan" if used["beyond"] else ""
    yield "Data calls this month", f"{used['calls']:,}{beyond}"


def _money(text: str) -> str:
    """Two places; the third is kept only where it says something."""
    return text.removesuffix("0") if text.partition(".")[2].endswith("0") else text


# --- the front page -----------------------------------------------------------------------------
def revenue(*, now: datetime) -> Tile:
    """Monthly recurring revenue at the end of each of thirty days; a tenth less is worth a look."""
    today = now.date()
    totals = figures.recurring(today - (DAYS - 1) * _DAY, today)
    before, current = totals[0], totals[-1]
    fell = before > 0 and current < before * 9 / 10
    days = [today - number * _DAY for number in range(DAYS - 1, -1, -1)]
    return Tile(
        f"${current:,.2f}", Level.WATCH if fell else Level.PLAIN,
        f"recurring revenue a month; ${before:,.2f} {DAYS} days ago.",
        [(f"{day:%-d %b}", float(total)) for day, total in zip(days, totals, strict=True)],
        f"Recurring revenue in US dollars on each of the last {DAYS} days",
        url=reverse("admin:billing_revenue"), link="Revenue and usage",
    )  # fmt: skip


def stripe_messages(*, now: datetime) -> Tile:
    """Messages of Stripe's that failed within thirty days or wait for too long."""
    lately = StripeEvent.objects.order_by().filter(received_at__gt=now - DAYS * _DAY)
    failed = dict(
        lately.filter(state=StripeEvent.State.FAILED).values_list("type").annotate(Count("id"))
    )
    waiting = StripeEvent.objects.filter(next_attempt_at__isnull=False)
    oldest = waiting.aggregate(oldest=Min("received_at"), all=Count("id"))
    age = now - oldest["oldest"] if oldest["oldest"] else timedelta(0)
    total = sum(failed.values())
    level = Level.BAD if total or age > _LOST else Level.WATCH if age > _LATE else Level.FINE
    waits = f", the oldest for {int(age.total_seconds() // 60)} min" if oldest["all"] else ""
    return Tile(
        f"{total:,}", level,
        f"messages of Stripe's failed in {DAYS} days; {oldest['all']:,} wait{waits}.",
        tuple((name, float(number)) for name, number in failed.items()),
        f"Failed messages of the last {DAYS} days by type", by_name=True,
        url=list_url(StripeEvent, {"state": "failed"}), link="Messages that failed",
    )  # fmt: skip


# --- finding ------------------------------------------------------------------------------------
def _customers(text: str) -> Iterator[Hit]:
    rows = BillingAccount.objects.filter(stripe_customer_id=text)
    yield from (Hit("the customer at Stripe", owner) for owner in rows.values_list("pk", flat=True))


def _subscriptions(text: str) -> Iterator[Hit]:
    rows = Subscription.objects.filter(stripe_id=text).values_list("user_id", flat=True)
    yield from (Hit("the subscription at Stripe", owner) for owner in rows)


def _invoices(text: str) -> Iterator[Hit]:
    rows = Invoice.objects.filter(stripe_id=text).values_list("user_id", flat=True)
    yield from (Hit("the invoice at Stripe", owner) for owner in rows)


def _events(text: str) -> Iterator[Hit]:
    """A message may have come before it was known whose it is: then by its customer."""
    row = StripeEvent.objects.filter(id=text).first()
    if row is None:
        return
    owner = row.user_id
    if owner is None and row.customer_id:
        known = BillingAccount.objects.filter(stripe_customer_id=row.customer_id)
        owner = known.values_list("pk", flat=True).first()
    url = reverse("admin:billing_stripeevent_change", args=[row.id])
    yield Hit(f"the message of Stripe's “{row.type}”", owner, url)


_BY_MARK: Mapping[str, Callable[[str], Iterator[Hit]]] = {
    "cus_": _customers, "sub_": _subscriptions, "in_": _invoices, "evt_": _events,
}  # fmt: skip


def by_stripe_id(text: str) -> Iterator[Hit]:
    """By the ids of Stripe's, each of which begins with what it is of."""
    mark, underscore, _ = text.partition("_")
    found = _BY_MARK.get(mark + underscore)
    return found(text) if found else iter(())


desk.add_section(Section("Billing", "billing.view_subscription", desk.PARTS, payments, rank=30))
desk.add_figure(Figure("Revenue", "billing.view_revenue", revenue, rank=90))
desk.add_figure(Figure("Stripe's messages", "billing.view_stripeevent", stripe_messages, rank=45))
desk.add_finder(Finder("id of Stripe's (cus_…, sub_…, in_…, evt_…)", "billing.view_subscription",
                       by_stripe_id, rank=30))  # fmt: skip
