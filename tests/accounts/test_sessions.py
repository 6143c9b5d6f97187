"""A person's devices: listed, and ended."""

from datetime import timedelta

import pytest
import time_machine

from accounts import sessions
from accounts.models import Session
from accounts.sessions import Device
from audit import metrics
from audit.actions import Action
from audit.models import ActivityLog
from tests.conftest import PASSWORD
from tests.threads import at_once
from tracker import clock, ids, tenancy


def sign_in(api, user, **device):
    body = {"email": user.email, "password": PASSWORD, "device": device}
    answer = api.post("/auth/login", body, **{"User-Agent": "okhttp/4.12.0"})
    api.headers["Authorization"] = f"Bearer {answer.json()['access']}"
    return api


def listed(api) -> list[dict]:
    answer = api.get("/sessions")
    assert answer.status_code == 200
    return answer.json()["results"]


def test_the_list_tells_the_devices_apart(client_of, alice, bob):
    client_of(bob)
    api = sign_in(
        client_of(), alice, device_name="Alice's phone", platform="android", app_version="2.1.0"
    )
    (row,) = listed(api)
    assert set(row) == {
        "id", "device_name", "platform", "app_version", "client", "created_at", "last_seen_at",
        "first_address", "last_address", "current",
    }  # fmt: skip
    assert (row["device_name"], row["platform"], row["app_version"], row["client"]) == (
        "Alice's phone", "android", "2.1.0", "okhttp",
    )  # fmt: skip
    assert (row["first_address"], row["last_address"]) == ("127.0.0.1", "127.0.0.1")
    assert row["current"] is True


def test_newest_first_and_which_one_asks(client_of, alice):
    first, second = client_of(alice), client_of(alice)
    rows = listed(first)
    assert [row["current"] for row in rows] == [False, True]
    assert [row["current"] for row in listed(second)] == [True, False]
    assert [row["id"] for row in rows] == [row["id"] for row in listed(second)]


def test_it_says_when_and_from_where_a_device_was_last_there(client_of, alice):
    api, later = client_of(alice), clock.now() + timedelta(hours=3)
    with tenancy.as_system("test"):
        session = Session.objects.get(user=alice)
    metrics.touch(
        user_id=alice.id, session_id=session.id, feature="portfolio", ip_address="198.51.100.7",
        now=later,
    )  # fmt: skip
    row = next(row for row in listed(api) if row["id"] == str(session.id))
    assert row["last_seen_at"].startswith(f"{later:%Y-%m-%dT%H:%M:%S}")
    assert row["last_address"] == "198.51.100.7"
    assert row["first_address"] is None


def test_ended_and_expired_sessions_are_not_listed(client_of, alice):
    api = client_of(alice)
    api.post("/auth/logout", {"refresh": client_of(alice).refresh_token})
    client_of(alice)
    assert len(listed(api)) == 2
    own = next(row["id"] for row in listed(api) if row["current"])
    with tenancy.as_system("test"):
        Session.objects.filter(user=alice).exclude(id=own).update(expires_at=clock.now())
    assert [row["current"] for row in listed(api)] == [True]


def test_ending_a_session_takes_effect_at_the_next_call(client_of, alice):
    """S09"""
    here, lost = client_of(alice), client_of(alice)
    lost_id = next(row["id"] for row in listed(lost) if row["current"])
    assert here.delete(f"/sessions/{lost_id}").status_code == 204
    assert lost.get("/me").status_code == 401
    assert lost.post("/auth/refresh", {"refresh": lost.refresh_token}).status_code == 401
    assert here.get("/me").status_code == 200
    assert here.delete(f"/sessions/{lost_id}").status_code == 404
    with tenancy.as_system("test"):
        acts = ActivityLog.objects.filter(user=alice, action=Action.SESSION_ENDED)
        assert [str(act.session_id) for act in acts] == [lost_id]


def test_nobody_ends_the_session_of_somebody_else(client_of, alice, bob):
    """S14"""
    mine, theirs = client_of(alice), client_of(bob)
    (row,) = listed(mine)
    for session_id in (row["id"], ids.new_id()):
        answer = theirs.delete(f"/sessions/{session_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert theirs.delete("/sessions").json() == {"ended": 0}
    assert mine.get("/me").status_code == 200


def test_signing_out_everywhere_else_keeps_this_device(client_of, alice, bob):
    """S09"""
    here, others, stranger = client_of(alice), [client_of(alice) for _ in range(3)], client_of(bob)
    answer = here.delete("/sessions")
    assert (answer.status_code, answer.json()) == (200, {"ended": 3})
    for other in others:
        assert other.get("/me").status_code == 401
        assert other.post("/auth/refresh", {"refresh": other.refresh_token}).status_code == 401
    assert here.get("/me").status_code == stranger.get("/me").status_code == 200
    assert here.post("/auth/refresh", {"refresh": here.refresh_token}).status_code == 200
    with tenancy.as_system("test"):
        (act,) = ActivityLog.objects.filter(user=alice, action=Action.SESSIONS_ENDED)
        assert act.details == {"ended": 3}


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ends_while_it_refreshes_stays_ended(client_of, alice):
    """S09: whoever comes first, no token counts afterwards."""
    for _ in range(5):
        here, there = client_of(alice), client_of(alice)
        works = [
            lambda here=here: here.delete("/sessions").status_code,
            lambda there=there: there.post("/auth/refresh", {"refresh": there.refresh_token}),
        ]
        at_once(2, lambda n, works=works: works[n]())
        assert there.get("/me").status_code == 401
        assert there.post("/auth/refresh", {"refresh": there.refresh_token}).status_code == 401


def test_a_replayed_refresh_token_ends_the_session_and_is_written(client_of, alice):
    """S04"""
    api = client_of(alice)
    api.post("/auth/refresh", {"refresh": api.refresh_token})
    api.post("/auth/refresh", {"refresh": api.refresh_token})
    with tenancy.as_system("test"):
        (act,) = ActivityLog.objects.filter(user=alice, action=Action.SESSION_REPLAYED)
        session = Session.objects.get(user=alice)
    assert (act.session_id, act.outcome) == (session.id, "refused")
    assert session.end_reason == "replayed"


def test_what_a_device_says_about_itself_is_cut_and_never_an_error(client_of, alice):
    device = Device(user_agent="x" * 9000, device_name="n" * 90, platform="p" * 90)
    sessions.start(user=alice, device=device, now=clock.now())
    with tenancy.as_system("test"):
        row = Session.objects.get(user=alice)
    assert (len(row.user_agent), len(row.device_name), len(row.platform)) == (256, 64, 16)
    too_long = {"email": alice.email, "password": PASSWORD, "device": {"device_name": "n" * 65}}
    assert client_of().post("/auth/login", too_long).status_code == 400


@pytest.mark.parametrize(
    ("user_agent", "family"),
    [
        ("okhttp/4.12.0", "okhttp"),
        ("Expo/1017756 CFNetwork/1410 Darwin/22", "Expo"),
        ("Portfolio tracker/12 CFNetwork", "Portfolio tracker"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/129 Safari/537.36 Edg/129", "Edg"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605 Version/18 Mobile Safari/604.1", "Safari"),
        ("Mozilla/5.0 (something else)", "browser"),
        ("", ""),
        ("<script>", ""),
    ],
)
def test_the_kind_of_program_is_told_without_its_version(user_agent, family):
    assert sessions.family(user_agent) == family


def test_a_session_starts_and_ends_without_redis_being_asked(client_of, alice):
    """S09: what ended is not remembered as running anywhere."""
    api, start = client_of(alice), clock.now()
    with time_machine.travel(start + timedelta(minutes=5), tick=False):
        assert api.get("/me").status_code == 200
        sessions.end_others(user_id=alice.id, keep=None, now=clock.now())
        assert api.get("/me").status_code == 401
