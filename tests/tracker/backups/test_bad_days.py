"""S47: what goes wrong on the way is told, and what can be had is still had."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage, storages
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext, override_settings

from accounts.models import DataKey, User
from accounts.privacy import tombstones
from accounts.privacy.erasure import StillWritten
from audit import drills
from audit import tasks as audit_tasks
from audit.actions import Action
from audit.models import ActivityLog, DrillResult, SecurityAlert
from tests.tracker.backups.test_backups import (  # noqa: F401
    DAY,
    backup,
    failed,
    file_of,
    now,
    original,
    people,
    places,
    said,
    stub,
)
from tracker import clock, direct, ids, tenancy
from tracker.backups import drill, keys, making, manifest, programs, restoring, scratch, store

pytestmark = pytest.mark.django_db(transaction=True)


class Locked(FileSystemStorage):
    """A store that lets nobody remove a manifest, as a bucket with a lock against deletion."""

    def delete(self, name: str) -> None:
        if name.endswith(".manifest"):
            raise PermissionError(name)
        super().delete(name)


def alerts() -> list[str]:
    with tenancy.as_system("test"):
        return sorted(SecurityAlert.objects.values_list("kind", flat=True))


# --- without keys -------------------------------------------------------------------------------
def test_rows_are_restored_without_keys_when_told_so(backup, now):  # noqa: F811
    """S47: seven days after the last good backup no copy of keys is left, by promise."""
    keys.prune(now=now + 8 * DAY)
    out = io.StringIO()
    with scratch.database("restore_test") as name, scratch.working_on(name):
        with pytest.raises(CommandError, match="--without-keys"):
            call_command("restore_backup", stdout=out)
        call_command("restore_backup", without_keys=True, stdout=out)
        with tenancy.as_system("test"):
            assert User.objects.count() == 2
            assert DataKey.objects.count() == 0
    assert "enter their credentials anew" in out.getvalue()


def test_a_copy_of_keys_that_was_cut_off_is_passed_over(backup, now, tmp_path):  # noqa: F811
    """S47: by a kill, or on its way to another disk."""
    newer = store.new_name(now + DAY)
    whole = file_of(tmp_path, backup, manifest.KEYS).read_bytes()
    path = tmp_path / "backups" / store.path_of(newer, manifest.KEYS)
    path.write_bytes(whole[:100])
    assert keys.newest()[0] == backup.name


def test_what_was_not_finished_has_another_name_and_goes_in_time(tmp_path, now):  # noqa: F811
    """S47: a killed process leaves no file that looks like a copy."""
    name = store.new_name(now)

    def seen():
        yield b"{}\n"
        found.extend(path.name for path in (tmp_path / "backups" / "keys").iterdir())
        yield b"{}\n"

    found: list[str] = []
    with places(tmp_path):
        manifest.write_part(name, manifest.KEYS, (piece * 200_000 for piece in seen()))
        assert found == [f"{name}.keys.unfinished"]
        cut_off = tmp_path / "backups" / "keys" / f"{store.new_name(now - DAY)}.keys.unfinished"
        cut_off.write_bytes(b"half")
        assert store.key_copies() == [name]
        keys.prune(now=now + 6 * DAY + timedelta(seconds=1))
        assert not cut_off.exists()
        assert store.key_copies() == [name]


def test_a_copy_whose_dump_is_missing_is_no_copy(backup, now, tmp_path):  # noqa: F811
    """S47"""
    manifest.write_part(store.new_name(now + DAY), manifest.MANIFEST, iter([b"{}"]))
    assert store.copies() == [backup.name]
    assert restoring.find().name == backup.name


def test_keys_come_back_in_batches_without_a_limit_and_again(backup):  # noqa: F811
    """S47: a second try is possible when the first one failed."""
    _, rows = keys.newest()
    strangers = [rows[0] | {"user_id": str(ids.new_id())} for _ in range(2_500)]
    with scratch.database("restore_test") as name, scratch.working_on(name):
        restoring.restore(backup, without_keys=True)
        with CaptureQueriesContext(connection) as captured:
            assert keys.bring_back([*strangers, *rows]) == 2
        statements = [query["sql"] for query in captured if "INSERT INTO" in query["sql"]]
        assert max(sql.count('"user_id"') for sql in statements) <= keys.BATCH
        assert any("statement_timeout = 0" in query["sql"] for query in captured)
        with tenancy.as_system("test"):
            DataKey.objects.all()._raw_delete("default")
        out = io.StringIO()
        call_command("restore_backup", only_keys=True, stdout=out)
        assert out.getvalue().startswith("2 data keys")
        call_command("restore_backup", only_keys=True, stdout=out)
        with tenancy.as_system("test"):
            assert DataKey.objects.count() == 2


# --- told ---------------------------------------------------------------------------------------
def test_a_store_that_does_not_answer_is_told(tmp_path):
    """S47: also when it fails before a backup was begun."""
    with places(tmp_path):
        (tmp_path / "backups").write_text("no folder")
        with pytest.raises(NotADirectoryError):
            audit_tasks.back_up()
    assert alerts() == [drills.BACKUP_FAILED, drills.PRUNING_FAILED]


def test_a_backup_that_was_made_is_told_as_made_when_an_old_one_cannot_go(tmp_path):
    """S47"""
    old = store.new_name(clock.now() - 800 * DAY)
    with places(tmp_path):
        manifest.write_part(old, manifest.DATABASE, iter([b"x"]))
        manifest.write_part(old, manifest.MANIFEST, iter([b"{}"]))
        place = {"BACKEND": f"{__name__}.Locked", "OPTIONS": {"location": tmp_path / "backups"}}
        with override_settings(STORAGES=storages.backends | {"backups": place}):
            made = drills.back_up(now=clock.now())
            assert store.copies() == [old, made.name]
    with tenancy.as_system("test"):
        assert ActivityLog.objects.filter(action=Action.BACKUP_MADE).count() == 1
        assert not ActivityLog.objects.filter(action=Action.BACKUP_FAILED).exists()
    assert alerts() == [drills.PRUNING_FAILED]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StillWritten()])
def test_a_check_that_breaks_off_is_a_failed_result(backup, now, error):  # noqa: F811
    """S47: no crash leaves the last good result standing."""

    def look(now):
        raise error

    drill.check("breaks off", look, place=8)
    try:
        result = drills.run(now=now)
    finally:
        del drill._checks["breaks off"]
    assert list(failed(result)) == ["breaks off"]
    assert type(error).__name__ in failed(result)["breaks off"]
    assert alerts() == [drills.DRILL_FAILED]


def test_a_program_that_cannot_be_started_is_a_failed_result(
    backup, now, tmp_path, settings  # noqa: F811
):  # fmt: skip
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "pg_restore").write_text("#!/nowhere/at/all\n")
    (folder / "pg_restore").chmod(0o700)
    settings.POSTGRES_PROGRAMS = str(folder)
    assert list(failed(drills.run(now=now))) == ["restore"]
    with tenancy.as_system("test"):
        assert not DrillResult.objects.get().ok


# What migrations from 0010 of portfolios on have made is not there yet.
_BEFORE_FILE_EXPORTS = """
    SET app.system = 'an older release';
    DROP TABLE file_exports CASCADE;
    DROP INDEX sync_runs_failed, sync_runs_by_error, transfers_by_exchange_id, transfers_by_txid;
    DELETE FROM django_migrations WHERE app = 'portfolios' AND name >= '0010';
    RESET app.system
"""


# --- after a release ----------------------------------------------------------------------------
def test_a_backup_from_before_a_new_table_is_drilled_and_cleaned(
    backup, people, now, tmp_path  # noqa: F811
):  # fmt: skip
    """S47, S49: whoever was erased since is gone, with tables that the copy does not know."""
    with scratch.database("restore_test") as name, scratch.working_on(name):
        restoring.restore(backup)
        with connection.cursor() as cursor:
            cursor.execute(_BEFORE_FILE_EXPORTS)
        older = making.make(now=now + DAY)
    tombstones.add(people["alice@example.com"], now=now)
    result = drills.run(now=now + DAY, name=older.name)
    assert result.ok, failed(result)
    assert "were missing and have run" in said(result)["migrations"]
    assert "1 of them had come back and are gone" in said(result)["erased people"]


# --- the connection -----------------------------------------------------------------------------
def test_the_dump_goes_past_the_pooler_whoever_reads_it(tmp_path, settings):
    """S47: an upload's thread has a connection of its own, to the pooler."""
    stub(tmp_path / "programs", "pg_dump", 'echo "$@"')
    settings.POSTGRES_PROGRAMS = str(tmp_path / "programs")
    with scratch.database("direct_test") as name:
        settings.DIRECT_DATABASE = {"NAME": name}
        with direct.connected():
            pieces = programs.dump()
            with ThreadPoolExecutor(1) as other:
                told = other.submit(_read_in_a_thread, pieces).result()
    assert f"dbname={name} " in told.replace("'", "") + " "


def _read_in_a_thread(pieces) -> str:
    try:
        return b"".join(pieces).decode()
    finally:
        connections.close_all()


def test_no_secret_of_the_connection_stands_on_a_command_line(tmp_path, settings, monkeypatch):
    """S47: everybody on the machine reads those."""
    stub(tmp_path / "programs", "pg_dump", 'echo "$@"; echo "--"; cat "$PGSERVICEFILE"')
    settings.POSTGRES_PROGRAMS = str(tmp_path / "programs")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {
        **connection.settings_dict["OPTIONS"], "sslpassword": "hunter two",
    })  # fmt: skip
    arguments, _, service = b"".join(programs.dump()).decode().partition("--\n")
    assert "hunter" not in arguments
    assert "sslpassword=hunter two\n" in service
    assert not any("hunter" in value for value in os.environ.values())
