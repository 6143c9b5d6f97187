"""What this room does when something happens below it or within it."""

from datetime import datetime
from typing import Any

from django.conf import settings

from accounts import events, notifications, passwords
from accounts.models.notifications import Channel
from accounts.notifications import Event
from audit import log
from audit.actions import Action
from audit.log import Happening
from billing import plans
from tracker import clock, tenancy

_SLIGHT = "low"
_QUIETLY = (Channel.PUSH, Channel.LIVE)


def subscribe() -> None:
    """Called once as the app is ready."""
    log.subscribe(Action.PASSWORD_RESET_REQUESTED, passwords.have_link_mailed)
    log.subscribe(Action.ALERT_RAISED, tell_of_alert)
    log.subscribe(Action.EXPORT_READY, tell_of_export)
    log.subscribe(Action.PLAN_CHANGED, tell_of_plan)
    log.subscribe(Action.PAYMENT_FAILED, tell_of_failed_payment)
    log.subscribe(Action.PAYMENT_WITHDRAWN, tell_of_withdrawn_payment)
    log.subscribe(Action.USAGE_WARNED, tell_of_usage)


def tell_of_alert(happening: Happening) -> None:
    """Tell the person, by their choice; slight ones not by e-mail. Alerts about nobody are not."""
    if happening.user_id is None:
        return
    severity = str(happening.details["severity"])
    with tenancy.as_user(happening.user_id):
        notifications.notify(
            user_id=happening.user_id, event=Event.SECURITY_ALERT,
            dedupe=str(happening.details["alert_id"]), now=clock.now(),
            channels=_QUIETLY if severity == _SLIGHT else list(Channel),
            always=[Channel.EMAIL] if severity in events.SERIOUS else [],
            alert_id=happening.details["alert_id"], kind=happening.details["kind"],
            severity=severity,
        )  # fmt: skip


def tell_of_export(happening: Happening) -> None:
    """The copy of their data that a person asked for lies ready."""
    export_id = str(happening.details["export_id"])
    with tenancy.as_user(happening.owner):
        notifications.notify(
            user_id=happening.owner, event=Event.EXPORT_READY, dedupe=export_id, now=clock.now(),
            export_id=export_id,
        )  # fmt: skip


# --- plans and payments -------------------------------------------------------------------------
def tell_of_plan(happening: Happening) -> None:
    """Another plan is in force."""
    before, after = str(happening.details["before"]), str(happening.details["after"])
    _tell(
        happening, Event.PLAN_CHANGED, f"{before}>{after}:{clock.now():%Y-%m-%dT%H}",
        plan=_name(after), before=_name(before), grew=plans.rank(after) > plans.rank(before),
    )  # fmt: skip


def tell_of_failed_payment(happening: Happening) -> None:
    """A payment is owed: once for each time that it began to be."""
    since = datetime.fromisoformat(happening.details["since"])
    _tell(
        happening, Event.PAYMENT_FAILED, since.isoformat(), plan=_name(happening.details["tier"]),
        ends_at=since + settings.BILLING_GRACE,
    )  # fmt: skip


def tell_of_withdrawn_payment(happening: Happening) -> None:
    """A payment was given back, and with it the plan."""
    why = str(happening.details["why"])
    _tell(
        happening, Event.PAYMENT_WITHDRAWN, f"{happening.details['subscription']}:{why}",
        plan=_name(happening.details["tier"]), why=why,
    )  # fmt: skip


def tell_of_usage(happening: Happening) -> None:
    """Much of the month's calls are used."""
    told = happening.details
    _tell(
        happening, Event.USAGE_WARNING, f"{told['month']}:{told['percent']}",
        percent=told["percent"], calls=f"{told['calls']:,}", included=f"{told['included']:,}",
        goes_on=told["goes_on"],
    )  # fmt: skip


def _tell(happening: Happening, event: Event, dedupe: str, **parameters: Any) -> None:
    with tenancy.as_user(happening.owner):
        notifications.notify(
            user_id=happening.owner, event=event, dedupe=dedupe, now=clock.now(), **parameters
        )


def _name(tier: Any) -> str:
    """What people call a plan; one that is gone from the table keeps its key."""
    table = plans.table()
    return (table[tier].name or tier) if tier in table else str(tier)
