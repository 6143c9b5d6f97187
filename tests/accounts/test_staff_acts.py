"""What staff does for a person: each act by its page, its traces, and who is refused."""

from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.urls import reverse

from accounts import messages, tasks
from accounts.models import (
    DataExport,
    Delivery,
    RecoveryCode,
    SecondFactorReset,
    Session,
    User,
)
from accounts.second_factor import changes, methods
from accounts.staff import roles
from audit.actions import Action
from audit.models import ActivityLog
from billing.models import PlanGrant
from portfolios.models import PortfolioState, SyncRun
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tests.second_factors import add_passkey, enrol, password_step
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
    assert "unless they sign in" in do(desk_of, alice, "start-erasure", email=alice.email, **WHY)
    with tenancy.as_system("test"):
        assert User.objects.get(id=alice.id).closes_at == START + timedelta(days=14)
    assert [row.event for row in rows(Delivery, alice) if row.channel == "email"] == [
        "account_closing"
    ]


def test_who_is_locked_out_cannot_cancel_an_erasure_by_signing_in_and_that_is_said(alice, desk_of):
    page = unescape(desk_of.get(address(alice, "start-erasure")).content.decode())
    assert "Who is locked out cannot sign in" in page
    do(desk_of, alice, "lock-out")
    said = do(desk_of, alice, "start-erasure", email=alice.email, **WHY)
    assert "cannot cancel it by signing in" in said
    assert "unless they sign in" not in said


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
def sent_of(user: User, what: str) -> str:
    """The e-mail about a reset that says so."""
    [row] = [
        row for row in rows(Delivery, user)
        if row.event == "second_factor_reset" and row.channel == "email"
        and row.parameters["what"] == what
    ]  # fmt: skip
    with tenancy.as_system("test"):
        return messages.write(row, now=clock.now()).text


def reset_link(user: User) -> str:
    text = sent_of(user, "asked")
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


@pytest.mark.parametrize("meanwhile", ["totp", "recovery_code", "passkey", "passkey alone"])
def test_nothing_is_removed_from_who_showed_a_second_factor(
    alice, desk_of, the_time, client_of, meanwhile
):
    phone, codes = enrol(alice, START - timedelta(hours=1))
    key, _ = add_passkey(alice)
    do(desk_of, alice, "reset-second-factor", **WHY)
    the_time.shift(timedelta(hours=2))
    api = client_of()
    if meanwhile == "passkey alone":
        nonce = api.post("/auth/passkey/options").json()
        done = api.post("/auth/passkey", {"passkey": key.get(nonce)})
    else:
        challenge = password_step(api, alice)["challenge"]
        given = {"totp": phone.code(clock.now()), "recovery_code": codes[0]}
        if meanwhile == "passkey":
            options = api.post("/auth/passkey/options", {"challenge": challenge}).json()
            given["passkey"] = key.get(options)
        proof = {"challenge": challenge, meanwhile: given[meanwhile]}
        done = api.post("/auth/login/second-factor", proof)
    assert done.status_code == 200
    stays_as_it_is(alice, the_time, ["totp", "passkey", "recovery_code"])


@pytest.mark.parametrize("added", ["app", "passkey"])
def test_nothing_is_removed_from_who_added_a_second_factor(alice, desk_of, the_time, added):
    enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    the_time.shift(timedelta(hours=2))
    if added == "app":
        enrol(alice, clock.now())
    else:
        add_passkey(alice)
    expected = ["totp", "recovery_code"] if added == "app" else ["totp", "passkey", "recovery_code"]
    stays_as_it_is(alice, the_time, expected)


def test_a_code_that_let_somebody_in_counts_after_it_went_with_the_lost_app(
    alice, desk_of, the_time, client_of
):
    """The code's row and the app's are gone when the day is over, and so is what they said."""
    _, codes = enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    the_time.shift(timedelta(hours=2))
    challenge = password_step(client_of(), alice)["challenge"]
    proof = {"challenge": challenge, "recovery_code": codes[0]}
    assert client_of().post("/auth/login/second-factor", proof).status_code == 200
    changes.remove_totp(user_id=alice.id, keep=None, now=clock.now())
    assert rows(RecoveryCode, alice) == []
    stays_as_it_is(alice, the_time, [])


def stays_as_it_is(person: User, the_time, expected: list[str]) -> None:
    """The reset ended as not needed, and a day later nothing has changed and nobody is put out."""
    [row] = rows(SecondFactorReset, person)
    assert (row.state, row.ended_at) == ("not_needed", clock.now())
    factories.session(person)
    the_time.shift(timedelta(hours=23))
    tasks.apply_second_factor_resets()
    assert methods(person.id) == expected
    assert rows(Session, person)[-1].ended_at is None
    assert rows(SecondFactorReset, person)[0].state == "not_needed"
    assert told(person, "second_factor_reset").count(("email", "not_needed")) == 1
    assert len(acts(person, Action.SECOND_FACTOR_RESET_NOT_NEEDED)) == 1
    assert "used or added one since" in sent_of(person, "not_needed")


@pytest.mark.parametrize("how", ["wrong code", "an app that is not confirmed"])
def test_what_is_no_second_factor_keeps_no_reset_from_being_done(
    alice, desk_of, the_time, client_of, how
):
    enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    if how == "wrong code":
        proof = {"challenge": password_step(client_of(), alice)["challenge"], "totp": "000000"}
        assert client_of().post("/auth/login/second-factor", proof).status_code == 401
    else:
        changes.begin_totp(user_id=alice.id, email=alice.email, now=clock.now())
    the_time.shift(timedelta(hours=24))
    tasks.apply_second_factor_resets()
    assert methods(alice.id) == []


def test_who_is_locked_out_keeps_their_second_factor_and_is_told_that_this_is_why(
    alice, desk_of, the_time
):
    enrol(alice, START - timedelta(hours=1))
    do(desk_of, alice, "reset-second-factor", **WHY)
    do(desk_of, alice, "lock-out")
    the_time.shift(timedelta(hours=25))
    tasks.apply_second_factor_resets()
    assert methods(alice.id) == ["totp", "recovery_code"]
    assert rows(SecondFactorReset, alice)[0].state == "not_needed"
    text = sent_of(alice, "locked_out")
    assert "Your account is locked" in text
    assert "used" not in text


def test_one_reset_that_fails_holds_up_no_other(alice, bob, desk_of, the_time):
    for person in (alice, bob):
        enrol(person, START - timedelta(hours=1))
        do(desk_of, person, "reset-second-factor", **WHY)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'refused'; END $$;
            """
            f"CREATE TRIGGER refuse_one BEFORE UPDATE ON second_factor_resets FOR EACH ROW "
            f"WHEN (NEW.user_id = '{alice.id}') EXECUTE FUNCTION refuse_one()"
        )
    the_time.shift(timedelta(hours=24))
    tasks.apply_second_factor_resets()
    assert [methods(person.id) for person in (alice, bob)] == [["totp", "recovery_code"], []]
    assert rows(SecondFactorReset, alice)[0].state == "waiting"
