"""How soon Stripe has its answer: each message verified, stored and queued, none worked on."""

import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

from billing import counting, tasks
from billing.models import BillingAccount, StripeEvent
from tests import broker
from tests.benchmarks import rows
from tests.benchmarks.measure import Result, web_server
from tests.billing.conftest import signature
from tests.stripe_sandbox import WEBHOOK_SECRET
from tracker import tenancy

PEOPLE, MESSAGES, WARMING, AT_ONCE = 100, 800, 160, 8
LINES = 10  # of an invoice, which make a message as large as Stripe's are


def measure() -> list[Result]:
    rows.clear()
    customers = _customers()
    counting.client().delete(broker.QUEUE)
    try:
        with web_server(STRIPE_WEBHOOK_SECRETS=WEBHOOK_SECRET) as port:
            _send(port, _messages("warming", WARMING, customers))
            times = _send(port, _messages("measured", MESSAGES, customers))
        _check_all_stand_and_wait()
    finally:
        counting.client().delete(broker.QUEUE)  # no worker has to do what was never sold
    percentiles = statistics.quantiles(times, n=100)
    p50, p95, p99 = (percentiles[at - 1] * 1000 for at in (50, 95, 99))
    return [
        Result(f"webhook acknowledged, {AT_ONCE} at once, p95", p95, "ms",
               f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", None, "≤ 200 ms", p95 <= 200),
    ]  # fmt: skip


def _customers() -> list[str]:
    """Customers of ours, by their ids at Stripe."""
    people = rows.people(PEOPLE)
    accounts = [
        BillingAccount(user=user, tier="pro", stripe_customer_id=f"cus_{number}")
        for number, user in enumerate(people)
    ]
    with tenancy.as_system("benchmark"):
        BillingAccount.objects.bulk_create(accounts)
    return [f"cus_{number}" for number in range(PEOPLE)]


def _messages(name: str, count: int, customers: list[str]) -> list[str]:
    return [
        json.dumps(_event(f"evt_{name}_{number}", customers[number % len(customers)]))
        for number in range(count)
    ]


def _event(event_id: str, customer: str) -> dict[str, Any]:
    """An invoice was paid: seven kilobytes."""
    line = {"object": "line_item", "amount": 1999, "currency": "usd", "description": "x" * 600}
    invoice = {
        "id": f"in_{event_id}", "object": "invoice", "customer": customer, "status": "paid",
        "lines": {"object": "list", "data": [line] * LINES},
    }  # fmt: skip
    return {
        "id": event_id, "object": "event", "type": "invoice.paid", "created": int(time.time()),
        "api_version": "2026-08-26.dahlia", "livemode": False, "data": {"object": invoice},
    }  # fmt: skip


def _send(port: int, messages: list[str]) -> list[float]:
    """Seconds until each was acknowledged; every sender has a connection of its own."""
    parts = [messages[number::AT_ONCE] for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [
            took for part in pool.map(lambda one: _one_sender(port, one), parts) for took in part
        ]


def _one_sender(port: int, messages: Sequence[str]) -> list[float]:
    times = []
    sender = HTTPConnection("127.0.0.1", port, timeout=30)
    for body in messages:
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature(body)}
        started = time.perf_counter()
        sender.request("POST", "/api/webhook/stripe", body, headers)
        answer = sender.getresponse()
        told = answer.read()
        times.append(time.perf_counter() - started)
        assert answer.status == 200, told
    sender.close()
    return times


def _check_all_stand_and_wait() -> None:
    with tenancy.as_system("benchmark"):
        stored = StripeEvent.objects.filter(state="received", user__isnull=False).count()
    queued = {
        named["event_id"] for task, named in broker.waiting() if task == tasks.process_event.name
    }
    assert stored == len(queued) == WARMING + MESSAGES, (stored, len(queued))
