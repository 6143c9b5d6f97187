"""The front page of the admin: what is wrong stands there, in words, for those who may know it."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.text import slugify

from accounts.models import Delivery, User, WebhookEndpoint
from audit import log, status_copy
from audit.actions import Action
from audit.models import (
    ComponentDay,
    ComponentMinute,
    DrillResult,
    SecurityAlert,
    StatusComponent,
    WebhookDelivery,
)
from billing.models import StripeEvent, Subscription
from exchanges.models import QuarantinedPage
from portfolios.models import SyncRun
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, desk, tenancy
from tracker.desk import Figure, Level, Tile

TILES = [
    "Service", "Service levels", "Queues", "Support requests", "Failed syncs",
    "Quarantine", "Security alerts",
    "Stripe's messages", "Alerts to ourselves", "People's webhooks", "Messages", "Backups",
    "Sign-ups", "Active people", "Revenue",
]  # fmt: skip


@pytest.fixture
def staff(db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def supporter(db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_user("supporter@example.com", PASSWORD, is_staff=True)


def permit(user: User, *codenames: str) -> None:
    with tenancy.as_system("test"):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def home(reader: User) -> str:
    cache.clear()
    answer = signed_in(reader).get(reverse("admin:index"))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("&#x27;", "'").split())


def titles(body: str) -> list[str]:
    return [part.partition("</h3>")[0] for part in body.split('<div class="top"><h3>')[1:]]


def tile(body: str, title: str) -> str:
    part = body.partition(f"<h3>{title}</h3>")[2]
    assert part, title
    return part.partition("</li>")[0]


def level(part: str) -> str:
    return part.partition('class="level">')[2].partition("<")[0]


# --- an empty system ----------------------------------------------------------------------------
def test_an_empty_system_has_a_front_page_that_says_what_is_not_known(staff):
    body = home(staff)
    assert titles(body) == TILES
    assert level(tile(body, "Service")) == "Not known"
    assert level(tile(body, "Failed syncs")) == level(tile(body, "Quarantine")) == "All right"
    assert "never</span> was a backup made" in tile(body, "Backups")
    assert level(tile(body, "Backups")) == "Act now"
    assert "Act now: Backups." in body


# --- what is wrong is seen ----------------------------------------------------------------------
def test_failed_syncs_are_told_by_exchange_and_cause(staff, alice):
    connected = factories.connection(alice)
    with tenancy.as_system("test"):
        for error, state in (("exchange_timeout", "failed"),) * 3 + (
            ("exchange_maintenance", "failed"), ("", "complete"),
        ):  # fmt: skip
            SyncRun.objects.create(
                user=alice, connection=connected, trigger="schedule", state=state, error=error
            )
    found = tile(home(staff), "Failed syncs")
    assert level(found) == "Worth a look"
    assert ">4</span> syncs of the last day failed." in found
    assert '<th scope="row">binance: exchange timeout</th>' in found
    assert '<td class="amount">3</td>' in found
    assert reverse("admin:portfolios_syncrun_changelist") + "?state__exact=failed" in found
    with time_machine.travel(clock.now() + timedelta(days=2), tick=False):
        assert ">0</span>" in tile(home(staff), "Failed syncs")


def test_the_other_tiles_tell_what_is_wrong_with_theirs(staff, alice):
    now = clock.now()
    connected = factories.connection(alice)
    with tenancy.as_system("test"):
        QuarantinedPage.objects.create(
            user=alice, connection=connected, feed="dust", reason="not_json", payload=b"sealed",
            payload_digest=b"d" * 32,
        )  # fmt: skip
        alert = SecurityAlert.objects.create(
            user=alice, kind="account.strange_sign_in", severity="critical", dedupe_key="1"
        )
        WebhookDelivery.objects.create(alert=alert, endpoint="a", host="a", state="failed")
        StripeEvent.objects.create(
            id="evt_1", type="invoice.paid", state="failed", created_at=now, received_at=now
        )
        for number in range(3):
            Delivery.objects.create(
                user=alice, event="welcome", channel="email", state="failed",
                dedupe_key=str(number),
            )  # fmt: skip
        Subscription.objects.create(
            user=alice, stripe_id="sub_1", tier="pro", status="active", price="19.99",
            currency="usd", started_at=now - timedelta(days=3), read_at=now,
        )  # fmt: skip
    for _ in range(3):
        factories.webhook(alice)
    with tenancy.as_system("test"):
        WebhookEndpoint.objects.update(failing_since=now)
    body = home(staff)
    for title, number, judged in (
        ("Quarantine", "1", "Worth a look"), ("Security alerts", "1", "Act now"),
        ("Alerts to ourselves", "1", "Act now"), ("Stripe's messages", "1", "Act now"),
        ("Messages", "3", "Act now"), ("People's webhooks", "3", "Act now"),
        ("Sign-ups", "2", "For reading"), ("Revenue", "$19.99", "For reading"),
    ):  # fmt: skip
        found = tile(body, title)
        assert f'class="number">{number}</span>' in found, title
        assert level(found) == judged, title
    assert "alice" not in body.partition('id="content-main"')[0]


def test_the_state_of_the_service_and_its_promises_are_told(staff):
    now = clock.now()
    part = StatusComponent.objects.create(key="api", title="API")
    ComponentDay.objects.create(component=part, day=now.date(), up=9, down=1, good=990, total=1000)
    ComponentMinute.objects.create(
        component=part, minute_at=now.replace(second=0, microsecond=0), health="down"
    )
    status_copy.publish(now=now)
    copy = status_copy.read()
    client = signed_in(staff)
    body = " ".join(client.get(reverse("admin:index")).content.decode().split())
    assert copy is not None
    assert "0 of 1</span> parts work; not API." in tile(body, "Service")
    assert level(tile(body, "Service")) == "Act now"
    assert "Least budget left: -900 % (availability)." in tile(body, "Service levels")
    assert level(tile(body, "Service levels")) == "Act now"


def test_what_was_measured_long_ago_says_nothing_of_now(staff):
    """The copy is kept for a month; with nobody to measure it says what was then."""
    now = clock.now()
    part = StatusComponent.objects.create(key="api", title="API")
    ComponentDay.objects.create(component=part, day=now.date(), up=9, good=1000, total=1000)
    at = now.replace(second=0, microsecond=0)
    ComponentMinute.objects.create(component=part, minute_at=at, health="up")
    status_copy.publish(now=now)
    with time_machine.travel(now + timedelta(minutes=4), tick=False):
        assert level(tile(kept_home(staff), "Service")) == "All right"
    with time_machine.travel(now + timedelta(minutes=9), tick=False):
        body = kept_home(staff)
    for title in ("Service", "Service levels"):
        assert level(tile(body, title)) == "Not known"
        assert f"last at {at + timedelta(minutes=1):%Y-%m-%d %H:%M} UTC" in tile(body, title)


def tile_key(title: str) -> str:
    return f"desk:figure:{slugify(title)}"


def kept_home(reader: User) -> str:
    """The front page with the tiles read anew, and the copy of the status page as it is."""
    cache.delete_many([tile_key(title) for title in TILES])
    return " ".join(signed_in(reader).get(reverse("admin:index")).content.decode().split())


def test_a_part_that_is_not_measured_is_not_told_as_not_working(staff):
    now = clock.now()
    for key, title in (("api", "API"), ("sync.left", "Left")):
        part = StatusComponent.objects.create(key=key, title=title)
        ComponentDay.objects.create(component=part, day=now.date(), up=9)
        if key == "api":
            at = now.replace(second=0, microsecond=0)
            ComponentMinute.objects.create(component=part, minute_at=at, health="up")
    status_copy.publish(now=now)
    found = tile(kept_home(staff), "Service")
    assert "1 of 1</span> parts work. Not measured: Left. Open incidents: 0." in found
    assert level(found) == "All right"


@pytest.mark.parametrize(
    "changed", [{"surprise": 1}, {"level": "purple"}, {"values": [["a"]]}, {"values": None}]
)
def test_a_tile_that_another_release_kept_is_read_anew(staff, changed):
    home(staff)
    kept = cache.get(tile_key("Backups"))
    cache.set(tile_key("Backups"), kept | changed)
    answer = signed_in(staff).get(reverse("admin:index"))
    assert answer.status_code == 200
    assert level(tile(answer.content.decode(), "Backups")) == "Act now"


@pytest.mark.parametrize(
    ("drilled_days_ago", "ok", "made_hours_ago", "judged", "said"),
    [
        (10, True, 5, "All right", "5 h</span> since the last backup. The last restore drill was"),
        (10, True, 30, "Worth a look", "30 h</span> since the last backup."),
        (10, True, 100, "Act now", "4 days</span> since the last backup."),
        (100, True, 5, "Act now", "The last restore drill is older than 92 days."),
        (10, False, 5, "Act now", "The last restore drill failed."),
    ],
)
def test_backups_are_red_when_they_cannot_be_relied_on(
    staff, drilled_days_ago, ok, made_hours_ago, judged, said
):
    """S47"""
    now = clock.now()
    DrillResult.objects.create(
        ran_at=now - timedelta(days=drilled_days_ago), ok=ok, backup="b", seconds=1, steps=[]
    )
    made_at = now - timedelta(hours=made_hours_ago)
    with time_machine.travel(made_at, tick=False), tenancy.as_system("test"):
        log.record(Action.BACKUP_MADE, user_id=None, backup="b", bytes=5_000_000)
    with time_machine.travel(now, tick=False):
        found = tile(home(staff), "Backups")
    assert (level(found), said in found) == (judged, True)


def test_charts_have_a_name_a_description_and_a_table(staff):
    found = tile(home(staff), "Sign-ups")
    assert 'class="pygal-chart columns" role="img"' in found
    assert 'aria-labelledby="chart-sign-ups-title chart-sign-ups-desc"' in found
    assert found.count('class="bar"') == 30
    assert "People who signed up on each of the last 30 days</title>" in found
    assert "between 0 and 1 (on" in found
    assert found.count('<th scope="row">') == 30


# --- who may see what ---------------------------------------------------------------------------
def test_each_tile_is_for_those_who_may_see_what_it_counts(supporter):
    assert titles(home(supporter)) == []
    assert 'name="q"' not in home(supporter)
    permit(supporter, "view_user", "view_securityalert")
    body = home(supporter)
    assert titles(body) == ["Security alerts", "Sign-ups"]
    assert 'name="q"' in body


# --- bad days -----------------------------------------------------------------------------------
@pytest.fixture
def brought(monkeypatch):
    """A desk to which only this test brings things."""
    monkeypatch.setattr(desk, "_desk", desk._Desk())


def _broken(**_):
    with database.cursor() as cursor:
        cursor.execute("SELECT 1/0")


def test_a_broken_tile_says_so_and_the_others_stay(brought, staff, caplog):
    def good(**_) -> Tile:
        return Tile("7", Level.FINE, f"people of {User.objects.count()} are here.")

    desk.add_figure(Figure("Broken", "accounts.view_user", _broken, rank=1))
    desk.add_figure(Figure("Good", "accounts.view_user", good, rank=2))
    body = home(staff)
    assert "This could not be read; the log says why." in tile(body, "Broken")
    assert level(tile(body, "Broken")) == "Not known"
    assert "people of 1 are here." in tile(body, "Good")
    assert "Not known: Broken." in body
    assert "desk.figure_failed" in caplog.text


def test_a_tile_is_read_once_a_minute_and_a_broken_one_each_time(brought, staff):
    read: list[str] = []

    def counted(**_) -> Tile:
        read.append("good")
        return Tile("1", Level.FINE, "is here.", (("a", 1.0), ("b", 2.0)), "letters", by_name=True)

    def failing(**_) -> Tile:
        read.append("bad")
        raise RuntimeError

    desk.add_figure(Figure("Counted", "accounts.view_user", counted))
    desk.add_figure(Figure("Failing", "accounts.view_user", failing))
    client = signed_in(staff)
    first = client.get(reverse("admin:index")).content.decode()
    again = client.get(reverse("admin:index")).content.decode()
    assert read == ["good", "bad", "bad"]
    assert tile(first, "Counted") == tile(again, "Counted")


def test_without_redis_the_queues_are_not_known_and_the_rest_is(staff, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    body = home(staff)
    assert level(tile(body, "Queues")) == "Not known"
    assert level(tile(body, "Failed syncs")) == "All right"


# --- cost ---------------------------------------------------------------------------------------
def test_it_takes_at_most_25_queries_however_much_there_is(staff, alice):
    factories.something_everywhere(alice)
    client = signed_in(staff)
    with time_machine.travel(clock.now(), tick=False):
        client.get(reverse("admin:index"))
        cache.clear()
        with CaptureQueriesContext(database) as seen:
            assert client.get(reverse("admin:index")).status_code == 200
        fresh = [query["sql"] for query in seen if "SAVEPOINT" not in query["sql"]]
        with CaptureQueriesContext(database) as seen:
            client.get(reverse("admin:index"))
        kept = [query["sql"] for query in seen if "SAVEPOINT" not in query["sql"]]
    assert len(fresh) <= 25, "\n".join(fresh)
    assert len(kept) <= 8, "\n".join(kept)
