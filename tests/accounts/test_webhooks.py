"""A person's own webhooks: made once, signed, tried for days, stopped when they fail for good."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from accounts import delivery
from accounts.models import Delivery, User, WebhookEndpoint
from accounts.notifications import Event, notify
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tests.accounts.test_admin_messages import staff
from tests.admin_client import signed_in
from tests.audit.test_webhook_out import Receiver
from tracker import clock, ids, tenancy

NOW = clock.now().replace(microsecond=0)
PATH = "/me/webhooks"


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    running = Receiver()
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    settings.WEBHOOK_ALLOW_PRIVATE = True
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", subscription_tier="enterprise")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com", subscription_tier="enterprise")


def added(api: Any, url: str) -> dict[str, Any]:
    answer = api.post(PATH, {"url": url})
    assert answer.status_code == 201, answer.content
    return answer.json()


def told(user: User, event: Event = Event.STRATEGY_SIGNAL) -> list[Delivery]:
    """The deliveries by webhook of something new."""
    facts = {"strategy_id": "s-1", "signal_id": "g-1", "strategy": "Crossing", "code": "BTC",
             "action": "buy", "price": "100 USD", "at": NOW}  # fmt: skip
    with tenancy.as_user(user.id):
        keys = notify(user_id=user.id, event=event, dedupe=str(ids.new_id()), now=NOW, **facts)
        return list(Delivery.objects.filter(id__in=keys, channel="webhook"))


def again(row: Any) -> Any:
    with tenancy.as_system("test"):
        return type(row).objects.get(pk=row.pk)


def endpoint(made: dict[str, Any]) -> WebhookEndpoint:
    with tenancy.as_system("test"):
        return WebhookEndpoint.objects.get(id=made["id"])


# --- telling ------------------------------------------------------------------------------------
def test_a_program_is_told_signed_as_the_standard_says(client_of, alice, receiver):
    made = added(client_of(alice), receiver.url)
    [row] = told(alice)
    assert delivery.send(delivery_id=row.id, now=clock.now())
    ((headers, body),) = receiver.got
    said = Webhook(made["secret"]).verify(body, headers)
    assert said == {
        "type": "strategy_signal", "timestamp": NOW.isoformat().replace("+00:00", "Z"),
        "data": {
            "strategy_id": "s-1", "signal_id": "g-1", "strategy": "Crossing", "code": "BTC",
            "action": "buy", "price": "100 USD", "at": NOW.isoformat(),
            "title": "Crossing: buy BTC", "text": "Buy BTC at 100 USD. Nothing was traded.",
        },
    }  # fmt: skip
    assert headers["webhook-id"] == str(row.id)
    assert again(row).state == "sent"
    assert not delivery.send(delivery_id=row.id, now=clock.now())
    assert len(receiver.got) == 1


def test_each_address_gets_a_message_of_its_own(client_of, alice, receiver):
    for end in "ab":
        added(client_of(alice), receiver.url + end)
    assert len(told(alice)) == 2


def test_what_programs_are_not_told_and_whom_nobody_chose(client_of, alice, receiver):
    added(client_of(alice), receiver.url)
    assert told(alice, Event.PASSWORD_RESET) == []
    assert told(alice, Event.PASSWORD_CHANGED) == []
    off = {"choices": [{"event": "strategy_signal", "channel": "webhook", "enabled": False}]}
    client_of(alice).patch("/me/notifications", off)
    assert told(alice) == []


def test_one_that_fails_gets_the_same_message_again(client_of, alice, receiver):
    added(client_of(alice), receiver.url)
    [row] = told(alice)
    receiver.statuses = [500, 302]
    now = clock.now()
    assert not delivery.send(delivery_id=row.id, now=now)
    assert (again(row).state, again(row).error) == ("waiting", "status_500")
    assert not delivery.send(delivery_id=row.id, now=now + timedelta(seconds=59))
    assert not delivery.send(delivery_id=row.id, now=now + timedelta(minutes=1))
    assert again(row).error == "redirect_refused"
    assert delivery.send(delivery_id=row.id, now=now + timedelta(minutes=4))
    bodies = [body for _, body in receiver.got]
    assert bodies == [bodies[0]] * 3
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {str(row.id)}


def fail(receiver: Receiver, user: User, now: Any, status: int = 500) -> None:
    for row in told(user):
        receiver.statuses = [status]
        delivery.send(delivery_id=row.id, now=now)


def stopped_mails(user: User) -> list[str]:
    with tenancy.as_user(user.id):
        rows = Delivery.objects.filter(event="webhook_stopped")
        return sorted(rows.values_list("channel", flat=True))


def test_one_that_fails_for_days_is_stopped_and_its_person_is_told_once(client_of, alice, receiver):
    made, now = added(client_of(alice), receiver.url), clock.now()
    waiting = told(alice)[0]
    for hours in (0, 71, 73, 74):
        fail(receiver, alice, now + timedelta(hours=hours))
        assert bool(endpoint(made).stopped_at) is (hours >= 73)
    assert stopped_mails(alice) == ["email", "live"]
    assert told(alice) == []
    assert not delivery.send(delivery_id=waiting.id, now=now + timedelta(hours=75))
    assert again(waiting).state == "dropped"
    listed = client_of(alice).get(PATH).json()["results"]
    assert listed[0]["last_error"] == "status_500"
    assert listed[0]["stopped_at"]


def test_one_success_within_those_days_begins_them_anew(client_of, alice, receiver):
    made, now = added(client_of(alice), receiver.url), clock.now()
    fail(receiver, alice, now)
    fail(receiver, alice, now + timedelta(hours=40), status=204)
    fail(receiver, alice, now + timedelta(hours=80))
    assert endpoint(made).stopped_at is None


def test_one_that_says_it_is_gone_is_stopped_at_once(client_of, alice, receiver):
    made = added(client_of(alice), receiver.url)
    fail(receiver, alice, clock.now(), status=410)
    assert endpoint(made).stopped_at
    assert stopped_mails(alice) == ["email", "live"]


def test_a_plan_without_programs_calls_nobody(client_of, alice, receiver):
    added(client_of(alice), receiver.url)
    [row] = told(alice)
    factories.put_on_plan(alice, "free")
    assert not delivery.send(delivery_id=row.id, now=clock.now())
    assert again(row).state == "dropped"
    assert told(alice) == []
    assert receiver.got == []


def test_a_name_that_leads_into_our_own_network_later_is_not_called(
    client_of, alice, receiver, settings
):
    added(client_of(alice), receiver.url)
    [row] = told(alice)
    settings.WEBHOOK_ALLOW_PRIVATE = False
    assert not delivery.send(delivery_id=row.id, now=clock.now())
    assert again(row).error in ("bad_address", "private_address")
    assert receiver.got == []


# --- keeping ------------------------------------------------------------------------------------
def test_the_secret_is_told_once_and_nothing_that_opens_it_is_stored(client_of, alice, receiver):
    api = client_of(alice)
    made = added(api, receiver.url)
    assert made["secret"].startswith("whsec_")
    [listed] = api.get(PATH).json()["results"]
    assert listed == {k: v for k, v in made.items() if k != "secret"}
    row = endpoint(made)
    stored = bytes(row.sealed_url) + bytes(row.sealed_secret)
    assert b"very-secret-path" not in stored
    assert made["secret"].encode() not in stored
    with tenancy.as_user(alice.id):
        logged = str(list(ActivityLog.objects.values_list("details", flat=True)))
    assert made["secret"] not in logged
    assert "very-secret-path" not in logged


def test_a_new_secret_signs_what_follows(client_of, alice, receiver):
    made = added(client_of(alice), receiver.url)
    rotated = client_of(alice).post(f"{PATH}/{made['id']}/secret").json()
    assert rotated["secret"] != made["secret"]
    delivery.send(delivery_id=told(alice)[0].id, now=clock.now())
    ((headers, body),) = receiver.got
    assert Webhook(rotated["secret"]).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(body, headers)


def test_what_is_removed_is_called_no_more(client_of, alice, receiver):
    api = client_of(alice)
    made = added(api, receiver.url)
    [row] = told(alice)
    assert api.delete(f"{PATH}/{made['id']}").status_code == 204
    assert api.delete(f"{PATH}/{made['id']}").status_code == 404
    assert not delivery.send(delivery_id=row.id, now=clock.now())
    assert (again(row).state, receiver.got) == ("dropped", [])


def test_a_test_says_how_it_went_and_starts_a_stopped_one_again(client_of, alice, receiver):
    api = client_of(alice)
    made = added(api, receiver.url)
    fail(receiver, alice, clock.now(), status=410)
    receiver.statuses = [503]
    assert api.post(f"{PATH}/{made['id']}/test").json() == {
        "delivered": False, "error": "status_503",
    }  # fmt: skip
    answer = api.post(f"{PATH}/{made['id']}/test")
    assert (answer.status_code, answer["Retry-After"]) == (429, "10")
    with tenancy.as_user(alice.id):
        WebhookEndpoint.objects.update(tested_at=clock.now() - timedelta(seconds=11))
    assert api.post(f"{PATH}/{made['id']}/test").json() == {"delivered": True, "error": ""}
    assert Webhook(made["secret"]).verify(receiver.got[-1][1], receiver.got[-1][0])["type"] == (
        "test"
    )
    assert endpoint(made).stopped_at is None
    assert len(told(alice)) == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/hook", "bad_address"),
        ("ftp://example.com/hook", "bad_address"),
        ("https://user:password@example.com/", "bad_address"),
        ("https://exa mple.com/", "bad_address"),
        ("nonsense", "bad_address"),
        ("https://127.0.0.1/hook", "private_address"),
        ("https://[::1]/hook", "private_address"),
        ("https://10.1.2.3/hook", "private_address"),
        ("https://169.254.169.254/latest/meta-data", "private_address"),
        ("https://localhost/hook", "private_address"),
        ("https://name.invalid/hook", "unreachable"),
        ("https://example.com/" + "x" * 2000, "max_length"),
        ("", "blank"),
        (5, "bad_address"),
        (None, "null"),
        (["https://example.com"], "invalid"),
    ],
)
def test_addresses_that_will_not_be_called_are_refused(client_of, alice, url, code):
    answer = client_of(alice).post(PATH, {"url": url})
    assert answer.status_code == 400
    [row] = answer.json()["details"]["fields"]
    assert (row["field"], row["code"]) == ("url", code)


def test_a_few_are_enough_and_the_same_one_is_enough_once(client_of, alice, receiver):
    api = client_of(alice)
    added(api, receiver.url)
    answer = api.post(PATH, {"url": receiver.url})
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_known")
    for number in range(4):
        added(api, f"{receiver.url}{number}")
    answer = api.post(PATH, {"url": receiver.url + "more"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


@pytest.mark.parametrize("tier", ["free", "pro"])
def test_plans_without_programs_have_no_webhooks(client_of, alice, receiver, tier):
    factories.put_on_plan(alice, tier)
    answer = client_of(alice).post(PATH, {"url": receiver.url})
    assert (answer.status_code, answer.json()["code"]) == (403, "webhooks_not_in_plan")


def test_the_same_request_twice_makes_one(client_of, alice, receiver):
    api = client_of(alice)
    first, second = (
        api.post(PATH, {"url": receiver.url}, **{"Idempotency-Key": "k" * 16}).json() for _ in "ab"
    )
    assert first == second
    assert len(api.get(PATH).json()["results"]) == 1


def test_webhooks_are_of_one_person_alone(client_of, alice, bob, receiver):
    made = added(client_of(alice), receiver.url)
    api = client_of(bob)
    assert api.get(PATH).json()["results"] == []
    assert api.delete(f"{PATH}/{made['id']}").status_code == 404
    assert api.post(f"{PATH}/{made['id']}/secret").status_code == 404
    assert api.post(f"{PATH}/{made['id']}/test").status_code == 404
    assert told(bob) == []


def test_what_is_done_to_them_is_logged(client_of, alice, receiver):
    api = client_of(alice)
    made = added(api, receiver.url)
    api.post(f"{PATH}/{made['id']}/secret")
    api.delete(f"{PATH}/{made['id']}")
    with tenancy.as_user(alice.id):
        rows = ActivityLog.objects.filter(action__startswith="user.webhook.").order_by("id")
        assert [row.action for row in rows] == [
            Action.WEBHOOK_ADDED, Action.WEBHOOK_SECRET_ROTATED, Action.WEBHOOK_REMOVED,
        ]  # fmt: skip
        assert {row.details["webhook_id"] for row in rows} == {made["id"]}


def test_staff_see_hosts_and_no_secrets(client_of, alice, receiver):
    """S19, S25"""
    made = added(client_of(alice), receiver.url)
    row = endpoint(made)
    client = signed_in(staff("view_webhookendpoint"))
    for page in (
        reverse("admin:accounts_webhookendpoint_changelist"),
        reverse("admin:accounts_webhookendpoint_change", args=[row.pk]),
    ):
        text = client.get(page).content.decode()
        assert "127.0.0.1" in text
        for secret in ("very-secret-path", made["secret"], str(bytes(row.sealed_url))):
            assert secret not in text
