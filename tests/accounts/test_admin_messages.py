"""Messages, phones and keys for programs in the admin."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts import api_keys
from accounts.models import (
    ApiKey,
    Delivery,
    EmailSuppression,
    NotificationChoice,
    NotificationSettings,
    PushDevice,
    User,
    WebhookEndpoint,
)
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, tenancy

MODELS = (
    ApiKey, Delivery, EmailSuppression, NotificationChoice, NotificationSettings, PushDevice,
    WebhookEndpoint,
)  # fmt: skip


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", subscription_tier="enterprise")


def staff(*codenames: str) -> User:
    with tenancy.as_system("test"):
        user = User.objects.create_user("staff@example.com", PASSWORD, is_staff=True)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


def act(user: User, row: Delivery) -> None:
    chosen = {"action": "send_again", "_selected_action": [str(row.id)]}
    signed_in(user).post(reverse("admin:accounts_delivery_changelist"), chosen, follow=True)


def failed(user: User) -> Delivery:
    row = factories.delivery(user)
    with tenancy.as_user(user.id):
        Delivery.objects.update(state="failed", error="ConnectionError")
    return row


def state(row: Delivery) -> str:
    with tenancy.as_system("test"):
        return Delivery.objects.get(id=row.id).state


def test_support_reads_the_pages_and_no_secret_is_on_them(alice):
    """S19, S25: neither a phone's token nor anything that a key could be made from."""
    key = api_keys.create(
        user=alice, name="script", scopes=["sync"], days=1, session_id=None, now=clock.now()
    )
    phone, digest = factories.push_device(alice), bytes(key.row.digest)
    failed(alice)
    factories.webhook(alice)
    with tenancy.as_user(alice.id):
        NotificationSettings.objects.create(user=alice)
        EmailSuppression.objects.create(user=alice, address=alice.email, reason="bounced")
        NotificationChoice.objects.create(
            user=alice, event="export_ready", channel="push", enabled=False
        )
        rows = [model.objects.get(user=alice) for model in MODELS if model is not Delivery]
        rows += list(Delivery.objects.all())
    client = signed_in(staff(*(f"view_{model._meta.model_name}" for model in MODELS)))
    for row in rows:
        name = f"admin:accounts_{row._meta.model_name}"
        for page in (reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk])):
            answer = client.get(page)
            assert answer.status_code == 200, page
            text = answer.content.decode()
            for secret in (phone.token, key.text.split("_", 2)[2], digest.hex(), str(digest)):
                assert secret not in text, page
    found = client.get(reverse("admin:accounts_apikey_changelist"), {"q": key.row.prefix})
    assert key.row.prefix in found.content.decode()
    assert "script" in found.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_nobody_changes_these_rows_by_hand(alice, model):
    """S19"""
    name = model._meta.model_name
    client = signed_in(staff(*(f"{verb}_{name}" for verb in ("add", "change", "delete", "view"))))
    assert client.get(reverse(f"admin:accounts_{name}_add")).status_code == 403


def test_who_may_change_messages_has_one_sent_again_and_that_is_logged(alice):
    row, user = failed(alice), staff("view_delivery", "change_delivery")
    act(user, row)
    assert state(row) == "waiting"
    with tenancy.as_system("test"):
        entry = ActivityLog.objects.get(action=Action.STAFF_ACTED, actor_id=user.id)
    assert (entry.user_id, entry.details["did"]) == (alice.id, "redeliver")


def test_who_may_only_read_messages_has_none_sent_again(alice):
    row = failed(alice)
    act(staff("view_delivery"), row)
    assert state(row) == "failed"


def test_the_list_of_messages_can_be_narrowed_by_channel_and_by_why_they_wait(alice):
    from accounts.models.notifications import Channel

    with tenancy.as_user(alice.id):
        for channel in Channel:
            Delivery.objects.create(
                user=alice, event="price_alert", channel=channel, dedupe_key=channel,
                held_back="quiet_hours" if channel == "email" else "",
            )  # fmt: skip
    client = signed_in(staff("view_delivery"))
    page = reverse("admin:accounts_delivery_changelist")
    for query, found in [
        ({"channel": "webhook"}, {"webhook"}),
        ({"held_back": "quiet_hours"}, {"email"}),
        ({}, set(map(str, Channel))),
    ]:
        listed = client.get(page, query).context["cl"].result_list
        assert {row.channel for row in listed} == found
