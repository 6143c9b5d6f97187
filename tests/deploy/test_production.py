"""The whole deployment, seen from outside: S29, S31, S50, S56.

nginx on the file that is deployed, the Procfile with production settings, a pooler in transaction
mode before PostgreSQL, TLS before everything. See `tests.deploy.production`.
"""

import http.client
import json
import os
import re
import signal
import ssl
import threading
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql
from websockets.sync.client import connect

from tests import templates
from tests.deploy import production as deployments
from tests.deploy.files import DOMAIN

pytestmark = [pytest.mark.xdist_group("deploy"), pytest.mark.timeout(600)]
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def production():
    """On a copy of the migrated database, so that only what is new has to be migrated."""
    usual = os.environ["DATABASE_URL"]
    if "host" not in parse_qs(urlsplit(usual).query):
        pytest.skip("needs the embedded PostgreSQL")
    template = templates.migrated(usual)
    name = f"deployed_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"
    with psycopg.connect(usual, autocommit=True) as admin:
        named = [sql.Identifier(name), sql.Identifier(template)]
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(named[0]))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*named))
        try:
            url = urlsplit(usual)._replace(path=f"/{name}").geturl()
            with deployments.running(url, _redis_of_its_own()) as running:
                yield running
        finally:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(named[0]))


def _redis_of_its_own() -> str:
    """Another database of the server: the test's own is emptied before each test."""
    base, _, number = os.environ["REDIS_URL"].rpartition("/")
    return f"{base}/{(int(number) + 8) % 16}"


@pytest.fixture(scope="module")
def person(production):
    """Somebody who signed up from 127.0.0.2, whatever their headers claim."""
    body = {"email": "reader@example.com", "password": PASSWORD}
    claims = {"X_Forwarded_For": "203.0.113.7", "X_Real_IP": "203.0.113.7",
              "Forwarded": "for=203.0.113.7"}  # fmt: skip
    for path, expected in (("/auth/register", 202), ("/auth/login", 200)):
        status, answer = production.call("POST", path, body, source="127.0.0.2", **claims)
        assert status == expected, answer
    production.token = answer["access"]
    return production


# --- at the door --------------------------------------------------------------------------------
def test_all_parts_are_ready_through_nginx(production):
    status, _, body = production.send("GET", "/readyz")
    assert (status, set(json.loads(body)["parts"].values())) == (200, {"ok"})


def test_answers_come_over_tls_and_say_that_it_stays_so(production):
    """S50: and the application knows the scheme, or it would redirect for ever."""
    status, headers, _ = production.send("GET", "/api/v1/portfolio")
    assert status == 401
    assert headers["Strict-Transport-Security"].startswith("max-age=63072000")


def test_plain_http_leads_to_https(production):
    status, location = _plain(production, DOMAIN, "/status")
    assert (status, location) == (301, f"https://{DOMAIN}/status")


def test_a_claim_of_plain_http_counts_for_nothing(production):
    status, _, _ = production.send("GET", "/api/v1/portfolio", X_Forwarded_Proto="http")
    assert status == 401


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1"])
def test_another_host_gets_nothing(production, host):
    with pytest.raises(http.client.HTTPException):
        _plain(production, host, "/")
    with pytest.raises(http.client.HTTPException):
        production.send("GET", "/healthz", Host=host)


def test_another_name_in_the_handshake_gets_no_certificate(production):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        deployments.socket.create_connection(("127.0.0.1", production.tls)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="evil.example.com")


def _plain(production, host: str, path: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", production.plain, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")
    finally:
        connection.close()


def test_the_clients_address_is_the_one_that_nginx_saw(person):
    """S29: what a caller claims about itself is thrown away."""
    status, answer = person.call("GET", "/sessions")
    assert status == 200, answer
    assert {row["first_address"] for row in answer["results"]} == {"127.0.0.2"}


# --- what is served -----------------------------------------------------------------------------
def test_static_files_come_with_their_digest_and_stay_cached(production):
    _, _, page = production.send("GET", "/admin/login/")
    found = re.search(rb'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', page)
    assert found, page[:500]
    status, headers, body = production.send("GET", found[1].decode())
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/css")
    assert "immutable" in headers["Cache-Control"]
    assert body


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [
        ("/api/v1/auth/login", 256 * 1024, {400}),  # read by the application
        ("/api/v1/auth/login", 300 * 1024, {413}),
        ("/api/v1/auth/login", 600 * 1024, {413}),
        ("/api/v1/imports", 1024 * 1024, {401}),  # read by the application
        ("/api/v1/imports", 7 * 1024 * 1024, {413}),
    ],
)
def test_what_is_too_large_is_refused(production, path, size, expected):
    """S31"""
    try:
        status, _, body = production.send(
            "POST", path, b"x" * size, Content_Type="application/json"
        )
        assert set(json.loads(body)) == {"code", "message", "details", "request_id"}
    except ConnectionError:  # nginx answers and hangs up before everything was sent
        status = 413
    assert status in expected


def test_live_connections_come_through_nginx(person):
    with _live(person) as live:
        live.send(json.dumps({"type": "authenticate", "token": person.token}))
        assert json.loads(live.recv(timeout=30))["type"] == "authenticated"


def _live(production):
    plain = deployments.socket.create_connection(("127.0.0.1", production.tls))
    return connect(f"wss://{DOMAIN}/ws/v1/stream", sock=plain, ssl=production.trust())


# --- behind a pooler in transaction mode --------------------------------------------------------
def test_an_account_is_read_through_the_pooler(person):
    """Sign-up, sealed keys, tasks, locks and leases: all of it on borrowed connections."""
    key = {"api_key": person.sandbox.api_key(1), "api_secret": person.sandbox.api_secret(1)}
    status, answer = person.call("POST", "/connections", {"exchange": "binance", **key})
    assert status == 201, answer
    run = _until_finished(person, answer["id"])
    assert run["state"] == "complete", run
    assert person.call("GET", "/holdings")[1]["results"]
    assert person.call("GET", "/trades")[1]["results"]


def _until_finished(person, connection: str) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        _, answer = person.call("GET", f"/connections/{connection}/sync-runs")
        if answer["results"] and answer["results"][0]["finished_at"]:
            return answer["results"][0]
        time.sleep(0.3)
    raise AssertionError(f"no sync finished: {answer} {person.written()}")


def test_the_limit_of_statements_stands_at_the_role(production):
    """For every connection that the pooler makes after the release."""
    with psycopg.connect(production.environment["DIRECT_DATABASE_URL"], autocommit=True) as made:
        assert made.execute("SHOW statement_timeout").fetchone() == ("30s",)
        assert made.execute("SELECT current_user").fetchone() == ("tracker",)


def test_an_identity_does_not_stay_on_a_borrowed_connection(production):
    """S17"""
    url = production.environment["DATABASE_URL"]
    count = "SELECT count(*) FROM users"
    with psycopg.connect(url, prepare_threshold=None) as first:
        first.execute("SELECT set_config('app.system', 'looking', true)")
        first.commit()
        assert first.execute("SELECT current_setting('app.system', true)").fetchone() == ("",)
        assert first.execute(count).fetchone() == (0,)


def test_a_backup_goes_past_the_pooler(production):
    """pg_dump needs a session, and start-up options that no pooler takes."""
    result = production.manage("backup")
    assert result.returncode == 0, result.stderr
    assert "read back and counted" in result.stdout


# --- new code -----------------------------------------------------------------------------------
def test_a_reload_under_load_fails_no_request(production):
    """What `ExecReload` of the unit does: each request on a connection of its own, 0 fail."""
    master, before = production.gunicorn()
    outcomes: Counter[object] = Counter()
    stop = threading.Event()
    callers = [
        threading.Thread(target=_keep_calling, args=(production, stop, outcomes)) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    try:
        _await(lambda: outcomes.total() >= 20)
        master.send_signal(signal.SIGHUP)
        _await(lambda: not any(worker.is_running() for worker in before))
        done = outcomes.total()
        _await(lambda: outcomes.total() >= done + 20)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert set(outcomes) == {200}, outcomes
    _, after = production.gunicorn()
    assert len(after) == len(before)


def _keep_calling(production, stop: threading.Event, outcomes: Counter) -> None:
    most = time.monotonic() + 150
    while not stop.is_set() and time.monotonic() < most:
        try:
            outcomes[production.send("GET", "/status.json")[0]] += 1
        except OSError as error:
            outcomes[repr(error)] += 1
        except http.client.HTTPException as error:
            outcomes[repr(error)] += 1


def _await(holds) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
