"""`manage.py launch_checklist`: red on a bare system, green on a ready one, each item alone."""

import json
import os
import shutil
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import override_settings

from accounts.models import TotpDevice, User
from audit import checking, sealing, secrets_in_use, status_copy
from audit import log as activity
from audit import tasks as audit_tasks
from audit.actions import Action
from audit.models import ActivityLog, ComponentMinute, DrillResult, SecretInUse, SecurityAlert
from tests import stripe_sandbox
from tests.end_to_end.system import free_port
from tests.tracker import launched
from tests.tracker.backups.test_backups import places
from tests.tracker.test_sentry import _events, sentry
from tracker import clock, dependencies, launch, tenancy
from tracker.monitoring import measuring, pages, requests
from tracker.vault import Keyring

__all__ = ["sentry"]
pytestmark = pytest.mark.django_db(transaction=True)
ALL = {
    "settings", "tls", "status", "backups", "drill", "log", "sentry", "limits", "legal", "email",
    "support", "payment", "staff", "keys", "dependencies",
}  # fmt: skip
YEAR = timedelta(days=366)


def look(*arguments: str) -> dict[str, dict]:
    """What the command says of each item, and that its exit code goes with it."""
    out = StringIO()
    try:
        call_command("launch_checklist", "--json", *arguments, stdout=out)
        failed = False
    except CommandError:
        failed = True
    told = json.loads(out.getvalue())
    assert told["ok"] is not failed
    return {row["item"]: row for row in told["items"]}


def missing(found: dict[str, dict]) -> dict[str, str]:
    return {slug: row["said"] for slug, row in found.items() if row["ok"] is False}


# --- a system that is ready ---------------------------------------------------------------------
SAFE = {
    "DEBUG": False, "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
    "SECURE_SSL_REDIRECT": True, "SECURE_HSTS_SECONDS": 63_072_000, "SESSION_COOKIE_SECURE": True,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True, "SECURE_HSTS_PRELOAD": True, "CSRF_COOKIE_SECURE": True,
    "SUPPORT_EMAIL": "help@tracker.test", "STRIPE_LIVE_MODE": True, "EXCHANGE_BASE_URLS": {},
    "OPERATOR": {"name": "Tracker Ltd", "address": "1 High Street, Dublin", "country": "Ireland",
                 "email": "office@tracker.test"},
    "STRIPE_API_KEY": stripe_sandbox.SECRET_KEY, "BURST_LIMITS_ENABLED": True,
    "STRIPE_WEBHOOK_SECRETS": [stripe_sandbox.WEBHOOK_SECRET], "RATELIMIT_ENABLE": True,
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": "localhost",
}  # fmt: skip


@pytest.fixture
def post():
    with launched.mail_server() as server:
        yield server


@pytest.fixture
def stripe():
    with stripe_sandbox.running() as sandbox:
        yield sandbox


@pytest.fixture
def ready(tmp_path, monkeypatch, post, sentry, stripe):
    """The address of a system on which nothing is missing."""
    pem = launched.certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    shutil.copy(dependencies.FOLDER / "production.txt", tmp_path)
    dependencies.note(tmp_path, now=clock.now())
    with launched.address(pem) as address, places(tmp_path, **SAFE):
        stripe.listen(f"{address.url}/api/webhook/stripe")
        with override_settings(
            PUBLIC_URL=address.url, REQUIREMENTS=tmp_path, STRIPE_API_URL=stripe.url,
            SENTRY_DSN=f"http://key@127.0.0.1:{sentry.server_port}/1", EMAIL_PORT=post.port,
            BACKUP_KEYRING=Keyring((os.urandom(32), *configured.ENCRYPTION_KEYRING.keys)),
        ):  # fmt: skip
            _prepare()
            yield address
    pages.forget()


def _prepare() -> None:
    """What staff and beat do in the first hour."""
    with tenancy.as_system("test"):
        staff = User.objects.create_user("staff@tracker.test", "x" * 20, is_staff=True)
        TotpDevice.objects.create(user=staff, sealed_seed=b"x", confirmed=True)
    pages.forget()
    requests._pending.write(alive_at=clock.now() - timedelta(minutes=1))
    measuring.measure(now=clock.now())
    audit_tasks.seal_activity()
    audit_tasks.check_activity_log()
    audit_tasks.back_up()
    call_command("restore_drill", stdout=StringIO())


# --- things that go wrong -----------------------------------------------------------------------
@contextmanager
def changed(queryset, **values):
    with tenancy.as_system("test"):
        before = {name: getattr(queryset.get(), name) for name in values}
        queryset.update(**values)
    yield
    with tenancy.as_system("test"):
        queryset.update(**before)


@contextmanager
def without_backup():
    folder = Path(configured.BACKUPS)
    folder.rename(folder.with_name("away"))
    yield
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("away").rename(folder)


@contextmanager
def held(thing, name, value):
    before = getattr(thing, name)
    setattr(thing, name, value)
    yield
    setattr(thing, name, before)


@contextmanager
def written(path: Path, text: str):
    before = path.read_text()
    path.write_text(text)
    yield
    path.write_text(before)


@contextmanager
def measured(ago: timedelta | None):
    """Last so long ago, or never; a web process makes the page from the tables, as of now."""
    kept = list(ComponentMinute.objects.all())
    ComponentMinute.objects.all().delete()
    if ago is not None:
        api = kept[0].component
        ComponentMinute.objects.create(component=api, minute_at=clock.now() - ago, health="up")
    cache.delete(status_copy.KEY)
    pages.forget()
    yield
    ComponentMinute.objects.all().delete()
    ComponentMinute.objects.bulk_create(kept)
    status_copy.publish(now=clock.now())
    pages.forget()


@contextmanager
def unlistened(stripe, url: str):
    stripe.reset()
    yield
    stripe.listen(url)


def test_on_a_ready_system_everything_is_ticked_and_one_fault_crosses_one_item(
    ready, post, sentry, stripe, tmp_path, monkeypatch
):
    """S47, S50, S52, S55: each of them is looked at as it is, not as it was meant."""
    assert missing(look()) == {}
    now, mine = clock.now(), override_settings
    webhook = f"{ready.url}/api/webhook/stripe"
    newest = DrillResult.objects.order_by("-ran_at")[:1].values("id")
    faults = [
        ("settings", "elsewhere", mine(EXCHANGE_BASE_URLS={"kraken": "http://a"}), "EXCHANGE_B"),
        ("tls", "a header lost", held(ready, "hides", "strict-transport-security"), "HSTS"),
        ("tls", "healthz", held(ready, "broken", {"/healthz": "502 Gone"}), "502"),
        ("status", "page", held(ready, "broken", {"/status": "500 Oh"}), "/status"),
        ("status", "json", held(ready, "broken", {"/status.json": "503 Oh"}), "503"),
        ("status", "never", measured(None), "nothing was measured yet"),
        ("status", "long ago", measured(timedelta(hours=1)), "does not know how the service does"),
        ("backups", "same key", mine(BACKUP_KEYRING=configured.ENCRYPTION_KEYRING), "ENCRYPTION"),
        ("backups", "none", without_backup(), "there is no backup"),
        ("drill", "old", changed(DrillResult.objects.filter(id__in=newest), ran_at=now - YEAR),
         "older than 92 days"),
        ("drill", "bad", changed(DrillResult.objects.filter(id__in=newest), ok=False), "failed"),
        ("sentry", "unset", mine(SENTRY_DSN=""), "no SENTRY_DSN"),
        ("sentry", "wrong", mine(SENTRY_DSN="http://nowhere"), "cannot be read"),
        ("limits", "burst", mine(RATELIMIT_ENABLE=False), "AUTH_SHIELD"),
        ("legal", "nobody", mine(OPERATOR=SAFE["OPERATOR"] | {"address": ""}), "OPERATOR_ADDRESS"),
        ("legal", "example", mine(OPERATOR=SAFE["OPERATOR"] | {"email": "you@example.com"}),
         "still says 'example.com'"),
        ("email", "console", mine(EMAIL_BACKEND="accounts.console_mail.EmailBackend"), "console"),
        ("email", "no server", mine(EMAIL_PORT=free_port()), "did not take it"),
        ("support", "unset", mine(SUPPORT_EMAIL=""), "not set"),
        ("payment", "no key", mine(STRIPE_API_KEY=""), "nothing can be bought"),
        ("payment", "test key", mine(STRIPE_LIVE_MODE=False), "test mode"),
        ("payment", "refused", mine(STRIPE_API_KEY="sk_live_" + "x" * 24), "Stripe:"),
        ("payment", "unknown", unlistened(stripe, webhook), "no enabled endpoint"),
        ("payment", "web without secret", mine(STRIPE_WEBHOOK_SECRETS=[]), "503"),
        ("staff", "none", changed(TotpDevice.objects.all(), confirmed=False), "1 of 1 have none"),
        ("keys", "old", changed(SecretInUse.objects.filter(name="JWT_SECRET_KEY"),
                                first_seen_at=now - YEAR), "JWT_SECRET_KEY"),
        ("dependencies", "others", written(tmp_path / "production.txt", "django==1.0"), "changed"),
        ("dependencies", "nonsense", written(tmp_path / "audited.json", "[]"), "cannot be read"),
    ]  # fmt: skip
    for slug, what, fault, text in faults:
        with fault:
            found = missing(look())
        assert found.keys() == {slug}, (slug, what, found)
        assert text in found[slug], (slug, what, found)
    assert {slug for slug, *_ in faults} == ALL - {"log"}
    monkeypatch.delenv("SSL_CERT_FILE")
    assert missing(look()).keys() == {"tls", "status", "payment"}


def test_time_passes_and_what_was_fresh_is_not(ready):
    """A backup is for a day, a comparison for a week, an audit for a month, a drill for 92 days."""
    found = {}
    for days in (1, 2, 9, 32, 93, 366):
        occasion = launch.Occasion(clock.now() + timedelta(days=days))
        found[days] = {row.item.slug for row in launch.findings(occasion) if not row.ok}
    assert found[1] == set()
    assert found[2] == {"backups"}
    assert found[9] == {"backups", "log"}
    assert found[32] == {"backups", "log", "dependencies"}
    assert found[93] == {"backups", "log", "dependencies", "drill"}
    assert found[366] == {"backups", "log", "dependencies", "drill", "keys"}


def test_what_can_be_tried_is_tried_when_asked(ready, post, sentry):
    """An event that Sentry takes is named by its id; a letter arrives; a refusal is told."""
    found = look("--send", "--send-to", "ops@tracker.test")
    assert missing(found) == {}
    (event,) = _events(sentry.envelopes)
    assert event["event_id"] in found["sentry"]["said"]
    (letter,) = post.letters
    assert "To: ops@tracker.test" in letter
    post.refuses.add("RCPT")
    with override_settings(SENTRY_DSN=f"http://key@127.0.0.1:{free_port()}/1"):
        told = missing(look("--send", "--send-to", "ops@tracker.test"))
    assert told.keys() == {"sentry", "email"}


# --- a bare system ------------------------------------------------------------------------------
def test_on_a_bare_system_everything_is_missing_and_each_says_what_to_do(tmp_path):
    shutil.copy(dependencies.FOLDER / "production.txt", tmp_path)
    with places(tmp_path), override_settings(
        PUBLIC_URL=f"http://127.0.0.1:{free_port()}", REQUIREMENTS=tmp_path, STRIPE_API_KEY="",
        BURST_LIMITS_ENABLED=False, SUPPORT_EMAIL="", SENTRY_DSN="",
    ):  # fmt: skip
        found = look()
        out = StringIO()
        with pytest.raises(CommandError, match="14 of 15 are missing"):
            call_command("launch_checklist", stdout=out)
    assert found.keys() == ALL
    # Secrets are first seen now: nothing says that they are older.
    assert missing(found).keys() == ALL - {"keys"}
    assert all(row["remedy"] for row in found.values() if not row["ok"])
    assert out.getvalue().count("✗") == 14
    assert out.getvalue().count("✓") == 1


def test_what_is_left_out_does_not_count(tmp_path):
    found = look("--without", "payment", "--without", "tls")
    assert found["payment"]["ok"] is None
    assert "tls" not in missing(found)
    with pytest.raises(CommandError, match="no item pigeons"):
        call_command("launch_checklist", "--without", "pigeons")


def test_one_thing_that_breaks_is_told_and_the_rest_is_looked_at():
    with override_settings(CACHES=configured.CACHES | {"limits": {"BACKEND": "nowhere.Cache"}}):
        found = look()
    assert found["limits"]["said"] == "could not be looked at (InvalidCacheBackendError)"
    assert found.keys() == ALL


# --- how old secrets are ------------------------------------------------------------------------
def test_a_new_secret_is_young_and_no_secret_can_be_read_from_what_is_kept():
    """S26: a digest is kept, and two secrets that are alike have different ones."""
    now = clock.now()
    secrets_in_use.note(now=now - YEAR)
    audit_tasks.note_secrets()
    with tenancy.as_system("test"):
        assert set(secrets_in_use.since().values()) == {now - YEAR}
        kept = str(list(SecretInUse.objects.values()))
    assert configured.SECRET_KEY not in kept
    with override_settings(SECRET_KEY="n" * 50, JWT_SECRET_KEY="n" * 50):
        secrets_in_use.note(now=now)
        with tenancy.as_system("test"):
            since = secrets_in_use.since()
            assert SecretInUse.objects.values("fingerprint").distinct().count() == len(since) + 2
    assert {name for name, seen in since.items() if seen == now} == {"SECRET_KEY", "JWT_SECRET_KEY"}


# --- the weekly comparison of the activity log --------------------------------------------------
def test_the_activity_log_is_compared_once_a_week_and_operators_are_told_of_a_change():
    """S54: an alert, once, whatever else happens; the checklist is red."""
    now = clock.now()
    with tenancy.as_system("test"):
        for _ in range(3):
            activity.record(Action.STAFF_ACTED, user_id=None)
    sealing.seal_all(now=now)
    audit_tasks.check_activity_log()
    audit_tasks.check_activity_log()
    with tenancy.as_system("test"):
        (first,) = ActivityLog.objects.filter(action=Action.ACTIVITY_CHECKED)
        assert (first.outcome, first.details["rows"]) == ("ok", 3)
        assert not SecurityAlert.objects.exists()
    _tamper()
    assert checking.check_if_due(now=now + timedelta(days=6)) is None
    assert checking.check(now=now).total == 1
    assert checking.check(now=now + timedelta(days=7)).total == 1
    with tenancy.as_system("test"):
        alert = SecurityAlert.objects.get(kind=checking.TAMPERED)
        assert alert.evidence["kinds"] == {"row_changed": 1}
        assert alert.severity == "critical"
    assert missing(look())["log"] == "rows differ from their seals"


def _tamper() -> None:
    with tenancy.as_system("test"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE activity_logs DISABLE TRIGGER only_erasure")
        cursor.execute(
            "UPDATE activity_logs SET outcome = 'refused' WHERE id = "
            "(SELECT id FROM activity_logs WHERE action = 'staff.acted' ORDER BY id LIMIT 1)"
        )
        cursor.execute("ALTER TABLE activity_logs ENABLE TRIGGER only_erasure")
