"""100,000 alerts against a batch of ticks of 500 assets, and loading them from PostgreSQL.

The reference looks at every alert at every tick, with the same conditions and the same prices.
Most alerts are not reached, as in life: of each batch some tens come true or are armed again.
"""

import random
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from exchanges.models import Asset
from portfolios.alerting import conditions, watched
from portfolios.alerting.book import Book, Quoted
from portfolios.alerting.ladders import Watched
from tests.benchmarks import measure as measuring
from tests.benchmarks import rows
from tests.benchmarks.measure import Result
from tracker import clock, tenancy

ALERTS, ASSETS, PEOPLE, BATCHES = 100_000, 500, 1_000, 20
Batch = list[tuple[UUID, Quoted]]


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    assets = rows.priced_assets(ASSETS + 1, now)[1:]
    _alerts(assets, now)
    loading = measuring.seconds(_load, rounds=3)
    tracemalloc.start()
    book = _load()
    memory = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    plain = _OneByOne(_read())
    ours, theirs, found = [], [], 0
    for batch in _batches(assets, now):
        fresh_since = now - timedelta(hours=1)
        start = time.perf_counter()
        found += len(book.take(batch, fresh_since=fresh_since))
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        plain.take(batch)
        theirs.append(time.perf_counter() - start)
    if found != plain.found:
        raise RuntimeError(f"the book found {found}, looking at each {plain.found}")
    worst, reference = max(ours) * 1000, sorted(theirs)[len(theirs) // 2] * 1000
    median = sorted(ours)[len(ours) // 2] * 1000
    return [
        Result("100,000 alerts, ticks of 500 assets, slowest batch", worst, "ms",
               f"one by one {reference:,.0f} ms, found {found}", median / reference, "≤ 50 ms",
               worst <= 50),
        Result("loading 100,000 alerts from PostgreSQL", loading, "s", f"{memory:,.0f} MB",
               None, "≤ 10 s", loading <= 10),
    ]  # fmt: skip


def _alerts(assets: list[Asset], now: datetime) -> None:
    """Above, below, and moves within an hour or a day; a fifth of them in euros."""
    people = rows.people(PEOPLE)
    assets[0] = Asset.objects.create(slug="eur", code="EUR")
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO price_alerts (id, user_id, kind, asset_id, threshold, currency, direction,
                "window", repeats, hysteresis, note, state, armed, judged_at, told_count,
                created_at, updated_at)
            SELECT gen_random_uuid(), (%(people)s::uuid[])[1 + n %% %(count)s],
                   CASE n %% 5 WHEN 0 THEN 'price_change' WHEN 1 THEN 'price_below'
                       WHEN 2 THEN 'price_below' ELSE 'price_above' END,
                   (%(assets)s::uuid[])[1 + n %% %(of)s],
                   CASE n %% 5 WHEN 0 THEN 1 + n %% 40
                       WHEN 1 THEN 100 - 0.01 * (n %% 4000) - 1
                       WHEN 2 THEN 100 - 0.01 * (n %% 4000) - 1
                       ELSE 100 + 0.01 * (n %% 4000) + 1 END,
                   CASE WHEN n %% 7 = 0 THEN 'EUR' ELSE 'USD' END,
                   CASE n %% 5 WHEN 0 THEN (ARRAY['up', 'down', 'any'])[1 + n %% 3] ELSE '' END,
                   CASE n %% 5 WHEN 0 THEN
                       (ARRAY[interval '1 hour', interval '1 day'])[1 + n %% 2] END,
                   n %% 2 = 0, CASE n %% 2 WHEN 0 THEN 1 ELSE 0 END, '', 'active', true, %(now)s,
                   0, %(now)s, %(now)s
            FROM generate_series(1, %(alerts)s) AS n
            """,
            {"people": [one.id for one in people], "count": PEOPLE, "now": now, "alerts": ALERTS,
             "assets": [one.id for one in assets], "of": ASSETS},
        )  # fmt: skip


def _read() -> list[Watched]:
    return watched.everything()


def _load() -> Book:
    book = Book(_currencies())
    book.load(_read())
    return book


def _currencies() -> dict[str, UUID]:
    return {"EUR": Asset.objects.get(slug="eur").id}


def _batches(assets: list[Asset], now: datetime) -> Iterable[Batch]:
    """Prices that walk around 100; the euro among them, which moves all prices in euros."""
    chance = random.Random(7)
    prices = {one.id: 1.0 if one.code == "EUR" else 100.0 for one in assets}
    for number in range(BATCHES):
        at, batch = now + timedelta(seconds=number), []
        for asset_id in prices:
            prices[asset_id] *= 1 + chance.gauss(0, 0.003)
            usd = Decimal(str(round(prices[asset_id], 6)))
            batch.append((asset_id, Quoted(usd, at)))
        yield batch


class _OneByOne:
    """What the book replaces: each batch looks at every alert."""

    def __init__(self, alerts: list[Watched]) -> None:
        self._alerts, self.found = alerts, 0
        self._extremes: defaultdict[object, list[tuple[datetime, Decimal]]] = defaultdict(list)
        self._euro = _currencies()["EUR"]

    def take(self, batch: Batch) -> None:
        quotes, moves = dict(batch), {}
        for alert in self._alerts:
            price = self._price(quotes, alert)
            figure = self._move(moves, alert, price) if alert.window else price
            self._judge(alert, figure)

    def _price(self, quotes: dict[UUID, Quoted], alert: Watched) -> Decimal:
        usd = quotes[alert.asset_id].usd
        if alert.currency == "USD":
            return usd
        return (usd / quotes[self._euro].usd).quantize(Decimal("1e-30"))

    def _move(self, moves: dict[object, Decimal], alert: Watched, price: Decimal) -> Decimal:
        key = (alert.asset_id, alert.currency, alert.window, alert.direction)
        if key not in moves:
            held = self._extremes[key]
            held.append((clock.now(), price))
            prices = [one for _, one in held]
            moves[key] = conditions.moved(
                price, low=min(prices), high=max(prices), direction=alert.direction
            ).figure
        return moves[key]

    def _judge(self, alert: Watched, figure: Decimal) -> None:
        if alert.armed:
            if conditions.reached(figure, threshold=alert.threshold, rises=alert.rises):
                alert.armed, self.found = False, self.found + 1
        elif alert.repeats and conditions.gone_back(
            figure, threshold=alert.threshold, hysteresis=alert.hysteresis, rises=alert.rises
        ):
            alert.armed, self.found = True, self.found + 1
