"""Snapshots of 10,000 people with 30 holdings each, against the barest statement."""

from django.db import connection

from portfolios.models import PortfolioState
from portfolios.valuing import snapshots
from tests.benchmarks import rows
from tests.benchmarks.measure import Result, seconds
from tracker import clock, tenancy

PEOPLE, EACH, PRICES = 10_000, 30, 500
_BARE = """
INSERT INTO bare_snapshots
    (id, user_id, taken_at, total_value, currency, status, snapshot_data)
SELECT gen_random_uuid(), h.user_id, now(), sum(h.quantity * p.usd), 'USD', 'complete',
       jsonb_agg(jsonb_build_object('asset', h.asset_id, 'quantity', h.quantity,
                                    'price', p.usd, 'value', h.quantity * p.usd))
FROM holdings h JOIN prices p ON p.asset_id = h.asset_id GROUP BY h.user_id
"""


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    assets = rows.priced_assets(PRICES, now)
    users = rows.people(PEOPLE)
    rows.holdings(rows.connections_of(users, now), assets, EACH, now)
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bare_snapshots")
        cursor.execute("CREATE TABLE bare_snapshots (LIKE portfolio_snapshots)")
        PortfolioState.objects.bulk_create(PortfolioState(user=user) for user in users)
    ours, bare = [], []
    for _ in range(5):
        bare.append(seconds(_take_bare))
        with tenancy.as_system("benchmark"), connection.cursor() as cursor:
            PortfolioState.objects.update(next_snapshot_at=now)
            # Elsewhere time makes them due, and PostgreSQL knows the times. Set back here, they
            # would look like nobody's to it, and be planned for one row.
            cursor.execute("ANALYZE portfolio_states")
        ours.append(seconds(lambda: _take(now)))
    value, reference = sorted(ours)[2], sorted(bare)[2]
    ratio = value / reference
    return [
        Result("snapshots of 10,000 people × 30 holdings", value, "s",
               f"bare INSERT … SELECT {reference:.2f} s", ratio, "≤ 1.5", ratio <= 1.5)
    ]  # fmt: skip


def _take_bare() -> None:
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute(_BARE)


def _take(now) -> None:
    taken = snapshots.take_due(now=now)
    assert taken == PEOPLE, taken
