"""Stripe, as people of these tests know it: the sandbox, its prices made, its news brought by hand.

Nothing is delivered by itself here: ``news.bring()`` posts what has happened, signed, and works
it off as a worker would.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import stripe as stripe_library
from django.test import Client

from billing import catalogue, tasks, webhooks
from tests import broker, stripe_sandbox
from tests.exchange_fixtures import exchange, sandbox
from tests.stripe_sandbox import PUBLIC_KEY, SECRET_KEY, WEBHOOK_SECRET, StripeSandbox

__all__ = ["exchange", "sandbox"]


@pytest.fixture(scope="session")
def stripe_process() -> Iterator[StripeSandbox]:
    with stripe_sandbox.running() as running:
        yield running


@pytest.fixture
def stripe(stripe_process, db, settings) -> StripeSandbox:
    """The sandbox with nothing in it but the prices of the table."""
    stripe_process.reset()
    settings.STRIPE_API_URL = stripe_process.url
    settings.STRIPE_API_KEY, settings.STRIPE_PUBLISHABLE_KEY = SECRET_KEY, PUBLIC_KEY
    settings.STRIPE_WEBHOOK_SECRETS = [WEBHOOK_SECRET]
    list(catalogue.sync())
    return stripe_process


class News:
    """What Stripe has to tell, brought to our webhook."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self._sandbox, self._client, self._brought = sandbox, Client(), set[str]()

    def fresh(self) -> list[dict[str, Any]]:
        """Events that were not brought yet, oldest first."""
        return [event for event in self._sandbox.events() if event["id"] not in self._brought]

    def post(self, event: dict[str, Any], *, secret: str = WEBHOOK_SECRET, age: int = 0) -> Any:
        """One message, signed so many seconds ago."""
        self._brought.add(event["id"])
        body = json.dumps(event)
        return self._client.post(
            "/api/webhook/stripe", body, content_type="application/json",
            headers={"Stripe-Signature": signature(body, secret, age)},
        )  # fmt: skip

    def bring(self) -> int:
        """Everything new, and have it worked on; returns how many messages that were."""
        fresh = self.fresh()
        for event in fresh:
            assert self.post(event).status_code == 200
            # Tests run inside a transaction, at whose end it would be queued.
            webhooks.enqueue(event["id"])
        broker.work_off(tasks.process_event)
        return len(fresh)


def signature(body: str, secret: str = WEBHOOK_SECRET, age: int = 0) -> str:
    at = int(time.time()) - age
    signed = stripe_library.WebhookSignature._compute_signature(f"{at}.{body}", secret)
    return f"t={at},v1={signed}"


@pytest.fixture
def news(stripe) -> News:
    return News(stripe)


@pytest.fixture
def subscribed(stripe, news, client_of):
    """`subscribed(alice, "pro")`: she has subscribed and paid; returns Stripe's subscription."""

    def subscribed(user: Any, tier: str) -> str:
        answer = client_of(user).post("/billing/subscription", {"tier": tier})
        assert answer.status_code == 201, answer.json()
        stripe.pay(answer.json()["payment"]["client_secret"])
        news.bring()
        return subscription_of(stripe, answer.json()["payment"]["customer"])

    return subscribed


def subscription_of(stripe: StripeSandbox, customer: str) -> str:
    """The newest subscription of a customer."""
    params: Any = {"customer": customer, "status": "all", "limit": 1}
    return stripe.client.v1.subscriptions.list(params).data[0].id
