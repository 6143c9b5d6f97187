"""The Stripe of development: keys, errors, idempotency, faults, webhooks, lists, shapes."""

import re
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe
from stripe import StripeObject

from tests import stripe_sandbox
from tests.stripe_shop import (
    CALLS,
    first_item,
    listener,
    make_code,
    make_price,
    newest_invoice,
    paid_charge,
    process,
    report_usage,
    sandbox,
    shop,
    subscribe,
    subscribed,
)

__all__ = ["listener", "process", "sandbox", "shop"]
pytestmark = pytest.mark.xdist_group("stripe_sandbox")


class TestCatalogue:
    def test_prices_by_lookup_key(self, sandbox, shop):
        v1 = sandbox.client.v1
        found = v1.prices.list({"lookup_keys": ["pro_monthly", "max_monthly"], "active": True})
        assert {price.id for price in found} == {shop.monthly, shop.bigger}
        assert v1.prices.retrieve(shop.calls).unit_amount is None
        assert str(v1.prices.retrieve(shop.calls).unit_amount_decimal) == CALLS

    def test_lookup_key_moves(self, sandbox, shop):
        with pytest.raises(stripe.InvalidRequestError):
            make_price(sandbox, unit_amount=1, lookup_key="pro_monthly")
        newer = make_price(
            sandbox, unit_amount=1, lookup_key="pro_monthly", transfer_lookup_key=True
        )
        found = sandbox.client.v1.prices.list({"lookup_keys": ["pro_monthly"]})
        assert [price.id for price in found] == [newer]

    def test_promotion_codes(self, sandbox, shop):
        codes = sandbox.client.v1.promotion_codes
        code = make_code(sandbox, metadata={"for": "friends"})
        own = make_code(sandbox, coupon="THIRD", code="OWN", customer=shop.customer)
        assert (code.promotion.coupon, code.metadata.to_dict()) == ("HALF", {"for": "friends"})
        assert [one.id for one in codes.list({"code": "spring", "active": True})] == [code.id]
        assert [one.id for one in codes.list({"customer": shop.customer})] == [own.id]
        assert [one.id for one in codes.list({"coupon": "HALF"})] == [code.id]
        assert [one.id for one in codes.list({"limit": 1})] == [own.id]
        with pytest.raises(stripe.InvalidRequestError, match="already exists"):
            codes.create({"promotion": {"type": "coupon", "coupon": "HALF"}, "code": "Spring"})

        assert codes.update(code.id, {"active": False}).active is False
        assert codes.list({"code": "SPRING", "active": True}).data == []
        shown = codes.retrieve(code.id, {"expand": ["promotion.coupon"]})
        assert shown.promotion.coupon.percent_off == 50
        make_code(sandbox, coupon="QUARTER")
        with pytest.raises(stripe.InvalidRequestError, match="already exists"):
            codes.update(code.id, {"active": True})

    def test_promotion_codes_that_cannot_be(self, sandbox):
        create, half = sandbox.client.v1.promotion_codes.create, make_code(sandbox).promotion
        with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
            create({"promotion": {"type": "coupon", "coupon": "NONE"}})
        with pytest.raises(stripe.InvalidRequestError, match="letters"):
            create({"promotion": half.to_dict(), "code": "a b"})
        with pytest.raises(stripe.InvalidRequestError, match="no minimum_amount"):
            create({"promotion": half.to_dict(), "restrictions": {"minimum_amount": 5}})
        assert create({"promotion": half.to_dict()}).code

    def test_promotion_code_ends_with_its_coupon(self, sandbox):
        v1, code = sandbox.client.v1, make_code(sandbox)
        v1.coupons.delete("HALF")
        assert not v1.promotion_codes.retrieve(code.id).active
        with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
            v1.promotion_codes.update(code.id, {"active": True})

    def test_product(self, sandbox, shop):
        v1 = sandbox.client.v1
        v1.products.update("prod_pro", {"name": "Professional", "metadata": {"tier": "2"}})
        product = v1.products.retrieve("prod_pro")
        assert (product.name, product.metadata.to_dict()) == ("Professional", {"tier": "2"})
        with pytest.raises(stripe.InvalidRequestError) as refused:
            v1.products.create({"id": "prod_pro", "name": "Again"})
        assert refused.value.code == "resource_already_exists"

    def test_meters_and_account(self, sandbox, shop):
        v1 = sandbox.client.v1
        assert v1.billing.meters.retrieve(shop.meter).event_name == "calls"
        assert v1.accounts.retrieve_current().id.startswith("acct_sandbox")

    def test_customer(self, sandbox, shop):
        v1 = sandbox.client.v1
        v1.customers.update(shop.customer, {"name": "Alice", "metadata": {"a": "1", "b": "2"}})
        v1.customers.update(shop.customer, {"metadata": {"a": ""}})
        customer = v1.customers.retrieve(shop.customer)
        assert (customer.name, customer.metadata.to_dict()) == ("Alice", {"b": "2"})

    def test_ephemeral_key(self, sandbox, shop):
        key = sandbox.client.v1.ephemeral_keys.create(
            {"customer": shop.customer}, {"stripe_version": "2026-08-26.dahlia"}
        )
        assert key.secret.startswith("ek_test_")
        assert key.associated_objects[0].id == shop.customer

    def test_setup_intent(self, sandbox, shop):
        v1 = sandbox.client.v1
        intent = v1.setup_intents.create({"customer": shop.customer})
        sandbox.set_up(intent.client_secret)
        cards = v1.payment_methods.list({"customer": shop.customer, "type": "card"})
        assert [card.card.last4 for card in cards] == ["4242"]


class TestRefusals:
    def test_keys(self, sandbox):
        with pytest.raises(stripe.AuthenticationError):
            sandbox.client_of("sk_live_sandboxsandboxsandboxsandbox").v1.customers.list()

    def test_nothing_there(self, sandbox, shop):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sandbox.client.v1.subscriptions.retrieve("sub_unknown")
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
        with pytest.raises(stripe.InvalidRequestError) as refused:
            subscribe(sandbox, shop, "price_unknown")
        assert (refused.value.http_status, refused.value.param) == (400, "items[0][price]")

    @pytest.mark.parametrize(
        ("more", "param"),
        [
            ({"trial_days": 3}, "trial_days"),
            ({"payment_behavior": "never"}, "payment_behavior"),
            ({"items": [{"prize": "x"}]}, "items[0][prize]"),
            ({"trial_period_days": "many"}, "trial_period_days"),
        ],
    )
    def test_parameters(self, sandbox, shop, more, param):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            subscribe(sandbox, shop, **more)
        assert (refused.value.http_status, refused.value.param) == (400, param)

    def test_unknown_url(self, sandbox):
        with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
            sandbox.client.v1.tax_rates.list()


class TestIdempotency:
    def test_same_key_same_answer(self, sandbox):
        create, options = sandbox.client.v1.customers.create, {"idempotency_key": "one"}
        first = create({"email": "a@example.com"}, options)
        second = create({"email": "a@example.com"}, options)
        assert first.id == second.id
        assert second.last_response.headers["Idempotent-Replayed"] == "true"
        assert len(sandbox.client.v1.customers.list().data) == 1
        with pytest.raises(stripe.IdempotencyError):
            create({"email": "b@example.com"}, options)

    def test_at_the_same_time(self, sandbox):
        create, options = sandbox.client.v1.customers.create, {"idempotency_key": "one"}
        with ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda _: create({"name": "A"}, options).id, range(8))
        assert len(set(made)) == 1
        assert len(sandbox.client.v1.customers.list().data) == 1


class TestFaults:
    def test_status(self, sandbox):
        with sandbox.fault(path="/v1/customers", kind="status", status=503, times=1):
            with pytest.raises(stripe.APIError):
                sandbox.client.v1.customers.list()
            assert sandbox.client.v1.customers.list().data == []

    def test_client_tries_again(self, sandbox):
        patient = sandbox.client_of(stripe_sandbox.SECRET_KEY, retries=2)
        with sandbox.fault(path="customers", kind="status", status=500, times=1):
            patient.v1.customers.create({})
        assert sandbox.requests()["POST /v1/customers"] == 2

    def test_rate_limit(self, sandbox):
        fault = sandbox.fault(path="customers", kind="status", status=429)
        with fault, pytest.raises(stripe.RateLimitError):
            sandbox.client.v1.customers.list()

    def test_lost_answer_is_given_to_the_same_key(self, sandbox):
        options = {"idempotency_key": "one"}
        fault = sandbox.fault(path="customers", kind="answer_lost", times=1)
        with fault, pytest.raises(stripe.APIConnectionError):
            sandbox.client.v1.customers.create({}, options)
        made = sandbox.client.v1.customers.create({}, options)
        assert [one.id for one in sandbox.client.v1.customers.list()] == [made.id]

    @pytest.mark.parametrize("kind", ["hang", "drop"])
    def test_no_answer(self, sandbox, kind):
        hasty = sandbox.client_of(stripe_sandbox.SECRET_KEY, timeout=0.5)
        fault = sandbox.fault(path="customers", kind=kind, times=1)
        with fault, pytest.raises(stripe.APIConnectionError):
            hasty.v1.customers.create({})
        assert sandbox.client.v1.customers.list().data == []


class TestWebhooks:
    def test_tried_again_until_taken(self, sandbox, listener):
        listener.answers.put(500)
        sandbox.client.v1.customers.create({})
        assert listener.wait_for("customer.created")

    def test_paused(self, sandbox, listener):
        sandbox.pause_deliveries()
        sandbox.client.v1.customers.create({})
        assert [event["type"] for event in sandbox.events()] == ["customer.created"]
        assert listener.arrived.empty()
        sandbox.pause_deliveries(False)
        listener.wait_for("customer.created")

    def test_delivered_again(self, sandbox, listener):
        sandbox.client.v1.customers.create({})
        event = listener.wait_for("customer.created")[0]
        assert sandbox.deliver(event.id) == 200
        assert listener.arrived.get(timeout=5).id == event.id

    def test_only_to_this_machine(self, sandbox):
        with pytest.raises(urllib.error.HTTPError):
            sandbox.listen("http://192.0.2.1/stripe")

    def test_listed_by_kind_and_time(self, sandbox, shop):
        subscribed(sandbox, shop)
        v1 = sandbox.client.v1
        found = v1.events.list({"types": ["invoice.paid", "customer.created"]})
        assert [event.type for event in found] == ["invoice.paid", "customer.created"]
        event = found.data[0]
        assert v1.events.retrieve(event.id).data.object["status"] == "paid"
        assert v1.events.list({"created": {"gte": event.created + 100}}).data == []
        assert event["request"].id.startswith("req_")


class TestLists:
    def test_pages(self, sandbox):
        create = sandbox.client.v1.customers.create
        made = [create({"name": str(number)}).id for number in range(5)]
        first = sandbox.client.v1.customers.list({"limit": 2})
        assert [one.id for one in first.data] == made[:2:-1]
        assert first.has_more
        assert [one.id for one in first.auto_paging_iter()] == made[::-1]

    def test_subscriptions_that_are_over(self, sandbox, shop):
        subscription = subscribed(sandbox, shop)
        sandbox.client.v1.subscriptions.cancel(subscription.id)
        listed = sandbox.client.v1.subscriptions.list
        assert listed({"customer": shop.customer}).data == []
        found = listed(
            {"customer": shop.customer, "status": "all", "expand": ["data.latest_invoice"]}
        )
        assert found.data[0].latest_invoice.status == "paid"


class TestShapes:
    """Every field is one that Stripe's client knows, and those that are never absent are there."""

    def test_of_everything(self, sandbox, shop):
        coupon = sandbox.client.v1.coupons.create({"percent_off": 10, "duration": "forever"})
        subscription = subscribed(
            sandbox, shop, shop.monthly, shop.calls, discounts=[{"coupon": coupon.id}]
        )
        charge, v1 = paid_charge(sandbox, shop), sandbox.client.v1
        sandbox.dispute(charge.id)
        report_usage(sandbox, shop, 1, "one")
        session = v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": shop.customer,
                "line_items": [{"price": shop.monthly, "quantity": 1}],
                "success_url": sandbox.url,
            }
        )
        objects = [
            subscription,
            first_item(subscription),
            first_item(subscription).price,
            first_item(subscription).plan,
            newest_invoice(sandbox, subscription),
            newest_invoice(sandbox, subscription).lines.data[0],
            v1.invoices.create_preview({"subscription": subscription.id}),
            v1.invoice_payments.list().data[0],
            charge,
            v1.payment_intents.retrieve(charge.payment_intent),
            v1.payment_methods.retrieve(charge.payment_method),
            v1.setup_intents.create({"customer": shop.customer}),
            v1.customers.retrieve(shop.customer),
            v1.products.retrieve("prod_pro"),
            coupon,
            make_code(sandbox),
            v1.billing.meters.retrieve(shop.meter),
            v1.disputes.list().data[0],
            v1.events.list().data[0],
            session,
            v1.billing_portal.sessions.create({"customer": shop.customer}),
            v1.subscriptions.retrieve(subscription.id, {"expand": ["discounts"]}).discounts[0],
        ]
        assert [wrong for one in objects for wrong in _wrongs(one)] == []


def _wrongs(one: StripeObject) -> list[str]:
    return list(_wrong(one.to_dict(), type(one), str(one["object"])))


def _wrong(value: dict[str, Any], kind: Any, path: str) -> Iterator[str]:
    fields = {name: str(hint) for name, hint in kind.__annotations__.items()}
    fields.pop("OBJECT_NAME", None)
    yield from (f"{path}.{name} is unknown" for name in value if name not in fields)
    for name, hint in fields.items():
        if name not in value:
            if not re.search("Optional|None", hint):
                yield f"{path}.{name} is absent"
            continue
        parts = [vars(kind).get(part) for part in re.findall(r"\w+", hint)]
        inner = next((part for part in parts if isinstance(part, type)), None)
        if inner and isinstance(value[name], dict):
            yield from _wrong(value[name], inner, f"{path}.{name}")


def test_ends_with_its_child(tmp_path):
    with stripe_sandbox.running() as sandbox:
        children = tmp_path / "children"
        children.write_text(_children(sandbox.process.pid))
        assert stripe_sandbox.stop(sandbox.process) == 0
    assert not [pid for pid in children.read_text().split() if _runs(pid)]


def _children(pid: int) -> str:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read()


def _runs(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
