"""E-mail on its way: through a real mail server, past its bad days, once."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts import delivery, links
from accounts.models import AccountLink, Delivery, User
from accounts.notifications import Event, notify
from accounts.tasks import send_delivery
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories, threads
from tests.accounts.loopback import MailServer
from tracker import clock, ids, mail, tenancy

NOW = clock.now().replace(microsecond=0)


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def server(settings):
    with MailServer() as found:
        use(settings, found.port)
        yield found


def use(settings: Any, port: int) -> None:
    """Send through this port of ours, as the setting would say it."""
    read = mail.read(f"smtp://127.0.0.1:{port}", api_key="", options={})
    settings.EMAIL_BACKEND = read.backend
    settings.EMAIL_HOST, settings.EMAIL_PORT = read.host, read.port
    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = read.starttls, read.tls


def told(user: User, event: Event = Event.PASSWORD_CHANGED, **more: Any) -> Delivery:
    with tenancy.as_user(user.id):
        [key] = notify(user_id=user.id, event=event, dedupe=str(ids.new_id()), now=NOW, **more)
        return Delivery.objects.get(id=key)


def again(row: Delivery) -> Delivery:
    with tenancy.as_system("test"):
        return Delivery.objects.get(id=row.id)


def sent(row: Delivery, at: datetime = NOW) -> bool:
    return delivery.send(delivery_id=row.id, now=at)


# --- a good day ---------------------------------------------------------------------------------
def test_an_email_arrives_with_text_and_html_and_says_what_it_is(alice, server):
    row = told(alice)
    assert sent(row)
    [message] = server.received
    assert message["To"] == "alice@example.com"
    assert message["From"] == "tracker@localhost"
    assert message["Subject"] == "Your password was changed"
    assert message["X-Delivery"] == str(row.id)
    assert message["Message-ID"] == f"<{row.id}@localhost>"
    assert message["Auto-Submitted"] == "auto-generated"
    parts = {part.get_content_type(): part.get_content() for part in message.iter_parts()}
    assert set(parts) == {"text/plain", "text/html"}
    for text in parts.values():
        assert "The password of your account was changed" in text
    row = again(row)
    assert (row.state, row.sent_at, row.attempts, row.error) == ("sent", NOW, 1, "")


def test_the_link_in_an_email_works(alice, server):
    with tenancy.as_user(alice.id):
        link = links.create(alice.id, AccountLink.Purpose.CONFIRM_EMAIL, alice.email, NOW)
    row = told(alice, Event.CONFIRM_EMAIL, link_id=link.id)
    assert sent(row)
    text = server.received[0].get_body(("plain",)).get_content()
    token = re.search(r"^http://\S+/confirm-email\?token=(\S+)\s*$", text, re.M).group(1)
    assert links.find(token, "confirm_email", NOW).id == link.id
    with tenancy.as_system("test"):
        stored = str(list(Delivery.objects.values())) + str(list(AccountLink.objects.values()))
    assert token not in stored


def test_an_email_can_go_to_another_address_than_the_persons(alice, server):
    assert sent(told(alice, Event.EMAIL_CHANGE_ANNOUNCED, address="old@example.com"))
    assert [line.lower() for line in server.recipients] == ["rcpt to:<old@example.com>"]


def test_an_international_domain_is_reached_by_its_ascii_name(alice, server):
    assert sent(told(alice, Event.EMAIL_CHANGE_ANNOUNCED, address="post@bücher.example"))
    assert [line.lower() for line in server.recipients] == ["rcpt to:<post@xn--bcher-kva.example>"]


def test_the_task_sends_what_was_queued(alice, server):
    row = told(alice)
    send_delivery(delivery_id=str(row.id), something_new=True)
    send_delivery(delivery_id=str(row.id))
    send_delivery(delivery_id=str(ids.new_id()))
    assert len(server.received) == 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_with_one_message_one_sends_it(server):
    alice = factories.person("alice@example.com")
    row = told(alice)
    outcomes = threads.at_once(8, lambda _: sent(row))
    assert sorted(outcomes) == [False] * 7 + [True]
    assert len(server.received) == 1


# --- what no longer matters ---------------------------------------------------------------------
@pytest.mark.parametrize("what", ["used", "expired", "gone"])
def test_a_link_that_no_longer_counts_is_not_mailed(alice, server, what):
    with tenancy.as_user(alice.id):
        link = links.create(alice.id, AccountLink.Purpose.RESET_PASSWORD, alice.email, NOW)
        row = told(alice, Event.PASSWORD_RESET, link_id=link.id)
        rows = AccountLink.objects.filter(id=link.id)
        if what == "used":
            rows.update(used_at=NOW)
        if what == "expired":
            rows.update(expires_at=NOW)
        if what == "gone":
            rows.delete()
    assert not sent(row)
    assert again(row).state == "dropped"
    assert server.received == []


# --- bad days -----------------------------------------------------------------------------------
def test_a_mail_server_that_is_down_delays_a_message_and_loses_nothing(alice, settings):
    """The row waits a minute, and the same message goes out when the server is back."""
    with MailServer() as closed:
        pass
    use(settings, closed.port)
    row = told(alice)
    assert not sent(row)
    row = again(row)
    assert (row.state, row.next_attempt_at) == ("waiting", NOW + timedelta(minutes=1))
    assert row.error == "ConnectionRefusedError 111"
    with MailServer() as server:
        use(settings, server.port)
        assert not sent(row, NOW + timedelta(seconds=59))
        assert sent(row, NOW + timedelta(seconds=60))
        assert len(server.received) == 1
    assert (again(row).state, again(row).error) == ("sent", "")


def test_waits_grow_from_a_minute_to_six_hours_and_end_after_three_days(alice, settings):
    with MailServer() as closed:
        pass
    use(settings, closed.port)
    row, moment, waits = told(alice), NOW, []
    while True:
        assert not sent(row, moment)
        found = again(row)
        if found.state == "failed":
            break
        waits.append(found.next_attempt_at - moment)
        moment = found.next_attempt_at
    minutes = [wait // timedelta(minutes=1) for wait in waits]
    assert minutes[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360]
    assert set(minutes[10:]) == {360}
    assert timedelta(days=3) <= moment - NOW < timedelta(days=3, hours=6)


def test_an_address_that_the_server_says_does_not_exist_is_not_tried_again(alice, server):
    server.refuse = 550
    row = told(alice)
    assert not sent(row)
    assert (again(row).state, again(row).error) == ("failed", "SMTPRecipientsRefused 550")


def test_an_address_that_is_refused_for_now_is_tried_again(alice, server):
    server.refuse = 451
    row = told(alice)
    assert not sent(row)
    assert (again(row).state, again(row).error) == ("waiting", "SMTPRecipientsRefused 451")


def test_what_is_stored_of_a_failure_names_no_address(alice, server):
    server.refuse = 550
    row = told(alice)
    sent(row)
    assert "alice" not in again(row).error


def test_a_message_that_cannot_be_written_waits_like_any_other(alice, server):
    """A fault of ours counts as an attempt, so it is not tried every minute for ever."""
    row = told(alice)
    with tenancy.as_user(alice.id):
        Delivery.objects.filter(id=row.id).update(event="no_such_event")
    assert not sent(row)
    row = again(row)
    assert (row.state, row.attempts, row.error) == ("waiting", 1, "ValueError")


def test_the_claim_of_a_worker_that_died_lapses(alice, server):
    row = told(alice)
    assert delivery._claim(row.id, NOW)
    assert not sent(row, NOW + timedelta(minutes=4))
    assert sent(row, NOW + timedelta(minutes=5))


# --- what is due --------------------------------------------------------------------------------
def queued(broker: Any) -> set[str]:
    """Which deliveries were handed to the broker."""
    return {re.search(rb'"delivery_id": \\?"([0-9a-f-]+)', m).group(1).decode() for m in broker()}


@pytest.fixture
def broker():
    """The messages in the queue: the body of each, decoded."""
    import base64
    import json
    import os

    import redis

    def read() -> list[bytes]:
        with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
            raw = client.lrange("default", 0, -1)
        return [base64.b64decode(json.loads(message)["body"]) for message in raw]

    return read


def test_the_sweeper_finds_what_waits_and_leaves_the_rest(alice, broker):
    row, early, done = told(alice), told(alice), told(alice)
    with tenancy.as_user(alice.id):
        Delivery.objects.filter(id=done.id).update(state="sent")
        Delivery.objects.filter(id=early.id).update(next_attempt_at=NOW + timedelta(hours=1))
    assert delivery.send_due(now=NOW + timedelta(seconds=20)) == 0  # its own task will do it
    assert delivery.send_due(now=NOW + timedelta(minutes=1)) == 1
    assert queued(broker) == {str(row.id)}


@pytest.mark.django_db(transaction=True)
def test_a_message_is_queued_when_its_act_is_committed(broker):
    alice = factories.person("alice@example.com")
    with tenancy.as_user(alice.id):
        row = told(alice)
        assert broker() == []
    assert queued(broker) == {str(row.id)}


def test_a_task_carries_an_id_and_nothing_else(alice, broker):
    row = told(alice)
    delivery.send_due(now=NOW + timedelta(minutes=1))
    [body] = broker()
    assert str(row.id).encode() in body
    assert b"alice" not in body


# --- staff --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("state", "done"), [("failed", 1), ("dropped", 1), ("sent", 0)])
def test_staff_has_a_message_sent_again_and_that_is_logged(alice, server, state, done):
    staff = factories.person("staff@example.com", is_staff=True)
    row = told(alice)
    with tenancy.as_system("test"):
        Delivery.objects.filter(id=row.id).update(state=state, attempts=20, error="x")
        rows = Delivery.objects.filter(id=row.id)
        assert delivery.redeliver(deliveries=rows, actor_id=staff.id, now=NOW) == done
        acts = ActivityLog.objects.filter(action=Action.STAFF_ACTED, actor_id=staff.id)
        assert acts.filter(user_id=alice.id, details__did="redeliver").count() == done
    assert sent(row) is bool(done)


def test_an_email_to_somebody_who_was_erased_is_tried_once_and_never_raises(db, server, settings):
    facts = {"address": "gone@example.com", "locale": "en", "time_zone": "UTC"}
    assert delivery.send_unrecorded(Event.ACCOUNT_CLOSED, **facts)
    assert server.received[0]["Subject"] == "Your account was deleted"
    settings.EMAIL_PORT = 1
    assert not delivery.send_unrecorded(Event.ACCOUNT_CLOSED, **facts)


def test_while_developing_an_email_is_printed_and_kept_as_a_file(alice, settings, tmp_path, capsys):
    settings.EMAIL_BACKEND, settings.EMAIL_FOLDER = mail.CONSOLE, tmp_path / "mail"
    with tenancy.as_user(alice.id):
        link = links.create(alice.id, AccountLink.Purpose.CONFIRM_EMAIL, alice.email, NOW)
    assert sent(told(alice, Event.CONFIRM_EMAIL, link_id=link.id))
    printed = capsys.readouterr().out
    [text] = (tmp_path / "mail").glob("*-confirm_email.txt")
    [html] = (tmp_path / "mail").glob("*-confirm_email.html")
    address = links.url(link)
    assert all(address in found for found in (printed, text.read_text(), html.read_text()))
    assert "To: alice@example.com\nSubject: Confirm your e-mail address\n" in printed
