"""Operators hear once a week what happened to security."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache

from audit import digest, log, sealing
from audit.actions import Action
from audit.alerts import raise_alert
from audit.models import ActivityLog
from tests import factories
from tracker import tenancy

MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
NOW = MONDAY + timedelta(hours=7)


@pytest.fixture(autouse=True)
def operator(settings, db):
    settings.OPERATOR = settings.OPERATOR | {"email": "ops@example.com"}
    return settings


def act(action: Action, at: datetime, **given: Any) -> None:
    with tenancy.as_system("test"):
        ActivityLog.objects.bulk_create([ActivityLog(action=action, created_at=at, **given)])


def test_a_week_is_from_monday_to_monday():
    assert [digest.Week.before(at).name for at in (MONDAY, NOW, MONDAY - timedelta(seconds=1))] == [
        "2026-W10", "2026-W10", "2026-W09"
    ]  # fmt: skip


def test_the_digest_counts_and_names_nobody(operator):
    ann = factories.person("ann@example.com")
    for hours in (1, 2, 200):  # the last is of the week before
        act(Action.USER_SIGN_IN_FAILED, MONDAY - timedelta(hours=hours), user_id=ann.id,
            ip_address="203.0.113.7")  # fmt: skip
    act(Action.USER_SIGN_IN_FAILED, MONDAY + timedelta(minutes=1))
    with tenancy.as_system("test"):
        raise_alert(kind="session.refresh_replayed", severity="high", user_id=ann.id,
                    evidence={}, dedupe="x", now=MONDAY - timedelta(days=1))  # fmt: skip
    sealing.seal_all(now=NOW)
    assert digest.send(now=NOW)
    (message,) = mail.outbox
    html = message.alternatives[0][0]
    assert (message.to, message.subject) == (["ops@example.com"], "Security, week 2026-W10")
    head = f"1:{sealing.head().digest.hex()}"
    for text in (message.body, html):
        assert head in text
        assert "session.refresh_replayed (high)" in text
        assert "ann@example.com" not in text
        assert "203.0.113.7" not in text
    assert "2  Failed sign-ins" in message.body
    assert "1  high, open" in message.body
    assert "waiting for their seal" not in message.body


def test_a_digest_goes_out_once_a_week():
    assert [digest.send(now=NOW), digest.send(now=NOW), digest.send(now=NOW)] == [
        True,
        False,
        False,
    ]
    assert digest.send(now=NOW + timedelta(days=7))
    assert [message.subject[-3:] for message in mail.outbox] == ["W10", "W11"]


def test_a_lost_cache_sends_it_no_second_time():
    digest.send(now=NOW)
    cache.clear()
    assert not digest.send(now=NOW + timedelta(hours=1))


def test_a_mail_server_that_is_away_is_tried_again(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    with pytest.raises(OSError):
        digest.send(now=NOW)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert digest.send(now=NOW)


def test_without_an_operator_nothing_is_sent(settings):
    settings.OPERATOR = settings.OPERATOR | {"email": ""}
    assert not digest.send(now=NOW)
    assert mail.outbox == []


def test_rows_that_nobody_seals_are_told():
    with tenancy.as_system("test"):
        log.record(Action.KEYS_ROTATED, user_id=None)
    found = digest.figures(digest.Week.before(NOW), now=datetime(2099, 1, 1, tzinfo=UTC))
    assert found["unsealed"] == 1
