"""The names of everything that is logged, in one list: room or thing, a dot, what happened."""

from enum import StrEnum


class Action(StrEnum):
    """A name once written to the log is never reused for something else."""

    USER_REGISTERED = "user.registered"
    USER_SIGNED_IN = "user.signed_in"
    USER_SIGN_IN_FAILED = "user.sign_in_failed"
    USER_SIGNED_OUT = "user.signed_out"
    USER_PREFERENCES_CHANGED = "user.preferences_changed"
    SESSION_REPLAYED = "session.refresh_replayed"
    CONNECTION_CREATED = "exchange.connection.created"
    CONNECTION_REFUSED = "exchange.connection.refused"
    CONNECTION_TESTED = "exchange.connection.tested"
    CONNECTION_CHANGED = "exchange.connection.changed"
    CONNECTION_REMOVED = "exchange.connection.removed"
    CONNECTION_PAUSED = "exchange.connection.paused"
    CONNECTION_RESUMED = "exchange.connection.resumed"
    KEYS_ROTATED = "exchange.keys.rotated"
    SYNC_REQUESTED = "portfolio.sync.requested"
    SYNC_FINISHED = "portfolio.sync.finished"
    STAFF_ACTED = "staff.acted"
