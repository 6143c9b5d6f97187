"""A still clock, prices in PostgreSQL, and what people were told."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
import time_machine

from accounts.models import Delivery, User
from exchanges.models import Price
from portfolios import tasks
from portfolios.models import AlertFiring, PriceAlert
from tests import factories
from tracker import clock, tenancy

START = "2026-03-02T12:00:00Z"


class Clock:
    """Time that stands still until the test moves it."""

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller

    @property
    def now(self) -> datetime:
        return clock.now()

    def forward(self, **span: float) -> None:
        self._traveller.shift(timedelta(**span))


@pytest.fixture
def time():
    with time_machine.travel(START, tick=False) as traveller:
        yield Clock(traveller)


@pytest.fixture
def price(db, time) -> Callable[..., None]:
    """`price("BTC", 100)`: the latest price in PostgreSQL, as of now."""

    def price(code: str, usd: Any, *, age: timedelta = timedelta()) -> None:
        Price.objects.update_or_create(
            asset=factories.asset(code),
            defaults={"usd": D(str(usd)), "source": "binance: x", "as_of": time.now - age,
                      "fetched_at": time.now},
        )  # fmt: skip

    price("USD", 1)
    return price


@pytest.fixture
def sweep(time, price) -> Callable[..., None]:
    """`sweep(BTC=100)`: a minute later that is the price, and the beat's task runs."""

    def sweep(*, after: timedelta = timedelta(minutes=1), **prices: Any) -> None:
        time.forward(seconds=after.total_seconds())
        for code, usd in ({"USD": 1} | prices).items():
            price(code, usd)
        tasks.set_alerts_aside()
        tasks.check_alerts()

    return sweep


def told(user: User) -> list[tuple[str, str]]:
    """Title and value of every e-mail about alerts, oldest first."""
    with tenancy.as_system("test"):
        rows = Delivery.objects.filter(user=user, event="price_alert", channel="email")
        found = rows.order_by("id").values_list("parameters", flat=True)
        # What an hour brings too much of is named by one message without a title.
        return [(row["title"], row["value"]) for row in found if "title" in row]


def reread(alert: PriceAlert) -> PriceAlert:
    with tenancy.as_system("test"):
        return PriceAlert.objects.get(id=alert.id)


def firings(alert: PriceAlert) -> list[D]:
    with tenancy.as_system("test"):
        rows = AlertFiring.objects.filter(alert=alert).order_by("at", "id")
        return list(rows.values_list("value", flat=True))
