"""The calls of a visit as a sync run keeps them: small, for a few of the newest runs only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection as database

from exchanges.reports import Asked, Timeline

KEPT_RUNS = 10
_EMPTIED_AT_ONCE = 3  # more than one, to catch up with a run that was left out


@dataclass(frozen=True, slots=True)
class Stretch:
    """Calls that follow each other, and how many were left out before them."""

    left_out: int
    calls: tuple[Asked, ...]


def to_plain(timeline: Timeline) -> dict[str, Any]:
    """A timeline as JSON takes it, each call a list in the order of ``Asked``; ``{}`` if empty."""
    if not timeline.first:
        return {}
    plain: dict[str, Any] = {"first": timeline.first}
    if timeline.last:
        plain |= {"last": timeline.last, "left_out": timeline.left_out}
    return plain


def from_plain(plain: Mapping[str, Any]) -> list[Stretch]:
    """The calls of a stored timeline in order."""
    stretches = [Stretch(0, _calls(plain.get("first")))]
    if plain.get("last"):
        stretches.append(Stretch(int(plain.get("left_out") or 0), _calls(plain["last"])))
    return [stretch for stretch in stretches if stretch.calls]


def _calls(rows: Any) -> tuple[Asked, ...]:
    return tuple(Asked(*row) for row in rows or ())


def forget_older(*, user_id: UUID, connection_id: UUID) -> None:
    """Empty the timelines of runs that are not among the newest. Call inside ``as_user``.

    Each run that ends pushes one out, so only those next in line are looked at: a connection may
    have thousands of runs.
    """
    with database.cursor() as cursor:
        cursor.execute(
            """
            UPDATE sync_runs SET timeline = '{}'
            WHERE user_id = %(user)s AND timeline <> '{}' AND id IN (
                SELECT id FROM sync_runs
                WHERE user_id = %(user)s AND connection_id = %(connection)s
                ORDER BY requested_at DESC OFFSET %(kept)s LIMIT %(some)s
            )
            """,
            {
                "user": user_id, "connection": connection_id, "kept": KEPT_RUNS,
                "some": _EMPTIED_AT_ONCE,
            },
        )  # fmt: skip
