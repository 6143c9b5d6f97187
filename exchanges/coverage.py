"""How complete what we know of an account is: since when, and except for what.

A feed is read without gaps, from its beginning, or from as far back as the exchange answers, up
to ``until``. What lies before, what was never read, what failed and what the exchange has no
feed for is named, never passed over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection as database

from exchanges import feeds
from exchanges.feeds import Declared

DELISTED = "delisted"  # how a cursor begins for a market that the exchange has closed
BEHIND = timedelta(days=2)  # a feed that is read once a day is behind after this
_READ = """
SELECT connection_id, feed, max(since), min(until) FILTER (WHERE NOT closed), count(*),
       coalesce(array_agg(scope ORDER BY scope) FILTER (WHERE closed), '{}')
FROM (SELECT *, cursor LIKE 'delisted%%' AS closed FROM exchange_coverage
      WHERE user_id = %s AND connection_id = ANY(%s)) AS coverage
GROUP BY connection_id, feed
"""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a feed: all its scopes (markets, accounts) from ``since`` to ``until``."""

    since: datetime
    until: datetime | None
    scopes: int
    closed: tuple[str, ...]


def read(*, user_id: UUID, connection_ids: Iterable[UUID]) -> dict[UUID, dict[str, Read]]:
    """By connection and feed. One query. Call inside ``as_user``."""
    found: dict[UUID, dict[str, Read]] = {}
    with database.cursor() as cursor:
        cursor.execute(_READ, [user_id, list(connection_ids)])
        for connection_id, feed, since, until, scopes, closed in cursor.fetchall():
            told = Read(since, until, scopes, tuple(closed))
            found.setdefault(connection_id, {})[feed] = told
    return found


def told(
    *,
    declared: Iterable[Declared],
    found: Mapping[str, Read],
    failed: Mapping[str, str],
    read_at: datetime | None,
) -> dict[str, Any]:
    """The coverage of one account: ``complete_since``, ``exceptions``, ``feeds``, ``not_covered``.

    ``failed`` are the stable codes of feeds that could not be read at the last try, ``read_at`` is
    when the account was last read. Pure.
    """
    listed = list(declared)
    known = {feed.name for feed in listed}
    others = [Declared(name, item.since) for name, item in found.items() if name not in known]
    rows = [_feed(feed, found.get(feed.name), failed, read_at) for feed in [*listed, *others]]
    exceptions = [item for row in rows for item in _exceptions(row)]
    begun = [row["since"] for row in rows if row["since"] and row["reaches_back"] is False]
    return {
        "complete_since": max(begun, default=None) or _first(rows),
        "exceptions": exceptions + [_lacking(kind) for kind in feeds.missing_kinds(listed)],
        "feeds": rows,
        "not_covered": feeds.missing_kinds(listed),
    }


def _feed(
    feed: Declared, item: Read | None, failed: Mapping[str, str], read_at: datetime | None
) -> dict[str, Any]:
    reaches_back = None if item is None else item.since <= feed.launched
    return {
        "name": feed.name,
        "kind": feed.kind,
        "since": item.since if item else None,
        "until": item.until if item else None,
        "exists_since": feed.launched,
        "horizon_days": feed.horizon.days if feed.horizon else None,
        "reaches_back": reaches_back,
        "scopes": item.scopes if item else 0,
        "closed_scopes": list(item.closed) if item else [],
        "error": failed.get(feed.name),
        "state": _state(item, failed.get(feed.name), read_at),
    }


def _state(item: Read | None, error: str | None, read_at: datetime | None) -> str:
    if error:
        return "failed"
    if item is None:
        return "not_read"
    late = item.until is not None and read_at is not None and read_at - item.until > BEHIND
    return "behind" if late else "complete"


def _first(rows: Iterable[Mapping[str, Any]]) -> datetime | None:
    """Everything was read from its beginning: since the first of these."""
    return min((row["since"] for row in rows if row["since"]), default=None)


def _exceptions(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    name, found = row["name"], []
    if row["state"] == "failed":
        found.append(("failed", f"“{name}” could not be read lately ({row['error']})."))
    elif row["state"] == "not_read":
        found.append(("not_read", f"“{name}” has not been read yet."))
    elif row["state"] == "behind":
        found.append(("behind", f"“{name}” was read until {row['until']:%Y-%m-%d} only."))
    if row["reaches_back"] is False:
        why = "the exchange answers no further back" if row["horizon_days"] else "not further back"
        found.append(("horizon", f"“{name}” begins {row['since']:%Y-%m-%d}: {why}."))
    if row["closed_scopes"]:
        count = len(row["closed_scopes"])
        markets = ", ".join(row["closed_scopes"][:5]) + (" …" if count > 5 else "")
        found.append(("closed", f"The exchange has closed {count} markets of “{name}”: {markets}."))
    return [_exception(row, reason, sentence) for reason, sentence in found]


def _exception(row: Mapping[str, Any], reason: str, sentence: str) -> dict[str, Any]:
    return {
        "feed": row["name"], "kind": row["kind"], "reason": reason, "since": row["since"],
        "until": row["until"], "sentence": sentence,
    }  # fmt: skip


def _lacking(kind: str) -> dict[str, Any]:
    return {
        "feed": None, "kind": kind, "reason": "not_offered", "since": None, "until": None,
        "sentence": f"The exchange, as far as we can read it, does not tell of {kind}.",
    }  # fmt: skip
