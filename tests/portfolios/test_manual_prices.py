"""Prices that a person sets: theirs alone, shown as such, never before a market's."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
import time_machine

from exchanges.models import Exchange, ExchangeConnection, Price
from portfolios import derivation
from portfolios.models import AssetBasis, Holding, Lot, PortfolioSnapshot, PortfolioState
from portfolios.valuing import snapshots
from tests import factories
from tests.portfolios.bookings import book, buy, day
from tracker import clock, tenancy


@pytest.fixture
def now():
    with time_machine.travel("2026-03-02T12:00:00Z", tick=False):
        yield clock.now()


@pytest.fixture
def coin(db):
    return factories.asset("COIN")


@pytest.fixture
def api(client_of, alice, now):
    for code, usd in (("USD", 1), ("EUR", "1.25")):
        Price.objects.create(
            asset=factories.asset(code), usd=D(usd), usd_24h_ago=D(usd), source="binance: x",
            as_of=now,
        )  # fmt: skip
    return client_of(alice)


@pytest.fixture
def account(alice, now):
    return keep_by_hand(alice)


def keep_by_hand(user):
    """An account that the person keeps themselves: never visited, never due."""
    kept, _ = Exchange.objects.get_or_create(
        id="manual", defaults={"name": "By hand", "ccxt_version": "0"}
    )
    row = ExchangeConnection(user=user, exchange=kept, kind="manual", label="paper", state="ok")
    with tenancy.as_user(user.id):
        row.save(force_insert=True)
    return row


def hold(user, account, asset, quantity, at):
    with tenancy.as_user(user.id):
        Holding.objects.create(
            user=user, connection=account, wallet="spot", asset=asset, exchange_code=asset.code,
            quantity=D(quantity), changed_at=at, last_confirmed_at=at,
        )  # fmt: skip


def put(api, asset, day, price, **more):
    return api.put(
        "/prices/manual", {"asset": str(asset.id), "day": day, "price": price} | more
    )  # fmt: skip


def home(api):
    answer = api.get("/portfolio")
    assert answer.status_code == 200
    return answer.json()


def test_a_price_is_set_listed_replaced_and_removed(api, coin):
    answer = put(api, coin, "2026-03-01", "12.500000000000000001")
    assert answer.status_code == 200
    row = answer.json()
    assert row == {
        "id": row["id"], "asset": str(coin.id), "code": "COIN", "day": "2026-03-01",
        "price": "12.500000000000000001", "currency": "USD",
    }  # fmt: skip
    again = put(api, coin, "2026-03-01", "13", currency="EUR").json()
    assert (again["id"], again["price"], again["currency"]) == (row["id"], "13", "EUR")
    put(api, factories.asset("OTHER"), "2026-03-01", "1")
    listed = api.get(f"/prices/manual?asset={coin.id}").json()["results"]
    assert listed == [again]
    assert len(api.get("/prices/manual").json()["results"]) == 2
    assert api.delete(f"/prices/manual/{row['id']}").status_code == 204
    assert api.get("/prices/manual?code=COIN").json()["results"] == []
    assert api.delete(f"/prices/manual/{row['id']}").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"price": "-1"}, "price"), ({"price": "NaN"}, "price"), ({"price": "1e40"}, "price"),
        ({"price": "0." + "0" * 30 + "1"}, "price"), ({"price": "much"}, "price"),
        ({"day": "2026-03-03"}, "day"), ({"day": "1999-01-01"}, "day"), ({"day": "x"}, "day"),
        ({"currency": "XYZ"}, "currency"), ({"asset": "x"}, "asset"),
        ({"asset": "0198c0de-0000-7000-8000-000000000000"}, "asset"), ({"source": "y"}, "source"),
    ],
)  # fmt: skip
def test_a_wrong_price_is_refused_and_says_which_field(api, coin, wrong, field):
    body = {"asset": str(coin.id), "day": "2026-03-01", "price": "1"} | wrong
    answer = api.put("/prices/manual", body)
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == [field]
    assert api.get("/prices/manual").json()["results"] == []


def test_today_is_the_persons_today(api, alice, coin):
    """At noon in UTC on 2 March it is 3 March in Auckland."""
    api.patch("/me", {"time_zone": "Pacific/Auckland"})
    assert put(api, coin, "2026-03-03", "1").status_code == 200
    assert put(api, coin, "2026-03-04", "1").status_code == 400


def test_an_unknown_parameter_of_the_list_is_refused(api):
    assert api.get("/prices/manual?colour=red").status_code == 400


def test_what_is_computed_from_that_day_on_is_computed_anew(api, alice, coin):
    def standing():
        with tenancy.as_user(alice.id):
            state = PortfolioState.objects.get(user=alice)
            return state.ledger_revision, AssetBasis.objects.get(asset=coin).dirty_from.date()

    put(api, coin, "2026-03-01", "1")
    first, dirty_from = standing()
    assert dirty_from.isoformat() == "2026-03-01"
    row = put(api, coin, "2026-02-01", "1").json()
    second, dirty_from = standing()
    assert (second > first, dirty_from.isoformat()) == (True, "2026-02-01")
    api.delete(f"/prices/manual/{row['id']}")
    assert standing()[0] > second


def test_what_was_paid_for_with_the_asset_is_valued_by_its_new_price(api, alice, coin):
    connected = factories.connection(alice)
    book(alice, connected, buy("1", "100", day(0), quote_code="COIN", symbol="BTC/COIN"))

    def cost():
        derivation.derive(user_id=alice.id, now=clock.now())
        with tenancy.as_user(alice.id):
            return Lot.objects.get(asset__code="BTC").cost

    assert cost() is None
    row = put(api, coin, "2024-01-01", "2").json()
    assert cost() == D(200)
    put(api, coin, "2024-01-01", "3")
    assert cost() == D(300)
    api.delete(f"/prices/manual/{row['id']}")
    assert cost() is None


def test_the_prices_of_another_are_neither_seen_nor_removed(api, client_of, bob, coin):
    theirs = client_of(bob)
    row = put(theirs, coin, "2026-03-01", "7").json()
    assert api.get("/prices/manual").json()["results"] == []
    assert api.delete(f"/prices/manual/{row['id']}").status_code == 404
    put(api, coin, "2026-03-01", "8")
    assert [found["price"] for found in theirs.get("/prices/manual").json()["results"]] == ["7"]


# --- on the home screen and in snapshots --------------------------------------------------------


def test_a_holding_without_a_market_is_worth_what_the_person_says(api, alice, account, coin, now):
    hold(alice, account, coin, "3", now)
    assert home(api)["holdings"][0]["status"] == "unpriced"
    put(api, coin, "2026-03-01", "5")
    put(api, coin, "2026-02-01", "4")
    body = home(api)
    (row,) = body["holdings"]
    assert (row["price"], row["value"], row["source"]) == ("5", "15", "manual")
    assert row["as_of"] == "2026-03-01T00:00:00Z"
    assert (body["total_value"], body["status"], body["unpriced"]) == ("15", "complete", 0)


def test_it_is_crossed_from_its_currency_into_the_persons(api, alice, account, coin, now):
    hold(alice, account, coin, "3", now)
    put(api, coin, "2026-03-01", "5", currency="EUR")
    assert home(api)["total_value"] == "18.75"
    api.patch("/me", {"base_currency": "EUR"})
    assert home(api)["total_value"] == "15"


def test_a_market_comes_first_and_ends_a_price_that_was_set_before_it(
    api, alice, account, coin, now
):
    hold(alice, account, coin, "1", now)
    quote = Price.objects.create(
        asset=coin, usd=D(9), usd_24h_ago=D(8), source="binance: COIN/USDT", as_of=now
    )
    put(api, coin, "2026-03-02", "5")
    assert home(api)["holdings"][0]["source"] == "binance: COIN/USDT"
    quote.as_of = now - timedelta(days=30)  # delisted, and priced by the person since
    quote.save()
    (row,) = home(api)["holdings"]
    assert (row["source"], row["value"], row["status"]) == ("manual", "5", "complete")


def test_a_price_holds_from_the_persons_own_midnight(api, alice, account, coin, now):
    hold(alice, account, coin, "1", now)
    api.patch("/me", {"time_zone": "Pacific/Auckland"})
    put(api, coin, "2026-03-03", "5")  # it has begun there
    assert home(api)["total_value"] == "5"
    api.patch("/me", {"time_zone": "Pacific/Honolulu"})
    assert home(api)["holdings"][0]["status"] == "unpriced"  # and here it is still to come


def test_a_snapshot_says_which_values_were_the_persons_own(api, alice, account, coin, now):
    hold(alice, account, coin, "3", now)
    put(api, coin, "2026-03-01", "5")
    with tenancy.as_user(alice.id):
        PortfolioState.objects.filter(user=alice).update(next_snapshot_at=now)
    assert snapshots.take_due(now=now) == 1
    with tenancy.as_user(alice.id):
        taken = PortfolioSnapshot.objects.get()
    assert (taken.total_value, taken.status) == (D(15), "complete")
    assert [row["source"] for row in taken.snapshot_data["holdings"]] == ["manual"]


def test_nobody_is_valued_at_the_price_of_another(api, alice, bob, client_of, account, coin, now):
    hold(alice, account, coin, "3", now)
    put(client_of(bob), coin, "2026-03-01", "5")
    assert home(api)["holdings"][0]["status"] == "unpriced"


def test_an_account_kept_by_hand_is_never_late(api, alice, account, now):
    body = home(api)
    assert (body["status"], body["connections"][0]["status"]) == ("complete", "complete")
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(last_synced_at=now - timedelta(days=400))
    assert home(api)["status"] == "complete"


def test_a_price_of_nothing_is_a_value_and_not_a_lack(api, alice, account, coin, now):
    hold(alice, account, coin, "3", now)
    put(api, coin, "2026-03-01", "0")
    (row,) = home(api)["holdings"]
    assert (row["value"], row["status"]) == ("0", "complete")
