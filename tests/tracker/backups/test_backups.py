"""S47: backups and restore drills on the real PostgreSQL and its own programs.

One backup is made for all tests of this file, of two people with rows in every table.
"""

import io
import os
import shutil
import stat
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import override_settings

from accounts.models import DataKey, TotpDevice, User
from accounts.privacy import tombstones
from accounts.second_factor import sealing as seeds
from audit import drills, sealing
from audit import log as activity
from audit import tasks as audit_tasks
from audit.actions import Action
from audit.models import ActivityLog, DrillResult, SecurityAlert
from exchanges.models import ExchangeCredential
from tests import factories
from tracker import clock, files, tenancy
from tracker.backups import drill, keys, making, manifest, programs, restoring, scratch, store
from tracker.backups.errors import AlreadyRunning, NotReadable, NotWhole
from tracker.vault import Keyring

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@contextmanager
def places(root: Path, **more):
    """Copies, private files and the erasure log in a folder of the test."""
    backups, private = str(root / "backups"), str(root / "files")
    kinds = {"backups": backups, "private": private}
    found = storages.backends | {
        alias: files.storage_settings(place) for alias, place in kinds.items()
    }
    with override_settings(
        BACKUPS=backups, PRIVATE_FILES=private, STORAGES=found,
        ERASURE_LOG=str(root / "erasures.jsonl"), **more,
    ):  # fmt: skip
        yield


def empty() -> None:
    call_command(
        "flush", verbosity=0, interactive=False, reset_sequences=False, allow_cascade=False,
        inhibit_post_migrate=False,
    )  # fmt: skip


def two_people() -> None:
    alice, bob = factories.person("alice@example.com"), factories.person("bob@example.com")
    for person in (alice, bob):
        factories.something_everywhere(person)
        with tenancy.as_user(person.id):
            device = TotpDevice.objects.get(user_id=person.id)
            device.sealed_seed = seeds.seal_seed("A" * 32, user_id=person.id, device_id=device.id)
            device.save()
    sealing.seal_all(now=clock.now())
    files.save(f"exports/{alice.id}/copy.zip", io.BytesIO(os.urandom(70_000)))
    files.save(f"exports/{bob.id}/copy.zip", io.BytesIO(b""))


@pytest.fixture(scope="module")
def original(django_db_setup, django_db_blocker, tmp_path_factory):
    """The folder with the one backup, and when it was made. Nothing is left in the database."""
    root = tmp_path_factory.mktemp("original")
    now = clock.now()
    with django_db_blocker.unblock(), places(root):
        two_people()
        made = making.make(now=now)
        with tenancy.as_system("test"):
            people = dict(User.objects.values_list("email", "id"))
        empty()
    return root, made, people, now


@pytest.fixture
def backup(original, tmp_path):
    """A copy of the backup that a test may spoil; the manifest that was made."""
    root, made, _, _ = original
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    with places(tmp_path):
        yield made


@pytest.fixture
def people(original):
    return original[2]


@pytest.fixture
def now(original):
    return original[3]


def file_of(root: Path, made, part: str) -> Path:
    return root / "backups" / store.path_of(made.name, part)


def failed(result) -> dict[str, str]:
    return {step["name"]: step["said"] for step in result.steps if not step["ok"]}


def said(result) -> dict[str, str]:
    return {step["name"]: step["said"] for step in result.steps}


def stub(folder: Path, name: str, script: str) -> None:
    """A program of PostgreSQL that does something else besides, or instead."""
    folder.mkdir(exist_ok=True)
    real = programs._find(name)
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nreal="{real}"\n[ "$1" = "--version" ] && exec "$real" "$1"\n{script}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def databases() -> list[str]:
    """Scratch databases of this process's tests; others run beside it."""
    own = f"{connection.settings_dict['NAME']}%restore_drill"
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [own])
        return [name for (name,) in cursor.fetchall()]


# --- the way it should go -----------------------------------------------------------------------
def test_the_newest_backup_is_restored_and_found_whole(backup, now):
    """S47: counts, checksums, policies, credentials, seals; and nothing is left behind."""
    out = io.StringIO()
    call_command("restore_drill", stdout=out)
    with tenancy.as_system("test"):
        result = DrillResult.objects.get()
        logged = ActivityLog.objects.get(action=Action.RESTORE_DRILLED)
        assert drills.trouble(now=now) == ""
        assert "older" in drills.trouble(now=now + 93 * DAY)
    assert result.ok, failed(result)
    assert result.seconds is not None
    assert result.backup == backup.name
    assert list(said(result)) == [
        "manifest", "restore", "rows and checksums", "policies", "nobody sees rows",
        "private files", "migrations", "activity log", "second factors", "credentials",
        "erased people",
    ]  # fmt: skip
    assert backup.rows > 300
    assert f"{backup.rows:,} rows" in said(result)["rows and checksums"]
    assert said(result)["credentials"].startswith("2 of 2 credentials open")
    assert said(result)["private files"] == "2 files"
    assert said(result)["activity log"].startswith("2 rows under 1 seals")
    assert logged.outcome == "ok"
    assert "First verified query after" in out.getvalue()
    assert databases() == []


def test_a_backup_holds_nothing_readable_and_no_data_key(original, backup, people, tmp_path):
    """S47: neither an address nor a key is found in any of its files."""
    written = [path.read_bytes() for path in (tmp_path / "backups").rglob("*") if path.is_file()]
    assert len(written) == 4
    for word in (b"alice@example.com", b"PGDMP", str(people["alice@example.com"]).encode()):
        assert not any(word in content for content in written)
    sql = b"".join(programs.as_sql(making.read_database(backup)))
    assert b"alice@example.com" in sql
    assert b"COPY public.user_data_keys" not in sql
    assert len(list(manifest.read_part(backup.name, manifest.KEYS))) > 0


def test_a_backup_is_restored_into_an_empty_database_with_its_files(backup, tmp_path, people):
    """S47: what docs/operations.md says under Restoring."""
    with scratch.database("restore_test") as name, scratch.working_on(name):
        call_command("restore_backup", files=str(tmp_path / "back"), stdout=io.StringIO())
        with tenancy.as_system("test"):
            assert set(User.objects.values_list("email", flat=True)) == set(people)
            assert DataKey.objects.count() == 2
        with pytest.raises(CommandError, match="not empty"):
            call_command("restore_backup", stdout=io.StringIO())
        call_command("migrate", "--check", verbosity=0)
    copied = tmp_path / "back" / "exports" / str(people["alice@example.com"]) / "copy.zip"
    kept = tmp_path / "files" / "exports" / str(people["alice@example.com"]) / "copy.zip"
    assert copied.read_bytes() == kept.read_bytes()


# --- erased people ------------------------------------------------------------------------------
def test_who_was_erased_since_is_gone_from_the_restored_copy(backup, people, now):
    """S47, S49: the erasure log is replayed in the scratch database."""
    tombstones.add(people["alice@example.com"], now=now)
    result = drills.run(now=now)
    assert result.ok, failed(result)
    assert said(result)["erased people"] == (
        "1 in the erasure log; 1 of them had come back and are gone"
    )


def test_what_was_sealed_for_the_erased_cannot_be_read_when_old_keys_are_gone(
    backup, people, now, tmp_path
):
    """S47: an older backup with the newest keys, in which the erased person's is missing."""
    seven_days_on = now + 7 * DAY
    _keys_without(people["alice@example.com"], backup.name, store.new_name(seven_days_on - DAY))
    assert keys.prune(now=seven_days_on - timedelta(seconds=1)) == 0
    with scratch.database("restore_test") as name, scratch.working_on(name):
        restoring.restore(restoring.find(backup.name))
        with tenancy.as_system("test"):
            assert ExchangeCredential.objects.count() == 2
            assert set(DataKey.objects.values_list("user_id", flat=True)) == {
                people["bob@example.com"]
            }
    assert keys.prune(now=seven_days_on + timedelta(seconds=1)) == 1
    assert not file_of(tmp_path, backup, manifest.KEYS).exists()
    result = drills.run(now=seven_days_on, name=backup.name)
    assert result.ok, failed(result)
    assert said(result)["credentials"] == "1 of 2 credentials open; 1 have no data key"


def _keys_without(user_id, name: str, newer: str) -> None:
    """The keys' copy of a later day, after somebody was erased."""
    lines = b"".join(manifest.read_part(name, manifest.KEYS)).splitlines(keepends=True)
    left = [line for line in lines if str(user_id).encode() not in line]
    assert len(left) == len(lines) - 1
    manifest.write_part(newer, manifest.KEYS, iter(left))


def test_without_any_keys_the_drill_fails(backup, now):
    """S47: backups in which nothing sealed can be read are no backups."""
    store.remove_keys(backup.name)
    result = drills.run(now=now)
    assert "no copy of the data keys" in failed(result)["restore"]


def test_keys_go_by_themselves_also_when_no_backup_can_be_made(backup, settings, tmp_path):
    """S47: the promise does not depend on the next backup."""
    old = store.new_name(clock.now() - 8 * DAY)
    manifest.write_part(old, manifest.KEYS, iter([b"{}\n"]))
    settings.POSTGRES_PROGRAMS = str(tmp_path / "nowhere")
    store.remove_copy(backup.name)
    with pytest.raises(Exception, match="pg_dump"):
        audit_tasks.back_up()
    assert store.key_copies() == [backup.name]


# --- spoiled files ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("part", "how"),
    [
        (manifest.MANIFEST, "changed"), (manifest.KEYS, "changed"), (manifest.DATABASE, "changed"),
        (manifest.DATABASE, "cut off"),
    ],
)  # fmt: skip
def test_a_spoiled_file_fails_the_drill_and_operators_are_told(backup, now, tmp_path, part, how):
    """S47"""
    path = file_of(tmp_path, backup, part)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "changed" else content[:-1])
    result = drills.run(now=now)
    assert "was changed, cut off" in failed(result)["manifest" if part == "manifest" else "restore"]
    with tenancy.as_system("test"):
        assert SecurityAlert.objects.get().kind == drills.DRILL_FAILED
    assert databases() == []


def test_the_dump_of_another_backup_in_its_place_is_refused(backup, now, tmp_path):
    """S47"""
    other = store.new_name(now - DAY)
    manifest.write_part(other, manifest.DATABASE, iter([b"x"]))
    path = tmp_path / "backups" / store.path_of(other, manifest.DATABASE)
    shutil.copy(path, file_of(tmp_path, backup, manifest.DATABASE))
    assert "restore" in failed(drills.run(now=now))


def test_another_key_opens_nothing(backup, now, settings):
    """S47"""
    settings.BACKUP_KEYRING = Keyring((os.urandom(32),))
    assert "not listed" in failed(drills.run(now=now))["manifest"]
    with pytest.raises(CommandError, match="not listed"):
        call_command("restore_backup", stdout=io.StringIO())


def test_without_a_backup_the_drill_says_so(tmp_path, now):
    with places(tmp_path):
        assert failed(drills.run(now=now)) == {"manifest": "there is no copy yet"}


# --- a restore that is not the same ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (
            "DROP POLICY owner ON trades; DELETE FROM consents; UPDATE activity_seals SET mac = "
            "digest; UPDATE exchange_credentials SET api_key = api_secret",
            {
                "policies": "not protected: trades",
                "rows and checksums": "consents 0 of 2 rows",
                "activity log": "not made by us",
                "credentials": "0 of 2 credentials open",
            },
        ),
        (
            "ALTER TABLE trades NO FORCE ROW LEVEL SECURITY; UPDATE users SET locale = 'xx'; "
            "UPDATE totp_devices SET sealed_seed = 'x'",
            {
                "policies": "not protected: trades",
                "nobody sees rows": "trades",
                "rows and checksums": "the contents differ: totp_devices, users",
                "second factors": "cannot be opened",
            },
        ),
        (
            "CREATE POLICY open ON users USING (true)",
            {"policies": "policies differ: users", "nobody sees rows": "users"},
        ),
    ],
)
def test_what_came_back_differently_is_found(backup, now, tmp_path, settings, spoil, found):
    """S47: a restore that ends without an error proves nothing by itself."""
    sql = (
        "ALTER TABLE activity_seals DISABLE TRIGGER USER; "
        f"SET app.system = 'spoiled by a test'; {spoil};"
    )
    psql = shutil.which("psql") or str(Path(programs._find("pg_restore")).parent / "psql")
    script = (
        f'"$real" "$@" || exit 1\nfor last; do :; done\n'
        f'exec "{psql}" -q -v ON_ERROR_STOP=1 "$last" -c "{sql}" </dev/null'
    )
    stub(tmp_path / "programs", "pg_restore", script)
    settings.POSTGRES_PROGRAMS = str(tmp_path / "programs")
    result = drills.run(now=now)
    assert not result.ok
    assert failed(result).keys() == found.keys(), failed(result)
    for step, text in found.items():
        assert text in failed(result)[step]


# --- making -------------------------------------------------------------------------------------
def test_a_dump_without_the_rows_of_protected_tables_is_refused(tmp_path, settings):
    """S47: without the system setting pg_dump writes no rows and ends without an error."""
    factories.person("alice@example.com")
    stub(tmp_path / "programs", "pg_dump", 'PGOPTIONS="" exec "$real" "$@"')
    stub(tmp_path / "programs", "pg_restore", 'exec "$real" "$@"')
    settings.POSTGRES_PROGRAMS = str(tmp_path / "programs")
    with places(tmp_path):
        with pytest.raises(NotWhole, match="users 0 of 1 rows"):
            drills.back_up(now=clock.now())
        assert store.copies() == store.unfinished() == store.key_copies() == []
    with tenancy.as_system("test"):
        assert SecurityAlert.objects.get().kind == drills.BACKUP_FAILED
        assert ActivityLog.objects.get(action=Action.BACKUP_FAILED).outcome == "failed"


def test_partitions_that_hide_their_rows_from_a_dump_are_noticed(tmp_path):
    """S47: such a dump is empty where the activity log should be, and looks whole."""
    with connection.cursor() as cursor, tenancy.as_system("test"):
        part = f"activity_logs_{clock.now():%Y%m}"
        cursor.execute(f"DROP POLICY dumped ON {part}")
    try:
        with places(tmp_path), tenancy.as_system("test"):
            activity.record(Action.STAFF_ACTED, user_id=None)
        with places(tmp_path), pytest.raises(NotWhole, match="activity_logs"):
            making.make(now=clock.now())
    finally:
        with connection.cursor() as cursor:
            cursor.execute(tenancy.shown_to_system(part))


def test_a_dump_that_ends_with_an_error_leaves_nothing(tmp_path, settings):
    """S47"""
    stub(tmp_path / "programs", "pg_dump", 'echo PGDMP; echo "pg_dump: error: oh" >&2; exit 1')
    settings.POSTGRES_PROGRAMS = str(tmp_path / "programs")
    with places(tmp_path):
        with pytest.raises(CommandError, match="pg_dump failed: pg_dump: error: oh"):
            call_command("backup", stdout=io.StringIO())
        assert store.copies() == store.unfinished() == []


def test_the_days_backup_is_made_once(tmp_path):
    """S44, S47: by beat, by hand, and by two at once."""
    with places(tmp_path):
        audit_tasks.back_up()
        audit_tasks.back_up()
        (name,) = store.copies()
        out = io.StringIO()
        call_command("backup", if_due=True, stdout=out)
        call_command("backup", list=True, stdout=out)
        assert out.getvalue().splitlines() == ["Today's backup is there, or being made.", name]
        with making.one_at_a_time(making.LOCK):
            with pytest.raises(AlreadyRunning):
                making.make(now=clock.now())
            with pytest.raises(CommandError, match="at it already"):
                call_command("backup", stdout=io.StringIO())
            store.remove_copy(name)
            audit_tasks.back_up()
            assert store.copies() == []
    with tenancy.as_system("test"):
        assert ActivityLog.objects.filter(action=Action.BACKUP_MADE).count() == 1
        assert not SecurityAlert.objects.exists()


def test_two_drills_at_once_take_turns(backup, now):
    """S47: the second would drop the first one's database."""
    with making.one_at_a_time(drill.LOCK), pytest.raises(CommandError, match="at it already"):
        call_command("restore_drill", stdout=io.StringIO())


def test_files_in_a_bucket_are_not_copied_and_that_is_said(tmp_path, settings):
    """S47"""
    with places(tmp_path):
        settings.PRIVATE_FILES = "s3://bucket/files"
        out = io.StringIO()
        call_command("backup", stdout=out)
        assert "private files are in a bucket, not in it" in out.getvalue()
        assert restoring.find().files is None


# --- where they lie -----------------------------------------------------------------------------
def test_copies_that_are_too_old_go_and_others_stay(tmp_path, now):
    """S47: with all of their parts; what was never finished goes after two days."""
    with places(tmp_path):
        names = [store.new_name(now - number * DAY) for number in range(40)]
        for name in names[1:]:
            manifest.write_part(name, manifest.DATABASE, iter([b"x"]))
        for name in names[2:]:
            manifest.write_part(name, manifest.MANIFEST, iter([b"{}"]))
        (tmp_path / "backups" / "copies" / "README").write_text("not ours")
        assert making.prune(now=now) > 20
        left = store.copies()
        assert left[-1] == names[2]
        assert store.unfinished() == [names[1]]
        assert making.prune(now=now + 3 * DAY) >= 1
        assert store.unfinished() == []
        assert (tmp_path / "backups" / "copies" / "README").exists()


def test_a_store_that_fails_midway_keeps_nothing(tmp_path):
    """S47"""

    def pieces():
        yield bytes(3_000_000)
        raise NotReadable("in the middle")

    with places(tmp_path):
        with pytest.raises(NotReadable):
            manifest.write_part(store.new_name(clock.now()), manifest.DATABASE, pieces())
        assert list((tmp_path / "backups" / "copies").iterdir()) == []


def test_one_setting_names_a_folder_or_a_bucket():
    """S47: as for private files."""
    found = files.storage_settings("s3://vault/tracker?region_name=eu-central-1")
    assert found["BACKEND"].endswith("S3Storage")
    assert found["OPTIONS"]["bucket_name"] == "vault"
    assert found["OPTIONS"]["location"] == "tracker"
    assert storages.create_storage(found).region_name == "eu-central-1"
