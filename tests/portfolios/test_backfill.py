"""From an entry without a price to the price, by the command and by the task of every minute."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from exchanges import assets, history
from exchanges.history import Want
from portfolios import tasks
from tracker import clock

DAY = timedelta(days=1)


@pytest.fixture
def wanted(exchange):
    """Five days of bitcoin that somebody's figures need."""
    now = clock.now()
    btc = assets.resolve("binance", ["BTC"])["BTC"].at(now)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    history.want(needs=[Want(btc, "1d", midnight - 5 * DAY, midnight)])
    return btc, midnight


def known(btc, midnight):
    since, until = (midnight - 5 * DAY).date(), (midnight - DAY).date()
    return len(history.days(asset_ids=[btc], since=since, until=until).get(btc, {}))


def test_the_command_fetches_what_is_wanted_and_says_of_how_many(wanted):
    out = StringIO()
    call_command("backfill_prices", stdout=out)
    assert known(*wanted) == 5
    assert "Assets with news: 1." in out.getvalue()
    out = StringIO()
    call_command("backfill_prices", stdout=out)
    assert "Assets with news: 0." in out.getvalue()


def test_the_command_says_what_waits_for_an_exchange_that_is_down(wanted, sandbox):
    out = StringIO()
    with sandbox.fault(path="/api/v3/klines", kind="status", status=503):
        call_command("backfill_prices", stdout=out)
    assert known(*wanted) == 0
    assert "wait for an exchange: 1." in out.getvalue()


def test_the_task_fetches_it_too(wanted):
    tasks.backfill_prices()
    assert known(*wanted) == 5
