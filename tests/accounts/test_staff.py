"""S52: staff come into the admin with a second factor, and out again when they are idle."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts import links, second_factor
from accounts.models import AccountLink, DataKey, Delivery, TotpDevice, User
from accounts.second_factor import changes
from accounts.second_factor.changes import SecondFactorExists
from audit.actions import Action
from audit.models import ActivityLog
from tests.admin_client import signed_in
from tests.authenticator import Authenticator
from tests.conftest import PASSWORD
from tests.second_factors import Phone, add_passkey, enrol
from tests.servers import PROJECT
from tests.tracker.test_outage import redis_gone
from tracker import tenancy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOGIN, INDEX = "/admin/login/", "/admin/"
CHANGE, NEW_PASSWORD = "/admin/password_change/", "another long pass phrase"
STEP, ENROL, OPTIONS = "/admin/second-factor/", "/admin/enrol/", "/admin/passkey-options/"


@pytest.fixture(autouse=True)
def the_time():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def staff(db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def phone(staff) -> Phone:
    return enrol(staff, START - timedelta(minutes=5))[0]


def with_password(user: User, *, password: str = PASSWORD, client: Any = None) -> Client:
    """A client that has done the first step."""
    client = client or Client()
    client.post(LOGIN, {"username": user.email, "password": password})
    return client


def acts(action: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).order_by("id"))


def options(client: Client) -> dict[str, Any]:
    answer = client.post(OPTIONS)
    assert answer.status_code == 200
    return answer.json()


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


# --- the second step ----------------------------------------------------------------------------
def test_password_and_code_open_the_admin(staff, phone):
    client = with_password(staff)
    before = client.cookies["sessionid"].value
    assert client.get(INDEX)["Location"].startswith(LOGIN)
    assert client.get(LOGIN)["Location"] == STEP
    answer = client.post(STEP, {"code": phone.code(START)})
    assert (answer.status_code, answer["Location"]) == (302, INDEX)
    assert is_in(client)
    assert client.cookies["sessionid"].value != before
    (entry,) = acts(Action.USER_SIGNED_IN)
    assert entry.details == {"method": "admin", "second_factor": "totp"}
    assert entry.user_id == staff.id


def test_with_the_password_alone_nothing_of_the_admin_is_reachable(staff, phone):
    """Every address of the site but the steps themselves."""
    client = with_password(staff)
    for name in ("index", "password_change", "jsi18n", "accounts_user_changelist", "autocomplete"):
        answer = client.get(reverse(f"admin:{name}"))
        assert answer.status_code == 302, name
        assert answer["Location"].startswith(LOGIN), name
    user_page = reverse("admin:accounts_user_change", args=[staff.id])
    assert client.post(user_page, {"email": "x@example.com"}).status_code == 302
    with tenancy.as_system("test"):
        assert User.objects.filter(email=staff.email).exists()
    assert not acts(Action.USER_SIGNED_IN)


def test_wrong_codes_are_refused_logged_and_slowed_down(staff, phone):
    client = with_password(staff)
    for _ in range(5):
        answer = client.post(STEP, {"code": "000000"})
        assert answer.status_code == 401
        assert "was not accepted" in answer.content.decode()
    slowed = client.post(STEP, {"code": phone.code(START)})
    assert (slowed.status_code, slowed["Retry-After"]) == (429, "1")
    assert not is_in(client)
    assert len(acts(Action.SECOND_FACTOR_FAILED)) == 5


@pytest.mark.parametrize("code", ["", " ", "é", "١٢٣٤٥٦", "\x00", "9" * 5000, "A" * 16])
def test_what_is_no_code_is_refused(staff, phone, code):
    client = with_password(staff)
    assert client.post(STEP, {"code": code}).status_code in (400, 401)
    assert not is_in(client)


def test_a_code_works_once_here_and_there(staff, phone):
    """S10"""
    code = phone.code(START)
    assert second_factor.verify(user_id=staff.id, proof={"totp": code}, now=START)
    client = with_password(staff)
    assert client.post(STEP, {"code": code}).status_code == 401


def test_a_recovery_code_opens_the_admin_once(staff):
    """S11"""
    _, codes = enrol(staff, START - timedelta(minutes=5))
    for expected in (302, 401):
        client = with_password(staff)
        assert client.post(STEP, {"code": codes[0].lower()}).status_code == expected
        assert is_in(client) == (expected == 302)


def test_a_seed_that_does_not_open_is_said(staff, phone):
    client = with_password(staff)
    with tenancy.as_system("test"):
        TotpDevice.objects.update(sealed_seed=b"broken")
    answer = client.post(STEP, {"code": phone.code(START)})
    assert answer.status_code == 409
    assert "cannot be checked" in answer.content.decode()


def test_next_is_kept_and_leads_nowhere_else(staff, phone):
    people = reverse("admin:accounts_user_changelist")
    client = Client()
    first = client.post(LOGIN, {"username": staff.email, "password": PASSWORD, "next": people})
    assert first["Location"] == f"{STEP}?next={people.replace('/', '%2F')}"
    done = client.post(STEP, {"code": phone.code(START), "next": people})
    assert done["Location"] == people
    client = with_password(staff)
    code = phone.code(START + timedelta(seconds=30))
    evil = client.post(STEP, {"code": code, "next": "https://evil.example.com/"})
    assert evil["Location"] == INDEX


def test_starting_again_forgets_the_password(staff, phone):
    client = with_password(staff)
    assert client.post("/admin/start-again/")["Location"] == LOGIN
    assert client.get(STEP)["Location"].startswith(LOGIN)


def test_signing_out_is_logged(staff):
    client = signed_in(staff)
    assert client.post("/admin/logout/").status_code == 200
    assert not is_in(client)
    assert [entry.user_id for entry in acts(Action.USER_SIGNED_OUT)] == [staff.id]


# --- the first step -----------------------------------------------------------------------------
def test_wrong_passwords_are_slowed_down_and_logged(staff, phone):
    """S28: for accounts that do not exist alike; S13: with the same words."""
    bodies = []
    for email, known in ((staff.email, staff.id), ("nobody@example.com", None)):
        client = Client()
        for _ in range(5):
            answer = client.post(LOGIN, {"username": email, "password": "wrong"})
            assert answer.status_code == 200
        slowed = client.post(LOGIN, {"username": email, "password": PASSWORD})
        assert slowed.status_code == 429
        assert slowed["Retry-After"] == "1"
        bodies.append(re.sub(r'value="[^"]*"', "", answer.content.decode()))
        entries = acts(Action.USER_SIGN_IN_FAILED)
        assert [entry.user_id for entry in entries].count(known) == 5
        assert {entry.details["method"] for entry in entries} == {"admin"}
    assert bodies[0] == bodies[1]


def test_people_who_are_not_staff_learn_nothing(staff, alice):
    """S19: a right password is answered like a wrong one."""
    for password in (PASSWORD, "wrong"):
        client = Client()
        answer = client.post(LOGIN, {"username": alice.email, "password": password})
        assert answer.status_code == 200
        assert "sessionid" not in client.cookies


@pytest.mark.parametrize("email", ["a\x00b", "\x00", "staff@example.com\x00", "é" * 5000])
def test_what_is_no_address_is_an_unknown_one(staff, email):
    """S18"""
    answer = Client().post(LOGIN, {"username": email, "password": PASSWORD})
    assert answer.status_code == 200
    assert [entry.user_id for entry in acts(Action.USER_SIGN_IN_FAILED)] == [None]


@pytest.mark.django_db(transaction=True)
def test_without_redis_nobody_comes_in(transactional_db, staff):
    """S30"""
    with redis_gone():
        answer = Client().post(LOGIN, {"username": staff.email, "password": PASSWORD})
    assert answer.status_code == 503


# --- enrolment ----------------------------------------------------------------------------------
def secret_on(page: Any) -> Phone:
    found = re.search(r'id="totp-secret">([A-Z2-7]+)<', page.content.decode())
    assert found
    return Phone(found.group(1))


def test_staff_without_a_second_factor_is_led_through_enrolment(staff):
    client = with_password(staff)
    assert client.get(INDEX)["Location"].startswith(LOGIN)
    assert client.get(STEP)["Location"] == ENROL
    page = client.get(ENROL)
    phone = secret_on(page)
    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert secret_on(client.get(ENROL)).secret == phone.secret  # the same when loaded again
    wrong = client.post(ENROL, {"code": phone.code(START + timedelta(hours=1))})
    assert wrong.status_code == 400
    assert secret_on(wrong).secret == phone.secret
    assert not is_in(client)
    done = client.post(ENROL, {"code": phone.code(START)})
    assert done.status_code == 200
    assert (
        len(re.findall(r"<code>[A-Z2-7]{4}(-[A-Z2-7]{4}){3}</code>", done.content.decode())) == 10
    )
    assert is_in(client)
    assert second_factor.methods(staff.id) == ["totp", "recovery_code"]
    assert len(acts(Action.TOTP_ENROLLED)) == 1
    with tenancy.as_system("test"):
        assert Delivery.objects.filter(event="second_factor_changed", user=staff).exists()


def test_a_seed_that_somebody_else_has_seen_is_not_offered(staff):
    """S52: who knows the password would have the same codes as the person, for good."""
    stranger, client = with_password(staff), with_password(staff)
    seen = secret_on(stranger.get(ENROL))
    mine = secret_on(client.get(ENROL))
    assert mine.secret != seen.secret
    assert client.post(ENROL, {"code": seen.code(START)}).status_code == 400
    assert secret_on(client.get(ENROL)).secret == mine.secret
    assert client.post(ENROL, {"code": mine.code(START)}).status_code == 200


def test_a_seed_does_not_wait_for_longer_than_fifteen_minutes(staff, the_time):
    client = with_password(staff)
    first = secret_on(client.get(ENROL))
    almost, later = START + timedelta(minutes=14, seconds=59), START + timedelta(minutes=15)
    the_time.move_to(almost)
    assert secret_on(client.get(ENROL)).secret == first.secret
    the_time.move_to(later)
    assert client.post(ENROL, {"code": first.code(later)}).status_code == 400
    second = secret_on(client.get(ENROL))
    assert second.secret != first.secret
    assert client.post(ENROL, {"code": second.code(later)}).status_code == 200


def test_a_seed_that_waits_and_does_not_open_is_replaced(staff):
    client = with_password(staff)
    first = secret_on(client.get(ENROL))
    with tenancy.as_system("test"):
        TotpDevice.objects.update(sealed_seed=b"broken")
    second = secret_on(client.get(ENROL))
    assert first.secret != second.secret
    assert client.post(ENROL, {"code": second.code(START)}).status_code == 200


def test_a_data_key_that_does_not_open_is_said(staff):
    client = with_password(staff)
    client.get(ENROL)
    with tenancy.as_system("test"):
        DataKey.objects.update(wrapped_key=b"broken")
    answer = client.get(ENROL)
    assert answer.status_code == 409
    assert "cannot be checked" in answer.content.decode()


def test_enrolment_is_closed_to_whoever_has_a_second_factor(staff, phone):
    """Otherwise who has stolen the password would add a phone of their own."""
    client = with_password(staff)
    assert client.get(ENROL)["Location"] == STEP
    assert client.post(ENROL, {"code": "000000"})["Location"] == STEP
    key = Authenticator(user_handle=staff.id.bytes)
    assert "user" not in options(client)
    answer = client.post(ENROL, {"passkey": json.dumps(key.get(options(client)))})
    assert answer["Location"] == STEP
    assert second_factor.methods(staff.id) == ["totp", "recovery_code"]


def test_of_two_enrolments_at_once_the_second_is_refused(staff):
    """The page was open before the other one was confirmed: the row that is locked decides."""
    begun = changes.begin_totp(user_id=staff.id, email=staff.email, now=START)
    key = Authenticator()
    made = key.create(changes.passkey_options(user=staff, now=START))
    add_passkey(staff)
    first = {"user_id": staff.id, "now": START, "keep": None, "only_first": True}
    with pytest.raises(SecondFactorExists):
        changes.confirm_totp(code=Phone(begun.secret).code(START), **first)
    with pytest.raises(SecondFactorExists):
        changes.add_passkey(credential=made, name="", **first)
    assert second_factor.methods(staff.id) == ["passkey", "recovery_code"]


def test_enrolment_is_closed_to_strangers(staff):
    assert Client().get(ENROL)["Location"].startswith(LOGIN)
    assert Client().post(ENROL, {"code": "000000"})["Location"].startswith(LOGIN)


def test_a_first_passkey_is_enough(staff):
    client, key = with_password(staff), Authenticator()
    made = key.create(options(client))
    done = client.post(ENROL, {"passkey": json.dumps(made)})
    assert done.status_code == 200
    assert is_in(client)
    assert second_factor.methods(staff.id) == ["passkey", "recovery_code"]


def test_after_a_reset_the_session_is_unverified_and_leads_to_enrolment(staff, phone):
    client = with_password(staff)
    client.post(STEP, {"code": phone.code(START)})
    assert is_in(client)
    call_command("reset_second_factor", staff.email)
    assert not is_in(client)
    assert client.get(STEP)["Location"] == ENROL


# --- passkeys -----------------------------------------------------------------------------------
def test_a_passkey_opens_the_admin_without_a_password(staff):
    key, _ = add_passkey(staff)
    client = Client()
    answer = client.post(LOGIN, {"passkey": json.dumps(key.get(options(client)))})
    assert (answer.status_code, answer["Location"]) == (302, INDEX)
    assert is_in(client)
    (entry,) = acts(Action.USER_SIGNED_IN)
    assert entry.details == {"method": "admin", "second_factor": "passkey"}


def test_a_passkey_is_the_second_step(staff):
    key, _ = add_passkey(staff)
    client = with_password(staff)
    assert client.post(STEP, {"passkey": json.dumps(key.get(options(client)))}).status_code == 302
    assert is_in(client)


def test_a_passkey_that_is_removed_closes_the_session(staff):
    key, passkey_id = add_passkey(staff)
    client = Client()
    client.post(LOGIN, {"passkey": json.dumps(key.get(options(client)))})
    assert is_in(client)
    changes.remove_passkey(user_id=staff.id, passkey_id=passkey_id, keep=None, now=START)
    assert not is_in(client)


@pytest.mark.parametrize("broken", ["", "{}", "[]", "1", "null", "[" * 20_000, "é"])
def test_a_broken_passkey_is_refused(staff, phone, broken):
    for client, address in ((Client(), LOGIN), (with_password(staff), STEP)):
        assert client.post(address, {"passkey": broken}).status_code == 401
        assert not is_in(client)


def test_a_passkey_of_somebody_who_is_not_staff_opens_nothing(staff, alice):
    """S19"""
    key, _ = add_passkey(alice)
    client = Client()
    answer = client.post(LOGIN, {"passkey": json.dumps(key.get(options(client)))})
    assert answer.status_code == 401
    assert not is_in(client)
    assert [entry.user_id for entry in acts(Action.USER_SIGN_IN_FAILED)] == [alice.id]


def test_a_key_of_somebody_else_that_names_staff_opens_nothing(staff, alice):
    """The admin acts as system, so row-level security is no second fence here."""
    key, _ = add_passkey(alice)
    key.user_handle = staff.id.bytes
    client = Client()
    assert client.post(LOGIN, {"passkey": json.dumps(key.get(options(client)))}).status_code == 401
    client = with_password(staff)
    add_passkey(staff)
    assert client.post(STEP, {"passkey": json.dumps(key.get(options(client)))}).status_code == 401
    assert not is_in(client)


# --- out again ----------------------------------------------------------------------------------
def test_an_admin_session_ends_after_thirty_idle_minutes(staff, the_time):
    """S52: on the server, whatever the cookie says."""
    client = signed_in(staff)
    the_time.move_to(START + timedelta(minutes=29))
    assert is_in(client)
    the_time.move_to(START + timedelta(minutes=58))
    assert is_in(client)
    the_time.move_to(START + timedelta(minutes=89))
    answer = client.get(INDEX, follow=True)
    assert answer.redirect_chain[0][0].startswith(LOGIN)
    assert "signed out" in answer.content.decode()
    assert not is_in(client)


def test_an_admin_session_ends_after_eight_hours_however_busy(staff, the_time):
    """S52"""
    client = signed_in(staff)
    for minutes in range(20, 8 * 60 + 1, 20):
        the_time.move_to(START + timedelta(minutes=minutes))
        assert is_in(client), minutes
    the_time.move_to(START + timedelta(hours=8, minutes=1))
    assert not is_in(client)


def test_the_password_step_is_idle_too(staff, phone, the_time):
    """S52"""
    client = with_password(staff)
    the_time.move_to(START + timedelta(minutes=31))
    assert client.get(STEP)["Location"].startswith(LOGIN)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}, {"password": "!"}])
def test_staff_who_are_let_go_are_out_at_once(staff, change):
    """S09, S52"""
    client = signed_in(staff)
    assert is_in(client)
    with tenancy.as_system("test"):
        User.objects.filter(id=staff.id).update(**change)
    assert not is_in(client)


def test_a_session_without_a_device_or_with_that_of_somebody_else_is_out(staff, alice):
    assert is_in(signed_in(staff))
    assert not is_in(signed_in(staff, verified=False))
    client = signed_in(staff)
    other = signed_in(alice).session["otp_device_id"]
    for device_id in (other, "accounts.totpdevice/1", "accounts.user/x", "", "//", "auth.x/1"):
        session = client.session
        session["otp_device_id"] = device_id
        session.save()
        assert not is_in(client), device_id


def test_a_device_that_was_not_confirmed_does_not_count(staff):
    client = signed_in(staff)
    with tenancy.as_system("test"):
        TotpDevice.objects.filter(user=staff).update(confirmed=False)
    assert not is_in(client)


# --- where it is --------------------------------------------------------------------------------
def test_the_address_of_the_admin_comes_from_the_settings(db):
    """S52: read in a process of its own, because addresses are made as it starts."""
    script = (
        "import django; django.setup()\n"
        "from django.conf import settings; from django.urls import reverse\n"
        "print(reverse('admin:index'), reverse('admin:second_factor'), settings.ADMIN_PREFIX)"
    )
    environment = os.environ | {
        "ADMIN_PATH": "/back-office/", "DJANGO_SETTINGS_MODULE": "tracker.settings",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env=environment, cwd=PROJECT,
    )  # fmt: skip
    assert run.stdout.split() == ["/back-office/", "/back-office/second-factor/", "/back-office/"]


# --- a password of one's own --------------------------------------------------------------------
def change_own(client: Client, old: str, new: str = NEW_PASSWORD) -> Any:
    return client.post(CHANGE, {"old_password": old, "new_password1": new, "new_password2": new})


def test_staff_who_change_their_own_password_end_what_the_old_one_opened(staff, client_of):
    """S09, S54: sessions, links and other admin sessions; told by mail, and written down."""
    api, client, elsewhere = client_of(staff), signed_in(staff), signed_in(staff)
    assert api.get("/me").status_code == 200
    with tenancy.as_user(staff.id):
        links.create(staff.id, AccountLink.Purpose.RESET_PASSWORD, staff.email, START)
    done = change_own(client, PASSWORD)
    assert (done.status_code, done["Location"]) == (302, "/admin/password_change/done/")
    assert (is_in(client), is_in(elsewhere)) == (True, False)
    assert client.get(done["Location"]).status_code == 200
    assert api.get("/me").status_code == 401
    (entry,) = acts(Action.PASSWORD_CHANGED)
    assert (entry.user_id, entry.outcome) == (staff.id, "ok")
    assert entry.details == {"method": "admin", "sessions_ended": 1}
    with tenancy.as_system("test"):
        assert not AccountLink.objects.filter(used_at=None).exists()
        assert Delivery.objects.filter(event="password_changed", user=staff).exists()
        assert User.objects.get(id=staff.id).check_password(NEW_PASSWORD)


def test_who_finds_the_admin_open_cannot_guess_the_password(staff):
    """S28, S54"""
    client = signed_in(staff)
    for _ in range(5):
        wrong = change_own(client, "wrong")
        assert (wrong.status_code, wrong.content.count(b"was entered incorrectly")) == (200, 1)
    slowed = change_own(client, PASSWORD)
    assert (slowed.status_code, slowed["Retry-After"]) == (429, "1")
    assert "Too many attempts" in slowed.content.decode()
    assert [entry.outcome for entry in acts(Action.PASSWORD_CHANGED)] == ["refused"] * 5
    with tenancy.as_system("test"):
        assert User.objects.get(id=staff.id).check_password(PASSWORD)


def test_a_weak_password_of_ones_own_is_refused_and_counts_as_no_guess(staff):
    """S01"""
    client = signed_in(staff)
    for _ in range(7):
        assert change_own(client, PASSWORD, "short").status_code == 200
    assert acts(Action.PASSWORD_CHANGED) == []
    assert change_own(client, PASSWORD).status_code == 302
