"""Quiet hours, on ordinary nights and on those on which the clock is set."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import delivery
from accounts.models import Delivery, User
from accounts.notifications import Event, notify
from accounts.quiet_hours import QuietHours
from tests import factories
from tests.broker import waiting
from tracker import ids, tenancy

ZURICH = ZoneInfo("Europe/Zurich")
NIGHT = QuietHours(time(22), time(7), ZURICH)
SINCE = datetime(2024, 1, 1, tzinfo=UTC)
# 23:30 in Zurich
LATE = datetime(2026, 11, 30, 22, 30, tzinfo=UTC)
MORNING = datetime(2026, 12, 1, 6, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- pure ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("moment", "over"),
    [
        ("2026-11-30T21:59:59+01:00", "2026-11-30T21:59:59+01:00"),
        ("2026-11-30T22:00:00+01:00", "2026-12-01T07:00:00+01:00"),
        ("2026-12-01T03:00:00+01:00", "2026-12-01T07:00:00+01:00"),
        ("2026-12-01T06:59:59+01:00", "2026-12-01T07:00:00+01:00"),
        ("2026-12-01T07:00:00+01:00", "2026-12-01T07:00:00+01:00"),
        # The clock goes from 2:00 to 3:00, later from 3:00 back to 2:00: by the wall, at seven.
        ("2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"),
        ("2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"),
    ],
)
def test_what_is_due_within_quiet_hours_waits_until_they_end(moment, over):
    assert NIGHT.over(at(moment)) == at(over)


def test_quiet_hours_of_one_day_end_on_it():
    lunch = QuietHours(time(12), time(13, 30), ZURICH)
    assert lunch.over(at("2026-06-01T12:15:00+02:00")) == at("2026-06-01T13:30:00+02:00")
    assert lunch.over(at("2026-06-01T23:15:00+02:00")) == at("2026-06-01T23:15:00+02:00")


@pytest.mark.parametrize(
    ("moment", "over"),
    [
        # An end that this night skips: 2:30 does not exist, and an hour later it does.
        ("2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"),
        # An end that this night has twice: the first one, and for who is past it the second.
        ("2026-10-25T01:30:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_an_end_in_the_hour_that_is_skipped_or_doubled(moment, over):
    assert QuietHours(time(22), time(2, 30), ZURICH).over(at(moment)) == at(over)


@given(
    st.integers(0, 4 * 366 * 24 * 60).map(lambda m: SINCE + timedelta(minutes=m)),
    st.times(), st.times(),
    st.sampled_from(["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
                     "Africa/Cairo", "UTC"]),
)  # fmt: skip
def test_the_end_is_never_before_the_moment_nor_more_than_a_day_and_the_change_of_the_clock_after(
    moment, start, end, zone
):
    if start == end:
        return
    quiet = QuietHours(start, end, ZoneInfo(zone))
    over = quiet.over(moment)
    assert moment <= over <= moment + timedelta(hours=26)
    assert quiet.over(over) == over or over.astimezone(quiet.zone).time() != end


# --- telling ------------------------------------------------------------------------------------
@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", time_zone="Europe/Zurich")


@pytest.fixture
def sleeping(client_of, alice):
    client_of(alice).patch(
        "/me/notifications/settings", {"quiet_from": "22:00", "quiet_until": "07:00"}
    )
    return alice


def told(user: User, event: Event, now: datetime = LATE) -> dict[str, Delivery]:
    with tenancy.as_user(user.id):
        notify(
            user_id=user.id, event=event, dedupe=str(ids.new_id()), now=now, title="t", value="v"
        )
        return {row.channel: row for row in Delivery.objects.filter(event=event)}


def test_an_email_waits_until_morning_and_the_app_shows_it_at_once(sleeping):
    rows = told(sleeping, Event.PRICE_ALERT)
    email = rows["email"]
    assert (email.next_attempt_at, email.held_back) == (MORNING, "quiet_hours")
    assert (rows["live"].state, rows["live"].held_back) == ("sent", "")
    assert not delivery.send(delivery_id=email.id, now=MORNING - timedelta(seconds=1))
    assert delivery.send(delivery_id=email.id, now=MORNING)


def test_what_waits_is_not_queued_before_its_time_and_then_it_is(
    sleeping, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        rows = told(sleeping, Event.PRICE_ALERT)
    assert waiting() == []
    assert delivery.send_due(now=MORNING - timedelta(minutes=1)) == 0
    assert delivery.send_due(now=MORNING + timedelta(minutes=1)) == 1
    [(_, arguments)] = waiting()
    assert arguments == {"delivery_id": str(rows["email"].id)}


def test_security_does_not_wait(sleeping):
    for event in (Event.PASSWORD_CHANGED, Event.SECURITY_ALERT):
        assert told(sleeping, event)["email"].next_attempt_at == LATE


def test_by_day_nothing_waits(sleeping):
    noon = LATE - timedelta(hours=10)
    assert told(sleeping, Event.PRICE_ALERT, noon)["email"].next_attempt_at == noon


# --- choosing -----------------------------------------------------------------------------------
PATH = "/me/notifications/settings"


def test_by_default_nothing_is_quiet_and_the_week_ends_on_monday(client_of, alice):
    assert client_of(alice).get(PATH).json() == {
        "quiet_from": None, "quiet_until": None, "weekly_summary_day": 0,
        "time_zone": "Europe/Zurich", "email_undeliverable_since": None,
    }  # fmt: skip


def test_what_is_chosen_is_kept_logged_and_taken_back(client_of, alice):
    from audit.actions import Action
    from audit.models import ActivityLog

    api = client_of(alice)
    api.patch(PATH, {"quiet_from": "22:30", "quiet_until": "06:15", "weekly_summary_day": 6})
    kept = api.get(PATH).json()
    assert (kept["quiet_from"], kept["quiet_until"]) == ("22:30", "06:15")
    assert kept["weekly_summary_day"] == 6
    api.patch(PATH, {"quiet_from": None, "quiet_until": None})
    assert told(alice, Event.PRICE_ALERT)["email"].next_attempt_at == LATE
    with tenancy.as_user(alice.id):
        rows = ActivityLog.objects.filter(action=Action.NOTIFICATION_SETTINGS_CHANGED)
        assert [row.details["changed"] for row in rows.order_by("id")] == [
            ["quiet_from", "quiet_until", "weekly_summary_day"], ["quiet_from", "quiet_until"],
        ]  # fmt: skip


BAD: list[tuple[dict[str, Any], str]] = [
    ({"quiet_from": "22:00"}, "quiet_until"),
    ({"quiet_until": "22:00"}, "quiet_from"),
    ({"quiet_from": "22:00", "quiet_until": "22:00"}, "quiet_until"),
    ({"quiet_from": "25:00", "quiet_until": "07:00"}, "quiet_from"),
    ({"quiet_from": "22:00:30", "quiet_until": "07:00"}, "quiet_from"),
    ({"quiet_from": 22, "quiet_until": "07:00"}, "quiet_from"),
    ({"weekly_summary_day": 7}, "weekly_summary_day"),
    ({"weekly_summary_day": -1}, "weekly_summary_day"),
    ({"weekly_summary_day": "Monday"}, "weekly_summary_day"),
    ({"summary_due_at": "2026-01-01T00:00:00Z"}, "summary_due_at"),
    ({"time_zone": "UTC"}, "time_zone"),
    ({"user_id": "x"}, "user_id"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_hours_that_make_no_sense_are_refused_and_nothing_changes(client_of, alice, body, field):
    """S18"""
    answer = client_of(alice).patch(PATH, body)
    assert answer.status_code == 400
    assert field in [row["field"] for row in answer.json()["details"]["fields"]]
    assert client_of(alice).get(PATH).json()["quiet_from"] is None


def test_quiet_hours_are_of_one_person_alone(client_of, sleeping):
    bob = factories.person("bob@example.com")
    assert client_of(bob).get(PATH).json()["quiet_from"] is None
    assert told(bob, Event.PRICE_ALERT)["email"].next_attempt_at == LATE
