"""Telling how far the visits of a batch are: on their runs, and to whoever looks at the app."""

import threading
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection as database

from exchanges.reports import Progress
from portfolios.sync.recording import Claim
from tracker import live, tenancy

# What was read before this visit is on the run already.
_NOTE = """
UPDATE sync_runs SET phase = told.phase, calls_done = told.before + told.calls,
    calls_left = told.calls_left, seconds_left = told.seconds_left
FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::int[], %s::int[], %s::int[])
    AS told (connection_id, phase, before, calls, calls_left, seconds_left)
WHERE sync_runs.connection_id = told.connection_id AND sync_runs.state = 'running'
RETURNING sync_runs.connection_id
"""


class Board:
    """The latest progress of each visit. The gateway's thread writes, two others tell: one by the
    clock, and the one that ends visits, so that nothing is told of a visit that has ended."""

    def __init__(self, claims: Mapping[UUID, Claim]) -> None:
        self._claims = claims
        self._latest: dict[UUID, Progress] = {}
        self._told: dict[UUID, Progress] = {}
        self._telling = threading.Lock()

    def note(self, progress: Progress) -> None:
        """Remember how far a visit is. Never waits."""
        self._latest[progress.connection_id] = progress

    def tell(self) -> None:
        """Write down what has changed since it was last told, and publish it.

        Returns when all that was noted before is written, whoever writes it. What found no run
        that goes on counts as not told.
        """
        with self._telling:
            latest = dict(self._latest)
            changed = [item for key, item in latest.items() if self._told.get(key) is not item]
            written = self._write(changed) if changed else {}
            self._told |= written
        for item in written.values():
            self._publish(item)

    def _write(self, changed: Sequence[Progress]) -> dict[UUID, Progress]:
        """Returns what was written, by connection."""
        before = [self._claims[item.connection_id].calls_before for item in changed]
        with tenancy.as_system("note the progress of visits"), database.cursor() as cursor:
            cursor.execute(
                _NOTE,
                [
                    [item.connection_id for item in changed], [item.phase for item in changed],
                    before, [item.calls for item in changed],
                    [item.calls_left for item in changed], [item.seconds_left for item in changed],
                ],
            )  # fmt: skip
            found = {connection_id for (connection_id,) in cursor.fetchall()}
        return {item.connection_id: item for item in changed if item.connection_id in found}

    def _publish(self, item: Progress) -> None:
        claim = self._claims[item.connection_id]
        done = claim.calls_before + item.calls
        live.publish(
            user_id=claim.user_id, topic=live.SYNC,
            payload={
                "connection": item.connection_id, "state": "running", "phase": item.phase,
                "done": done, "planned": done + item.calls_left,
                "seconds_left": item.seconds_left,
            },
        )  # fmt: skip
