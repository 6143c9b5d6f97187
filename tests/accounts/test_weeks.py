"""When weeks end, where people live."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import weeks

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = ["Europe/Zurich", "America/New_York", "Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo"]


@pytest.mark.parametrize(
    ("zone", "now", "last", "following"),
    [
        ("UTC", "2026-11-30T08:00Z", "2026-11-30T08:00Z", "2026-12-07T08:00Z"),
        ("UTC", "2026-11-30T07:59Z", "2026-11-23T08:00Z", "2026-11-30T08:00Z"),
        ("Europe/Zurich", "2026-11-30T07:00Z", "2026-11-30T07:00Z", "2026-12-07T07:00Z"),
        # Clocks were set on Sunday: by the wall it is eight all the same.
        ("Europe/Zurich", "2026-03-28T12:00Z", "2026-03-23T07:00Z", "2026-03-30T06:00Z"),
        ("Europe/Zurich", "2026-10-24T12:00Z", "2026-10-19T06:00Z", "2026-10-26T07:00Z"),
        # Monday in Apia is still Sunday in Greenwich.
        ("Pacific/Apia", "2026-11-29T19:00Z", "2026-11-29T19:00Z", "2026-12-06T19:00Z"),
    ],
)
def test_a_week_ends_on_monday_at_eight(zone, now, last, following):
    asked = {"day": 0, "zone": ZoneInfo(zone), "now": datetime.fromisoformat(now)}
    assert weeks.last(**asked) == datetime.fromisoformat(last)
    assert weeks.following(**asked) == datetime.fromisoformat(following)


@given(st.integers(0, 3 * 366 * 24 * 60), st.integers(0, 6), st.sampled_from(ZONES))
def test_every_moment_lies_in_just_one_week(minutes, day, name):
    now, zone = SINCE + timedelta(minutes=minutes), ZoneInfo(name)
    last, following = (f(day=day, zone=zone, now=now) for f in (weeks.last, weeks.following))
    assert last <= now < following
    assert weeks.last(day=day, zone=zone, now=following) == following
    assert weeks.following(day=day, zone=zone, now=last) == following
    for moment in (last, following):
        local = moment.astimezone(zone)
        assert (local.weekday(), local.hour, local.minute) == (day, 8, 0)
