"""The table of plans at Stripe: made, adopted, replaced, and never twice."""

from dataclasses import replace
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from djstripe import models as djstripe

from accounts.privacy import inventory
from billing import catalogue, plans
from tests.billing.test_subscribing import tier_of
from tracker import tenancy


def run(*flags):
    out, err = StringIO(), StringIO()
    call_command("sync_plans", *flags, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def test_a_second_run_finds_everything_as_it_should_be(stripe):
    assert run() == "Everything is as the table says.\n"
    prices = stripe.client.v1.prices.list({"active": True}).data
    assert sorted(price.lookup_key for price in prices) == [
        "tracker_enterprise_calls", "tracker_enterprise_plan", "tracker_pro_calls",
        "tracker_pro_plan",
    ]  # fmt: skip


def test_a_dry_run_says_what_it_would_do_and_does_nothing(stripe):
    stripe.reset()
    said = run("--dry-run")
    assert "would do: meter of API calls: create" in said
    assert "would do: price of Pro, plan: 19.99 usd (create)" in said
    assert stripe.client.v1.prices.list().data == []
    assert stripe.client.v1.products.list().data == []


def test_a_price_that_changed_is_replaced_and_who_has_the_old_one_keeps_it(
    stripe, settings, alice, subscribed, news
):
    named = subscribed(alice, "pro")
    table = dict(plans.table())
    settings.SUBSCRIPTION_TIERS = table | {"pro": replace(table["pro"], price=Decimal("24.99"))}
    assert run() == "price of Pro, plan: 24.99 usd (replace)\n"
    assert run() == "Everything is as the table says.\n"
    items = stripe.client.v1.subscriptions.retrieve(named)["items"].data
    assert {str(item.price.unit_amount) for item in items if item.price.unit_amount} >= {"1999"}
    stripe.subscription(named, "renew", paid=True)
    news.bring()
    assert tier_of(alice) == "pro"


def test_what_was_made_by_somebody_else_under_our_names_is_adopted(stripe):
    before = {row.id for row in stripe.client.v1.prices.list({"active": True}).data}
    run()
    assert {row.id for row in stripe.client.v1.prices.list({"active": True}).data} == before


def test_a_tier_that_is_gone_while_people_are_on_it_is_said(stripe, settings, alice, subscribed):
    subscribed(alice, "pro")
    settings.SUBSCRIPTION_TIERS = {
        tier: plan for tier, plan in plans.table().items() if tier != "pro"
    }
    assert "1 people have subscribed to 'pro', which is not in the table" in run()


def test_without_a_key_it_says_so(db, settings):
    settings.STRIPE_API_KEY = ""
    with pytest.raises(CommandError, match="billing_not_configured"):
        run()


def test_stripe_away_is_one_sentence(stripe):
    with (
        stripe.fault(path=".*", kind="status", status=500),
        pytest.raises(CommandError, match="billing_unavailable"),
    ):
        run()


def test_the_command_that_reconciles_says_what_it_did(stripe, alice, subscribed):
    subscribed(alice, "pro")
    out = StringIO()
    call_command("reconcile_billing", stdout=out)
    assert out.getvalue() == (
        "Customers read: 1. Repaired: 0. Could not be read: 0. Customers of nobody here: 0.\n"
    )


# --- dj-stripe's copies -------------------------------------------------------------------------
def test_dj_stripe_has_copies_of_what_is_sold_and_bought_and_nothing_else(
    stripe, alice, subscribed
):
    """S25: and no key of ours among them."""
    named = subscribed(alice, "pro")
    with tenancy.as_system("test"):
        assert {row.id for row in djstripe.Product.objects.all()} == {
            "tracker_pro", "tracker_enterprise",
        }  # fmt: skip
        assert djstripe.Price.objects.count() == 4
        assert djstripe.Customer.objects.get().subscriber_id == alice.id
        assert djstripe.Subscription.objects.get().id == named
        assert djstripe.SubscriptionItem.objects.count() == 2
        assert {key.secret for key in djstripe.APIKey.objects.all()} == {"sk_test_" + "0" * 24}
        for label in inventory.labels():
            if label.startswith("djstripe.") and label not in inventory.FILLED_COPIES:
                assert not inventory.model(label)._base_manager.exists(), label


def test_copies_are_seen_by_their_person_and_the_system_alone(stripe, alice, bob, subscribed):
    """S16: dj-stripe's tables have no user of their own."""
    subscribed(alice, "pro")
    models = (djstripe.Customer, djstripe.Subscription, djstripe.SubscriptionItem)
    with tenancy.as_user(alice.id):
        assert all(model.objects.exists() for model in models)
    with tenancy.as_user(bob.id):
        assert not any(model.objects.exists() for model in models)
    assert not any(model.objects.exists() for model in models)


def test_prices_are_found_by_their_names(stripe):
    assert set(catalogue.prices_of("pro")) == {"plan", "calls"}
    with pytest.raises(catalogue.NotForSale):
        catalogue.prices_of("free")
