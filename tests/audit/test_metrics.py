"""Counting who was there: rarely, cheaply, and never at a request's cost."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import metrics
from audit.models import ActivityLog, SessionActivity, UserMetric
from tests import factories
from tracker import ids, tenancy

NOON = datetime(2026, 3, 10, 12, 1, 30, tzinfo=UTC)
ADDRESS = "203.0.113.7"


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> None:
    metrics._counted.clear()


@pytest.fixture
def ann(transactional_db):
    return factories.person("ann@example.com")


def touch(user: Any, session: Any, feature: str = "portfolio", **given: Any) -> None:
    metrics.touch(
        user_id=user.id, session_id=session, feature=feature,
        **{"ip_address": ADDRESS, "now": NOON} | given,
    )  # fmt: skip


def rows() -> list[SessionActivity]:
    with tenancy.as_system("test"):
        return list(SessionActivity.objects.order_by("bucket_at"))


def test_a_session_is_counted_once_per_feature_and_five_minutes(ann):
    session = ids.new_id()
    touch(ann, session)
    with CaptureQueriesContext(connection) as captured:
        touch(ann, session, now=NOON + timedelta(minutes=3))
    assert len(captured) == 0
    touch(ann, session, "trades", now=NOON + timedelta(minutes=2))
    touch(ann, session, now=NOON + timedelta(minutes=4))
    first, second = rows()
    assert (first.bucket_at.minute, first.features) == (0, ["portfolio", "trades"])
    assert (second.bucket_at.minute, second.features) == (5, ["portfolio"])
    assert first.last_at == NOON + timedelta(minutes=2)


def test_counting_takes_one_round_trip_and_no_explicit_transaction(ann):
    with CaptureQueriesContext(connection) as captured:
        touch(ann, ids.new_id())
    assert len(captured) == 1


def test_another_process_that_counts_the_same_adds_nothing_twice(ann):
    session = ids.new_id()
    touch(ann, session)
    metrics._counted.clear()
    touch(ann, session, now=NOON - timedelta(seconds=20), ip_address="198.51.100.1")
    (row,) = rows()
    assert (row.features, row.last_at, row.ip_address) == (["portfolio"], NOON, ADDRESS)


def test_counting_never_fails_a_request(ann):
    """Neither for a person who is being erased, nor inside a transaction with other work."""
    nobody = factories.User(id=ids.new_id(), email="gone@example.com")
    touch(nobody, ids.new_id())
    with transaction.atomic(), tenancy.as_user(ann.id):
        touch(nobody, ids.new_id(), "trades")
        assert factories.User.objects.filter(id=ann.id).exists()
    assert rows() == []


def test_what_is_remembered_is_bounded():
    counted = metrics._Counted(most=2)
    sessions = [ids.new_id() for _ in range(3)]
    assert [counted.first(session, "x", NOON) for session in sessions] == [True] * 3
    assert len(counted._buckets) == 2
    assert counted.first(sessions[0], "x", NOON)  # forgotten, so written once more
    assert not counted.first(sessions[2], "x", NOON)


def test_a_session_was_last_seen_where_it_was_last_used(ann):
    session, idle = ids.new_id(), ids.new_id()
    touch(ann, session)
    touch(ann, session, now=NOON + timedelta(hours=1), ip_address="2001:db8::1")
    found = metrics.last_seen(ann.id, [session, idle])
    assert found == {session: metrics.LastSeen(NOON + timedelta(hours=1), "2001:db8::1")}


def test_nobody_sees_when_another_persons_session_was_used(ann):
    """S14"""
    session, bob = ids.new_id(), factories.person("bob@example.com")
    touch(ann, session)
    assert metrics.last_seen(bob.id, [session]) == {}


def test_routes_belong_to_few_features():
    routes = ["api/v1/connections/<uuid:connection_id>/sync", "api/v1/portfolio", "api/v1/me/x", ""]
    assert [metrics.feature_of(route) for route in routes] == [
        "connections", "portfolio", "me", "api"
    ]  # fmt: skip


# --- the day ------------------------------------------------------------------------------------
DAY = NOON.date()


def act(user: Any, action: str = "exchange.connection.changed", **given: Any) -> None:
    row = {"user_id": user.id, "ip_address": ADDRESS, "created_at": NOON} | given
    with tenancy.as_system("test"):
        ActivityLog.objects.bulk_create([ActivityLog(action=action, **row)])


def metrics_of(user: Any, day: date = DAY) -> UserMetric | None:
    with tenancy.as_user(user.id):
        return UserMetric.objects.filter(date=day).first()


def test_a_day_adds_up_counters_and_acts(ann):
    phone, laptop = ids.new_id(), ids.new_id()
    touch(ann, phone, "portfolio")
    touch(ann, phone, "portfolio", now=NOON + timedelta(minutes=5))
    touch(ann, laptop, "portfolio", now=NOON + timedelta(minutes=2))  # beside the phone
    touch(ann, laptop, "exchange", now=NOON + timedelta(hours=1))
    act(ann)
    act(ann)
    assert metrics.roll_up(DAY, now=NOON) == 1
    row = metrics_of(ann)
    assert (row.daily_active, row.session_duration) == (True, timedelta(minutes=15))
    assert row.features_used == {"portfolio": 2, "exchange": 3}


def test_rolling_up_again_changes_nothing_and_later_acts_are_added(ann):
    touch(ann, ids.new_id())
    metrics.roll_up(DAY, now=NOON)
    before = metrics_of(ann)
    assert metrics.roll_up(DAY, now=NOON) == 1
    again = metrics_of(ann)
    assert (again.id, again.features_used) == (before.id, before.features_used)
    act(ann)
    metrics.roll_up(DAY, now=NOON)
    assert metrics_of(ann).features_used == {"portfolio": 1, "exchange": 1}


@pytest.mark.parametrize("given", [
    {"ip_address": None},  # a task in the background
    {"actor_id": ids.new_id()},  # support
    {"outcome": "refused"},
    {"action": "user.sign_in_failed"},  # anybody
    {"action": "security.alert.raised"},  # the program
])  # fmt: skip
def test_what_others_do_makes_nobody_active(ann, given):
    act(ann, **given)
    assert metrics.roll_up(DAY, now=NOON) == 1
    row = metrics_of(ann)
    assert (row.daily_active, row.features_used) == (False, {})


def test_a_day_ends_at_midnight_utc(ann):
    act(ann, created_at=datetime(2026, 3, 10, 0, 0, tzinfo=UTC))
    act(ann, created_at=datetime(2026, 3, 11, 0, 0, tzinfo=UTC))
    touch(ann, ids.new_id(), now=datetime(2026, 3, 10, 23, 59, tzinfo=UTC))
    metrics.roll_up(DAY, now=NOON)
    assert metrics_of(ann).features_used == {"exchange": 1, "portfolio": 1}
    assert metrics_of(ann, date(2026, 3, 11)) is None


def test_acts_of_nobody_and_of_erased_people_make_no_row(ann):
    act(ann, user_id=None)
    act(ann, user_id=ids.new_id())
    assert metrics.roll_up(DAY, now=NOON) == 0


@pytest.mark.parametrize("hour", [0, 3, 23])
def test_yesterday_is_rolled_up_as_well_however_long_nothing_ran(ann, hour):
    touch(ann, ids.new_id(), now=datetime(2026, 3, 10, 23, 58, tzinfo=UTC))
    assert metrics.roll_up_recent(now=datetime(2026, 3, 11, hour, 30, tzinfo=UTC)) == 1
    assert metrics_of(ann).daily_active


def test_the_command_rebuilds_what_counters_still_tell(ann, capsys):
    touch(ann, ids.new_id())
    with tenancy.as_user(ann.id):
        UserMetric.objects.create(
            user=ann, date=DAY - timedelta(days=1), daily_active=True, features_used={"old": 1},
            session_duration=timedelta(hours=1),
        )  # fmt: skip
    call_command("rebuild_user_metrics", first="2026-03-01", last="2026-03-10")
    assert "1 rows of 1 days" in capsys.readouterr().out
    assert metrics_of(ann).daily_active
    assert metrics_of(ann, DAY - timedelta(days=1)).features_used == {"old": 1}
    with pytest.raises(CommandError, match="looks like"):
        call_command("rebuild_user_metrics", first="soon")
