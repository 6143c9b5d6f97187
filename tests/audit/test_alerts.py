"""Alerts: raised once, seen by their person alone, dealt with by the person or by staff."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import alerts, checks, detection, geoip, log, tasks
from audit.actions import Action
from audit.detectors.findings import Finding, Kind
from audit.models import ActivityLog, SecurityAlert, SessionActivity
from tests import factories
from tests.broker import work_off
from tracker import clock, ids, tenancy
from tracker.errors import NotFound

HOME, OFFICE, STRANGER = "203.0.113.7", "198.51.100.9", "81.2.69.142"


@pytest.fixture
def alice(transactional_db):
    return factories.person("alice@example.com")


@pytest.fixture
def charlie(transactional_db):
    return factories.person("charlie@example.com")


def raised(user: Any, dedupe: str = "1", **given: Any) -> SecurityAlert | None:
    values = {"kind": "account.test", "severity": "high", "evidence": {"n": 1}} | given
    with tenancy.as_user(user.id):
        return alerts.raise_alert(user_id=user.id, dedupe=dedupe, now=clock.now(), **values)


def found(*kinds: str) -> list[SecurityAlert]:
    """The alerts there are, once the worker has judged what waits."""
    work_off(tasks.judge)
    with tenancy.as_system("test"):
        rows = SecurityAlert.objects.order_by("id")
        return list(rows.filter(kind__in=kinds) if kinds else rows)


def acts(action: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).order_by("created_at"))


# --- raising ------------------------------------------------------------------------------------
def test_an_alert_is_in_the_log_and_raised_once(alice):
    alert = raised(alice)
    assert alert is not None
    assert raised(alice) is None
    (act,) = acts(Action.ALERT_RAISED)
    assert act.details == {"alert_id": str(alert.id), "kind": "account.test", "severity": "high"}
    assert act.user_id == alice.id
    assert len(found()) == 1


def test_the_same_thing_after_it_was_resolved_is_a_new_alert(alice):
    alert = raised(alice)
    with tenancy.as_system("test"):
        alerts.handle_by_staff(
            alert_ids=[alert.id], to="resolved", actor_id=alice.id, now=clock.now()
        )
    assert raised(alice) is not None


def test_the_same_words_about_another_person_are_another_alert(alice, charlie):
    assert raised(alice) is not None
    assert raised(charlie) is not None


def test_a_long_key_is_still_the_same_key(alice):
    assert raised(alice, "x" * 300) is not None
    assert raised(alice, "x" * 300) is None
    assert raised(alice, "x" * 301) is not None


def test_one_incident_is_one_alert_unless_it_gets_worse(alice):
    def again(severity: Any, dedupe: str, now: Any = None) -> Any:
        finding = Finding(Kind.UNUSUAL_TRADING, severity, {}, f"place:{dedupe}")
        with tenancy.as_user(alice.id):
            return alerts.raise_finding(
                finding, user_id=alice.id, now=now or clock.now(), quiet=timedelta(days=3),
                incident="place",
            )  # fmt: skip

    assert again("medium", "1") is not None
    assert again("medium", "2") is None
    assert again("high", "3") is not None
    assert again("high", "4", clock.now() + timedelta(days=4)) is not None


# --- the person ---------------------------------------------------------------------------------
def test_people_see_their_own_alerts_newest_first(alice, charlie, client_of):
    raised(alice, "1")
    raised(alice, "2", severity="low")
    shown = client_of(alice).get("/me/alerts").json()["results"]
    assert [row["severity"] for row in shown] == ["low", "high"]
    assert shown[0]["evidence"] == {"n": 1}
    assert client_of(charlie).get("/me/alerts").json()["results"] == []
    assert client_of(alice).get("/me/alerts?state=resolved").json()["results"] == []
    assert client_of(alice).get("/me/alerts?state=odd").status_code == 400


def test_a_person_acknowledges_their_alert_once(alice, client_of):
    alert = raised(alice)
    for _ in range(2):
        answer = client_of(alice).post(f"/me/alerts/{alert.id}/acknowledge")
        assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    (act,) = acts(Action.ALERT_ACKNOWLEDGED)
    assert (act.user_id, act.actor_id) == (alice.id, None)


def test_nobody_acknowledges_the_alert_of_another(alice, charlie, client_of):
    """S14"""
    alert = raised(alice)
    assert client_of(charlie).post(f"/me/alerts/{alert.id}/acknowledge").status_code == 404
    with pytest.raises(NotFound):
        alerts.acknowledge(user_id=charlie.id, alert_id=alert.id, now=clock.now())
    assert found()[0].state == "open"


# --- staff --------------------------------------------------------------------------------------
def test_staff_acknowledge_and_resolve_and_it_stands_in_the_log(alice, charlie):
    alert, now = raised(alice), clock.now()

    def handle(to: str) -> int:
        with tenancy.as_system("test"):
            return alerts.handle_by_staff(alert_ids=[alert.id], to=to, actor_id=charlie.id, now=now)

    assert [handle("acknowledged"), handle("acknowledged"), handle("resolved")] == [1, 0, 1]
    assert handle("acknowledged") == 0  # never back
    (row,) = found()
    assert (row.state, row.handled_by_id, row.resolved_at) == ("resolved", charlie.id, now)
    (act,) = acts(Action.ALERT_RESOLVED)
    assert (act.user_id, act.actor_id) == (alice.id, charlie.id)


# --- from the log to alerts ---------------------------------------------------------------------
def signed_in(user: Any, address: str, device: str = "iPhone", **given: Any) -> Any:
    """A sign-in as `accounts.sessions` logs it."""
    session = ids.new_id()
    values = {"method": "password", "platform": "ios", "user_agent": "app"} | given
    with tenancy.as_user(user.id):
        log.record(
            Action.USER_SIGNED_IN, user_id=user.id, ip_address=address, session_id=session,
            device_name=device, **values,
        )  # fmt: skip
    return session


def aged(user: Any, **past: Any) -> None:
    """Move what is in the log into the past. Only tests may: the log is append-only."""
    signed_in_at = clock.now() - timedelta(**past)
    rows = [
        ActivityLog(
            user_id=user.id, action=Action.USER_SIGNED_IN, ip_address=HOME,
            session_id=ids.new_id(), created_at=signed_in_at - timedelta(days=day),
            details={"method": "password", "platform": "ios", "device_name": "iPhone",
                     "user_agent": "app"},
        )
        for day in range(5)
    ]  # fmt: skip
    with tenancy.as_user(user.id):
        ActivityLog.objects.bulk_create(rows)


def test_a_new_device_in_an_unknown_network_raises_an_alert(alice):
    aged(alice, days=2)
    session = signed_in(alice, STRANGER, "Desktop")
    (alert,) = found()
    assert (alert.kind, alert.severity) == (Kind.STRANGE_SIGN_IN, "medium")
    assert alert.evidence["signs"] == ["new_device", "unfamiliar_network"]
    assert alert.evidence["session_id"] == str(session)


@pytest.mark.parametrize(
    ("address", "device", "given"),
    [
        (HOME, "Desktop", {}),  # a new computer at home
        (STRANGER, "iPhone", {}),  # the own phone in a café
        (STRANGER, "Desktop", {"method": "passkey"}),
    ],
)
def test_one_strange_thing_alone_raises_none(alice, address, device, given):
    aged(alice, days=2)
    signed_in(alice, address, device, **given)
    assert found() == []


def test_the_first_sign_in_of_all_raises_none(alice):
    signed_in(alice, STRANGER)
    assert found() == []


def test_a_second_factor_outweighs_what_is_strange_even_with_a_sensitive_act(alice):
    aged(alice, days=2)
    session = signed_in(alice, STRANGER, "Desktop", method="totp")
    assert found() == []
    with tenancy.as_user(alice.id):
        log.record(Action.API_KEY_CREATED, user_id=alice.id, session_id=session)
    assert found() == []


def test_a_sensitive_act_right_after_a_sign_in_makes_the_sum_full(alice, settings):
    settings.ALERT_THRESHOLDS = {"alert_points": 80}
    aged(alice, days=2)
    session = signed_in(alice, STRANGER, "Desktop")
    assert found() == []
    with tenancy.as_user(alice.id):
        log.record(Action.API_KEY_CREATED, user_id=alice.id, session_id=session)
    (alert,) = found()
    assert "sensitive_act_after" in alert.evidence["signs"]


def test_a_network_where_the_phone_is_right_now_is_not_strange(alice):
    aged(alice, days=2)
    with tenancy.as_user(alice.id):
        mine = ActivityLog.objects.filter(action=Action.USER_SIGNED_IN).first().session_id
        SessionActivity.objects.create(
            session_id=mine, bucket_at=clock.now() - timedelta(minutes=10), user_id=alice.id,
            last_at=clock.now() - timedelta(minutes=8), ip_address="81.2.1.1", features=["x"],
        )  # fmt: skip
    signed_in(alice, STRANGER, "New phone")
    assert found() == []


def test_judging_again_finds_the_same_alert(alice):
    aged(alice, days=2)
    signed_in(alice, STRANGER, "Desktop")
    for _ in range(2):
        tasks.judge(user_id=str(alice.id), action=str(Action.USER_SIGNED_IN))
    assert len(found()) == 1


def resolved(user: Any) -> None:
    """Staff looked at everything and closed it."""
    with tenancy.as_system("test"):
        alerts.handle_by_staff(
            alert_ids=[alert.id for alert in found()], to="resolved", actor_id=user.id,
            now=clock.now(),
        )  # fmt: skip


@pytest.mark.parametrize(
    "action", [Action.USER_SIGNED_IN, Action.SESSION_REPLAYED, Action.API_KEY_MOVED]
)
def test_what_was_resolved_does_not_come_back_with_the_next_act(alice, action):
    """Each act has the events of a whole day judged again."""
    aged(alice, days=2)
    signed_in(alice, STRANGER, "Desktop")
    with tenancy.as_user(alice.id):
        log.record(
            Action.SESSION_REPLAYED, user_id=alice.id, session_id=ids.new_id(),
            ip_address=STRANGER, outcome="refused",
        )  # fmt: skip
        log.record(
            Action.API_KEY_MOVED, user_id=alice.id, ip_address="203.0.113.99", key_id="k",
            known=[OFFICE],
        )  # fmt: skip
    before = found()
    assert len({alert.kind for alert in before}) == 3
    resolved(alice)
    tasks.judge(user_id=str(alice.id), action=str(action))
    assert [alert.id for alert in found()] == [alert.id for alert in before]


def test_what_was_resolved_and_became_graver_is_raised_again(alice, settings):
    """Resolving an alert is no pass for what the same session does next."""
    settings.ALERT_THRESHOLDS = {"sensitive_points": 25}
    aged(alice, days=2)
    session = signed_in(alice, STRANGER, "Desktop")
    (first,) = found()
    resolved(alice)
    with tenancy.as_user(alice.id):
        log.record(Action.TOTP_REMOVED, user_id=alice.id, session_id=session)
    again = [alert for alert in found() if alert.id != first.id]
    assert [alert.state for alert in again] == ["open"]


def test_every_replayed_refresh_token_raises_an_alert(alice):
    """S04: graver from a place that the person does not know."""
    aged(alice, days=2)
    for address, severity in ((HOME, "low"), (STRANGER, "high")):
        session = signed_in(alice, HOME)
        with tenancy.as_user(alice.id):
            log.record(
                Action.SESSION_REPLAYED, user_id=alice.id, session_id=session,
                ip_address=address, outcome="refused",
            )  # fmt: skip
        assert found(Kind.SESSION_REPLAYED)[-1].severity == severity
    assert len(found(Kind.SESSION_REPLAYED)) == 2


def test_an_api_key_in_an_unknown_network_raises_an_alert(alice):
    def moved(address: str) -> None:
        with tenancy.as_user(alice.id):
            log.record(
                Action.API_KEY_MOVED, user_id=alice.id, ip_address=address, key_id="k",
                known=[OFFICE],
            )  # fmt: skip

    moved("198.51.7.7")  # the same provider
    assert found() == []
    moved(STRANGER)
    moved(STRANGER)
    (alert,) = found()
    assert (alert.kind, alert.severity) == (Kind.API_KEY_ELSEWHERE, "high")


def test_an_exchange_key_with_more_power_raises_an_alert(alice):
    with tenancy.as_user(alice.id):
        log.record(
            Action.CONNECTION_PRIVILEGES_CHANGED, user_id=alice.id, connection_id="c",
            before="read_only", after="withdraw",
        )  # fmt: skip
    (alert,) = found()
    assert (alert.kind, alert.severity) == (Kind.EXCHANGE_KEY_CHANGED, "critical")


# --- failures -----------------------------------------------------------------------------------
def failed(user: Any, times: int, address: str = STRANGER) -> None:
    with tenancy.as_system("test"):
        for _ in range(times):
            log.record(
                Action.USER_SIGN_IN_FAILED, user_id=user and user.id, outcome="refused",
                ip_address=address,
            )  # fmt: skip


def scan() -> int:
    return detection.scan_failures(now=clock.now() + timedelta(seconds=1))


def test_a_guessed_password_is_noticed_by_the_scan_and_said_once(alice, charlie):
    failed(alice, 14)
    failed(charlie, 9)
    assert scan() == 0
    failed(alice, 1)
    assert [scan(), scan()] == [1, 0]
    (alert,) = found()
    assert (alert.kind, alert.user_id) == (Kind.PASSWORD_GUESSING, alice.id)
    assert alert.evidence["addresses"] == [STRANGER]
    assert alert.severity == "medium"


def test_a_guess_that_succeeded_is_critical(alice):
    failed(alice, 15)
    assert scan() == 1
    signed_in(alice, STRANGER)
    assert scan() == 1
    assert [alert.severity for alert in found(Kind.PASSWORD_GUESSING)] == ["medium", "critical"]


def test_the_person_signing_in_elsewhere_is_no_guess_that_succeeded(alice):
    failed(alice, 15)
    signed_in(alice, HOME)
    scan()
    assert [alert.severity for alert in found(Kind.PASSWORD_GUESSING)] == ["medium"]


def test_failures_write_nothing_to_the_outbox(alice):
    """Strangers can make any number of them."""
    from audit.models import OutboxEntry

    failed(alice, 3)
    with tenancy.as_system("test"):
        assert not OutboxEntry.objects.exists()


def test_an_address_that_tries_many_accounts_is_an_alert_to_operators(transactional_db):
    people = [factories.person(f"p{number}@example.com") for number in range(10)]
    for person in people[:9]:
        failed(person, 1)
    assert scan() == 0
    failed(people[9], 1)
    assert [scan(), scan()] == [1, 0]
    (alert,) = found()
    assert (alert.kind, alert.user_id) == (Kind.CREDENTIAL_STUFFING, None)
    assert alert.evidence["address"] == STRANGER
    aged(people[0], days=2)
    signed_in(people[0], STRANGER, "iPhone")
    assert found(Kind.STRANGE_SIGN_IN)[0].user_id == people[0].id


def test_addresses_without_an_account_count_as_well(transactional_db):
    failed(None, 19)
    assert scan() == 1
    assert found()[0].kind == Kind.CREDENTIAL_STUFFING


# --- settings -----------------------------------------------------------------------------------
def test_thresholds_come_from_the_settings(alice, settings):
    settings.ALERT_THRESHOLDS = {"guesses_an_hour": 3}
    failed(alice, 5)
    assert scan() == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALERT_THRESHOLDS", {"guesses": 3}, "'guesses'"),
        ("ALERT_THRESHOLDS", {"guesses_an_hour": "3"}, "guesses_an_hour"),
        ("ALERT_THRESHOLDS", {"guesses_an_hour": 1.5}, "whole number"),
        ("ALERT_THRESHOLDS", {"guesses_an_hour": -1}, "below 0"),
        ("SECURITY_WEBHOOK_SECRETS", ["nonsense-but-secret"], "SECURITY_WEBHOOK_SECRETS"),
        ("SECURITY_WEBHOOK_SECRETS", ["whsec_" + "QUFB" * 10] * 3, "more than two"),
        ("ALERT_WEBHOOKS", {"desk": {"url": "https://x.example"}}, "desk"),
        ("ALERT_WEBHOOKS", {"d": {"url": "http://x", "secret": "whsec_" + "QUFB" * 10}}, "https"),
        ("GEOIP_PATH", "/nowhere/at.mmdb", "GEOIP_PATH"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(settings, name, value, said):
    assert checks.alerts_are_configured_soundly(None) == []
    setattr(settings, name, value)
    (problem,) = checks.alerts_are_configured_soundly(None)
    assert said in problem.msg
    assert "nonsense" not in problem.msg


def test_a_location_database_that_cannot_be_read_switches_journeys_off(settings, tmp_path: Path):
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"no database")
    settings.GEOIP_PATH = str(broken)
    assert geoip.locator()(STRANGER) is None


def test_places_are_read_as_maxmind_writes_them():
    class Reader:
        def get(self, address: str) -> Any:
            if address == "bad":
                raise ValueError
            place = {"latitude": 52.5, "longitude": 13.4, "accuracy_radius": 20}
            return {STRANGER: {"location": place, "country": {"iso_code": "DE"}}}.get(address)

    locate = geoip.reading(Reader())
    berlin = locate(STRANGER)
    assert berlin is not None
    assert (berlin.latitude, berlin.country, berlin.within_km) == (52.5, "DE", 20.0)
    assert locate(HOME) is None
    assert locate("bad") is None
