"""Stripe's messages in every order, each three times: how many states that ends in."""

import itertools
import time
from typing import Any

from django.test import override_settings

from billing import catalogue, counting, webhooks
from tests import broker, stripe_sandbox
from tests.api_client import ApiClient
from tests.benchmarks import rows
from tests.benchmarks.measure import Result
from tests.billing.conftest import News
from tests.billing.test_webhooks import five_of, forget, lifecycle, state_of
from tests.stripe_sandbox import PUBLIC_KEY, SECRET_KEY, WEBHOOK_SECRET
from tracker import clock

TIMES = 3
AS_AT_STRIPE = ("pro", "subscription", None, "active", None)


def measure() -> list[Result]:
    rows.clear()
    (user,) = rows.people(1)
    with stripe_sandbox.running() as sandbox:
        keys: dict[str, Any] = {
            "STRIPE_API_URL": sandbox.url, "STRIPE_API_KEY": SECRET_KEY,
            "STRIPE_PUBLISHABLE_KEY": PUBLIC_KEY, "STRIPE_WEBHOOK_SECRETS": [WEBHOOK_SECRET],
        }  # fmt: skip
        with override_settings(**keys):
            list(catalogue.sync())
            lifecycle(user, sandbox, ApiClient(user))
            news = News(sandbox)
            orders = list(itertools.permutations(five_of(news.fresh())))
            started = time.perf_counter()
            states = {_ends_in(user, news, order, at_once) for at_once in (True, False)
                      for order in orders}  # fmt: skip
            seconds = time.perf_counter() - started
    counting.client().delete(broker.QUEUE)  # what was queued meanwhile was done above
    delivered = 2 * len(orders) * 5 * TIMES
    return [
        Result(f"{len(orders)} orders of a lifecycle × {TIMES}, final states", len(states), "state",
               f"{delivered:,} messages in {seconds:.1f} s", None, "1",
               states == {AS_AT_STRIPE}),
        Result("messages of a lifecycle taken and worked on", delivered / seconds, "messages/s",
               "", None, "(no target)", True),
    ]  # fmt: skip


def _ends_in(user: Any, news: News, order: tuple[dict[str, Any], ...], at_once: bool) -> tuple:
    """The state after every message came three times, worked on at once, or late and backwards."""
    forget(user)
    coming, became = list(order) * TIMES, []
    for event in coming:
        assert news.post(event).status_code == 200
        if at_once:
            became.append(webhooks.process(event_id=event["id"], now=clock.now()))
    if not at_once:
        for event in reversed(coming):
            became.append(webhooks.process(event_id=event["id"], now=clock.now()))
    assert became.count("done") == len(order), became  # each once
    return state_of(user)
