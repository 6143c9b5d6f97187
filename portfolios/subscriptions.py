"""What this room does when something happens below it."""

from accounts import messages
from accounts.notifications import Event
from audit import log
from audit.actions import Action
from audit.log import Happening
from exchanges import allotment, closing
from portfolios.exporting import links
from portfolios.ledger import books
from portfolios.sync import aside, health, requests, watch
from portfolios.valuing import snapshots
from tracker import clock, tenancy

# The choices that lots, gains and valuations depend on; days of own prices are in the time zone.
_FIGURES = frozenset(
    {"base_currency", "cost_basis_method", "cost_basis_scope", "long_term_days", "time_zone"}
)


def subscribe() -> None:
    """Called once as the app is ready."""
    log.subscribe(Action.CONNECTION_CREATED, requests.start_first)
    log.subscribe(Action.SYNC_FINISHED, watch.after_sync)
    log.subscribe(Action.SYNC_FINISHED, health.after_sync)
    log.subscribe(Action.TASK_PARKED, aside.put_aside)
    log.subscribe(Action.USER_PREFERENCES_CHANGED, compute_anew_as_chosen)
    log.subscribe(Action.CONNECTION_REMOVED, compute_anew)
    log.subscribe(Action.PLAN_CHANGED, follow_plan)
    log.subscribe(Action.USER_CLOSING, stop_reading)
    log.subscribe(Action.USER_CLOSING_CANCELLED, read_again)
    messages.link_maker(Event.FILE_EXPORT_READY, links.of_message)


def follow_plan(happening: Happening) -> None:
    """Another plan: what it includes is read, and a snapshot taken, at its pace from now on."""
    now = clock.now()
    with tenancy.as_user(happening.owner):
        allotment.look_now(user_id=happening.owner, now=now)
        snapshots.look_now(user_id=happening.owner, now=now)


def stop_reading(happening: Happening) -> None:
    """Somebody leaves: nothing is read for them any more."""
    closing.stop(user_id=happening.owner)


def read_again(happening: Happening) -> None:
    """Somebody stays after all."""
    closing.go_on(user_id=happening.owner, now=clock.now())


def compute_anew_as_chosen(happening: Happening) -> None:
    """Somebody wants their figures in another currency or by another method."""
    if _FIGURES & set(happening.details["changed"]):
        compute_anew(happening)


def compute_anew(happening: Happening) -> None:
    """All figures of a person may be others now."""
    with tenancy.as_user(happening.owner):
        books.everything_changed(user_id=happening.owner, now=clock.now())
