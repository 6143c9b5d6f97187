"""Service levels: what was promised, how far it was kept, what may still go wrong."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from audit import service_levels
from audit.models import ComponentDay, StatusComponent

TODAY = date(2026, 3, 10)


def day(key: str, good: int, total: int, ago: int = 0) -> None:
    part, _ = StatusComponent.objects.get_or_create(key=key, defaults={"title": key})
    ComponentDay.objects.create(
        component=part, day=TODAY - timedelta(days=ago), good=good, total=total
    )


def standing(name: str) -> service_levels.Standing:
    return {row.level.name: row for row in service_levels.standings(TODAY)}[name]


@pytest.mark.parametrize(
    ("good", "share", "budget", "kept"),
    [
        (1_000_000, "100", "100", True),
        (999_500, "99.95", "50", True),
        (999_000, "99.9", "0", True),
        (998_000, "99.8", "-100", False),
        (998_999, "99.899", "-0.1", False),
    ],
)
def test_the_budget_is_what_may_still_go_wrong(db, good, share, budget, kept):
    day("api", good, 1_000_000)
    found = standing("availability")
    assert (found.percent, found.budget_percent, found.kept) == (share, budget, kept)


def test_nearly_all_is_not_all(db):
    day("api", 9_999_999, 10_000_000)
    assert standing("availability").percent == "99.999"


def test_thirty_days_count_and_all_exchanges_together(db):
    day("sync.binance", 90, 100)
    day("sync.kraken", 100, 100, ago=29)
    day("sync.okx", 0, 100, ago=30)
    day("api", 1, 1)
    assert standing("sync_freshness").share == Decimal("0.95")


def test_of_how_much_of_the_window_anything_is_known_is_told(db):
    for key, up, ago in (("sync.okx", 1440, 0), ("sync.kraken", 700, 0), ("sync.okx", 720, 29)):
        day(key, 1, 1, ago)
        ComponentDay.objects.filter(component_id=key, day=TODAY - timedelta(days=ago)).update(
            up=up - 2, degraded=1, down=1
        )
    assert standing("sync_freshness").measured_days == "1.5"
    assert standing("availability").measured_days == "0"


def test_nothing_measured_is_neither_kept_nor_broken(db):
    found = standing("price_freshness")
    assert (found.share, found.budget_left, found.kept) == (None, None, None)
