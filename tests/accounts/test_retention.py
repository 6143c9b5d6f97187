"""What has outlived its purpose goes, what has not stays."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session as AdminSession
from django.core.management import call_command

from accounts import sessions
from accounts.models import AccountLink, Delivery, IdempotencyRecord, PushDevice, Session, User
from accounts.privacy import inventory, retention
from audit import log
from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert, SessionActivity, UserMetric
from portfolios.models import SyncRun
from tests import factories
from tracker import clock, ids, tenancy

pytestmark = pytest.mark.usefixtures("private_files", "erasure_log")
NOW = clock.now()
DAY = timedelta(days=1)


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


def applied(**options):
    """Rows that went, by table."""
    return {line.name: line.rows for line in retention.apply(now=NOW, **options)}


def session(user, ended, expires):
    return Session.objects.create(
        user=user, refresh_digest=bytes(32), expires_at=NOW + expires,
        ended_at=None if ended is None else NOW + ended,
    )  # fmt: skip


def link(user, expires):
    return AccountLink.objects.create(
        user=user, purpose="confirm_email", email="a@b.c", expires_at=NOW + expires
    )


def told(user, created):
    return Delivery.objects.create(
        user=user, event="welcome", channel="email", dedupe_key=str(ids.new_id()),
        created_at=NOW + created, state="sent",
    )  # fmt: skip


def answer(user, created):
    return IdempotencyRecord.objects.create(
        user=user, key_digest=ids.new_id().bytes, body_digest=bytes(32), locked_until=NOW,
        created_at=NOW + created,
    )  # fmt: skip


def visited(user, at):
    return SessionActivity.objects.create(
        user=user, session_id=ids.new_id(), bucket_at=NOW + at, last_at=NOW + at, features=[]
    )


def metric(user, at):
    return UserMetric.objects.create(
        user=user, date=(NOW + at).date(), daily_active=True, session_duration=timedelta(0)
    )


def alert(user, resolved):
    return SecurityAlert.objects.create(
        user=user, kind="x", severity="low", dedupe_key=str(ids.new_id()),
        state="open" if resolved is None else "resolved",
        resolved_at=None if resolved is None else NOW + resolved, created_at=NOW - 3000 * DAY,
    )  # fmt: skip


def phone(user, refused):
    return PushDevice.objects.create(
        user=user, token=str(ids.new_id()),
        refused_at=None if refused is None else NOW + refused,
    )  # fmt: skip


KEPT_AND_GONE = {
    "sessions that ended": (lambda u, at: session(u, at, DAY), -89 * DAY, -91 * DAY),
    "sessions that ran out": (lambda u, at: session(u, None, at), -89 * DAY, -91 * DAY),
    "links": (link, -29 * DAY, -31 * DAY),
    "messages": (told, -89 * DAY, -91 * DAY),
    "answers": (answer, -DAY / 2, -DAY * 1.1),
    "visits": (visited, -89 * DAY, -91 * DAY),
    "metrics": (metric, -729 * DAY, -732 * DAY),
    "alerts": (alert, -729 * DAY, -731 * DAY),
    "alerts that are open": (alert, None, -731 * DAY),
    "phones": (phone, -29 * DAY, -31 * DAY),
    "phones that work": (phone, None, -31 * DAY),
}


@pytest.mark.parametrize("what", KEPT_AND_GONE)
def test_each_kind_of_row_goes_when_its_time_is_over_and_not_before(alice, what):
    """S48: storage limitation."""
    make, young, old = KEPT_AND_GONE[what]
    with tenancy.as_user(alice.id):
        stays, goes = make(alice, young), make(alice, old)
    applied()
    with tenancy.as_user(alice.id):
        assert set(type(stays).objects.values_list("pk", flat=True)) == {stays.pk}
        assert goes.pk != stays.pk


def test_runs_of_syncs_and_sessions_of_staff_go(alice):
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        SyncRun.objects.create(
            user=alice, connection=connected, trigger="manual", state="complete",
            finished_at=NOW - 366 * DAY,
        )  # fmt: skip
    AdminSession.objects.create(session_key="old", session_data="", expire_date=NOW - DAY)
    AdminSession.objects.create(session_key="new", session_data="", expire_date=NOW + DAY)
    gone = applied()
    assert (gone["sync_runs"], gone["django_session"]) == (1, 1)
    assert list(AdminSession.objects.values_list("session_key", flat=True)) == ["new"]


def test_what_is_in_use_stays(alice):
    """Nothing of an ordinary account's first day goes."""
    factories.something_everywhere(alice)
    with tenancy.as_user(alice.id):
        before = {label: inventory.rows_of(label, alice.id).count() for label in inventory.owned()}
    assert sum(applied().values()) == 0
    with tenancy.as_user(alice.id):
        assert before == {
            label: inventory.rows_of(label, alice.id).count() for label in inventory.owned()
        }


def test_a_dry_run_counts_and_changes_nothing(alice):
    with tenancy.as_user(alice.id):
        old = link(alice, -31 * DAY)
    out = StringIO()
    call_command("apply_retention", dry_run=True, stdout=out)
    assert "account_links" in out.getvalue()
    assert applied(dry_run=True)["account_links"] == 1
    with tenancy.as_user(alice.id):
        assert AccountLink.objects.filter(id=old.id).exists()


def test_applied_twice_is_applied_once_and_said_in_the_log(alice):
    with tenancy.as_user(alice.id):
        link(alice, -31 * DAY)
    assert applied()["account_links"] == 1
    assert applied()["account_links"] == 0
    with tenancy.as_system("test"):
        (act,) = ActivityLog.objects.filter(action=Action.RETENTION_APPLIED)
    assert act.details == {"rows": 1}


def test_more_than_a_batch_goes_too(alice, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    with tenancy.as_user(alice.id):
        for _ in range(5):
            link(alice, -31 * DAY)
    assert applied()["account_links"] == 5


# --- people who never came ----------------------------------------------------------------------
@pytest.fixture
def stranger(db, settings):
    """Signed up long ago, never confirmed."""
    settings.EMAIL_CONFIRMATION = True
    return factories.person("stranger@example.com", created_at=NOW - 91 * DAY)


def exists(user):
    with tenancy.as_system("test"):
        return User.objects.filter(id=user.id).exists()


def test_who_never_confirmed_and_never_came_back_is_forgotten(stranger, mailoutbox):
    """The address may be somebody else's, so nothing is sent there either."""
    assert applied(dry_run=True)["users"] == 1
    assert exists(stranger)
    assert applied()["users"] == 1
    assert not exists(stranger)
    assert mailoutbox == []


@pytest.mark.parametrize("why", ["confirmed", "young", "came back", "connected", "staff", "off"])
def test_anybody_else_stays(stranger, settings, why):
    changes = {
        "confirmed": {"email_confirmed_at": NOW - 91 * DAY},
        "young": {"created_at": NOW - 89 * DAY},
        "staff": {"is_staff": True},
    }
    with tenancy.as_user(stranger.id):
        User.objects.update(**changes.get(why, {"theme": "dark"}))
        if why == "came back":
            session(stranger, None, DAY)
    if why == "connected":
        factories.connection(stranger)
    if why == "off":
        settings.EMAIL_CONFIRMATION = False
    assert applied()["users"] == 0
    assert exists(stranger)


def test_who_comes_back_while_others_are_forgotten_stays(transactional_db, settings):
    """S49: found first, erased later; whoever signs in between is not erased."""
    settings.EMAIL_CONFIRMATION = True
    gone, back = (
        factories.person(f"{name}@example.com", created_at=NOW - age * DAY)
        for name, age in (("first", 99), ("second", 91))
    )
    subscribers = log._subscribers[Action.USER_CLOSING]
    before = list(subscribers)

    def come_back(happening):
        """Comes in as the first one goes."""
        if happening.user_id == gone.id:
            sessions.start(user=back, device=sessions.Device(), now=NOW)

    log.subscribe(Action.USER_CLOSING, come_back)
    try:
        assert applied()["users"] == 1
    finally:
        subscribers[:] = before
    assert (exists(gone), exists(back)) == (False, True)
    with tenancy.as_user(back.id):
        assert User.objects.get().is_active
        assert Session.objects.get().ended_at is None
