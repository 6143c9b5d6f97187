"""Since when what is known of a person's accounts is complete, and except for what.

Every report of gains says it; ``GET /connections/{id}/coverage`` says it feed by feed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from exchanges import connections, coverage, feeds
from exchanges.models import ConnectionKind, ConnectionState, ExchangeConnection
from portfolios.models import SyncRun, SyncState

MOST_EXCEPTIONS = 50  # of one answer; an account has a few


def of_connection(*, user_id: UUID, connection_id: UUID) -> dict[str, Any]:
    """One account's coverage, with what is left of a run that goes on. Inside ``as_user``.

    Raises NotFound, KeptByHand.
    """
    row = connections.find(user_id=user_id, connection_id=connection_id)
    connections.require_exchange(row)
    return {
        "connection": row.id,
        "exchange": row.exchange_id,
        "last_complete_at": row.last_complete_at,
        **_told(user_id, [row])[row.id],
        "plan": _plan(user_id, row.id),
    }


def of_person(*, user_id: UUID) -> dict[str, Any]:
    """All accounts that exchanges tell of: complete since the latest of their beginnings.

    ``complete_since`` is None when nothing has been read. Call inside ``as_user``.
    """
    rows = list(
        ExchangeConnection.objects.filter(user_id=user_id, kind=ConnectionKind.EXCHANGE)
        .select_related("exchange")
        .order_by("id")
    )
    told = _told(user_id, rows)
    exceptions = [
        {"connection": row.id, "exchange": row.exchange_id, "label": row.label, **item}
        for row in rows
        for item in told[row.id]["exceptions"]
    ]
    return {
        "complete_since": _latest([told[row.id]["complete_since"] for row in rows]),
        "exceptions": exceptions[:MOST_EXCEPTIONS],
        "more_exceptions": max(len(exceptions) - MOST_EXCEPTIONS, 0),
        "importing": [row.id for row in rows if row.state == ConnectionState.PENDING],
    }


def sentence(told: Mapping[str, Any], *, most: int = 5) -> str:
    """The coverage of a person in words: “complete since …, except …”."""
    since = told["complete_since"]
    if since is None:
        return "No account has been read from an exchange."
    exceptions = [
        f"{item['exchange']} {item['label']}".strip() + f": {item['sentence']}"
        for item in told["exceptions"][:most]
    ]
    left = len(told["exceptions"]) - len(exceptions) + told["more_exceptions"]
    more = [f"{left} more, listed under coverage."] if left else []
    head = f"What exchanges told is complete since {since:%Y-%m-%d}"
    return f"{head}, except: " + " ".join([*exceptions, *more]) if exceptions else f"{head}."


def _latest(instants: Sequence[datetime | None]) -> datetime | None:
    return max((at for at in instants if at), default=None)


def _told(user_id: UUID, rows: Sequence[ExchangeConnection]) -> dict[UUID, dict[str, Any]]:
    keys = [row.id for row in rows]
    found = coverage.read(user_id=user_id, connection_ids=keys)
    failed = _failed(user_id, keys)
    declared = {name: feeds.declared(name) for name in {row.exchange_id for row in rows}}
    return {
        row.id: coverage.told(
            declared=declared[row.exchange_id], found=found.get(row.id, {}),
            failed=failed.get(row.id, {}), read_at=row.last_synced_at,
        )
        for row in rows
    }  # fmt: skip


def _failed(user_id: UUID, keys: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
    """By connection, the feeds that the last finished run could not read, with why.

    A market that the exchange has closed is told by the coverage itself.
    """
    runs = (
        SyncRun.objects.filter(user_id=user_id, connection_id__in=keys)
        .exclude(finished_at=None)
        .order_by("connection_id", "-requested_at", "-id")
        .distinct("connection_id")
    )
    return {
        run.connection_id: {
            item["feed"]: item["code"]
            for item in run.problems
            if item["feed"] != "balances" and item["code"] != "exchange_symbol_unknown"
        }
        for run in runs
    }


def _plan(user_id: UUID, connection_id: UUID) -> dict[str, Any] | None:
    """What is left of the run that is open: calls, and about how long they take."""
    run = SyncRun.objects.filter(
        user_id=user_id, connection_id=connection_id,
        state__in=[SyncState.QUEUED, SyncState.RUNNING],
    ).first()  # fmt: skip
    if run is None:
        return None
    return {
        "run": run.id, "state": run.state, "phase": run.phase, "calls_done": run.calls_done,
        "calls_left": run.calls_left, "seconds_left": run.seconds_left,
    }  # fmt: skip
