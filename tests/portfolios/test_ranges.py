"""Ranges: whose day it is, and which closes of UTC days a range lies between."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.returns import ranges

AUCKLAND, HONOLULU, LONDON = "Pacific/Auckland", "Pacific/Honolulu", "UTC"
NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)  # the 11th in Auckland, the 10th in Honolulu
# hypothesis wants the ends without a zone
YEAR_2015, YEAR_2040 = (datetime(year, 1, 1) for year in (2015, 2040))  # noqa: DTZ001


def resolve(name, zone=LONDON, now=NOW, since=None, until=None, beginning=date(2020, 1, 1)):
    return ranges.resolve(
        name=name, since=since, until=until, zone=ZoneInfo(zone), now=now, beginning=beginning
    )


@pytest.mark.parametrize(
    ("name", "zone", "first", "opening"),
    [
        ("1D", LONDON, date(2026, 3, 10), date(2026, 3, 9)),
        ("1D", AUCKLAND, date(2026, 3, 11), date(2026, 3, 9)),  # began at 11:00 UTC
        ("1D", HONOLULU, date(2026, 3, 10), date(2026, 3, 9)),  # began at 10:00 UTC
        ("1W", LONDON, date(2026, 3, 3), date(2026, 3, 2)),
        ("1M", AUCKLAND, date(2026, 2, 11), date(2026, 2, 9)),
        ("3M", LONDON, date(2025, 12, 10), date(2025, 12, 9)),
        ("YTD", LONDON, date(2026, 1, 1), date(2025, 12, 31)),
        ("YTD", AUCKLAND, date(2026, 1, 1), date(2025, 12, 30)),  # began on 31 December, 11:00 UTC
        ("YTD", HONOLULU, date(2026, 1, 1), date(2025, 12, 31)),  # began on 1 January, 10:00 UTC
        ("1Y", LONDON, date(2025, 3, 10), date(2025, 3, 9)),
        ("ALL", LONDON, date(2020, 1, 1), date(2019, 12, 31)),
    ],
)  # fmt: skip
def test_a_range_opens_with_the_last_close_before_the_persons_first_day(name, zone, first, opening):
    found = resolve(name, zone)
    assert (found.first, found.opening, found.reaches_now) == (first, opening, True)
    assert found.last == NOW.date()


def test_new_year_in_auckland_is_still_the_old_one_in_honolulu():
    now = datetime(2025, 12, 31, 12, tzinfo=UTC)
    assert resolve("YTD", AUCKLAND, now).first == date(2026, 1, 1)
    assert resolve("YTD", HONOLULU, now).first == date(2025, 1, 1)


def test_days_that_a_person_names_are_theirs():
    ends = {"since": date(2026, 2, 1), "until": date(2026, 2, 28)}
    here, auckland = resolve("custom", **ends), resolve("custom", AUCKLAND, **ends)
    assert (here.opening, here.last, here.reaches_now) == (
        date(2026, 1, 31),
        date(2026, 2, 28),
        False,
    )
    assert (auckland.opening, auckland.last) == (date(2026, 1, 30), date(2026, 2, 27))


def test_a_range_does_not_begin_before_there_was_anything():
    found = resolve("1Y", beginning=date(2026, 2, 2))
    assert found.opening == date(2026, 2, 1)
    assert resolve("ALL", beginning=None).days == 1


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2028, 2, 29), 12, date(2027, 2, 28)),
        (date(2026, 1, 15), 3, date(2025, 10, 15)),
    ],
)
def test_a_month_before_is_the_same_day_or_the_last_one(day, months, expected):
    assert ranges.months_before(day, months) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": date(2026, 3, 11)},
        {"since": date(2026, 3, 1), "until": date(2026, 2, 1)},
        {"since": date(2026, 3, 1), "until": date.max},
    ],
)
def test_dates_that_make_no_range_are_refused(wrong):
    with pytest.raises(ranges.WrongRange):
        resolve("custom", **wrong)


@given(
    st.datetimes(YEAR_2015, YEAR_2040, timezones=st.just(UTC)),
    st.sampled_from([AUCKLAND, HONOLULU, LONDON, "Asia/Kathmandu", "America/St_Johns"]),
    st.sampled_from(["1D", "1W", "1M", "3M", "YTD", "1Y"]),
)
def test_a_range_holds_what_it_names_and_at_most_a_day_more(now, zone, name):
    found = resolve(name, zone, now, beginning=date(2000, 1, 1))
    begins = datetime.combine(found.first, datetime.min.time(), ZoneInfo(zone))
    opened = datetime.combine(found.opening, datetime.min.time(), UTC)
    before = (begins - opened).total_seconds() / 86400 - 1
    assert 0 <= before < 1
    assert found.opening < found.last == now.date()
