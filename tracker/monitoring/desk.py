"""The queues on the front page of the admin: how many tasks wait, and for how long the next has."""

from datetime import datetime

from portfolios.models import SyncRun
from tracker import desk
from tracker.admin import list_url
from tracker.desk import Figure, Level, Tile
from tracker.monitoring import queues
from tracker.monitoring.queues import Queue

# As the alert rules have it (docs/deploy/prometheus/alerts.yml): long jobs may wait for an hour.
_LONG_JOBS = ("imports", "exports", "backtests")
_LATE, _LATE_LONG, _MOST = 300, 3600, 10_000


def waiting(*, now: datetime) -> Tile:
    """All queues, asked of the broker; no query. Raises redis.RedisError."""
    found = queues.standing(now=now)
    total, oldest = sum(queue.waiting for queue in found), max(found, key=lambda row: row.age)
    level = Level.BAD if any(map(_is_late, found)) else Level.FINE
    if level == Level.FINE and any(map(_is_nearly_late, found)):
        level = Level.WATCH
    waits = f"the longest for {_length(oldest.age)} in “{oldest.name}”" if total else "none waits"
    return Tile(
        f"{total:,}", level, f"tasks wait; {waits}.",
        tuple((f"{queue.name} ({_length(queue.age)})", float(queue.waiting)) for queue in found),
        "Tasks that wait by queue, and for how long the next one has", by_name=True,
        url=list_url(SyncRun, {"state__exact": "queued"}), link="Syncs that are queued",
    )  # fmt: skip


def _is_late(queue: Queue) -> bool:
    return queue.age > _allowed(queue) or queue.waiting > _MOST


def _is_nearly_late(queue: Queue) -> bool:
    return queue.age > _allowed(queue) / 5


def _allowed(queue: Queue) -> int:
    return _LATE_LONG if queue.name in _LONG_JOBS else _LATE


def _length(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


desk.add_figure(Figure("Queues", "audit.view_componentday", waiting, rank=10))
