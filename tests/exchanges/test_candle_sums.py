"""Candles of four hours and weeks, added up from any hours and days there may be; and gaps."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchanges import candle_table, candles
from exchanges.bars import Bar
from exchanges.candles import Gap, Reason, Series, Standing
from exchanges.models import Asset, Candle, NeedKind, NeedState, PriceNeed

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 30, tzinfo=UTC)  # a Monday; Europe has just put its clocks forward
PARTS = {"4h": ("1h", HOUR, 4), "1w": ("1d", DAY, 7)}
BUCKETS = 3

price = st.decimals("0.00000001", "100000", places=8)
volume = st.none() | st.decimals(0, 1000, places=8)


@st.composite
def bars(draw):
    told = draw(st.lists(price, min_size=4, max_size=4))
    opened, closed = told[:2]
    return Bar(opened, max(told), min(told), closed, draw(volume), draw(st.sampled_from("ab")))


@st.composite
def worlds(draw):
    """An interval, the parts that are stored, the stretch that markets told all of, the time."""
    interval = draw(st.sampled_from(list(PARTS)))
    count = BUCKETS * PARTS[interval][2]
    stored = draw(st.dictionaries(st.integers(0, count - 1), bars()))
    ended = draw(st.integers(0, count))
    first = draw(st.integers(0, count - 1))
    last = draw(st.integers(first + 1, count))
    return interval, stored, ended, (first, last)


@pytest.fixture
def coin(db):
    return Asset.objects.create(slug="coin", code="COIN").id


@given(world=worlds())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_sum_opens_with_the_first_and_closes_with_the_last_of_what_there_is(coin, world):
    interval, stored, ended, (first, last) = world
    part, length, size = PARTS[interval]
    now = START + ended * length + timedelta(minutes=2)  # `ended` parts are over and settled
    until = START + BUCKETS * size * length
    keep(coin, part, {START + place * length: bar for place, bar in stored.items()}, now)
    told = range(first, min(last, ended))
    note(coin, part, START + told.start * length, START + told.stop * length)
    found = candles.read(asset_id=coin, interval=interval, since=START, until=until, now=now)
    assert list(found.rows) == [
        row for bucket in range(BUCKETS) if (row := added_up(bucket, world, told))
    ]


def added_up(bucket, world, told):
    """What one bucket comes to, said once more and plainly."""
    interval, stored, ended, _ = world
    _, length, size = PARTS[interval]
    places = range(bucket * size, (bucket + 1) * size)
    there = [place for place in places if place in stored]
    if not there:
        return None
    parts = [stored[place] for place in there]
    volumes = [bar.volume for bar in parts]
    whole = len(there) == size or set(places) <= set(told)
    return (
        START + bucket * size * length,
        parts[0].open,
        max(bar.high for bar in parts),
        min(bar.low for bar in parts),
        parts[-1].close,
        None if None in volumes else sum(volumes, D(0)),
        whole and all(place < ended for place in there),
    )


def keep(coin, interval, found, now):
    Candle.objects.all().delete()
    candle_table.store(asset_id=coin, interval=interval, found=found, now=now)


def note(coin, interval, since, until):
    PriceNeed.objects.all().delete()
    if since < until:
        PriceNeed.objects.create(
            asset_id=coin, kind=NeedKind.CANDLE, interval=interval, since=since, until=until,
            state=NeedState.DONE,
        )  # fmt: skip


def test_a_part_of_a_bucket_does_not_close_it(coin):
    now = START + 30 * DAY
    bar = Bar(D(2), D(3), D(1), D(2), D(5), "a")
    keep(coin, "1h", {START + place * HOUR: bar for place in (0, 1, 3)}, now)
    note(coin, "1h", START, START)
    asked = {"asset_id": coin, "interval": "4h", "since": START, "until": START + 4 * HOUR}
    (row,) = candles.read(**asked, now=now).rows
    assert (row[5], row[6]) == (D(15), False)
    note(coin, "1h", START, START + 4 * HOUR)  # no market had the third hour
    (row,) = candles.read(**asked, now=now).rows
    assert (row[5], row[6]) == (D(15), True)


# --- what is missing ----------------------------------------------------------------------------
def hours(text, kind):
    """The hours at which a letter stands, as stretches: ``..a`` is the third."""
    return [
        (START + place * HOUR, START + (place + 1) * HOUR)
        for place, letter in enumerate(text)
        if letter == kind
    ]


def told(needs):
    """``d`` done, ``n`` nowhere, ``a`` open and asked, ``f`` failed, ``o`` open; ``.`` nothing."""
    meant = {
        "d": (NeedState.DONE, START, ""),
        "n": (NeedState.NOWHERE, None, ""),
        "a": (NeedState.OPEN, START, ""),
        "f": (NeedState.OPEN, None, "exchange_unreachable"),
        "o": (NeedState.OPEN, None, ""),
    }
    return [
        Standing(span, *meant[letter]) for letter in sorted(meant) for span in hours(needs, letter)
    ]


def missing(interval, rows, needs, begun=None):
    since, until = START, START + len(rows) * HOUR
    series = Series(Asset().id, interval, since, until, begun or until)
    found = candles.gaps(series, told=told(needs), held=hours(rows, "x"))
    return merged(found)


def merged(found):
    """One letter for each hour: what is said of it."""
    letters = {Reason.NOT_FETCHED: "?", Reason.SOURCE_UNAVAILABLE: "!", Reason.NO_MARKET: "-"}
    line = ["."] * 24
    for gap in found:
        assert isinstance(gap, Gap)
        for place in range((gap.since - START) // HOUR, (gap.until - START) // HOUR):
            assert line[place] == "."
            line[place] = letters[gap.reason]
    return "".join(line)


@pytest.mark.parametrize(
    ("interval", "rows", "needs", "said"),
    [
        ("1h", "........", "........", "????????"),
        ("1h", "xxxxxxxx", "........", "........"),
        ("1h", "..xx....", "dddddddd", "--..----"),
        ("1h", "..xx....", "ddddofna", "--..?!--"),
        ("1h", "x.......", "dd..ff..", ".-??!!??"),
        ("1h", ".......x", "nnnnnnnn", "-------."),
        # an hour that no market had is no gap in four that have a candle
        ("4h", ".xx.....", "dddddddd", "....----"),
        ("4h", ".xx.....", "ddddddoo", "....--??"),
        ("4h", ".xx.....", "d.......", "...?????"),
        ("4h", ".x.x....", "aaaaffff", "....!!!!"),
    ],
)
def test_every_hour_is_there_or_it_is_said_why_not(interval, rows, needs, said):
    assert missing(interval, rows, needs)[: len(rows)] == said


def test_what_has_not_begun_is_not_missing():
    begun = START + 6 * HOUR
    assert missing("4h", "xxxx....", "dddd....", begun)[:8] == "....??.."
    assert missing("4h", "xxxx....", "ddddaa..", begun)[:8] == "....--.."


@given(
    st.text("x.", min_size=8, max_size=8), st.text("dnafo.", min_size=8, max_size=8)
)  # fmt: skip
def test_an_hour_is_either_there_or_missing_for_one_reason(rows, needs):
    said = missing("1h", rows, needs)[:8]
    for row, need, reason in zip(rows, needs, said, strict=True):
        assert (row == "x") == (reason == ".")
        if row == ".":
            assert reason == {"f": "!", "o": "?", ".": "?"}.get(need, "-")
