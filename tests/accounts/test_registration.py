"""Signing up: the same answer for everybody, one person per address, a link to prove it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine

from accounts.models import Consent, User
from audit.actions import Action
from audit.models import ActivityLog
from tests.conftest import PASSWORD
from tests.hashing import shape, work_done
from tests.mail import find, newest_link, reread, token_for, written_to
from tests.threads import at_once, await_somebody_waiting, in_a_thread
from tracker import clock, tenancy

# 220 letters as it is written, 620 as it would be stored.
GROWS = "a@" + ".".join(["\N{LATIN SMALL LIGATURE FFI}" * 20] * 10) + ".com"
NEW = {"email": "New.Person+tag@Example.com", "password": PASSWORD}
SPELLED = "new.person+tag@example.com"


@pytest.fixture
def api(client_of):
    return client_of()


def register(api, **changes):
    return api.post("/auth/register", NEW | changes)


def people() -> list[str]:
    with tenancy.as_system("test"):
        return sorted(User.objects.values_list("email", flat=True))


def acts(action: Action) -> int:
    with tenancy.as_system("test"):
        return ActivityLog.objects.filter(action=action).count()


def test_registering_says_nothing_but_accepted_and_mails_a_link(api, db):
    answer = register(api, base_currency="CHF", locale="de-CH", theme="dark")
    assert answer.status_code == 202
    assert set(answer.json()) == {"status", "message"}
    assert answer.json()["status"] == "accepted"
    person = find(SPELLED)
    assert (person.base_currency, person.locale, person.theme) == ("CHF", "de-CH", "dark")
    assert person.email_confirmed_at is None
    assert written_to(person) == [("confirm_email", SPELLED)]
    assert acts(Action.USER_REGISTERED) == 1


def test_who_has_registered_can_sign_in_and_look_around(api, db):
    register(api)
    answer = api.post("/auth/login", NEW)
    assert answer.status_code == 200
    assert api.get("/me", Authorization=f"Bearer {answer.json()['access']}").status_code == 200


def test_the_password_is_stored_with_bcrypt(api, db):
    """S02"""
    register(api)
    assert find(SPELLED).password.startswith("bcrypt_sha256$$2b$")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("passwordpassword", None),
        ("x y" * 4, None),
        ("x" * 127 + "y", None),
        ("1q2w3e4r5t6y", "password_too_common"),
        (SPELLED, "password_too_similar"),
        ("x" * 129, "password_too_long"),
    ],
)
def test_weak_passwords_are_refused_with_their_reason(api, db, password, code):
    """S01: no composition rules, but length, common ones and those like the address."""
    answer = register(api, password=password)
    if code is None:
        assert answer.status_code == 202
        return
    assert answer.status_code == 400
    fields = answer.json()["details"]["fields"]
    assert {"field", "code", "message"} <= fields[0].keys()
    assert code in {row["code"] for row in fields}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nonsense", "password": PASSWORD}, "email"),
        ({"email": GROWS, "password": PASSWORD}, "email"),
        ({"password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": 12}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "is_staff": True}, "is_staff"),
        ({"email": "a@example.com", "password": PASSWORD, "time_zone": "Mars/Base"}, "time_zone"),
        ({"email": "a@example.com", "password": PASSWORD, "locale": "Klingon"}, "locale"),
    ],
)
def test_wrong_input_names_its_field(api, db, body, field):
    """S18"""
    answer = api.post("/auth/register", body)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == field


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("  Mixed.Case@Example.COM ", "mixed.case@example.com"),
        ("plus+tag@example.com", "plus+tag@example.com"),
        ("ﬁnn@example.com", "finn@example.com"),  # NFKC: the ligature is two letters
        ("mail@bücher.example", "mail@bücher.example"),
        ("ＡＬＩＣＥ@example.com", "alice@example.com"),
    ],
)
def test_addresses_have_one_spelling_and_wrong_ones_are_no_error_of_ours(api, db, given, stored):
    answer = register(api, email=given)
    assert answer.status_code in (202, 400)
    if answer.status_code == 400:
        assert answer.json()["details"]["fields"][0]["field"] == "email"
        assert people() == []
        return
    assert people() == [stored]
    assert register(api, email=stored.upper()).status_code in (202, 400)
    assert people() == [stored]


# --- taken addresses ----------------------------------------------------------------------------
def test_a_taken_address_gets_the_same_answer_and_its_owner_an_e_mail(api, alice):
    """S13, for signing up"""
    free = register(api)
    taken = register(api, email="ALICE@example.com", password="another horse battery")
    assert shape(free) == shape(taken)
    assert people() == [alice.email, SPELLED]
    assert reread(alice).password == alice.password
    assert written_to(alice) == [("already_registered", "")]
    assert acts(Action.REGISTRATION_REPEATED) == acts(Action.USER_REGISTERED) == 1


def test_a_weak_password_is_refused_alike_for_free_and_taken_addresses(api, alice):
    """S13"""
    free, taken = (register(api, email=email, password="short") for email in (SPELLED, alice.email))
    assert free.status_code == 400
    assert shape(free) == shape(taken)


def test_a_taken_address_takes_the_same_work(api, alice, bob):
    """S13, for the time taken: one password hashed and one message written in both cases, and
    at most one statement between them."""
    register(api, email="warm@example.com")  # what is only done once
    with work_done() as free:
        register(api)
    with work_done() as taken:
        register(api, email=alice.email)
    assert free.hashes == taken.hashes == 1
    assert messages(free) == messages(taken) == 1
    assert abs(len(free.statements) - len(taken.statements)) <= 1, taken.statements


def test_outdated_consents_are_refused_alike_for_free_and_taken_addresses(api, alice):
    """S13"""
    free, taken = (
        register(api, email=email, consents={"terms": "1999-01-01"})
        for email in (SPELLED, alice.email)
    )
    assert (free.status_code, free.json()["code"]) == (409, "consent_outdated")
    assert shape(free) == shape(taken)
    assert people() == [alice.email]


def test_consents_given_with_the_registration_are_recorded(api, db, settings):
    versions = {"terms": settings.TERMS_VERSION, "privacy": settings.PRIVACY_VERSION}
    assert register(api, consents=versions).status_code == 202
    with tenancy.as_system("test"):
        rows = Consent.objects.filter(user=find(SPELLED))
        assert {row.document: row.version for row in rows} == versions


def test_a_deactivated_owner_is_not_written_to(api, alice):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert register(api, email=alice.email).status_code == 202
    assert written_to(alice) == []


def messages(work) -> int:
    return sum(text.startswith('INSERT INTO "deliveries"') for text in work.statements)


def test_an_owner_is_told_at_most_once_an_hour(api, alice):
    start = clock.now().replace(minute=10)
    for minutes in (0, 20, 40):
        with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
            assert register(api, email=alice.email).status_code == 202
    assert len(written_to(alice)) == 1
    with time_machine.travel(start + timedelta(minutes=65), tick=False):
        register(api, email=alice.email)
    assert len(written_to(alice)) == 2


@pytest.mark.django_db(transaction=True)
def test_two_registrations_at_once_make_one_person(client_of):
    """S13: and both get the same answer."""
    answers = at_once(6, lambda _: register(client_of()))
    assert {answer.status_code for answer in answers} == {202}
    assert len({shape(answer) for answer in answers}) == 1
    assert people() == [SPELLED]
    events = [event for event, _ in written_to(find(SPELLED))]
    assert events.count("confirm_email") == 1
    assert set(events) == {"confirm_email", "already_registered"}


@pytest.mark.django_db(transaction=True)
def test_who_is_overtaken_between_looking_and_inserting_gets_the_same_answer(client_of):
    """S13: the address was free when it was looked up, and taken when it was inserted."""
    quicker = User(email=SPELLED, password="!")
    with ThreadPoolExecutor(1) as pool:
        with tenancy.as_user(quicker.id):
            quicker.save(force_insert=True)
            slower = pool.submit(in_a_thread, lambda: register(client_of()))
            await_somebody_waiting()
        assert slower.result().status_code == 202
    assert people() == [SPELLED]
    assert written_to(quicker) == [("already_registered", "")]


# --- the link -----------------------------------------------------------------------------------
def test_a_link_confirms_once_and_welcomes(api, db):
    register(api)
    person = find(SPELLED)
    token = token_for(person, "confirm_email")
    assert api.post("/auth/email/confirm", {"token": token}).status_code == 204
    assert reread(person).email_confirmed_at is not None
    assert [event for event, _ in written_to(person)] == ["confirm_email", "welcome"]
    again = api.post("/auth/email/confirm", {"token": token})
    assert (again.status_code, again.json()["code"]) == (410, "link_rejected")
    assert "already confirmed" in again.json()["message"]
    assert acts(Action.EMAIL_CONFIRMED) == 1
    assert len(written_to(person)) == 2


@pytest.mark.django_db(transaction=True)
def test_of_a_link_used_by_many_at_once_one_counts(client_of):
    register(client_of())
    person = find(SPELLED)
    body = {"token": token_for(person, "confirm_email")}
    answers = at_once(8, lambda _: client_of().post("/auth/email/confirm", body))
    assert sorted(answer.status_code for answer in answers) == [204] + [410] * 7
    assert acts(Action.EMAIL_CONFIRMED) == 1


def test_a_link_expires_after_two_days(api, db):
    register(api)
    person, start = find(SPELLED), clock.now()
    body = {"token": token_for(person, "confirm_email")}
    with time_machine.travel(start + timedelta(hours=48, minutes=1), tick=False):
        late = api.post("/auth/email/confirm", body)
    assert (late.status_code, late.json()["code"]) == (410, "link_rejected")
    assert reread(person).email_confirmed_at is None
    with time_machine.travel(start + timedelta(hours=47), tick=False):
        assert api.post("/auth/email/confirm", body).status_code == 204


def test_a_forged_link_is_refused_in_one_sentence(api, alice):
    register(api)
    token = token_for(find(SPELLED), "confirm_email")
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in (flipped, token[3:], "nonsense", f"{token}.{token}", "ü.ß", "." * 200):
        answer = api.post("/auth/email/confirm", {"token": wrong})
        assert (answer.status_code, answer.json()["code"]) == (410, "link_rejected"), wrong
    assert find(SPELLED).email_confirmed_at is None


def test_a_link_is_good_for_its_purpose_alone(api, db):
    register(api)
    token = token_for(find(SPELLED), "confirm_email")
    reset = api.post("/auth/password/reset", {"token": token, "new_password": "y" * 20})
    assert reset.status_code == 410
    assert api.post("/auth/email/confirm-new", {"token": token}).status_code == 410
    assert api.post("/auth/email/confirm", {"token": token}).status_code == 204


def test_no_link_is_stored(api, db):
    """S06, for links: with the database alone none can be made."""
    register(api)
    person = find(SPELLED)
    token = token_for(person, "confirm_email")
    with tenancy.as_system("test"):
        rows = [*person.deliveries.values(), *person.links.values()]
        rows += ActivityLog.objects.filter(user=person).values()
    assert rows
    assert token not in str(rows)
    assert token.partition(".")[2] not in str(rows)


def test_another_link_is_mailed_on_request_at_most_once_a_minute(api, client_of, db):
    register(api)
    person, start = find(SPELLED), clock.now()
    signed_in = client_of(person)
    first = newest_link(person, "confirm_email")
    assert signed_in.post("/auth/email/resend").status_code == 202
    assert newest_link(person, "confirm_email") == first
    with time_machine.travel(start + timedelta(minutes=2), tick=False):
        assert signed_in.post("/auth/email/resend").status_code == 202
        assert newest_link(person, "confirm_email") != first
        assert acts(Action.EMAIL_CONFIRMATION_SENT) == 1
        token = token_for(person, "confirm_email")
        assert api.post("/auth/email/confirm", {"token": token}).status_code == 204
        done = signed_in.post("/auth/email/resend")
    assert (done.status_code, done.json()["code"]) == (409, "email_already_confirmed")


# --- until then ---------------------------------------------------------------------------------
def test_unconfirmed_people_look_around_and_connect_nothing(client_of, alice, settings):
    settings.EMAIL_CONFIRMATION = True
    api = client_of(alice)
    assert api.get("/portfolio").status_code == 200
    body = {"exchange": "binance", "label": "", "api_key": "a" * 64, "api_secret": "b" * 64}
    refused = api.post("/connections", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "email_unconfirmed")
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(email_confirmed_at=clock.now())
    assert api.post("/connections", {}).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/me/second-factor/totp", {}),
        ("/me/passkeys/options", {}),
        ("/api-keys", {"name": "bot", "scopes": ["read_portfolio"]}),
    ],
)
def test_unconfirmed_people_add_nothing_that_would_outlast_a_reset(
    client_of, alice, settings, path, body
):
    """Somebody signs up with an address that is not theirs; its owner must get in later."""
    settings.EMAIL_CONFIRMATION = True
    refused = client_of(alice).post(path, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "email_unconfirmed")


def test_where_the_setting_is_off_nothing_waits_for_the_link(client_of, alice, settings):
    settings.EMAIL_CONFIRMATION = False
    assert client_of(alice).post("/connections", {}).status_code == 400
