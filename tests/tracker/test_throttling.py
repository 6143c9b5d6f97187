"""Burst limits: no hour and no day holds more calls than the plan allows, whoever asks how."""

import re
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as project
from django.db import connection

from billing import plans
from tests import factories
from tests.api_client import ApiClient
from tests.tracker.routes import Route, every_route

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
FREE = plans.plan("free")
DATA = "/exchanges"
DEAD_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def limits(settings):
    settings.BURST_LIMITS_ENABLED = True
    return settings


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


def at(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=False)


def passed(user: Any, calls: int) -> int:
    """How many of these calls are answered, by a session of this moment."""
    api = ApiClient(user)
    return Counter(api.get(DATA).status_code for _ in range(calls))[200]


def stranger(address: str) -> ApiClient:
    api = ApiClient()
    api.django.defaults["REMOTE_ADDR"] = address
    return api


# --- per user -----------------------------------------------------------------------------------
def test_the_free_plan_allows_fifty_calls_an_hour_and_two_hundred_a_day():
    assert (FREE.calls_per_hour, FREE.calls_per_day) == (50, 200)


def test_the_call_beyond_the_hour_is_refused_and_says_when_to_come_back(alice):
    """S28, S32"""
    with at(START):
        assert passed(alice, 50) == 50
    with at(START + timedelta(minutes=10)):
        answer = ApiClient(alice).get(DATA)
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert set(answer.json()) == {"code", "message", "details", "request_id"}
    assert answer.headers["Retry-After"] == "3000"


def test_no_hour_anywhere_holds_more_than_fifty(alice):
    """S28: at the edge a fixed window would let a hundred pass within a minute."""
    edge = START + timedelta(minutes=60)
    with at(edge - timedelta(seconds=30)):
        assert passed(alice, 60) == 50
    with at(edge + timedelta(seconds=30)):
        assert passed(alice, 60) == 0
    with at(edge + timedelta(minutes=59, seconds=29)):
        assert passed(alice, 1) == 0
    with at(edge + timedelta(minutes=59, seconds=31)):
        assert passed(alice, 60) == 50


def test_places_come_back_one_by_one_as_calls_leave_the_hour(alice):
    """S28"""
    for minute in (0, 20, 40):
        with at(START + timedelta(minutes=minute)):
            assert passed(alice, 16) == 16
    with at(START + timedelta(minutes=59)):
        assert passed(alice, 5) == 2
    with at(START + timedelta(minutes=61)):
        assert passed(alice, 60) == 16
    with at(START + timedelta(minutes=81)):
        assert passed(alice, 60) == 16


def test_no_day_anywhere_holds_more_than_two_hundred(alice):
    """S28"""
    for hour in range(4):
        with at(START + timedelta(hours=2 * hour)):
            assert passed(alice, 50) == 50
    with at(START + timedelta(hours=10)):
        answer = ApiClient(alice).get(DATA)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == str(14 * 3600)
    with at(START + timedelta(hours=23, minutes=59)):
        assert passed(alice, 10) == 0
    with at(START + timedelta(hours=24, minutes=1)):
        assert passed(alice, 60) == 50
    with at(START + timedelta(hours=25, minutes=30)):
        assert passed(alice, 10) == 0


def test_calls_that_were_refused_do_not_count(alice):
    """S28: who keeps on asking is not kept out for longer, neither by the hour nor by the day."""
    with at(START):
        assert passed(alice, 200) == 50
    for hour in (2, 4, 6):
        with at(START + timedelta(hours=hour)):
            assert passed(alice, 50) == 50


@pytest.mark.django_db(transaction=True)
def test_of_a_hundred_calls_in_fifty_threads_exactly_fifty_pass():
    """S28: and the day is charged for those fifty alone."""
    alice = factories.person("alice@example.com")
    barrier, answers = threading.Barrier(50), []
    clients = [ApiClient(alice) for _ in range(50)]

    def call(api: ApiClient) -> None:
        barrier.wait()
        answers.extend(api.get(DATA) for _ in range(2))
        connection.close()

    threads = [threading.Thread(target=call, args=(api,)) for api in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 50}
    last = clients[0].get(DATA)
    assert last.status_code == 429
    assert remaining(last) == {"hour": 0, "day": 150}
    assert {a.headers["Retry-After"].isdigit() for a in answers if a.status_code == 429} == {True}


def test_people_do_not_share_their_limits(alice, bob):
    """S29: keyed by account, though both come from one address."""
    with at(START):
        assert passed(alice, 51) == 50
        assert passed(bob, 51) == 50


def test_all_sessions_of_a_person_share_one_limit(alice):
    """S29: signing in again brings no new calls."""
    with at(START):
        assert [passed(alice, 20) for _ in range(4)] == [20, 20, 10, 0]


def test_a_bigger_plan_has_bigger_limits(db):
    pro = factories.person("pro@example.com", subscription_tier="pro")
    with at(START):
        assert passed(pro, 60) == 60
        policy = ApiClient(pro).get(DATA).headers["RateLimit-Policy"]
    assert policy == '"hour";q=500;w=3600, "day";q=2000;w=86400'


def test_the_setting_switches_the_limits_off(alice, limits):
    limits.BURST_LIMITS_ENABLED = False
    with at(START):
        assert passed(alice, 60) == 60
        answer = ApiClient(alice).get(DATA)
    assert "RateLimit" not in answer.headers
    assert Counter(stranger("192.0.2.1").get(DATA).status_code for _ in range(60)) == {401: 60}


# --- what does not count ------------------------------------------------------------------------
# What concerns the account and not what is in it.
ACCOUNT = {"auth", "me", "sessions", "devices", "api-keys", "billing", "support"}
POLLED = {
    "GET /api/v1/connections/{id}/sync-runs", "GET /api/v1/exports", "GET /api/v1/exports/{id}",
    "GET /api/v1/backtests/{id}", "GET /api/v1/notifications", "POST /api/v1/notifications/read",
}  # fmt: skip


def is_free(route: Route) -> bool:
    return route.path.split("/")[3] in ACCOUNT or str(route) in POLLED


@pytest.mark.parametrize("route", every_route(), ids=str)
def test_every_data_call_counts_and_nothing_else_does(alice, route):
    """S28: polling a sync or a file and one's account are free; everything else is a data call."""
    connected = factories.connection(alice)
    path = re.sub(r"\{[^}]+\}", str(connected.id), route.path)
    with at(START):
        answer = ApiClient(alice).call(route.method, path, None if route.method == "GET" else {})
        counts = "RateLimit" in answer.headers
        assert counts == (not is_free(route))
        assert passed(alice, 60) == 50 - counts


def test_a_person_at_their_limit_still_reaches_what_is_free(alice):
    """S28"""
    connected = factories.connection(alice)
    with at(START):
        assert passed(alice, 51) == 50
        api = ApiClient(alice)
        assert api.get("/me").status_code == 200
        assert api.get(f"/connections/{connected.id}/sync-runs").status_code == 200
        assert api.post("/auth/refresh", {"refresh": api.refresh_token}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/schema", "/api/docs"])
def test_public_pages_are_free(client, db, path):
    statuses = {client.get(path).status_code for _ in range(60)}
    assert statuses == {200}


# --- header fields ------------------------------------------------------------------------------
def remaining(answer: Any) -> dict[str, int]:
    found = re.findall(r'"(\w+)";r=(\d+);t=\d+', answer.headers["RateLimit"])
    return {name: int(left) for name, left in found}


def test_every_counted_answer_says_what_is_left(alice):
    """S32"""
    with at(START):
        first = ApiClient(alice).get(DATA)
        assert first.headers["RateLimit-Policy"] == '"hour";q=50;w=3600, "day";q=200;w=86400'
        assert remaining(first) == {"hour": 49, "day": 199}
        passed(alice, 48)
        assert remaining(ApiClient(alice).get(DATA)) == {"hour": 0, "day": 150}
        refused = ApiClient(alice).get(DATA)
    assert refused.status_code == 429
    assert refused.headers["RateLimit"] == '"hour";r=0;t=3600, "day";r=150;t=86400'
    assert "RateLimit" in project.CORS_EXPOSE_HEADERS
    assert "RateLimit-Policy" in project.CORS_EXPOSE_HEADERS


# --- callers without a token --------------------------------------------------------------------
def test_anonymous_callers_count_by_address(alice):
    """S29"""
    with at(START):
        first = Counter(stranger("192.0.2.1").get(DATA).status_code for _ in range(60))
        other = stranger("192.0.2.2").get(DATA)
        refused = stranger("192.0.2.1").get("/portfolio")
    assert first == {401: 50, 429: 10}
    assert other.status_code == 401
    assert refused.json()["code"] == "throttled"
    assert refused.headers["Retry-After"] == "3600"
    assert remaining(refused) == {"hour": 0, "day": 150}


def test_a_person_is_not_kept_out_by_strangers_at_their_address(alice):
    """S29: phones share addresses."""
    with at(START):
        for _ in range(60):
            ApiClient().get(DATA)
        assert passed(alice, 50) == 50


def claims(api: ApiClient, calls: int, forwarded: Any) -> int:
    """How many anonymous calls are let through, each with its own X-Forwarded-For."""
    answers = (api.get(DATA, **{"X-Forwarded-For": forwarded(n)}) for n in range(calls))
    return Counter(answer.status_code for answer in answers)[401]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "let_through"),
    [
        (0, lambda n: f"203.0.113.{n}", 50),
        (0, lambda n: f"203.0.113.{n}, 198.51.100.{n}", 50),
        (1, lambda n: f"203.0.113.{n}, 198.51.100.7", 50),
        (1, lambda n: f"garbage{n}, 10.0.0.{n}, 198.51.100.7", 50),
        (1, lambda n: f"198.51.100.{n}", 60),
        (2, lambda n: f"203.0.113.{n}, 198.51.100.7, 10.0.0.1", 50),
        (2, lambda n: f"203.0.113.{n}, 198.51.100.{n}, 10.0.0.1", 60),
        (2, lambda n: f"198.51.100.7, 10.0.0.{n}", 50),
        (2, lambda n: f"198.51.100.{n}", 50),
        (1, lambda n: f"2001:db8:0:1::{n:x}", 50),
        (1, lambda n: f"2001:db8:0:{n:x}::1", 60),
        (1, lambda n: f"::ffff:198.51.100.{n}", 60),
    ],
    ids=[
        "no proxy: the header is a claim",
        "no proxy: however long it is",
        "one proxy: what stands before its hop is a claim",
        "one proxy: garbage before its hop too",
        "one proxy: its hop is the caller",
        "two proxies: what stands before the second hop from the right is a claim",
        "two proxies: the second hop from the right is the caller",
        "two proxies: the right-most hop is our own proxy",
        "two proxies, one hop: somebody went around, so the peer counts",
        "IPv6: one /64 is one caller",
        "IPv6: another /64 is another",
        "IPv4 in IPv6 is IPv4",
    ],
)
def test_a_forged_address_changes_nothing(limits, db, proxies, forwarded, let_through):
    """S29"""
    limits.TRUSTED_PROXY_COUNT = proxies
    with at(START):
        assert claims(stranger("192.0.2.1"), 60, forwarded) == let_through


# --- Redis gone ---------------------------------------------------------------------------------
def test_data_calls_go_on_without_redis(alice, limits):
    """S30: reads are not what an outage of Redis may cost."""
    limits.REDIS_URL = DEAD_REDIS
    with at(START):
        assert passed(alice, 60) == 60
