"""What a person is told, on the connections that want to know.

Redis is told only which notice; what it says is read as that person. Who misses it, because they
have fallen behind or the database is away, finds it in the list of notices.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from accounts import inbox
from portfolios.live import messages, reads
from portfolios.live.clients import Client
from tracker.logs import get_logger

log = get_logger(__name__)


async def tell(watching: Callable[[], list[Client]], user_id: UUID, payload: Any) -> None:
    """Read a notice, if anybody wants it, and hand it to whoever then still does."""
    delivery_id = _named(payload)
    if delivery_id is None or not watching():
        return
    try:
        notice = await reads.in_thread(inbox.read_one, user_id, delivery_id)
    except reads.UNAVAILABLE:
        log.warning("live.database_unavailable")
        return
    if notice is None:
        return
    message = messages.write(
        "notice", delivery=notice.id, event=notice.event, title=notice.title, text=notice.text,
        at=notice.at, data=notice.data,
    )  # fmt: skip
    for client in watching():
        client.tell(message)


def _named(payload: Any) -> UUID | None:
    named = payload.get("delivery") if isinstance(payload, Mapping) else None
    try:
        return UUID(str(named))
    except ValueError:
        log.error("live.unreadable_news", topic="notice")
        return None
