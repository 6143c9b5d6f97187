"""Forgetting somebody: everywhere, for good, beside whatever else is going on (S49)."""

import json
import logging
import threading
from datetime import timedelta
from io import StringIO

import pytest
import redis
from django.conf import settings as project
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session as AdminSession
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.test import RequestFactory

from accounts import datakeys, sessions, shield
from accounts.models import ApiKey, DataExport, DataKey, Delivery, Session, User
from accounts.privacy import closing, erasure, export, inventory, tombstones
from accounts.privacy.tombstones import ErasureLogUnusable
from accounts.sessions import Device, WrongCredentials
from audit import log as activity
from audit.actions import Action
from audit.models import ActivityLog
from billing.models import BillingAccount, Subscription
from exchanges import closing as reading
from exchanges import gateway
from exchanges.models import ConnectionState, ExchangeConnection
from portfolios.models import LedgerEntry, Trade
from portfolios.sync import recording, visiting
from tests import factories
from tests.exchange_fixtures import connect, exchange, sandbox, visit
from tracker import clock, tenancy
from tracker.staff_sessions import SessionStore, stored_key

__all__ = ["connect", "exchange", "sandbox", "visit"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("private_files", "erasure_log"),
]
CANARY = "canary-77"


@pytest.fixture
def alice(transactional_db):
    return factories.person(f"alice.{CANARY}@example.com")


@pytest.fixture
def bob(transactional_db):
    return factories.person("bob@example.com")


@pytest.fixture
def full(alice, private_files):
    """Alice with a row in every table, a file, counters, and an admin session."""
    connected = factories.something_everywhere(alice)
    with tenancy.as_user(alice.id):
        DataExport.objects.all().delete()
        ExchangeConnection.objects.update(label=CANARY)
        activity.record(
            Action.CONNECTION_CHANGED, user_id=alice.id, ip_address="203.0.113.7", label=CANARY
        )
        Session.objects.update(ip_address="203.0.113.7", user_agent=CANARY)
    row = export.request(user_id=alice.id, now=clock.now())
    assert export.make(export_id=row.id, clock=clock.now)
    with redis.Redis.from_url(project.REDIS_URL) as client:
        client.set(f"burst/user:{alice.id}/50", 1)
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7")
    shield.check(request, group="login", email=alice.email)
    shield.succeeded(request, alice.email)
    store = SessionStore()
    store["_auth_user_id"] = str(alice.id)
    store.save()
    return connected


def run(*arguments, **options):
    out = StringIO()
    call_command("delete_user_data", *arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def erase(user, **options):
    return erasure.erase(user_id=user.id, now=clock.now(), **options)


def traces(*words):
    """Every place in database, Redis and files where one of the words stands."""
    found = []
    with tenancy.as_system("test"), database.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
            "AND relnamespace = 'public'::regnamespace"
        )
        for (table,) in cursor.fetchall():
            for word in words:
                cursor.execute(
                    f'SELECT to_jsonb(t)::text FROM "{table}" t WHERE to_jsonb(t)::text ILIKE %s',
                    [f"%{word}%"],
                )
                found += [f"{table}: {text[:150]}" for (text,) in cursor.fetchall()]
    with redis.Redis.from_url(project.REDIS_URL) as client:
        for key in client.scan_iter():
            if key == b"default" or key == b"exports" or key.startswith(b"_kombu"):
                continue  # messages between processes: ids of jobs, gone when they are worked off
            value = client.dump(key) or b""
            found += [f"Redis {key!r}" for word in words if word.encode() in key + value]
    return found


def files_with(folder, *words):
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(word in str(path) + path.read_text("latin-1") for word in words)
    ]


def exists(user):
    with tenancy.as_system("test"):
        return User.objects.filter(id=user.id).exists()


def counts_of(user):
    with tenancy.as_user(user.id):
        return {
            label: inventory.rows_of(label, user.id).count() for label in inventory.owned()
        }  # fmt: skip


# --- everything goes ----------------------------------------------------------------------------
def test_admin_sessions_of_the_person_go_and_those_of_others_stay(full, alice, bob):
    """S49: whose one is stands inside, compressed, where no search finds it."""
    other = SessionStore()
    other["_auth_user_id"] = str(bob.id)
    other.save()
    assert AdminSession.objects.count() == 2
    erase(alice)
    assert [row.session_key for row in AdminSession.objects.all()] == [
        stored_key(other.session_key)
    ]  # fmt: skip


def test_after_erasure_no_trace_is_left_anywhere(full, alice, bob, tmp_path, caplog, erasure_log):
    """S49: canary search of database, Redis, files and logs."""
    factories.something_everywhere(bob)
    others = counts_of(bob)
    words = (CANARY, str(alice.id), alice.id.hex, "203.0.113.7")
    assert len(traces(*words)) > 30  # the search finds what is there
    assert files_with(tmp_path, CANARY, str(alice.id))
    with caplog.at_level(logging.DEBUG):
        run(alice.email, "--yes")
    assert traces(*words) == []
    assert files_with(tmp_path, *words) == [str(erasure_log)]
    said = "\n".join(str(record.msg) for record in caplog.records)
    assert CANARY not in said
    assert not list((tmp_path / "files").rglob(f"*{alice.id}*"))  # nor an empty folder of theirs
    assert counts_of(bob) == others
    assert not erasure.remains(alice.id)


def test_the_tombstone_holds_id_and_time_and_nothing_else(full, alice, erasure_log):
    """S49"""
    erase(alice)
    (line,) = erasure_log.read_text().splitlines()
    stone = json.loads(line)
    assert set(stone) == {"user_id", "erased_at"}
    assert stone["user_id"] == str(alice.id)
    assert erasure_log.stat().st_mode & 0o777 == 0o600


def test_the_log_has_a_marker_that_names_nobody(full, alice):
    """S49"""
    erase(alice)
    with tenancy.as_system("test"):
        (marker,) = ActivityLog.objects.filter(action=Action.USER_ERASED)
    assert (marker.user_id, marker.actor_id, marker.ip_address) == (None, None, None)
    assert CANARY not in json.dumps(marker.details)
    assert marker.details["rows"] > 30


def test_what_staff_did_to_the_person_keeps_no_name(full, alice, bob):
    """S49: Django writes the text of a thing into its own log."""
    with tenancy.as_system("test"):
        entry = LogEntry.objects.create(
            user=bob, content_type=ContentType.objects.get_for_model(User),
            object_id=str(alice.id), object_repr=alice.email, action_flag=CHANGE,
        )  # fmt: skip
        thing = LogEntry.objects.create(
            user=bob, content_type=ContentType.objects.get_for_model(ExchangeConnection),
            object_id=str(full.id), object_repr=f"binance {CANARY}", action_flag=CHANGE,
        )  # fmt: skip
        other = LogEntry.objects.create(
            user=bob, content_type=ContentType.objects.get_for_model(User),
            object_id=str(bob.id), object_repr="bob@example.com", action_flag=CHANGE,
        )  # fmt: skip
        activity.record(
            Action.STAFF_ACTED, user_id=alice.id, actor_id=bob.id, did="change",
            model="exchanges.exchangeconnection", object_id=str(full.id),
        )  # fmt: skip
    erase(alice)
    with tenancy.as_system("test"):
        entry.refresh_from_db()
        thing.refresh_from_db()
        other.refresh_from_db()
    assert (entry.object_repr, thing.object_repr) == ("", "")
    assert other.object_repr == "bob@example.com"


# --- the command --------------------------------------------------------------------------------
def test_the_command_says_table_by_table_first_and_a_dry_run_changes_nothing(full, alice):
    """S49"""
    before = counts_of(alice)
    said = run(alice.email, "--dry-run")
    for label, table in inventory.TABLES.items():
        if table.owner:
            assert inventory.model(label)._meta.db_table in said
    for word in ("delete", "anonymise", "keep", "Nothing was changed"):
        assert word in said
    assert counts_of(alice) == before


def test_the_command_asks_and_takes_nothing_but_yes(full, alice, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))
    with pytest.raises(CommandError, match="Nothing was changed"):
        run(alice.email)
    assert exists(alice)
    monkeypatch.setattr("sys.stdin", StringIO("yes\n"))
    run(alice.email)
    assert not exists(alice)


def test_the_person_is_told_before_their_address_is_gone(full, alice, mailoutbox):
    """S49: and told what backups hold and for how long."""
    run(alice.email, "--yes")
    (mail,) = [mail for mail in mailoutbox if mail.extra_headers["X-Event"] == "account_closed"]
    assert mail.to == [alice.email]
    assert "12 months" in " ".join(mail.body.split())


def test_nobody_with_this_address_is_said():
    with pytest.raises(CommandError, match="nobody"):
        run("nobody@example.com", "--yes")


# --- when it breaks -----------------------------------------------------------------------------
class Killed(Exception):
    """As if the process had died here."""


def test_the_key_is_gone_first_and_a_second_run_finishes(full, alice, erasure_log):
    """S41, S49: killed after the first batch."""

    def die(name, rows):
        raise Killed

    with pytest.raises(Killed):
        erase(alice, told=die)
    with tenancy.as_user(alice.id):
        assert not DataKey.objects.exists()
        assert not User.objects.get().is_active
        assert not Session.objects.filter(ended_at=None).exists()
        assert not ApiKey.objects.filter(revoked_at=None).exists()
    assert not erasure_log.read_text()
    run(alice.email, "--yes")
    assert not erasure.remains(alice.id)
    assert len(erasure_log.read_text().splitlines()) == 1


@pytest.mark.parametrize("step", range(0, 30, 6))
def test_killed_at_any_step_it_is_finished_by_running_again(full, alice, step):
    """S41"""
    steps = iter(range(step, -1, -1))

    def die(name, rows):
        if next(steps, 0) == 0:
            raise Killed

    with pytest.raises(Killed):
        erase(alice, told=die)
    erase(alice)
    assert traces(CANARY, str(alice.id)) == []


def test_without_the_erasure_log_nothing_is_touched(full, alice, settings, tmp_path):
    """S49: a restore would bring them back unnoticed."""
    (tmp_path / "file").write_text("")
    settings.ERASURE_LOG = str(tmp_path / "file" / "erasures.jsonl")
    with pytest.raises(ErasureLogUnusable):
        erase(alice)
    with tenancy.as_user(alice.id):
        assert DataKey.objects.exists()
    with pytest.raises(CommandError, match="ERASURE_LOG"):
        run(alice.email, "--yes")


def test_without_redis_the_rest_is_erased(full, alice, settings):
    settings.CACHES = {
        name: cache | {"LOCATION": "redis://127.0.0.1:1/0"}
        for name, cache in settings.CACHES.items()
    }
    erase(alice)
    assert not exists(alice)


def test_two_at_once_erase_once(full, alice, erasure_log):
    """S44"""
    barrier, problems = threading.Barrier(2), []

    def work():
        try:
            barrier.wait()
            erase(alice)
        except Exception as error:
            problems.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert problems == []
    assert not erasure.remains(alice.id)
    assert len(erasure_log.read_text().splitlines()) == 1
    with tenancy.as_system("test"):
        assert ActivityLog.objects.filter(action=Action.USER_ERASED).count() == 1


# --- beside a sync ------------------------------------------------------------------------------
def test_a_visit_that_comes_back_after_the_erasure_stores_nothing(alice, connect, sandbox):
    """S49: fetched before, recorded after."""
    connection = connect(alice, 3)
    claims, visits = visiting._claim("binance", [connection.id], connection.id, clock.now())
    (report,) = gateway.visit_accounts(visits)
    erase(alice)
    assert recording.record(claim=claims[connection.id], report=report, now=clock.now()) is None
    assert traces(str(alice.id), str(connection.id)) == []


def test_what_a_visit_wrote_between_the_batches_goes_too(alice, connect, sandbox, visit):
    """S49: rows that come while others go, held by nothing but the connection."""
    connection = connect(alice, 3)
    visit(connection)
    written = []

    def write_more(name, rows):
        if name != "portfolios.Trade" or written:
            return
        row = factories.trade(alice, connection, 99_999)
        written.append(row)
        with tenancy.as_user(alice.id):
            row.save(force_insert=True)
            LedgerEntry.objects.create(
                user=alice, connection=connection, wallet="spot", asset=factories.asset(),
                quantity=1, kind="trade", occurred_at=factories.EARLIER, trade=row, leg=0,
            )  # fmt: skip

    erase(alice, told=write_more)
    assert written
    assert not erasure.remains(alice.id)


def test_erasure_while_a_sync_runs_leaves_nothing_and_breaks_nothing(
    alice, bob, connect, sandbox, visit
):
    """S49: in earnest, side by side."""
    hers, his = connect(alice, 4), connect(bob, 5)
    problems, ended = [], {}

    def work():
        try:
            ended.update(visit(hers, his))
        except Exception as error:
            problems.append(error)
        finally:
            database.close()

    thread = threading.Thread(target=work)
    thread.start()
    erase(alice)
    thread.join()
    assert problems == []
    assert ended.get("complete", 0) >= 1  # Bob's, whatever became of hers
    assert not erasure.remains(alice.id)
    assert traces(str(alice.id), str(hers.id)) == []
    with tenancy.as_user(bob.id):
        assert Trade.objects.exists()


# --- who pays -----------------------------------------------------------------------------------
@pytest.fixture
def paying(alice):
    """Somebody who is charged every month (that Stripe is told: tests.billing.test_erasure)."""
    now = clock.now()
    with tenancy.as_user(alice.id):
        Subscription.objects.create(
            user=alice, stripe_id="sub_1", tier="pro", status="active", currency="usd",
            price="19.99", started_at=now, read_at=now,
        )  # fmt: skip
    return alice


def test_who_has_a_plan_that_costs_money_is_told_to_end_it_first(client_of, paying, full):
    answer = client_of(paying).delete("/me")
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_active")
    with pytest.raises(CommandError, match="--end-subscription"):
        run(paying.email, "--yes")
    with tenancy.as_user(paying.id):
        assert User.objects.get().closes_at is None
        assert DataKey.objects.exists()


def test_staff_can_end_the_plan_and_erase(paying, full):
    with tenancy.as_user(paying.id):  # of whom Stripe knows nothing any more
        BillingAccount.objects.update(stripe_customer_id=None)
    run(paying.email, "--yes", "--end-subscription")
    assert not exists(paying)


# --- leaving by oneself -------------------------------------------------------------------------
def test_leaving_gives_fourteen_days_signs_out_and_stops_reading(client_of, alice):
    """S49"""
    factories.connection(alice)
    api, now = client_of(alice), clock.now()
    client_of(alice)
    answer = api.delete("/me")
    assert answer.status_code == 202
    assert "12 months" in answer.json()["backups"]
    with tenancy.as_user(alice.id):
        user = User.objects.get()
        left = user.closes_at - now
        assert timedelta(days=14) <= left < timedelta(days=14, minutes=1)
        assert not Session.objects.filter(ended_at=None).exists()
        assert ExchangeConnection.objects.get().state == ConnectionState.PAUSED
        assert Delivery.objects.filter(event="account_closing", channel="email").count() == 1
    assert api.get("/me").status_code == 401


def test_leaving_needs_fresh_authentication(client_of, alice):
    """S12"""
    api = client_of(alice)
    with tenancy.as_user(alice.id):
        Session.objects.update(authenticated_at=clock.now() - timedelta(minutes=16))
    answer = api.delete("/me")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    assert api.get("/me").json()["closes_at"] is None


def test_a_visit_that_is_under_way_when_somebody_leaves_stores_nothing(alice, connect, sandbox):
    connection = connect(alice, 3)
    claims, visits = visiting._claim("binance", [connection.id], connection.id, clock.now())
    (report,) = gateway.visit_accounts(visits)
    leave(alice, clock.now())
    assert recording.record(claim=claims[connection.id], report=report, now=clock.now()) is None
    with tenancy.as_user(alice.id):
        assert not Trade.objects.exists()
        assert ExchangeConnection.objects.get().state == ConnectionState.PAUSED


def leave(user, now):
    return closing.request(user_id=user.id, ip_address=None, now=now)


def test_asked_again_the_first_date_stays(alice):
    now = clock.now()
    first = leave(alice, now)
    assert leave(alice, now + timedelta(days=1)) == first
    with tenancy.as_user(alice.id):
        assert Delivery.objects.filter(event="account_closing", channel="email").count() == 1


def test_signing_in_before_cancels_and_reading_goes_on(alice):
    """S49"""
    factories.connection(alice)
    now = clock.now()
    leave(alice, now)
    sessions.start(user=alice, device=Device(), now=now)
    with tenancy.as_user(alice.id):
        assert User.objects.get().closes_at is None
        assert ExchangeConnection.objects.get().state == ConnectionState.PENDING
    assert closing.dispatch_due(now=now + timedelta(days=15)) == 0
    assert not closing.finish(user_id=alice.id, now=now + timedelta(days=15))
    assert exists(alice)


def test_a_pause_of_the_persons_own_stays_one(alice):
    factories.connection(alice)
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(state="paused", reason="paused_by_user")
    leave(alice, clock.now())
    sessions.start(user=alice, device=Device(), now=clock.now())
    with tenancy.as_user(alice.id):
        assert ExchangeConnection.objects.get().reason == "paused_by_user"


def test_told_late_that_somebody_leaves_who_has_come_back_nothing_is_paused(alice):
    """The outbox delivers again, and out of order."""
    factories.connection(alice)
    assert reading.stop(user_id=alice.id) == 0
    with tenancy.as_user(alice.id):
        assert ExchangeConnection.objects.get().state == ConnectionState.PENDING


def test_after_the_days_of_grace_it_is_erased_once_and_told(full, alice, mailoutbox):
    """S49"""
    now = clock.now()
    leave(alice, now)
    assert not closing.finish(user_id=alice.id, now=now + timedelta(days=13, hours=23))
    later = now + timedelta(days=14, seconds=1)
    assert closing.dispatch_due(now=later) == 1
    assert closing.finish(user_id=alice.id, now=later)
    assert not closing.finish(user_id=alice.id, now=later)
    assert traces(CANARY, str(alice.id)) == []
    told = [mail.extra_headers["X-Event"] for mail in mailoutbox]
    assert told.count("account_closed") == 1


def test_nobody_signs_in_once_the_erasure_has_begun(full, alice, settings):
    """The mail server is away, so the rest waits; the door is closed already."""
    now = clock.now()
    leave(alice, now)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    later = now + timedelta(days=14, seconds=1)
    assert not closing.finish(user_id=alice.id, now=later)
    assert exists(alice)
    with pytest.raises(WrongCredentials):
        sessions.start(user=alice, device=Device(), now=later)
    assert closing.finish(user_id=alice.id, now=later + closing.PATIENCE)
    assert not exists(alice)


# --- after a restore ----------------------------------------------------------------------------
def test_after_a_restore_the_erased_are_erased_again_and_nobody_else(full, alice, bob, erasure_log):
    """S49: as if a backup had brought the rows back."""
    erase(alice)
    User(id=alice.id, email=alice.email, password="!")
    with tenancy.as_user(alice.id):
        User(id=alice.id, email=alice.email, password="!").save(force_insert=True)
        datakeys.obtain(alice.id)
    factories.something_everywhere(alice)
    for expected in ("1 erasures in the log, 1 people", "1 erasures in the log, 0 people"):
        out = StringIO()
        call_command("replay_erasures", stdout=out)
        assert expected in out.getvalue()
    assert not erasure.remains(alice.id)
    assert exists(bob)
    assert len(erasure_log.read_text().splitlines()) == 1


def test_a_line_that_was_cut_off_costs_nothing_but_itself(alice, bob, erasure_log):
    tombstones.add(alice.id, now=clock.now())
    with erasure_log.open("a") as log:
        log.write('{"user_id": "0193')
    tombstones.add(bob.id, now=clock.now())
    assert [stone.user_id for stone in tombstones.read()] == [alice.id, bob.id]
