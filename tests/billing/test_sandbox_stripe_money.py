"""The Stripe of development: renewals, ends, usage, refunds, disputes, and its pages."""

import urllib.error
import urllib.parse

import pytest
import stripe

from tests.stripe_shop import (
    MONTHLY,
    again,
    first_item,
    listener,
    newest_invoice,
    paid_charge,
    process,
    report_usage,
    sandbox,
    shop,
    subscribed,
)

__all__ = ["listener", "process", "sandbox", "shop"]
pytestmark = pytest.mark.xdist_group("stripe_sandbox")


class TestEnding:
    def test_at_the_end_of_the_period(self, sandbox, shop, listener):
        subscription = subscribed(sandbox, shop)
        update = sandbox.client.v1.subscriptions.update
        changed = update(subscription.id, {"cancel_at_period_end": True})
        end = first_item(changed).current_period_end
        assert (changed.status, changed.cancel_at) == ("active", end)
        assert changed.cancellation_details.reason == "cancellation_requested"
        assert update(subscription.id, {"cancel_at_period_end": False}).cancel_at is None

        update(subscription.id, {"cancel_at_period_end": True})
        sandbox.subscription(subscription.id, "end_period")

        ended = again(sandbox, subscription)
        assert (ended.status, ended.ended_at) == ("canceled", end)
        listener.wait_for("customer.subscription.deleted")

    def test_now(self, sandbox, shop, listener):
        subscription = subscribed(sandbox, shop)
        canceled = sandbox.client.v1.subscriptions.cancel(subscription.id)
        assert canceled.status == "canceled"
        assert canceled.ended_at == canceled.canceled_at
        listener.wait_for("customer.subscription.deleted")
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sandbox.client.v1.subscriptions.cancel(subscription.id)
        assert refused.value.code == "resource_missing"

    def test_with_its_usage_invoiced(self, sandbox, shop):
        subscription = subscribed(sandbox, shop, shop.monthly, shop.calls)
        report_usage(sandbox, shop, 300, "one")
        sandbox.client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
        assert newest_invoice(sandbox, subscription).amount_paid == 150

    def test_with_its_customer(self, sandbox, shop, listener):
        subscription = subscribed(sandbox, shop)
        assert sandbox.client.v1.customers.delete(shop.customer).deleted
        assert sandbox.client.v1.customers.retrieve(shop.customer).deleted
        assert again(sandbox, subscription).status == "canceled"
        listener.wait_for("customer.deleted", "customer.subscription.deleted")


class TestRenewing:
    def test_paid(self, sandbox, shop, listener):
        subscription = subscribed(sandbox, shop)
        listener.wait_for("customer.subscription.updated", "invoice.paid")
        listener.forget()
        end = first_item(subscription).current_period_end

        sandbox.subscription(subscription.id, "renew", paid=True)

        assert first_item(again(sandbox, subscription)).current_period_start == end
        updated, paid = listener.wait_for("customer.subscription.updated", "invoice.paid")
        assert "items" in updated.data.previous_attributes
        invoice = newest_invoice(sandbox, subscription)
        assert paid.data.object["id"] == invoice.id
        assert invoice.parent.subscription_details.subscription == subscription.id
        assert invoice.lines.data[0].period.start == end

    def test_failed_and_then_paid(self, sandbox, shop, listener):
        subscription = subscribed(sandbox, shop)
        sandbox.subscription(subscription.id, "renew", paid=False)
        assert again(sandbox, subscription).status == "past_due"
        invoice = newest_invoice(sandbox, subscription)
        assert (invoice.status, invoice.attempt_count) == ("open", 1)
        assert invoice.next_payment_attempt
        listener.wait_for("invoice.payment_failed", "customer.subscription.updated")

        sandbox.subscription(subscription.id, "retry", paid=False)
        assert newest_invoice(sandbox, subscription).attempt_count == 2
        sandbox.subscription(subscription.id, "retry", paid=True)

        assert again(sandbox, subscription).status == "active"
        assert newest_invoice(sandbox, subscription).status == "paid"

    def test_failed_for_good(self, sandbox, shop, listener):
        subscription = subscribed(sandbox, shop)
        sandbox.subscription(subscription.id, "renew", paid=False)
        sandbox.subscription(subscription.id, "expire")
        ended = again(sandbox, subscription)
        assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
        listener.wait_for("customer.subscription.deleted")

    def test_failed_and_left_unpaid(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        sandbox.subscription(subscription.id, "renew", paid=False)
        sandbox.subscription(subscription.id, "expire", status="unpaid")
        assert again(sandbox, subscription).status == "unpaid"

    def test_invoices_name_their_payments_and_reasons(self, sandbox, shop):
        subscription, v1 = subscribed(sandbox, shop), sandbox.client.v1
        sandbox.subscription(subscription.id, "renew", paid=True)
        v1.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": first_item(subscription).id, "price": shop.bigger}],
                "proration_behavior": "always_invoice",
                "proration_date": first_item(again(sandbox, subscription)).current_period_start,
            },
        )
        sandbox.subscription(subscription.id, "renew", paid=False)

        listed = v1.invoices.list({"customer": shop.customer, "expand": ["data.payments"]}).data

        assert [(one.billing_reason, one.payments.data[0].status) for one in listed] == [
            ("subscription_cycle", "open"),
            ("subscription_update", "paid"),
            ("subscription_cycle", "paid"),
            ("subscription_create", "paid"),
        ]
        intents = [one.payments.data[0].payment.payment_intent for one in listed]
        charges = v1.charges.list({"customer": shop.customer})
        assert [charge.payment_intent for charge in charges] == intents
        alone = v1.invoices.retrieve(listed[0].id, {"expand": ["payments"]})
        assert alone.payments.data[0].payment.payment_intent == intents[0]

    def test_usage_is_invoiced_once(self, sandbox, shop):
        subscription = subscribed(sandbox, shop, shop.monthly, shop.calls)
        assert "quantity" not in subscription["items"].data[1]
        report_usage(sandbox, shop, 301, "one")
        sandbox.subscription(subscription.id, "renew", paid=True)
        assert newest_invoice(sandbox, subscription).amount_paid == MONTHLY + 151
        sandbox.subscription(subscription.id, "renew", paid=True)
        assert newest_invoice(sandbox, subscription).amount_paid == MONTHLY


class TestUsage:
    def test_same_identifier_counts_once(self, sandbox, shop):
        assert report_usage(sandbox, shop, 5, "one").identifier == "one"
        with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier one"):
            report_usage(sandbox, shop, 5, "one")
        events = sandbox.call("GET", "/meter_events")["data"]
        assert [(event["payload"]["value"], event["billed"]) for event in events] == [("5", False)]

    def test_before_a_subscription_it_is_free(self, sandbox, shop):
        report_usage(sandbox, shop, 100, "before")
        subscription = subscribed(sandbox, shop, shop.monthly, shop.calls)
        upcoming = sandbox.client.v1.invoices.create_preview({"subscription": subscription.id})
        assert upcoming.total == MONTHLY
        report_usage(sandbox, shop, 100, "after")
        upcoming = sandbox.client.v1.invoices.create_preview({"subscription": subscription.id})
        assert upcoming.total == MONTHLY + 50

    def test_unknown_meter_and_times_far_away(self, sandbox, shop):
        create = sandbox.client.v1.billing.meter_events.create
        payload = {"stripe_customer_id": shop.customer, "value": "1"}
        with pytest.raises(stripe.InvalidRequestError, match="No active meter"):
            create({"event_name": "steps", "payload": payload})
        with pytest.raises(stripe.InvalidRequestError) as refused:
            create({"event_name": "calls", "payload": payload, "timestamp": 1500000000})
        assert refused.value.code == "timestamp_too_far_in_past"


class TestMoneyBack:
    def test_refund(self, sandbox, shop, listener):
        subscribed(sandbox, shop)
        charge = paid_charge(sandbox, shop)
        refund = sandbox.client.v1.refunds.create(
            {"payment_intent": charge.payment_intent, "amount": 100}
        )
        assert (refund.status, refund.charge) == ("succeeded", charge.id)
        charge = paid_charge(sandbox, shop)
        assert (charge.refunded, charge.amount_refunded) == (False, 100)
        sandbox.client.v1.refunds.create({"charge": charge.id})
        assert paid_charge(sandbox, shop).refunded
        listener.wait_for("charge.refunded")
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sandbox.client.v1.refunds.create({"charge": charge.id})
        assert refused.value.code == "charge_already_refunded"

    def test_dispute(self, sandbox, shop, listener):
        subscribed(sandbox, shop)
        charge = paid_charge(sandbox, shop)
        dispute = sandbox.dispute(charge.id)
        assert paid_charge(sandbox, shop).disputed
        disputes = sandbox.client.v1.disputes
        assert [one.id for one in disputes.list({"charge": charge.id})] == [dispute["id"]]
        sandbox.close_dispute(dispute["id"], "lost")
        assert disputes.retrieve(dispute["id"]).status == "lost"
        created, closed = listener.wait_for("charge.dispute.created", "charge.dispute.closed")
        assert created.data.object["status"] == "needs_response"
        assert closed.data.object["status"] == "lost"


class TestPages:
    def test_checkout(self, sandbox, shop, listener):
        session = self._session(sandbox, shop)
        assert "9.99 EUR" in sandbox.fetch("GET", session.url).decode()
        assert self._press(sandbox, session.url, "decline") == 402
        assert self._press(sandbox, session.url, "pay") == f"{sandbox.url}/?session={session.id}"

        done = sandbox.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items"]})
        assert (done.status, done.payment_status) == ("complete", "paid")
        assert done.client_reference_id == "user-7"
        assert done.line_items.data[0].price.id == shop.monthly
        subscription = sandbox.client.v1.subscriptions.retrieve(done.subscription)
        assert (subscription.status, subscription.metadata.to_dict()) == ("active", {"user": "7"})
        completed = listener.wait_for("checkout.session.completed", "invoice.paid")[0]
        assert completed.data.object["subscription"] == subscription.id

    def test_checkout_that_is_left(self, sandbox, shop):
        session = self._session(sandbox, shop)
        assert self._press(sandbox, session.url, "cancel") == f"{sandbox.url}/?canceled"
        assert sandbox.client.v1.checkout.sessions.expire(session.id).status == "expired"

    def test_checkout_is_listed_by_status(self, sandbox, shop):
        sessions = sandbox.client.v1.checkout.sessions
        left, paid, waits = (self._session(sandbox, shop).id for _ in range(3))
        sessions.expire(left)
        sandbox.complete_checkout(paid)

        def found(**asked):
            return [one.id for one in sessions.list({"customer": shop.customer, **asked})]

        assert found() == [waits, paid, left]
        assert found(limit=1) == [waits]
        assert [found(status=one) for one in ("open", "complete", "expired")] == [
            [waits], [paid], [left]
        ]  # fmt: skip
        other = sandbox.client.v1.customers.create({}).id
        assert sessions.list({"customer": other, "status": "open"}).data == []

    def test_checkout_that_is_over_cannot_be_paid(self, sandbox, shop):
        left, paid = self._session(sandbox, shop), self._session(sandbox, shop)
        sandbox.client.v1.checkout.sessions.expire(left.id)
        assert self._press(sandbox, paid.url, "pay").endswith(paid.id)
        for session, status in ((left, "expired"), (paid, "complete")):
            assert f"This session is {status}" in sandbox.fetch("GET", session.url).decode()
            assert self._press(sandbox, session.url, "pay") == 400
        assert len(sandbox.client.v1.subscriptions.list({"status": "all"}).data) == 1
        assert len(sandbox.client.v1.charges.list().data) == 1

    def test_checkout_with_tax(self, sandbox, shop):
        session = self._session(
            sandbox, shop,
            more={"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}},
        )  # fmt: skip
        assert sandbox.complete_checkout(session.id)["status"] == "complete"

    def test_checkout_of_a_trial_that_cancels(self, sandbox, shop):
        cancels = {"end_behavior": {"missing_payment_method": "cancel"}}
        session = self._session(sandbox, shop, trial_period_days=7, trial_settings=cancels)
        done = sandbox.complete_checkout(session.id)
        begun = sandbox.client.v1.subscriptions.retrieve(done["subscription"])
        assert begun.trial_settings.end_behavior.missing_payment_method == "cancel"

    def test_checkout_of_a_trial_without_the_page(self, sandbox, shop):
        session = self._session(sandbox, shop, trial_period_days=7)
        done = sandbox.complete_checkout(session.id)
        assert done["payment_status"] == "no_payment_required"
        subscription = sandbox.client.v1.subscriptions.retrieve(done["subscription"])
        assert subscription.status == "trialing"
        assert subscription.default_payment_method

    def test_portal(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        session = sandbox.client.v1.billing_portal.sessions.create(
            {"customer": shop.customer, "return_url": f"{sandbox.url}/account"}
        )
        page = sandbox.fetch("GET", session.url).decode()
        assert "Cancel at the end of the period" in page
        assert f"{sandbox.url}/account" in page
        self._press(sandbox, session.url, subscription.id)
        assert again(sandbox, subscription).cancel_at_period_end
        assert "ends with its period" in sandbox.fetch("GET", session.url).decode()

    def test_invoice(self, sandbox, shop):
        invoice = newest_invoice(sandbox, subscribed(sandbox, shop))
        assert invoice.number in sandbox.fetch("GET", invoice.hosted_invoice_url).decode()
        assert sandbox.fetch("GET", invoice.invoice_pdf).startswith(b"%PDF")

    def _session(self, sandbox, shop, more=None, **data):
        return sandbox.client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": shop.customer,
                "line_items": [{"price": shop.monthly, "quantity": 1}],
                "success_url": f"{sandbox.url}/?session={{CHECKOUT_SESSION_ID}}",
                "cancel_url": f"{sandbox.url}/?canceled",
                "client_reference_id": "user-7",
                "subscription_data": {"metadata": {"user": "7"}, **data},
                "allow_promotion_codes": True,
                **(more or {}),
            }
        )

    def _press(self, sandbox, url, action):
        """The address that a button leads to, or the status if it leads nowhere."""
        try:
            sandbox.press(url, urllib.parse.urlencode({"action": action}).encode())
        except urllib.error.HTTPError as answer:
            return answer.headers["Location"] or answer.code
        return 200
