"""Somebody who pays leaves: Stripe is told first, and keeps what the law asks for."""

import pytest
from django.core.management import CommandError, call_command

from accounts.privacy import erasure
from billing import customers
from billing.stripe_gateway import Unavailable
from tests.billing.test_subscribing import customers_subscriptions
from tracker import clock, tenancy


@pytest.fixture(autouse=True)
def tombstones(tmp_path, settings):
    settings.ERASURE_LOG = str(tmp_path / "erasures.jsonl")


def test_who_is_charged_ends_the_subscription_first(client_of, alice, subscribed):
    subscribed(alice, "pro")
    answer = client_of(alice).delete("/me")
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_active")
    client_of(alice).call("DELETE", "/billing/subscription", {"when": "period_end"})
    assert client_of(alice).delete("/me").status_code == 202


def test_erasing_deletes_the_customer_at_stripe_and_every_copy_here(alice, stripe, subscribed):
    """S49"""
    subscribed(alice, "pro")
    customer = customers.find(alice.id).stripe_customer_id
    paid = stripe.client.v1.charges.list({"customer": customer}).data
    call_command("delete_user_data", alice.email, "--yes", "--end-subscription")
    assert not erasure.remains(alice.id)
    assert stripe.client.v1.customers.retrieve(customer).deleted
    assert [row.id for row in stripe.client.v1.charges.list({"customer": customer}).data] == [
        row.id for row in paid
    ]


def test_while_stripe_is_away_nothing_is_touched(alice, stripe, subscribed):
    """S49: nobody would be left who could end the subscription."""
    subscribed(alice, "pro")
    with stripe.fault(path="customers", kind="status", status=503):
        with pytest.raises(CommandError, match="could not be ended"):
            call_command("delete_user_data", alice.email, "--yes", "--end-subscription")
        with pytest.raises(Unavailable):
            erasure.erase(user_id=alice.id, now=clock.now())
    assert len(customers_subscriptions(stripe, alice)) == 1
    with tenancy.as_user(alice.id):
        alice.refresh_from_db()
    assert alice.is_active


def test_a_customer_that_is_gone_already_stands_in_nobodys_way(alice, stripe, subscribed):
    subscribed(alice, "pro")
    stripe.client.v1.customers.delete(customers.find(alice.id).stripe_customer_id)
    erasure.erase(user_id=alice.id, now=clock.now())
    assert not erasure.remains(alice.id)


def test_without_a_key_one_is_erased_all_the_same(alice, stripe, subscribed, settings):
    subscribed(alice, "pro")
    settings.STRIPE_API_KEY = ""
    erasure.erase(user_id=alice.id, now=clock.now())
    assert not erasure.remains(alice.id)
