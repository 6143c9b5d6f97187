"""The one place that reads the wall clock. Interfaces call it; the domain receives the time."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)
