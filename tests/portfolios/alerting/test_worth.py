"""Alerts on the whole portfolio: what it is worth, and how far it fell, missing data apart."""

from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal as D

import pytest

from exchanges.models import Exchange, ExchangeConnection, HistoricPrice
from portfolios import derivation
from portfolios.models import Holding, PortfolioState
from tests import factories
from tests.portfolios.alerting.conftest import firings, reread, told
from tests.portfolios.bookings import book, transfer
from tracker import tenancy

DAY = timedelta(days=1)


@pytest.fixture
def account(alice):
    return keep_by_hand(alice)


def keep_by_hand(user):
    """An account that is always read in full."""
    kept, _ = Exchange.objects.get_or_create(
        id="manual", defaults={"name": "By hand", "ccxt_version": "0"}
    )
    row = ExchangeConnection(user=user, exchange=kept, kind="manual", label="paper", state="ok")
    with tenancy.as_user(user.id):
        row.save(force_insert=True)
    return row


def hold(account, code, quantity, now):
    asset = factories.asset(code)
    with tenancy.as_user(account.user_id):
        Holding.objects.update_or_create(
            user_id=account.user_id, connection=account, wallet="spot", asset=asset,
            exchange_code=code,
            defaults={"quantity": D(quantity), "changed_at": now, "last_confirmed_at": now},
        )  # fmt: skip


def worth(user, kind="value_above", **fields):
    return factories.price_alert(user, kind=kind, asset=None, **{"threshold": D(1000)} | fields)


# --- what it is worth ---------------------------------------------------------------------------
def test_a_worth_is_told_once_it_is_reached(alice, account, sweep, time):
    above = worth(alice)
    below = worth(alice, "value_below", threshold=D(500), repeats=True, hysteresis=D(10))
    hold(account, "BTC", 2, time.now)
    for usd in (400, 500, 240, 260, 276, 250):
        sweep(BTC=usd)
    assert firings(above) == [1000]
    assert firings(below) == [480, 500]
    assert [title for title, _ in told(alice)] == [
        "Your portfolio is worth more than 1,000 USD", "Your portfolio is worth less than 500 USD",
        "Your portfolio is worth less than 500 USD",
    ]  # fmt: skip


def test_a_worth_is_in_the_currency_of_the_alert_and_needs_its_rate(alice, account, sweep, time):
    euros = worth(alice, currency="EUR")
    hold(account, "BTC", 2, time.now)
    sweep(BTC=600)
    assert firings(euros) == []
    sweep(BTC=600, EUR="1.2")
    assert firings(euros) == [1000]


def test_everybodys_worth_is_their_own(alice, bob, account, sweep, time):
    hers, his = worth(alice), worth(bob)
    hold(account, "BTC", 2, time.now)
    hold(keep_by_hand(bob), "BTC", 1, time.now)
    sweep(BTC=600)
    assert (firings(hers), firings(his)) == ([1200], [])


def test_what_is_missing_is_no_fall(alice, account, sweep, price, time):
    """Unpriced, stale, an account that is read in part, nothing at all: none of it is told."""
    alert = worth(alice, "value_below")
    sweep()  # nothing is known of her
    hold(account, "BTC", 1, time.now)
    hold(account, "ODD", 5, time.now)
    sweep(BTC=100)  # one asset has no price
    hold(account, "ODD", 0, time.now)
    price("BTC", 100, age=timedelta(minutes=30))
    sweep()  # the price is old
    connected = factories.connection(alice)  # and was never read
    sweep(BTC=100)
    assert firings(alert) == []
    with tenancy.as_user(alice.id):
        connected.delete()
    sweep(BTC=100)
    assert firings(alert) == [100]


def test_an_account_that_is_read_in_part_or_not_for_long_is_no_fall(alice, account, sweep, time):
    alert = worth(alice, "value_below")
    hold(account, "BTC", 1, time.now)
    connected = factories.connection(alice)
    rows = ExchangeConnection.objects.filter(id=connected.id)
    for state, read_at in (("partial", time.now), ("ok", time.now - 3 * DAY)):
        with tenancy.as_user(alice.id):
            rows.update(state=state, last_synced_at=read_at)
        sweep(BTC=100)
        assert firings(alert) == []
    with tenancy.as_user(alice.id):
        rows.update(state="ok", last_synced_at=time.now)
    sweep(BTC=100)
    assert firings(alert) == [100]


def test_an_alert_shows_what_it_is_worth_and_how_far_that_can_be_trusted(
    client_of, alice, account, price, time
):
    hold(account, "BTC", 2, time.now)
    price("BTC", 100)
    alert = worth(alice)
    api = client_of(alice)
    assert api.get(f"/alerts/{alert.id}").json()["current"]["value"] == "200"
    hold(account, "ODD", 5, time.now)
    assert api.get(f"/alerts/{alert.id}").json()["current"]["status"] == "partial"
    made = api.post("/alerts", {"kind": "value_below", "threshold": "1000"})
    assert made.status_code == 201  # nobody knows whether it is true


# --- how far it fell ----------------------------------------------------------------------------
@pytest.fixture
def valued(alice, account, price, time):
    """`valued([100, 120], BTC=90)`: two bitcoins since days ago, closes so far, the price now."""

    def valued(closes, *facts, held=2, **now):
        today = datetime.combine(time.now.date(), clock_time(), UTC)
        first = today - len(closes) * DAY
        HistoricPrice.objects.bulk_create(
            HistoricPrice(asset=factories.asset("BTC"), interval="1d", usd=D(usd), source="test",
                          at=first + number * DAY)
            for number, usd in enumerate(closes)
        )  # fmt: skip
        price("BTC", closes[-1])
        book(alice, account, transfer("deposit", "2", first + timedelta(hours=1)), *facts)
        hold(account, "BTC", held, time.now)
        assert derivation.derive(user_id=alice.id, now=time.now)

    return valued


def fall(user, **fields):
    plain = {"kind": "drawdown", "asset": None, "threshold": D(20), "window": 30 * DAY}
    return factories.price_alert(user, **plain | fields)


def test_a_fall_below_the_highest_of_the_window_is_told(alice, valued, sweep):
    valued([100, 150, 140])
    alert, shallow = fall(alice), fall(alice, threshold=D(30))
    sweep(BTC=121)
    assert firings(alert) == []
    sweep(BTC=120)
    assert firings(alert) == [20]
    assert firings(shallow) == []
    assert told(alice) == [("Your portfolio fell by 20 % below its highest of 30 days", "20 %")]


def test_a_height_before_the_window_does_not_count(alice, valued, sweep):
    valued([150, 100, 100, 100, 100])
    short, long = fall(alice, window=3 * DAY), fall(alice)
    sweep(BTC=99)
    assert (firings(short), firings(long)) == ([], [34])


def test_a_withdrawal_is_no_fall(alice, valued, sweep, time):
    """Half of it goes away; the price stands still."""
    valued([100, 100, 100], transfer("withdrawal", "1", time.now - DAY), held=1)
    alert, less = fall(alice), worth(alice, "value_below", threshold=D(150))
    sweep(BTC=99)
    assert firings(alert) == []
    assert firings(less) == [99]  # which does wait for the amount


def test_a_deposit_hides_no_fall(alice, valued, sweep, time):
    valued([100, 100, 75], transfer("deposit", "98", time.now - DAY), held=100)
    alert = fall(alice)
    sweep(BTC=75)
    assert firings(alert) == [25]


def test_books_that_are_behind_tell_no_fall(alice, valued, sweep):
    valued([100, 100])
    alert = fall(alice)
    with tenancy.as_user(alice.id):
        rows = PortfolioState.objects.filter(user=alice)
        rows.update(ledger_revision=rows.get().ledger_revision + 1)
    sweep(BTC=50)
    assert firings(alert) == []
    with tenancy.as_user(alice.id):
        rows.update(ledger_revision=rows.get().derived_revision)
    sweep(BTC=50)
    assert firings(alert) == [50]


def test_another_base_currency_tells_no_fall_until_days_are_valued_in_it(alice, valued, sweep):
    valued([100, 100])
    alert = fall(alice)
    with tenancy.as_user(alice.id):
        type(alice).objects.filter(id=alice.id).update(base_currency="EUR")
    sweep(BTC=50, EUR=1)
    assert firings(alert) == []
    assert reread(alert).armed


def test_days_that_are_not_valued_for_long_tell_no_fall(alice, valued, sweep, client_of):
    valued([100, 100])
    alert = fall(alice)
    sweep(BTC=50, after=3 * DAY)
    assert firings(alert) == []
    assert client_of(alice).get(f"/alerts/{alert.id}").json()["current"]["status"] == "stale"


def test_an_account_that_was_emptied_is_worth_nothing_and_that_is_told(alice, account, sweep, time):
    alert = worth(alice, "value_below", threshold=D(500))
    hold(account, "BTC", 2, time.now)
    sweep(BTC=1000)
    hold(account, "BTC", 0, time.now)
    sweep(BTC=1000)
    assert firings(alert) == [0]
