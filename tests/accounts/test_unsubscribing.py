"""Links in e-mails that turn one kind of them off, without signing in."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts import delivery, unsubscribing
from accounts.events import RULES, TITLES, Event, can_be_switched_off
from accounts.models import Delivery, User
from accounts.models.notifications import Channel
from accounts.notifications import notify
from tests import factories
from tests.accounts.test_notifications import FACTS
from tracker import clock, ids, tenancy


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=True)


def mailed(user: User, event: Event = Event.PRICE_ALERT) -> Any:
    """The e-mail that somebody gets of an event, or None."""
    with tenancy.as_user(user.id):
        keys = notify(
            user_id=user.id, event=event, dedupe=str(ids.new_id()), now=clock.now(), **FACTS
        )
        rows = list(Delivery.objects.filter(id__in=keys, channel="email"))
    before = len(mail.outbox)
    for row in rows:
        assert delivery.send(delivery_id=row.id, now=clock.now())
    return mail.outbox[-1] if len(mail.outbox) > before else None


def address(message: Any) -> str:
    """The path and query of the link in the header."""
    found = re.fullmatch(
        r"<http://localhost:8000(/\S+)>", message.extra_headers["List-Unsubscribe"]
    )
    assert found
    return found.group(1)


def heading(page: Any) -> str:
    return re.search(r"<h1>(.*?)</h1>", page.content.decode()).group(1)


def wants(user: User, event: Event = Event.PRICE_ALERT) -> bool:
    return mailed(user, event) is not None


def test_one_click_of_a_mail_program_turns_that_event_off_by_email_and_nothing_else(
    alice, browser, client_of
):
    """RFC 8058: a form without cookies, without a page, to the address of the header."""
    message = mailed(alice)
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    answer = browser.post(address(message), {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, heading(answer)) == (200, "Done")
    assert not wants(alice)
    assert wants(alice, Event.FILE_EXPORT_FAILED)
    table = client_of(alice).get("/me/notifications").json()["results"]
    off = {
        (row["event"], row["channel"])
        for row in table
        if not row["enabled"] and RULES[Event(row["event"])][Channel(row["channel"])].default
    }
    assert off == {("price_alert", "email")}


def test_opening_the_link_changes_nothing_and_the_button_does(alice, browser):
    """Mail scanners open every link."""
    link = address(mailed(alice))
    for _ in range(3):
        page = browser.get(link)
        assert (page.status_code, heading(page)) == (200, "No more of these e-mails?")
        assert "no more e-mails about price alerts" in page.content.decode()
    assert wants(alice)
    text = page.content.decode()
    action = re.search(r'<form method="post" action="([^"]+)"', text).group(1)
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', text))
    done = browser.post(action, hidden)
    assert "turn them on again in the app" in done.content.decode()
    assert not wants(alice)


def test_a_second_time_changes_nothing_and_on_again_is_on(alice, browser, client_of):
    link = address(mailed(alice))
    for _ in range(3):
        assert browser.post(link).status_code == 200
    assert not wants(alice)
    on = {"choices": [{"event": "price_alert", "channel": "email", "enabled": True}]}
    client_of(alice).patch("/me/notifications", on)
    assert wants(alice)


def test_that_it_was_a_link_is_logged_once(alice, browser):
    from audit.actions import Action
    from audit.models import ActivityLog

    link = address(mailed(alice))
    browser.post(link), browser.post(link)
    with tenancy.as_user(alice.id):
        [entry] = ActivityLog.objects.filter(action=Action.NOTIFICATIONS_CHANGED)
    assert entry.details == {"by": "link", "changed": {"price_alert by email": False}}


@pytest.mark.parametrize("event", Event)
def test_what_can_be_switched_off_has_the_link_in_all_places_and_nothing_else_has(alice, event):
    from accounts.messages import render, write

    file, answered = factories.ready_file(alice), factories.support_answer(alice)
    with tenancy.as_user(alice.id):
        row = Delivery(user=alice, event=event, channel="email", parameters={})
        row.parameters = {k: v for k, v in FACTS.items() if k != "closes_at"}
        row.parameters |= {"export_id": str(file.id), "support_message_id": str(answered.id)}
        message = write(row, now=clock.now())
    assert ("/unsubscribe?token=" in message.text) is can_be_switched_off(event, Channel.EMAIL)
    assert ("/unsubscribe?token=" in message.html) is can_be_switched_off(event, Channel.EMAIL)
    assert (event in TITLES) is can_be_switched_off(event, Channel.EMAIL)
    if can_be_switched_off(event, Channel.EMAIL):
        assert "cannot be switched off" not in message.text
    assert "/unsubscribe" not in render(event, user=alice, facts=FACTS).text


def test_the_header_is_missing_where_nothing_can_be_switched_off(alice):
    assert "List-Unsubscribe" not in mailed(alice, Event.PASSWORD_CHANGED).extra_headers


@pytest.mark.parametrize(("severity", "offered"), [("medium", True), ("high", False)])
def test_a_serious_alert_cannot_be_switched_off_and_says_so(alice, severity, offered):
    with tenancy.as_user(alice.id):
        keys = notify(
            user_id=alice.id, event=Event.SECURITY_ALERT, dedupe="a", now=clock.now(),
            **FACTS | {"severity": severity},
        )  # fmt: skip
    for key in keys:
        delivery.send(delivery_id=key, now=clock.now())
    message = mail.outbox[-1]
    assert ("List-Unsubscribe" in message.extra_headers) is offered
    assert ("/unsubscribe" in message.body) is offered
    assert ("always sent" in message.body) is not offered


def tokens(user: User) -> dict[str, str]:
    good = unsubscribing.token_of(user, Event.PRICE_ALERT)
    return {
        "none": "",
        "nonsense": "nonsense",
        "not ASCII": "ü.ü",
        "NUL": "a\x00.b",
        "cut": good[:-1],
        "changed": ("A" if good[0] != "A" else "B") + good[1:],
        "long": good + "x" * 10_000,
        "locked event": unsubscribing.token_of(user, Event.PASSWORD_CHANGED),
        "of nobody": unsubscribing.token_of(User(email=user.email), Event.PRICE_ALERT),
    }


@pytest.mark.parametrize("kind", list(tokens(User(email="x@example.com"))))
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_wrong_token_gets_a_page_that_says_so(alice, browser, kind, method):
    answer = getattr(browser, method)("/unsubscribe", {"token": tokens(alice)[kind]})
    assert (answer.status_code, heading(answer)) == (410, "This did not work")
    assert wants(alice)


def test_links_in_an_old_mailbox_do_nothing_after_the_address_has_changed(alice, browser):
    link = address(mailed(alice))
    with tenancy.as_user(alice.id):
        User.objects.update(email="new@example.com")
    assert browser.post(link).status_code == 410


def test_the_token_stays_out_of_caches_and_of_other_sites(alice, browser):
    link = address(mailed(alice))
    for page in (browser.get(link), browser.post(link)):
        assert page["Cache-Control"] == "no-store"
        assert page["Referrer-Policy"] == "strict-origin"
        assert "default-src 'none'" in page["Content-Security-Policy"]


def test_a_person_without_a_row_of_choices_is_unsubscribed_from_alerts_of_their_own(alice, browser):
    bob = factories.person("bob@example.com")
    browser.post(address(mailed(alice)))
    assert wants(bob)
