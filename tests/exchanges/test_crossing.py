"""Prices in US dollars from whatever markets there are, in a table of tickers."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges import crossing
from exchanges.reports import Ticker

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=3)


def tickers(text):
    """``BTC/USDT=100<80`` is a last price of 100 that was 80 a day ago."""
    for word in text.split():
        market, _, prices = word.partition("=")
        base, _, quote = market.partition("/")
        last, _, before = prices.partition("<")
        yield Ticker(base, quote, D(last), D(before) if before else None, EARLIER)


def prices(text):
    return crossing.usd_prices(tickers(text), now=NOW)


@pytest.mark.parametrize(
    ("markets", "code", "usd", "before", "route"),
    [
        ("BTC/USD=100<80", "BTC", "100", "80", "BTC/USD"),
        ("BTC/USDT=100<80", "BTC", "100", "80", "BTC/USDT, USDT pegged to USD"),
        ("BTC/USDT=100<80 USDT/USD=0.5<1", "BTC", "50", "80", "BTC/USDT, USDT/USD"),
        ("BTC/USD=100 BTC/USDT=90", "BTC", "100", None, "BTC/USD"),
        ("BTC/USDT=100 XYZ/BTC=0.1<0.2", "XYZ", "10", None,
         "XYZ/BTC, BTC/USDT, USDT pegged to USD"),
        ("BTC/USDT=100<100 BTC/JPY=20000<10000", "JPY", "0.005", "0.01",
         "BTC/JPY, BTC/USDT, USDT pegged to USD"),
        ("EUR/USDT=1.25 ABC/EUR=4", "ABC", "5", None, "ABC/EUR, EUR/USDT, USDT pegged to USD"),
        ("BTC/USDT=100", "USD", "1", "1", "USD"),
    ],
)  # fmt: skip
def test_the_most_direct_way_is_taken(markets, code, usd, before, route):
    found = prices(markets)[code]
    assert (found.usd, found.usd_24h_ago) == (D(usd), D(before) if before else None)
    assert found.route == route


@pytest.mark.parametrize(
    ("markets", "code"),
    [("XYZ/ABC=5 BTC/USDT=1", "XYZ"), ("XYZ/USDT=0", "XYZ"), ("", "BTC"), ("A/B=1 B/A=1", "A")],
)
def test_what_cannot_be_reached_has_no_price(markets, code):
    assert code not in prices(markets)


def test_a_crossed_price_is_as_old_as_its_oldest_part():
    found = crossing.usd_prices(
        [Ticker("BTC", "USD", D(100), None, NOW - timedelta(hours=1)),
         Ticker("XYZ", "BTC", D(2), None, NOW)], now=NOW,
    )  # fmt: skip
    assert found["XYZ"].as_of == NOW - timedelta(hours=1)


positive = st.decimals(min_value="0.00000001", max_value="1e9", places=8)


@given(btc=positive, coin=positive)
def test_crossing_multiplies_exactly(btc, coin):
    found = prices(f"BTC/USD={btc:f} XYZ/BTC={coin:f}")
    assert found["XYZ"].usd == coin * btc


@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from(["USDT", "BTC", "A", "B"]),
                          positive), max_size=12))  # fmt: skip
def test_no_price_is_ever_zero_or_negative(markets):
    text = " ".join(f"{base}/{quote}={price:f}" for base, quote, price in markets)
    assert all(price.usd > 0 for price in prices(text).values())
