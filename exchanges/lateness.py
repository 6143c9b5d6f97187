"""When an account that should have been read counts as late.

``late_after`` stands with the account and moves only with what is expected of it: a visit that was
recorded promises the next within the plan's interval, a key, a resumption or a larger plan promise
one from then on. Dispatching, failing and waiting for an exchange move ``next_sync_at`` alone, so
that an account which nobody manages to read becomes late, whoever's fault that is. To each promise
half an interval of grace is added. What is paused, needs a key, or is beyond its plan is not
expected, and is not counted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection as database

from billing import entitlements


@dataclass(frozen=True, slots=True)
class Count:
    """Of the accounts of one exchange that are expected to be read by themselves: how many, how
    many are not late, and for how long the one that is latest has been (seconds)."""

    exchange: str
    name: str
    accounts: int
    in_time: int
    lag: float


def after(due: datetime, *, every: timedelta) -> datetime:
    """From when on an account is late that should be read at an instant."""
    return due + every / 2


def from_now(user_id: UUID, *, now: datetime) -> datetime:
    """The same for accounts that somebody expects to be read now, at the pace of their plan."""
    plan = entitlements.of_users([user_id], now=now)[user_id].plan
    return after(now, every=plan.sync_every)


_COUNTS = """
SELECT found.exchange_id, e.name, found.accounts, found.in_time, found.lag
FROM (
    SELECT exchange_id, count(*) AS accounts,
           count(*) FILTER (WHERE late_after >= %(now)s) AS in_time,
           extract(epoch FROM greatest(%(now)s - min(late_after), interval '0'))::float AS lag
    FROM exchange_connections WHERE next_sync_at IS NOT NULL AND late_after IS NOT NULL
    GROUP BY exchange_id
) found JOIN exchanges e ON e.id = found.exchange_id ORDER BY found.exchange_id
"""


def counts(*, now: datetime) -> list[Count]:
    """How far accounts are read in time, by exchange. Call inside ``as_system``."""
    with database.cursor() as cursor:
        cursor.execute(_COUNTS, {"now": now})
        return [Count(*row) for row in cursor.fetchall()]
