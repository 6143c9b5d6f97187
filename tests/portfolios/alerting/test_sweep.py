"""The sweep each minute: tells what has come true by prices in PostgreSQL, once."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection

from accounts import messages
from accounts.models import Delivery, User
from portfolios import tasks
from portfolios.alerting import conditions
from portfolios.models import PriceAlert, PriceRange
from tests import factories
from tests.portfolios.alerting.conftest import firings, reread, told
from tests.threads import at_once
from tracker import tenancy

HOUR = timedelta(hours=1)


def test_an_alert_is_told_once_with_its_figure(alice, price, sweep):
    alert = factories.price_alert(alice, note="sell half")
    sweep(BTC="99999.5")
    assert told(alice) == []
    sweep(BTC="100123.456")
    sweep()
    assert told(alice) == [("BTC is above 100,000 USD", "100,123.46 USD")]
    assert firings(alert) == [D("100123.456")]
    row = reread(alert)
    assert (row.state, row.armed, row.told_count) == ("triggered", False, 1)


def test_the_message_names_what_came_true_and_the_note(alice, price, sweep):
    factories.price_alert(alice, note="sell half", kind="price_below", threshold=D("0.5"))
    sweep(BTC="0.0123456789")
    with tenancy.as_system("test"):
        delivery = Delivery.objects.select_related("user").get(user=alice, channel="email")
        message = messages.write(delivery, now=delivery.created_at)
    assert message.subject == "BTC is below 0.5 USD"
    for text in (message.text, message.html):
        assert "BTC is below 0.5 USD" in text
        assert "0.0123457 USD" in text
        assert "sell half" in text


def test_a_repeating_one_is_told_again_after_the_price_has_gone_back(alice, price, sweep):
    alert = factories.price_alert(alice, threshold=D(100), repeats=True, hysteresis=D(5))
    for usd in (101, 96, 102, "94.9", 103):
        sweep(BTC=usd)
    assert firings(alert) == [101, 103]
    assert reread(alert).state == "active"


@pytest.mark.parametrize(("state", "told_times"), [("active", 1), ("paused", 0), ("triggered", 0)])
def test_only_active_alerts_are_told(alice, price, sweep, state, told_times):
    factories.price_alert(alice, state=state, threshold=D(1))
    sweep(BTC=2)
    assert len(told(alice)) == told_times


def test_everybody_is_told_of_their_own(alice, bob, charlie, price, sweep):
    factories.price_alert(alice, threshold=D(100))
    factories.price_alert(bob, threshold=D(100))
    factories.price_alert(charlie, threshold=D(102))
    sweep(BTC=101)
    assert [len(told(user)) for user in (alice, bob, charlie)] == [1, 1, 0]


def test_somebody_who_left_is_told_nothing(alice, price, sweep):
    factories.price_alert(alice, threshold=D(1))
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    sweep(BTC=2)
    assert told(alice) == []


def test_a_price_in_another_currency_needs_the_rate(alice, price, sweep):
    alert = factories.price_alert(alice, threshold=D(100), currency="EUR")
    sweep(BTC=500)
    assert firings(alert) == []  # not 500 of anything
    price("EUR", "1.25", age=timedelta(hours=2))
    sweep(BTC=500)
    assert firings(alert) == []  # nor by a rate of two hours ago
    sweep(BTC=500, EUR="1.25")
    assert firings(alert) == [400]


def test_an_old_price_tells_nothing(alice, price, sweep):
    alert = factories.price_alert(alice, threshold=D(1))
    price("BTC", 2, age=timedelta(minutes=20))
    sweep()
    assert firings(alert) == []


def test_a_price_from_before_the_alert_was_made_or_changed_tells_nothing(alice, price, sweep):
    price("BTC", 2)
    alert = factories.price_alert(alice, threshold=D(1))
    sweep()
    assert firings(alert) == []
    sweep(BTC=2)
    assert firings(alert) == [2]


def test_a_price_that_is_older_than_the_last_judgement_arms_nothing(alice, price, sweep, time):
    """The stream told 101; the record is still at the 90 from before."""
    alert = factories.price_alert(
        alice, threshold=D(100), repeats=True, armed=False,
        judged_at=time.now + timedelta(seconds=50),
    )  # fmt: skip
    time.forward(seconds=45)
    price("BTC", 90)
    sweep(after=timedelta(seconds=15))
    assert not reread(alert).armed
    sweep(BTC=90)
    assert reread(alert).armed


# --- moves within a window ----------------------------------------------------------------------
def change(user, **fields) -> PriceAlert:
    plain = {"kind": "price_change", "threshold": D(5), "direction": "any", "window": HOUR}
    return factories.price_alert(user, **plain | fields)


def test_a_move_is_told_from_the_extreme_of_the_window(alice, price, sweep):
    alert = change(alice)
    for usd in (100, 98, 101, "102.9"):
        sweep(BTC=usd)
    assert firings(alert) == [D(5)]
    assert told(alice) == [("BTC rose by 5 % within 1 hour", "5 %")]


def test_a_fall_is_negative_and_only_told_to_who_waits_for_falls(alice, bob, price, sweep):
    falls, rises = change(alice, direction="down"), change(bob, direction="up")
    for usd in (100, 94):
        sweep(BTC=usd)
    assert (firings(falls), firings(rises)) == ([D(-6)], [])
    assert told(alice) == [("BTC fell by 6 % within 1 hour", "-6 %")]


def test_a_move_slower_than_its_window_is_not_told(alice, price, sweep):
    alert = change(alice)
    for usd in (100, 104, 108, 112):
        sweep(BTC=usd)
        sweep(BTC=usd, after=timedelta(minutes=61))
    assert firings(alert) == []


def test_a_long_window_is_known_by_the_hour(alice, price, sweep):
    alert = change(alice, threshold=D(50), window=timedelta(days=7))
    sweep(BTC=100)
    sweep(BTC=160, after=timedelta(days=6))
    assert firings(alert) == [D(60)]


def test_moves_are_remembered_of_what_is_watched_alone_and_not_for_ever(alice, price, sweep):
    change(alice)
    factories.price_alert(alice, asset=factories.asset("ETH"))
    sweep(BTC=100, ETH=5)
    rows = PriceRange.objects.values_list("asset__code", "low", "high")
    assert set(rows) == {("BTC", 100, 100)}
    assert rows.all().count() == 2  # a minute and an hour
    sweep(after=timedelta(days=2))
    assert rows.all().count() == 1
    sweep(after=timedelta(days=40))
    assert rows.all().count() == 0


# --- once, whoever sees it ----------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_tell_once(alice, price, sweep, time):
    alert = factories.price_alert(alice, threshold=D(1))
    time.forward(minutes=1)
    price("BTC", 2)
    at_once(4, lambda _: tasks.check_alerts())
    assert firings(alert) == [2]
    assert len(told(alice)) == 1


def test_the_statement_says_what_the_pure_conditions_say(alice, price, sweep):
    """Every place around the thresholds, for both sides, armed and not."""
    figures = [D(text) for text in ("94.9", "95", "95.1", "100", "104.9", "105", "105.1")]
    for figure in figures:
        alerts = [
            factories.price_alert(alice, kind=kind, threshold=D(100), hysteresis=D(5),
                                  repeats=True, armed=armed)
            for kind in ("price_above", "price_below") for armed in (True, False)
        ]  # fmt: skip
        sweep(BTC=figure)
        for alert in alerts:
            rises = alert.kind in conditions.RISING
            reached = conditions.reached(figure, threshold=D(100), rises=rises)
            back = conditions.gone_back(figure, threshold=D(100), hysteresis=D(5), rises=rises)
            expected = not reached if alert.armed else back
            assert reread(alert).armed is expected, (figure, alert.kind, alert.armed)
            assert len(firings(alert)) == (reached and alert.armed)
        with tenancy.as_system("test"):
            PriceAlert.objects.all().delete()


def test_one_alert_that_cannot_be_settled_holds_up_no_other(alice, bob, price, sweep):
    broken = factories.price_alert(alice)
    fine = [factories.price_alert(user) for user in (alice, bob)]
    with connection.cursor() as cursor:  # as if its person were being erased just now
        cursor.execute(
            """
            CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'refused'; END $$;
            """
            f"CREATE TRIGGER refuse_one BEFORE INSERT ON alert_firings FOR EACH ROW "
            f"WHEN (NEW.alert_id = '{broken.id}') EXECUTE FUNCTION refuse_one()"
        )
    sweep(BTC=200_000)
    assert [firings(alert) for alert in (broken, *fine)] == [[], [200_000], [200_000]]
