"""A copy of everything about a person: complete, readable, theirs alone, and gone in time."""

import csv
import hashlib
import io
import json
import threading
import zipfile
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection

from accounts import datakeys, delivery, messages
from accounts.models import DataExport, Delivery, Session, User
from accounts.privacy import archive, export, inventory
from audit import log
from audit.actions import Action
from audit.models import ActivityLog
from exchanges.models import QuarantinedPage
from portfolios.models import Trade
from tests import factories
from tracker import clock, files, ids, leases, tenancy, vault

CANARY = "c4n4ry-of-a-hash"


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


@pytest.fixture
def full(alice):
    """Alice with a row in every table, and a secret that must not leave."""
    connected = factories.something_everywhere(alice)
    with tenancy.as_user(alice.id):
        DataExport.objects.all().delete()  # one that waits would be the one that is asked for
        alice.password = CANARY
        alice.save()
        page = QuarantinedPage(id=ids.new_id(), user=alice, connection=connected, feed="deposits")
        page.payload = vault.seal(
            '{"what": "the exchange said"}', data_key=datakeys.obtain(alice.id),
            user_id=alice.id, row_id=page.id, field="payload",
        )  # fmt: skip
        page.payload_digest = bytes(range(32))
        page.save(force_insert=True)
    return connected


def exported(user, path):
    """The archive that the command writes."""
    call_command("export_user_data", user.email, output=path, stdout=StringIO())
    return zipfile.ZipFile(path)


def table(found, name):
    """Rows of one table from its JSON and from its CSV."""
    rows = json.loads(found.read(f"json/{name}.json"))
    text = found.read(f"csv/{name}.csv").decode()
    return rows, list(csv.DictReader(io.StringIO(text, newline="")))


def requested(user, now=None):
    return export.request(user_id=user.id, now=now or clock.now())


def made(user):
    """A finished copy."""
    row = requested(user)
    assert export.make(export_id=row.id, clock=clock.now)
    return fresh(row)


def fresh(row):
    with tenancy.as_user(row.user_id):
        return DataExport.objects.get(id=row.id)


def content(answer):
    return b"".join(answer.streaming_content)


# --- what is in it ------------------------------------------------------------------------------
def test_the_copy_holds_every_personal_and_derived_column_of_every_table(full, alice, tmp_path):
    """S48: Art. 15 and 20; as JSON and as CSV."""
    with exported(alice, tmp_path / "a.zip") as found:
        for label in inventory.owned():
            if not inventory.TABLES[label].exported:
                continue
            name = inventory.model(label)._meta.db_table
            rows, cells = table(found, name)
            if label in ("accounts.DataExport", "audit.SecurityEvent"):
                continue  # nothing there
            assert rows, name
            assert set(inventory.TABLES[label].exported) <= set(rows[0]), name
            assert len(cells) == len(rows)
            assert set(cells[0]) == set(rows[0])


def test_numbers_instants_and_labels_are_written_to_be_used(full, alice, tmp_path):
    with tenancy.as_user(alice.id):
        trade = Trade.objects.get()
        Trade.objects.update(base_quantity=Decimal("0.000000000000000001"))
    with exported(alice, tmp_path / "a.zip") as found:
        rows, cells = table(found, "trades")
    assert rows[0]["base_quantity"] == cells[0]["base_quantity"] == "0.000000000000000001"
    assert rows[0]["occurred_at"] == cells[0]["occurred_at"] == "2026-01-05T12:00:01Z"
    assert rows[0]["base_asset_code"] == "BTC"
    assert rows[0]["id"] == str(trade.id)


def test_what_could_not_be_read_is_given_to_the_person_opened(full, alice, tmp_path):
    with exported(alice, tmp_path / "a.zip") as found:
        rows, _ = table(found, "quarantined_pages")
    payloads = {row["feed"]: row["payload"] for row in rows}
    assert payloads == {"trades": None, "deposits": '{"what": "the exchange said"}'}


def test_secrets_are_named_as_held_and_are_not_in_the_copy(full, alice, tmp_path):
    """S48"""
    with exported(alice, tmp_path / "a.zip") as found:
        everything = b"".join(found.read(name) for name in found.namelist())
        index = found.read("index.html").decode()
        for label, entry in inventory.TABLES.items():
            if entry.owner and entry.exported:
                rows, _ = table(found, inventory.model(label)._meta.db_table)
                assert not set(entry.fields["secret"]) & set(rows[0] if rows else {}), label
    assert CANARY.encode() not in everything
    assert b"ExponentPushToken" not in everything
    held = index[index.index("Held, not exported") :]
    for name in ("password", "refresh_digest", "wrapped_key", "api_secret", "sealed_seed"):
        assert name in held


def test_the_manifest_counts_and_hashes_every_table(full, alice, tmp_path):
    with exported(alice, tmp_path / "a.zip") as found:
        manifest = json.loads(found.read("manifest.json"))
        assert manifest["user_id"] == str(alice.id)
        named = {item["name"] for item in manifest["files"]}
        assert named == {name for name in found.namelist() if "/" in name}
        for item in manifest["files"]:
            data = found.read(item["name"])
            assert (item["bytes"], item["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        trades = next(item for item in manifest["files"] if item["name"] == "json/trades.json")
        assert trades["rows"] == 1
        assert "json/trades.json" in found.read("index.html").decode()
        assert "trades" not in found.read("README.txt").decode().split("Held")[0]


@pytest.mark.parametrize(
    "label", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", " =1", "\r=1", "＝1"]
)
def test_text_that_a_spreadsheet_would_run_is_quoted_in_csv_and_whole_in_json(
    alice, tmp_path, label
):
    """S48: what the person or an exchange wrote is never a formula; numbers stay numbers."""
    connected = factories.connection(alice, label="x")
    with tenancy.as_user(alice.id):
        type(connected).objects.update(label=label)
    with exported(alice, tmp_path / "a.zip") as found:
        rows, cells = table(found, "exchange_connections")
    assert rows[0]["label"] == label
    assert cells[0]["label"] == f"'{label}"


def test_negative_numbers_are_not_taken_for_formulas(full, alice, tmp_path):
    with tenancy.as_user(alice.id), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_entries SET quantity = -1.5")
    with exported(alice, tmp_path / "a.zip") as found:
        _, cells = table(found, "ledger_entries")
    assert {cell["quantity"] for cell in cells} == {"-1.5"}


@pytest.mark.parametrize("rows", [0, 3, 4, 5, 9])
def test_every_row_is_there_once_whatever_the_batches(alice, tmp_path, monkeypatch, rows):
    """Read in pieces by place; several rows share an instant."""
    monkeypatch.setattr(archive, "BATCH", 4)
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        Trade.objects.bulk_create(
            factories.trade(
                alice, connected, number,
                occurred_at=factories.EARLIER + timedelta(seconds=number // 3),
            )
            for number in range(rows)
        )  # fmt: skip
    with exported(alice, tmp_path / "a.zip") as found:
        got, cells = table(found, "trades")
    assert sorted(int(row["exchange_id"]) for row in got) == list(range(rows))
    assert [row["occurred_at"] for row in got] == sorted(row["occurred_at"] for row in got)
    assert len(cells) == rows


def test_from_where_staff_acted_is_not_in_the_copy(full, alice, bob, tmp_path):
    """S48: what was done to the account is theirs to know; where staff sat is not."""
    at = {"session_id": ids.new_id(), "ip_address": "198.51.100.44"}
    own = {"session_id": ids.new_id(), "ip_address": "203.0.113.44"}
    with tenancy.as_system("test"):
        log.record(Action.STAFF_ACTED, user_id=alice.id, actor_id=bob.id, **at)
        log.record(Action.USER_SIGNED_IN, user_id=alice.id, actor_id=alice.id, **own)
        log.record(Action.PASSWORD_CHANGED, user_id=alice.id, **own)
    with exported(alice, tmp_path / "a.zip") as found:
        rows, _ = table(found, "activity_logs")
        text = b"".join(found.read(name) for name in found.namelist()).decode()
    (act,) = (row for row in rows if row["action"] == "staff.acted")
    assert (act["ip_address"], act["session_id"], act["request_id"]) == (None,) * 3
    assert not [value for value in at.values() if str(value) in text]
    told = [row for row in rows if row["session_id"] == str(own["session_id"])]
    assert [row["ip_address"] for row in told] == ["203.0.113.44"] * 2


def test_the_copy_of_one_holds_nothing_of_another(full, alice, bob, tmp_path):
    """S14"""
    factories.something_everywhere(bob)
    with exported(alice, tmp_path / "a.zip") as found:
        everything = b"".join(found.read(name) for name in found.namelist())
    assert str(alice.id).encode() in everything
    assert str(bob.id).encode() not in everything
    assert b"bob@example.com" not in everything


# --- the command --------------------------------------------------------------------------------
def test_the_command_writes_a_file_that_only_its_owner_reads_and_logs_it(full, alice, tmp_path):
    path = tmp_path / "deep.zip"
    exported(alice, path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["deep.zip"]
    with tenancy.as_user(alice.id):
        act = ActivityLog.objects.get(action=Action.EXPORT_DOWNLOADED)
    assert act.details == {"by": "command"}


def test_the_command_says_what_is_wrong(alice, tmp_path):
    with pytest.raises(CommandError, match="nobody"):
        call_command("export_user_data", "nobody@example.com")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_user_data", " ALICE@example.com ", output=tmp_path / "no" / "a.zip")


# --- asking for it ------------------------------------------------------------------------------
def test_asked_for_twice_is_the_one_that_is_being_made(client_of, alice):
    """S48, S57"""
    api = client_of(alice)
    first, second = api.post("/me/export"), api.post("/me/export")
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["state"] == "waiting"
    with tenancy.as_user(alice.id):
        assert ActivityLog.objects.filter(action=Action.EXPORT_REQUESTED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_asked_for_by_many_at_once_is_one():
    """S48"""
    alice = factories.person("alice@example.com")
    found, barrier = [], threading.Barrier(6)

    def ask():
        try:
            barrier.wait()
            found.append(requested(alice).id)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 6
    assert len(set(found)) == 1


def test_asking_needs_fresh_authentication_and_looking_does_not(client_of, alice):
    """S12"""
    api = client_of(alice)
    with tenancy.as_user(alice.id):
        Session.objects.update(authenticated_at=clock.now() - timedelta(minutes=16))
    answer = api.post("/me/export")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    assert api.get("/me/export").status_code == 200
    with tenancy.as_user(alice.id):
        assert not DataExport.objects.exists()


def test_a_request_without_a_body_asks_too(client_of, alice):
    assert client_of(alice).call("POST", "/me/export").status_code == 202


def test_a_body_with_fields_is_refused(client_of, alice):
    """S18"""
    answer = client_of(alice).post("/me/export", {"user": str(alice.id)})
    assert answer.status_code == 400


def test_a_copy_of_the_last_hour_is_given_again(full, alice, private_files):
    """S48: nobody fills the disk or the queue by asking again and again."""
    row = made(alice)
    assert requested(alice, row.ready_at + timedelta(minutes=59)).id == row.id
    with tenancy.as_user(alice.id):
        assert DataExport.objects.count() == 1
        assert ActivityLog.objects.filter(action=Action.EXPORT_REQUESTED).count() == 1
    assert requested(alice, row.ready_at + timedelta(minutes=61)).id != row.id


def test_a_copy_whose_file_is_gone_is_not_given_again(full, alice, private_files, settings):
    settings.EXPORT_LIFETIME = timedelta(minutes=5)
    row = made(alice)
    assert requested(alice, row.ready_at + timedelta(minutes=6)).id != row.id


def test_fetching_needs_fresh_authentication(client_of, full, alice, private_files):
    """S12: a stolen phone does not hand out what was asked for days ago."""
    row = made(alice)
    api = client_of(alice)
    with tenancy.as_user(alice.id):
        Session.objects.update(authenticated_at=clock.now() - timedelta(minutes=16))
    answer = api.get(f"/me/export/{row.id}/download")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")


# --- making it ----------------------------------------------------------------------------------
def test_a_made_copy_is_listed_and_fetched_and_told(client_of, full, alice, private_files):
    """S48: the whole way."""
    api = client_of(alice)
    row = made(alice)
    listed = api.get("/me/export").json()["results"][0]
    assert (listed["state"], listed["progress"]) == ("ready", 100)
    answer = api.get(listed["download"])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="your-data-')
    assert "no-store" in answer.headers["Cache-Control"]
    data = content(answer)
    assert len(data) == listed["bytes"]
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        assert table(found, "users")[0][0]["email"] == "alice@example.com"
    (file,) = private_files.rglob("*.zip")
    assert file.stat().st_mode & 0o777 == 0o600
    with tenancy.as_user(alice.id):
        told = Delivery.objects.filter(event="export_ready", channel="email")
        assert told.get().parameters == {"export_id": str(row.id)}
        assert ActivityLog.objects.filter(action=Action.EXPORT_READY).count() == 1


def test_progress_is_seen_while_it_is_made(client_of, full, alice, private_files):
    api, seen = client_of(alice), []
    row = requested(alice)

    def look():
        seen.append(api.get("/me/export").json()["results"][0])
        return clock.now()

    assert export.make(export_id=row.id, clock=look)
    running = [item["progress"] for item in seen if item["state"] == "running"]
    assert running == sorted(running)
    assert running[-1] > running[1]
    assert max(running) < 100


def test_a_second_run_of_the_task_changes_nothing(full, alice, private_files):
    """S42"""
    row = made(alice)
    assert not export.make(export_id=row.id, clock=clock.now)
    assert fresh(row).attempts == 1
    assert len(list(private_files.rglob("*.zip"))) == 1


def test_a_dead_workers_copy_is_found_by_the_sweeper_and_made(full, alice, private_files):
    """S41: the lease lapses; the late worker changes nothing."""
    row, now = requested(alice), clock.now()
    first = export._claim(row.id, now)
    assert export.sweep(now=now) == 0
    assert not export.make(export_id=row.id, clock=lambda: now)
    later = now + timedelta(minutes=2)
    assert export.sweep(now=later) == 1
    assert export.make(export_id=row.id, clock=lambda: later)
    with pytest.raises(leases.Lost):
        export._progress(first, 5, later)
    with pytest.raises(leases.Lost):
        export._finish(first, "exports/late.zip", 1, later)
    assert fresh(row).state == "ready"


def test_the_file_of_a_worker_that_died_before_saying_so_is_not_left(full, alice, private_files):
    """S41"""
    row, now = requested(alice), clock.now()
    died = export._claim(row.id, now)
    files.save(export._name(died), io.BytesIO(b"whole, but nobody knows"))
    assert export.make(export_id=row.id, clock=lambda: now + timedelta(minutes=2))
    (file,) = private_files.rglob("*.zip")
    assert file.stat().st_size == fresh(row).bytes


def test_a_late_worker_does_not_touch_what_another_is_making(full, alice, private_files):
    """S41: both are running as far as they know."""
    row, now = requested(alice), clock.now()
    late = export._claim(row.id, now)
    later = now + timedelta(minutes=2)
    assert export._claim(row.id, later)
    with pytest.raises(leases.Lost):
        export._progress(late, 5, later)
    with pytest.raises(leases.Lost):
        export._finish(late, "exports/late.zip", 1, later)
    export._put_off(late, "Late")
    assert (fresh(row).state, fresh(row).error) == ("running", "")


def test_one_that_cannot_be_made_is_tried_again_and_then_said(
    full, alice, settings, tmp_path, client_of, private_files
):
    (tmp_path / "file").write_text("")
    good = settings.STORAGES
    settings.STORAGES = good | {
        "private": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "file" / "below")},
        }
    }
    row = requested(alice)
    assert not export.make(export_id=row.id, clock=clock.now)
    assert fresh(row).state == "waiting"
    for _ in range(export.MOST_ATTEMPTS):
        export.make(export_id=row.id, clock=clock.now)
    assert fresh(row).state == "failed"
    with tenancy.as_user(alice.id):
        assert ActivityLog.objects.filter(action=Action.EXPORT_FAILED).count() == 1
    settings.STORAGES = good
    assert client_of(alice).post("/me/export").json()["id"] != str(row.id)


def test_one_whose_workers_all_died_is_given_up(full, alice):
    row, now = requested(alice), clock.now()
    for number in range(export.MOST_ATTEMPTS):
        assert export._claim(row.id, now + timedelta(minutes=2 * number))
    export.sweep(now=now + timedelta(hours=1))
    assert fresh(row).state == "failed"


# --- fetching it --------------------------------------------------------------------------------
def test_the_copy_of_another_is_not_found(client_of, full, alice, bob, private_files):
    """S14"""
    row = made(alice)
    answer = client_of(bob).get(f"/me/export/{row.id}/download")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client_of(bob).get("/me/export").json() == {"results": []}


def test_one_that_is_not_ready_says_so(client_of, alice):
    row = requested(alice)
    answer = client_of(alice).get(f"/me/export/{row.id}/download")
    assert (answer.status_code, answer.json()["code"]) == (409, "export_not_ready")


def test_whoever_wants_a_zip_and_nothing_else_gets_errors_as_json(client_of, alice):
    row = requested(alice)
    path = f"/me/export/{row.id}/download"
    assert client_of(alice).get(path, Accept="application/zip").status_code == 409


def link_in_mail(row):
    with tenancy.as_user(row.user_id):
        told = Delivery.objects.select_related("user").get(event="export_ready", channel="email")
        text = messages.write(told, now=clock.now()).text
    return next(line.strip() for line in text.splitlines() if "/exports?" in line)


def path_of(link, settings):
    return link.removeprefix(settings.PUBLIC_URL)


def test_the_link_in_the_mail_needs_no_signing_in(client, full, alice, private_files, settings):
    row = made(alice)
    answer = client.get(path_of(link_in_mail(row), settings))
    assert answer.status_code == 200
    assert len(content(answer)) == row.bytes
    assert "no-store" in answer.headers["Cache-Control"]
    with tenancy.as_user(alice.id):
        act = ActivityLog.objects.get(action=Action.EXPORT_DOWNLOADED)
    assert act.details["by"] == "link"


def test_the_link_ends_with_the_account(client, full, alice, private_files, settings):
    """S48: who was deactivated has links in a mailbox and no data to fetch."""
    path = path_of(link_in_mail(made(alice)), settings)
    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert client.get(path).status_code == 404
    with tenancy.as_user(alice.id):
        assert not ActivityLog.objects.filter(action=Action.EXPORT_DOWNLOADED).exists()


def test_an_expired_link_and_a_forged_one_are_refused_on_a_page(
    client, client_of, full, alice, bob, private_files, settings
):
    """S48: the link ends with the file."""
    row = made(alice)
    path = path_of(link_in_mail(row), settings)
    forged = path[:-1] + ("A" if path[-1] != "A" else "B")
    for bad in (forged, "/exports", "/exports?token=", "/exports?token=" + "x" * 5000,
                "/exports?token=%00", path.replace(alice.id.hex, bob.id.hex)):  # fmt: skip
        answer = client.get(bad)
        assert answer.status_code == 404, bad
        assert answer.headers["Content-Type"].startswith("text/html")
    with time_machine.travel(row.expires_at + timedelta(seconds=1), tick=False):
        assert client.get(path).status_code == 410
        gone = client_of(alice).get(f"/me/export/{row.id}/download")
        assert (gone.status_code, gone.json()["code"]) == (410, "export_expired")


def test_an_expired_file_is_removed_and_the_row_says_so(client_of, full, alice, private_files):
    row = made(alice)
    assert export.remove_expired(now=row.expires_at - timedelta(seconds=1)) == 0
    assert list(private_files.rglob("*.zip"))
    assert export.remove_expired(now=row.expires_at + timedelta(seconds=1)) == 1
    assert export.remove_expired(now=row.expires_at + timedelta(seconds=1)) == 0
    assert not list(private_files.rglob("*.zip"))
    assert fresh(row).state == "expired"
    assert client_of(alice).get("/me/export").json()["results"][0]["download"] is None


def test_a_file_that_is_gone_is_expired_and_no_error(client_of, full, alice, private_files):
    row = made(alice)
    for file in private_files.rglob("*.zip"):
        file.unlink()
    assert client_of(alice).get(f"/me/export/{row.id}/download").status_code == 410


def test_the_mail_goes_out(full, alice, private_files, mailoutbox):
    made(alice)
    with tenancy.as_user(alice.id):
        told = Delivery.objects.get(event="export_ready", channel="email")
    assert delivery.send(delivery_id=told.id, now=clock.now())
    (mail,) = mailoutbox
    assert mail.to == ["alice@example.com"]
    assert "/exports?token=" in mail.body
