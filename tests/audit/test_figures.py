"""What the metrics page shows is what the days' rows say."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.urls import reverse

from audit import figures
from audit.admin.metrics import _shown
from audit.models import UserMetric
from tests import factories
from tracker import clock, tenancy

MONDAY = date(2026, 3, 2)


@pytest.fixture
def system(db):
    with tenancy.as_system("test"):
        yield


def person(number: int, joined: date = MONDAY) -> Any:
    user = factories.User(
        email=f"p{number}@example.com", password="!",
        created_at=datetime(joined.year, joined.month, joined.day, 23, 30, tzinfo=UTC),
    )  # fmt: skip
    user.save(force_insert=True)
    return user


def active(user: Any, *days: date, used: dict[str, int] | None = None, there: bool = True) -> None:
    UserMetric.objects.bulk_create(
        UserMetric(
            user=user, date=day, daily_active=there, features_used=used or {},
            session_duration=timedelta(minutes=5),
        )
        for day in days
    )  # fmt: skip


def test_active_people_are_those_of_the_days_up_to_each_day(system):
    """Against counting by hand, on people who come and go at random."""
    chance = random.Random(7)
    first, last = MONDAY, MONDAY + timedelta(days=40)
    days = [first + timedelta(days=n) for n in range(-35, 45)]
    seen: dict[int, set[date]] = {}
    for number in range(12):
        seen[number] = {day for day in days if chance.random() < 0.08}
        user = person(number)
        active(user, *sorted(seen[number]))
        active(user, *sorted(set(days) - seen[number]), there=False)
    found = figures.active_people(first, last)
    for name, window in figures.WINDOWS.items():
        expected = [
            sum(any(timedelta(0) <= day - at < timedelta(days=window) for at in his)
                for his in seen.values())
            for day in (first + timedelta(days=n) for n in range(41))
        ]  # fmt: skip
        assert found[name] == expected, name


def test_nobody_active_is_a_line_at_zero(system):
    assert figures.active_people(MONDAY, MONDAY + timedelta(days=2)) == {
        "daily": [0, 0, 0], "weekly": [0, 0, 0], "monthly": [0, 0, 0]
    }  # fmt: skip


def test_a_cohort_is_who_signed_up_in_a_week_and_who_came_back(system):
    ann, bob, cid = person(1), person(2, MONDAY + timedelta(days=6)), person(3)
    late = person(4, MONDAY + timedelta(days=7))
    active(ann, MONDAY, MONDAY + timedelta(days=8), MONDAY + timedelta(days=9))
    active(bob, MONDAY + timedelta(days=6), MONDAY + timedelta(days=14))
    active(cid, MONDAY, there=False)
    active(late, MONDAY + timedelta(days=7))
    assert figures.cohorts(MONDAY + timedelta(days=16), weeks=3) == [
        figures.Cohort(MONDAY, 3, [2, 1, 1]),
        figures.Cohort(MONDAY + timedelta(days=7), 1, [1, 0]),
    ]
    (only,) = figures.cohorts(MONDAY + timedelta(days=16), weeks=2)
    assert only.people == 1


def test_features_are_counted_by_people_and_times(system):
    ann, bob = person(1), person(2)
    active(ann, MONDAY, MONDAY + timedelta(days=1), used={"portfolio": 2, "trades": 1})
    active(bob, MONDAY, used={"portfolio": 5})
    active(bob, MONDAY - timedelta(days=30), used={"old": 5})
    assert figures.features(MONDAY + timedelta(days=1), days=30) == [
        ("portfolio", 2, 9), ("trades", 1, 2)
    ]  # fmt: skip


# --- the page -----------------------------------------------------------------------------------
def page(user: Any) -> Any:
    """What the page answers, past signing in (which the admin's own tests hold)."""
    from django.contrib import admin

    request = RequestFactory().get(reverse("admin:audit_usermetric_charts"))
    request.user = user
    return admin.site._registry[UserMetric].charts(request)


def test_the_page_says_everything_in_text_as_well(system):
    today = clock.now().date()
    ann = person(1, today)
    active(ann, today, used={"portfolio<b>": 2})
    ann.is_staff = ann.is_superuser = True
    shown = page(ann).render().content.decode()
    assert 'role="img"' in shown
    assert "Daily active people today: 1." in shown
    assert "100%" in shown
    assert "portfolio&lt;b&gt;" in shown
    assert "<script" not in shown.split('class="charts"')[1]
    assert shown.count('class="dots"') == 3 * 60


def test_the_page_without_any_data_is_a_page(system):
    staff = person(1, MONDAY - timedelta(days=400))
    staff.is_staff = staff.is_superuser = True
    assert "Nothing was used yet" in page(staff).render().content.decode()
    assert _shown()["cohorts"] == []


def test_staff_without_the_permission_do_not_see_it(system):
    """S19"""
    from django.core.exceptions import PermissionDenied

    helper = person(1)
    helper.is_staff = True
    with pytest.raises(PermissionDenied):
        page(helper)
    helper.save()
    helper.user_permissions.add(Permission.objects.get(codename="view_usermetric"))
    assert page(factories.User.objects.get(id=helper.id)).status_code == 200
