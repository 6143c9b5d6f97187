"""How far one feed of an account has been read, and what its rows are called."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exchanges.gateway import pagination, rows
from exchanges.gateway.dialects.base import (
    Feed,
)
from exchanges.gateway.errors import (
    GatewayError,
)
from exchanges.gateway.pagination import Span
from exchanges.gateway.rows import BadRow
from exchanges.reports import (
    Covered,
)

LONGEST_PENDING = timedelta(days=30)  # an unsettled transfer holds its feed's coverage this long


DELISTED = "delisted"  # cursor of a symbol that the exchange no longer answers for


class Reading:
    """How far one feed (and scope) has been read."""

    def __init__(
        self, feed: Feed, scope: str, known: Covered | None, now: datetime,
        opened: datetime | None = None,
    ) -> None:  # fmt: skip
        self.feed, self.scope, self.known = feed, scope, known
        start = max(beginning(feed, known, now), opened or feed.launched)
        unbroken = known is not None and start <= known.until
        self.since = known.since if known and unbroken else start
        self.cursor = _resumable(known.cursor) if known else ""
        self.span = Span(start, now, self.cursor)
        self.until = known.until if known else None
        self.pending: datetime | None = None

    def move(self, page: pagination.Page, pending: datetime | None) -> None:
        """Note that a page was taken in."""
        self.cursor = page.cursor or self.cursor
        self.until = page.until or self.until
        found = [moment for moment in (self.pending, pending) if moment]
        self.pending = min(found, default=None)

    def refused_as_too_old(self, error: GatewayError) -> bool:
        """Whether to start again at the horizon, since what lies before it was refused."""
        horizon = self.span.until - self.feed.horizon if self.feed.horizon else None
        if not horizon or type(error) is not GatewayError or (self.until or self.since) >= horizon:
            return False
        self.since, self.until = horizon, None
        self.span = Span(horizon, self.span.until, self.cursor)
        return True

    def covered(self, now: datetime) -> Covered | None:
        """The interval read without a gap; it ends before what is still pending."""
        until = self.until
        if until is None:
            if not self.cursor:
                return None
            until = self.since  # by id: the cursor says where to go on, no time does yet
        if self.pending and self.pending > now - LONGEST_PENDING:
            until = min(until, self.pending)
        return Covered(self.feed.name, self.scope, self.since, until, self.cursor)


def beginning(feed: Feed, known: Covered | None, now: datetime) -> datetime:
    """Where the next reading of a feed starts: a little before it was read to, and no further back
    than the exchange answers."""
    bounded = feed.horizon and not (known is None and feed.tries_older)
    earliest = max(feed.launched, now - feed.horizon) if feed.horizon and bounded else feed.launched
    return max(known.until - feed.overlap, earliest) if known else earliest


def _resumable(cursor: str) -> str:
    return cursor.removeprefix(DELISTED).strip()


def row_name(feed: Feed, row: Any, counted: Counter[str]) -> str:
    """The exchange's id of a row, else its value and how often it came in this page so far.

    Windows share their edges, so a row can come twice; real twins come together in one page.
    """
    if not isinstance(row, Mapping):
        raise BadRow("the row is not an object")
    if found := rows.text(row, feed.id_field):
        return found
    value = rows.digest(row, feed.stable or sorted(row))
    counted[value] += 1
    return f"{value}-{counted[value]}"


def arguments(feed: Feed, scope: str, params: dict[str, Any]) -> tuple[Any, ...]:
    """Positional arguments for ccxt's unified methods; implicit ones take parameters only."""
    if feed.call.unified:
        return scope or None, params.pop("since", None), params.pop("limit", None)
    if scope:
        params[feed.scope_param] = scope
    return ()
