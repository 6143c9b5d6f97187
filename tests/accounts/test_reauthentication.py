"""S12: sensitive acts need a proof of who it is that is not older than 15 minutes."""

from datetime import timedelta

import pytest
import time_machine

from accounts import reauthentication
from accounts.models import Session, User
from accounts.second_factor.errors import SecondFactorRejected
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tests.authenticator import Authenticator
from tests.conftest import PASSWORD
from tests.second_factors import Phone, add_passkey, enrol, make_stale
from tracker import clock, tenancy

LATER = timedelta(minutes=16)


@pytest.fixture
def api(client_of, alice):
    """Signed in a good while ago."""
    signed_in = client_of(alice)
    grow_old(alice)
    return signed_in


def grow_old(user: User) -> None:
    make_stale(user, clock.now() - LATER)


@pytest.fixture
def phone(alice) -> Phone:
    """Alice's authenticator app, enrolled an hour ago."""
    return enrol(alice, clock.now() - timedelta(hours=1))[0]


def confirm(api, **body):
    return api.post("/auth/reauthenticate", body)


def is_fresh(api) -> bool:
    """Whether a sensitive act is let in; its empty body is refused afterwards."""
    answer = api.post("/me/email", {})
    if answer.status_code == 403:
        assert answer.json()["code"] == "reauthentication_required"
        return False
    assert answer.status_code == 400
    return True


def acts(action: Action) -> list[dict]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).values_list("details", flat=True))


def test_signing_in_counts_for_fifteen_minutes(client_of, alice):
    """S12"""
    signed_in, start = client_of(alice), clock.now()
    assert is_fresh(signed_in)
    with time_machine.travel(start + timedelta(minutes=14), tick=False):
        assert is_fresh(signed_in)
    with time_machine.travel(start + LATER, tick=False):
        tokens = signed_in.post("/auth/refresh", {"refresh": signed_in.refresh_token}).json()
        signed_in.headers["Authorization"] = f"Bearer {tokens['access']}"
        assert not is_fresh(signed_in)  # refreshing proves nothing


def test_the_password_opens_sensitive_acts_again(api):
    """S12"""
    assert not is_fresh(api)
    assert confirm(api, password=PASSWORD).status_code == 204
    assert is_fresh(api)
    assert acts(Action.REAUTHENTICATED) == [{"method": "password"}]


def test_it_counts_for_this_device_alone(api, client_of, alice):
    """S12"""
    other = client_of(alice)
    grow_old(alice)
    assert confirm(api, password=PASSWORD).status_code == 204
    assert not is_fresh(other)


def test_a_wrong_password_opens_nothing_and_is_written(api):
    """S12"""
    answer = confirm(api, password="x" * 12)
    assert (answer.status_code, answer.json()["code"]) == (403, "password_rejected")
    assert not is_fresh(api)
    assert len(acts(Action.REAUTHENTICATION_FAILED)) == 1
    assert api.get("/me").status_code == 200  # the session goes on


def test_guessing_costs_time(api):
    """S29"""
    codes = [confirm(api, password=f"guess number {n}").status_code for n in range(6)]
    assert codes == [403] * 5 + [429]


def test_where_a_second_factor_is_enrolled_it_is_asked_for(phone, api):
    """S12"""
    code = phone.code(clock.now())
    alone = confirm(api, password=PASSWORD)
    assert (alone.status_code, alone.json()["code"]) == (401, "second_factor_required")
    assert alone.json()["details"] == {"methods": ["totp", "recovery_code"]}
    wrong = confirm(api, password=PASSWORD, totp="000000")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "second_factor_rejected")
    code_alone = confirm(api, totp=code)
    assert code_alone.status_code == 400
    assert not is_fresh(api)
    assert confirm(api, password=PASSWORD, totp=code).status_code == 204
    assert is_fresh(api)
    assert acts(Action.REAUTHENTICATED) == [{"method": "password+totp"}]


def test_a_code_without_the_right_password_is_not_even_looked_at(phone, api):
    """S12: so that a code is not spent by who does not know the password."""
    code = phone.code(clock.now())
    assert confirm(api, password="x" * 12, totp=code).status_code == 403
    assert confirm(api, password=PASSWORD, totp=code).status_code == 204


@pytest.fixture
def key(alice) -> Authenticator:
    """Alice's passkey."""
    return add_passkey(alice)[0]


def test_a_passkey_alone_is_enough_and_its_answer_counts_once(key, api):
    """S12"""
    proof = key.get(api.post("/auth/passkey/options").json())
    assert not is_fresh(api)
    assert confirm(api, passkey=proof).status_code == 204
    assert is_fresh(api)
    assert confirm(api, passkey=proof).status_code == 401
    assert acts(Action.REAUTHENTICATED) == [{"method": "passkey"}]


def test_a_code_in_the_place_of_a_passkey_is_no_way_around_the_password(phone, api, alice):
    """S12: on the route, and in the domain alone."""
    code = phone.code(clock.now())
    for proof in ({"totp": code}, {"recovery_code": "x"}):
        answer = confirm(api, passkey={}, **proof)
        assert answer.status_code == 400
        assert answer.json()["details"]["fields"][0]["code"] == "one_proof"
    with tenancy.as_user(alice.id):
        session = Session.objects.select_related("user").get(user=alice)
    with pytest.raises(SecondFactorRejected):
        reauthentication.confirm(
            session=session, password="", proof={"passkey": {}, "totp": code}, now=clock.now()
        )
    assert not is_fresh(api)
    assert acts(Action.REAUTHENTICATED) == []
    assert confirm(api, password=PASSWORD, totp=code).status_code == 204  # it was not spent


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"passkey": {}},
        {"password": None},
        {"passkey": "x"},
        {"passkey": {"id": 1}},
        {"totp": "1", "password": ""},
        {"passkey": [1], "password": "x" * 12},
        {"admin": True},
    ],
)
def test_wrong_input_is_refused_and_no_error_of_ours(api, body):
    """S18"""
    assert confirm(api, **body).status_code in (400, 401, 403)
    assert not is_fresh(api)


NEW_KEY = {"api_key": "a" * 64, "api_secret": "b" * 64}


def test_connecting_an_exchange_needs_it(api):
    """S12"""
    answer = api.post("/connections", {"exchange": "binance", "label": "", **NEW_KEY})
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")


def test_replacing_a_key_needs_it_and_renaming_does_not(api, alice):
    """S12"""
    path = f"/connections/{factories.connection(alice).id}"
    answer = api.patch(path, NEW_KEY)
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    assert api.patch(path, {"label": "renamed"}).status_code == 200
