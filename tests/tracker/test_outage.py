"""Health, and what callers hear while PostgreSQL or Redis is away: 503 in the one format, and the
next call works without a restart."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings

from tests import factories
from tests.api_client import ApiClient

ERROR = {"code", "message", "details", "request_id"}
DEAD_REDIS = "redis://127.0.0.1:1/0"


@contextmanager
def database_gone() -> Iterator[None]:
    """This thread's connection is cut, and nobody listens where the next one would be made."""
    there = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(there)


@pytest.fixture(autouse=True)
def _fresh_connection(request: Any) -> Iterator[None]:
    """A test that fails midway must not leave its broken connection to the next one."""
    yield
    if "transactional_db" in request.fixturenames and connection.connection is not None:
        connection.close()


def cut_the_connection() -> None:
    """As a restart of PostgreSQL does: the socket is closed under Django's feet."""
    connection.ensure_connection()
    connection.connection.close()


@contextmanager
def redis_gone() -> Iterator[None]:
    moved = {name: row | {"LOCATION": DEAD_REDIS} for name, row in settings.CACHES.items()}
    with override_settings(REDIS_URL=DEAD_REDIS, CELERY_BROKER_URL=DEAD_REDIS, CACHES=moved):
        yield


def client() -> Client:
    return Client(raise_request_exception=False)


# --- health -------------------------------------------------------------------------------------
def test_the_process_is_alive_without_touching_anything(client):
    """No database mark: a query would fail this test."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "healthcheck.railway.app"])
def test_probes_are_answered_whatever_the_host(client, db, host):
    """In production too, where other hosts are refused and plain HTTP leads to HTTPS."""
    strict = {"ALLOWED_HOSTS": ["api.example.com"], "SECURE_SSL_REDIRECT": True,
              "SECURE_REDIRECT_EXEMPT": [r"^healthz$", r"^readyz$"]}  # fmt: skip
    with override_settings(**strict):
        strict_client = Client(raise_request_exception=False)
        for path in ("/healthz", "/readyz"):
            assert strict_client.get(path, headers={"host": host}).status_code == 200
        refused = strict_client.get("/status", headers={"host": host}, secure=True)
    assert refused.status_code == 400


def test_ready_means_that_every_part_answers(client, db):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "parts": {"database": "ok", "migrations": "ok", "cache": "ok", "broker": "ok"},
    }


def test_without_redis_readyz_is_503_and_names_the_parts(client, db):
    with redis_gone():
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "parts": {
            "database": "ok", "migrations": "ok", "cache": "unavailable", "broker": "unavailable",
        },
    }  # fmt: skip
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_without_postgresql_readyz_is_503_and_names_the_parts(client):
    with database_gone():
        answer = client.get("/readyz")
        assert client.get("/healthz").status_code == 200
    assert answer.status_code == 503
    assert answer.json()["parts"]["database"] == "unavailable"
    assert answer.json()["parts"]["cache"] == "ok"
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_readyz_sees_a_connection_that_was_cut_and_heals(client):
    cut_the_connection()
    assert client.get("/readyz").status_code in (200, 503)
    assert client.get("/readyz").status_code == 200


# --- PostgreSQL gone ----------------------------------------------------------------------------
def answers_503(answer: Any) -> bool:
    assert answer.status_code == 503, answer.content
    assert set(answer.json()) == ERROR
    assert answer.json()["code"] == "service_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/me", None),
        ("GET", "/portfolio", None),
        ("GET", "/trades", None),
        ("GET", "/exchanges", None),
        ("PATCH", "/me", {"base_currency": "CHF"}),
        ("POST", "/auth/login", {"email": "alice@example.com", "password": "x" * 12}),
        ("POST", "/auth/register", {"email": "new@example.com", "password": "correct horse bat"}),
    ],
)
def test_without_postgresql_every_call_is_503_and_works_again_afterwards(method, path, body):
    api = ApiClient(factories.person("alice@example.com"))
    api.django.raise_request_exception = False
    with database_gone():
        assert answers_503(api.call(method, path, body))
        assert answers_503(api.call(method, path, body))
    assert api.call(method, path, body).status_code in (200, 202, 401)


@pytest.mark.django_db(transaction=True)
def test_a_refresh_token_is_not_spent_by_a_call_that_found_no_database():
    api = ApiClient(factories.person("alice@example.com"))
    api.django.raise_request_exception = False
    with database_gone():
        assert answers_503(api.post("/auth/refresh", {"refresh": api.refresh_token}))
    assert api.post("/auth/refresh", {"refresh": api.refresh_token}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_cut_costs_at_most_one_call():
    """PostgreSQL restarted between two requests of one process."""
    api = ApiClient(factories.person("alice@example.com"))
    api.django.raise_request_exception = False
    assert api.get("/me").status_code == 200
    cut_the_connection()
    first = api.get("/me")
    assert first.status_code == 200 or answers_503(first)
    assert api.get("/me").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_backend_that_was_terminated_costs_at_most_one_call():
    """The server ends the session itself; a role may end its own."""
    api = ApiClient(factories.person("alice@example.com"))
    api.django.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()
    first = api.get("/portfolio")
    assert first.status_code == 200 or answers_503(first)
    assert api.get("/portfolio").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/admin/login/", "/admin/"])
def test_admin_without_postgresql_is_503_too(path):
    with database_gone():
        answer = client().get(path)
    assert answers_503(answer)
    assert client().get(path).status_code in (200, 302)


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_too_long_ends_and_the_next_call_works():
    """S31: the statement timeout of the settings is in force on every connection."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("30s",)
