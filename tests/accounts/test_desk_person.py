"""A person's page in the admin: everything for a ticket, in few queries, and nothing secret."""

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Delivery, Passkey, PushDevice, Session, TotpDevice, User
from accounts.privacy import tombstones
from accounts.second_factor import resets
from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert
from exchanges import credentials
from exchanges.models import ExchangeConnection
from exchanges.reports import Credential
from portfolios.models import PortfolioSnapshot
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, desk, ids, tenancy

KEY = Credential(
    api_key="canary-key-2b7f", api_secret="canary-secret-90aa", passphrase="canary-phrase-17"
)
PHONE = "ExponentPushToken[canary-token-3d1e]"
SEALED = b"canary-sealed-bytes-of-a-row-000"
EVERY_SECTION = [
    "Identity and plan", "Signing in", "Billing", "Connections", "Portfolio value",
    "Open problems", "Security alerts", "Messages", "Activity", "Privacy",
]  # fmt: skip


@pytest.fixture
def staff(db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def supporter(db) -> User:
    """A member of staff who may do nothing, until a test lets them."""
    with tenancy.as_system("test"):
        return User.objects.create_user("supporter@example.com", PASSWORD, is_staff=True)


@pytest.fixture
def alices(alice) -> ExchangeConnection:
    """Something of Alice's in every table, with secrets in whatever may hold one."""
    connected = factories.something_everywhere(alice)
    with tenancy.as_system("test"):
        key = replace(KEY, api_key=KEY.api_key + connected.id.hex)
        credentials.store(user_id=alice.id, connection_id=connected.id, credential=key)
        PushDevice.objects.filter(user=alice).update(token=PHONE)
        Session.objects.filter(user=alice).update(refresh_digest=SEALED)
        TotpDevice.objects.filter(user=alice).update(sealed_seed=SEALED)
        Passkey.objects.filter(user=alice).update(public_key=SEALED, credential_id=SEALED)
    return connected


def permit(user: User, *codenames: str) -> None:
    with tenancy.as_system("test"):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def address(key: UUID) -> str:
    return reverse("admin:person", args=[key])


def read(reader: User, person: User) -> str:
    answer = signed_in(reader).get(address(person.id))
    assert answer.status_code == 200, answer
    return answer.content.decode()


def titles(body: str) -> list[str]:
    return [part.partition("</h2>")[0].partition(">")[2] for part in body.split("<h2 id=")[1:]]


# --- what is on it ------------------------------------------------------------------------------
def test_everything_for_a_ticket_is_on_one_page(staff, alice, alices):
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(state="partial", reason="exchange_timeout", failures=2)
        Delivery.objects.filter(user=alice).update(state="failed", error="mailbox full")
    body = read(staff, alice)
    assert [title for title in titles(body) if title in EVERY_SECTION] == EVERY_SECTION
    for text in (
        "alice@example.com", "not confirmed", "script", "password changed", "mailbox full",
        "account.strange_sign_in", "A device signed in.", "pro", f"cus_{alice.id.hex[-12:]}",
        "partial (exchange timeout); 2 failures in a row", "everything", "terms", "192.0.2.1",
        "Not read as it should be: Binance everything.", "bounced",
    ):  # fmt: skip
        assert text in body, text


def test_an_account_without_anything_has_a_page_that_says_so(staff, bob):
    body = read(staff, bob)
    assert [title for title in titles(body) if title in EVERY_SECTION] == EVERY_SECTION
    assert "Snapshots</dt><dd>none in 90 days" in body
    assert body.count("<p>None.</p>") >= 10


def test_the_value_over_time_is_drawn_with_words_and_a_table(staff, alice):
    now = clock.now()
    with tenancy.as_system("test"):
        for ago, total in ((3, "100"), (2, None), (1, "250.5"), (0, "200")):
            PortfolioSnapshot.objects.bulk_create([
                PortfolioSnapshot(
                    id=ids.new_id(), user=alice, taken_at=now - timedelta(days=ago),
                    total_value=total and Decimal(total), currency="USD", status="complete",
                    snapshot_data={},
                )
            ])  # fmt: skip
    body = read(staff, alice)
    assert 'class="pygal-chart curve" role="img"' in body
    assert "Between 100" in body
    assert "250.5 USD" in body
    assert "unpriced USD" in body
    assert "Shown last</dt><dd>200 USD (complete)" in body
    assert body.count('class="dots"') == 3  # and none for the day without a value
    (drawn,) = re.findall(r'd="([^"]+)" class="line reactive', body)
    assert len(re.findall(r"[\d.]+ [\d.]+", drawn)) == 2  # yesterday and today, not over the gap


def test_nothing_secret_is_on_it(staff, alice, alices):
    """S19, S25"""
    body = read(staff, alice)
    with tenancy.as_system("test"):
        held = credentials.ExchangeCredential.objects.get(connection=alices)
        hashed = User.objects.values_list("password", flat=True).get(id=alice.id)
    sealed = [held.api_key, held.api_secret, held.passphrase, held.fingerprint, SEALED]
    texts = [KEY.api_key, KEY.api_secret, KEY.passphrase, PHONE, "canary", hashed or "!"]
    for raw in sealed:
        texts += [bytes(raw).hex(), base64.b64encode(bytes(raw)).decode(), repr(bytes(raw))[2:-1]]
    for text in texts:
        assert len(text) < 2 or text not in body, text


# --- queries ------------------------------------------------------------------------------------
def queries_of(client, path: str) -> list[str]:
    """What is asked of the database, without the marks of transactions, and without taking the
    identity back, which only a request inside of a test's own transaction has to."""
    with CaptureQueriesContext(database) as seen:
        assert client.get(path).status_code == 200
    asked = [q["sql"] for q in seen if "SAVEPOINT" not in q["sql"]]
    assert "set_config('app.system', ''" in asked[-1]
    return asked[:-1]


def test_it_takes_at_most_twenty_queries_with_session_and_permissions(supporter, alice, alices):
    every = [part.permission for part in desk._desk.sections]
    every += [act.permission for act in desk._desk.acts.values()]
    permit(supporter, "view_user", *(name.partition(".")[2] for name in every))
    with time_machine.travel(clock.now(), tick=False):
        client = signed_in(supporter)
        client.get(address(alice.id))
        asked = queries_of(client, address(alice.id))
    assert len(asked) <= 20, "\n".join(asked)


# --- who may see it -----------------------------------------------------------------------------
def test_each_section_is_for_those_who_may_see_what_it_is_made_of(supporter, alice, alices):
    client = signed_in(supporter)
    assert client.get(address(alice.id)).status_code == 403
    permit(supporter, "view_user")
    assert titles(read(supporter, alice)) == ["Identity and plan", "What can be done"]
    permit(supporter, "view_delivery", "view_securityalert")
    body = read(supporter, alice)
    assert [t for t in titles(body) if t in EVERY_SECTION] == [
        "Identity and plan", "Security alerts", "Messages",
    ]  # fmt: skip
    assert f"cus_{alice.id.hex[-12:]}" not in body


def test_it_is_closed_to_who_has_shown_no_second_factor(staff, alice):
    """S52"""
    answer = signed_in(staff, verified=False).get(address(alice.id))
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_looking_is_written_to_the_log_of_the_person(staff, alice):
    read(staff, alice)
    with tenancy.as_system("test"):
        (entry,) = ActivityLog.objects.filter(action=Action.PERSON_VIEWED)
    assert (entry.user_id, entry.actor_id, entry.details) == (alice.id, staff.id, {})


# --- nobody -------------------------------------------------------------------------------------
def test_nobody_has_no_page_and_who_was_erased_is_said(staff, settings, tmp_path):
    settings.ERASURE_LOG = tmp_path / "erased.jsonl"
    gone, never = ids.new_id(), ids.new_id()
    tombstones.add(gone, now=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    client = signed_in(staff)
    assert client.get(address(never)).status_code == 404
    answer = client.get(address(gone))
    assert answer.status_code == 410
    assert "was erased at 2026-03-04 05:06 UTC" in answer.content.decode()


def test_closing_and_deactivated_accounts_are_said_first(staff, alice, bob):
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(closes_at=datetime(2030, 1, 2, tzinfo=UTC))
        User.objects.filter(id=bob.id).update(is_active=False)
    assert "This account closes: everything is erased at 2030-01-02 00:00 UTC." in read(
        staff, alice
    )
    assert "This account is deactivated" in read(staff, bob)


# --- what rooms bring ---------------------------------------------------------------------------
@pytest.fixture
def brought(monkeypatch):
    """A desk to which only this test brings things."""
    empty = desk._Desk()
    monkeypatch.setattr(desk, "_desk", empty)
    return empty


def test_an_act_is_offered_to_those_who_may(brought, staff, supporter, alice):
    desk.add_act(
        desk.PersonAct("wave", "Wave", "Says hello.", "accounts.change_user", lambda **_: "done")
    )
    assert "Wave" in read(staff, alice)
    permit(supporter, "view_user")
    body = read(supporter, alice)
    assert "Wave" not in body
    assert "Nothing that you may do." in body


def test_what_there_is_nothing_to_do_for_is_not_offered(staff, alice, bob):
    body = read(staff, alice)
    assert "Lock out" in body
    assert "Let in again" not in body
    assert "Cancel the reset" not in body
    with tenancy.as_system("test"):
        TotpDevice.objects.create(user=bob, name="phone", sealed_seed=SEALED, confirmed=True)
        User.objects.filter(id=alice.id).update(is_active=False)
        resets.ask(user_id=bob.id, actor_id=staff.id, reason="#1", now=clock.now())
    body = read(staff, alice)
    assert "Lock out" not in body
    assert "Let in again" in body
    body = read(staff, bob)
    assert "Cancel the reset" in body
    assert "Reset of the second factor</dt><dd>removed on " in body


def test_nobody_acts_on_themself_or_on_who_may_more(staff, supporter):
    assert "Nothing that you may do." in read(staff, staff)
    permit(supporter, "view_user", "end_sessions")
    assert "Nothing that you may do." in read(supporter, staff)


def test_a_broken_section_says_so_and_the_others_stay(brought, staff, alice):
    def broken(**_):
        SecurityAlert.objects.raw("SELECT 1/0 AS id")[0]

    for title, reads, rank in (
        ("First", lambda **_: {"facts": [("colour", "blue")]}, 1),
        ("Broken", broken, 2),
        ("Last", lambda **_: {"facts": [("tone", "flat")]}, 3),
    ):
        desk.add_section(desk.Section(title, "accounts.view_user", desk.PARTS, reads, rank))
    body = read(staff, alice)
    assert "blue" in body
    assert "flat" in body
    assert body.count("This part could not be read") == 1
    with tenancy.as_system("test"):
        assert ActivityLog.objects.filter(action=Action.PERSON_VIEWED).count() == 1


# --- the way there ------------------------------------------------------------------------------
def test_every_list_of_people_and_of_theirs_leads_to_the_page(staff, alice, alices):
    client = signed_in(staff)
    link = f'href="{address(alice.id)}"'
    for name in (
        "accounts_user", "accounts_delivery", "portfolios_trade", "exchanges_exchangeconnection",
        "audit_activitylog", "billing_invoice",
    ):  # fmt: skip
        assert link in client.get(reverse(f"admin:{name}_changelist")).content.decode(), name
    for name, key in (("accounts_user", alice.id), ("exchanges_exchangeconnection", alices.id)):
        body = client.get(reverse(f"admin:{name}_change", args=[key])).content.decode()
        assert link in body, name
