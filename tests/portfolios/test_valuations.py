"""Daily valuations from the ledger, the reports and the prices, as they are stored."""

from datetime import UTC, timedelta
from decimal import Decimal as D

import pytest

from exchanges.models import Asset, HistoricPrice, Price
from portfolios import books, valuations
from portfolios.models import DailyValuation, LedgerEntry
from tracker import clock, tenancy


@pytest.fixture
def synced(alice, connect, visit, priced):
    connection = connect(alice, 3)
    assert visit(connection) == {"complete": 1}
    return connection


@pytest.fixture
def history(synced, alice):
    """A close for every priced asset on every day since the first entry."""
    now = clock.now()
    with tenancy.as_user(alice.id):
        first = LedgerEntry.objects.filter(user_id=alice.id).order_by("occurred_at").first()
    start = first.occurred_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = []
    for price in Price.objects.exclude(asset__slug="usd"):
        at, n = start - timedelta(days=1), 0
        while at.date() < now.date():
            usd = price.usd * (1 + D(n % 7 - 3) / 100)
            rows.append(HistoricPrice(asset_id=price.asset_id, interval="1d", at=at, usd=usd, source="t"))
            at, n = at + timedelta(days=1), n + 1
    HistoricPrice.objects.bulk_create(rows)
    return start.date()


def value(alice, since=None, now=None):
    with tenancy.as_user(alice.id):
        valuations.revalue(user_id=alice.id, since=since, now=now or clock.now())
        return list(DailyValuation.objects.filter(user_id=alice.id).order_by("day", "scope"))


def test_smoke(alice, synced, history, client_of):
    import time

    t = time.time()
    rows = value(alice)
    print(len(rows), time.time() - t)
    t = time.time()
    rows = value(alice)
    print(len(rows), time.time() - t)
    total = [r for r in rows if r.scope == "portfolio"]
    for r in total[:3] + total[-3:]:
        print({k: str(v) for k, v in r.__dict__.items() if k not in ("_state", "id", "user_id", "scope_id")})
    home = client_of(alice).get("/portfolio").json()
    print(home["total_value"], home["status"], home["unpriced"])
    from exchanges.models import PriceNeed
    print(PriceNeed.objects.count(), list(PriceNeed.objects.values_list("interval","since","until"))[:8])
    assert 0


def test_smoke_api(alice, synced, history, client_of):
    import json
    value(alice)
    from portfolios.models import PortfolioState
    with tenancy.as_user(alice.id):
        PortfolioState.objects.filter(user_id=alice.id).update(derived_revision=10**6)
    api = client_of(alice)
    for path in ("/performance", "/performance?range=1D", "/series?points=10", "/attribution?range=1M", "/allocation", f"/performance?connection={synced.id}&range=1Y"):
        answer = api.get(path)
        print(path, answer.status_code, json.dumps(answer.json(), indent=1)[:2600])
    assert 0
