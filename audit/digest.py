"""The weekly e-mail to operators: what happened to security, in numbers and without names."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.db.models import Count
from django.template.loader import render_to_string

from audit import log, sealing
from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert, UnsealedActivity
from tracker import tenancy

_CLAIMED_FOR = 600
WATCHED = {
    Action.USER_SIGN_IN_FAILED: "Failed sign-ins",
    Action.SECOND_FACTOR_FAILED: "Wrong second factors",
    Action.SESSION_REPLAYED: "Used tokens that came back",
    Action.API_KEY_REFUSED: "Refused API keys",
    Action.API_KEY_MOVED: "API keys used from a new address",
    Action.PASSWORD_RESET: "Passwords set by a link",
    Action.TOTP_REMOVED: "Authenticator apps removed",
    Action.SECURITY_EVENT_RECEIVED: "Security messages from outside",
    Action.STAFF_ACTED: "Changes by staff",
    Action.USER_ERASED: "Accounts erased",
}


@dataclass(frozen=True, slots=True)
class Week:
    """Monday to Monday, in UTC."""

    start: datetime

    @classmethod
    def before(cls, now: datetime) -> "Week":
        """The last whole week."""
        monday = datetime.combine(now.date() - timedelta(days=now.weekday()), time.min, UTC)
        return cls(monday - timedelta(days=7))

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=7)

    @property
    def name(self) -> str:
        return f"{self.start:%G-W%V}"


def send(*, now: datetime) -> bool:
    """Send last week's digest unless it was sent; False when there is nothing to do.

    Two at once send one. When the mail server is away, it is tried again at the next call.
    """
    week, address = Week.before(now), settings.OPERATOR["email"]
    if not address or _was_sent(week) or not cache.add(_claim(week), "1", _CLAIMED_FOR):
        return False
    try:
        _message(figures(week, now=now), address).send()
    except BaseException:
        cache.delete(_claim(week))
        raise
    with tenancy.as_system("operators' digest"):
        log.record(Action.DIGEST_SENT, user_id=None, week=week.name)
    return True


def figures(week: Week, *, now: datetime) -> dict[str, Any]:
    """What the templates show. Counts only."""
    with tenancy.as_system("operators' digest"):
        acts = ActivityLog.objects.filter(
            action__in=WATCHED, created_at__gte=week.start, created_at__lt=week.end
        )
        counted = dict(acts.order_by().values_list("action").annotate(times=Count("id")))
        alerts = SecurityAlert.objects.order_by()
        raised = alerts.filter(created_at__gte=week.start, created_at__lt=week.end)
        waiting = alerts.exclude(state=SecurityAlert.State.RESOLVED)
        head = sealing.head()
        return {
            "week": week, "acts": [(name, counted.get(act, 0)) for act, name in WATCHED.items()],
            "raised": _by(raised, "kind", "severity"), "open": _by(waiting, "severity", "state"),
            "head": f"{head.number}:{bytes(head.digest).hex()}" if head else "",
            "unsealed": UnsealedActivity.objects.filter(
                created_at__lt=now - timedelta(minutes=10)
            ).count(),
            "product": "Portfolio tracker", "operator": settings.OPERATOR,
            "home": settings.PUBLIC_URL,
        }  # fmt: skip


def _by(rows: Any, *names: str) -> list[tuple[str, str, int]]:
    return list(rows.values_list(*names).annotate(times=Count("id")).order_by("-times", *names))


def _was_sent(week: Week) -> bool:
    with tenancy.as_system("operators' digest"):
        sent = ActivityLog.objects.filter(action=Action.DIGEST_SENT, created_at__gte=week.end)
        return sent.filter(details__week=week.name).exists()


def _claim(week: Week) -> str:
    return f"audit:digest:{week.name}"


def _message(context: dict[str, Any], address: str) -> EmailMultiAlternatives:
    week = context["week"].name
    message = EmailMultiAlternatives(
        subject=f"Security, week {week}",
        body=render_to_string("email/operators_digest.txt", context),
        to=[address],
    )
    html = render_to_string("email/operators_digest.html", context)
    message.attach_alternative(html, "text/html")
    return message
