"""What this room does when something happens below it or within it."""

from accounts import notifications, passwords
from accounts.models.notifications import Channel
from accounts.notifications import Event
from audit import log
from audit.actions import Action
from audit.log import Happening
from tracker import clock, tenancy

# Whoever took an account over could switch e-mail off; these always go.
_SERIOUS = frozenset({"high", "critical"})
_SLIGHT = "low"


def subscribe() -> None:
    """Called once as the app is ready."""
    log.subscribe(Action.PASSWORD_RESET_REQUESTED, passwords.have_link_mailed)
    log.subscribe(Action.ALERT_RAISED, tell_of_alert)
    log.subscribe(Action.EXPORT_READY, tell_of_export)


def tell_of_alert(happening: Happening) -> None:
    """Tell the person, by their choice; slight ones by push alone. Alerts about nobody are not."""
    if happening.user_id is None:
        return
    severity = str(happening.details["severity"])
    with tenancy.as_user(happening.user_id):
        notifications.notify(
            user_id=happening.user_id, event=Event.SECURITY_ALERT,
            dedupe=str(happening.details["alert_id"]), now=clock.now(),
            channels=[Channel.PUSH] if severity == _SLIGHT else list(Channel),
            always=[Channel.EMAIL] if severity in _SERIOUS else [],
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
