"""Push messages through Expo, spoken to over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from accounts import delivery, sessions
from accounts.models import Delivery, PushDevice, Session, User
from accounts.notifications import Event, notify
from accounts.sessions import Device
from accounts.tokens import RefreshToken
from tests import factories
from tests.accounts.loopback import expo_server
from tracker import clock, ids, tenancy

NOW = clock.now().replace(microsecond=0)
GONE = {"status": "error", "message": "x", "details": {"error": "DeviceNotRegistered"}}


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def expo(settings):
    with expo_server() as found:
        settings.EXPO_URL, settings.EXPO_ACCESS_TOKEN = found.url, "expo-secret"
        yield found


@pytest.fixture
def phone(alice):
    signed_in = sessions.start(user=alice, device=Device(), now=clock.now())
    return factories.push_device(alice, RefreshToken.read(signed_in.refresh).session_id)


def told(user: User, event: Event = Event.PASSWORD_CHANGED) -> Delivery:
    with tenancy.as_user(user.id):
        keys = notify(user_id=user.id, event=event, dedupe=str(ids.new_id()), now=clock.now())
        return Delivery.objects.get(id__in=keys, channel="push")


def sent(row: Delivery, at: Any = None) -> bool:
    return delivery.send(delivery_id=row.id, now=at or clock.now())


def again(row: Any) -> Any:
    with tenancy.as_system("test"):
        return type(row).objects.get(id=row.id)


def test_a_push_says_what_happened_and_nothing_secret(alice, phone, expo):
    row = told(alice)
    assert sent(row)
    [message] = expo.pushed
    assert message["to"] == phone.token
    assert (message["title"], message["body"]) == (
        "Portfolio tracker", "Your password was changed",
    )  # fmt: skip
    assert message["data"] == {"event": "password_changed", "delivery_id": str(row.id)}
    assert expo.headers[0]["authorization"] == "Bearer expo-secret"
    assert (again(row).state, again(row).receipt) == ("sent", "ticket-1")


def test_without_an_access_token_none_is_sent(alice, phone, expo, settings):
    settings.EXPO_ACCESS_TOKEN = ""
    assert sent(told(alice))
    assert "authorization" not in expo.headers[0]


def test_a_phone_without_the_app_is_pushed_to_no_more(alice, phone, expo):
    row = told(alice)
    expo.tickets[phone.token] = GONE
    assert not sent(row)
    assert again(row).state == "dropped"
    assert again(phone).refused_at is not None
    with tenancy.as_user(alice.id):
        keys = notify(user_id=alice.id, event=Event.PASSWORD_CHANGED, dedupe="x", now=clock.now())
        assert not Delivery.objects.filter(id__in=keys, channel="push").exists()


@pytest.mark.parametrize(
    "error", ["MessageRateExceeded", "MessageTooBig", "InvalidCredentials", ""]
)
def test_any_other_refusal_is_tried_again(alice, phone, expo, error):
    row = told(alice)
    expo.tickets[phone.token] = {"status": "error", "details": {"error": error}}
    assert not sent(row)
    assert (again(row).state, again(phone).refused_at) == ("waiting", None)
    expo.tickets.clear()
    assert sent(row, again(row).next_attempt_at)


@pytest.mark.parametrize("status", [301, 400, 429, 500, 503])
def test_expo_out_of_order_delays_a_message(alice, phone, expo, status):
    row = told(alice)
    expo.status = status
    assert not sent(row)
    assert again(row).state == "waiting"
    assert "Token" not in again(row).error
    expo.status = 200
    assert sent(row, again(row).next_attempt_at)


def test_nothing_follows_when_expo_sends_us_elsewhere(alice, phone, expo):
    """Our access token goes to one host and to no other."""
    row = told(alice)
    expo.status, expo.elsewhere = 302, f"{expo.url}/elsewhere"
    assert not sent(row)
    assert (again(row).state, again(row).error) == ("waiting", "TooManyRedirects 302")
    assert len(expo.headers) == 1


def test_expo_out_of_reach_delays_a_message(alice, phone, settings):
    settings.EXPO_URL = "http://127.0.0.1:1"
    row = told(alice)
    assert not sent(row)
    assert (again(row).state, again(row).error) == ("waiting", "ConnectionError")


def test_a_message_for_a_phone_that_somebody_else_took_over_goes_nowhere(alice, phone, expo):
    """A push never reaches the wrong person, also when it was written before."""
    row, bob = told(alice), factories.person("bob@example.com")
    with tenancy.as_system("test"):
        PushDevice.objects.filter(id=phone.id).update(user_id=bob.id)
    assert not sent(row)
    assert expo.pushed == []
    assert again(row).state == "dropped"


def test_a_message_for_a_phone_that_was_signed_out_goes_nowhere(alice, phone, expo):
    """S09"""
    row = told(alice)
    with tenancy.as_user(alice.id):
        Session.objects.update(ended_at=clock.now())
    assert not sent(row)
    assert expo.pushed == []


# --- receipts -----------------------------------------------------------------------------------
def receipts(after: timedelta = timedelta(minutes=16)) -> int:
    return delivery.check_receipts(now=clock.now() + after)


def test_what_expo_reports_later_is_asked_for_once(alice, phone, expo):
    row = told(alice)
    sent(row)
    expo.receipts["ticket-1"] = {"status": "ok"}
    assert receipts(timedelta(minutes=14)) == 0  # not yet
    assert again(row).receipt == "ticket-1"
    assert receipts() == 1
    assert (again(row).state, again(row).receipt) == ("sent", "")
    assert receipts() == 0


def test_a_phone_that_is_reported_gone_later_is_pushed_to_no_more(alice, phone, expo):
    row = told(alice)
    sent(row)
    expo.receipts["ticket-1"] = GONE
    receipts()
    assert again(phone).refused_at is not None


def test_a_phone_that_was_registered_anew_meanwhile_stays(alice, phone, expo):
    row = told(alice)
    sent(row)
    with tenancy.as_user(alice.id):
        PushDevice.objects.update(registered_at=clock.now() + timedelta(minutes=1))
    expo.receipts["ticket-1"] = GONE
    receipts()
    assert again(phone).refused_at is None


def test_a_message_that_is_reported_lost_is_sent_again(alice, phone, expo):
    row = told(alice)
    sent(row)
    expo.receipts["ticket-1"] = {"status": "error", "details": {"error": "MessageRateExceeded"}}
    receipts()
    assert (again(row).state, again(row).error) == ("waiting", "Receipt MessageRateExceeded")
    assert sent(row, again(row).next_attempt_at)
    assert len(expo.pushed) == 2


def test_what_expo_never_reports_on_is_forgotten_after_a_day(alice, phone, expo):
    row = told(alice)
    sent(row)
    assert receipts() == 0
    assert again(row).receipt == "ticket-1"
    receipts(timedelta(days=1, minutes=1))
    assert (again(row).state, again(row).receipt) == ("sent", "")


def test_receipts_are_asked_for_again_when_expo_does_not_answer(alice, phone, expo):
    row = told(alice)
    sent(row)
    expo.status = 503
    assert receipts() == 0
    assert again(row).receipt == "ticket-1"
