"""From signing up to paying, and back: the whole system, with messages really delivered."""

import json
import time
import urllib.request
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from billing import counting
from tests.end_to_end.system import System, running

SOON = 120
PHONE = "pk_test_onlyThisMachine0000000000"


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    folder = tmp_path_factory.mktemp("billing")
    with running(folder, BURST_LIMITS="on", STRIPE_TIMEOUT_SECONDS="20") as found:
        yield found


def stripe(system: System, path: str, method: str = "GET", body: Any = None) -> Any:
    """The sandbox Stripe, as ``make run`` prints its address."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310  (loopback)
        f"{system.printed('Sandbox Stripe:')}{path}", data, method=method,
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return json.load(answer)


def pay(system: System, secret: str) -> None:
    """What the payment sheet of the app does with the test card."""
    intent = secret.partition("_secret_")[0]
    form = {"client_secret": secret, "payment_method": "pm_card_visa"}
    request = urllib.request.Request(  # noqa: S310  (loopback)
        f"{system.printed('Sandbox Stripe:')}/v1/payment_intents/{intent}/confirm",
        urlencode(form).encode(), headers={"Authorization": f"Bearer {PHONE}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        assert json.load(answer)["status"] == "succeeded"


def until(happened, what: str) -> tuple[Any, float]:
    """What ``happened`` returns once it is true, and after how many seconds."""
    begun = time.monotonic()
    while not (found := happened()):
        assert time.monotonic() - begun < SOON, f"never came: {what}"
        time.sleep(0.02)
    return found, time.monotonic() - begun


def key_of(system: System, number: int) -> dict[str, str]:
    return system.sandbox(f"binance/accounts/{number}")["keys"]["read"]


def connect(system: System, number: int) -> tuple[int, Any]:
    key = key_of(system, number)
    body = {"exchange": "binance", "label": f"account {number}",
            "api_key": key["api_key"], "api_secret": key["api_secret"]}  # fmt: skip
    return system.call("POST", "/connections", body)


def standing(system: System) -> Any:
    return system.call("GET", "/billing/subscription")[1]


def subscribe(system: System) -> float:
    """Subscribe and pay; after how many seconds the plan was in force."""
    status, begun = system.call("POST", "/billing/subscription", {"tier": "pro"})
    assert (status, begun["subscription"]["status"]) == (201, "incomplete"), begun
    pay(system, begun["payment"]["client_secret"])
    return until(lambda: standing(system)["tier"] == "pro", "the plan")[1]


def use(system: System, calls: int) -> None:
    """As if so many calls had been answered."""
    (web, *_) = system.processes("gunicorn")
    user_id, now = system.call("GET", "/me")[1]["id"], datetime.now(UTC)
    with redis.Redis.from_url(web.environ()["REDIS_URL"]) as client:
        client.hincrby(counting.PENDING, f"{user_id}|{now.date()}|portfolio", calls)


def metered(system: System) -> list[int]:
    rows = stripe(system, "/_sandbox/meter_events")["data"]
    return [int(row["payload"]["value"]) for row in rows]


def test_sign_up_reach_the_limits_subscribe_go_beyond_fail_to_pay_and_fall_back(system):
    """S34, S36, S37, S38: and nothing of the person's is deleted on the way down."""
    system.sign_up("payer@example.com")
    assert connect(system, 2)[0] == 201
    status, refused = connect(system, 3)
    assert (status, refused["code"]) == (403, "connection_limit_reached")
    statuses = [system.call("GET", "/exchanges")[0] for _ in range(51)]
    assert statuses[-1] == 429
    assert statuses.count(200) <= 50

    seconds = subscribe(system)
    print(f"the plan was in force {seconds:.2f} s after the payment")
    assert system.call("GET", "/exchanges")[0] == 200
    assert connect(system, 3)[0] == 201

    use(system, 10_100)
    (told, *_), _ = until(lambda: metered(system), "the calls at Stripe's meter")
    assert 100 <= told < 200
    shown = system.call("GET", "/billing/usage")[1]
    assert shown["beyond"] >= 100

    named = subscription_of(system)
    stripe(system, f"/_sandbox/subscriptions/{named}/renew", "POST", {"paid": False})
    until(lambda: standing(system)["reason"] == "grace", "the days of grace")
    assert standing(system)["tier"] == "pro"
    stripe(system, f"/_sandbox/subscriptions/{named}/expire", "POST", {})
    until(lambda: standing(system)["tier"] == "free", "the way back")
    assert system.call("GET", "/exchanges")[0] == 429

    subscribe(system)
    rows = system.call("GET", "/connections")[1]["results"]
    assert {row["label"]: row["reason"] for row in rows if row["reason"] == "paused_by_plan"} == {}
    assert {row["label"] for row in rows} == {"account 2", "account 3"}


def subscription_of(system: System) -> str:
    state = stripe(system, "/_sandbox/state")
    return next(row["id"] for row in state["subscriptions"] if row["status"] == "active")
