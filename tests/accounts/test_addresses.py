"""Changing one's e-mail address: proved at the new one, announced at the old one."""

import json
from datetime import timedelta
from io import BytesIO
from zipfile import ZipFile

import pytest
import time_machine
from django.db.models import F

from accounts import addresses, tasks
from accounts.models import AccountLink, User
from accounts.privacy import archive
from audit.actions import Action
from audit.models import ActivityLog
from tests.conftest import PASSWORD
from tests.hashing import shape, work_done
from tests.mail import reread, token_for, written_to
from tests.threads import at_once
from tracker import clock, tenancy

NEW = "alice.new@example.com"
# 220 letters as it is written, 620 as it would be stored.
GROWS = "a@" + ".".join(["\N{LATIN SMALL LIGATURE FFI}" * 20] * 10) + ".com"


@pytest.fixture
def api(client_of):
    return client_of()


def ask(api, email=NEW):
    return api.post("/me/email", {"email": email})


def let_a_minute_pass(user):
    with tenancy.as_system("test"):
        AccountLink.objects.filter(user=user).update(created_at=F("created_at") - addresses.PAUSE)


def confirm(api, token):
    return api.post("/auth/email/confirm-new", {"token": token})


def test_the_address_changes_when_the_link_at_the_new_one_is_opened(api, client_of, alice):
    phone, tablet = client_of(alice), client_of(alice)
    assert ask(phone, " Alice.NEW@Example.com").status_code == 202
    assert reread(alice).email == "alice@example.com"
    assert written_to(alice) == [("confirm_new_email", NEW)]
    assert confirm(api, token_for(alice, "change_email")).status_code == 204
    changed = reread(alice)
    assert changed.email == NEW
    assert changed.email_confirmed_at is not None
    assert written_to(alice)[1:] == [("email_change_announced", "alice@example.com")]
    assert phone.get("/me").status_code == tablet.get("/me").status_code == 200
    signed_in = api.post("/auth/login", {"email": NEW, "password": PASSWORD})
    assert signed_in.status_code == 200
    with tenancy.as_system("test"):
        assert ActivityLog.objects.filter(user=alice, action=Action.EMAIL_CHANGED).count() == 1


def test_the_old_address_is_not_told_the_new_one_in_full(api, client_of, alice):
    ask(client_of(alice))
    confirm(api, token_for(alice, "change_email"))
    with tenancy.as_system("test"):
        told = alice.deliveries.get(event="email_change_announced", channel="email")
    assert told.parameters == {"new_masked": "a…w@example.com"}


@pytest.mark.parametrize(
    ("email", "shown"),
    [("a@example.com", "a…@example.com"), ("ab@example.com", "a…@example.com"),
     ("abc@example.com", "a…c@example.com")],
)  # fmt: skip
def test_short_addresses_are_masked_too(email, shown):
    assert addresses.masked(email) == shown


def test_the_link_works_once(api, client_of, alice):
    ask(client_of(alice))
    token = token_for(alice, "change_email")
    assert confirm(api, token).status_code == 204
    again = confirm(api, token)
    assert (again.status_code, again.json()["code"]) == (410, "link_rejected")


def test_every_other_link_is_void_afterwards(api, client_of, alice):
    ask(client_of(alice), "first@example.com")
    first = token_for(alice, "change_email")
    tasks.mail_reset_link(user_id=str(alice.id))
    forgotten = token_for(alice, "reset_password")
    let_a_minute_pass(alice)
    ask(client_of(alice), NEW)
    assert confirm(api, token_for(alice, "change_email")).status_code == 204
    assert confirm(api, first).status_code == 410
    body = {"token": forgotten, "new_password": "y" * 20}
    assert api.post("/auth/password/reset", body).status_code == 410
    assert reread(alice).email == NEW


def test_a_taken_address_gets_the_same_answer_and_its_owner_an_e_mail(client_of, alice, bob):
    """S13, for changing the address"""
    phone = client_of(alice)
    ask(phone, "warm@example.com")  # what is only done once
    let_a_minute_pass(alice)
    with work_done() as free_work:
        free = ask(phone)
    let_a_minute_pass(alice)
    with work_done() as taken_work:
        taken = ask(phone, bob.email)
    assert shape(free) == shape(taken)
    assert free.status_code == 202
    assert abs(len(free_work.statements) - len(taken_work.statements)) <= 1
    assert written_to(bob) == [("already_registered", "")]
    assert [address for _, address in written_to(alice)] == ["warm@example.com", NEW]


def test_a_copy_of_ones_data_does_not_tell_either(client_of, alice, bob):
    """S13: what was written to a free address is not in it; the requests are, alike."""
    phone = client_of(alice)
    ask(phone, NEW)
    let_a_minute_pass(alice)
    ask(phone, bob.email)
    target = BytesIO()
    archive.write(target, user_id=alice.id, now=clock.now(), told=lambda rows: None)
    with ZipFile(target) as found:
        told = {name: found.read(name).decode() for name in found.namelist()}
    for email in (NEW, bob.email):
        assert {name for name in told if email in told[name]} == {
            "json/account_links.json", "csv/account_links.csv"
        }  # fmt: skip
    assert json.loads(told["json/deliveries.json"]) == []


def test_one_account_cannot_fill_the_mailboxes_of_others(client_of, alice, bob):
    """S28: one a minute and ten a day, whoever is written to."""
    phone, start = client_of(alice), clock.now()

    def asked_at(minute, email=NEW):
        with time_machine.travel(start + timedelta(minutes=minute), tick=False):
            answer = ask(phone, email)
        return answer.status_code, answer.headers.get("Retry-After")

    assert asked_at(0) == (202, None)
    assert asked_at(0.5, bob.email) == (429, "30")
    assert asked_at(0.75, "third@example.com") == (429, "15")
    assert [asked_at(minute)[0] for minute in range(1, 10)] == [202] * 9
    assert asked_at(10) == (429, str(24 * 3600 - 600))
    assert len(written_to(alice)) == 10
    assert written_to(bob) == []
    with time_machine.travel(start + timedelta(hours=24, seconds=1), tick=False):
        assert ask(client_of(alice)).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_at_once_one_is_written(client_of, alice):
    """S28"""
    phones = [client_of(alice), client_of(alice)]
    answers = at_once(2, lambda n: ask(phones[n], f"new{n}@example.com").status_code)
    assert sorted(answers) == [202, 429]
    assert len(written_to(alice)) == 1


def test_an_address_that_grows_when_it_is_spelled_as_we_do_is_refused(client_of, alice):
    """S18: 400 and no error of ours."""
    answer = ask(client_of(alice), GROWS)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == "email"


def test_an_address_that_was_taken_meanwhile_is_said_in_a_sentence(api, client_of, alice):
    ask(client_of(alice))
    with tenancy.as_system("test"):
        User.objects.create_user(NEW, PASSWORD)
    answer = confirm(api, token_for(alice, "change_email"))
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert reread(alice).email == "alice@example.com"
    assert written_to(alice) == [("confirm_new_email", NEW)]


@pytest.mark.django_db(transaction=True)
def test_two_people_who_change_to_one_address_at_once(client_of, alice, bob):
    for person in (alice, bob):
        ask(client_of(person))
    tokens = [token_for(person, "change_email") for person in (alice, bob)]
    answers = at_once(2, lambda n: confirm(client_of(), tokens[n]).status_code)
    assert sorted(answers) == [204, 409]


@pytest.mark.django_db(transaction=True)
def test_two_links_of_one_person_at_once(client_of, alice):
    """The first one makes the second one void; neither waits for the other for ever."""
    ask(client_of(alice), "first@example.com")
    tokens = [token_for(alice, "change_email")]
    let_a_minute_pass(alice)
    ask(client_of(alice), "second@example.com")
    tokens.append(token_for(alice, "change_email"))
    answers = at_once(2, lambda n: confirm(client_of(), tokens[n]).status_code)
    assert sorted(answers) == [204, 410]


def test_the_address_in_force_is_refused(client_of, alice):
    answer = ask(client_of(alice), "ALICE@example.com")
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == "email"


def test_changing_needs_a_fresh_proof_of_who_it_is(client_of, alice):
    """S12"""
    api, start = client_of(alice), clock.now()
    with time_machine.travel(start + timedelta(minutes=14, seconds=55), tick=False):
        assert ask(api).status_code == 202
    with time_machine.travel(start + timedelta(minutes=15, seconds=5), tick=False):
        access = api.post("/auth/refresh", {"refresh": api.refresh_token}).json()["access"]
        answer = api.post("/me/email", {"email": NEW}, Authorization=f"Bearer {access}")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")


def test_an_old_confirmation_link_does_not_confirm_the_new_address(api, client_of, alice):
    """The link proves the address that it was sent to."""
    with tenancy.as_system("test"):
        AccountLink.objects.create(
            user=alice, purpose="confirm_email", email="older@example.com",
            expires_at=clock.now() + timedelta(hours=1),
        )  # fmt: skip
    answer = api.post("/auth/email/confirm", {"token": token_for(alice, "confirm_email")})
    assert answer.status_code == 410
    assert reread(alice).email_confirmed_at is None
