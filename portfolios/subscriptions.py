"""What this room does when something happens below it."""

from audit import log
from audit.actions import Action
from audit.log import Happening
from exchanges import closing
from portfolios import sync, watch
from tracker import clock


def subscribe() -> None:
    """Called once as the app is ready."""
    log.subscribe(Action.CONNECTION_CREATED, sync.start_first)
    log.subscribe(Action.SYNC_FINISHED, watch.after_sync)
    log.subscribe(Action.USER_CLOSING, stop_reading)
    log.subscribe(Action.USER_CLOSING_CANCELLED, read_again)


def stop_reading(happening: Happening) -> None:
    """Somebody leaves: nothing is read for them any more."""
    closing.stop(user_id=happening.owner)


def read_again(happening: Happening) -> None:
    """Somebody stays after all."""
    closing.go_on(user_id=happening.owner, now=clock.now())
