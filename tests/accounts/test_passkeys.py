"""Passkeys: adding, signing in with one, using one as second factor, and every way to cheat."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from accounts import second_factor
from accounts.models import Passkey, Session, User
from audit.actions import Action
from audit.models import ActivityLog
from tests.authenticator import Authenticator
from tests.conftest import PASSWORD
from tests.second_factors import add_passkey, password_step
from tracker import tenancy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPTIONS, SIGN_IN, SECOND_STEP = (
    "/auth/passkey/options",
    "/auth/passkey",
    "/auth/login/second-factor",
)


@pytest.fixture(autouse=True)
def the_time():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def key(alice) -> Authenticator:
    """Alice's passkey."""
    return add_passkey(alice)[0]


def stored(user: User) -> list[Passkey]:
    with tenancy.as_system("test"):
        return list(Passkey.objects.filter(user=user).order_by("id"))


def failures(user: User) -> int:
    refused = (Action.USER_SIGN_IN_FAILED, Action.SECOND_FACTOR_FAILED)
    with tenancy.as_system("test"):
        return ActivityLog.objects.filter(user=user, action__in=refused).count()


def sessions_of(user: User) -> int:
    with tenancy.as_system("test"):
        return Session.objects.filter(user=user, ended_at=None).count()


def signed_in(api: Any, key: Authenticator, **said: Any) -> Any:
    options = api.post(OPTIONS).json()
    return api.post(SIGN_IN, {"passkey": key.get(options, **said)})


def assert_refused(answer: Any, code: str = "second_factor_rejected") -> None:
    assert (answer.status_code, answer.json()["code"]) == (401, code)


# --- adding -------------------------------------------------------------------------------------
def test_a_passkey_is_made_listed_used_and_removed(alice, client_of):
    api, key = client_of(alice), Authenticator()
    options = api.post("/me/passkeys/options").json()
    assert options["rp"]["id"] == "localhost"
    assert options["user"]["name"] == alice.email
    assert base64url_to_bytes(options["user"]["id"]) == alice.id.bytes
    chosen = options["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")
    made = api.post("/me/passkeys", {"name": "My key", "passkey": key.create(options)})
    assert made.status_code == 201
    assert len(made.json()["recovery_codes"]) == 10
    (row,) = api.get("/me/passkeys").json()["results"]
    assert (row["name"], row["transports"], row["last_used_at"]) == ("My key", ["internal"], None)
    assert not {"public_key", "credential_id", "credential_digest"} & set(row)
    assert signed_in(client_of(), key).status_code == 200
    assert api.get("/me/passkeys").json()["results"][0]["last_used_at"] == "2026-03-01T12:00:00Z"
    assert api.delete(f"/me/passkeys/{row['id']}").status_code == 204
    assert_refused(signed_in(client_of(), key))


@pytest.mark.parametrize(
    "false",
    [
        {"origin": "https://evil.example.com"},
        {"origin": "http://localhost:8000.evil.example.com"},
        {"rp_id": "evil.example.com"},
        {"user_verified": False},
    ],
)
def test_what_an_authenticator_says_falsely_is_not_added(alice, client_of, false):
    api = client_of(alice)
    options = api.post("/me/passkeys/options").json()
    answer = api.post("/me/passkeys", {"passkey": Authenticator(**false).create(options)})
    assert (answer.status_code, answer.json()["code"]) == (400, "passkey_rejected")
    assert stored(alice) == []


def test_the_challenge_of_an_addition_is_good_once(alice, client_of):
    api = client_of(alice)
    options = api.post("/me/passkeys/options").json()
    assert api.post("/me/passkeys", {"passkey": Authenticator().create(options)}).status_code == 201
    assert_refused(
        api.post("/me/passkeys", {"passkey": Authenticator().create(options)}),
        "challenge_rejected",
    )
    assert len(stored(alice)) == 1


def test_the_challenge_of_an_addition_is_good_for_one_person_and_purpose(alice, bob, client_of):
    api = client_of(alice)
    bobs = client_of(bob).post("/me/passkeys/options").json()
    to_sign_in = api.post(OPTIONS).json() | {"user": bobs["user"]}
    for options in (bobs, to_sign_in):
        answer = api.post("/me/passkeys", {"passkey": Authenticator().create(options)})
        assert_refused(answer, "challenge_rejected")
    assert stored(alice) == []


def test_a_passkey_is_added_once(alice, key, client_of):
    api = client_of(alice)
    options = api.post("/me/passkeys/options").json()
    assert [row["id"] for row in options["excludeCredentials"]] == [
        bytes_to_base64url(key.credential_id)
    ]
    answer = api.post("/me/passkeys", {"passkey": key.create(options)})
    assert (answer.status_code, answer.json()["code"]) == (409, "passkey_known")


def test_an_account_holds_twenty_passkeys(alice, client_of):
    for _ in range(20):
        add_passkey(alice)
    api = client_of(alice)
    options = api.post("/me/passkeys/options").json()
    answer = api.post("/me/passkeys", {"passkey": Authenticator().create(options)})
    assert (answer.status_code, answer.json()["code"]) == (409, "passkeys_full")


def test_the_last_passkey_takes_the_recovery_codes_with_it(alice, client_of):
    _, passkey_id = add_passkey(alice)
    assert second_factor.methods(alice.id) == ["passkey", "recovery_code"]
    client_of(alice).delete(f"/me/passkeys/{passkey_id}")
    assert second_factor.methods(alice.id) == []


# --- signing in with nothing else ---------------------------------------------------------------
def test_a_passkey_signs_in_without_a_password(alice, key, client_of):
    options = client_of().post(OPTIONS).json()
    assert options["allowCredentials"] == []
    assert options["userVerification"] == "required"
    device = {"device_name": "Alice's phone", "platform": "android"}
    answer = client_of().post(SIGN_IN, {"passkey": key.get(options), "device": device})
    assert answer.status_code == 200
    assert answer.json()["user"]["email"] == alice.email
    with tenancy.as_system("test"):
        (entry,) = ActivityLog.objects.filter(action=Action.USER_SIGNED_IN)
    assert (entry.details["method"], entry.details["device_name"]) == ("passkey", "Alice's phone")


@pytest.mark.parametrize(
    ("false", "value"),
    [
        ("origin", "https://evil.example.com"),
        ("rp_id", "evil.example.com"),
        ("user_verified", False),
    ],
)
def test_what_an_authenticator_says_falsely_does_not_sign_in(alice, key, client_of, false, value):
    setattr(key, false, value)
    assert_refused(signed_in(client_of(), key))
    assert (sessions_of(alice), failures(alice)) == (0, 1)


def test_an_origin_of_the_settings_is_accepted(alice, key, client_of, settings):
    """Apps speak from an origin of their own."""
    key.origin = "android:apk-key-hash:0123456789abcdef"
    assert_refused(signed_in(client_of(), key))
    settings.WEBAUTHN_ORIGINS = [key.origin]
    assert signed_in(client_of(), key).status_code == 200


def test_a_signed_answer_cannot_be_sent_again(alice, key, client_of):
    key.counts = False
    answer = {"passkey": key.get(client_of().post(OPTIONS).json())}
    assert client_of().post(SIGN_IN, answer).status_code == 200
    assert_refused(client_of().post(SIGN_IN, answer), "challenge_rejected")
    assert sessions_of(alice) == 1


def test_a_challenge_that_is_not_ours_or_old_is_refused(alice, key, client_of, the_time):
    ours = base64url_to_bytes(client_of().post(OPTIONS).json()["challenge"])
    longer = ours[:16] + (2**62).to_bytes(8) + ours[24:]
    for forged in (b"", b"x" * 56, ours[:-1], longer):
        said = {"challenge": bytes_to_base64url(forged)}
        assert_refused(signed_in(client_of(), key, **said), "challenge_rejected")
    options = client_of().post(OPTIONS).json()
    the_time.move_to(START + timedelta(minutes=5))
    assert_refused(client_of().post(SIGN_IN, {"passkey": key.get(options)}), "challenge_rejected")


def test_the_key_of_another_person_opens_nothing(alice, bob, key, client_of):
    """Bob's key, saying that it is Alice's; and Alice's credential signed with Bob's key."""
    bobs, _ = add_passkey(bob)
    bobs.user_handle = alice.id.bytes
    assert_refused(signed_in(client_of(), bobs))
    bobs.credential_id = key.credential_id
    assert_refused(signed_in(client_of(), bobs))
    assert sessions_of(alice) == 0


def test_a_key_that_nobody_added_opens_nothing(alice, db, client_of):
    stranger = Authenticator(user_handle=alice.id.bytes)
    assert_refused(signed_in(client_of(), stranger))
    for handle in (b"", b"x", bytes(16), b"x" * 64):
        stranger.user_handle = handle
        answer = signed_in(client_of(), stranger)
        assert_refused(answer)


def test_a_counter_that_goes_back_is_refused(alice, key, client_of):
    """Somebody copied the key."""
    key.count = 10
    assert signed_in(client_of(), key).status_code == 200
    for behind in (10, 3):
        key.count = behind - 1
        assert_refused(signed_in(client_of(), key))
    key.count, key.counts = 0, False
    assert_refused(signed_in(client_of(), key))
    key.count, key.counts = 11, True
    assert signed_in(client_of(), key).status_code == 200
    assert stored(alice)[0].sign_count == 12


def test_a_key_that_does_not_count_works_again_and_again(alice, key, client_of):
    key.counts = False
    assert [signed_in(client_of(), key).status_code for _ in range(3)] == [200, 200, 200]


def test_a_person_who_is_deactivated_does_not_come_in(alice, key, client_of):
    """S09"""
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert_refused(signed_in(client_of(), key))


BROKEN = [
    {}, {"id": 1}, {"id": "x", "rawId": "x", "type": "public-key", "response": {}},
    {"id": "\u0000", "rawId": [], "response": "x"},
]  # fmt: skip


def broken_answers(good: dict[str, Any]) -> list[dict[str, Any]]:
    """Each part missing, of the wrong kind, cut off, or of bytes that mean nothing."""
    found = list(BROKEN)
    for name in good["response"]:
        for value in (None, 1, [], {}, "", "x", "ä", "AAAA", good["response"][name][:20]):
            found.append(good | {"response": good["response"] | {name: value}})
    for name in ("id", "rawId", "type", "response"):
        found += [good | {name: value} for value in (None, 1, [], "x")]
    return found


def test_no_broken_answer_breaks_the_server(alice, key, client_of, settings):
    """S18: wrong input is the caller's error, whatever the library stumbles over."""
    settings.RATELIMIT_ENABLE = False
    api = client_of(alice)
    for broken in broken_answers(key.get(api.post(OPTIONS).json())):
        said = json.loads(json.dumps(broken))
        answer = client_of().post(SIGN_IN, {"passkey": said})
        assert answer.status_code in (400, 401), said
    made = Authenticator().create(api.post("/me/passkeys/options").json())
    for broken in broken_answers(made):
        answer = api.post("/me/passkeys", {"passkey": broken})
        assert answer.status_code in (201, 400, 401, 409), broken


# --- as second factor ---------------------------------------------------------------------------
def test_a_passkey_is_the_second_step_of_signing_in(alice, key, client_of):
    details = password_step(client_of(), alice)
    assert details["methods"] == ["passkey", "recovery_code"]
    options = client_of().post(OPTIONS, {"challenge": details["challenge"]}).json()
    assert [row["id"] for row in options["allowCredentials"]] == [
        bytes_to_base64url(key.credential_id)
    ]
    body = {"challenge": details["challenge"], "passkey": key.get(options)}
    assert client_of().post(SECOND_STEP, body).status_code == 200


def test_options_are_for_the_person_of_the_challenge(alice, bob, key, client_of):
    """What was made for Alice's second step is no good for Bob."""
    bobs, _ = add_passkey(bob)
    alices = password_step(client_of(), alice)["challenge"]
    options = client_of().post(OPTIONS, {"challenge": alices}).json()
    assert_refused(client_of().post(SIGN_IN, {"passkey": bobs.get(options)}), "challenge_rejected")
    body = {"challenge": alices, "passkey": bobs.get(client_of().post(OPTIONS).json())}
    assert_refused(client_of().post(SECOND_STEP, body))
    forged = client_of().post(OPTIONS, {"challenge": "no challenge"})
    assert_refused(forged, "challenge_rejected")


def test_a_passkey_alone_makes_a_session_fresh_again(alice, key, client_of):
    """S12"""
    api = client_of(alice)
    with tenancy.as_system("test"):
        Session.objects.filter(user=alice).update(authenticated_at=START - timedelta(hours=1))
    assert api.post("/me/passkeys/options").status_code == 403
    answer = api.post("/auth/reauthenticate", {"passkey": key.get(api.post(OPTIONS).json())})
    assert answer.status_code in (200, 204)
    assert api.post("/me/passkeys/options").status_code == 200


def test_the_password_alone_does_not_make_a_session_fresh(alice, key, client_of):
    """S12: where a second factor is enrolled it is asked for."""
    answer = client_of(alice).post("/auth/reauthenticate", {"password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
