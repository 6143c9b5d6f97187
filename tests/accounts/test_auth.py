"""Signing up, in and out, refreshing: what the app's first screen promises."""

import threading
from datetime import timedelta

import jwt
import pytest
import time_machine
from django.db import connection

from accounts.models import Session, User
from tests.conftest import PASSWORD
from tracker import clock, tenancy

NEW = {"email": "New.Person+tag@Example.com", "password": PASSWORD}


@pytest.fixture
def api(client_of):
    return client_of()


def register(api, **changes):
    return api.post("/auth/register", NEW | changes)


def test_registering_signs_in_and_normalizes_the_address(api):
    answer = register(api)
    assert answer.status_code == 201
    body = answer.json()
    assert body["user"]["email"] == "new.person+tag@example.com"
    me = api.get("/me", Authorization=f"Bearer {body['access']}")
    assert me.status_code == 200
    assert me.json()["base_currency"] == "USD"
    assert "password" not in me.content.decode()


def test_the_password_is_stored_with_bcrypt(api):
    """S02"""
    register(api)
    with tenancy.as_system("test"):
        stored = User.objects.get(email="new.person+tag@example.com").password
    assert stored.startswith("bcrypt_sha256$$2b$")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("passwordpassword", None),
        ("1q2w3e4r5t6y", "password_too_common"),
        ("new.person+tag@example.com", "password_too_similar"),
        ("x" * 129, "password_too_long"),
    ],
)
def test_weak_passwords_are_refused_with_their_reason(api, password, code):
    """S01"""
    answer = register(api, password=password)
    if code is None:
        assert answer.status_code == 201  # no composition rules
        return
    assert answer.status_code == 400
    fields = answer.json()["details"]["fields"]
    assert {"field", "code", "message"} <= fields[0].keys()
    assert code in {row["code"] for row in fields}


@pytest.mark.django_db(transaction=True)
def test_a_second_registration_with_the_same_address_is_refused(api):
    register(api)
    answer = register(api, email="NEW.PERSON+TAG@EXAMPLE.COM")
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nonsense", "password": PASSWORD}, "email"),
        ({"password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": 12}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "is_staff": True}, "is_staff"),
        ({"email": "a@example.com", "password": PASSWORD, "time_zone": "Mars/Base"}, "time_zone"),
    ],
)
def test_wrong_input_names_its_field(api, body, field):
    """S18"""
    answer = api.post("/auth/register", body)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == field


@pytest.mark.parametrize(
    "body",
    ["{", "[]", '"text"', '{"a": NaN}', '{"a":1,"a":2}', "{" + '"a":{' * 40 + "}" * 41,
     '{"email": "a\\u0000@example.com"}', b"\xff\xfe"],
)  # fmt: skip
def test_malformed_json_is_a_400_in_the_one_format(api, body):
    answer = api.post("/auth/login", body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "details", "request_id"}


def test_signing_in_with_a_wrong_password_and_an_unknown_address_look_alike(api, alice):
    """S13, for signing in"""
    wrong = api.post("/auth/login", {"email": alice.email, "password": "x" * 12})
    unknown = api.post("/auth/login", {"email": "no@example.com", "password": "x" * 12})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json()["code"] == unknown.json()["code"] == "credentials_rejected"


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
    barrier, answers = threading.Barrier(16), []

    def refresh() -> None:
        barrier.wait()
        answers.append(client_of().post("/auth/refresh", {"refresh": signed_in.refresh_token}))
        connection.close()

    threads = [threading.Thread(target=refresh) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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
    refused = [
        {"base_currency": "XXX"}, {"subscription_tier": "pro"}, {"email": "x@y.z"},
        {"cost_basis_method": None}, {"is_staff": True}, {"id": str(alice.id)},
    ]  # fmt: skip
    for wrong in refused:
        assert api.patch("/me", wrong).status_code == 400, wrong
    assert api.get("/me").json()["subscription_tier"] == "free"
