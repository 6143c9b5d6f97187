"""What things cost in a person's base currency: which price is taken, and what is never made up."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges import assets, history, prices
from exchanges.history import Want
from exchanges.models import HistoricPrice, PriceInterval
from portfolios.models import ManualPrice
from portfolios.valuing import pricebook
from portfolios.valuing.pricebook import OwnPrice, PriceBook
from tests import factories
from tracker import clock, tenancy

USD, EUR, COIN, OTHER = (uuid4() for _ in range(4))
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONDAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def book(currency="USD", **parts):
    base = USD if currency == "USD" else EUR
    return PriceBook(currency=currency, base_id=base, dollar_id=USD, **parts)


def told(usd, source="binance: COIN/USDT"):
    return D(usd), source


def latest(asset_id, usd, as_of):
    return {asset_id: prices.Quote(asset_id, "COIN", D(usd), None, "binance: COIN/USDT", as_of)}


def test_the_hour_comes_before_the_day_and_the_day_before_the_latest():
    found = book(
        hours={(COIN, NOON): told("10")},
        days={COIN: {MONDAY: told("11"), MONDAY - DAY: told("12")}},
        latest=latest(COIN, "13", NOON + DAY),
    )
    hour = found.at(COIN, NOON + timedelta(minutes=59))
    assert (hour.price, hour.source) == (D(10), "binance: COIN/USDT, 1h")
    day = found.at(COIN, NOON + HOUR)
    assert (day.price, day.source) == (D(11), "binance: COIN/USDT, 1d")
    assert found.at(COIN, NOON + 13 * HOUR).price == D(13)
    assert found.at(COIN, NOON - 2 * DAY) is None


def test_a_latest_price_stands_for_a_day_and_no_longer():
    found = book(latest=latest(COIN, "13", NOON))
    assert found.at(COIN, NOON - 24 * HOUR).price == D(13)
    assert found.at(COIN, NOON - 25 * HOUR) is None


def test_the_base_currency_is_one_and_the_dollar_is_its_rate():
    found = book("EUR", days={EUR: {MONDAY: told("1.25", "binance: EUR/USDT")}})
    assert found.at(EUR, NOON).price == D(1)
    assert found.close(EUR, MONDAY).price == D(1)
    dollar = found.close(USD, MONDAY)
    assert (dollar.price, dollar.source) == (D("0.8"), "binance: EUR/USDT, 1d")
    assert found.fx(MONDAY).price == D("1.25")
    assert found.close(USD, MONDAY + DAY) is None


def test_a_price_in_another_currency_is_crossed_at_the_same_time_and_says_both_sources():
    days = {COIN: {MONDAY: told("10")}, EUR: {MONDAY: told("1.25", "binance: EUR/USDT")}}
    quote = book("EUR", days=days).close(COIN, MONDAY)
    assert quote.price == D(8)
    assert quote.source == "binance: COIN/USDT, 1d; EUR binance: EUR/USDT, 1d"
    assert book("EUR", days={COIN: {MONDAY: told("10")}}).close(COIN, MONDAY) is None


def test_a_close_is_of_that_day_and_dated_at_its_end():
    found = book(days={COIN: {MONDAY: told("10")}})
    assert found.close(COIN, MONDAY).as_of == datetime(2026, 3, 3, tzinfo=UTC)
    assert found.close(COIN, MONDAY + DAY) is None


def test_what_was_lacking_is_named_once_with_neighbours_as_one():
    found = book()
    for minutes in (0, 30, 60, 200):
        found.at(COIN, NOON + timedelta(minutes=minutes))
    found.close(OTHER, MONDAY)
    assert sorted(found.missing, key=lambda want: (want.interval, want.since)) == [
        Want(OTHER, "1d", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)),
        Want(COIN, "1h", NOON, NOON + 2 * HOUR),
        Want(COIN, "1h", NOON + 3 * HOUR, NOON + 4 * HOUR),
    ]


def test_both_sides_of_a_cross_are_of_the_same_interval_where_they_can_be():
    """An hour in which the coin doubled over a day's rate would make up a price."""
    hours = {(COIN, NOON): told("20")}
    days = {COIN: {MONDAY: told("10")}, EUR: {MONDAY: told("1.25", "binance: EUR/USDT")}}
    quote = book("EUR", hours=hours, days=days).at(COIN, NOON)
    assert (quote.price, quote.source) == (
        D(8), "binance: COIN/USDT, 1d; EUR binance: EUR/USDT, 1d",
    )  # fmt: skip
    alone = book("EUR", hours=hours, days={EUR: days[EUR]}).at(COIN, NOON)
    assert (alone.price, alone.source) == (
        D(16), "binance: COIN/USDT, 1h; EUR binance: EUR/USDT, 1d",
    )  # fmt: skip


def test_the_day_is_named_that_could_stand_in_for_a_missing_hour():
    found = book(days={OTHER: {MONDAY: told("10")}})
    assert (found.at(COIN, NOON), found.at(OTHER, NOON).price) == (None, D(10))
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert found.missing_days == [Want(COIN, "1d", midnight, midnight + DAY)]


def test_an_hour_is_lacking_even_where_its_day_stands_in_and_the_base_currency_too():
    days = {COIN: {MONDAY: told("10")}, EUR: {MONDAY: told("1.25")}}
    found = book("EUR", days=days)
    assert found.at(COIN, NOON).price == D(8)
    assert {want.asset_id for want in found.missing} == {COIN, EUR}


# --- the person's own prices --------------------------------------------------------------------


def test_an_own_price_holds_from_its_day_until_the_next_one():
    own = {COIN: [OwnPrice(MONDAY, D(5), USD), OwnPrice(MONDAY + 3 * DAY, D(6), USD)]}
    found = book(own=own)
    assert found.close(COIN, MONDAY - DAY) is None
    for days, price in ((0, 5), (2, 5), (3, 6), (400, 6)):
        quote = found.close(COIN, MONDAY + days * DAY)
        assert (quote.price, quote.source, quote.is_manual) == (D(price), "manual", True)
    assert found.at(COIN, NOON + 2 * DAY).price == D(5)


def test_a_market_comes_before_an_own_price_and_ends_it():
    found = book(
        own={COIN: [OwnPrice(MONDAY, D(5), USD)]}, days={COIN: {MONDAY + 2 * DAY: told("9")}},
        quoted={COIN: [MONDAY + 2 * DAY]},
    )  # fmt: skip
    assert found.close(COIN, MONDAY + DAY).is_manual
    assert found.close(COIN, MONDAY + 2 * DAY).price == D(9)
    assert found.close(COIN, MONDAY + 3 * DAY) is None  # a hole in the market's, not ours to fill


def test_an_own_price_after_a_market_fell_silent_holds():
    found = book(
        own={COIN: [OwnPrice(MONDAY, D(5), USD)]}, days={COIN: {MONDAY - 2 * DAY: told("9")}},
        quoted={COIN: [MONDAY - 2 * DAY]},
    )  # fmt: skip
    assert found.close(COIN, MONDAY + 9 * DAY).price == D(5)
    assert found.close(COIN, MONDAY - DAY) is None


def test_an_own_price_in_another_currency_is_crossed():
    found = book(
        own={COIN: [OwnPrice(MONDAY, D(4), EUR)]}, days={EUR: {MONDAY: told("1.25", "b: EUR/USDT")}}
    )
    quote = found.close(COIN, MONDAY)
    assert (quote.price, quote.source) == (D(5), "manual; b: EUR/USDT, 1d")
    assert found.close(COIN, MONDAY + DAY) is None


@pytest.mark.parametrize(
    ("zone", "hour", "holds"),
    [("UTC", -1, False), ("UTC", 0, True), ("Pacific/Auckland", -13, True),
     ("Pacific/Auckland", -14, False), ("Pacific/Honolulu", 9, False),
     ("Pacific/Honolulu", 10, True)],
)  # fmt: skip
def test_the_day_of_an_own_price_begins_where_the_person_is(zone, hour, holds):
    found = book(own={COIN: [OwnPrice(MONDAY, D(5), USD)]}, time_zone=zone)
    instant = datetime(2026, 3, 2, tzinfo=UTC) + hour * HOUR
    assert (found.at(COIN, instant) is not None) is holds


amounts = st.decimals(D("1e-12"), D("1e12"), places=12)


@given(coin=amounts, euro=amounts)
def test_crossing_there_and_back_gives_the_dollars_again(coin, euro):
    days = {COIN: {MONDAY: (coin, "x")}, EUR: {MONDAY: (euro, "y")}}
    found = book("EUR", days=days)
    back = found.close(COIN, MONDAY).price * found.fx(MONDAY).price
    assert abs(back - coin) <= coin * D("1e-50")


@given(st.lists(st.integers(-400, 400), min_size=1, unique=True), st.integers(-450, 450))
def test_the_own_price_that_holds_is_the_last_one_set(days, asked):
    own = [OwnPrice(MONDAY + day * DAY, D(1000 + day), USD) for day in sorted(days)]
    quote = book(own={COIN: own}).close(COIN, MONDAY + asked * DAY)
    before = [day for day in days if day <= asked]
    assert quote is None if not before else quote.price == D(1000 + max(before))


# --- loaded from the database -------------------------------------------------------------------


def kept(asset_id: UUID, interval: PriceInterval, at: datetime, usd: str) -> None:
    HistoricPrice.objects.create(
        asset_id=asset_id, interval=interval, at=at, usd=D(usd), source="binance: A/B"
    )


def test_a_book_is_loaded_with_days_hours_rates_and_own_prices(alice):
    coin, euro = factories.asset("COIN").id, factories.asset("EUR").id
    other = factories.asset("OTHER").id
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    kept(coin, PriceInterval.DAY, midnight, "10")
    kept(coin, PriceInterval.HOUR, NOON, "20")
    kept(euro, PriceInterval.DAY, midnight, "1.25")
    kept(euro, PriceInterval.HOUR, NOON, "2")
    with tenancy.as_user(alice.id):
        ManualPrice.objects.create(
            user=alice, asset_id=other, day=MONDAY, price=D(3), currency="USD"
        )
        found = pricebook.load(
            user_id=alice.id, currency="EUR", asset_ids=[coin, other], since=midnight,
            until=midnight + DAY, instants=[(coin, NOON + timedelta(minutes=5))],
        )  # fmt: skip
    assert found.at(coin, NOON).price == D(10)
    assert found.close(coin, MONDAY).price == D(8)
    assert found.close(other, MONDAY).price == D(3) / D("1.25")
    assert found.close(other, MONDAY).is_manual


def test_a_quote_of_long_ago_ends_an_own_price_whatever_stretch_is_loaded(alice):
    coin, _usd = factories.asset("COIN").id, factories.asset("USD")
    kept(coin, PriceInterval.DAY, datetime(2026, 3, 7, tzinfo=UTC), "50")
    with tenancy.as_user(alice.id):
        ManualPrice.objects.create(
            user=alice, asset_id=coin, day=MONDAY, price=D(7), currency="USD"
        )
        for since in (NOON, NOON + 40 * DAY):
            found = pricebook.load(
                user_id=alice.id, currency="USD", asset_ids=[coin], since=since,
                until=NOON + 41 * DAY,
            )  # fmt: skip
            assert found.close(coin, MONDAY + 41 * DAY) is None
            assert found.at(coin, NOON + 41 * DAY) is None


def test_nobody_is_shown_the_own_prices_of_another(alice, bob):
    coin = factories.asset("COIN").id
    with tenancy.as_user(bob.id):
        ManualPrice.objects.create(user=bob, asset_id=coin, day=MONDAY, price=D(3), currency="USD")
    factories.asset("USD")
    with tenancy.as_user(alice.id):
        found = pricebook.load(
            user_id=alice.id, currency="USD", asset_ids=[coin], since=NOON, until=NOON
        )
    assert found.close(coin, MONDAY) is None


def test_what_a_book_lacks_is_fetched_and_then_there(alice, exchange):
    now = clock.now()
    codes = assets.resolve("binance", ["BTC", "EUR", "USD"])
    btc = codes["BTC"].at(now)
    bought_at = now - 50 * DAY

    def load():
        with tenancy.as_user(alice.id):
            return pricebook.load(
                user_id=alice.id, currency="EUR", asset_ids=[btc], since=bought_at, until=now,
                instants=[(btc, bought_at)],
            )  # fmt: skip

    found = load()
    assert found.at(btc, bought_at) is None
    assert history.want(needs=found.missing) > 0
    history.backfill_due(now=now)
    found = load()
    quote = found.at(btc, bought_at)
    assert quote.source.startswith("binance: BTC/USDT, USDT pegged to USD, 1h; EUR binance: EUR/")
    assert found.missing == []
