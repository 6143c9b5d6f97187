"""Sentry, as a server on loopback receives it: errors and traces with their ids, and no secret."""

import gzip
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import structlog
from django.conf import settings

from tracker import sentry as reports
from tracker.errors import NotFound
from tracker.logs import REDACTED

CANARY = "canary-7f3a9c"


# --- what is on the list ------------------------------------------------------------------------
FRAME = {"function": "fetch", "lineno": 3, "vars": {"secret": CANARY}, "context_line": CANARY}
EVENT: dict[str, Any] = {
    "event_id": "1" * 32,
    "timestamp": 1,
    "level": "error",
    "platform": "python",
    "environment": "production",
    "release": "1",
    "transaction": "/api/v1/me",
    "type": "error",
    "exception": {
        "values": [
            {"type": "ValueError", "value": CANARY, "stacktrace": {"frames": [dict(FRAME)]},
             "mechanism": {"type": "django", "data": {"x": CANARY}, "meta": {"y": CANARY}}},
            {"type": "KeyError", "value": CANARY, "stacktrace": None},
        ]
    },
    "contexts": {
        "trace": {"trace_id": "2" * 32, "span_id": "3" * 16, "op": "http.server",
                  "data": {"http.query": CANARY}, "description": CANARY},
        "runtime": {"name": "CPython", "version": "3"},
        "state": {"x": CANARY},
        "device": {"name": CANARY},
    },
    "request": {"method": "POST", "url": CANARY, "query_string": CANARY, "data": CANARY,
                "headers": {"Authorization": CANARY}, "cookies": CANARY, "env": CANARY},
}  # fmt: skip
LEFT_OUT = [
    "breadcrumbs", "user", "extra", "tags", "message", "logentry", "server_name", "modules",
    "sdk", "debug_meta", "threads", "fingerprint", "spans", "culprit", "logger", "_meta",
]  # fmt: skip


@pytest.mark.parametrize("name", [*LEFT_OUT, "something_new"])
def test_only_what_is_on_the_list_leaves_for_sentry(name):
    """S26"""
    kept = reports.keep_harmless(json.loads(json.dumps(EVENT)) | {name: {"x": CANARY}}, {})
    assert CANARY not in json.dumps(kept)


def test_types_and_places_of_exceptions_stay_without_their_texts():
    """S26"""
    kept = reports.keep_harmless(json.loads(json.dumps(EVENT)), {})
    first, second = kept["exception"]["values"]
    assert (first["type"], first["value"], second["value"]) == (
        "ValueError", REDACTED, REDACTED,
    )  # fmt: skip
    assert first["stacktrace"]["frames"] == [{"function": "fetch", "lineno": 3}]
    assert kept["request"] == {"method": "POST"}
    assert kept["contexts"]["runtime"] == {"name": "CPython", "version": "3"}
    assert kept["contexts"]["trace"]["trace_id"] == "2" * 32


def test_an_event_names_its_request_and_user_and_nothing_else_of_what_is_bound():
    with structlog.contextvars.bound_contextvars(
        request_id="given-id-0003", user_id="u", client_address="203.0.113.9"
    ):
        kept = reports.keep_harmless({"event_id": "1"}, {})
    assert kept["tags"] == {"request_id": "given-id-0003"}
    assert kept["user"] == {"id": "u"}


@pytest.mark.parametrize("source", ["url", None, "view", "something_new"])
def test_a_name_that_was_taken_from_an_address_is_left_out(source):
    event = {"transaction": f"/api/v1/{CANARY}", "transaction_info": {"source": source}}
    assert CANARY not in json.dumps(reports.keep_harmless(event, {}))


def test_our_own_errors_are_told_by_their_codes_and_others_not_at_all():
    try:
        raise NotFound(CANARY)
    except NotFound as error:
        hint = {"exc_info": (type(error), error, None)}
    values = [
        {"type": "NotFound", "module": "tracker.errors", "value": CANARY},
        {"type": "NotFound", "module": "elsewhere", "value": CANARY},
    ]
    kept = reports.keep_harmless({"exception": {"values": values}}, hint)
    assert [value["value"] for value in kept["exception"]["values"]] == ["not_found", REDACTED]


@pytest.mark.parametrize(
    ("logger", "message", "told"),
    [
        ("audit.log", {"event": "outbox.delivery_failed", "email": CANARY}, True),
        ("audit.log", {"event": CANARY}, False),
        ("audit.log", {"event": "outbox.delivery_failed of " + CANARY}, False),
        ("audit.log", CANARY, False),
        ("elsewhere", {"event": "outbox.delivery_failed"}, False),
    ],
)
def test_of_what_was_logged_only_the_name_that_our_code_gave_it_leaves(logger, message, told):
    record = logging.LogRecord(logger, logging.ERROR, "", 0, message, None, None)
    event = {"logger": CANARY, "logentry": {"message": CANARY}}
    kept = reports.keep_harmless(event, {"log_record": record})
    assert CANARY not in json.dumps(kept)
    assert kept.get("logentry") == ({"message": "outbox.delivery_failed"} if told else None)


# --- one request, one event -----------------------------------------------------------------------
def test_a_request_is_not_told_under_the_ids_of_the_one_before():
    told = {}

    def answer(environ, start_response):
        told.update(reports.keep_harmless({"event_id": "1"}, {}))
        return [b""]

    with structlog.contextvars.bound_contextvars(request_id="given-id-0005", user_id="u"):
        reports.apart(answer)({}, None)
    assert told["tags"] == {}
    assert "user" not in told


# --- what arrives -------------------------------------------------------------------------------
class _Sentry(BaseHTTPRequestHandler):
    """A server that speaks Sentry's protocol as far as taking envelopes."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.envelopes.append(gzip.decompress(body) if packed else body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def sentry() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), _Sentry)
    server.envelopes = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# A process of its own, since the library hooks itself into others for good. The addresses are the
# test's, because none of ours fails when asked to; middleware, Celery and settings are ours.
FAIL_WITH_SECRETS = f"""
import django, io, logging, sentry_sdk, sys
django.setup()
from django.conf import settings
from django.db import connection
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from tracker.celery import app
from tracker.errors import DomainError
from tracker.wsgi import application

sentry_sdk.get_client().options["traces_sample_rate"] = 1.0
CANARY = "{CANARY}"

class OurOwn(DomainError):
    code = "our_own_code"

class Quiet(DomainError):
    code = "quiet_code"

@csrf_exempt
def fail(request, kind):
    local = api_secret = CANARY
    logging.getLogger("elsewhere").warning("breadcrumb %s", CANARY)
    logging.getLogger("elsewhere").error("message %s", CANARY, extra=dict(api_key=CANARY))
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [CANARY])
        try:
            cursor.execute("SELECT '" + CANARY + "'::int")
        except Exception as error:
            raise (OurOwn if kind == "own" else ZeroDivisionError)(CANARY) from error

@app.task(name="tests.fail")
def work(**kwargs):
    raise LookupError(CANARY)

@csrf_exempt
def quiet(request):
    from tracker.logs import get_logger
    log = get_logger("portfolios.alerting.watching")
    log.error("alerts.unreadable_news", error="KeyError", api_key=CANARY)
    try:
        raise Quiet(CANARY)
    except Quiet:
        log.exception("alerts.keeper_failed", what=CANARY)
    from django.http import HttpResponse
    return HttpResponse()

urlpatterns = [path("quiet", quiet), path("api/fail/<kind>", fail), path("page/<kind>", fail)]
handler404 = "tracker.api.not_found"
handler500 = "tracker.api.server_error"
settings.ROOT_URLCONF = "__main__"
settings.ALLOWED_HOSTS = ["testserver"]

def ask(where):
    environ = dict(
        REQUEST_METHOD="POST", PATH_INFO=where, QUERY_STRING="token=" + CANARY, SERVER_PORT="80",
        SERVER_NAME="testserver", HTTP_SENTRY_TRACE=f"{{'a' * 32}}-{{'b' * 16}}-1",
        HTTP_BAGGAGE="sentry-trace_id=" + 'a' * 32 + ",sentry-user_segment=" + CANARY,
        HTTP_AUTHORIZATION="Bearer " + CANARY, HTTP_COOKIE="a=" + CANARY,
        HTTP_X_API_KEY=CANARY, HTTP_X_REQUEST_ID="given-id-0004", CONTENT_TYPE="application/json",
        CONTENT_LENGTH="20", REMOTE_ADDR="203.0.113.9",
    )
    environ["wsgi.input"] = io.BytesIO(b'"' + CANARY.encode() + b'"    ')
    environ["wsgi.url_scheme"], environ["wsgi.errors"] = "http", sys.stderr
    answer = application(environ, lambda *args: None)
    list(answer)
    answer.close()

ask("/api/fail/own")
ask("/page/other")
ask("/quiet")
ask("/api/v1/" + CANARY)
work.apply(kwargs=dict(secret=CANARY))
sentry_sdk.set_user(dict(email=CANARY))
sentry_sdk.set_extra("secret", CANARY)
with sentry_sdk.start_transaction(op="task", name="sync"):
    with sentry_sdk.start_span(op="http.client", name="GET /?s=" + CANARY) as span:
        span.set_data("http.query", CANARY)
    sentry_sdk.add_breadcrumb(message=CANARY)
    sentry_sdk.capture_message(CANARY)
sentry_sdk.flush()
"""


def _events(envelopes: list[bytes]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for body in envelopes for line in body.splitlines() if line]
    return [line for line in lines if "event_id" in line and "platform" in line]


@pytest.fixture
def arrived(sentry, transactional_db) -> tuple[bytes, list[dict[str, Any]]]:
    """Everything that a process full of secrets sends: as bytes, and its events."""
    environment = os.environ | {"SENTRY_DSN": f"http://key@127.0.0.1:{sentry.server_port}/1"}
    command = [sys.executable, "-c", FAIL_WITH_SECRETS]
    subprocess.run(
        command, env=environment, cwd=settings.BASE_DIR, check=True, stderr=subprocess.PIPE
    )
    return b"\n".join(sentry.envelopes), _events(sentry.envelopes)


def test_a_caller_cannot_have_its_requests_traced(arrived):
    """A tenth is traced; a header of the caller's that says otherwise is not read."""
    assert reports.TRACES == 0.1
    raw, _ = arrived
    assert b"a" * 32 not in raw
    assert b"user_segment" not in raw


def test_what_sentry_is_really_sent_names_ids_and_holds_no_secret(arrived):
    """S26: texts and locals of exceptions, headers, cookies, queries, bodies, SQL, log messages,
    breadcrumbs, addresses, arguments of tasks."""
    raw, events = arrived
    assert CANARY.encode() not in raw
    assert b"203.0.113.9" not in raw
    errors = {
        value["type"]: (value["value"], event)
        for event in events
        for value in (event.get("exception") or {}).get("values", [])
    }
    assert {"OurOwn", "ZeroDivisionError", "LookupError"} <= set(errors)
    assert errors["OurOwn"][0] == "our_own_code"
    assert {errors[name][0] for name in ("ZeroDivisionError", "LookupError")} == {REDACTED}
    assert errors["OurOwn"][1]["tags"] == {"request_id": "given-id-0004"}
    assert errors["OurOwn"][1]["transaction"] == "/api/fail/{kind}"
    assert errors["LookupError"][1]["tags"] == {"task": "tests.fail"}
    by_name = {event["logentry"]["message"]: event for event in events if event.get("logentry")}
    assert by_name["alerts.unreadable_news"]["tags"]["error"] == "KeyError"
    assert by_name["alerts.unreadable_news"]["logger"] == "portfolios.alerting.watching"
    (kept,) = by_name["alerts.keeper_failed"]["exception"]["values"]
    assert (kept["value"], kept["stacktrace"]["frames"][-1]["function"]) == (
        "quiet_code", "quiet",
    )  # fmt: skip
    traces = {event["transaction"] for event in events if event.get("type") == "transaction"}
    assert {"/api/fail/{kind}", "/page/{kind}", "tests.fail", "sync", "(no route)"} <= traces
    spans = {span["op"] for event in events for span in event.get("spans", [])}
    assert {"db", "http.client"} <= spans
