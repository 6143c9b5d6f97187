"""What is one person's alone: their portfolio's value and the news of their syncs."""

from datetime import timedelta
from decimal import Decimal

import orjson

from accounts.models import User
from exchanges import prices
from exchanges.crossing import UsdPrice
from portfolios.models import Holding
from portfolios.valuing import valuation
from tests import factories
from tests.portfolios.live import listening
from tests.portfolios.live.listening import holding, tick
from tracker import clock, ids, live, tenancy


def home(user: User) -> dict:
    body = valuation.home_screen(user_id=user.id, currency=user.base_currency, now=clock.now())
    return orjson.loads(body)


def test_the_value_follows_the_ticks(listen, alice):
    holding(alice, "BTC", "0.5")
    holding(alice, "ADA", 100)
    tick("BTC", 60_000)
    tick("ADA", "0.25")
    listener = listen(alice)
    listener.subscribe("portfolio")
    first = listener.next("portfolio")
    assert first["total_value"] == "30025"
    assert first["currency"] == "USD"
    assert (first["status"], first["unpriced"]) == ("complete", 0)
    tick("BTC", 70_000)
    assert listener.worth(total_value="35025")


def test_many_moves_within_a_second_are_one_figure(listen, alice):
    codes = [f"C{number}" for number in range(20)]
    for code in codes:
        holding(alice, code, 1)
        tick(code, 1)
    listener = listen(alice)
    listener.subscribe("portfolio")
    assert listener.next("portfolio")["total_value"] == "20"
    for code in codes:
        tick(code, 2)
    figures = [listener.next("portfolio")["total_value"]]
    while figures[-1] != "40":
        figures.append(listener.next("portfolio")["total_value"])
    assert len(figures) <= 3


def test_an_asset_without_a_price_makes_it_partial_and_counts_nothing(listen, alice):
    holding(alice, "BTC", 1)
    holding(alice, "NEW", 5)
    tick("BTC", 10)
    listener = listen(alice)
    listener.subscribe("portfolio")
    first = listener.next("portfolio")
    assert (first["total_value"], first["status"], first["unpriced"]) == ("10", "partial", 1)
    tick("NEW", 2)
    assert listener.worth(total_value="20")["status"] == "complete"


def test_old_prices_make_it_stale(listen, alice):
    holding(alice, "BTC", 1)
    tick("BTC", 10)
    listener = listen(alice)
    listener.subscribe("portfolio")
    assert listener.worth(status="complete")
    assert listener.worth(status="stale")["total_value"] == "10"


def test_it_is_the_figure_of_the_home_screen_to_the_last_digit(listen, alice):
    """Once what was streamed is recorded, both say the same."""
    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(base_currency="EUR")
    alice.base_currency = "EUR"
    units = {"BTC": "0.123456789012345678", "ETH": "33.00000000000000007", "ADA": "1234567.7"}
    usd = {"BTC": "61234.56789", "ETH": "3000.1234567", "ADA": "0.33333333", "EUR": "1.0837"}
    for code, quantity in units.items():
        holding(alice, code, quantity)
    for code, price in usd.items():
        tick(code, price)
    listener = listen(alice)
    listener.subscribe("portfolio")
    told = listener.worth(status="complete")
    now = clock.now()
    recorded = {
        code: UsdPrice(Decimal(price), None, f"{code}/USD", now) for code, price in usd.items()
    }
    prices.store("binance", recorded, now=now)
    assert told["total_value"] == home(alice)["total_value"]
    assert told["currency"] == "EUR"


def test_what_is_bought_counts_once_it_is_told_that_holdings_changed(listen, alice):
    asset = holding(alice, "BTC", 1)
    tick("BTC", 10)
    tick("ETH", 3)
    listener = listen(alice)
    listener.subscribe("portfolio")
    listener.subscribe("prices")
    listener.worth(total_value="10")
    with tenancy.as_user(alice.id):
        Holding.objects.filter(asset=asset).update(quantity=2)
    holding(alice, "ETH", 1)
    live.publish(user_id=alice.id, topic=live.PORTFOLIO)
    assert listener.price_of("ETH")["price"] == "3"
    tick("BTC", 11)
    assert listener.worth(total_value="25")


def test_a_file_is_told_as_it_goes_on_to_its_person_and_only_to_who_asked(listen, alice, bob):
    hers, his, elsewhere = listen(alice), listen(bob), listen(alice)
    for listener in (hers, his):
        listener.subscribe("jobs")
    export = ids.new_id()
    told = {"kind": "export", "id": export, "state": "running", "done": 10_000, "total": 25_000}
    live.publish(user_id=alice.id, topic=live.JOB, payload={"id": export, "state": "x"})
    live.publish(user_id=alice.id, topic=live.JOB, payload=told | {"surprise": "left out"})
    assert hers.next("job") == {"type": "job", **told, "id": str(export)}
    assert his.hears_nothing("job")
    assert elsewhere.hears_nothing("job", seconds=0.1)
    hers.send("unsubscribe", channel="jobs")
    assert hers.next("unsubscribed")["channel"] == "jobs"


def test_a_sync_is_told_as_it_goes_on_and_holdings_are_read_again(listen, alice):
    holding(alice, "BTC", 1)
    tick("BTC", 10)
    listener = listen(alice)
    listener.subscribe("sync")
    listener.subscribe("portfolio")
    listener.worth(total_value="10")
    holding(alice, "BTC", 4)
    connection = ids.new_id()
    live.publish(
        user_id=alice.id, topic=live.SYNC,
        payload={"connection": connection, "state": "running", "done": 3, "planned": 7,
                 "phase": "trades", "surprise": "left out"},
    )  # fmt: skip
    assert listener.next("sync") == {
        "type": "sync", "connection": str(connection), "state": "running", "done": 3,
        "planned": 7, "phase": "trades", "seconds_left": None,
    }  # fmt: skip
    live.publish(
        user_id=alice.id, topic=live.SYNC, payload={"connection": connection, "state": "complete"}
    )
    assert listener.worth(total_value="50")


def test_nobody_sees_the_news_or_the_portfolio_of_somebody_else(listen, alice, bob):
    holding(alice, "BTC", 1)
    holding(bob, "BTC", 7)
    tick("BTC", 10)
    hers, his = listen(alice), listen(bob)
    for listener in (hers, his):
        listener.subscribe("sync")
        listener.subscribe("portfolio")
    assert hers.next("portfolio")["total_value"] == "10"
    assert his.next("portfolio")["total_value"] == "70"
    live.publish(
        user_id=alice.id,
        topic=live.SYNC,
        payload={"connection": ids.new_id(), "state": "succeeded"},
    )
    assert hers.next("sync")["state"] == "succeeded"
    assert his.hears_nothing("sync")
    tick("BTC", 11)
    assert his.worth(total_value="77")
    assert hers.worth(total_value="11")


def test_news_are_told_after_the_commit_and_never_of_what_was_undone(listen, alice):
    from django.db import transaction

    listener = listen(alice)
    listener.subscribe("sync")
    try:
        with transaction.atomic():
            live.publish(
                user_id=alice.id, topic=live.SYNC,
                payload={"connection": ids.new_id(), "state": "undone"},
            )  # fmt: skip
            raise RuntimeError
    except RuntimeError:
        pass
    with transaction.atomic():
        live.publish(
            user_id=alice.id, topic=live.SYNC,
            payload={"connection": ids.new_id(), "state": "done"},
        )  # fmt: skip
        assert listener.hears_nothing("sync", seconds=0.3)
    assert listener.next("sync")["state"] == "done"


def test_news_that_cannot_be_read_are_left_out(listen, alice):
    listener = listen(alice)
    listener.subscribe("sync")
    live.publish(user_id=alice.id, topic=live.SYNC, payload={"connection": "no id"})
    live.publish(user_id=alice.id, topic="other", payload={"connection": ids.new_id()})
    good = ids.new_id()
    live.publish(user_id=alice.id, topic=live.SYNC, payload={"connection": good, "state": "done"})
    assert listener.next("sync")["connection"] == str(good)


def test_without_redis_news_are_lost_and_nobody_waits(alice, settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(live, "_no_redis_until", 0.0)
    started = clock.now()
    for _ in range(50):
        live.publish(user_id=alice.id, topic=live.SYNC, payload={"connection": ids.new_id()})
    assert clock.now() - started < timedelta(seconds=listening.SECONDS)


def test_a_price_of_ones_own_stands_where_no_market_quotes_the_asset(listen, alice):
    holding(alice, "COIN", 3)
    tick("USD", 1)
    prices.store(
        "binance", {"USD": UsdPrice(Decimal(1), None, "USD", clock.now())}, now=clock.now()
    )
    factories.manual_price(alice, "COIN")
    listener = listen(alice)
    listener.subscribe("portfolio")
    assert listener.next("portfolio")["total_value"] == home(alice)["total_value"] == "6"
