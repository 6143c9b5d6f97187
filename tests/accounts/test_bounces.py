"""Addresses that take no e-mail, and people to whom ours is a nuisance."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from anymail.signals import EventType, RejectReason
from django.core import mail
from django.test import Client
from django.urls import path, reverse

from accounts import bounces, delivery, links, pages, reachability
from accounts.models import Delivery, EmailSuppression, User
from accounts.notifications import Event, notify
from tests import factories
from tests.accounts.loopback import MailServer
from tests.accounts.test_admin_messages import staff
from tests.accounts.test_delivery import use
from tests.admin_client import signed_in
from tests.mail import newest_link
from tracker import clock, ids, tenancy

SECRET = "postmark:a-long-enough-password"
urlpatterns = [
    *bounces.urls(provider="Postmark", secret=SECRET),
    path("confirm-email", pages.confirm_email),
]
NOW = clock.now().replace(microsecond=0)


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", email_confirmed_at=NOW)


def told(user: User, event: Event = Event.PRICE_ALERT) -> Delivery:
    with tenancy.as_user(user.id):
        keys = notify(
            user_id=user.id, event=event, dedupe=str(ids.new_id()), now=NOW, title="t", value="v"
        )
        return Delivery.objects.get(id__in=keys, channel="email")


def mailed(user: User, event: Event = Event.PRICE_ALERT) -> bool:
    return delivery.send(delivery_id=told(user, event).id, now=NOW)


def bounced(user: User) -> None:
    assert bounces.take(
        kind=EventType.BOUNCED, reason=RejectReason.BOUNCED, address=user.email, now=NOW
    )


def since(api: Any) -> Any:
    return api.get("/me/notifications/settings").json()["email_undeliverable_since"]


# --- what the mail server says ------------------------------------------------------------------
def test_an_address_that_the_server_refuses_for_good_is_spared_from_then_on(
    alice, settings, client_of
):
    with MailServer() as server:
        use(settings, server.port)
        server.refuse = 550
        assert not mailed(alice)
        server.refuse = 0
        row = told(alice)
        assert not delivery.send(delivery_id=row.id, now=NOW)
        assert server.received == []
    with tenancy.as_user(alice.id):
        row.refresh_from_db()
        [found] = EmailSuppression.objects.all()
    assert (row.state, row.error) == ("dropped", "address suppressed")
    assert (found.address, found.reason) == ("alice@example.com", "SMTPRecipientsRefused 550")
    assert since(client_of(alice)) == NOW.isoformat().replace("+00:00", "Z")


def test_an_address_that_is_refused_for_now_is_tried_again(alice, settings):
    with MailServer() as server:
        use(settings, server.port)
        server.refuse = 450
        row = told(alice)
        assert not delivery.send(delivery_id=row.id, now=NOW)
        server.refuse = 0
        assert delivery.send(delivery_id=row.id, now=NOW + timedelta(minutes=2))


# --- what the provider says ---------------------------------------------------------------------
@pytest.fixture
def provider(settings):
    """The provider calls its webhook: ``provider(Type="HardBounce", Email=…)``."""
    settings.ROOT_URLCONF = __name__
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}

    def call(*, secret: str = SECRET, **fields: Any) -> int:
        about = {"RecordType": "Bounce", "MessageID": str(ids.new_id()), "ID": 1, "Details": "x",
                 "Description": "x", "BouncedAt": NOW.isoformat()}  # fmt: skip
        header = "Basic " + base64.b64encode(secret.encode()).decode()
        answer = Client(enforce_csrf_checks=True).post(
            "/api/webhook/email", about | fields, content_type="application/json",
            headers={"Authorization": header},
        )  # fmt: skip
        return answer.status_code

    return call


def test_a_bounce_that_the_provider_reports_spares_the_address(alice, provider):
    assert provider(Type="HardBounce", TypeCode=1, Email="Alice@Example.com") == 200
    assert not mailed(alice)
    assert provider(Type="HardBounce", TypeCode=1, Email="alice@example.com") == 200
    with tenancy.as_user(alice.id):
        assert EmailSuppression.objects.count() == 1


def test_who_does_not_know_the_secret_changes_nothing(alice, provider):
    for secret in ("postmark:wrong", ":", "x"):
        assert provider(secret=secret, Type="HardBounce", TypeCode=1, Email=alice.email) == 403
    assert mailed(alice)


def test_what_cannot_be_read_is_refused(alice, provider, settings):
    header = "Basic " + base64.b64encode(SECRET.encode()).decode()
    for body in (b"", b"[]", b"{", b'"x"', b'{"RecordType": 5}', b"\xff"):
        answer = Client().post(
            "/api/webhook/email", body, content_type="application/json",
            headers={"Authorization": header},
        )  # fmt: skip
        assert answer.status_code in (200, 400), body
    assert mailed(alice)


def test_trouble_for_a_time_and_addresses_of_nobody_change_nothing(alice, provider):
    assert provider(Type="Transient", TypeCode=2, Email=alice.email) == 200
    assert provider(Type="HardBounce", TypeCode=1, Email="nobody@example.com") == 200
    assert mailed(alice)


def test_a_complaint_turns_off_what_can_be_turned_off_and_spares_nothing_else(alice, provider):
    fields = {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "TypeCode": 512}
    assert provider(**fields, Email=alice.email) == 200
    with tenancy.as_user(alice.id):
        keys = notify(user_id=alice.id, event=Event.PRICE_ALERT, dedupe="a", now=NOW, title="t",
                      value="v")  # fmt: skip
    assert keys == []
    assert mailed(alice, Event.PASSWORD_CHANGED)
    with tenancy.as_user(alice.id):
        assert not EmailSuppression.objects.exists()


@pytest.mark.parametrize(
    ("kind", "reason", "follows"),
    [
        (EventType.BOUNCED, RejectReason.BOUNCED, True),
        (EventType.BOUNCED, RejectReason.INVALID, True),
        (EventType.REJECTED, RejectReason.BOUNCED, True),
        (EventType.REJECTED, RejectReason.SPAM, True),
        (EventType.COMPLAINED, "", True),
        (EventType.UNSUBSCRIBED, "", True),
        (EventType.REJECTED, RejectReason.BLOCKED, False),
        (EventType.BOUNCED, RejectReason.TIMED_OUT, False),
        (EventType.DEFERRED, "", False),
        (EventType.DELIVERED, "", False),
        (EventType.OPENED, "", False),
        (EventType.UNKNOWN, "", False),
    ],
)
def test_only_what_is_final_is_followed(alice, kind, reason, follows):
    assert bounces.take(kind=kind, reason=reason, address=alice.email, now=NOW) is follows
    if not follows:
        assert mailed(alice)


def test_nothing_is_mounted_without_a_provider_and_a_secret():
    assert bounces.urls(provider="console", secret=SECRET) == []
    assert bounces.urls(provider="smtp://127.0.0.1", secret=SECRET) == []
    assert bounces.urls(provider="postmark", secret="") == []
    assert Client().post("/api/webhook/email").status_code == 404


# --- and back -----------------------------------------------------------------------------------
def test_what_protects_the_account_is_sent_all_the_same(alice):
    bounced(alice)
    assert mailed(alice, Event.PASSWORD_CHANGED)
    assert not mailed(alice)


def test_the_address_proves_itself_by_a_link_that_comes_back(alice, client_of, settings):
    bounced(alice)
    api = client_of(alice)
    assert api.post("/me/email/prove").status_code == 202
    assert api.post("/me/email/prove").status_code == 202  # at most one link a minute
    with tenancy.as_user(alice.id):
        [row] = Delivery.objects.filter(event="confirm_email")
    assert delivery.send(delivery_id=row.id, now=clock.now())
    assert "/confirm-email?token=" in mail.outbox[-1].body
    link = links.url(newest_link(alice, "confirm_email"))
    token = link.partition("token=")[2]
    assert Client().post("/confirm-email", {"token": token}).status_code == 200
    assert since(api) is None
    assert mailed(alice)


def test_there_is_nothing_to_prove_where_e_mail_arrives(alice, client_of):
    answer = client_of(alice).post("/me/email/prove")
    assert (answer.status_code, answer.json()["code"]) == (409, reachability.EmailReachesYou.code)


def test_another_address_is_not_spared(alice, client_of):
    bounced(alice)
    with tenancy.as_user(alice.id):
        User.objects.update(email="new@example.com")
    alice.email = "new@example.com"
    assert mailed(alice)
    assert since(client_of(alice)) is None


def lift(user: User, alice: User) -> None:
    with tenancy.as_user(alice.id):
        row = EmailSuppression.objects.get()
    chosen = {"action": "lift", "_selected_action": [str(row.id)]}
    signed_in(user).post(reverse("admin:accounts_emailsuppression_changelist"), chosen, follow=True)


def test_staff_who_may_lift_it_and_that_is_logged(alice):
    from audit.actions import Action
    from audit.models import ActivityLog

    bounced(alice)
    user = staff("view_emailsuppression", "change_emailsuppression")
    lift(user, alice)
    assert mailed(alice)
    with tenancy.as_system("test"):
        entry = ActivityLog.objects.get(action=Action.STAFF_ACTED, actor_id=user.id)
    assert (entry.user_id, entry.details["did"]) == (alice.id, "lift suppression")
    bounced(alice)
    assert not mailed(alice)


def test_staff_who_may_only_read_do_not(alice):
    bounced(alice)
    lift(staff("view_emailsuppression"), alice)
    assert not mailed(alice)


def test_what_is_spared_is_of_one_person_alone(alice):
    bounced(alice)
    assert mailed(factories.person("bob@example.com"))
