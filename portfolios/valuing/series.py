"""Snapshots over time, thinned to one per interval."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Window
from django.db.models.functions import RowNumber, Trunc
from django.utils.dateparse import parse_datetime

from portfolios.models import PortfolioSnapshot
from tracker.api import InvalidInput

INTERVALS = {"hour", "day", "week", "month"}
MAX_POINTS = 2_000
_KNOWN = {"from", "to", "interval"}


def snapshots(*, user_id: UUID, query: Mapping[str, str], now: datetime) -> list[dict[str, Any]]:
    """The last snapshot of each interval in [from, to), oldest first; the newest 2,000 of them.

    Without ``from`` the last year, without ``to`` until now. Call inside ``as_user``. Raises
    InvalidInput.
    """
    for name in sorted(set(query) - _KNOWN):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")
    interval = query.get("interval", "day")
    if interval not in INTERVALS:
        raise InvalidInput.of("interval", f"Use one of {', '.join(sorted(INTERVALS))}.")
    until = _instant(query, "to") or now + timedelta(seconds=1)
    since = _instant(query, "from") or until - timedelta(days=366)
    if since >= until:
        raise InvalidInput.of("from", "This lies after the end of the range.")
    latest_first = Window(
        RowNumber(), partition_by=Trunc("taken_at", interval), order_by=["-taken_at", "-id"]
    )
    rows = (
        PortfolioSnapshot.objects.filter(user_id=user_id, taken_at__gte=since, taken_at__lt=until)
        .annotate(place=latest_first)
        .filter(place=1)
        .order_by("-taken_at", "-id")
        .values("id", "taken_at", "total_value", "currency", "status")[:MAX_POINTS]
    )
    return [dict(row) for row in rows][::-1]


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        found = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput.of(name, "Use an instant with its zone, such as 2026-01-31T00:00:00Z.")
    return found
