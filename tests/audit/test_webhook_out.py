"""Alerts on their way to operators: signed, tried again for days, every attempt's end kept."""

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from standardwebhooks import Webhook

from audit import alerts
from audit.actions import Action
from audit.models import ActivityLog, WebhookDelivery
from audit.webhooks import outbound
from tests import factories
from tracker import clock, tenancy

SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()


class Receiver(http.server.ThreadingHTTPServer):
    """Answers with what the test wants next; 200 when nothing is said."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/very-secret-path"


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((headers, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Location", self.server.url)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    running = Receiver()
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    settings.ALERT_WEBHOOKS = {"desk": {"url": running.url, "secret": SECRET}}
    settings.WEBHOOK_ALLOW_PRIVATE = True
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def alice(transactional_db):
    return factories.person("alice@example.com")


def raised(user: Any, dedupe: str = "1") -> WebhookDelivery:
    """An alert, and its delivery."""
    with tenancy.as_user(user.id):
        alert = alerts.raise_alert(
            kind="account.test", severity="high", user_id=user.id, evidence={"n": 1},
            dedupe=dedupe, now=clock.now(),
        )  # fmt: skip
    assert alert is not None
    with tenancy.as_system("test"):
        return WebhookDelivery.objects.get(alert=alert)


def deliver(row: WebhookDelivery, after: timedelta = timedelta(0)) -> str | None:
    return outbound.deliver(delivery_id=row.id, now=clock.now() + after)


def fresh(row: WebhookDelivery) -> WebhookDelivery:
    return WebhookDelivery.objects.get(id=row.id)


def test_an_alert_reaches_the_operators_signed_as_the_standard_says(alice, receiver, queued):
    row = raised(alice)
    assert ("audit.tasks.deliver_webhook", {"delivery_id": str(row.id)}) in queued()
    assert deliver(row) == "delivered"
    ((headers, body),) = receiver.got
    said = Webhook(SECRET).verify(body, headers)
    assert said["type"] == "security.alert.raised"
    assert said["data"]["kind"] == "account.test"
    assert said["data"]["user"] == str(alice.id)
    assert headers["webhook-id"] == str(row.id)
    done = fresh(row)
    assert (done.attempts, done.last_status, done.last_error) == (1, 200, "")
    assert [end["status"] for end in done.attempts_log] == [200]
    assert deliver(row) is None
    assert len(receiver.got) == 1


def test_no_endpoint_no_delivery(alice, settings):
    settings.ALERT_WEBHOOKS = {}
    with tenancy.as_user(alice.id):
        assert alerts.raise_alert(
            kind="k", severity="low", user_id=alice.id, evidence={}, dedupe="1", now=clock.now()
        )
    assert not WebhookDelivery.objects.exists()


def test_a_receiver_that_fails_gets_the_same_message_again(alice, receiver):
    receiver.statuses = [500]
    row = raised(alice)
    assert deliver(row) == "waiting"
    assert deliver(row) is None  # not before its moment
    assert deliver(row, timedelta(seconds=6)) == "delivered"
    (first, one), (second, two) = receiver.got
    assert first["webhook-id"] == second["webhook-id"]
    assert one == two
    assert [end["error"] for end in fresh(row).attempts_log] == ["status_500", ""]


def test_who_is_gone_is_not_asked_again(alice, receiver):
    receiver.statuses = [410]
    row = raised(alice)
    assert deliver(row) == "failed"
    assert fresh(row).last_status == 410
    assert deliver(row, timedelta(days=30)) is None
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(alice, receiver):
    """S33"""
    receiver.statuses = [307]
    row = raised(alice)
    assert deliver(row) == "waiting"
    assert (fresh(row).last_error, len(receiver.got)) == ("redirect_refused", 1)


def test_it_is_tried_for_days_and_then_given_up(alice, receiver):
    receiver.statuses = [503] * 20
    row, after, states = raised(alice), timedelta(0), []
    for wait in [*outbound.WAITS, timedelta(0)]:
        states.append(deliver(row, after))
        after += wait + timedelta(seconds=1)
    assert states == ["waiting"] * 9 + ["failed"]
    assert timedelta(days=3) < after < timedelta(days=4)
    assert fresh(row).attempts == 10


def test_a_private_address_is_not_asked(alice, receiver, settings):
    """S33: even when an operator has named it."""
    settings.WEBHOOK_ALLOW_PRIVATE = False
    port = receiver.server_port
    settings.ALERT_WEBHOOKS = {"desk": {"url": f"https://127.0.0.1:{port}/", "secret": SECRET}}
    row = raised(alice)
    assert deliver(row) == "waiting"
    assert (fresh(row).last_error, receiver.got) == ("private_address", [])


def test_an_endpoint_that_was_removed_ends_its_deliveries(alice, receiver, settings):
    row = raised(alice)
    settings.ALERT_WEBHOOKS = {}
    assert deliver(row) == "failed"
    assert fresh(row).last_error == "endpoint_removed"


def test_two_workers_at_once_make_one_attempt(alice, receiver):
    """S35"""
    row, barrier, ends = raised(alice), threading.Barrier(8), []

    def work() -> None:
        from django.db import connection

        barrier.wait()
        ends.append(deliver(row))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(filter(None, ends)) == ["delivered"]
    assert len(receiver.got) == 1


def test_what_a_dead_worker_held_comes_up_again(alice, receiver, queued):
    """S41: claimed, and killed before the end was noted."""
    row = raised(alice)
    assert outbound._claim(row.id, clock.now()) is not None
    before = len(queued())
    assert outbound.enqueue_due(now=clock.now()) == 0
    assert outbound.enqueue_due(now=clock.now() + outbound.CLAIM) == 1
    assert len(queued()) == before + 1
    assert deliver(row, outbound.CLAIM) == "delivered"


def test_the_alert_and_its_delivery_exist_together_or_not_at_all(alice, receiver):
    with contextlib.suppress(ZeroDivisionError), tenancy.as_user(alice.id):
        alerts.raise_alert(
            kind="k", severity="low", user_id=alice.id, evidence={}, dedupe="1", now=clock.now()
        )
        _ = 1 / 0
    assert not WebhookDelivery.objects.exists()


def test_no_secret_and_no_path_of_an_address_is_stored(alice, receiver):
    """S25"""
    receiver.statuses = [500]
    row = raised(alice)
    deliver(row)
    dump = json.dumps([str(value) for value in WebhookDelivery.objects.values_list()], default=str)
    with tenancy.as_system("test"):
        dump += str(list(ActivityLog.objects.values_list("details")))
    assert "very-secret-path" not in dump
    assert SECRET not in dump
    assert fresh(row).host == "127.0.0.1"


def test_staff_deliver_again_and_it_stands_in_the_log(alice, receiver):
    receiver.statuses = [410]
    row = raised(alice)
    deliver(row)
    staff = factories.person("staff@example.com", is_staff=True)
    with tenancy.as_system("test"):
        assert outbound.redeliver(delivery_ids=[row.id], actor_id=staff.id, now=clock.now()) == 1
        act = ActivityLog.objects.get(action=Action.WEBHOOK_REDELIVERED)
    assert (act.user_id, act.actor_id) == (alice.id, staff.id)
    assert deliver(row) == "delivered"
    assert [end["status"] for end in fresh(row).attempts_log] == [410, 200]
    assert reverse("admin:audit_webhookdelivery_changelist")
