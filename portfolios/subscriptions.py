"""What this room does when something happens below it."""

from audit import log
from audit.actions import Action
from portfolios import sync


def subscribe() -> None:
    """Called once as the app is ready."""
    log.subscribe(Action.CONNECTION_CREATED, sync.start_first)
