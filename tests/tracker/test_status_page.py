"""The status page: what was measured and written, for everybody, whatever else is down."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.test import Client

from audit import measurements, status_copy
from audit.measurements import Reading
from audit.models import ComponentDay, Health, Incident, IncidentUpdate, StatusComponent
from tests.tracker.test_outage import database_gone, redis_gone
from tracker import clock
from tracker.monitoring import pages


@pytest.fixture(autouse=True)
def _new_process():
    """A process remembers what it tells."""
    pages.forget()
    yield
    pages.forget()


def measure(key: str, health: Health, *, at: datetime, title: str = "", good=1, total=1) -> None:
    reading = Reading(key, title or key, measurements.minute_of(at), health, good, total)
    measurements.record([reading], now=at)


def told(now: datetime) -> dict:
    return status_copy.publish(now=now)


# --- what it says -------------------------------------------------------------------------------
def test_before_anything_was_measured_the_page_says_so(client, db):
    answer = client.get("/status")
    assert answer.status_code == 200
    assert "Nothing was measured yet." in answer.content.decode()


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ((Health.UP, Health.UP), "Everything works."),
        ((Health.UP, Health.DEGRADED), "Some parts work slowly or only in part."),
        ((Health.DEGRADED, Health.DOWN), "Some parts do not work."),
    ],
)
def test_the_worst_part_decides_what_is_said_of_all(client, db, states, sentence):
    now = clock.now()
    for number, state in enumerate(states):
        measure(f"sync.{number}", state, at=now)
    told(now)
    assert client.get("/status.json").json()["overall"]["sentence"] == sentence
    assert sentence in client.get("/status").content.decode()


def test_a_part_that_is_no_longer_measured_is_not_said_to_work(db):
    now = clock.now()
    measure("api", Health.UP, at=now - timedelta(minutes=6))
    (part,) = told(now)["components"]
    assert part["state"] == "unknown"


def test_ninety_days_are_told_with_what_was_and_what_was_not_measured(client, db):
    now = clock.now()
    noon = datetime(now.year, now.month, now.day, 12, tzinfo=UTC)
    for minute in range(3):
        measure("api", Health.UP, at=noon - timedelta(days=2, minutes=minute), title="API")
    measure("api", Health.DOWN, at=noon - timedelta(days=2, minutes=9), title="API")
    (part,) = told(now)["components"]
    assert len(part["days"]) == 90
    assert part["days"][-1]["day"] == now.date().isoformat()
    assert part["days"][-3] == {
        "day": (now - timedelta(days=2)).date().isoformat(), "state": "down", "degraded": 0,
        "down": 1, "unmeasured": 1436,
    }  # fmt: skip
    assert {day["state"] for day in part["days"][:-3]} == {"unknown"}
    assert part["uptime"] == "75"
    page = client.get("/status").content.decode()
    assert page.count("<rect") == 90
    assert "API, last 90 days: working 75 % of the measured time, disturbed on 1 day" in page


def test_incidents_are_told_with_their_updates_and_escaped(client, db):
    now = clock.now()
    measure("api", Health.DEGRADED, at=now, title="API")
    row = Incident.objects.create(title="Slow <b>answers</b>", started_at=now - timedelta(hours=1))
    row.components.set(StatusComponent.objects.all())
    IncidentUpdate.objects.create(incident=row, state="investigating", text="We look into it.")
    copy = told(now)
    assert copy["overall"]["sentence"].endswith("We know of it; see below.")
    page = client.get("/status").content.decode()
    assert "Slow &lt;b&gt;answers&lt;/b&gt;" in page
    assert "We look into it." in page
    assert "What is going on" in page
    (told_of,) = client.get("/status.json").json()["incidents"]
    assert (told_of["components"], told_of["state"]) == (["API"], "investigating")


def test_incidents_of_long_ago_are_not_told_unless_they_last(db):
    now = clock.now()
    long_ago = now - timedelta(days=30)
    Incident.objects.create(title="over", started_at=long_ago, state="resolved")
    Incident.objects.create(title="lasts", started_at=long_ago)
    assert [row["title"] for row in told(now)["incidents"]] == ["lasts"]


def test_what_an_old_copy_said_of_now_is_no_longer_said(client, db):
    now = clock.now()
    measure("api", Health.UP, at=now - timedelta(minutes=6))
    cache.set(status_copy.KEY, status_copy.make(now=now - timedelta(minutes=6)))
    found = client.get("/status.json").json()
    assert found["overall"]["state"] == "unknown"
    assert [part["state"] for part in found["components"]] == ["unknown"]
    assert "Everything works." not in client.get("/status").content.decode()


NOON = datetime(2026, 3, 10, 12, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("up", "degraded", "ago", "state", "unmeasured"),
    [
        (1440, 0, 1, "up", 0), (1200, 0, 1, "up", 240), (719, 0, 1, "unknown", 721),
        (719, 1, 1, "degraded", 720), (720, 0, 0, "up", 0), (300, 0, 0, "unknown", 420),
    ],
)  # fmt: skip
def test_minutes_that_nobody_measured_are_neither_good_nor_bad(
    client, db, up, degraded, ago, state, unmeasured
):
    part = StatusComponent.objects.create(key="api", title="API")
    day = NOON.date() - timedelta(days=ago)
    ComponentDay.objects.create(component=part, day=day, up=up, degraded=degraded)
    (row,) = told(NOON)["components"]
    assert row["days"][-1 - ago]["state"] == state
    assert row["days"][-1 - ago]["unmeasured"] == unmeasured
    if state == "up" and unmeasured:
        page = client.get("/status").content.decode()
        assert page.count("9 Mar 2026: works, 240 min not measured") == 2  # at the bar and in words


def test_levels_tell_shares_and_not_how_many_accounts_there_are(client, db):
    measure("sync.binance", Health.UP, at=clock.now(), good=87_653, total=87_654)
    told(clock.now())
    levels = {row["name"]: row for row in client.get("/status.json").json()["service_levels"]}
    assert levels["sync_freshness"]["measured"] == "99.998"
    for path in ("/status", "/status.json"):
        assert b"8765" not in client.get(path).content


def test_an_exchange_that_nobody_uses_any_more_does_not_trouble_the_whole(db):
    now = clock.now()
    measure("api", Health.UP, at=now)
    measure("sync.kraken", Health.UP, at=now - timedelta(minutes=30))
    found = told(now)
    assert found["overall"]["sentence"] == "Everything works."
    assert {part["key"]: part["state"] for part in found["components"]} == {
        "api": "up", "sync.kraken": "unknown",
    }  # fmt: skip


def test_an_api_of_which_nothing_is_known_is_not_said_to_work(db):
    now = clock.now()
    measure("api", Health.UP, at=now - timedelta(minutes=30))
    measure("sync.kraken", Health.UP, at=now)
    assert told(now)["overall"]["state"] == "unknown"


def test_while_an_incident_is_open_it_is_not_said_that_everything_works(client, db):
    now = clock.now()
    measure("api", Health.UP, at=now)
    row = Incident.objects.create(title="E-mails are late", started_at=now)
    copy = told(now)
    assert copy["overall"] == {
        "state": "degraded",
        "sentence": "What we measure works, but something is going on; see below.",
    }
    Incident.objects.filter(id=row.id).update(state="resolved")
    assert told(now)["overall"]["sentence"] == "Everything works."


def test_what_is_planned_is_not_told_as_going_on(client, db):
    now = clock.now()
    measure("api", Health.UP, at=now)
    Incident.objects.create(
        title="New machines", impact="maintenance", started_at=now + timedelta(days=3)
    )
    assert told(now)["overall"]["sentence"] == "Everything works."
    page = client.get("/status").content.decode()
    assert "What is planned" in page
    assert "Planned maintenance · from " in page
    assert "What is going on" not in page


# --- when all else is down ----------------------------------------------------------------------
def test_it_answers_from_the_copy_while_the_database_is_gone(client, transactional_db):
    now = clock.now()
    measure("api", Health.UP, at=now, title="API")
    told(now)
    with database_gone():
        page, plain = client.get("/status"), client.get("/status.json")
    assert (page.status_code, plain.status_code) == (200, 200)
    assert "Everything works." in page.content.decode()
    assert re.search(r"As of <time[^>]*>\d+ \w+ \d{4}, \d\d:\d\d UTC", page.content.decode())


def test_it_asks_the_database_nothing_where_there_is_a_copy(client, db, django_assert_num_queries):
    told(clock.now())
    with django_assert_num_queries(0):
        client.get("/status")
        client.get("/status")


def test_without_database_and_redis_a_process_tells_the_last_that_it_knew(client, transactional_db):
    told(clock.now())
    known = client.get("/status.json").json()
    pages._shelf._until = None  # as after some seconds: it looks again
    with database_gone(), redis_gone():
        answer = client.get("/status.json")
    assert (answer.status_code, answer.json()) == (200, known)


def test_a_process_that_knows_nothing_says_so_when_all_is_gone(transactional_db):
    client = Client(raise_request_exception=False)
    with database_gone(), redis_gone():
        answers = [client.get("/status"), client.get("/status.json")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "We cannot tell at the moment" in answers[0].content.decode()
    assert answers[1].json() == {"overall": {"state": "unknown"}}
    told(clock.now())
    pages._shelf._until = None  # as after some seconds
    assert client.get("/status").status_code == 200


def test_where_nothing_is_found_not_every_request_waits_for_the_database(
    transactional_db, django_assert_num_queries
):
    client = Client(raise_request_exception=False)
    with database_gone(), redis_gone():
        client.get("/status")
    with django_assert_num_queries(0):
        assert client.get("/status").status_code == 503


def test_a_copy_that_is_old_is_told_as_old(client, db):
    now = clock.now()
    copy = status_copy.make(now=now - timedelta(minutes=6))
    cache.set(status_copy.KEY, copy)
    assert client.get("/status.json").json()["late"] is True
    assert "Nothing was measured lately" in client.get("/status").content.decode()
    assert "Our own measurements are late." in client.get("/status").content.decode()


def test_a_newer_copy_is_found_after_some_seconds(client, db):
    told(clock.now())
    assert client.get("/status.json").json()["components"] == []
    measure("api", Health.UP, at=clock.now())
    told(clock.now())
    assert client.get("/status.json").json()["components"] == []
    pages._shelf._until -= pages.LOOK_EVERY
    assert len(client.get("/status.json").json()["components"]) == 1


# --- as a page of the web -----------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/status", "/status.json"])
def test_who_has_it_already_is_told_so(client, db, path):
    told(clock.now())
    first = client.get(path)
    assert first.headers["Cache-Control"] == "public, max-age=15"
    again = client.get(path, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_page_has_no_script_and_takes_nothing_from_elsewhere(client, db):
    told(clock.now())
    answer = client.get("/status")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in answer.content.decode()
    assert not re.search(r'(src|href)="https?:', answer.content.decode())
    assert not answer.cookies


def test_only_reading_is_answered(client, db):
    assert client.post("/status").status_code == 405
    assert client.head("/status").status_code == 200
