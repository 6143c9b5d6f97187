"""The book finds by bisection what looking at every alert would find."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.alerting import conditions
from portfolios.alerting.book import Book, Quoted
from portfolios.alerting.extremes import Range
from portfolios.alerting.ladders import Watched

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=1)
BTC, ETH, EUR, ANNA = (UUID(int=number) for number in range(1, 5))
HOUR = timedelta(hours=1)


def alert(number: int = 1, **fields) -> Watched:
    """Told once when a bitcoin costs 100 dollars."""
    plain = Watched(
        id=UUID(int=100 + number), user_id=ANNA, kind="price_above", asset_id=BTC, currency="USD",
        direction="", window=None, threshold=D(100), hysteresis=D(0), repeats=False, armed=True,
    )  # fmt: skip
    return replace(plain, **fields)


def book_of(*alerts: Watched) -> Book:
    book = Book({"EUR": EUR, "BTC": BTC})
    book.load(alerts)
    return book


class Ticker:
    """`tick(BTC=101)` → what the book finds, a second later each time."""

    def __init__(self, book: Book) -> None:
        self.book, self.now = book, NOON

    def __call__(self, prices: dict[UUID, str | int], *, after: timedelta = timedelta(seconds=1)):
        self.now += after
        ticks = [(asset, Quoted(D(price), self.now)) for asset, price in prices.items()]
        found = self.book.take(ticks, fresh_since=self.now - timedelta(minutes=15))
        return [(item.alert.id.int - 100, "told" if item.told else "armed", item.shown)
                for item in found]  # fmt: skip


def test_a_tick_tells_those_that_it_reaches_and_no_others():
    tick = Ticker(book_of(
        alert(1, threshold=D(100)), alert(2, threshold=D(101)), alert(3, threshold=D(102)),
        alert(4, kind="price_below", threshold=D(99)), alert(5, asset_id=ETH),
    ))  # fmt: skip
    assert tick({BTC: 101}) == [(1, "told", 101), (2, "told", 101)]
    assert tick({BTC: 101}) == []
    assert tick({BTC: 99}) == [(4, "told", 99)]


def test_what_is_told_once_is_watched_no_longer():
    book = book_of(alert())
    tick = Ticker(book)
    tick({BTC: 100})
    assert len(book) == 0
    assert tick({BTC: 50}) + tick({BTC: 200}) == []


def test_a_repeating_one_is_told_again_after_going_back():
    tick = Ticker(book_of(alert(repeats=True, hysteresis=D(10))))
    assert tick({BTC: 100}) == [(1, "told", 100)]
    assert tick({BTC: 90}) == []
    assert tick({BTC: 105}) == []
    assert tick({BTC: "89.99"}) == [(1, "armed", D("89.99"))]
    assert tick({BTC: 105}) == [(1, "told", 105)]


def test_a_price_in_another_currency_moves_with_both_sides():
    tick = Ticker(book_of(alert(1, currency="EUR"), alert(2, currency="EUR", kind="price_below",
                                                          threshold=D(80))))  # fmt: skip
    assert tick({BTC: 110}) == []  # nobody knows what a euro costs
    assert tick({EUR: "1.25"}) == []  # 88
    assert tick({EUR: "1.1"}) == [(1, "told", 100)]
    assert tick({EUR: "1.375"}) == [(2, "told", 80)]


def test_a_currency_nobody_knows_and_a_price_that_is_old_say_nothing():
    tick = Ticker(book_of(alert(1, currency="XXX"), alert(2, currency="EUR")))
    tick({EUR: 1})
    assert tick({BTC: 500}, after=timedelta(minutes=16)) == []
    assert tick({EUR: 1}) == [(2, "told", 500)]


def test_an_older_tick_does_not_count():
    book = book_of(alert())
    book.take([(BTC, Quoted(D(50), NOON))], fresh_since=LONG_AGO)
    late = Quoted(D(500), NOON - timedelta(seconds=1))
    assert book.take([(BTC, late)], fresh_since=LONG_AGO) == []


def test_a_move_is_told_from_the_lowest_of_the_window():
    change = {"kind": "price_change", "window": HOUR, "threshold": D(5)}
    tick = Ticker(book_of(
        alert(1, **change, direction="up"), alert(2, **change, direction="down"),
        alert(3, **change | {"threshold": D(10)}, direction="any"),
    ))  # fmt: skip
    assert tick({BTC: 100}) == []
    assert tick({BTC: "104.99"}) == []
    assert tick({BTC: 105}) == [(1, "told", 5)]
    assert tick({BTC: "94.5"}) == [(2, "told", -10), (3, "told", -10)]


def test_a_move_slower_than_the_window_is_none():
    change = {"kind": "price_change", "window": HOUR, "threshold": D(5), "direction": "up"}
    tick = Ticker(book_of(alert(**change)))
    tick({BTC: 100})
    assert tick({BTC: 104}, after=timedelta(minutes=50)) == []
    assert tick({BTC: 108}, after=timedelta(minutes=30)) == []


def test_what_a_price_was_before_it_was_watched_counts():
    change = {"kind": "price_change", "window": HOUR, "threshold": D(5), "direction": "up"}
    book = book_of(alert(**change))
    book.remember((BTC, "USD"), HOUR, [(NOON - timedelta(minutes=30), Range(D(100), D(103)))])
    assert Ticker(book)({BTC: 105}) == [(1, "told", 5)]


def test_a_changed_alert_keeps_what_is_known_of_its_window():
    change = {"kind": "price_change", "window": HOUR, "threshold": D(50), "direction": "up"}
    book = book_of(alert(**change))
    tick = Ticker(book)
    tick({BTC: 100})
    book.put(alert(**change | {"threshold": D(5)}))
    assert tick({BTC: 105}) == [(1, "told", 5)]


def test_reloading_what_has_not_changed_tells_nothing_again():
    book = book_of(alert(1, repeats=True), alert(2, threshold=D(300)))
    tick = Ticker(book)
    tick({BTC: 150})
    book.reload([alert(1, repeats=True, armed=False), alert(2, threshold=D(300))])
    assert tick({BTC: 151}) == []
    book.reload([alert(2, threshold=D(300))])
    assert len(book) == 1


def test_a_forgotten_alert_is_not_told():
    book = book_of(alert(1), alert(2))
    book.forget(UUID(int=101))
    book.forget(UUID(int=999))
    assert Ticker(book)({BTC: 100}) == [(2, "told", 100)]


# --- against looking at every alert -------------------------------------------------------------
LEVELS = st.decimals("90", "110", places=1)
ALERTS = st.lists(
    st.builds(
        lambda kind, threshold, hysteresis, repeats, armed, currency: {
            "kind": kind, "threshold": threshold, "hysteresis": hysteresis, "repeats": repeats,
            "armed": armed or not repeats, "currency": currency,
        },
        st.sampled_from(["price_above", "price_below"]), LEVELS,
        st.decimals("0", "5", places=1), st.booleans(), st.booleans(),
        st.sampled_from(["USD", "EUR"]),
    ),
    max_size=12,
)  # fmt: skip
TICKS = st.lists(st.tuples(st.sampled_from([BTC, EUR]), LEVELS), max_size=25)


class OneByOne:
    """The same by looking at every alert at every tick."""

    def __init__(self, alerts: list[Watched]) -> None:
        self.alerts, self.prices = alerts, {}

    def take(self, asset: UUID, price: D) -> set[tuple[UUID, bool]]:
        self.prices[asset] = price
        return {(item.id, told) for item in self.alerts for told in self._judge(item, asset)}

    def _judge(self, item: Watched, asset: UUID):
        bases = {"USD": D(1), "EUR": self.prices.get(EUR)}
        base, usd = bases[item.currency], self.prices.get(BTC)
        if usd is None or base is None or (item.currency == "USD" and asset == EUR):
            return
        figure = usd if base == 1 else (usd / base).quantize(D("1e-30"))
        if item.armed and conditions.reached(figure, threshold=item.threshold, rises=item.rises):
            item.armed = False
            yield True
        elif not item.armed and item.repeats and conditions.gone_back(
            figure, threshold=item.threshold, hysteresis=item.hysteresis, rises=item.rises
        ):  # fmt: skip
            item.armed = True
            yield False


@given(ALERTS, TICKS)
def test_the_book_finds_what_looking_at_every_alert_finds(fields, ticks):
    alerts = [alert(number, **one) for number, one in enumerate(fields)]
    book, plain = book_of(*[replace(one) for one in alerts]), OneByOne(alerts)
    for number, (asset, price) in enumerate(ticks):
        quoted = Quoted(price, NOON + timedelta(seconds=number))
        found = book.take([(asset, quoted)], fresh_since=LONG_AGO)
        assert {(item.alert.id, item.told) for item in found} == plain.take(asset, price)


@given(st.lists(st.decimals("99.01", "101", places=2), min_size=1, max_size=60))
def test_trembling_within_the_hysteresis_is_told_once(prices):
    """However often a price crosses the threshold, it is told once until it has gone back."""
    tick = Ticker(book_of(alert(repeats=True, hysteresis=D(1))))
    told = [item for price in prices for item in tick({BTC: str(price)})]
    assert len(told) == (1 if max(prices) >= 100 else 0)


@given(st.lists(LEVELS, max_size=60))
def test_between_two_tellings_the_price_has_always_gone_back(prices):
    tick = Ticker(book_of(alert(repeats=True, hysteresis=D(2))))
    told_since_back = 0
    for price in prices:
        if price < 98:
            told_since_back = 0
        told_since_back += sum(what == "told" for _, what, _ in tick({BTC: str(price)}))
        assert told_since_back <= 1


@pytest.mark.parametrize("hundreds", [1, 10])
def test_many_alerts_at_one_level_are_all_told_and_can_be_forgotten(hundreds):
    book = book_of(*[alert(number) for number in range(100 * hundreds)])
    book.forget(UUID(int=150))
    found = book.take([(BTC, Quoted(D(100), NOON))], fresh_since=LONG_AGO)
    assert len(found) == 100 * hundreds - 1
