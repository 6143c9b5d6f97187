"""Candles that are stored as if they had been fetched, and who asks for backtests."""

import csv
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchanges import candle_table, intervals
from exchanges.bars import Bar
from exchanges.intervals import LENGTHS
from exchanges.models import PriceNeed
from portfolios import tasks
from tests import broker, factories
from tracker import clock

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def store(code: str, bars: Sequence[Sequence[float]], *, start=START, interval="1d", gone=()):
    """Open, high, low, close of each interval; all that markets had. Returns the asset."""
    asset, length = factories.asset(code), LENGTHS[interval]
    found = {
        start + place * length: Bar(*(Decimal(str(price)) for price in bar), Decimal(1), "binance")
        for place, bar in enumerate(bars)
        if place not in gone
    }
    now = clock.now()
    candle_table.store(asset_id=asset.id, interval=interval, found=found, now=now)
    PriceNeed.objects.create(
        asset=asset, kind="candle", interval=interval, since=start - 3650 * DAY,
        until=intervals.begins(now, interval), state="done", asked_at=now,
    )  # fmt: skip
    return asset


def waves(bars: int, *, period: float = 40.0, base: float = 100.0) -> list[tuple[float, ...]]:
    """Prices that rise and fall, so that averages cross."""
    closes = [base * (1 + 0.3 * math.sin(place / period * 2 * math.pi)) for place in range(bars)]
    opens = [closes[0], *closes[:-1]]
    return [
        (opened, max(opened, close) * 1.01, min(opened, close) * 0.99, close)
        for opened, close in zip(opens, closes, strict=True)
    ]


def recorded(folder, name: str) -> dict[datetime, tuple[str, ...]]:
    with (folder / name).open(newline="") as lines:
        return {
            datetime.fromisoformat(row["timestamp"]): tuple(
                row[column] for column in ("open", "high", "low", "close")
            )
            for row in csv.DictReader(lines)
        }


def keep(api, **changes):
    """A strategy of the person's; its id."""
    told = {"name": "mine", "kind": "sma_crossover", "parameters": {"fast": 5, "slow": 20}}
    answer = api.post("/strategies", told | changes)
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def wanted(strategy, *assets, bars=365, **changes):
    return {
        "strategy": strategy, "assets": [str(asset.id) for asset in assets], "interval": "1d",
        "from": START.isoformat(), "to": (START + bars * DAY).isoformat(),
    } | changes  # fmt: skip


def work() -> int:
    """What a worker does with what was queued."""
    return broker.work_off(tasks.run_backtest, "backtests")


@pytest.fixture
def api(client_of, alice):
    return client_of(alice)


@pytest.fixture
def backtest(api, django_capture_on_commit_callbacks):
    """`backtest(strategy, asset, fee="0.001")`: asked for, worked off, and read."""

    def backtest(*args, **changes):
        with django_capture_on_commit_callbacks(execute=True):
            answer = api.post("/backtests", wanted(*args, **changes))
        assert answer.status_code == 202, answer.content
        work()
        return api.get(f"/backtests/{answer.json()['id']}").json()

    return backtest
