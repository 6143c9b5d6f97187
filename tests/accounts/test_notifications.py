"""What people are told and how they choose it."""

import contextlib
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts import messages, notifications, sessions
from accounts.models import Delivery, User
from accounts.models.notifications import Channel
from accounts.notifications import RULES, Event, notify
from accounts.sessions import Device
from audit import log
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tracker import clock, ids, tenancy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "link": "https://api.example.com/confirm-email?token=abc.def",
    "new_masked": "n…w@example.com", "what": "totp_added", "kind": "account.strange_sign_in",
    "severity": "medium", "closes_at": datetime(2026, 12, 6, 12, tzinfo=UTC), "name": "script",
    "title": "BTC is above 100,000 USD", "value": "100,012.50 USD", "strategy": "Crossing",
    "code": "BTC", "action": "buy", "price": "100,012.50 USD", "contents": "trades",
    "format": "csv", "rows": 12, "reason": "The disk is full.", "outcome": "done",
    "host": "example.com", "total": "1,000.00 USD",
}  # fmt: skip


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


def phone(user: User) -> Any:
    """A phone of a running session."""
    signed_in = sessions.start(user=user, device=Device(), now=clock.now())
    from accounts.tokens import RefreshToken

    return factories.push_device(user, RefreshToken.read(signed_in.refresh).session_id)


def told(user: User, event: Event, **more: Any) -> list[str]:
    """By which channels a person is told of something new."""
    with tenancy.as_user(user.id):
        Delivery.objects.filter(event=event).delete()
        notify(user_id=user.id, event=event, dedupe=str(ids.new_id()), now=clock.now(), **more)
        return sorted(Delivery.objects.filter(event=event).values_list("channel", flat=True))


# --- telling ------------------------------------------------------------------------------------
def test_the_same_message_is_written_once(alice):
    with tenancy.as_user(alice.id):
        first, again, other = (
            notify(user_id=alice.id, event=Event.WELCOME, dedupe=key, now=NOW)
            for key in ("a", "a", "b")
        )
        assert (len(first), again, len(other)) == (1, [], 1)
        assert Delivery.objects.count() == 2


def test_a_long_key_is_kept_apart_from_another_one(alice):
    with tenancy.as_user(alice.id):
        for end in "xyx":
            notify(user_id=alice.id, event=Event.WELCOME, dedupe="k" * 200 + end, now=NOW)
        assert Delivery.objects.count() == 2


def test_what_did_not_happen_is_not_told(alice):
    with contextlib.suppress(ZeroDivisionError), tenancy.as_user(alice.id):
        notify(user_id=alice.id, event=Event.WELCOME, dedupe="a", now=NOW)
        _ = 1 / 0
    with tenancy.as_user(alice.id):
        assert Delivery.objects.count() == 0


def test_each_phone_of_a_running_session_gets_a_message_of_its_own(alice):
    phone(alice), phone(alice), factories.push_device(alice)
    assert told(alice, Event.PASSWORD_CHANGED) == ["email", "live", "push", "push"]


def test_a_link_is_never_pushed(alice):
    phone(alice)
    for event in (Event.CONFIRM_EMAIL, Event.CONFIRM_NEW_EMAIL, Event.PASSWORD_RESET):
        assert told(alice, event) == ["email"]


# --- choosing -----------------------------------------------------------------------------------
def cells(answer: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["event"], row["channel"]): row for row in answer.json()["results"]}


def test_the_table_names_every_event_by_every_channel_with_its_default(client_of, alice):
    table = cells(client_of(alice).get("/me/notifications"))
    assert set(table) == set(itertools.product(map(str, Event), map(str, Channel)))
    for (event, channel), row in table.items():
        rule = RULES[Event(event)][Channel(channel)]
        assert (row["enabled"], row["locked"]) == (rule.default, rule.locked)
    assert table["password_changed", "email"] == {
        "event": "password_changed", "channel": "email", "enabled": True, "locked": True,
    }  # fmt: skip


def choice(event: str, channel: str, enabled: bool) -> dict[str, Any]:
    return {"choices": [{"event": event, "channel": channel, "enabled": enabled}]}


def test_a_choice_is_kept_followed_and_logged(client_of, alice):
    phone(alice)
    api = client_of(alice)
    answer = api.patch("/me/notifications", choice("security_alert", "push", False))
    assert cells(answer)["security_alert", "push"]["enabled"] is False
    assert cells(api.get("/me/notifications"))["security_alert", "push"]["enabled"] is False
    assert told(alice, Event.SECURITY_ALERT) == ["email", "live"]
    api.patch("/me/notifications", choice("security_alert", "push", True))
    assert told(alice, Event.SECURITY_ALERT) == ["email", "live", "push"]
    with tenancy.as_user(alice.id):
        rows = ActivityLog.objects.filter(action=Action.NOTIFICATIONS_CHANGED)
        assert [row.details for row in rows.order_by("id")] == [
            {"changed": {"security_alert by push": on}} for on in (False, True)
        ]


def test_choosing_what_is_so_already_changes_and_logs_nothing(client_of, alice):
    client_of(alice).patch("/me/notifications", choice("security_alert", "push", True))
    client_of(alice).patch("/me/notifications", choice("password_changed", "email", True))
    with tenancy.as_user(alice.id):
        assert not ActivityLog.objects.filter(action=Action.NOTIFICATIONS_CHANGED).exists()
        assert not alice.notification_choices.exists()


@pytest.mark.parametrize(
    ("event", "channel"),
    [(e, c) for e, rules in RULES.items() for c, rule in rules.items() if rule.locked],
)
def test_what_protects_an_account_cannot_be_switched(client_of, alice, event, channel):
    on = not RULES[event][channel].default
    answer = client_of(alice).patch("/me/notifications", choice(event, channel, on))
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["code"] == "locked"
    by_default = {channel for channel, rule in RULES[event].items() if rule.default}
    assert set(told(alice, Event(event))) == by_default - {Channel.PUSH, Channel.WEBHOOK}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (choice("lottery_won", "email", True), "choices.0.event"),
        (choice("security_alert", "pigeon", True), "choices.0.channel"),
        (choice("security_alert", "email", "perhaps"), "choices.0.enabled"),
        ({"choices": [{"event": "welcome", "channel": "push"}]}, "choices.0.enabled"),
        ({"choices": []}, "choices"),
        ({"choices": "all"}, "choices"),
        ({"choices": [5]}, "choices.0"),
        ({}, "choices"),
        (choice("security_alert", "push", False) | {"user_id": 1}, "user_id"),
        ({"choices": [choice("welcome", "push", False)["choices"][0] | {"locked": False}]},
         "choices.0.locked"),
    ],
)  # fmt: skip
def test_a_choice_that_does_not_exist_is_refused_by_name(client_of, alice, body, field):
    """S18"""
    answer = client_of(alice).patch("/me/notifications", body)
    assert answer.status_code == 400
    assert field in [row["field"] for row in answer.json()["details"]["fields"]]


def test_a_choice_is_of_one_person_alone(client_of, alice, bob):
    client_of(alice).patch("/me/notifications", choice("export_ready", "email", False))
    assert told(alice, Event.EXPORT_READY) == ["live"]
    assert told(bob, Event.EXPORT_READY) == ["email", "live"]


# --- what follows from acts ---------------------------------------------------------------------
def alert(user: User | None, severity: str) -> None:
    with tenancy.as_system("test"):
        log.record(
            Action.ALERT_RAISED, user_id=user.id if user else None, alert_id=str(ids.new_id()),
            kind="account.strange_sign_in", severity=severity,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "by_default", "with_email_off"),
    [
        ("low", ["live", "push"], ["live", "push"]),
        ("medium", ["email", "live", "push"], ["live", "push"]),
        ("high", ["email", "live", "push"], ["email", "live", "push"]),
        ("critical", ["email", "live", "push"], ["email", "live", "push"]),
    ],
)
def test_an_alert_reaches_its_person_by_choice_and_serious_ones_always_by_email(
    client_of, alice, django_capture_on_commit_callbacks, severity, by_default, with_email_off
):
    """Who took an account over cannot silence the alarm."""
    phone(alice)

    def channels() -> list[str]:
        with django_capture_on_commit_callbacks(execute=True):
            alert(alice, severity)
        with tenancy.as_user(alice.id):
            rows = Delivery.objects.filter(event=Event.SECURITY_ALERT)
            found = sorted(rows.values_list("channel", flat=True))
            rows.delete()
        return found

    assert channels() == by_default
    client_of(alice).patch("/me/notifications", choice("security_alert", "email", False))
    assert channels() == with_email_off


def test_an_alert_that_is_delivered_twice_is_told_once(alice):
    from accounts import subscriptions

    happening = log.Happening(
        Action.ALERT_RAISED, alice.id, {"alert_id": "a", "kind": "k", "severity": "high"}
    )
    for _ in range(2):
        subscriptions.tell_of_alert(happening)
    with tenancy.as_user(alice.id):
        assert sorted(Delivery.objects.values_list("channel", flat=True)) == ["email", "live"]


def test_an_alert_that_concerns_nobody_is_told_to_nobody(db, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        alert(None, "critical")
    with tenancy.as_system("test"):
        assert Delivery.objects.count() == 0


# --- what messages say --------------------------------------------------------------------------
def written(event: Event, **facts: Any) -> messages.Message:
    user = User(email="alice@example.com", time_zone="Europe/Zurich")
    return messages.render(event, user=user, facts=FACTS | facts)


@pytest.mark.parametrize("event", Event)
def test_every_event_has_a_message_in_text_and_html(event):
    message = written(event)
    assert message.subject
    assert "\n" not in message.subject
    assert message.text.count("\n") > 5
    assert "<html" in message.html
    assert "prefers-color-scheme: dark" in message.html
    assert "{{" not in message.subject + message.text + message.html


@pytest.mark.parametrize(
    "event", [Event.CONFIRM_EMAIL, Event.CONFIRM_NEW_EMAIL, Event.PASSWORD_RESET]
)
def test_a_link_stands_in_both_parts_in_full(event):
    message = written(event, link="https://api.example.com/x?token=a.b&c=d")
    assert "\nhttps://api.example.com/x?token=a.b&c=d\n" in message.text
    assert 'href="https://api.example.com/x?token=a.b&amp;c=d"' in message.html


def test_what_people_wrote_is_escaped_in_html_and_nowhere_else():
    message = written(Event.API_KEY_CREATED, name='<img src=x> & "you"')
    assert '<img src=x> & "you"' in message.text
    assert "<img" not in message.html
    assert "&lt;img src=x&gt; &amp;" in message.html


def test_an_instant_is_told_in_the_zone_of_the_person():
    message = written(Event.ACCOUNT_CLOSING)
    assert "6 December 2026, 13:00 (Europe/Zurich)" in message.text
    assert "6 December 2026, 13:00 (Europe/Zurich)" in message.html


def test_a_locale_without_templates_or_of_nonsense_is_answered_in_english():
    for locale in ("fr", "../../etc", "en-GB", ""):
        user = User(email="a@example.com", locale=locale, time_zone="nowhere")
        message = messages.render(Event.WELCOME, user=user, facts={})
        assert message.subject == "Welcome to Portfolio tracker"


def test_a_locale_with_templates_is_answered_in_its_language(tmp_path, settings):
    folder = tmp_path / "email" / "de"
    folder.mkdir(parents=True)
    for kind in ("subject.txt", "txt", "html"):
        (folder / f"welcome.{kind}").write_text("Willkommen")
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [engine | {"DIRS": [tmp_path, *engine["DIRS"]]}]
    user = User(email="a@example.com", locale="de")
    assert messages.render(Event.WELCOME, user=user, facts={}).subject == "Willkommen"


def test_every_kind_of_alert_has_a_sentence_of_its_own():
    from audit.detectors.findings import Kind

    said = {kind: written(Event.SECURITY_ALERT, kind=kind.value).text for kind in Kind}
    other = written(Event.SECURITY_ALERT, kind="external.waf").text
    of_people = set(Kind) - {Kind.CREDENTIAL_STUFFING}  # concerns an address, so nobody is told
    assert len({said[kind] for kind in of_people} | {other}) == len(of_people) + 1


def test_every_rule_is_for_every_event():
    assert set(RULES) == set(Event)
    assert all(set(rules) == set(Channel) for rules in RULES.values())
    assert notifications.Rule.ALWAYS.locked
