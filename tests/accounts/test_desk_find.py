"""The search box of the admin: from whatever stands in a ticket to the person."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import ApiKey, Session, User
from audit.actions import Action
from audit.models import ActivityLog
from billing.models import Invoice, StripeEvent, Subscription
from portfolios.models import SyncRun, Trade, Transfer
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, ids, tenancy

REQUEST = "01a22e99-1277-72a3-820e-177e2324f5c2"


@pytest.fixture
def staff(db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def supporter(db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_user("supporter@example.org", PASSWORD, is_staff=True)


def permit(user: User, *codenames: str) -> None:
    with tenancy.as_system("test"):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def find(reader: User, text: str):
    return signed_in(reader).post(reverse("admin:find"), {"q": text})


def page_of(person: User) -> str:
    return reverse("admin:person", args=[person.id])


def body_of(answer) -> str:
    assert answer.status_code == 200, answer
    return answer.content.decode()


@pytest.fixture
def alices(alice):
    """Alice has one of everything, bob too; so whatever is found is one of two."""
    connected = factories.something_everywhere(alice)
    with tenancy.as_system("test"):
        Trade.objects.filter(user=alice).update(exchange_id="4711-A")
        moved = Transfer.objects.filter(user=alice, feed="deposits").first()
        Transfer.objects.filter(pk=moved.pk).update(exchange_id="D-99", txid="0xfeed")
        ActivityLog.objects.bulk_create(
            [ActivityLog(user=alice, action=Action.USER_SIGNED_IN, request_id=REQUEST)]
        )
        StripeEvent.objects.create(
            id="evt_early", type="invoice.paid", created_at=clock.now(),
            customer_id=f"cus_{alice.id.hex[-12:]}",
        )  # fmt: skip
    return connected


# --- each kind ----------------------------------------------------------------------------------
def texts_of(person: User, connected) -> dict[str, str]:
    with tenancy.as_system("test"):
        key = ApiKey.objects.get(user=person)
        return {
            "address": person.email,
            "address in capitals": f"  {person.email.upper()} ",
            "beginning of an address": "ali",
            "id": str(person.id),
            "id without dashes": person.id.hex,
            "session": str(Session.objects.get(user=person).id),
            "prefix of a key": key.prefix,
            "prefix as it is shown": f"trk_{key.prefix}…",
            "whole key": f"trk_{key.prefix}_{'s' * 43}",
            "trade": "4711-A",
            "transfer": "D-99",
            "chain": "0xfeed",
            "customer": f"cus_{person.id.hex[-12:]}",
            "subscription": Subscription.objects.get(user=person).stripe_id,
            "invoice": Invoice.objects.get(user=person).stripe_id,
            "message of Stripe's": StripeEvent.objects.get(user=person).id,
            "message that came early": "evt_early",
            "request": REQUEST,
            "connection": str(connected.id),
            "visit": str(SyncRun.objects.get(user=person).id),
            "our id of a trade": str(Trade.objects.get(user=person).id),
        }


def test_whatever_is_of_one_person_leads_straight_to_them(staff, alice, bob, alices):
    factories.something_everywhere(bob)
    for kind, text in texts_of(alice, alices).items():
        answer = find(staff, text)
        assert (answer.status_code, answer.get("Location")) == (302, page_of(alice)), kind


def test_several_people_are_listed_and_nobody_is_said(staff, alice, supporter):
    with tenancy.as_system("test"):
        User.objects.create_user("alicia@example.com", PASSWORD)
    body = body_of(find(staff, "ali"))
    assert body.index("alice@example.com") < body.index("alicia@example.com")
    assert page_of(alice) in body
    assert "Nobody was found for “zoe@example.com”." in body_of(find(staff, "zoe@example.com"))


def test_the_whole_address_wins_over_those_that_begin_with_it(staff, alice):
    with tenancy.as_system("test"):
        User.objects.create_user("alice@example.com.au", PASSWORD)
    assert find(staff, "alice@example.com")["Location"] == page_of(alice)


def test_a_message_of_nobody_we_know_is_shown_by_itself(staff, db):
    with tenancy.as_system("test"):
        StripeEvent.objects.create(id="evt_lost", type="invoice.paid", created_at=clock.now())
    body = body_of(find(staff, "evt_lost"))
    assert "nobody we know" in body
    assert reverse("admin:billing_stripeevent_change", args=["evt_lost"]) in body


def test_a_trade_id_of_two_people_lists_both(staff, alice, bob, alices):
    factories.something_everywhere(bob)
    with tenancy.as_system("test"):
        Trade.objects.filter(user=bob).update(exchange_id="4711-A")
    body = body_of(find(staff, "4711-A"))
    assert page_of(alice) in body
    assert page_of(bob) in body


# --- who may ------------------------------------------------------------------------------------
def test_only_what_a_reader_may_see_is_looked_through(supporter, alice, alices):
    assert find(supporter, "alice@example.com").status_code == 403
    permit(supporter, "view_user")
    texts = texts_of(alice, alices)
    assert find(supporter, texts["address"]).status_code == 302
    for kind in ("prefix of a key", "trade", "customer", "request", "connection"):
        assert "Nobody was found" in body_of(find(supporter, texts[kind])), kind
    permit(supporter, "view_trade")
    assert find(supporter, texts["trade"]).status_code == 302


def test_it_is_closed_to_the_unverified(staff):
    """S52"""
    answer = signed_in(staff, verified=False).post(reverse("admin:find"), {"q": "alice"})
    assert answer.status_code == 302
    assert "login" in answer["Location"]


# --- wrong input --------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_nothing_asked_for_shows_what_can_be_asked(staff, text):
    body = body_of(find(staff, text))
    assert "What can be looked for" in body
    assert "Nobody was found" not in body


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\x00b", "a character that no address and no id has"),
        ("a" * 10_000, "longer than anything that can be found"),
        ("\u202eevil", "a character that no address and no id has"),
        ("100%", "Nobody was found"),
        ("a_b", "Nobody was found"),
        ("\\", "Nobody was found"),
        ("<script>alert(1)</script>", "Nobody was found for “&lt;script&gt;"),
        ("' OR 1=1 --", "Nobody was found"),
        ("🦊", "Nobody was found"),
    ],
)
def test_what_cannot_be_found_is_answered_kindly(staff, alice, text, said):
    assert said in body_of(find(staff, text))


def test_what_is_looked_for_stands_in_no_address(staff, alice):
    """Addresses are logged by servers and remembered by browsers."""
    client = signed_in(staff)
    for page in (reverse("admin:index"), reverse("admin:find"), page_of(alice)):
        [form] = re.findall(r'<form class="find"[^>]*>', body_of(client.get(page)))
        assert 'method="post"' in form
        assert f'action="{reverse("admin:find")}"' in form
    asked = body_of(client.get(reverse("admin:find"), {"q": alice.email}))
    assert alice.email not in asked
    assert "Nobody was found" not in asked


def test_no_other_site_asks_in_the_name_of_staff(staff, alice):
    client = signed_in(staff)
    client.handler.enforce_csrf_checks = True
    assert client.post(reverse("admin:find"), {"q": alice.email}).status_code == 403
    token = re.search(r'class="find".*?csrfmiddlewaretoken" value="([^"]+)"',
                      body_of(client.get(reverse("admin:find"))), re.S)[1]  # fmt: skip
    answer = client.post(
        reverse("admin:find"), {"q": alice.email, "csrfmiddlewaretoken": token}
    )  # fmt: skip
    assert answer.status_code == 302


# --- cost ---------------------------------------------------------------------------------------
def test_every_question_is_answered_by_an_index(staff, alice, alices):
    """With sequential scans forbidden where an index serves, none is left in any plan."""
    asked: list[str] = []
    with time_machine.travel(clock.now() + timedelta(seconds=1), tick=False):
        client = signed_in(staff)
        for text in ("4711-A", str(ids.new_id()), "cus_1", "sub_1", "in_1", "evt_1", "alexa"):
            with CaptureQueriesContext(database) as seen:
                client.post(reverse("admin:find"), {"q": text})
            asked += [
                query["sql"] for query in seen if "LIMIT" in query["sql"] or "=" in query["sql"]
            ]
    looked = [
        sql for sql in asked
        if sql.startswith("SELECT") and "set_config" not in sql and "django_" not in sql
        and "auth_" not in sql and "EXPLAIN" not in sql
    ]  # fmt: skip
    assert len(looked) >= 20
    with tenancy.as_system("test"), database.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql in set(looked):
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, f"{sql}\n{plan}"
