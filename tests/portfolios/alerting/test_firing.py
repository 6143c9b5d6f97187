"""Settling: what one judgement may do to an alert, and what it may not."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from accounts.models import User
from portfolios.alerting import firing
from portfolios.alerting.firing import Judgement
from tests import factories
from tests.portfolios.alerting.conftest import firings, reread
from tracker import tenancy

SECOND = timedelta(seconds=1)


@pytest.fixture
def alert(alice, time):
    return factories.price_alert(
        alice, threshold=D(100), repeats=True, hysteresis=D(5), judged_at=time.now
    )


@pytest.fixture
def settle(alert, time):
    """`settle("told", at=2)`: by a figure of two seconds after the alert was made."""

    def settle(what: str = "told", *, at: int = 1, threshold: int = 100) -> bool:
        shown = D(101) if what == "told" else D(90)
        judgement = Judgement(
            alert.id, alert.user_id, D(threshold), what == "told", shown, time.now + at * SECOND
        )
        return firing.settle(judgement, now=time.now)

    return settle


def test_it_is_told_and_armed_in_turn(settle, alert):
    steps = [settle(at=1), settle("armed", at=2), settle(at=3)]
    assert steps == [True, True, True]
    assert firings(alert) == [101, 101]


def test_what_was_told_is_not_told_again_by_a_later_figure(settle, alert):
    assert settle(at=1)
    assert not settle(at=2)
    assert firings(alert) == [101]


def test_an_older_figure_neither_tells_nor_arms(settle, alert):
    """Another watcher brings what the first one has settled long ago."""
    assert settle(at=2)
    assert not settle("armed", at=1)
    assert settle("armed", at=3)
    assert not settle(at=1)
    assert not settle(at=3)
    assert reread(alert).armed


def test_nothing_is_armed_that_is(settle):
    assert not settle("armed")


def test_a_figure_from_before_the_alert_was_made_tells_nothing(settle, alert):
    assert not settle(at=0)
    assert firings(alert) == []


def test_a_threshold_that_was_changed_meanwhile_decides_anew(settle, alert):
    assert not settle(threshold=99)
    assert firings(alert) == []


def test_neither_a_paused_alert_nor_one_of_who_left_is_told(settle, alert, alice):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert not settle()
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=True)
        type(alert).objects.filter(id=alert.id).update(state="paused")
    assert not settle()
    assert firings(alert) == []
