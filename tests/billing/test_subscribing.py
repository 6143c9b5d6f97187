"""Subscribing as the app does it, against a Stripe that keeps state."""

import urllib.error
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import stripe as stripe_library

from audit.actions import Action
from audit.models import ActivityLog
from billing import catalogue, customers, entitlements, plans, subscribing
from billing.models import BillingAccount, Invoice, StripeRequest, Subscription
from tests import threads
from tests.billing.conftest import subscription_of
from tracker import clock, tenancy


def tier_of(user):
    """The plan in force, as the next request of this person finds it."""
    user.__dict__.pop("_billing_account", None)
    return entitlements.for_user(user).tier


def acts(user):
    with tenancy.as_system("test"):
        rows = ActivityLog.objects.filter(user_id=user.id, action__startswith="billing.")
        return [row.action for row in rows.order_by("id")]


# --- the usual way ------------------------------------------------------------------------------
def test_the_plans_say_what_they_include_and_which_is_in_force(client_of, alice):
    rows = client_of(alice).get("/billing/plans").json()["results"]
    assert [(row["tier"], row["price"], row["is_current"]) for row in rows] == [
        ("free", "0.00", True), ("pro", "19.99", False), ("enterprise", "99.99", False),
    ]  # fmt: skip
    assert [row["connections"] for row in rows] == [1, 3, None]
    assert [row["call_price"] for row in rows] == [None, "0.002000", "0.001000"]


def test_subscribing_gives_what_the_payment_sheet_needs_and_the_plan_once_it_is_paid(
    client_of, alice, stripe, news
):
    api = client_of(alice)
    answer = api.post("/billing/subscription", {"tier": "pro"})
    assert answer.status_code == 201
    told = answer.json()
    assert told["subscription"]["status"] == "incomplete"
    assert set(told["payment"]) == {
        "intent", "client_secret", "customer", "ephemeral_key", "publishable_key"
    }  # fmt: skip
    assert told["payment"]["intent"] == "payment"
    assert tier_of(alice) == "free"
    stripe.pay(told["payment"]["client_secret"])
    news.bring()
    assert tier_of(alice) == "pro"
    standing = api.get("/billing/subscription").json()
    assert (standing["tier"], standing["reason"]) == ("pro", "subscription")
    assert standing["subscription"]["status"] == "active"
    assert standing["subscription"]["price"] == "19.99"
    assert api.get("/me").json()["subscription_tier"] == "pro"
    assert acts(alice) == [Action.SUBSCRIPTION_STARTED, Action.PLAN_CHANGED]


def test_asked_again_the_same_subscription_waits_for_payment(client_of, alice, stripe):
    """S38: not a second one."""
    api = client_of(alice)
    first = api.post("/billing/subscription", {"tier": "pro"}).json()
    second = api.post("/billing/subscription", {"tier": "pro"}).json()
    assert second["payment"]["client_secret"] == first["payment"]["client_secret"]
    with tenancy.as_user(alice.id):
        assert Subscription.objects.count() == 1


def test_another_plan_than_the_one_that_waits_replaces_it(client_of, alice, stripe, news):
    api = client_of(alice)
    api.post("/billing/subscription", {"tier": "pro"})
    told = api.post("/billing/subscription", {"tier": "enterprise"}).json()
    stripe.pay(told["payment"]["client_secret"])
    news.bring()
    assert tier_of(alice) == "enterprise"
    live = [row for row in customers_subscriptions(stripe, alice) if row.status == "active"]
    assert len(live) == 1


def customers_subscriptions(stripe, user):
    account = customers.find(user.id)
    params = {"customer": account.stripe_customer_id, "status": "all"}
    return stripe.client.v1.subscriptions.list(params).data


def test_who_has_a_subscription_changes_it(client_of, alice, subscribed):
    subscribed(alice, "pro")
    answer = client_of(alice).post("/billing/subscription", {"tier": "enterprise"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tier": "free"}, "plan_not_for_sale"),
        ({"tier": "nonsense"}, "plan_not_for_sale"),
        ({}, "invalid_input"),
        ({"tier": "pro", "promotion_code": "$%"}, "invalid_input"),
        ({"tier": "pro", "price": "0"}, "invalid_input"),
    ],
)
def test_wrong_input_is_refused_in_words(client_of, alice, stripe, body, code):
    answer = client_of(alice).post("/billing/subscription", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def spring(stripe, **fields):
    stripe.client.v1.coupons.create({"id": "HALF", "percent_off": 50, "duration": "once"})
    params = {"promotion": {"type": "coupon", "coupon": "HALF"}, "code": "SPRING", **fields}
    return stripe.client.v1.promotion_codes.create(params)


@pytest.mark.parametrize("code", ["NONE", "HALF", "SPRING"])
def test_a_code_that_there_is_not_is_refused_and_so_is_a_coupons_own_name(
    client_of, alice, stripe, code
):
    old = spring(stripe)
    stripe.client.v1.promotion_codes.update(old.id, {"active": False})
    body = {"tier": "pro", "promotion_code": code}
    answer = client_of(alice).post("/billing/subscription", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "promotion_code_unknown")
    with tenancy.as_user(alice.id):
        assert not StripeRequest.objects.filter(closed_at=None).exists()


def test_a_promotion_code_makes_it_cheaper(client_of, alice, stripe):
    spring(stripe)
    api = client_of(alice)
    told = api.post("/billing/subscription", {"tier": "pro", "promotion_code": "SPRING"}).json()
    stripe.pay(told["payment"]["client_secret"])
    customers.refresh(user_id=alice.id, now=clock.now())
    (invoice,) = api.get("/billing/invoices").json()["results"]
    assert Decimal(invoice["paid"]) < Decimal("19.99")
    assert tier_of(alice) == "pro"


@pytest.fixture
def trials(settings):
    table = dict(plans.table())
    settings.SUBSCRIPTION_TIERS = table | {"pro": replace(table["pro"], trial_days=14)}


def test_a_trial_gives_the_plan_once_a_card_is_named_and_only_once(
    client_of, alice, stripe, news, trials
):
    api = client_of(alice)
    told = api.post("/billing/subscription", {"tier": "pro"}).json()
    assert told["subscription"]["status"] == "trialing"
    assert told["payment"]["intent"] == "setup"
    news.bring()
    assert tier_of(alice) == "free"
    stripe.set_up(told["payment"]["client_secret"])
    customers.refresh(user_id=alice.id, now=clock.now())
    assert tier_of(alice) == "pro"
    refused = api.patch("/billing/subscription", {"tier": "enterprise"})
    assert (refused.status_code, refused.json()["code"]) == (409, "trial_running")
    api.call("DELETE", "/billing/subscription", {"when": "now"})
    assert tier_of(alice) == "free"
    again = api.post("/billing/subscription", {"tier": "pro"}).json()
    assert again["subscription"]["status"] == "incomplete"


def test_a_trial_without_a_card_ends_without_days_of_grace(client_of, alice, stripe, news, trials):
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    named = subscription_of(stripe, told["payment"]["customer"])
    stripe.subscription(named, "end_trial", paid=False)
    news.bring()
    assert tier_of(alice) == "free"


# --- payments that do not go through ------------------------------------------------------------
def test_a_declined_card_leaves_everything_as_it_was_and_another_pays(
    client_of, alice, stripe, news
):
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    with pytest.raises(stripe_library.CardError):
        stripe.pay(told["payment"]["client_secret"], "pm_card_chargeDeclined")
    news.bring()
    assert tier_of(alice) == "free"
    stripe.pay(told["payment"]["client_secret"])
    news.bring()
    assert tier_of(alice) == "pro"


def test_a_card_that_asks_for_its_owner_gives_the_plan_after_that(client_of, alice, stripe, news):
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    intent = stripe.pay(told["payment"]["client_secret"], "pm_card_authenticationRequired")
    assert intent.status == "requires_action"
    news.bring()
    assert tier_of(alice) == "free"
    stripe.authenticate(intent.id)
    news.bring()
    assert tier_of(alice) == "pro"


def test_one_that_was_never_paid_ends_and_a_new_one_can_begin(client_of, alice, stripe, news):
    api = client_of(alice)
    told = api.post("/billing/subscription", {"tier": "pro"}).json()
    stripe.subscription(subscription_of(stripe, told["payment"]["customer"]), "expire")
    news.bring()
    again = api.post("/billing/subscription", {"tier": "pro"}).json()
    assert again["payment"]["client_secret"] != told["payment"]["client_secret"]


def test_a_payment_that_fails_later_keeps_the_plan_for_the_days_of_grace(
    client_of, alice, stripe, news, subscribed
):
    named = subscribed(alice, "pro")
    stripe.subscription(named, "renew", paid=False)
    news.bring()
    assert tier_of(alice) == "pro"
    standing = client_of(alice).get("/billing/subscription").json()
    assert (standing["reason"], standing["next_tier"]) == ("grace", "free")
    with tenancy.as_user(alice.id):
        account = BillingAccount.objects.get()
        owed = Subscription.objects.get().past_due_since
    assert account.until == owed + timedelta(days=7)
    late = account.until
    assert entitlements.of_account(account, now=late - timedelta(seconds=1)).tier == "pro"
    assert entitlements.of_account(account, now=late).tier == "free"


def test_trying_again_in_vain_does_not_lengthen_the_grace(alice, stripe, news, subscribed):
    named = subscribed(alice, "pro")
    stripe.subscription(named, "renew", paid=False)
    news.bring()
    with tenancy.as_user(alice.id):
        before = BillingAccount.objects.get().until
    stripe.subscription(named, "retry", paid=False)
    news.bring()
    with tenancy.as_user(alice.id):
        assert BillingAccount.objects.get().until == before
    assert acts(alice).count(Action.PAYMENT_FAILED) == 1


def test_a_payment_that_is_made_after_all_ends_the_grace(alice, stripe, news, subscribed):
    named = subscribed(alice, "pro")
    stripe.subscription(named, "renew", paid=False)
    news.bring()
    stripe.subscription(named, "retry", paid=True)
    news.bring()
    with tenancy.as_user(alice.id):
        account = BillingAccount.objects.get()
    assert (account.tier, account.reason, account.until) == ("pro", "subscription", None)


def test_one_that_expires_while_owed_ends_at_once(alice, stripe, news, subscribed):
    named = subscribed(alice, "pro")
    stripe.subscription(named, "renew", paid=False)
    stripe.subscription(named, "expire")
    news.bring()
    assert tier_of(alice) == "free"


# --- money that goes back -----------------------------------------------------------------------
def newest_charge(stripe, user):
    account = customers.find(user.id)
    return stripe.client.v1.charges.list({"customer": account.stripe_customer_id}).data[0]


def test_a_full_refund_takes_the_plan_a_part_of_it_does_not(alice, stripe, news, subscribed):
    subscribed(alice, "pro")
    charge = newest_charge(stripe, alice)
    stripe.client.v1.refunds.create({"charge": charge.id, "amount": 500})
    news.bring()
    assert tier_of(alice) == "pro"
    stripe.client.v1.refunds.create({"charge": charge.id})
    news.bring()
    assert tier_of(alice) == "free"
    assert Action.PAYMENT_WITHDRAWN in acts(alice)


@pytest.mark.parametrize(("ends", "tier"), [("won", "pro"), ("lost", "free")])
def test_a_dispute_takes_the_plan_until_it_is_won(alice, stripe, news, subscribed, ends, tier):
    subscribed(alice, "pro")
    dispute = stripe.dispute(newest_charge(stripe, alice).id)
    news.bring()
    assert tier_of(alice) == "free"
    stripe.close_dispute(dispute["id"], ends)
    news.bring()
    assert tier_of(alice) == tier


# --- changing -----------------------------------------------------------------------------------
def test_a_preview_says_what_a_larger_plan_costs_and_the_change_charges_it(
    client_of, alice, stripe, subscribed
):
    subscribed(alice, "pro")
    api = client_of(alice)
    shown = api.patch("/billing/subscription", {"tier": "enterprise", "preview": True}).json()
    due = Decimal(shown["preview"]["due_now"])
    assert Decimal("79") < due <= Decimal("80.01")
    assert tier_of(alice) == "pro"
    answer = api.patch("/billing/subscription", {
        "tier": "enterprise", "proration_at": shown["preview"]["proration_at"],
    })  # fmt: skip
    assert answer.status_code == 200, answer.json()
    assert answer.json()["subscription"]["tier"] == "enterprise"
    assert tier_of(alice) == "enterprise"
    newest = api.get("/billing/invoices").json()["results"][0]
    assert Decimal(newest["paid"]) == due


def test_a_smaller_plan_comes_at_once_with_a_credit(client_of, alice, stripe, subscribed):
    subscribed(alice, "enterprise")
    answer = client_of(alice).patch("/billing/subscription", {"tier": "pro"})
    assert answer.json()["subscription"]["tier"] == "pro"
    assert tier_of(alice) == "pro"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"tier": "pro"}, 409, "same_plan"),
        ({"tier": "free"}, 400, "plan_not_for_sale"),
        ({"tier": "pro", "cancel_at_period_end": True}, 400, "invalid_input"),
        ({}, 400, "invalid_input"),
    ],
)
def test_a_change_that_is_none_is_refused(client_of, alice, subscribed, body, status, code):
    subscribed(alice, "pro")
    answer = client_of(alice).patch("/billing/subscription", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_who_has_no_subscription_cannot_change_it(client_of, alice, stripe, method):
    body = {"tier": "pro"} if method == "PATCH" else {}
    answer = client_of(alice).call(method, "/billing/subscription", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_subscribed")


def test_ending_with_the_period_keeps_the_plan_till_then_and_can_be_taken_back(
    client_of, alice, stripe, news, subscribed
):
    named = subscribed(alice, "pro")
    api = client_of(alice)
    ended = api.call("DELETE", "/billing/subscription", {})
    assert ended.json()["cancel_at_period_end"] is True
    with tenancy.as_user(alice.id):
        account = BillingAccount.objects.get()
        assert account.until == Subscription.objects.get().current_period_end
    assert (account.tier, account.next_tier) == ("pro", "free")
    back = api.patch("/billing/subscription", {"cancel_at_period_end": False})
    assert back.json()["subscription"]["cancel_at_period_end"] is False
    with tenancy.as_user(alice.id):
        assert BillingAccount.objects.get().until is None
    api.call("DELETE", "/billing/subscription", {"when": "period_end"})
    stripe.subscription(named, "end_period")
    news.bring()
    assert tier_of(alice) == "free"
    assert Action.SUBSCRIPTION_ENDED in acts(alice)


def test_ending_now_ends_now_and_a_new_one_can_begin(client_of, alice, stripe, news, subscribed):
    subscribed(alice, "pro")
    api = client_of(alice)
    assert api.call("DELETE", "/billing/subscription", {"when": "now"}).json()["ended_at"]
    assert tier_of(alice) == "free"
    assert api.post("/billing/subscription", {"tier": "pro"}).status_code == 201


@pytest.mark.parametrize("away", [timedelta(days=20), timedelta(days=-1), timedelta(minutes=-16)])
def test_nobody_chooses_the_moment_from_which_a_change_is_reckoned(
    client_of, alice, stripe, subscribed, away
):
    """The end of the period would make a larger plan cost nothing."""
    subscribed(alice, "pro")
    body = {"tier": "enterprise", "proration_at": (clock.now() + away).isoformat()}
    answer = client_of(alice).patch("/billing/subscription", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert tier_of(alice) == "pro"


@pytest.mark.parametrize("preview", [True, False])
def test_what_is_owed_is_paid_before_the_plan_is_changed(
    client_of, alice, stripe, news, subscribed, preview
):
    """A smaller plan would credit a period that nobody paid for."""
    named = subscribed(alice, "enterprise")
    stripe.subscription(named, "renew", paid=False)
    news.bring()
    body = {"tier": "pro", "preview": preview}
    answer = client_of(alice).patch("/billing/subscription", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_owed")


def test_a_small_charge_afterwards_hides_no_refund_and_its_own_refund_takes_nothing(
    client_of, alice, stripe, news, subscribed
):
    subscribed(alice, "pro")
    first = newest_charge(stripe, alice)
    client_of(alice).patch("/billing/subscription", {"tier": "enterprise"})
    later = newest_charge(stripe, alice)
    assert later.id != first.id
    stripe.client.v1.refunds.create({"charge": later.id})
    news.bring()
    assert tier_of(alice) == "enterprise"
    stripe.client.v1.refunds.create({"charge": first.id})
    news.bring()
    assert tier_of(alice) == "free"


def test_the_payments_of_an_older_subscription_say_nothing_of_a_new_one(
    client_of, alice, stripe, news, subscribed
):
    subscribed(alice, "pro")
    stripe.client.v1.refunds.create({"charge": newest_charge(stripe, alice).id})
    client_of(alice).call("DELETE", "/billing/subscription", {"when": "now"})
    news.bring()
    assert tier_of(alice) == "free"
    subscribed(alice, "pro")
    assert tier_of(alice) == "pro"


@pytest.mark.django_db(transaction=True)
def test_two_plans_at_once_are_one_subscription(stripe, client_of, alice):
    """S38: not the same request twice, but two that exclude each other."""
    customers.ensure(user_id=alice.id, email=alice.email, now=clock.now())
    clients, tiers = [client_of(alice) for _ in range(4)], ("pro", "enterprise") * 2
    statuses = threads.at_once(
        4,
        lambda number: (
            clients[number].post("/billing/subscription", {"tier": tiers[number]}).status_code
        ),
    )
    assert set(statuses) <= {201, 409}
    waiting = [row for row in customers_subscriptions(stripe, alice) if row.status == "incomplete"]
    assert len(waiting) == 1


def test_a_page_that_is_still_open_cannot_be_paid_once_one_has_subscribed(
    client_of, alice, stripe, subscribed
):
    page = client_of(alice).post("/billing/checkout", {"tier": "pro"}).json()["url"]
    subscribed(alice, "pro")
    with pytest.raises(urllib.error.HTTPError):
        stripe.complete_checkout(page.rpartition("/")[2])
    live = [row for row in customers_subscriptions(stripe, alice) if row.status == "active"]
    assert len(live) == 1


def test_a_beginning_whose_process_died_stands_in_the_way_for_a_minute(client_of, alice, stripe):
    customers.ensure(user_id=alice.id, email=alice.email, now=clock.now())
    with tenancy.as_user(alice.id):
        BillingAccount.objects.update(begins_until=clock.now() + timedelta(seconds=50))
    answer = client_of(alice).post("/billing/subscription", {"tier": "pro"})
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_being_begun")
    with tenancy.as_user(alice.id):
        BillingAccount.objects.update(begins_until=clock.now() - timedelta(seconds=1))
    assert client_of(alice).post("/billing/subscription", {"tier": "pro"}).status_code == 201


def test_one_person_cannot_use_up_what_stripe_lets_all_of_us_ask(
    client_of, alice, bob, stripe, settings
):
    settings.BURST_LIMITS_ENABLED = True
    api = client_of(alice)
    statuses = [api.get("/billing/invoices").status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]
    assert api.get("/billing/subscription").status_code == 200
    assert client_of(bob).get("/billing/invoices").status_code == 200


# --- hosted pages -------------------------------------------------------------------------------
def test_the_hosted_checkout_ends_in_the_plan(client_of, alice, stripe, news):
    answer = client_of(alice).post("/billing/checkout", {"tier": "pro"})
    assert answer.status_code == 201, answer.json()
    url = answer.json()["url"]
    assert b"19.99" in stripe.fetch("GET", url)
    stripe.complete_checkout(url.rpartition("/")[2])
    news.bring()
    assert tier_of(alice) == "pro"


def test_the_portal_has_a_page(client_of, alice, stripe, subscribed):
    subscribed(alice, "pro")
    answer = client_of(alice).post("/billing/portal")
    assert answer.status_code == 201
    assert stripe.fetch("GET", answer.json()["url"])


def test_hosted_pages_send_people_back_to_a_page_of_ours(client):
    assert subscribing.return_url().endswith("/billing/done")
    assert b"go back to the app" in client.get("/billing/done").content


def test_invoices_are_shown_and_kept(client_of, alice, stripe, news, subscribed):
    named = subscribed(alice, "pro")
    stripe.subscription(named, "renew", paid=True)
    news.bring()
    rows = client_of(alice).get("/billing/invoices").json()["results"]
    assert [(row["status"], row["paid"]) for row in rows] == [("paid", "19.990")] * 2
    with tenancy.as_user(alice.id):
        assert Invoice.objects.count() == 2


# --- bad days -----------------------------------------------------------------------------------
ASKING = [
    ("POST", "/billing/subscription", {"tier": "pro"}),
    ("POST", "/billing/checkout", {"tier": "pro"}),
    ("POST", "/billing/portal", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKING)
def test_without_a_key_it_says_so_and_everything_else_works(
    client_of, alice, settings, method, path, body
):
    settings.STRIPE_API_KEY = ""
    api = client_of(alice)
    answer = api.call(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "billing_not_configured")
    for readable in ("plans", "subscription", "usage", "invoices"):
        assert api.get(f"/billing/{readable}").status_code == 200
    assert api.get("/exchanges").status_code == 200


@pytest.mark.parametrize("fault", [
    {"kind": "status", "status": 503}, {"kind": "status", "status": 429}, {"kind": "drop"},
])  # fmt: skip
def test_a_stripe_that_is_down_is_said_and_asked_again_under_the_same_key(
    client_of, alice, stripe, news, fault
):
    """S38"""
    api = client_of(alice)
    with stripe.fault(path="subscriptions", **fault):
        answer = api.post("/billing/subscription", {"tier": "pro"})
        assert (answer.status_code, answer.json()["code"]) == (503, "billing_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    told = api.post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    news.bring()
    assert tier_of(alice) == "pro"
    assert len(customers_subscriptions(stripe, alice)) == 1


def test_an_answer_that_is_lost_makes_no_second_subscription(client_of, alice, stripe):
    """S38: Stripe did it, and we never heard."""
    api = client_of(alice)
    with stripe.fault(path="/v1/subscriptions$", kind="answer_lost", times=2):
        api.post("/billing/subscription", {"tier": "pro"})
    assert api.post("/billing/subscription", {"tier": "pro"}).status_code == 201
    assert len(customers_subscriptions(stripe, alice)) == 1


def test_a_customer_that_is_gone_at_stripe_is_made_again(client_of, alice, stripe, subscribed):
    subscribed(alice, "pro")
    stripe.client.v1.customers.delete(customers.find(alice.id).stripe_customer_id)
    answer = client_of(alice).post("/billing/subscription", {"tier": "pro"})
    assert answer.status_code == 201
    assert tier_of(alice) == "free"


def test_prices_that_were_not_made_yet_are_said(client_of, alice, stripe):
    price = catalogue.prices_of("pro")["plan"]
    stripe.client.v1.prices.update(price, {"active": False})
    answer = client_of(alice).post("/billing/subscription", {"tier": "pro"})
    assert (answer.status_code, answer.json()["code"]) == (503, "billing_prices_missing")


@pytest.mark.django_db(transaction=True)
def test_asked_for_by_ten_at_once_there_is_one_subscription(stripe, client_of, alice):
    """S38"""
    clients = [client_of(alice) for _ in range(10)]
    answers = threads.at_once(
        10, lambda number: clients[number].post("/billing/subscription", {"tier": "pro"})
    )
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    assert 201 in {answer.status_code for answer in answers}
    assert len(customers_subscriptions(stripe, alice)) == 1
    assert stripe.requests()["POST /v1/customers"] >= 1


def test_others_see_nothing_of_it(client_of, alice, bob, subscribed):
    subscribed(alice, "pro")
    api = client_of(bob)
    assert api.get("/billing/subscription").json()["subscription"] is None
    assert api.get("/billing/invoices").json()["results"] == []
    assert tier_of(bob) == "free"
