"""Logs: one JSON object a line that names its request and holds no secret."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.db import DataError, connection, transaction

from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tests.conftest import PASSWORD
from tracker import logs, tenancy

CANARY = "canary-7f3a9c"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the console would show meanwhile, line by line, in the format of the settings."""
    console = settings.LOGGING["formatters"]["json"]
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=console["processors"], foreign_pre_chain=console["foreign_pre_chain"]
    )
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


# --- request ids --------------------------------------------------------------------------------
def test_a_request_id_that_is_given_comes_back_and_is_in_every_line(client_of, lines, db):
    """S54"""
    answer = client_of().get("/me", **{"X-Request-ID": "given-id-0001"})
    assert answer.headers["X-Request-ID"] == "given-id-0001"
    assert answer.json()["request_id"] == "given-id-0001"
    assert [line["event"] for line in lines()][-1] == "request"
    assert {line["request_id"] for line in lines()} == {"given-id-0001"}


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "with space", 'a"b{}--------', "línea-nueva", "a\tb------"]
)
def test_a_request_id_that_is_not_well_formed_is_replaced(client_of, lines, given, db):
    """Nobody writes into our logs."""
    answer = client_of().get("/me", **{"X-Request-ID": given})
    made = answer.headers["X-Request-ID"]
    assert made != given
    assert len(made) == 36
    assert answer.json()["request_id"] == made
    assert {line["request_id"] for line in lines()} == {made}


def test_each_request_has_its_own_id(client_of, db):
    api = client_of()
    assert len({api.get("/me").headers["X-Request-ID"] for _ in range(5)}) == 5


def test_the_activity_log_names_the_request_and_the_address(client_of, db):
    """S29: as our proxies report it, whatever the caller claims."""
    alice = factories.person("alice@example.com")
    client_of(alice).patch(
        "/me",
        {"base_currency": "CHF"},
        **{"X-Request-ID": "given-id-0002", "X-Forwarded-For": "203.0.113.9"},
    )
    with tenancy.as_user(alice.id):
        row = ActivityLog.objects.get(action=Action.USER_PREFERENCES_CHANGED)
    assert (row.request_id, row.ip_address) == ("given-id-0002", "127.0.0.1")


def test_log_lines_hold_no_address_that_the_caller_claims(client_of, lines, db):
    """S29"""
    client_of().get("/me", **{"X-Forwarded-For": "203.0.113.9", "X-Correlation-ID": CANARY})
    assert "203.0.113.9" not in json.dumps(lines())
    assert CANARY not in json.dumps(lines())
    assert {line["client_address"] for line in lines()} == {"127.0.0.1"}


def test_nothing_of_one_request_stays_bound_for_the_next(client_of, lines, db):
    alice = factories.person("alice@example.com")
    client_of(alice).get("/me")
    before = len(lines())
    client_of().get("/me")
    assert len(lines()) > before
    assert all("user_id" not in line for line in lines()[before:])


def test_signing_in_writes_neither_password_nor_token(client_of, lines, db):
    """S26, for passwords and tokens"""
    body = {"email": "new@example.com", "password": PASSWORD}
    client_of().post("/auth/register", body)
    answer = client_of().post("/auth/login", body).json()
    client_of().post("/auth/login", body | {"password": CANARY * 3})
    client_of().get("/me", Authorization=f"Bearer {answer['access']}")
    client_of().post("/auth/refresh", {"refresh": answer["refresh"]})
    written = json.dumps(lines())
    assert lines()
    for secret in (PASSWORD, CANARY, answer["access"], answer["refresh"]):
        assert secret not in written


# --- redaction ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "API-KEY", "secret", "api_secret", "password", "passphrase", "token",
     "access_token", "Authorization", "Cookie", "Set-Cookie", "signature", "credential",
     "X-MBX-APIKEY", "private_key", "privateKey"],
)  # fmt: skip
@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: {"headers": inner},
        lambda inner: {"a": {"b": {"c": inner}}},
        lambda inner: {"rows": [{"deep": inner}]},
        lambda inner: {"pair": (1, [inner])},
    ],
    ids=["flat", "in a mapping", "deep", "in a list", "in a tuple"],
)
def test_values_under_names_that_sound_secret_are_replaced_at_any_depth(name, wrap):
    """S26"""
    event = logs.redact(None, "info", {"event": "sent", **wrap({name: CANARY, "page": 2})})
    assert CANARY not in repr(event)
    assert "2" in repr(event)


@pytest.mark.parametrize("value", [CANARY, [CANARY], {"x": CANARY}, (CANARY,), CANARY.encode()])
def test_a_secret_name_hides_whatever_it_holds(value):
    assert logs.redact(None, "info", {"api_secret": value}) == {"api_secret": logs.REDACTED}


def test_harmless_names_stay_as_they_are():
    event = {"event": "sync.finished", "exchange": "binance", "rows": [{"n": 1}], "n": 2}
    assert logs.redact(None, "info", event) == event


def test_our_own_loggers_and_those_of_libraries_redact(lines):
    """S26: the processor is in force for both."""
    logs.get_logger("tests").warning("sent", headers={"X-API-Key": CANARY})
    logging.getLogger("library").warning("sent", extra={"api_key": CANARY})
    assert len(lines()) == 2
    assert CANARY not in json.dumps(lines())


def test_what_a_database_says_of_a_statement_is_not_logged(lines, db):
    """S26: its text quotes the values of the statement; where it happened stays."""
    with pytest.raises(DataError) as caught, transaction.atomic():
        connection.cursor().execute("SELECT %s::int", [CANARY])
    try:
        raise ValueError("while counting") from caught.value
    except ValueError:
        logs.get_logger("tests").exception("api.failed")
    (line,) = lines()
    assert CANARY not in json.dumps(line)
    assert "ValueError: while counting" in line["exception"]
    assert "DataError" in line["exception"]
