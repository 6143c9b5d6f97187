"""Keys for programs: made by people, shown once, good for what they say and nothing else."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import api_keys
from accounts.api_keys import Scope
from accounts.models import ApiKey, Delivery, Session, User
from audit.actions import Action
from audit.models import ActivityLog
from billing import plans
from tests import factories
from tests.api_client import ApiClient
from tests.tracker.routes import every_route
from tracker import clock, ids, tenancy

# What each scope opens. Everything that stands here for none of them is closed to every key.
OPENS = {
    "read_portfolio": {
        "GET /api/v1/portfolio",
        "GET /api/v1/holdings",
        "GET /api/v1/lots",
        "GET /api/v1/gains",
        "GET /api/v1/gains/report",
        "GET /api/v1/explain/{asset}",
        "GET /api/v1/performance",
        "GET /api/v1/allocation",
        "GET /api/v1/series",
        "GET /api/v1/attribution",
        "GET /api/v1/snapshots",
        "GET /api/v1/connections",
        "GET /api/v1/connections/{id}",
        "GET /api/v1/connections/{id}/coverage",
        "GET /api/v1/manual-accounts",
        "GET /api/v1/exchanges",
        "GET /api/v1/prices",
        "GET /api/v1/prices/{asset}/candles",
        "GET /api/v1/prices/manual",
        "GET /api/v1/reconciliation",
        "GET /api/v1/problems",
        "GET /api/v1/alerts",
        "GET /api/v1/alerts/{id}",
        "GET /api/v1/alerts/{id}/firings",
    },
    "read_trades": {
        "GET /api/v1/trades",
        "GET /api/v1/transfers",
        "GET /api/v1/ledger",
        "GET /api/v1/ledger/export",
        "GET /api/v1/entries",
        "GET /api/v1/transfer-matches",
        "GET /api/v1/transfer-matches/suggestions",
    },
    "sync": {
        "POST /api/v1/connections/{id}/sync",
        "GET /api/v1/connections/{id}/sync-runs",
    },
    "export": {
        "GET /api/v1/exports",
        "POST /api/v1/exports",
        "GET /api/v1/exports/{id}",
        "DELETE /api/v1/exports/{id}",
        "POST /api/v1/exports/{id}/cancel",
    },
}
# What a list cannot do without.
NEEDED = {
    "/api/v1/prices": "?assets=BTC",
    "/api/v1/prices/{asset}/candles": "?interval=1d",
    "/api/v1/gains/report": "?format=csv&form=generic",
}
BODIES = {"POST /api/v1/exports": {"contents": ["trades"], "format": "csv"}}


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", subscription_tier="enterprise")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com", subscription_tier="enterprise")


def made(user: User, *scopes: str, days: int = 90) -> api_keys.NewKey:
    return api_keys.create(
        user=user, name="script", scopes=scopes or ["read_portfolio"], days=days, session_id=None,
        now=clock.now(),
    )  # fmt: skip


def program(key: api_keys.NewKey | str, address: str = "192.0.2.1") -> ApiClient:
    """A program that calls with this key."""
    api = ApiClient()
    api.headers["Authorization"] = f"Bearer {key if isinstance(key, str) else key.text}"
    api.django.defaults["REMOTE_ADDR"] = address
    return api


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def logged(action: Action, user: User) -> list[ActivityLog]:
    with tenancy.as_user(user.id):
        return list(ActivityLog.objects.filter(action=action).order_by("created_at"))


def stored(key: api_keys.NewKey) -> ApiKey:
    with tenancy.as_system("test"):
        return ApiKey.objects.get(id=key.row.id)


# --- making and keeping -------------------------------------------------------------------------
NEW = {"name": "my script", "scopes": ["read_portfolio", "sync"]}


def test_a_key_is_made_shown_once_listed_and_revoked(client_of, alice):
    api = client_of(alice)
    answer = api.post("/api-keys", NEW | {"expires_in_days": 30})
    assert answer.status_code == 201
    key = answer.json()
    assert re.fullmatch(r"trk_[a-z2-7]{12}_[A-Za-z0-9_-]{43}", key["key"])
    assert key["key"].startswith(f"trk_{key['prefix']}_")
    assert (key["scopes"], key["last_used_at"]) == (["read_portfolio", "sync"], None)
    [row] = api.get("/api-keys").json()["results"]
    assert row == {name: value for name, value in key.items() if name != "key"}
    assert program(key["key"]).get("/portfolio").status_code == 200
    assert api.delete(f"/api-keys/{key['id']}").status_code == 204
    assert code(program(key["key"]).get("/portfolio")) == (401, "api_key_invalid")
    assert api.get("/api-keys").json()["results"] == []
    assert api.delete(f"/api-keys/{key['id']}").status_code == 404
    assert [row.details["key_id"] for row in logged(Action.API_KEY_CREATED, alice)] == [key["id"]]
    assert [row.details["key_id"] for row in logged(Action.API_KEY_REVOKED, alice)] == [key["id"]]


def test_of_a_key_nothing_is_stored_that_it_could_be_made_from(client_of, alice):
    """S25: neither in any table nor in the activity log, and no answer tells it again."""
    api = client_of(alice)
    text = api.post("/api-keys", NEW).json()["key"]
    secret = text.split("_", 2)[2]
    with tenancy.as_system("test"), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t")
            assert not any(secret in row for (row,) in cursor.fetchall()), table
    assert secret not in api.get("/api-keys").content.decode()
    assert secret not in api.get("/me").content.decode()


def test_a_key_that_is_made_is_told_to_its_person(client_of, alice):
    client_of(alice).post("/api-keys", NEW)
    with tenancy.as_user(alice.id):
        row = Delivery.objects.get(event="api_key_created", channel="email")
    assert row.parameters == {"name": "my script"}


def test_making_a_key_twice_under_one_idempotency_key_makes_one(client_of, alice):
    """S57"""
    api = client_of(alice)
    first, second = (
        api.post("/api-keys", NEW, **{"Idempotency-Key": "made-once-01"}) for _ in range(2)
    )
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(api.get("/api-keys").json()["results"]) == 1


def test_who_has_been_signed_in_for_long_is_asked_again_before_a_key_is_made(client_of, alice):
    """S12"""
    api = client_of(alice)
    with tenancy.as_user(alice.id):
        Session.objects.update(authenticated_at=clock.now() - timedelta(minutes=16))
    assert code(api.post("/api-keys", NEW)) == (403, "reauthentication_required")
    assert api.get("/api-keys").json()["results"] == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"scopes": "sync"}, "scopes"),
        ({"scopes": ["sync"] * 5}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 366}, "expires_in_days"),
        ({"expires_in_days": None}, "expires_in_days"),
        ({"expires_in_days": 10**30}, "expires_in_days"),
        ({"prefix": "abcdefghijkl"}, "prefix"),
        ({"digest": "x"}, "digest"),
        ({"user_id": str(ids.new_id())}, "user_id"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_field(client_of, alice, more, field):
    """S18"""
    answer = client_of(alice).post("/api-keys", NEW | more)
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == [field]
    assert not stored_keys()


def stored_keys() -> list[ApiKey]:
    with tenancy.as_system("test"):
        return list(ApiKey.objects.all())


def test_a_person_has_at_most_twenty_keys_that_count(client_of, alice):
    for _ in range(19):
        made(alice)
    old = made(alice, days=1)
    api = client_of(alice)
    assert code(api.post("/api-keys", NEW)) == (409, "too_many_api_keys")
    with tenancy.as_user(alice.id):
        ApiKey.objects.filter(id=old.row.id).update(expires_at=clock.now())
    assert api.post("/api-keys", NEW).status_code == 201


# --- the plan -----------------------------------------------------------------------------------
def on(user: User, tier: str) -> None:
    factories.put_on_plan(user, tier)


@pytest.mark.parametrize(("tier", "included"), [("free", 0), ("pro", 0), ("enterprise", 1)])
def test_only_a_plan_that_includes_keys_lets_one_be_made(client_of, alice, tier, included):
    on(alice, tier)
    answer = client_of(alice).post("/api-keys", NEW)
    assert answer.status_code == (201 if included else 403)
    assert included or answer.json()["code"] == "plan_has_no_api_keys"
    assert plans.plan(tier).api_keys is bool(included)


def test_a_key_rests_while_the_plan_does_not_include_it_and_works_again_afterwards(alice):
    api = program(made(alice))
    on(alice, "pro")
    assert code(api.get("/portfolio")) == (403, "plan_has_no_api_keys")
    on(alice, "enterprise")
    assert api.get("/portfolio").status_code == 200


# --- scopes -------------------------------------------------------------------------------------
def test_the_schema_says_what_each_scope_opens():
    """S53"""
    said: dict[str, set[str]] = {scope: set() for scope in Scope}
    for route in every_route():
        for requirement in route.operation.get("security", ()):
            for scope in requirement.get("apiKey", ()):
                said[scope].add(str(route))
    assert said == OPENS


@pytest.mark.parametrize("route", every_route(), ids=str)
def test_a_key_opens_what_its_scope_says_and_nothing_else(alice, route, settings):
    """S14: every route by a key of each scope. A route that is added is closed until it says so."""
    settings.EXCHANGE_BASE_URLS = {"binance": "http://127.0.0.1:9"}
    connected = factories.connection(alice)
    found = factories.explainable(alice) if "{asset}" in route.path else connected
    if "/exports/{id}" in route.path:
        found = factories.file_export(alice)
    if "/v1/alerts/{id}" in route.path:
        found = factories.price_alert(alice)
    path = re.sub(r"\{[^}]+\}", str(found.id), route.path) + NEEDED.get(route.path, "")
    body = None if route.method == "GET" else BODIES.get(str(route), {})
    public = "security" not in route.operation or route.operation["security"] == [{}]
    for scope in Scope:
        answer = program(made(alice, scope)).call(route.method, path, body)
        if public:
            assert answer.status_code < 500
            assert answer.json().get("code") != "scope_missing"
        elif str(route) in OPENS[scope]:
            assert answer.status_code in (200, 202, 204), answer.content
        else:
            assert code(answer) == (403, "scope_missing")


def test_a_key_with_all_scopes_can_neither_make_keys_nor_end_sessions_nor_read_the_account(alice):
    api = program(made(alice, *Scope))
    for method, path in (
        ("POST", "/api-keys"), ("GET", "/api-keys"), ("DELETE", "/sessions"), ("GET", "/me"),
        ("PATCH", "/me"), ("POST", "/connections"), ("POST", "/devices"),
        ("GET", "/me/notifications"),
    ):  # fmt: skip
        assert code(api.call(method, path, None)) == (403, "scope_missing"), path


def test_a_key_reads_its_own_persons_things_alone(alice, bob):
    """S14"""
    hers, his = factories.connection(alice), factories.connection(bob)
    api = program(made(alice, *Scope))
    assert [row["id"] for row in api.get("/connections").json()["results"]] == [str(hers.id)]
    assert api.get(f"/connections/{his.id}").status_code == 404
    assert api.post(f"/connections/{his.id}/sync").status_code == 404


# --- refusals -----------------------------------------------------------------------------------
def altered(key: api_keys.NewKey) -> str:
    return key.text[:-1] + ("A" if key.text[-1] != "A" else "B")


@pytest.mark.parametrize("why", ["wrong_secret", "revoked", "expired", "inactive"])
def test_a_key_that_does_not_count_is_refused_with_one_sentence_and_logged(alice, why):
    key = made(alice)
    text = altered(key) if why == "wrong_secret" else key.text
    with tenancy.as_system("test"):
        rows = ApiKey.objects.filter(id=key.row.id)
        if why == "revoked":
            rows.update(revoked_at=clock.now())
        if why == "expired":
            rows.update(expires_at=clock.now())
        if why == "inactive":
            User.objects.filter(id=alice.id).update(is_active=False)
    answer = program(text).get("/portfolio")
    assert code(answer) == (401, "api_key_invalid")
    assert answer.json()["message"] == "This API key is not valid."
    [row] = logged(Action.API_KEY_REFUSED, alice)
    assert (row.outcome, row.ip_address) == ("refused", "192.0.2.1")
    assert row.details == {"key_id": str(key.row.id), "reason": why}


@pytest.mark.parametrize(
    "text",
    [
        "trk_", "trk__", "trk_abc", "trk_aaaaaaaaaaaa_", f"trk_aaaaaaaaaaaa_{'x' * 43}",
        f"trk_aaaaaaaaaaaa_{'x' * 44}", f"trk_AAAAAAAAAAAA_{'x' * 43}", "trk_" + "x" * 5000,
        f"trk_aaaaaaaaaaa'_{'x' * 43}", f"trk_aaaaaaaaaaaa_{'é' * 43}",
    ],
)  # fmt: skip
def test_a_key_of_nobody_is_refused_and_nothing_is_logged(alice, text):
    assert code(program(text).get("/portfolio")) == (401, "api_key_invalid")
    assert logged(Action.API_KEY_REFUSED, alice) == []


def test_a_key_is_found_by_its_own_prefix_only(alice, bob):
    """The secret of one key does not open another one."""
    hers, his = made(alice), made(bob)
    mixed = f"trk_{hers.row.prefix}_{his.text.split('_', 2)[2]}"
    assert code(program(mixed).get("/portfolio")) == (401, "api_key_invalid")


def test_looking_for_a_prefix_of_nobody_costs_the_same_reads(alice):
    key = made(alice)
    wrong = api_keys.Refusal
    with (
        CaptureQueriesContext(
            connection,
        ) as known,
        pytest.raises(wrong),
    ):
        api_keys.find_live(altered(key), now=clock.now())
    with CaptureQueriesContext(connection) as unknown, pytest.raises(wrong):
        api_keys.find_live(f"trk_aaaaaaaaaaaa_{'x' * 43}", now=clock.now())
    assert len(unknown) == len(known)


def test_guessing_is_slowed_down_by_address_and_fills_no_log(alice, settings):
    """S29: who holds a good key at the same address goes on."""
    settings.AUTH_SHIELD_RATES = ["5/m"]
    key = made(alice)
    guesser = program(altered(key))
    statuses = [guesser.get("/portfolio").status_code for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert len(logged(Action.API_KEY_REFUSED, alice)) == 5
    assert program(altered(key), "192.0.2.9").get("/portfolio").status_code == 401
    assert program(key).get("/portfolio").status_code == 200


def test_a_key_counts_against_the_limits_of_its_person(alice, settings):
    """S28"""
    settings.BURST_LIMITS_ENABLED = True
    answer = program(made(alice)).get("/portfolio")
    assert answer.headers["RateLimit-Policy"].startswith('"hour";q=5000')


def test_a_key_is_no_access_token_and_an_access_token_is_no_key(client_of, alice):
    """S07"""
    assert client_of(alice).get("/api-keys").status_code == 200
    token = client_of(alice).headers["Authorization"].removeprefix("Bearer ")
    assert code(program(f"trk_{token}").get("/portfolio")) == (401, "api_key_invalid")


# --- where it is used ---------------------------------------------------------------------------
def test_the_last_use_is_noted_with_its_address_at_most_every_five_minutes(alice):
    start = clock.now()
    key = made(alice)
    api = program(key)
    seen = []
    for minutes in (0, 4, 6):
        with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
            assert api.get("/portfolio").status_code == 200
        seen.append(stored(key).last_used_at - start)
    assert [gap // timedelta(minutes=1) for gap in seen] == [0, 0, 6]
    assert stored(key).last_used_address == "192.0.2.1"


def test_a_key_that_turns_up_at_a_new_address_is_logged_once(alice):
    """The address of its first use is where it lives."""
    key = made(alice)
    for address in ("192.0.2.1", "192.0.2.1", "198.51.100.7", "192.0.2.1", "198.51.100.7"):
        assert program(key, address).get("/portfolio").status_code == 200
    [row] = logged(Action.API_KEY_MOVED, alice)
    assert row.ip_address == "198.51.100.7"
    assert row.details == {"key_id": str(key.row.id), "known": ["192.0.2.1"]}
    assert stored(key).known_addresses == ["192.0.2.1", "198.51.100.7"]


@pytest.mark.django_db(transaction=True)
def test_who_calls_is_known_after_two_reads():
    """Session or key: at most two statements before the view begins."""
    alice = factories.person("alice@example.com", subscription_tier="enterprise")
    key, session = program(made(alice)), ApiClient(alice)
    for api, reads in ((key, 2), (session, 1)):
        api.get("/exchanges")  # whatever is counted every five minutes is counted now
        with CaptureQueriesContext(connection) as queries:
            assert api.get("/exchanges").status_code == 200
        before = [row["sql"] for row in queries if "exchanges" not in row["sql"]]
        assert len(before) == reads, before
