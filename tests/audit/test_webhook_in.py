"""The security webhook: verified before anything is stored, and each message has one effect."""

import base64
import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django_redis import get_redis_connection
from standardwebhooks import Webhook

from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert, SecurityEvent
from audit.webhooks import inbound, signatures
from tests import factories
from tracker import clock, tenancy

URL = "/api/webhook/security"
SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"b" * 32).decode()
EVENT = {"type": "waf.attack", "source": "edge", "data": {"rule": "sqli"}}


@pytest.fixture(autouse=True)
def _secrets(settings):
    settings.SECURITY_WEBHOOK_SECRETS = [SECRET, OLD_SECRET]


@pytest.fixture
def alice(transactional_db):
    return factories.person("alice@example.com")


def send(
    event: Any = EVENT,
    *,
    secret: str = SECRET,
    message_id: str = "msg_1",
    at: datetime | None = None,
    **headers: str,
) -> Any:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    instant = at or clock.now()
    signature = Webhook(secret).sign(message_id, instant, body.decode("utf-8", "replace"))
    given = {
        "webhook-id": message_id, "webhook-timestamp": str(int(instant.timestamp())),
        "webhook-signature": signature,
    } | headers  # fmt: skip
    kept = {name: value for name, value in given.items() if value}
    return Client().generic("POST", URL, body, content_type="application/json", headers=kept)


def stored() -> tuple[int, int, int]:
    """Events, alerts, and log rows about either."""
    with tenancy.as_system("test"):
        acts = [Action.SECURITY_EVENT_RECEIVED, Action.ALERT_RAISED]
        return (
            SecurityEvent.objects.count(), SecurityAlert.objects.count(),
            ActivityLog.objects.filter(action__in=acts).count(),
        )  # fmt: skip


def alert() -> SecurityAlert:
    with tenancy.as_system("test"):
        return SecurityAlert.objects.get()


def test_a_signed_event_becomes_an_alert(transactional_db):
    answer = send()
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    found = alert()
    assert (found.kind, found.severity, found.user_id) == ("external.waf.attack", "medium", None)
    with tenancy.as_system("test"):
        event = SecurityEvent.objects.get()
    assert (event.payload, event.alert_id, event.source) == ({"rule": "sqli"}, found.id, "edge")
    assert stored() == (1, 1, 2)


def test_an_event_about_a_person_is_theirs_and_shows_them_no_inner_details(alice, client_of):
    send(EVENT | {"user": "Alice@Example.com", "severity": "critical"})
    (shown,) = client_of(alice).get("/me/alerts").json()["results"]
    assert (shown["severity"], shown["state"]) == ("critical", "open")
    assert "sqli" not in json.dumps(shown)
    send(EVENT | {"user": str(alice.id)}, message_id="msg_2")
    send(EVENT | {"user": "nobody@example.com"}, message_id="msg_3")
    assert len(client_of(alice).get("/me/alerts").json()["results"]) == 2


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        ({"type": "x.unknown"}, "medium"),
        ({"type": "x.unknown", "severity": "low"}, "low"),
        ({"type": "x", "severity": "WARNING"}, "medium"),
        ({"type": "host.login"}, "high"),
        ({"type": "host.intrusion.root"}, "critical"),
        ({"type": "waf.blocked"}, "low"),
    ],
)
def test_how_grave_an_event_is(transactional_db, event, severity):
    assert send(event).status_code == 202
    assert alert().severity == severity


def test_a_secret_that_is_being_replaced_still_counts(transactional_db):
    assert send(secret=OLD_SECRET).status_code == 202


STRANGER = "whsec_" + base64.b64encode(b"c" * 32).decode()


@pytest.mark.parametrize(
    "given",
    [
        {"secret": STRANGER},
        {"webhook-signature": ""}, {"webhook-id": ""}, {"webhook-timestamp": ""},
        {"webhook-signature": "v1,"}, {"webhook-signature": "garbage"},
        {"webhook-signature": "v1a,AAAA"}, {"webhook-signature": "v1,ünïcode"},
        {"webhook-id": "msg_other"}, {"webhook-id": "x" * 500},
        {"webhook-timestamp": "nan"}, {"webhook-timestamp": "-1"}, {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "99999999999999999999"}, {"webhook-timestamp": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_or_missing_signature_is_refused_and_nothing_is_written(transactional_db, given):
    """S34"""
    answer = send(**given)
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_rejected")
    assert stored() == (0, 0, 0)


@pytest.mark.parametrize("seconds", [-302, -3600, 302, 86_400])
def test_a_stale_message_is_refused_and_nothing_is_written(transactional_db, seconds):
    """S34: over 300 seconds off, to either side, though the signature is right."""
    answer = send(at=clock.now() + timedelta(seconds=seconds))
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_rejected")
    assert stored() == (0, 0, 0)


@pytest.mark.parametrize("seconds", [-298, 0, 298])
def test_a_message_within_300_seconds_is_taken(transactional_db, seconds):
    """S34"""
    assert send(at=clock.now() + timedelta(seconds=seconds)).status_code == 202


def test_a_body_that_was_changed_on_the_way_is_refused(transactional_db):
    """S34: the signature is over the bytes, spaces included."""
    body = json.dumps(EVENT)
    now = clock.now()
    signature = Webhook(SECRET).sign("msg_1", now, body)
    answer = Client().generic(
        "POST", URL, body.replace(" ", "  "), content_type="application/json",
        headers={
            "webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        },
    )  # fmt: skip
    assert answer.status_code == 400
    assert stored() == (0, 0, 0)


@pytest.mark.parametrize(
    "event",
    [
        b"", b"{", b"[]", b'"text"', b"null", b'{"type": "x"}\xff', b'{"type": "x", "type": "y"}',
        {}, {"type": ""}, {"type": 7}, {"type": "x" * 65}, {"type": "x\u0000y"},
        {"type": "x", "severity": "severe"}, {"type": "x", "severity": 3},
        {"type": "x", "data": []}, {"type": "x", "user": 7}, {"type": "x", "user": "u" * 300},
        {"type": "x", "source": {}}, {"type": "x", "more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_signed_message_that_is_no_event_is_refused_and_nothing_is_written(
    transactional_db, event
):
    """S34"""
    answer = send_bytes(event) if isinstance(event, bytes) else send(event)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert stored() == (0, 0, 0)


def send_bytes(body: bytes) -> Any:
    headers = signatures.headers_for(SECRET, message_id="m", body=body, now=clock.now())
    return Client().generic("POST", URL, body, content_type="application/json", headers=headers)


def test_numbers_of_an_event_are_kept_to_the_last_digit(transactional_db):
    assert send_bytes(b'{"type": "x", "data": {"n": 0.1234567890123456789}}').status_code == 202
    with tenancy.as_system("test"):
        assert SecurityEvent.objects.get().payload == {"n": "0.1234567890123456789"}


def test_the_same_message_50_times_at_once_has_one_effect(transactional_db):
    """S35"""
    barrier, answers = threading.Barrier(50), []

    def call() -> None:
        barrier.wait()
        answers.append(send())
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    said = sorted(answer.json()["status"] for answer in answers)
    assert said == ["accepted"] + ["known"] * 49
    assert stored() == (1, 1, 2)


def test_a_message_that_comes_again_changes_nothing_though_its_alert_is_resolved(transactional_db):
    """S35"""
    send()
    with tenancy.as_system("test"):
        SecurityAlert.objects.update(state="resolved")
    assert send().json() == {"status": "known"}
    assert stored() == (1, 1, 2)


def test_without_a_secret_nothing_is_accepted(transactional_db, settings):
    """S34"""
    settings.SECURITY_WEBHOOK_SECRETS = []
    answer = send()
    assert (answer.status_code, answer.json()["code"]) == (503, "webhook_not_configured")
    assert stored() == (0, 0, 0)


def test_a_body_over_64_kilobytes_is_not_read(transactional_db):
    event = {"type": "x", "data": {"text": "x" * inbound.LARGEST_BODY}}
    answer = send(event)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert stored() == (0, 0, 0)


def test_other_methods_are_refused(db):
    answer = Client().get(URL)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_who_cannot_sign_is_soon_not_listened_to(transactional_db):
    """And others are: the shield counts failures of one address alone."""
    answers = [send(secret=STRANGER).status_code for _ in range(31)]
    assert answers == [400] * 30 + [429]
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    body = json.dumps(EVENT).encode()
    headers = signatures.headers_for(SECRET, message_id="m", body=body, now=clock.now())
    answer = elsewhere.generic("POST", URL, body, content_type="text/plain", headers=headers)
    assert answer.status_code == 202


def test_redis_does_not_hold_the_address_of_who_cannot_sign(transactional_db):
    """Neither in the clear nor as a digest that anybody can make."""
    address = "198.51.100.77"
    Client(REMOTE_ADDR=address).generic("POST", URL, b"{}", content_type="text/plain")
    keys = [key.decode() for key in get_redis_connection("limits").scan_iter()]
    mine = [key for key in keys if "webhook-failures" in key]
    assert mine
    for known in (address, hashlib.sha256(address.encode()).hexdigest()):
        assert not [key for key in keys if known in key]


def test_many_messages_in_a_row_are_no_failures(transactional_db, settings):
    """Signed messages are counted by no burst limit."""
    settings.BURST_LIMITS_ENABLED = True
    assert {send(message_id=f"m{number}").status_code for number in range(60)} == {202}


def test_signatures_are_those_of_the_standard():
    """Our own headers are accepted by the reference library, and its are accepted by us."""
    body, now = b'{"type":"x"}', datetime.now(UTC)
    headers = signatures.headers_for(SECRET, message_id="msg_2KWP", body=body, now=now)
    assert Webhook(SECRET).verify(body, headers) == {"type": "x"}
    assert signatures.verified_id([SECRET], headers=headers, body=body, now=now) == "msg_2KWP"
    several = headers | {"webhook-signature": "v1,AAAA " + headers["webhook-signature"]}
    assert signatures.verified_id([OLD_SECRET, SECRET], headers=several, body=body, now=now)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_AAAA", "a" * 40, "whsec_!!!", "whsec_" + "A" * 200]
)
def test_what_is_no_secret_is_said_without_repeating_it(secret):
    with pytest.raises(signatures.BadSecret) as raised:
        signatures.key_of(secret)
    assert (
        not secret or secret.removeprefix("whsec_")[:4] not in str(raised.value) or len(secret) < 8
    )
