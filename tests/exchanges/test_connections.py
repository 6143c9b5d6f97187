"""POST/GET/PATCH/DELETE /connections: a key is tested first, and stored sealed or not at all."""

import base64
import json
from datetime import datetime, timedelta

import pytest
import redis
from django.conf import settings as live_settings

from accounts.models import DataKey
from audit.models import ActivityLog
from exchanges import circuits
from exchanges.models import Exchange, ExchangeConnection, ExchangeCredential
from portfolios.models import SyncRun
from tests import factories
from tests.end_to_end.system import free_port
from tracker import clock, tenancy

CANARY = "canary0key0canary0key0canary0key0canary0key0canary0key0canary0ke"


@pytest.fixture
def api(client_of, alice, exchange):
    return client_of(alice)


def post(api, sandbox, account=0, role="read", **changes):
    return api.post("/connections", {"exchange": "binance", **sandbox.key(account, role)} | changes)


def stored():
    with tenancy.as_system("test"):
        return (
            ExchangeConnection.objects.count(),
            ExchangeCredential.objects.count(),
            DataKey.objects.count(),
        )


def test_a_good_key_is_stored_sealed_and_never_shown_again(api, alice, sandbox):
    """S21, S25"""
    answer = post(api, sandbox)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["exchange"], body["privileges"], body["state"]) == (
        "binance", "read_only", "pending",
    )  # fmt: skip
    key = sandbox.key(0)
    for path in ("/connections", f"/connections/{body['id']}", "/portfolio"):
        shown = api.get(path).content.decode()
        assert key["api_key"] not in shown
        assert key["api_secret"] not in shown
    with tenancy.as_user(alice.id):
        row = ExchangeCredential.objects.get()
    assert key["api_key"].encode() not in bytes(row.api_key)
    assert key["api_secret"].encode() not in bytes(row.api_secret)


@pytest.mark.parametrize(
    ("changes", "role", "status", "code"),
    [
        ({"api_secret": "wrong"}, "read", 400, "exchange_key_rejected"),
        ({"api_key": CANARY}, "read", 400, "exchange_key_rejected"),
        ({}, "trade", 400, "exchange_key_too_powerful"),
        ({}, "withdraw", 400, "exchange_key_too_powerful"),
        ({"exchange": "nowhere"}, "read", 400, "exchange_unknown"),
        ({"api_secret": ""}, "read", 400, "invalid_input"),
        ({"exchange": 7, "label": None}, "read", 400, "invalid_input"),
        ({"color": "red"}, "read", 400, "invalid_input"),
        ({"label": "x" * 65}, "read", 400, "invalid_input"),
    ],
)
def test_each_refusal_has_its_code_and_stores_nothing(api, sandbox, changes, role, status, code):
    """S27 and the wrong inputs"""
    answer = post(api, sandbox, role=role, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"].endswith(".")
    assert stored() == (0, 0, 0)


def test_a_key_without_reading_permission_is_refused(api, sandbox):
    answer = post(api, sandbox, role="restricted")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("exchange_permission_missing", "exchange_key_rejected")
    assert stored() == (0, 0, 0)


def test_an_exchange_that_cannot_be_reached(api, sandbox, settings):
    settings.EXCHANGE_BASE_URLS = {"binance": f"http://127.0.0.1:{free_port()}"}
    answer = post(api, sandbox)
    assert (answer.status_code, answer.json()["code"]) == (502, "exchange_unreachable")
    assert stored() == (0, 0, 0)


def test_an_exchange_that_hangs_is_given_up_in_time(api, sandbox, settings):
    settings.CONNECTION_TEST_SECONDS = 1
    with sandbox.fault(path="/sapi", kind="hang"):
        answer = post(api, sandbox)
    assert (answer.status_code, answer.json()["code"]) == (504, "exchange_timeout")
    assert stored() == (0, 0, 0)


def test_an_exchange_whose_clock_disagrees(api, sandbox):
    body = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    with sandbox.fault(path="/sapi", kind="status", status=400, body=body):
        answer = post(api, sandbox)
    assert (answer.status_code, answer.json()["code"]) == (502, "exchange_clock_skew")


def test_a_passphrase_is_asked_for_where_the_exchange_needs_one(api, sandbox):
    Exchange.objects.create(
        id="kucoin", name="KuCoin", ccxt_version="test",
        required_fields=["api_key", "api_secret", "passphrase"],
    )  # fmt: skip
    answer = post(api, sandbox, exchange="kucoin")
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == ["passphrase"]


@pytest.mark.django_db(transaction=True)
def test_a_second_connection_needs_another_label(api, alice, sandbox):
    factories.put_on_plan(alice, "pro")
    assert post(api, sandbox).status_code == 201
    answer = post(api, sandbox, account=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "connection_label_taken")
    assert post(api, sandbox, account=1, label="second").status_code == 201
    assert len(api.get("/connections").json()["results"]) == 2


@pytest.mark.django_db(transaction=True)
def test_a_stored_connection_starts_its_first_sync_without_the_key(api, alice, sandbox):
    """S26: the message on the broker holds ids and nothing else."""
    connection = post(api, sandbox).json()
    with tenancy.as_user(alice.id):
        run = SyncRun.objects.get()
    assert (str(run.connection_id), run.trigger, run.state) == (
        connection["id"], "first", "queued",
    )  # fmt: skip
    with redis.Redis.from_url(live_settings.REDIS_URL) as client:
        message = client.lindex("sync", 0)
        everything = b"".join(
            client.dump(name) or b"" for name in client.scan_iter("*") if client.exists(name)
        )
    assert connection["id"].encode() in base64.b64decode(json.loads(message)["body"])
    key = sandbox.key(0)
    assert key["api_key"].encode() not in everything
    assert key["api_secret"].encode() not in everything


def test_the_same_idempotency_key_connects_once(api, sandbox):
    """S57"""
    first = api.post(
        "/connections", {"exchange": "binance", **sandbox.key(0)}, **{"Idempotency-Key": "k" * 16}
    )
    second = api.post(
        "/connections", {"exchange": "binance", **sandbox.key(0)}, **{"Idempotency-Key": "k" * 16}
    )
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert stored()[0] == 1


def test_testing_a_stored_key(api, sandbox):
    connection = post(api, sandbox).json()
    answer = api.post(f"/connections/{connection['id']}/test")
    assert answer.json() == {"status": "ok", "privileges": "read_only"}
    body = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    with sandbox.fault(path="/sapi", kind="status", status=401, body=body):
        answer = api.post(f"/connections/{connection['id']}/test")
    assert (answer.status_code, answer.json()["code"]) == (400, "exchange_key_rejected")


def test_renaming_pausing_and_a_new_key(api, sandbox):
    connection = post(api, sandbox).json()
    path = f"/connections/{connection['id']}"
    assert api.patch(path, {"label": "main"}).json()["label"] == "main"
    paused = api.patch(path, {"paused": True}).json()
    assert (paused["state"], paused["reason"]) == ("paused", "paused_by_user")
    refused = api.post(f"{path}/sync")
    assert (refused.status_code, refused.json()["code"]) == (409, "connection_stopped")
    assert api.patch(path, {"paused": False}).json()["state"] == "pending"
    wrong = api.patch(path, {**sandbox.key(0), "api_secret": "wrong"})
    assert wrong.json()["code"] == "exchange_key_rejected"
    assert api.patch(path, sandbox.key(2)).status_code == 200
    assert api.post(f"{path}/test").status_code == 200


def test_removing_a_connection(api, sandbox):
    connection = post(api, sandbox).json()
    assert api.delete(f"/connections/{connection['id']}").status_code == 204
    assert api.get(f"/connections/{connection['id']}").status_code == 404
    assert stored()[:2] == (0, 0)


def test_acts_and_refusals_are_in_the_activity_log_without_the_key(api, alice, sandbox):
    """S26"""
    post(api, sandbox, api_secret="wrong")
    post(api, sandbox)
    with tenancy.as_user(alice.id):
        acts = ActivityLog.objects.filter(action__startswith="exchange.")
        rows = list(acts.order_by("created_at", "id"))
    assert [(row.action, row.outcome) for row in rows] == [
        ("exchange.connection.refused", "refused"),
        ("exchange.connection.created", "ok"),
    ]
    assert rows[0].details["code"] == "exchange_key_rejected"
    text = " ".join(str(row.details) for row in rows)
    assert sandbox.key(0)["api_key"] not in text


def test_the_catalogue_is_read_from_its_table(api):
    rows = api.get("/exchanges").json()["results"]
    assert [(row["id"], row["required_fields"]) for row in rows] == [
        ("binance", ["api_key", "api_secret"])
    ]


# --- one key, one stream of nonces --------------------------------------------------------------
def test_the_same_key_cannot_be_connected_twice(alice, bob, connect, sandbox, client_of):
    """S45"""
    first, other = connect(alice, 3), connect(alice, 5)
    again = {"exchange": "binance", "label": "again", **sandbox.key(3)}
    answer = client_of(alice).post("/connections", again)
    assert (answer.status_code, answer.json()["code"]) == (409, "exchange_key_connected")
    api = client_of(alice)
    moved = api.patch(f"/connections/{other.id}", sandbox.key(3))
    assert (moved.status_code, moved.json()["code"]) == (409, "exchange_key_connected")
    assert api.patch(f"/connections/{first.id}", sandbox.key(3)).status_code == 200
    # Of somebody else's keys nothing is told.
    assert client_of(bob).post("/connections", again).status_code == 201


def test_a_key_is_not_tested_while_its_account_is_read(alice, connect, client_of):
    """S45"""
    connection = connect(alice, 3)
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(
            claimed_by=connection.id, lease_until=clock.now() + timedelta(seconds=20)
        )
    api = client_of(alice)
    answer = api.post(f"/connections/{connection.id}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "connection_being_read")
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(claimed_by=None, lease_until=None)
    assert api.post(f"/connections/{connection.id}/test").status_code == 200
    with tenancy.as_user(alice.id):
        assert ExchangeConnection.objects.get().claimed_by is None


def test_an_exchange_that_answers_nobody_is_named_as_the_cause(alice, connect, client_of):
    connect(alice, 3)
    now = clock.now()
    api = client_of(alice)
    assert api.get("/connections").json()["results"][0]["exchange_unreachable_since"] is None
    with tenancy.as_system("test"):
        circuits.note(exchange="binance", answered=0, unanswered=5, now=now)
    told = api.get("/connections").json()["results"][0]["exchange_unreachable_since"]
    assert datetime.fromisoformat(told) == now
