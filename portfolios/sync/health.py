"""Telling a person that an account is not read as it should be: once, not every time we look."""

from datetime import datetime, timedelta
from uuid import UUID

from accounts import notifications
from accounts.notifications import Event
from audit.log import Happening
from exchanges.gateway import errors
from exchanges.models import ConnectionKind, ConnectionState, ExchangeConnection
from tracker import clock, tenancy

LASTING = timedelta(days=2)  # partial for so long is worth a message
AT_MOST = 1_000  # of one look; the next one finds the others
_ROWS_KEPT = "The exchange sent rows that we could not read. They are kept for a closer look."
# Whoever paused an account themselves, or leaves, need not be told.
_ON_PURPOSE = ("paused_by_user", "account_closing", "paused_by_staff")


def after_sync(happening: Happening) -> None:
    """Subscriber of ``portfolio.sync.finished``: an account that stopped is told of at once."""
    if happening.details.get("code") is None:
        return
    with tenancy.as_user(happening.owner):
        row = _connection(happening.owner, UUID(happening.details["connection_id"]))
        if row is None or row.next_sync_at is not None or row.reason in _ON_PURPOSE:
            return
        # The same stop has the same last visit before it.
        since = row.last_synced_at or row.created_at
        dedupe = f"{row.id}:{row.reason}:{since.isoformat()}"
        _notify(row, Event.CONNECTION_STOPPED, dedupe, clock.now())


def tell_of_lasting_trouble(*, now: datetime) -> int:
    """Tell whose accounts have been read in part for two days; returns how many are so.

    The same trouble is told once: it has the same last complete visit. Idempotent.
    """
    with tenancy.as_system("find accounts in lasting trouble"):
        found = list(
            ExchangeConnection.objects.filter(
                kind=ConnectionKind.EXCHANGE, state=ConnectionState.PARTIAL,
                created_at__lt=now - LASTING,
            )
            .exclude(last_complete_at__gte=now - LASTING)
            .order_by("id")
            .values_list("user_id", "id")[:AT_MOST]
        )  # fmt: skip
    for user_id, connection_id in found:
        with tenancy.as_user(user_id):
            row = _connection(user_id, connection_id)
            if row is not None:
                since = row.last_complete_at or row.created_at
                dedupe = f"{row.id}:{since.isoformat()}"
                _notify(row, Event.SYNC_INCOMPLETE, dedupe, now)
    return len(found)


def in_words(code: str) -> str:
    """What a stable reason code means, as the app may show it."""
    if code == "rows_quarantined":
        return _ROWS_KEPT
    return _SENTENCES.get(code, errors.GatewayError.message)


def _connection(user_id: UUID, connection_id: UUID) -> ExchangeConnection | None:
    rows = ExchangeConnection.objects.filter(user_id=user_id, id=connection_id)
    return rows.select_related("exchange").first()


def _notify(row: ExchangeConnection, event: Event, dedupe: str, now: datetime) -> None:
    notifications.notify(
        user_id=row.user_id, event=event, dedupe=dedupe, now=now, connection_id=str(row.id),
        exchange=row.exchange.name, label=row.label, reason=in_words(row.reason),
    )  # fmt: skip


def _all(error: type[errors.GatewayError]) -> list[type[errors.GatewayError]]:
    return [error, *(found for part in error.__subclasses__() for found in _all(part))]


_SENTENCES = {error.code: error.message for error in _all(errors.GatewayError)}
