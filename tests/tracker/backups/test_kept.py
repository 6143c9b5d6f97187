"""S47: 7 daily, 4 weekly and 12 monthly copies."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.backups.kept import kept

DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(now: datetime, days: int) -> list[datetime]:
    return [now - number * DAY for number in range(days)]


def test_of_two_years_of_daily_copies_these_are_left():
    """S47"""
    now = at("2026-11-30T02:00")  # a Monday
    left = sorted(kept(daily(now, 730), now=now), reverse=True)
    assert [f"{instant:%m-%d}" for instant in left] == [
        "11-30", "11-29", "11-28", "11-27", "11-26", "11-25", "11-24",  # days
        "11-22", "11-15",  # weeks, of which two are among the days
        "10-31", "09-30", "08-31", "07-31", "06-30", "05-31", "04-30", "03-31", "02-28", "01-31",
        "12-31",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "instants", "left"),
    [
        ("2026-11-30T12:00", [], []),
        ("2026-11-30T12:00", ["2026-11-30T02:00"], ["2026-11-30T02:00"]),
        # of one day, the newest
        ("2026-11-30T12:00", ["2026-11-30T02:00", "2026-11-30T05:00"], ["2026-11-30T05:00"]),
        # after a long silence the newest of its month stays
        ("2026-11-30T12:00", ["2026-06-10T02:00", "2026-06-11T02:00"], ["2026-06-11T02:00"]),
        # nothing older than twelve months, the running one included
        ("2026-11-30T12:00", ["2025-12-01T00:00", "2025-11-30T23:59"], ["2025-12-01T00:00"]),
        # a clock that was ahead takes nothing away
        ("2026-11-30T12:00", ["2026-12-05T02:00", "2026-11-30T02:00"],
         ["2026-12-05T02:00", "2026-11-30T02:00"]),
        # weeks begin on Monday, also over the turn of a year
        ("2027-01-20T12:00", ["2026-12-31T02:00", "2027-01-03T02:00", "2027-01-04T02:00"],
         ["2026-12-31T02:00", "2027-01-03T02:00", "2027-01-04T02:00"]),
    ],
)  # fmt: skip
def test_what_is_kept(now, instants, left):
    """S47"""
    assert kept(map(at, instants), now=at(now)) == set(map(at, left))


instants = st.lists(
    st.datetimes(at("2020-01-01").replace(tzinfo=None), at("2026-12-31").replace(tzinfo=None)).map(
        lambda found: found.replace(tzinfo=UTC)
    ),
    max_size=60,
)


@given(instants, st.integers(0, 400))
def test_few_are_kept_and_always_the_newest(found, days):
    """S47"""
    now = max(found, default=at("2026-01-01")) + days * DAY
    left = kept(found, now=now)
    assert left <= set(found)
    assert len(left) <= 7 + 4 + 12
    assert kept(left, now=now) == left
    assert all(now - instant < timedelta(days=366) for instant in left)
    if found and days < 300:
        assert max(found) in left


@given(st.integers(1, 500), st.integers(0, 3000))
def test_removing_day_by_day_leaves_what_removing_at_once_leaves(days, start):
    """S47: nothing that is removed today is wanted tomorrow."""
    first = at("2020-01-01T02:00") + start * DAY
    history = [first + number * DAY for number in range(days)]
    left: set[datetime] = set()
    for instant in history:
        left = kept({*left, instant}, now=instant)
    assert left == kept(history, now=history[-1])
