"""How somebody's week was, told once a week on the morning of their day, where they live.

When that is stands in accounts' ``notification_settings``, because the person chooses it there;
the moment that comes next is kept beside it, so that whoever is due is found by an index.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import prod
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import connection
from django.db.models import F, Q

from accounts import notifications, weeks
from accounts.events import Event
from accounts.models import NotificationSettings, User
from accounts.quiet_hours import zone_of
from exchanges.models import Asset, ExchangeConnection
from portfolios.models import DailyValuation, Scope
from portfolios.reconciling import problems
from portfolios.returns import answers
from tracker import tenancy

SEND_TASK = "portfolios.tasks.send_weekly_summary"
# One that could not be made in time is still worth reading for so long.
LATEST = timedelta(hours=24)
AT_ONCE = 5_000
MOVERS = 3
_POINTS = "12"  # a week has eight closes, and now
_FINE_CURRENCIES = {"BTC": 8, "ETH": 6, "JPY": 0}
_ZERO = Decimal(0)
# Whoever has a portfolio has a row to keep the moment in; one statement over two primary keys.
_ROWS = """
    INSERT INTO notification_settings (user_id, weekly_summary_day)
    SELECT s.user_id, 0 FROM portfolio_states s
    WHERE NOT EXISTS (SELECT 1 FROM notification_settings n WHERE n.user_id = s.user_id)
    LIMIT %(most)s
    ON CONFLICT DO NOTHING
"""


# --- when ---------------------------------------------------------------------------------------
def queue_due(*, now: datetime) -> int:
    """Queue the summaries whose moment has come, or is not known yet; returns how many."""
    with tenancy.as_system("due weekly summaries"):
        with connection.cursor() as cursor:
            cursor.execute(_ROWS, {"most": AT_ONCE})
        due = NotificationSettings.objects.filter(
            Q(summary_due_at__lte=now) | Q(summary_due_at=None),
            user__is_active=True, user__closes_at=None,
        ).order_by(F("summary_due_at").asc(nulls_first=True))  # fmt: skip
        found = list(due.values_list("user_id", flat=True)[:AT_ONCE])
    for user_id in found:
        current_app.send_task(SEND_TASK, kwargs={"user_id": str(user_id)})
    return len(found)


def send(*, user_id: UUID, now: datetime) -> bool:
    """Tell one person of their week, if that is due; returns whether there was anything to tell.

    Says when the next one is due in the same transaction, so that a second run finds nothing.
    """
    with tenancy.as_user(user_id):
        moment = _claim(user_id, now)
        if moment is None or now - moment > LATEST:
            return False
        user = User.objects.get(id=user_id)
        if user.closes_at is not None or not user.is_active:
            return False
        if not notifications.is_wanted(user_id, Event.WEEKLY_SUMMARY):
            return False
        told = of_week(user=user, now=now)
        if told is None:
            return False
        notifications.notify(
            user_id=user_id, event=Event.WEEKLY_SUMMARY, dedupe=moment.date().isoformat(),
            now=now, **told,
        )  # fmt: skip
        return True


def _claim(user_id: UUID, now: datetime) -> datetime | None:
    """The moment that has come; None when none has, or when it was not known before."""
    rows = NotificationSettings.objects.select_for_update(of=("self",)).select_related("user")
    row = rows.filter(user_id=user_id).first()
    if row is None or (row.summary_due_at is not None and row.summary_due_at > now):
        return None
    was_planned = row.summary_due_at is not None
    day, zone = row.weekly_summary_day, zone_of(row.user.time_zone)
    row.summary_due_at = weeks.following(day=day, zone=zone, now=now)
    row.save(update_fields=["summary_due_at"])
    return weeks.last(day=day, zone=zone, now=now) if was_planned else None


# --- what ---------------------------------------------------------------------------------------
def of_week(*, user: User, now: datetime) -> dict[str, Any] | None:
    """What the message of a week says, as texts; None for who has no connection or no value.

    Call inside ``as_user``. What is not known is an empty text, and never 0.
    """
    if not ExchangeConnection.objects.filter(user_id=user.id).exists():
        return None
    week = answers.read(user=user, query={"range": "1W", "benchmark": "none"}, now=now)
    opening, closing = week["value"]["opening"], week["value"]["closing"]
    if not opening and not closing:
        return None
    return {
        "week_from": week["range"]["from"], "week_until": week["range"]["to"],
        "total": money(closing, week["currency"]),
        "partial": week["status"] == "partial", "stale": week["status"] == "stale",
        **_changed(opening, closing, week["currency"]),
        "twr": percent(week["returns"]["twr"]),
        "gains": signed(week["profit"]["realized"], week["currency"]),
        "days": _days(user, now, week["currency"]),
        "movers": _movers(user.id, week["range"]["since"].date(), now),
        "problems": problems.inbox(user_id=user.id, now=now)["open"],
    }  # fmt: skip


def _changed(opening: Decimal, closing: Decimal, currency: str) -> dict[str, str]:
    """Without a value at the beginning there is no change to speak of."""
    if not opening:
        return {"total_before": "", "change": "", "change_percent": ""}
    change = closing - opening
    return {
        "total_before": money(opening, currency),
        "change": signed(change, currency) or money(_ZERO, currency),
        "change_percent": percent(change / opening) if opening > 0 else "",
    }


def _days(user: User, now: datetime, currency: str) -> list[dict[str, Any]]:
    drawn = answers.series(user=user, query={"range": "1W", "points": _POINTS}, now=now)
    results = drawn["results"]
    incomplete = set(
        DailyValuation.objects.filter(
            user_id=user.id, scope_id=user.id, day__in=[point["day"] for point in results],
            is_partial=True,
        ).values_list("day", flat=True)
    )  # fmt: skip
    return [
        {
            "day": point["day"].isoformat(), "value": str(point["value"]),
            "shown": money(point["value"], currency), "partial": point["day"] in incomplete,
        }
        for point in results
    ]  # fmt: skip


def _movers(user_id: UUID, since: date, now: datetime) -> list[dict[str, str]]:
    """What is held whose return over the week was furthest from nothing, with that return."""
    rows = DailyValuation.objects.filter(
        user_id=user_id, scope=Scope.ASSET, day__gte=since, day__lte=now.date()
    ).order_by("day")
    growth: dict[UUID, list[float]] = {}
    value: dict[UUID, Decimal] = {}
    for asset, worth, factor in rows.values_list("scope_id", "value", "growth"):
        value[asset] = worth
        growth.setdefault(asset, []).extend([] if factor is None else [factor])
    moved = {key: prod(growth[key]) - 1 for key in value if value[key] > 0 and growth[key]}
    furthest = sorted(moved, key=lambda key: -abs(moved[key]))
    codes = _codes(furthest)
    return [
        {"code": codes[key], "change": percent(Decimal(repr(moved[key])))}
        for key in furthest if key in codes
    ][:MOVERS]  # fmt: skip


def _codes(asset_ids: list[UUID]) -> Mapping[UUID, str]:
    """Of coins alone: money of a state moves nobody."""
    found = Asset.objects.filter(id__in=asset_ids, is_fiat=False)
    return dict(found.values_list("id", "code"))


# --- numbers as texts ---------------------------------------------------------------------------
def money(value: Decimal, currency: str) -> str:
    """``12,345.60 USD``."""
    return f"{value:,.{_FINE_CURRENCIES.get(currency, 2)}f} {currency}".replace(
        "-", "\N{MINUS SIGN}"
    )


def signed(value: Decimal, currency: str) -> str:
    """``+12.00 USD``; empty where it is nothing."""
    text = money(value, currency)
    return ("+" if value > 0 else "") + text if value else ""


def percent(rate: Decimal | None) -> str:
    """``+1.23 %``; empty where there is no rate."""
    if rate is None:
        return ""
    return f"{rate * 100:+,.2f} %".replace("-", "\N{MINUS SIGN}")
