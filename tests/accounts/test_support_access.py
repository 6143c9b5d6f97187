"""Support sees what the app shows a person: by consent, for a short time, and written down."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import InternalError
from django.urls import reverse

from accounts.models import Delivery, SupportAccess, SupportViewing, User
from accounts.staff import parts, roles
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tests.admin_client import signed_in
from tracker import desk, tenancy
from tracker.tenancy import TenancyError

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHY = {"reason": "ticket 7"}
SCREENS = ("home", "holdings", "trades", "transfers", "connections", "problems", "settings")


@pytest.fixture(autouse=True)
def the_time():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def member(email: str, role: str) -> User:
    user = factories.person(email, is_staff=True)
    with tenancy.as_system("test"):
        user.groups.set([Group.objects.get(name=role)])
    return user


@pytest.fixture
def lead(db) -> User:
    return member("lead@example.com", roles.LEAD)


@pytest.fixture
def looking(alice, lead, client_of):
    """The lead, in a viewing of what Alice sees."""
    factories.something_everywhere(alice)
    assert client_of(alice).post("/me/support-access", {"hours": 24}).status_code == 201
    client = signed_in(lead)
    assert begin(client, alice).status_code == 302
    return client


def begin(client, person: User):
    return client.post(reverse("admin:person_act", args=[person.id, "view-as"]), WHY)


def screen(person: User, slug: str = "") -> str:
    if slug:
        return reverse("admin:person_screen", args=[person.id, slug])
    return reverse("admin:person_viewing", args=[person.id])


def acts(user: User, action: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(user=user, action=action).order_by("id"))


def is_over(client, person: User) -> bool:
    answer = client.get(screen(person))
    return answer.status_code == 302 and answer["Location"].endswith("/do/view-as/")


def told(user: User) -> list[tuple[str, str]]:
    with tenancy.as_system("test"):
        found = Delivery.objects.filter(user=user, event="support_access").order_by("id")
        return [(row.channel, row.parameters["what"]) for row in found]


# --- consent ------------------------------------------------------------------------------------
def test_a_person_lets_support_see_and_ends_it(alice, client_of):
    api = client_of(alice)
    nothing = {"is_allowed": False, "given_at": None, "until": None, "viewings": []}
    assert api.get("/me/support-access").json() == nothing
    given = api.post("/me/support-access", {"hours": 72})
    assert given.status_code == 201
    assert given.json() == {
        "is_allowed": True, "given_at": "2026-03-01T12:00:00Z", "until": "2026-03-04T12:00:00Z",
        "viewings": [],
    }  # fmt: skip
    assert api.post("/me/support-access", {"hours": 1}).json()["until"] == "2026-03-01T13:00:00Z"
    assert api.delete("/me/support-access").status_code == 204
    assert api.delete("/me/support-access").status_code == 204
    assert api.get("/me/support-access").json() == nothing
    assert len(acts(alice, Action.SUPPORT_ACCESS_GIVEN)) == 2
    assert len(acts(alice, Action.SUPPORT_ACCESS_ENDED)) == 1
    assert told(alice).count(("email", "given")) == 2


@pytest.mark.parametrize(
    "body", [{}, {"hours": 0}, {"hours": 73}, {"hours": "x"}, {"hours": 1, "more": 1}, []]
)
def test_other_hours_are_refused(alice, client_of, body):
    assert client_of(alice).post("/me/support-access", body).status_code == 400
    with tenancy.as_system("test"):
        assert not SupportAccess.objects.exists()


def test_consent_is_of_one_person_alone_and_no_key_of_a_program_gives_it(alice, bob, client_of):
    client_of(alice).post("/me/support-access", {"hours": 1})
    assert client_of(bob).get("/me/support-access").json()["is_allowed"] is False
    client_of(bob).delete("/me/support-access")
    assert client_of(alice).get("/me/support-access").json()["is_allowed"] is True
    assert client_of().post("/me/support-access", {"hours": 1}).status_code == 401


# --- looking ------------------------------------------------------------------------------------
def test_every_page_shows_what_the_app_shows_is_marked_and_written_down(alice, lead, looking):
    texts = {}
    for slug in SCREENS:
        answer = looking.get(screen(alice, slug))
        assert answer.status_code == 200, slug
        texts[slug] = answer.content.decode()
        assert 'id="viewing-banner"' in texts[slug]
        assert "alice@example.com" in texts[slug]
        assert "until 12:30 UTC" in texts[slug]
    assert [shown.slug for shown in desk.screens()] == list(SCREENS)
    assert "BTC/USDT" in texts["trades"]
    assert "everything" in texts["connections"]
    for text in texts.values():
        assert "k" * 64 not in text
        assert "s" * 64 not in text
    viewed = acts(alice, Action.SUPPORT_VIEWED)
    assert [row.details["page"] for row in viewed] == list(SCREENS)
    assert {row.actor_id for row in viewed} == {lead.id}


def test_the_figures_are_those_of_the_api(alice, looking, client_of):
    home = client_of(alice).get("/portfolio").json()
    page = looking.get(screen(alice)).content.decode()
    assert f"<td>{home['total_value']}</td>" in page
    shown = looking.get(screen(alice, "holdings")).context["parts"]
    listed = client_of(alice).get("/holdings").json()["results"]
    assert sum(len(part.rows) for part in shown) == len(listed) > 0


def test_nobody_elses_rows_are_shown(alice, bob, looking):
    factories.connection(bob, label="the connection of bob")
    assert "of bob" not in looking.get(screen(alice, "connections")).content.decode()
    assert is_over(looking, bob)


def test_the_person_is_told_as_it_begins_and_sees_each_viewing(alice, looking, client_of):
    assert ("email", "viewing") in told(alice)
    assert ("live", "viewing") in told(alice)
    looking.get(screen(alice))
    looking.get(screen(alice, "trades"))
    [seen, *_] = client_of(alice).get("/me/support-access").json()["viewings"]
    assert seen == seen | {
        "began_at": "2026-03-01T12:00:00Z", "ends_at": "2026-03-01T12:30:00Z", "ended_at": None,
        "reason": "ticket 7", "pages": 2,
    }  # fmt: skip
    assert "actor_id" not in seen
    assert begin(looking, alice).status_code == 302
    assert told(alice).count(("email", "viewing")) == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_only_reading_is_answered(alice, looking, method):
    for slug in ("", *SCREENS):
        assert getattr(looking, method)(screen(alice, slug)).status_code == 405


def test_the_database_refuses_to_write_while_a_page_is_read(alice):
    with tenancy.as_system("test"):
        with pytest.raises(InternalError), tenancy.narrowed_to(alice.id, read_only=True):
            User.objects.filter(id=alice.id).update(theme="dark")
        assert tenancy.current().system == "test"
        assert User.objects.filter(id=alice.id).update(theme="dark") == 1


def test_a_narrowed_transaction_sees_one_person_and_is_the_system_again_after(alice, bob):
    with tenancy.as_system("test"):
        with tenancy.narrowed_to(alice.id):
            assert list(User.objects.values_list("email", flat=True)) == [alice.email]
            with pytest.raises(TenancyError), tenancy.as_user(bob.id):
                pass
        assert User.objects.count() == 2
        with pytest.raises(ZeroDivisionError), tenancy.narrowed_to(alice.id):
            raise ZeroDivisionError
        assert User.objects.count() == 2
    with pytest.raises(TenancyError), tenancy.narrowed_to(alice.id):
        pass
    with tenancy.as_user(bob.id), pytest.raises(TenancyError), tenancy.narrowed_to(alice.id):
        pass


# --- the end ------------------------------------------------------------------------------------
def test_it_ends_after_half_an_hour(alice, looking, the_time):
    the_time.shift(timedelta(minutes=29, seconds=59))
    assert looking.get(screen(alice)).status_code == 200
    the_time.shift(timedelta(seconds=1))
    assert is_over(looking, alice)
    assert len(acts(alice, Action.SUPPORT_VIEWED)) == 1


def test_it_ends_with_the_consent(alice, lead, client_of, the_time):
    client_of(alice).post("/me/support-access", {"hours": 1})
    the_time.shift(timedelta(minutes=45))
    client = signed_in(lead)
    begin(client, alice)
    the_time.shift(timedelta(minutes=15))
    assert is_over(client, alice)
    assert begin(client, alice).status_code == 409


@pytest.mark.parametrize("how", ["person", "given anew", "button", "locked out", "role"])
def test_it_ends_at_once(alice, lead, looking, client_of, how):
    if how == "person":
        client_of(alice).delete("/me/support-access")
    elif how == "button":
        looking.post(reverse("admin:person_act", args=[alice.id, "stop-viewing"]))
        assert len(acts(alice, Action.SUPPORT_VIEWING_ENDED)) == 1
    elif how == "locked out":
        with tenancy.as_system("test"):
            User.objects.filter(id=alice.id).update(is_active=False)
    elif how == "role":
        with tenancy.as_system("test"):
            lead.groups.set([Group.objects.get(name=roles.SUPPORT)])
        assert looking.get(screen(alice)).status_code == 403
        return
    else:  # it goes on: what counts is that support is let see
        client_of(alice).post("/me/support-access", {"hours": 2})
        assert looking.get(screen(alice)).status_code == 200
        return
    assert is_over(looking, alice)


def ended(api) -> list[str | None]:
    """When the viewings were ended before their time, the newest first."""
    return [seen["ended_at"] for seen in api.get("/me/support-access").json()["viewings"]][:-1]


@pytest.mark.parametrize("then", ["the person ends it", "another begins"])
def test_a_viewing_that_ran_out_was_ended_by_nobody(
    alice, lead, looking, client_of, the_time, then
):
    """However long after it something else ends: the history tells how long somebody looked."""
    the_time.shift(timedelta(hours=3))
    if then == "another begins":
        begin(signed_in(lead), alice)
        assert ended(client_of(alice)) == [None, None]
        the_time.shift(timedelta(minutes=10))
    client_of(alice).delete("/me/support-access")
    early = ["2026-03-01T15:10:00Z"] if then == "another begins" else []
    assert ended(client_of(alice)) == [*early, None]
    with tenancy.as_system("test"):
        first = SupportViewing.objects.filter(user=alice, actor_id=lead.id).order_by("id")[0]
    assert first.ended_at == first.ends_at == START + timedelta(minutes=30)


def test_a_consent_that_ran_out_is_not_ended_again(alice, client_of, the_time):
    api = client_of(alice)
    api.post("/me/support-access", {"hours": 1})
    the_time.shift(timedelta(minutes=61))
    assert client_of(alice).delete("/me/support-access").status_code == 204
    assert acts(alice, Action.SUPPORT_ACCESS_ENDED) == []
    with tenancy.as_system("test"):
        assert SupportAccess.objects.get(user=alice).ended_at == START + timedelta(hours=1)


def test_a_viewing_is_of_one_member_of_staff_alone(alice, looking):
    other = signed_in(member("other@example.com", roles.LEAD))
    assert is_over(other, alice)
    supporter = signed_in(member("supporter@example.com", roles.SUPPORT))
    for address in (screen(alice), screen(alice, "trades")):
        assert supporter.get(address).status_code == 403
    with tenancy.as_system("test"):
        assert SupportViewing.objects.filter(user=alice, ended_at=None).count() == 1


def test_a_page_that_there_is_not_is_not_found_and_not_counted(alice, looking):
    assert looking.get(screen(alice, "nothing")).status_code == 404
    assert not acts(alice, Action.SUPPORT_VIEWED)


# --- as tables ----------------------------------------------------------------------------------
def test_an_answer_becomes_tables_and_nothing_is_left_out():
    answer = {
        "total": "1.5", "is_partial": False, "since": None, "codes": ["a", "b"],
        "change": {"value": "2"}, "rows": [{"a": 1}, {"a": 2, "b": {"c": 3}}], "none": [],
    }  # fmt: skip
    shown = [(part.title, list(part.headers), [list(row) for row in part.rows])
             for part in parts.of(answer)]  # fmt: skip
    assert shown == [
        ("", [], [["total", "1.5"], ["is partial", "no"], ["since", "–"], ["codes", '["a","b"]'],
                  ["none", "–"]]),
        ("change", [], [["value", "2"]]),
        ("rows", ["a", "b"], [["1", "–"], ["2", '{"c":3}']]),
    ]  # fmt: skip
