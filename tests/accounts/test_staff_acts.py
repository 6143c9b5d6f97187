"""What staff does for a person: each act by its page, its traces, and who is refused."""

from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts import messages, tasks
from accounts.models import (
    DataExport,
    Delivery,
    SecondFactorReset,
    Session,
    TotpDevice,
    User,
)
from accounts.second_factor import methods
from accounts.staff import roles
from audit.actions import Action
from audit.models import ActivityLog
from billing.models import PlanGrant
from portfolios.models import PortfolioState, SyncRun
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tests.second_factors import enrol, password_step
from tracker import clock, desk, tenancy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHY = {"reason": "ticket 7, called back"}


@pytest.fixture(autouse=True)
def the_time():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def lead(db) -> User:
    user = factories.person("lead@example.com", is_staff=True)
    with tenancy.as_system("test"):
        user.groups.set([Group.objects.get(name=roles.LEAD)])
    return user


@pytest.fixture
def desk_of(lead):
    """The lead in the admin."""
    return signed_in(lead)


def address(person: User, slug: str) -> str:
    return reverse("admin:person_act", args=[person.id, slug])


def do(client, person: User, slug: str, **given) -> str:
    """The page after an act that worked: what it says was done."""
    answer = client.post(address(person, slug), given, follow=True)
    assert answer.redirect_chain, answer.content.decode()[:2000]
    [told] = [str(message) for message in answer.context["messages"]]
    return told


def refused(client, person: User, slug: str, **given) -> tuple[int, str]:
    answer = client.post(address(person, slug), given)
    return answer.status_code, answer.content.decode()


def acts(user: User, action: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(user=user, action=action).order_by("id"))


def rows(model, user: User) -> list:
    with tenancy.as_system("test"):
        return list(model.objects.filter(user=user).order_by("pk"))


def told(user: User, event: str) -> list[tuple[str, str]]:
    found = [row for row in rows(Delivery, user) if row.event == event]
    return [(row.channel, row.parameters["what"]) for row in found]


# --- every act ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("slug", "given", "action"),
    [
        ("resend-confirmation", {}, Action.EMAIL_CONFIRMATION_SENT),
        ("end-sessions", {}, Action.SESSIONS_ENDED),
        ("lock-out", {}, Action.USER_DEACTIVATED),
        ("let-in", {}, Action.USER_REACTIVATED),
        ("reset-second-factor", WHY, Action.SECOND_FACTOR_RESET_ASKED),
        ("start-export", {}, Action.EXPORT_REQUESTED),
        ("start-erasure", WHY | {"email": "Alice@example.com"}, Action.USER_CLOSING),
        ("sync-now", {"connection": ""}, Action.SYNC_REQUESTED),
        ("rebuild", {}, Action.REBUILD_REQUESTED),
        ("grant-plan", WHY | {"tier": "pro", "days": "3"}, Action.PLAN_GRANTED),
    ],
)  # fmt: skip
def test_each_act_says_what_it_does_does_it_and_stands_in_the_log(
    alice, lead, desk_of, slug, given, action
):
    factories.connection(alice)
    enrol(alice, START)
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(email_confirmed_at=None)
    page = unescape(desk_of.get(address(alice, slug)).content.decode())
    assert desk._desk.acts[slug].explanation in page
    assert alice.email in page
    assert do(desk_of, alice, slug, **given)
    [entry] = [row for row in acts(alice, action) if row.actor_id]
    assert entry.actor_id == lead.id
    if "reason" in given and action != Action.PLAN_GRANTED:
        assert entry.details["reason"] == given["reason"]


def test_acts_leave_behind_what_they_say(alice, lead, desk_of):
    connected = factories.connection(alice)
    factories.session(alice)
    do(desk_of, alice, "sync-now", connection=str(connected.id))
    do(desk_of, alice, "rebuild")
    do(desk_of, alice, "grant-plan", tier="pro", days="3", **WHY)
    do(desk_of, alice, "start-export")
    do(desk_of, alice, "end-sessions")
    assert [run.trigger for run in rows(SyncRun, alice)] == ["staff"]
    [state] = rows(PortfolioState, alice)
    assert state.ledger_revision > state.derived_revision
    [grant] = rows(PlanGrant, alice)
    assert (grant.ends_at, grant.granted_by) == (START + timedelta(days=3), lead.id)
    assert len(rows(DataExport, alice)) == 1
    assert {row.end_reason for row in rows(Session, alice)} == {"ended_by_staff"}


def test_an_erasure_needs_the_address_typed_and_changes_nothing_without(alice, desk_of):
    status, page = refused(desk_of, alice, "start-erasure", email="bob@example.com", **WHY)
    assert (status, "not the address of this person" in page) == (400, True)
    assert refused(desk_of, alice, "start-erasure", email=alice.email)[0] == 200  # no reason
    with tenancy.as_system("test"):
        assert User.objects.get(id=alice.id).closes_at is None
    do(desk_of, alice, "start-erasure", email=alice.email, **WHY)
    with tenancy.as_system("test"):
        assert User.objects.get(id=alice.id).closes_at == START + timedelta(days=14)
    assert [row.event for row in rows(Delivery, alice) if row.channel == "email"] == [
        "account_closing"
    ]


def test_what_cannot_be_done_is_said_in_a_sentence(alice, desk_of):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(email_confirmed_at=START)
    status, page = refused(desk_of, alice, "resend-confirmation")
    assert (status, "already confirmed" in page) == (409, True)
    status, page = refused(desk_of, alice, "reset-second-factor", **WHY)
    assert (status, "has no second factor" in page) == (409, True)
    status, page = refused(desk_of, alice, "view-as", **WHY)
    assert (status, "does not let support see" in page) == (409, True)
    assert refused(desk_of, alice, "keep-second-factor")[0] == 404
    status, page = refused(desk_of, alice, "grant-plan", tier="nonsense", days="0", **WHY)
    assert (status, "errorlist" in page) == (200, True)
    bad = refused(desk_of, alice, "sync-now", connection="\x00")
    assert bad[0] == 200
    assert not rows(PlanGrant, alice)


def test_nobody_acts_on_staff_or_on_themself(alice, lead, desk_of):
    """S19"""
    with tenancy.as_system("test"):
        other = User.objects.create_user("other@example.com", PASSWORD, is_staff=True)
        root = User.objects.create_superuser("root@example.com", PASSWORD)
    for slug in desk._desk.acts:
        for person in (other, root, lead):
            assert desk_of.get(address(person, slug)).status_code == 403, slug
            assert desk_of.post(address(person, slug), WHY).status_code == 403, slug
    assert signed_in(root).get(address(other, "end-sessions")).status_code == 200
    assert signed_in(root).get(address(root, "end-sessions")).status_code == 403
    assert desk_of.get(address(alice, "unknown")).status_code == 403
    nobody = User(id=lead.id.__class__(int=1))
    assert desk_of.get(address(nobody, "end-sessions")).status_code == 404


# --- the second factor, a day later -------------------------------------------------------------
def reset_link(user: User) -> str:
    [row] = [
        row for row in rows(Delivery, user)
        if row.event == "second_factor_reset" and row.channel == "email"
        and row.parameters["what"] == "asked"
    ]  # fmt: skip
    with tenancy.as_system("test"):
        text = messages.write(row, now=clock.now()).text
    [line] = [line for line in text.splitlines() if "/cancel-second-factor-reset" in line]
    return line.strip()


def test_a_reset_is_announced_done_after_a_day_once_and_announced_again(
    alice, lead, desk_of, the_time
):
    enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    do(desk_of, alice, "reset-second-factor", reason="again")
    assert len(rows(SecondFactorReset, alice)) == 1
    assert sorted(told(alice, "second_factor_reset")) == [("email", "asked"), ("live", "asked")]
    the_time.shift(timedelta(hours=23, minutes=59))
    tasks.apply_second_factor_resets()
    assert methods(alice.id) == ["totp", "recovery_code"]
    the_time.shift(timedelta(minutes=1))
    tasks.apply_second_factor_resets()
    tasks.apply_second_factor_resets()
    assert methods(alice.id) == []
    [row] = rows(SecondFactorReset, alice)
    assert (row.state, row.ended_at) == ("done", START + timedelta(hours=24))
    assert told(alice, "second_factor_changed").count(("email", "reset")) == 1
    [entry] = acts(alice, Action.STAFF_ACTED)
    assert (entry.actor_id, entry.details["did"]) == (lead.id, "reset_second_factor")


def test_the_person_cancels_by_the_link_and_opening_it_alone_does_nothing(
    alice, desk_of, client, the_time
):
    enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    parts = urlsplit(reset_link(alice))
    token = parse_qs(parts.query)["token"][0]
    page = client.get(parts.path, {"token": token})
    assert (page.status_code, "Keep it" in page.content.decode()) == (200, True)
    assert rows(SecondFactorReset, alice)[0].state == "waiting"
    for bad in ("", "x", token[:-2], token + "A", "A" * 300, "\x00"):
        assert client.post(parts.path, {"token": bad}).status_code == 410, bad
    assert client.post(parts.path, {"token": token}).status_code == 200
    assert client.post(parts.path, {"token": token}).status_code == 410
    the_time.shift(timedelta(days=2))
    tasks.apply_second_factor_resets()
    assert "totp" in methods(alice.id)
    assert rows(SecondFactorReset, alice)[0].state == "cancelled"
    assert ("email", "cancelled") in told(alice, "second_factor_reset")


def test_the_person_cancels_in_the_app_and_staff_in_the_admin(alice, bob, lead, desk_of, client_of):
    for person in (alice, bob):
        enrol(person, START - timedelta(hours=1))
        do(desk_of, person, "reset-second-factor", **WHY)
    api = client_of(alice)
    assert api.get("/me/second-factor/reset").json() == {
        "is_waiting": True, "asked_at": "2026-03-01T12:00:00Z", "due_at": "2026-03-02T12:00:00Z",
    }  # fmt: skip
    assert api.delete("/me/second-factor/reset").status_code == 204
    assert api.delete("/me/second-factor/reset").status_code == 404
    assert api.get("/me/second-factor/reset").json()["is_waiting"] is False
    assert [row.state for row in rows(SecondFactorReset, bob)] == ["waiting"]
    do(desk_of, bob, "keep-second-factor")
    [row] = rows(SecondFactorReset, bob)
    assert (row.state, row.cancelled_by) == ("cancelled", lead.id)
    assert rows(SecondFactorReset, alice)[0].cancelled_by is None


@pytest.mark.parametrize("meanwhile", ["totp", "recovery_code", "locked out"])
def test_nothing_is_removed_from_who_showed_a_second_factor_or_is_locked_out(
    alice, lead, desk_of, the_time, client_of, meanwhile
):
    phone, codes = enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    the_time.shift(timedelta(hours=2))
    if meanwhile == "locked out":
        do(signed_in(lead), alice, "lock-out")  # anew: two idle hours end a session
    else:
        proof = phone.code(clock.now()) if meanwhile == "totp" else codes[0]
        challenge = password_step(client_of(), alice)["challenge"]
        done = client_of().post(
            "/auth/login/second-factor", {"challenge": challenge, meanwhile: proof}
        )
        assert done.status_code == 200
    the_time.shift(timedelta(hours=23))
    tasks.apply_second_factor_resets()
    with tenancy.as_system("test"):
        assert TotpDevice.objects.filter(user=alice).count() == 1
    assert rows(SecondFactorReset, alice)[0].state == "not_needed"
    assert ("email", "not_needed") in told(alice, "second_factor_reset")
