"""Phones that are pushed to: one person's at a time, while somebody is signed in there."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts import devices, notifications, sessions
from accounts.models import PushDevice, Session, User
from accounts.sessions import Device
from accounts.tokens import RefreshToken
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tracker import clock, ids, tenancy

TOKEN = "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]"


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


def all_devices() -> list[tuple[Any, str]]:
    with tenancy.as_system("test"):
        return list(PushDevice.objects.order_by("token").values_list("user_id", "token"))


def logged(action: Action) -> list[Any]:
    with tenancy.as_system("test"):
        rows = ActivityLog.objects.filter(action=action).order_by("id")
        return list(rows.values_list("user_id", flat=True))


def test_a_phone_is_registered_listed_and_removed(client_of, alice):
    api = client_of(alice)
    made = api.post("/devices", {"token": TOKEN, "name": "Alice's phone", "platform": "ios"})
    assert made.status_code == 201
    assert set(made.json()) == {"id", "name", "platform", "registered_at"}
    [row] = api.get("/devices").json()["results"]
    assert (row["name"], row["platform"]) == ("Alice's phone", "ios")
    assert api.delete(f"/devices/{row['id']}").status_code == 204
    assert api.delete(f"/devices/{row['id']}").status_code == 404
    assert api.get("/devices").json()["results"] == []
    assert logged(Action.DEVICE_REGISTERED) == logged(Action.DEVICE_REMOVED) == [alice.id]


def test_the_token_of_a_phone_is_never_told_again(client_of, alice):
    """S25"""
    api = client_of(alice)
    made = api.post("/devices", {"token": TOKEN})
    assert TOKEN not in made.content.decode() + api.get("/devices").content.decode()


def test_registering_a_phone_again_changes_nothing_but_what_is_said(client_of, alice):
    api = client_of(alice)
    first = api.post("/devices", {"token": TOKEN, "name": "old"}).json()
    second = api.post("/devices", {"token": TOKEN, "name": "new"}).json()
    assert first["id"] == second["id"]
    assert [row["name"] for row in api.get("/devices").json()["results"]] == ["new"]
    assert logged(Action.DEVICE_REGISTERED) == [alice.id]


def test_a_phone_that_changes_hands_is_no_longer_the_first_persons(client_of, alice, bob):
    """A push never reaches the wrong person: not for a moment is the phone both people's."""
    mine = client_of(alice).post("/devices", {"token": TOKEN}).json()
    client_of(bob).post("/devices", {"token": TOKEN})
    assert all_devices() == [(bob.id, TOKEN)]
    assert client_of(alice).get("/devices").json()["results"] == []
    assert client_of(alice).delete(f"/devices/{mine['id']}").status_code == 404
    assert logged(Action.DEVICE_REMOVED) == [alice.id]
    assert logged(Action.DEVICE_REGISTERED) == [alice.id, bob.id]


def test_the_first_person_learns_nothing_of_where_the_second_one_is(client_of, alice, bob):
    """S14: the log of one person names neither address nor session of another."""
    client_of(alice).post("/devices", {"token": TOKEN})
    client_of(bob).post("/devices", {"token": TOKEN})
    with tenancy.as_system("test"):
        (row,) = ActivityLog.objects.filter(action=Action.DEVICE_REMOVED)
        (own,) = ActivityLog.objects.filter(action=Action.DEVICE_REGISTERED, user=bob)
    assert (row.user_id, row.ip_address, row.session_id, row.request_id) == (
        alice.id, None, None, "",
    )  # fmt: skip
    assert None not in (own.ip_address, own.session_id)
    assert own.request_id
    rows = client_of(alice).get("/me/activity").json()["results"]
    (shown,) = [row for row in rows if row["action"] == Action.DEVICE_REMOVED]
    assert (shown["by"], shown["ip_address"], shown["session_id"]) == ("system", None, None)


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_register_one_phone_at_once_one_has_it():
    people = [factories.person(f"{name}@example.com") for name in "abcdefgh"]
    running = [session_of(person) for person in people]
    barrier, problems = threading.Barrier(len(people)), []

    def register(person: User, session_id: Any) -> None:
        barrier.wait()
        try:
            devices.register(
                user_id=person.id, session_id=session_id, token=TOKEN, name="", platform="",
                now=clock.now(),
            )  # fmt: skip
        except Exception as error:
            problems.append(error)
        connection.close()

    threads = [
        threading.Thread(target=register, args=pair) for pair in zip(people, running, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(all_devices()) == 1


def session_of(user: User) -> Any:
    signed_in = sessions.start(user=user, device=Device(), now=clock.now())
    return RefreshToken.read(signed_in.refresh).session_id


@pytest.mark.parametrize("why", ["ended", "expired", "refused"])
def test_a_phone_whose_session_is_over_is_neither_listed_nor_pushed_to(client_of, alice, why):
    api, now = client_of(alice), clock.now()
    device = api.post("/devices", {"token": TOKEN}).json()
    with tenancy.as_user(alice.id):
        assert notifications.reachable_devices(alice.id, now).count() == 1
        row = PushDevice.objects.get(id=device["id"])
        session = Session.objects.filter(id=row.session_id)
        if why == "ended":
            sessions.end(session, reason="signed_out", now=now)
        if why == "expired":
            session.update(expires_at=now - timedelta(seconds=1))
        if why == "refused":
            PushDevice.objects.update(refused_at=now)
        assert notifications.reachable_devices(alice.id, now).count() == 0
    assert client_of(alice).get("/devices").json()["results"] == []


def test_a_phone_that_was_refused_counts_again_once_it_is_registered_anew(client_of, alice):
    api = client_of(alice)
    api.post("/devices", {"token": TOKEN})
    with tenancy.as_user(alice.id):
        PushDevice.objects.update(refused_at=clock.now())
    api.post("/devices", {"token": TOKEN})
    assert len(api.get("/devices").json()["results"]) == 1


def test_a_person_keeps_the_newest_twenty_phones(client_of, alice, bob):
    factories.push_device(bob)
    api = client_of(alice)
    for number in range(22):
        api.post("/devices", {"token": f"ExponentPushToken[{number:022}]"})
    mine = [token for user_id, token in all_devices() if user_id == alice.id]
    assert mine == [f"ExponentPushToken[{number:022}]" for number in range(2, 22)]
    assert len(all_devices()) == 21


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "token"),
        ({"token": "x"}, "token"),
        ({"token": "ExponentPushToken[]"}, "token"),
        ({"token": "ExponentPushToken[a b]"}, "token"),
        ({"token": f"ExponentPushToken[{'a' * 300}]"}, "token"),
        ({"token": 5}, "token"),
        ({"token": TOKEN, "platform": "toaster"}, "platform"),
        ({"token": TOKEN, "name": "n" * 65}, "name"),
        ({"token": TOKEN, "user_id": str(ids.new_id())}, "user_id"),
        ({"token": TOKEN, "session_id": str(ids.new_id())}, "session_id"),
    ],
)
def test_what_is_no_phone_is_refused_by_field(client_of, alice, body, field):
    """S18"""
    answer = client_of(alice).post("/devices", body)
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == [field]
    assert all_devices() == []
