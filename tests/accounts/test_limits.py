"""How much somebody is told within an hour: what is more is gathered, and not lost."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from accounts import delivery, limits
from accounts.models import Delivery, User
from accounts.models.notifications import Channel
from accounts.notifications import Event, Urgency, notify
from tests import factories
from tracker import ids, tenancy

NOW = datetime(2026, 11, 30, 12, 10, tzinfo=UTC)
OVER = datetime(2026, 11, 30, 13, 1, tzinfo=UTC)
MOST = limits.MOST[Urgency.ALERT][Channel.EMAIL]


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


def alarm(user: User, number: int, *, now: datetime = NOW, event: Event = Event.PRICE_ALERT):
    facts = {"title": f"Alert {number}", "value": "1 USD", "strategy": f"Strategy {number}"}
    with tenancy.as_user(user.id):
        notify(user_id=user.id, event=event, dedupe=str(number), now=now, **facts)


def rows(user: User, channel: str = "email", **filters) -> list[Delivery]:
    with tenancy.as_user(user.id):
        return list(Delivery.objects.filter(channel=channel, **filters).order_by("id"))


def send_all(user: User, now: datetime) -> list[str]:
    """Send what waits and is due; returns the subjects."""
    before = len(mail.outbox)
    for row in rows(user, state="waiting"):
        delivery.send(delivery_id=row.id, now=now)
    return [message.subject for message in mail.outbox[before:]]


def test_the_first_go_out_and_the_others_are_named_by_one_at_the_end_of_the_hour(alice):
    for number in range(MOST + 7):
        alarm(alice, number, now=NOW + timedelta(minutes=number))
    assert send_all(alice, NOW + timedelta(minutes=20)) == [f"Alert {n}" for n in range(MOST)]
    assert send_all(alice, OVER - timedelta(seconds=1)) == []
    assert send_all(alice, OVER) == ["And 7 more price alerts"]
    text = mail.outbox[-1].body
    assert [f"Alert {MOST + n}" in text for n in range(7)] == [True] * 5 + [False] * 2
    assert "… and 2 more" in text
    assert send_all(alice, OVER + timedelta(days=1)) == []


def test_one_too_many_is_one(alice):
    for number in range(MOST + 1):
        alarm(alice, number)
    send_all(alice, NOW)
    assert send_all(alice, OVER) == ["And 1 more price alert"]


def test_the_same_alert_twice_is_gathered_once(alice):
    for number in [*range(MOST + 2), MOST, MOST + 1, 0]:
        alarm(alice, number)
    send_all(alice, NOW)
    assert send_all(alice, OVER) == ["And 2 more price alerts"]


def test_alerts_and_signals_share_the_limit_and_are_gathered_by_themselves(alice):
    for number in range(MOST):
        alarm(alice, number)
    alarm(alice, 100)
    alarm(alice, 101, event=Event.STRATEGY_SIGNAL)
    send_all(alice, NOW)
    assert sorted(send_all(alice, OVER)) == [
        "And 1 more price alert", "And 1 more signal of your strategies",
    ]  # fmt: skip


def test_the_next_hour_begins_anew(alice):
    for number in range(MOST + 1):
        alarm(alice, number)
    alarm(alice, 100, now=NOW + timedelta(hours=1))
    assert "Alert 100" in send_all(alice, NOW + timedelta(hours=1))


def test_the_app_shows_more_than_an_email_brings(alice):
    for number in range(MOST + 3):
        alarm(alice, number)
    assert len(rows(alice, "live", state="sent")) == MOST + 3


def test_each_phone_has_its_own_share_and_a_second_phone_takes_none_of_it(alice):
    from accounts.models import PushDevice

    with tenancy.as_user(alice.id):
        devices = [
            PushDevice.objects.create(
                user=alice, session_id=factories.session(alice).id, token=f"ExponentPushToken[{n}]"
            )
            for n in range(2)
        ]
    most = limits.MOST[Urgency.ALERT][Channel.PUSH]
    for number in range(most + 1):
        alarm(alice, number)
    for device in devices:
        mine = [r for r in rows(alice, "push") if r.parameters["device_id"] == str(device.id)]
        assert [r.held_back for r in mine] == [""] * most + ["gathered"] * 2
        assert [r.state for r in mine] == ["waiting"] * most + ["dropped", "waiting"]


def test_security_is_never_limited(alice):
    for number in range(50):
        alarm(alice, number, event=Event.PASSWORD_CHANGED)
    assert [row.held_back for row in rows(alice)] == [""] * 50


def test_what_one_person_is_told_is_not_counted_for_another(alice):
    for number in range(MOST):
        alarm(alice, number)
    bob = factories.person("bob@example.com")
    alarm(bob, 1)
    assert [row.held_back for row in rows(bob)] == [""]


def test_what_is_gathered_waits_for_the_end_of_quiet_hours_too(client_of, alice):
    client_of(alice).patch(
        "/me/notifications/settings", {"quiet_from": "12:00", "quiet_until": "15:30"}
    )
    for number in range(MOST + 1):
        alarm(alice, number)
    morning = datetime(2026, 11, 30, 15, 30, tzinfo=UTC)
    waiting = [row.next_attempt_at for row in rows(alice, state="waiting")]
    assert waiting == [morning] * MOST + [morning + limits.GRACE]


def test_beyond_the_limit_of_the_app_one_notice_names_the_rest(alice, client_of):
    most = limits.MOST[Urgency.ALERT][Channel.LIVE]
    with tenancy.as_user(alice.id):
        Delivery.objects.bulk_create([
            Delivery(
                user=alice, event="price_alert", channel="live", state="sent", created_at=NOW,
                dedupe_key=str(ids.new_id()), parameters={"title": "t", "value": "v"},
            )
            for _ in range(most)
        ])  # fmt: skip
    alarm(alice, 1), alarm(alice, 2)
    listed = client_of(alice).get("/notifications").json()
    assert listed["unread"] == most
    [waiting] = rows(alice, "live", state="waiting")
    assert delivery.send(delivery_id=waiting.id, now=OVER)
    listed = client_of(alice).get("/notifications").json()
    assert listed["unread"] == most + 1
    assert listed["results"][0]["title"] == "And 2 more price alerts"
    assert listed["results"][0]["text"] == "Alert 1; Alert 2"


def test_the_end_of_quiet_hours_brings_no_more_than_an_hour_does(client_of, alice):
    client_of(alice).patch(
        "/me/notifications/settings", {"quiet_from": "22:00", "quiet_until": "07:00"}
    )
    night = datetime(2026, 11, 30, 22, 5, tzinfo=UTC)
    for number in range(4 * MOST):
        alarm(alice, number, now=night + number * timedelta(minutes=15))
    morning = datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert send_all(alice, morning - timedelta(seconds=1)) == []
    assert send_all(alice, morning) == [f"Alert {n}" for n in range(MOST)]
    assert send_all(alice, morning + timedelta(minutes=2)) == [f"And {3 * MOST} more price alerts"]
