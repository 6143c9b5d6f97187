"""An asset that no market quotes any more: its alerts say so, once, and come back with it."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from tests import factories
from tests.portfolios.alerting.conftest import firings, reread, told

FOUR_DAYS = timedelta(days=4)
GONE = ("BTC is quoted by no market any more", "")


@pytest.fixture
def alert(alice, price):
    price("BTC", 90)
    return factories.price_alert(alice, threshold=D(100), note="sell")


def test_the_person_is_told_once_and_the_alert_says_so(client_of, alice, alert, sweep):
    sweep(after=timedelta(days=2))
    assert reread(alert).state == "active"  # it may come back
    sweep(after=timedelta(days=2))
    sweep()
    assert told(alice) == [GONE]
    shown = client_of(alice).get(f"/alerts/{alert.id}").json()
    assert shown["state"] == "impossible"
    assert shown["current"]["status"] == "stale"
    assert firings(alert) == []


def test_it_is_watched_again_once_it_is_quoted_again(alice, alert, sweep):
    sweep(after=FOUR_DAYS)
    sweep(BTC=91)
    assert reread(alert).state == "active"
    sweep(BTC=101)
    assert firings(alert) == [101]
    assert [title for title, _ in told(alice)] == [GONE[0], "BTC is above 100 USD"]


def test_a_second_delisting_is_told_again(alice, alert, sweep):
    sweep(after=FOUR_DAYS)
    sweep(BTC=91)
    sweep(after=FOUR_DAYS)
    assert told(alice) == [GONE, GONE]


def test_where_no_price_is_young_it_is_we_who_are_cut_off(alice, alert, time):
    from portfolios import tasks

    time.forward(days=4)
    tasks.check_alerts()
    assert reread(alert).state == "active"
    assert told(alice) == []


def test_paused_alerts_and_portfolios_have_nothing_to_do_with_it(alice, price, sweep):
    price("BTC", 90)
    paused = factories.price_alert(alice, state="paused")
    worth = factories.price_alert(alice, kind="value_above", asset=None)
    sweep(after=FOUR_DAYS)
    assert (reread(paused).state, reread(worth).state) == ("paused", "active")
    assert told(alice) == []


def test_one_that_cannot_come_true_can_be_paused_but_not_resumed(client_of, alice, alert, sweep):
    sweep(after=FOUR_DAYS)
    api, path = client_of(alice), f"/alerts/{alert.id}"
    assert api.patch(path, {"state": "paused"}).json()["state"] == "paused"
    answer = api.patch(path, {"state": "active"})
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_quoted")
