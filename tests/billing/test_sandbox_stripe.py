"""The Stripe of development, spoken to by Stripe's own client: subscribing and changing."""

import pytest
import stripe

from tests.stripe_shop import (
    FIRST_INVOICE,
    MONTHLY,
    YEARLY,
    again,
    first_item,
    listener,
    make_code,
    newest_invoice,
    process,
    report_usage,
    sandbox,
    secret_of,
    shop,
    subscribe,
    subscribed,
)

__all__ = ["listener", "process", "sandbox", "shop"]
pytestmark = pytest.mark.xdist_group("stripe_sandbox")
CANCELS = {"end_behavior": {"missing_payment_method": "cancel"}}


class TestSubscribing:
    def test_incomplete_until_paid(self, sandbox, shop, listener):
        subscription = subscribe(sandbox, shop, metadata={"user": "7"})
        assert subscription.status == "incomplete"
        assert subscription.metadata.to_dict() == {"user": "7"}
        assert subscription.latest_invoice.status == "open"
        payment = subscription.latest_invoice.payments.data[0].payment
        secret = secret_of(subscription)
        assert payment.payment_intent == secret.partition("_secret_")[0]

        assert sandbox.pay(secret).status == "succeeded"

        subscription = again(sandbox, subscription)
        customer = sandbox.client.v1.customers.retrieve(shop.customer)
        method = customer.invoice_settings.default_payment_method
        assert subscription.status == "active"
        assert subscription.default_payment_method == method
        invoice = newest_invoice(sandbox, subscription)
        assert (invoice.status, invoice.amount_paid) == ("paid", MONTHLY)
        assert invoice.billing_reason == "subscription_create"
        assert invoice.status_transitions.paid_at
        events = listener.wait_for(
            "customer.subscription.created",
            "customer.subscription.updated",
            "invoice.created",
            "invoice.finalized",
            "invoice.paid",
            "invoice.payment_succeeded",
            "payment_intent.succeeded",
            "charge.succeeded",
            "customer.updated",
        )
        assert events[0].data.object["status"] == "incomplete"
        assert events[1].data.object["status"] == "active"
        assert events[1].data.previous_attributes["status"] == "incomplete"
        assert {event.api_version for event in events} == {stripe.api_version}
        assert not any(event.livemode for event in events)

    def test_periods_are_of_items(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        item = first_item(subscription)
        assert 28 <= (item.current_period_end - item.current_period_start) / 86400 <= 31
        assert "current_period_end" not in subscription
        assert item.price.id == shop.monthly
        assert item.price.recurring.interval == "month"

    def test_parts_come_only_when_asked_for(self, sandbox, shop):
        invoice = subscribe(sandbox, shop, expand=["latest_invoice"]).latest_invoice
        assert "payments" not in invoice
        assert "confirmation_secret" not in invoice

    def test_what_the_old_api_had_cannot_be_expanded(self, sandbox, shop):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            subscribe(sandbox, shop, expand=["latest_invoice.payment_intent"])

    def test_declined(self, sandbox, shop, listener):
        subscription = subscribe(sandbox, shop)
        with pytest.raises(stripe.CardError) as refused:
            sandbox.pay(secret_of(subscription), "pm_card_chargeDeclined")
        assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
        assert again(sandbox, subscription).status == "incomplete"
        intent = sandbox.client.v1.payment_intents.retrieve(
            secret_of(subscription).partition("_secret_")[0]
        )
        assert intent.status == "requires_payment_method"
        assert intent.last_payment_error.code == "card_declined"
        listener.wait_for(
            "payment_intent.payment_failed", "charge.failed", "invoice.payment_failed"
        )

        sandbox.pay(secret_of(subscription))
        assert again(sandbox, subscription).status == "active"

    @pytest.mark.parametrize(("success", "status"), [(True, "active"), (False, "incomplete")])
    def test_authentication(self, sandbox, shop, listener, success, status):
        subscription = subscribe(sandbox, shop)
        intent = sandbox.pay(secret_of(subscription), "pm_card_authenticationRequired")
        assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
        listener.wait_for("invoice.payment_action_required")

        sandbox.authenticate(intent.id, success=success)

        assert again(sandbox, subscription).status == status

    def test_authentication_that_failed_can_be_tried_again(self, sandbox, shop):
        subscription = subscribe(sandbox, shop)
        intent = sandbox.pay(secret_of(subscription), "pm_card_authenticationRequired")
        sandbox.authenticate(intent.id, success=False)
        sandbox.pay(secret_of(subscription))
        assert again(sandbox, subscription).status == "active"

    def test_authenticated_card_renews_by_itself(self, sandbox, shop):
        subscription = subscribe(sandbox, shop)
        intent = sandbox.pay(secret_of(subscription), "pm_card_authenticationRequired")
        sandbox.authenticate(intent.id)
        sandbox.subscription(subscription.id, "renew", paid=True)
        assert again(sandbox, subscription).status == "active"

    def test_nobody_pays_in_time(self, sandbox, shop, listener):
        subscription = subscribe(sandbox, shop)
        sandbox.subscription(subscription.id, "expire")
        assert again(sandbox, subscription).status == "incomplete_expired"
        assert newest_invoice(sandbox, subscription).status == "void"
        listener.wait_for("invoice.voided", "customer.subscription.updated")
        with pytest.raises(stripe.InvalidRequestError, match="canceled"):
            sandbox.pay(secret_of(subscription))

    def test_with_a_known_card_it_is_paid_at_once(self, sandbox, shop):
        subscribed(sandbox, shop)
        second = subscribe(sandbox, shop, shop.yearly, payment_behavior="allow_incomplete")
        assert again(sandbox, second).status == "active"

    def test_a_phone_needs_the_secret(self, sandbox, shop):
        intent = secret_of(subscribe(sandbox, shop)).partition("_secret_")[0]
        params = {"client_secret": f"{intent}_secret_wrong", "payment_method": "pm_card_visa"}
        with pytest.raises(stripe.InvalidRequestError, match="client_secret"):
            sandbox.phone.v1.payment_intents.confirm(intent, params)
        with pytest.raises(stripe.PermissionError):
            sandbox.phone.v1.customers.retrieve(shop.customer)

    def test_coupon(self, sandbox, shop):
        coupon = sandbox.client.v1.coupons.create({"percent_off": 50, "duration": "once"})
        subscription = subscribe(sandbox, shop, discounts=[{"coupon": coupon.id}])
        assert subscription.latest_invoice.total == MONTHLY - 500
        assert subscription.latest_invoice.total_discount_amounts[0].amount == 500
        sandbox.pay(secret_of(subscription))
        sandbox.subscription(subscription.id, "renew", paid=True)
        assert newest_invoice(sandbox, subscription).total == MONTHLY

    def test_lasting_coupon_can_be_seen(self, sandbox, shop):
        coupon = sandbox.client.v1.coupons.create(
            {"id": "FRIENDS", "amount_off": 100, "currency": "eur", "duration": "forever"}
        )
        subscription = subscribe(
            sandbox, shop, discounts=[{"coupon": coupon.id}], expand=["discounts.source.coupon"]
        )
        assert subscription.discounts[0].source.coupon.amount_off == 100

    def test_promotion_code(self, sandbox, shop):
        code = make_code(sandbox, max_redemptions=1)
        subscription = subscribe(
            sandbox,
            shop,
            discounts=[{"promotion_code": code.id}],
            expand=[*FIRST_INVOICE, "discounts.promotion_code"],
        )
        assert subscription.latest_invoice.total == MONTHLY - 500
        given = subscription.discounts[0]
        assert (given.source.coupon, given.promotion_code.code) == ("HALF", "SPRING")
        sandbox.pay(secret_of(subscription))
        sandbox.subscription(subscription.id, "renew", paid=True)
        assert newest_invoice(sandbox, subscription).total == MONTHLY - 500

        used = sandbox.client.v1.promotion_codes.retrieve(code.id)
        assert (used.times_redeemed, used.active) == (1, False)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"active": False}, "inactive"),
            ({"expires_at": 1}, "expired"),
            ({"restrictions": {"first_time_transaction": True}}, "prior transactions"),
            (None, "No such promotion code: 'promo_none'"),
        ],
    )
    def test_promotion_code_that_is_refused(self, sandbox, shop, change, said):
        before = subscribed(sandbox, shop)
        named = "promo_none" if change is None else make_code(sandbox, **change).id
        with pytest.raises(stripe.InvalidRequestError, match=said) as refused:
            subscribe(sandbox, shop, discounts=[{"promotion_code": named}])
        assert refused.value.http_status == 400
        assert refused.value.param == "discounts[0][promotion_code]"
        found = sandbox.client.v1.subscriptions.list({"status": "all"}).data
        assert [one.id for one in found] == [before.id]

    def test_promotion_code_that_is_only_looked_at(self, sandbox, shop):
        code, v1 = make_code(sandbox), sandbox.client.v1
        preview = v1.invoices.create_preview(
            {
                "customer": shop.customer,
                "subscription_details": {"items": [{"price": shop.monthly}]},
                "discounts": [{"promotion_code": code.id}],
            }
        )
        assert preview.total == MONTHLY - 500
        assert v1.promotion_codes.retrieve(code.id).times_redeemed == 0

    def test_promotion_code_of_one_customer(self, sandbox, shop):
        other = sandbox.client.v1.customers.create({}).id
        code = make_code(sandbox, customer=other)
        with pytest.raises(stripe.InvalidRequestError, match="another customer"):
            subscribe(sandbox, shop, discounts=[{"promotion_code": code.id}])
        assert subscribe(
            sandbox, shop, customer=other, discounts=[{"promotion_code": code.id}]
        ).discounts


class TestTrial:
    def test_card_is_set_up_and_then_charged(self, sandbox, shop, listener):
        subscription = subscribe(
            sandbox, shop, trial_period_days=14, expand=["pending_setup_intent", "latest_invoice"]
        )
        assert subscription.status == "trialing"
        assert subscription.trial_end - subscription.trial_start == 14 * 86400
        assert first_item(subscription).current_period_end == subscription.trial_end
        assert (subscription.latest_invoice.status, subscription.latest_invoice.total) == (
            "paid",
            0,
        )

        assert sandbox.set_up(subscription.pending_setup_intent.client_secret).status == "succeeded"
        assert again(sandbox, subscription).default_payment_method
        sandbox.subscription(subscription.id, "warn_of_trial_end")
        listener.wait_for("customer.subscription.trial_will_end")

        sandbox.subscription(subscription.id, "end_trial", paid=True)
        invoice = newest_invoice(sandbox, subscription)
        assert again(sandbox, subscription).status == "active"
        assert (invoice.amount_paid, invoice.billing_reason) == (MONTHLY, "subscription_cycle")

    def test_setup_intent_is_pending_until_confirmed(self, sandbox, shop):
        subscription = subscribe(sandbox, shop, trial_period_days=14, expand=[])
        setup, listed = subscription.pending_setup_intent, sandbox.client.v1.subscriptions.list
        assert setup.startswith("seti_")
        assert [one.pending_setup_intent for one in listed()] == [setup]
        expanded = listed({"expand": ["data.pending_setup_intent"]}).data[0]
        sandbox.set_up(expanded.pending_setup_intent.client_secret)
        assert again(sandbox, subscription).pending_setup_intent is None
        assert [one.pending_setup_intent for one in listed()] == [None]

    def test_end_without_a_card_cancels_where_asked(self, sandbox, shop, listener):
        subscription = subscribe(
            sandbox, shop, trial_period_days=14, trial_settings=CANCELS, expand=[]
        )
        assert subscription.trial_settings.end_behavior.missing_payment_method == "cancel"
        sandbox.subscription(subscription.id, "end_trial")
        ended = again(sandbox, subscription)
        assert (ended.status, ended.ended_at) == ("canceled", subscription.trial_end)
        assert len(sandbox.client.v1.invoices.list({"subscription": ended.id}).data) == 1
        told = listener.wait_for("customer.subscription.deleted")[0]
        assert told.data.object["id"] == subscription.id

    def test_end_with_a_card_is_paid_all_the_same(self, sandbox, shop):
        subscription = subscribe(
            sandbox,
            shop,
            trial_period_days=14,
            trial_settings=CANCELS,
            expand=["pending_setup_intent"],
        )
        sandbox.set_up(subscription.pending_setup_intent.client_secret)
        sandbox.subscription(subscription.id, "end_trial")
        assert again(sandbox, subscription).status == "active"

    def test_pause_at_the_end_is_refused(self, sandbox, shop):
        pauses = {"end_behavior": {"missing_payment_method": "pause"}}
        with pytest.raises(stripe.InvalidRequestError, match="no pause"):
            subscribe(sandbox, shop, trial_period_days=14, trial_settings=pauses)

    def test_end_that_is_not_paid(self, sandbox, shop, listener):
        subscription = subscribe(sandbox, shop, trial_period_days=2, expand=[])
        listener.wait_for("customer.subscription.trial_will_end")
        sandbox.subscription(subscription.id, "end_trial", paid=False)
        assert again(sandbox, subscription).status == "past_due"
        listener.wait_for("invoice.payment_failed")


class TestChanging:
    def test_upgrade_costs_what_the_preview_said(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        item = first_item(subscription)
        middle = (item.current_period_start + item.current_period_end) // 2
        change = {
            "items": [{"id": item.id, "price": shop.bigger}],
            "proration_behavior": "always_invoice",
            "proration_date": middle,
        }
        preview = sandbox.client.v1.invoices.create_preview(
            {
                "customer": shop.customer,
                "subscription": subscription.id,
                "subscription_details": change,
            }
        )
        assert preview.amount_due == pytest.approx(MONTHLY / 2, abs=1)
        assert [line.amount < 0 for line in preview.lines.data] == [True, False]
        assert preview.currency == "eur"
        assert first_item(again(sandbox, subscription)).price.id == shop.monthly

        sandbox.client.v1.subscriptions.update(subscription.id, change)

        invoice = newest_invoice(sandbox, subscription)
        assert (invoice.amount_paid, invoice.billing_reason) == (
            preview.amount_due,
            "subscription_update",
        )
        item = first_item(again(sandbox, subscription))
        assert item.price.id == shop.bigger

    def test_upgrade_that_is_not_paid_changes_nothing(self, sandbox, shop):
        subscription, v1 = subscribed(sandbox, shop), sandbox.client.v1
        bad = v1.payment_methods.retrieve("pm_card_chargeCustomerFail")
        v1.payment_methods.attach(bad.id, {"customer": shop.customer})
        v1.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
        before, told = again(sandbox, subscription), len(sandbox.events())
        change = {
            "items": [{"id": first_item(subscription).id, "price": shop.bigger}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "error_if_incomplete",
        }
        with pytest.raises(stripe.CardError):
            v1.subscriptions.update(subscription.id, change)
        assert again(sandbox, subscription).to_dict() == before.to_dict()
        assert len(v1.invoices.list({"subscription": subscription.id}).data) == 1
        kinds = [event["type"] for event in sandbox.events()[told:]]
        assert kinds == ["charge.failed", "payment_intent.payment_failed"]

        v1.subscriptions.update(
            subscription.id, {"default_payment_method": subscription.default_payment_method}
        )
        v1.subscriptions.update(subscription.id, change)
        assert first_item(again(sandbox, subscription)).price.id == shop.bigger
        assert newest_invoice(sandbox, subscription).status == "paid"

    def test_prorations_wait_for_the_next_invoice(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        item = first_item(subscription)
        middle = (item.current_period_start + item.current_period_end) // 2
        sandbox.client.v1.subscriptions.update(
            subscription.id,
            {"items": [{"id": item.id, "price": shop.bigger}], "proration_date": middle},
        )
        upcoming = sandbox.client.v1.invoices.create_preview({"subscription": subscription.id})
        assert upcoming.total == pytest.approx(2.5 * MONTHLY, abs=1)
        sandbox.subscription(subscription.id, "renew", paid=True)
        assert newest_invoice(sandbox, subscription).total == upcoming.total

    def test_other_interval_begins_anew(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        item = first_item(subscription)
        sandbox.client.v1.subscriptions.update(
            subscription.id,
            {"items": [{"id": item.id, "price": shop.yearly}], "proration_behavior": "none"},
        )
        item = first_item(again(sandbox, subscription))
        assert item.current_period_end - item.current_period_start >= 365 * 86400
        assert newest_invoice(sandbox, subscription).amount_paid == YEARLY

    def test_what_is_left_over_pays_later_invoices(self, sandbox, shop):
        subscription = subscribed(sandbox, shop, shop.bigger)
        item = first_item(subscription)
        sandbox.client.v1.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": item.id, "price": shop.monthly}],
                "proration_behavior": "always_invoice",
                "proration_date": item.current_period_start,
            },
        )
        customer = sandbox.client.v1.customers.retrieve(shop.customer)
        assert customer.balance == -MONTHLY
        sandbox.subscription(subscription.id, "renew", paid=True)
        invoice = newest_invoice(sandbox, subscription)
        assert (invoice.total, invoice.amount_due) == (MONTHLY, 0)

    def test_item_added_and_deleted(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        v1 = sandbox.client.v1
        with_calls = v1.subscriptions.update(subscription.id, {"items": [{"price": shop.calls}]})
        assert [item.price.id for item in with_calls["items"].data] == [shop.monthly, shop.calls]
        calls = with_calls["items"].data[1]
        without = v1.subscriptions.update(
            subscription.id, {"items": [{"id": calls.id, "deleted": True}]}
        )
        assert [item.price.id for item in without["items"].data] == [shop.monthly]

    def test_usage_of_an_item_that_goes_can_be_dropped(self, sandbox, shop):
        subscription = subscribed(sandbox, shop, shop.monthly, shop.calls)
        report_usage(sandbox, shop, 100, "one")
        calls = subscription["items"].data[1].id
        sandbox.client.v1.subscriptions.update(
            subscription.id, {"items": [{"id": calls, "deleted": True, "clear_usage": True}]}
        )
        assert sandbox.call("GET", "/meter_events")["data"][0]["billed"]

    def test_metadata_is_merged(self, sandbox, shop):
        subscription = subscribed(sandbox, shop, metadata={"a": "1", "b": "2"})
        changed = sandbox.client.v1.subscriptions.update(
            subscription.id, {"metadata": {"b": "", "c": "3"}}
        )
        assert changed.metadata.to_dict() == {"a": "1", "c": "3"}

    def test_preview_of_a_new_subscription(self, sandbox, shop):
        details = {"items": [{"price": shop.monthly}, {"price": shop.calls}]}
        preview = sandbox.client.v1.invoices.create_preview(
            {"customer": shop.customer, "subscription_details": details}
        )
        assert (preview.total, preview.status) == (MONTHLY, "draft")
