"""What a plan includes is asked at every gate, and what it leaves out waits and comes back."""

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from audit import log
from audit.actions import Action
from audit.models import ActivityLog
from billing import entitlements, grants, plans, standing
from billing.models import BillingAccount, PlanGrant
from exchanges.models import ExchangeConnection
from portfolios.models import PortfolioState
from portfolios.sync import dispatch
from tests import factories, threads
from tests.billing.test_subscribing import tier_of
from tracker import clock, tenancy
from tracker.api import InvalidInput


def told():
    """Let subscribers hear what has been recorded, as a commit does."""
    log.sweep(now=clock.now() + timedelta(days=1))


def shown(api):
    rows = api.get("/connections").json()["results"]
    return [(row["label"], row["state"], row["reason"]) for row in rows]


# --- asking -------------------------------------------------------------------------------------
def test_who_has_nothing_is_on_the_plan_that_costs_nothing(alice):
    granted = entitlements.for_user(alice)
    assert (granted.tier, granted.connections, granted.strategies) == ("free", 1, 5)
    assert not granted.api_keys
    with pytest.raises(FrozenInstanceError):
        granted.tier = "pro"


def test_asking_is_one_query_and_then_none(alice):
    with CaptureQueriesContext(database) as first:
        entitlements.for_user(alice)
    assert sum("billing_accounts" in query["sql"] for query in first.captured_queries) == 1
    with CaptureQueriesContext(database) as second:
        entitlements.for_user(alice)
    assert len(second) == 0


def test_on_a_request_it_comes_with_the_session(client_of, alice):
    api = client_of(alice)
    api.get("/billing/plans")
    with CaptureQueriesContext(database) as asked:
        assert api.get("/billing/plans").status_code == 200
    accounts = [query for query in asked.captured_queries if "billing_accounts" in query["sql"]]
    assert len(accounts) == 1
    assert "FROM sessions" in accounts[0]["sql"]


def test_a_plan_that_is_gone_from_the_table_harms_nobody(client_of, alice, settings):
    factories.put_on_plan(alice, "pro")
    settings.SUBSCRIPTION_TIERS = {
        tier: plan for tier, plan in plans.table().items() if tier != "pro"
    }
    assert tier_of(alice) == "free"
    api = client_of(alice)
    assert api.get("/me").json()["subscription_tier"] == "free"
    assert api.get("/billing/subscription").status_code == 200
    assert api.get("/portfolio").status_code == 200


# --- connections --------------------------------------------------------------------------------
NEW = {"exchange": "binance", "api_key": "k" * 64, "api_secret": "s" * 64}


def test_the_second_connection_needs_a_larger_plan_and_says_so(client_of, alice, exchange):
    factories.connection(alice, label="one")
    answer = client_of(alice).post("/connections", NEW)
    assert (answer.status_code, answer.json()["code"]) == (403, "connection_limit_reached")
    assert answer.json()["message"] == (
        "Your Free plan includes 1 connection. A larger plan includes more."
    )
    assert answer.json()["details"] == {"plan": "free", "limit": 1}


def test_an_account_kept_by_hand_counts_for_nothing(client_of, alice, exchange, sandbox):
    made = client_of(alice).post("/manual-accounts", {"label": "cold wallet"})
    assert made.status_code == 201
    body = {"exchange": "binance", **sandbox.key(3)}
    body.pop("passphrase", None)
    assert client_of(alice).post("/connections", body).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_three_at_once_one_is_connected(client_of, alice, exchange, sandbox):
    """S28's sister: the limit holds under concurrency."""
    clients = [client_of(alice) for _ in range(3)]

    def connect(number: int) -> int:
        key = {name: value for name, value in sandbox.key(number).items() if value}
        body = {"exchange": "binance", "label": f"n{number}", **key}
        return clients[number].post("/connections", body).status_code

    statuses = threads.at_once(3, connect)
    assert sorted(statuses) == [201, 403, 403]


def test_going_down_pauses_the_last_and_going_up_brings_them_back(client_of, alice):
    factories.put_on_plan(alice, "enterprise")
    for label in ("a", "b", "c", "d"):
        factories.connection(alice, label=label)
    api = client_of(alice)
    before = shown(api)
    assert {reason for _, _, reason in before} == {""}
    factories.put_on_plan(alice, "pro")
    paused = ("d", "paused", "paused_by_plan")
    assert shown(client_of(alice)) == [*before[:3], paused]
    factories.put_on_plan(alice, "free")
    assert [row[2] for row in shown(client_of(alice))] == ["", *["paused_by_plan"] * 3]
    with tenancy.as_user(alice.id):
        assert not ExchangeConnection.objects.filter(state="paused").exists()
    factories.put_on_plan(alice, "enterprise")
    assert shown(client_of(alice)) == before


def test_the_person_chooses_which_come_first(client_of, alice):
    for label in ("a", "b"):
        factories.connection(alice, label=label)
    api = client_of(alice)
    first = api.get("/connections").json()["results"][0]
    assert api.patch(f"/connections/{first['id']}", {"position": 5}).status_code == 200
    assert [(row[0], row[2]) for row in shown(api)] == [("b", ""), ("a", "paused_by_plan")]


@pytest.mark.parametrize("position", [-1, 1000, "x", None])
def test_a_place_that_is_none_is_refused(client_of, alice, position):
    found = factories.connection(alice)
    answer = client_of(alice).patch(f"/connections/{found.id}", {"position": position})
    assert answer.status_code == 400


def test_what_a_plan_leaves_out_is_not_read_until_the_plan_includes_it(alice, client_of):
    kept, left = factories.connection(alice, label="a"), factories.connection(alice, label="b")
    now = clock.now()
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(next_sync_at=now)
    assert dispatch.dispatch_due(now=now) == 1
    with tenancy.as_system("test"):
        due = dict(ExchangeConnection.objects.values_list("id", "next_sync_at"))
    assert due[left.id] == now + timedelta(days=1)
    assert due[kept.id] < now + timedelta(minutes=1)
    answer = client_of(alice).post(f"/connections/{left.id}/sync")
    assert (answer.status_code, answer.json()["code"]) == (403, "paused_by_plan")
    with tenancy.as_system("test"):
        grants.grant(
            user_id=alice.id, tier="pro", until=now + timedelta(days=1), reason="trial",
            actor_id=None, now=now,
        )  # fmt: skip
    told()
    later = clock.now()
    with tenancy.as_system("test"):
        assert ExchangeConnection.objects.get(id=left.id).next_sync_at <= later
    assert dispatch.dispatch_due(now=later) == 2


def test_a_larger_plan_has_its_snapshot_soon(alice):
    now = clock.now()
    with tenancy.as_user(alice.id):
        PortfolioState.objects.update_or_create(
            user_id=alice.id, defaults={"next_snapshot_at": now + timedelta(hours=20)}
        )
    with tenancy.as_system("test"):
        grants.grant(
            user_id=alice.id, tier="pro", until=now + timedelta(days=1), reason="trial",
            actor_id=None, now=now,
        )  # fmt: skip
    told()
    with tenancy.as_user(alice.id):
        assert PortfolioState.objects.get().next_snapshot_at <= clock.now()


# --- grants -------------------------------------------------------------------------------------
def give(user, tier, days, now):
    with tenancy.as_system("test"):
        return grants.grant(
            user_id=user.id, tier=tier, until=now + timedelta(days=days), reason="sorry",
            actor_id=None, now=now,
        )  # fmt: skip


def test_a_grant_ends_on_its_second_although_nobody_settles(alice):
    now = clock.now()
    give(alice, "enterprise", 3, now)
    with tenancy.as_user(alice.id):
        account = BillingAccount.objects.get()
    end = now + timedelta(days=3)
    assert entitlements.of_account(account, now=end - timedelta(seconds=1)).tier == "enterprise"
    assert entitlements.of_account(account, now=end).tier == "free"


def test_settling_follows_what_has_given_way_and_tells_once(alice):
    now = clock.now()
    give(alice, "pro", 3, now)
    later = now + timedelta(days=3, seconds=1)
    assert standing.settle_due(now=later) == 1
    assert standing.settle_due(now=later) == 0
    with tenancy.as_system("test"):
        changes = ActivityLog.objects.filter(action=Action.PLAN_CHANGED).order_by("id")
        assert [row.details["after"] for row in changes] == ["pro", "free"]
        alice.refresh_from_db()
    assert alice.subscription_tier == "free"


def test_a_grant_that_is_taken_back_ends_at_once(alice):
    now = clock.now()
    row = give(alice, "pro", 3, now)
    with tenancy.as_system("test"):
        assert grants.revoke(grant_id=row.id, actor_id=None, now=now)
        assert not grants.revoke(grant_id=row.id, actor_id=None, now=now)
    assert tier_of(alice) == "free"


@pytest.mark.parametrize("wrong", [
    {"tier": "nonsense"}, {"until": timedelta(0)}, {"reason": "  "},
])  # fmt: skip
def test_a_grant_that_is_none_is_refused(alice, wrong):
    now = clock.now()
    fields = {"tier": "pro", "until": timedelta(days=1), "reason": "r", **wrong}
    fields["until"] = now + fields["until"]
    with pytest.raises(InvalidInput), tenancy.as_system("test"):
        grants.grant(user_id=alice.id, actor_id=None, now=now, **fields)
    with tenancy.as_user(alice.id):
        assert not PlanGrant.objects.exists()


def test_who_is_on_a_plan_that_is_gone_is_read_as_far_as_the_usual_one_goes(alice, settings):
    factories.put_on_plan(alice, "pro")
    for label in ("a", "b"):
        factories.connection(alice, label=label)
    now = clock.now()
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(next_sync_at=now)
    settings.SUBSCRIPTION_TIERS = {
        tier: plan for tier, plan in plans.table().items() if tier != "pro"
    }
    assert dispatch.dispatch_due(now=now) == 1


def test_changing_the_order_reads_nothing_sooner_than_the_plans_pace(client_of, alice):
    now = clock.now()
    rows = [factories.connection(alice, label=label) for label in ("a", "b")]
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(
            next_sync_at=now + timedelta(hours=20), last_synced_at=now - timedelta(hours=4)
        )
    api = client_of(alice)
    for position in (3, 0):
        api.patch(f"/connections/{rows[0].id}", {"position": position})
    with tenancy.as_system("test"):
        early = ExchangeConnection.objects.filter(next_sync_at__lt=now + timedelta(hours=19))
        assert not early.exists()
