"""People and roles in the admin: what staff may change about them, and what is written of it."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Delivery, Session, User
from audit.actions import Action
from audit.models import ActivityLog
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, tenancy

USERS = "admin:accounts_user_changelist"
NEW_PASSWORD = "another horse battery staple"


def _staff(email: str, *codenames: str, **fields) -> User:
    with tenancy.as_system("test"):
        user = User.objects.create_user(email, PASSWORD, is_staff=True, **fields)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def boss(db):
    return _staff("boss@example.com", is_superuser=True)


@pytest.fixture
def supporter(db):
    return _staff("supporter@example.com", "view_user", "change_user", "add_user")


def change_page(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.id])


def password_page(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=[user.id])


def act(client: Client, action: str, *people: User) -> str:
    chosen = {"action": action, "_selected_action": [str(person.id) for person in people]}
    answer = client.post(reverse(USERS), chosen, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def reread(user: User) -> User:
    with tenancy.as_system("test"):
        return User.objects.get(id=user.id)


def written(action: Action = Action.STAFF_ACTED) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).order_by("id"))


def reasons(user: User) -> list[str]:
    with tenancy.as_system("test"):
        return list(Session.objects.filter(user=user).values_list("end_reason", flat=True))


def test_a_person_is_added_with_email_and_password(boss):
    answer = signed_in(boss).post(
        reverse("admin:accounts_user_add"),
        {
            "email": "New.Person@Example.com",
            "usable_password": "true",
            "password1": NEW_PASSWORD,
            "password2": NEW_PASSWORD,
        },
    )
    assert answer.status_code == 302
    with tenancy.as_system("test"):
        added = User.objects.get(email="new.person@example.com")
    assert added.check_password(NEW_PASSWORD)
    (entry,) = written()
    assert (entry.actor_id, entry.user_id) == (boss.id, added.id)
    assert entry.details["did"] == "add"
    assert entry.details["object_id"] == str(added.id)


def test_weak_passwords_and_taken_addresses_are_refused(boss, alice):
    """S01: the rules of signing up hold here too, whatever the spelling."""
    for email, password in (("ALICE@example.com", NEW_PASSWORD), ("new@example.com", "short")):
        answer = signed_in(boss).post(
            reverse("admin:accounts_user_add"),
            {
                "email": email,
                "usable_password": "true",
                "password1": password,
                "password2": password,
            },
        )
        assert answer.status_code == 200
        assert "errorlist" in answer.content.decode()


def test_a_change_is_written_with_the_names_of_its_columns(boss, alice):
    answer = signed_in(boss).post(
        change_page(alice),
        {"email": "Alice.New@example.com", "is_active": "on", "is_staff": "on"},
    )
    assert answer.status_code == 302
    assert reread(alice).email == "alice.new@example.com"
    (entry,) = written()
    assert entry.details == {
        "did": "change",
        "model": "accounts.user",
        "object_id": str(alice.id),
        "changed": ["email", "is_staff"],
    }
    assert (entry.actor_id, entry.user_id) == (boss.id, alice.id)
    with tenancy.as_system("test"):
        assert LogEntry.objects.get().user_id == boss.id


def test_the_plan_and_preferences_are_for_reading(boss, alice):
    client = signed_in(boss)
    body = client.get(change_page(alice)).content.decode()
    assert "Subscription tier" in body
    assert "Cost basis method" in body
    assert alice.password not in body
    client.post(
        change_page(alice),
        {"email": alice.email, "is_active": "on", "subscription_tier": "pro", "time_zone": "X/Y"},
    )
    assert (reread(alice).subscription_tier, reread(alice).time_zone) == ("free", "UTC")


def test_a_new_password_works_and_ends_the_sessions(boss, alice, client_of):
    """S09"""
    api = client_of(alice)
    answer = signed_in(boss).post(
        password_page(alice),
        {
            "usable_password": "true",
            "password1": NEW_PASSWORD,
            "password2": NEW_PASSWORD,
            "set-password": "",
        },
    )
    assert answer.status_code == 302
    assert reread(alice).check_password(NEW_PASSWORD)
    assert api.get("/me").status_code == 401
    assert reasons(alice) == ["password_changed"]
    (entry,) = written()
    assert entry.details["changed"] == ["password"]
    assert NEW_PASSWORD not in str(entry.details)


def test_deactivating_locks_out_at_the_next_call(supporter, alice, bob, client_of):
    """S09"""
    api, untouched = client_of(alice), client_of(bob)
    assert "Deactivated: 1." in act(signed_in(supporter), "deactivate_people", alice)
    assert not reread(alice).is_active
    assert api.get("/me").status_code == 401
    assert untouched.get("/me").status_code == 200
    (entry,) = written(Action.USER_DEACTIVATED)
    assert (entry.actor_id, entry.user_id) == (supporter.id, alice.id)


def test_who_is_let_in_again_signs_in_anew(supporter, alice, client_of):
    api = client_of(alice)
    act(signed_in(supporter), "deactivate_people", alice)
    assert "Let in again: 1." in act(signed_in(supporter), "reactivate_people", alice)
    assert api.get("/me").status_code == 401
    assert client_of(reread(alice)).get("/me").status_code == 200
    (entry,) = written(Action.USER_REACTIVATED)
    assert (entry.actor_id, entry.user_id) == (supporter.id, alice.id)


def test_an_address_corrected_by_staff_is_not_proved_and_the_old_one_is_told(boss, alice):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(email_confirmed_at=clock.now())
    page = {"email": "Alice.New@Example.com", "is_active": "on"}
    signed_in(boss).post(change_page(alice), page)
    assert (reread(alice).email, reread(alice).email_confirmed_at) == (
        "alice.new@example.com",
        None,
    )
    with tenancy.as_system("test"):
        (told,) = Delivery.objects.filter(user=alice, channel="email")
    assert (told.event, told.address) == ("email_change_announced", "alice@example.com")


def test_deactivating_by_the_form_ends_the_sessions_too(boss, alice, client_of):
    """S09"""
    client_of(alice)
    signed_in(boss).post(change_page(alice), {"email": alice.email})
    assert not reread(alice).is_active
    assert reasons(alice) == ["deactivated"]
    assert written()[0].details["changed"] == ["is_active"]


def test_ending_sessions_signs_out_everywhere(supporter, alice, client_of):
    """S09"""
    one, other = client_of(alice), client_of(alice)
    assert "2 sessions ended" in act(signed_in(supporter), "end_their_sessions", alice)
    assert {one.get("/me").status_code, other.get("/me").status_code} == {401}
    assert reread(alice).is_active
    (entry,) = written(Action.SESSIONS_ENDED)
    assert entry.details["ended"] == 2
    assert entry.actor_id == supporter.id


def test_support_cannot_make_itself_anything_more(supporter, boss, alice):
    """S19: privileges are out of reach, and so are members of staff."""
    client = signed_in(supporter)
    client.post(
        change_page(alice),
        {"email": alice.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"},
    )
    assert not reread(alice).is_staff
    assert not reread(alice).is_superuser
    for person in (boss, supporter):
        assert client.post(change_page(person), {"email": "x@example.com"}).status_code == 403
        assert client.post(password_page(person), {}).status_code == 403
    body = act(client, "deactivate_people", boss, supporter)
    assert "left out: 2." in body
    assert reread(boss).is_active
    assert reread(supporter).is_active


def test_nobody_deactivates_themself(boss):
    assert "left out: 1." in act(signed_in(boss), "deactivate_people", boss)
    assert reread(boss).is_active


def test_people_are_never_deleted_by_a_form(boss, alice):
    address = reverse("admin:accounts_user_delete", args=[alice.id])
    assert signed_in(boss).post(address, {"post": "yes"}).status_code == 403
    act(signed_in(boss), "delete_selected", alice)
    assert reread(alice)


def test_actions_need_the_permission_to_change(alice, client_of):
    """S19"""
    reader = _staff("reader@example.com", "view_user")
    client = signed_in(reader)
    act(client, "deactivate_people", alice)
    act(client, "end_their_sessions", alice)
    assert reread(alice).is_active
    assert not written()
    assert "set a new one" not in client.get(change_page(alice)).content.decode()


def test_roles_are_written_to_the_log_when_added_changed_and_deleted(boss):
    client = signed_in(boss)
    client.post(reverse("admin:auth_group_add"), {"name": "support"})
    group = Group.objects.get(name="support")
    client.post(reverse("admin:auth_group_change", args=[group.id]), {"name": "lead"})
    client.post(reverse("admin:auth_group_delete", args=[group.id]), {"post": "yes"})
    entries = written()
    assert [entry.details["did"] for entry in entries] == ["add", "change", "delete"]
    assert entries[1].details["changed"] == ["name"]
    assert {entry.actor_id for entry in entries} == {boss.id}
    assert {entry.details["object_id"] for entry in entries} == {str(group.id)}
    assert {entry.user_id for entry in entries} == {None}
