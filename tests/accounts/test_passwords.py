"""Passwords: changed by who knows the old one, reset by who reads the e-mail."""

from datetime import timedelta

import pytest
import time_machine

from accounts import tasks
from accounts.models import AccountLink, Session, User
from audit.actions import Action
from audit.models import ActivityLog, OutboxEntry
from tests.conftest import PASSWORD
from tests.hashing import shape, work_done
from tests.mail import reread, token_for, written_to
from tests.second_factors import enrol
from tests.threads import at_once
from tracker import clock, tenancy

NEW = "another horse battery staple"


@pytest.fixture
def api(client_of):
    return client_of()


def change(api, current=PASSWORD, new=NEW):
    return api.post("/me/password", {"current_password": current, "new_password": new})


def mail_link(user: User) -> str:
    """The reset link that a person asked for."""
    tasks.mail_reset_link(user_id=str(user.id))
    return token_for(user, "reset_password")


def reset(api, token, new=NEW):
    return api.post("/auth/password/reset", {"token": token, "new_password": new})


def sign_in(api, user, password):
    return api.post("/auth/login", {"email": user.email, "password": password})


def reasons(user: User) -> list[str]:
    with tenancy.as_system("test"):
        return sorted(Session.objects.filter(user=user).values_list("end_reason", flat=True))


def acts(action: Action, **wanted) -> int:
    with tenancy.as_system("test"):
        return ActivityLog.objects.filter(action=action, **wanted).count()


# --- changing -----------------------------------------------------------------------------------
def test_a_changed_password_ends_every_other_session_at_the_next_call(api, client_of, alice, bob):
    """S09"""
    here, elsewhere, stranger = client_of(alice), client_of(alice), client_of(bob)
    assert change(here).status_code == 204
    assert here.get("/me").status_code == stranger.get("/me").status_code == 200
    assert here.post("/auth/refresh", {"refresh": here.refresh_token}).status_code == 200
    assert elsewhere.get("/me").status_code == 401
    refused = elsewhere.post("/auth/refresh", {"refresh": elsewhere.refresh_token})
    assert refused.status_code == 401
    assert reasons(alice) == ["", "password_changed"]
    assert sign_in(api, alice, PASSWORD).status_code == 401
    assert sign_in(api, alice, NEW).status_code == 200
    assert written_to(alice) == [("password_changed", "")]


def test_a_wrong_current_password_changes_nothing_and_is_written(client_of, alice):
    here, elsewhere = client_of(alice), client_of(alice)
    answer = change(here, current="x" * 12)
    assert (answer.status_code, answer.json()["code"]) == (403, "password_rejected")
    assert reread(alice).password == alice.password
    assert elsewhere.get("/me").status_code == 200
    assert acts(Action.PASSWORD_CHANGED, outcome="refused") == 1


def test_guessing_the_current_password_costs_time(client_of, alice):
    """S29"""
    api = client_of(alice)
    codes = [change(api, current=f"guess number {n}").status_code for n in range(6)]
    assert codes == [403] * 5 + [429]


@pytest.mark.parametrize("new", ["short", "1q2w3e4r5t6y", "alice@example.com", "x" * 129])
def test_a_weak_new_password_is_refused_under_its_field(client_of, alice, new):
    """S01"""
    answer = change(client_of(alice), new=new)
    assert answer.status_code == 400
    assert {row["field"] for row in answer.json()["details"]["fields"]} == {"new_password"}
    assert reread(alice).password == alice.password


def test_a_changed_password_makes_mailed_links_void(api, client_of, alice):
    token = mail_link(alice)
    assert change(client_of(alice)).status_code == 204
    assert reset(api, token).status_code == 410


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_one_counts(client_of, alice):
    clients = [client_of(alice), client_of(alice)]
    answers = at_once(2, lambda n: change(clients[n], new=f"{NEW} {n}").status_code)
    assert sorted(answers) in ([204, 401], [204, 403])


# --- forgotten ----------------------------------------------------------------------------------
def test_asking_for_a_reset_tells_nothing(api, alice, bob):
    """S13, for resetting: answers, and what is asked of the database, are the same for known,
    unknown and deactivated people."""
    with tenancy.as_system("test"):
        User.objects.filter(id=bob.id).update(is_active=False)
    api.post("/auth/password/forgot", {"email": "warm@example.com"})  # what is only done once
    answers, statements = [], []
    for email in (alice.email, "no@example.com", bob.email):
        with work_done() as done:
            answers.append(api.post("/auth/password/forgot", {"email": email}))
        statements.append([text.partition(" ")[0] for text in done.statements])
    assert {answer.status_code for answer in answers} == {202}
    assert len({shape(answer) for answer in answers}) == 1
    assert statements[0] == statements[1] == statements[2]
    assert acts(Action.PASSWORD_RESET_REQUESTED, user=alice, outcome="ok") == 1
    assert acts(Action.PASSWORD_RESET_REQUESTED, user=None, outcome="refused") == 2


@pytest.mark.django_db(transaction=True)
def test_the_same_tasks_are_queued_for_known_and_unknown_people(api, alice, queued):
    """S13: what differs happens in a task, out of the caller's sight."""
    for email in (alice.email, "no@example.com"):
        assert api.post("/auth/password/forgot", {"email": email}).status_code == 202
    assert queued() == [
        ("accounts.tasks.mail_reset_link", {"user_id": str(alice.id)}),
        ("accounts.tasks.mail_reset_link", {"user_id": None}),
    ]
    with tenancy.as_system("test"):
        assert not OutboxEntry.objects.exists()
    tasks.mail_reset_link(user_id=None)
    assert written_to(alice) == []


def test_a_link_is_mailed_to_the_address_at_most_once_a_minute(alice):
    start = clock.now()
    for seconds in (0, 1, 30):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            tasks.mail_reset_link(user_id=str(alice.id))
    assert written_to(alice) == [("password_reset", alice.email)]
    with time_machine.travel(start + timedelta(seconds=70), tick=False):
        tasks.mail_reset_link(user_id=str(alice.id))
    assert len(written_to(alice)) == 2


def test_no_link_is_mailed_to_a_deactivated_person(alice):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    tasks.mail_reset_link(user_id=str(alice.id))
    assert written_to(alice) == []


# --- reset --------------------------------------------------------------------------------------
def test_a_reset_ends_every_session_and_proves_the_address(api, client_of, alice):
    """S09"""
    phone, tablet = client_of(alice), client_of(alice)
    assert reset(api, mail_link(alice)).status_code == 204
    for device in (phone, tablet):
        assert device.get("/me").status_code == 401
        refused = device.post("/auth/refresh", {"refresh": device.refresh_token})
        assert refused.status_code == 401
    assert reasons(alice) == ["password_reset", "password_reset"]
    assert sign_in(api, alice, PASSWORD).status_code == 401
    assert sign_in(api, alice, NEW).status_code == 200
    assert reread(alice).email_confirmed_at is not None
    assert [event for event, _ in written_to(alice)] == [
        "password_reset", "welcome", "password_changed",
    ]  # fmt: skip


def test_a_reset_link_works_once(api, alice):
    token = mail_link(alice)
    assert reset(api, token).status_code == 204
    again = reset(api, token, new=f"{NEW} again")
    assert (again.status_code, again.json()["code"]) == (410, "link_rejected")
    assert sign_in(api, alice, NEW).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_many_resets_with_one_link_one_counts(client_of, alice):
    token = mail_link(alice)
    answers = at_once(4, lambda n: (n, reset(client_of(), token, f"{NEW} {n}").status_code))
    assert sorted(status for _, status in answers) == [204, 410, 410, 410]
    (winner,) = [number for number, status in answers if status == 204]
    assert sign_in(client_of(), alice, f"{NEW} {winner}").status_code == 200


def test_a_reset_link_expires_after_an_hour(api, alice):
    start = clock.now()
    token = mail_link(alice)
    with time_machine.travel(start + timedelta(minutes=61), tick=False):
        assert reset(api, token).status_code == 410
    with time_machine.travel(start + timedelta(minutes=59), tick=False):
        assert reset(api, token).status_code == 204


def test_a_refused_password_does_not_spend_the_link(api, alice):
    token = mail_link(alice)
    weak = reset(api, token, new="short")
    assert weak.status_code == 400
    assert weak.json()["details"]["fields"][0]["field"] == "new_password"
    assert reset(api, token).status_code == 204


def test_a_reset_makes_every_other_link_void(api, alice):
    start = clock.now()
    first = mail_link(alice)
    with time_machine.travel(start + timedelta(minutes=5), tick=False):
        second = mail_link(alice)
        assert first != second
        assert reset(api, second).status_code == 204
        assert reset(api, first).status_code == 410
    with tenancy.as_system("test"):
        assert not AccountLink.objects.filter(user=alice, used_at=None).exists()


def test_a_link_of_a_deactivated_person_does_nothing(api, alice):
    token = mail_link(alice)
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert reset(api, token).status_code == 410
    assert reread(alice).password == alice.password


def test_a_reset_does_not_stand_in_for_the_second_factor(api, alice):
    """S12: who can read the e-mails still needs the phone."""
    enrol(alice, clock.now())
    assert reset(api, mail_link(alice)).status_code == 204
    answer = sign_in(api, alice, NEW)
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    assert "access" not in answer.json()
