"""Signing in and out, refreshing, and what a person chooses."""

from datetime import timedelta

import jwt
import pytest
import time_machine

from accounts import sessions
from accounts.models import Session, User
from accounts.sessions import Device
from audit.actions import Action
from audit.models import ActivityLog
from tests.conftest import PASSWORD
from tests.hashing import shape, work_done
from tests.threads import at_once
from tracker import clock, tenancy


@pytest.fixture
def api(client_of):
    return client_of()


@pytest.mark.parametrize(
    "body",
    ["{", "[]", '"text"', '{"a": NaN}', '{"a":1,"a":2}', "{" + '"a":{' * 40 + "}" * 41,
     '{"email": "a\\u0000@example.com"}', b"\xff\xfe"],
)  # fmt: skip
def test_malformed_json_is_a_400_in_the_one_format(api, body):
    answer = api.post("/auth/login", body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "details", "request_id"}


def test_signing_in_needs_no_confirmed_address_and_says_what_the_app_needs(api, alice):
    device = {"device_name": "Alice's phone", "platform": "ios", "app_version": "1.4.0"}
    answer = api.post(
        "/auth/login", {"email": " ALICE@example.com", "password": PASSWORD, "device": device}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access", "refresh", "user"}
    assert body["user"]["email_confirmed_at"] is None
    me = api.get("/me", Authorization=f"Bearer {body['access']}")
    assert me.json() == body["user"]
    assert "password" not in me.content.decode()
    with tenancy.as_system("test"):
        act = ActivityLog.objects.get(action=Action.USER_SIGNED_IN)
        session = Session.objects.get()
    assert act.session_id == session.id
    assert act.details == {
        "method": "password", "device_name": "Alice's phone", "platform": "ios", "user_agent": "",
    }  # fmt: skip


def test_signing_in_is_refused_alike_whatever_is_wrong(api, alice, bob):
    """S13, for signing in: body, headers, and one password hashed in each case."""
    with tenancy.as_system("test"):
        User.objects.filter(id=bob.id).update(is_active=False)
    tries = [(alice.email, "x" * 12), ("no@example.com", "x" * 12), (bob.email, PASSWORD)]
    answers = []
    for email, password in tries:
        with work_done() as done:
            answers.append(api.post("/auth/login", {"email": email, "password": password}))
        assert done.hashes == 1, email
    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].json()["code"] == "credentials_rejected"
    assert len({shape(answer) for answer in answers}) == 1


def test_a_failed_sign_in_is_written_for_known_and_unknown_addresses(api, alice):
    api.post("/auth/login", {"email": alice.email, "password": "x" * 12})
    api.post("/auth/login", {"email": "no@example.com", "password": "x" * 12})
    with tenancy.as_system("test"):
        acts = ActivityLog.objects.filter(action=Action.USER_SIGN_IN_FAILED).order_by("id")
        assert [(act.user_id, act.outcome, act.ip_address) for act in acts] == [
            (alice.id, "refused", "127.0.0.1"), (None, "refused", "127.0.0.1"),
        ]  # fmt: skip


def test_signing_in_cancels_a_pending_closing(api, alice):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(closes_at=clock.now() + timedelta(days=3))
    answer = api.post("/auth/login", {"email": alice.email, "password": PASSWORD})
    assert answer.json()["user"]["closes_at"] is None
    with tenancy.as_system("test"):
        assert User.objects.get(id=alice.id).closes_at is None
        assert ActivityLog.objects.filter(action=Action.USER_CLOSING_CANCELLED).count() == 1


def test_a_session_does_not_start_when_the_password_changed_meanwhile(alice):
    """S09: the proof was for the old password."""
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(password="!other")
    with pytest.raises(sessions.WrongCredentials):
        sessions.start(user=alice, device=Device(), now=clock.now())
    with tenancy.as_system("test"):
        assert not Session.objects.exists()


def test_a_session_does_not_start_for_who_was_deactivated_or_erased_meanwhile(alice, bob):
    """S09"""
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
        User.objects.filter(id=bob.id).delete()
    for person in (alice, bob):
        with pytest.raises(sessions.WrongCredentials):
            sessions.start(user=person, device=Device(), now=clock.now())


def test_the_hash_is_made_anew_when_its_cost_changed(api, real_hashing, alice, settings):
    """S02"""
    before = alice.password
    settings.PASSWORD_HASHERS = ["tests.hashing.CheapHasher"]
    right = {"email": alice.email, "password": PASSWORD}
    assert api.post("/auth/login", right).status_code == 200
    with tenancy.as_system("test"):
        after = User.objects.get(id=alice.id).password
    assert (before.split("$")[3], after.split("$")[3]) == ("12", "04")
    assert api.post("/auth/login", right).status_code == 200


def test_an_inactive_user_cannot_sign_in_and_their_access_ends_at_once(client_of, api, alice):
    """S09, for deactivation"""
    signed_in = client_of(alice)
    assert signed_in.get("/me").status_code == 200
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert signed_in.get("/me").status_code == 401
    answer = api.post("/auth/login", {"email": alice.email, "password": PASSWORD})
    assert answer.status_code == 401
    assert api.post("/auth/refresh", {"refresh": signed_in.refresh_token}).status_code == 401


def test_tokens_live_fifteen_minutes_and_seven_days(client_of, alice):
    """S05"""
    start = clock.now()
    signed_in = client_of(alice)
    with time_machine.travel(start + timedelta(minutes=14), tick=False):
        assert signed_in.get("/me").status_code == 200
    with time_machine.travel(start + timedelta(minutes=16), tick=False):
        assert signed_in.get("/me").status_code == 401
    with time_machine.travel(start + timedelta(days=7, minutes=1), tick=False):
        answer = signed_in.post("/auth/refresh", {"refresh": signed_in.refresh_token})
        assert answer.status_code == 401


def test_a_session_ends_after_thirty_days_however_often_it_is_refreshed(client_of, alice):
    """S05"""
    start = clock.now()
    signed_in = client_of(alice)
    token = signed_in.refresh_token
    for day in (6, 12, 18, 24, 29):
        with time_machine.travel(start + timedelta(days=day), tick=False):
            answer = signed_in.post("/auth/refresh", {"refresh": token})
            assert answer.status_code == 200
            token = answer.json()["refresh"]
    with time_machine.travel(start + timedelta(days=30, minutes=1), tick=False):
        assert signed_in.post("/auth/refresh", {"refresh": token}).status_code == 401


def test_replaying_a_spent_refresh_token_ends_the_session(client_of, alice):
    """S04"""
    signed_in = client_of(alice)
    first = signed_in.refresh_token
    second = signed_in.post("/auth/refresh", {"refresh": first}).json()
    assert signed_in.get("/me", Authorization=f"Bearer {second['access']}").status_code == 200
    assert signed_in.post("/auth/refresh", {"refresh": first}).status_code == 401
    assert signed_in.post("/auth/refresh", {"refresh": second["refresh"]}).status_code == 401
    assert signed_in.get("/me", Authorization=f"Bearer {second['access']}").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_threads_with_one_refresh_token_one_succeeds(client_of, alice):
    """S03"""
    signed_in = client_of(alice)
    body = {"refresh": signed_in.refresh_token}
    answers = at_once(16, lambda _: client_of().post("/auth/refresh", body))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 15


def test_issued_refresh_tokens_are_not_found_in_the_database(client_of, alice):
    """S06"""
    token = client_of(alice).refresh_token
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    with tenancy.as_system("test"):
        row = Session.objects.get()
    stored = bytes(row.refresh_digest)
    assert len(stored) == 32
    assert jti.encode() not in stored
    assert token.encode() not in stored


def test_signing_out_ends_the_access_token_too(client_of, alice):
    signed_in = client_of(alice)
    answer = signed_in.post("/auth/logout", {"refresh": signed_in.refresh_token})
    assert answer.status_code == 204
    assert signed_in.get("/me").status_code == 401
    again = signed_in.post("/auth/logout", {"refresh": signed_in.refresh_token})
    assert again.status_code == 204


def test_preferences_change_and_unknown_ones_are_refused(client_of, alice):
    api = client_of(alice)
    answer = api.patch("/me", {"base_currency": "CHF", "time_zone": "Pacific/Auckland"})
    assert answer.status_code == 200
    assert answer.json()["base_currency"] == "CHF"
    assert api.get("/me").json()["time_zone"] == "Pacific/Auckland"
    for change in ({"locale": "de-CH"}, {"locale": "zh-Hant-TW"}, {"theme": "dark"}):
        assert change.items() <= api.patch("/me", change).json().items()
    refused = [
        {"base_currency": "XXX"}, {"subscription_tier": "pro"}, {"email": "x@y.z"},
        {"cost_basis_method": None}, {"is_staff": True}, {"id": str(alice.id)},
        {"locale": "German"}, {"locale": "de_CH"}, {"locale": "en-ch"}, {"theme": "pink"},
        {"email_confirmed_at": "2026-01-01T00:00:00Z"}, {"closes_at": None},
    ]  # fmt: skip
    for wrong in refused:
        assert api.patch("/me", wrong).status_code == 400, wrong
    assert api.get("/me").json()["subscription_tier"] == "free"
