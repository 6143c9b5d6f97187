"""Prices on a live connection: the first at once, later ones as they move."""

import time
from decimal import Decimal

from accounts.models import User
from exchanges.models import Price
from tests import factories
from tests.portfolios.live import listening
from tests.portfolios.live.listening import eventually, tick
from tracker import clock, tenancy


def test_the_latest_price_comes_at_once_and_later_ones_follow(listen, alice):
    found = tick("BTC", 60_000)
    listener = listen(alice)
    answer = listener.subscribe("prices", assets=[str(found.asset_id)], id="1")
    assert answer == {
        "type": "subscribed", "channel": "prices", "assets": [str(found.asset_id)], "id": "1"
    }  # fmt: skip
    first = listener.prices()["BTC"]
    assert first["price"] == "60000"
    assert first["currency"] == "USD"
    assert first["status"] == "complete"
    tick("BTC", 60_001)
    assert listener.prices()["BTC"]["price"] == "60001"


def test_a_price_that_only_the_database_has_is_the_first_one(listen, alice):
    asset = factories.asset("ADA")
    Price.objects.create(asset=asset, usd=Decimal("0.5"), source="kraken: ADA/USD",
                         as_of=clock.now())  # fmt: skip
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(asset.id)])
    row = listener.prices()["ADA"]
    assert (row["price"], row["source"]) == ("0.5", "kraken: ADA/USD")


def test_an_asset_without_a_price_is_said_to_have_none(listen, alice):
    asset = factories.asset("NEW")
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(asset.id)])
    row = listener.prices()["NEW"]
    assert row["price"] is None
    assert row["status"] == "unpriced"
    tick("NEW", 2)
    assert listener.prices()["NEW"]["price"] == "2"


def test_a_currency_that_is_named_later_is_found_with_a_heartbeat(listen, alice):
    """Somebody may be connected before the first exchange was read at all."""
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(base_currency="SEK")
    found = tick("BTC", 100)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(found.asset_id)])
    assert listener.prices()["BTC"]["price"] is None
    tick("SEK", "0.1")

    def priced() -> str | None:
        tick("BTC", 100)
        return listener.prices()["BTC"]["price"]

    eventually(priced, "a price in SEK", seconds=60)


def test_of_many_ticks_within_a_second_the_first_and_the_latest_arrive(listen, alice):
    found = tick("BTC", 1)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(found.asset_id)])
    assert listener.prices()["BTC"]["price"] == "1"
    started = time.monotonic()
    for usd in range(2, 40):
        tick("BTC", usd)
    assert listener.prices()["BTC"]["price"] == "2"
    assert listener.prices()["BTC"]["price"] == "39"
    assert time.monotonic() - started >= 0.9
    assert listener.hears_nothing("price", seconds=1.2)


def test_assets_that_tick_together_come_in_one_message(listen, alice):
    codes = ["BTC", "ETH", "ADA"]
    ids = [str(factories.asset(code).id) for code in codes]
    listener = listen(alice)
    listener.subscribe("prices", assets=ids)
    assert set(listener.prices()) == set(codes)


def test_what_is_owned_is_watched_without_naming_it(listen, alice, bob):
    listening.holding(alice, "BTC", 2)
    listening.holding(bob, "ETH", 2)
    tick("BTC", 1)
    tick("ETH", 1)
    listener = listen(alice)
    listener.subscribe("prices")
    assert set(listener.prices()) == {"BTC"}
    tick("ETH", 2)
    tick("BTC", 2)
    assert set(listener.prices()) == {"BTC"}


def test_prices_are_in_the_currency_that_the_person_counts_in(listen, alice):
    from accounts.models import User
    from tracker import tenancy

    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(base_currency="EUR")
    tick("EUR", "1.25")
    found = tick("BTC", 100)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(found.asset_id)])
    row = listener.prices()["BTC"]
    assert (row["price"], row["currency"]) == ("80", "EUR")


def test_unsubscribed_assets_are_told_no_more(listen, alice):
    bitcoin, ether = tick("BTC", 1), tick("ETH", 1)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(bitcoin.asset_id), str(ether.asset_id)])
    listener.prices()
    listener.send("unsubscribe", channel="prices", assets=[str(bitcoin.asset_id)])
    assert listener.next("unsubscribed")["assets"] == [str(ether.asset_id)]
    tick("BTC", 2)
    tick("ETH", 2)
    assert set(listener.prices()) == {"ETH"}
    listener.send("unsubscribe", channel="prices")
    assert listener.next("unsubscribed")["assets"] == []
    tick("ETH", 3)
    assert listener.hears_nothing("price", seconds=1.3)


def test_a_price_that_grew_old_is_told_as_stale_and_then_moves_again(listen, alice):
    found = tick("BTC", 1)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(found.asset_id)])
    assert listener.prices()["BTC"]["status"] == "complete"
    assert listener.price_of("BTC", status="stale")["price"] == "1"
    tick("USD", 1)
    tick("BTC", 2)
    assert listener.price_of("BTC", price="2")["status"] == "complete"


def test_an_unknown_asset_is_refused_and_changes_nothing(listen, alice):
    found = tick("BTC", 1)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(found.asset_id)])
    listener.prices()
    unknown = "00000000-0000-7000-8000-000000000000"
    listener.send("subscribe", channel="prices", assets=[unknown], id="x")
    refused = listener.next("error")
    assert (refused["code"], refused["id"]) == ("asset_unknown", "x")
    tick("BTC", 2)
    assert listener.prices()["BTC"]["price"] == "2"
