"""Making files: once, whole or not at all, whatever dies meanwhile."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection

from accounts.models import Delivery
from accounts.notifications import Event
from accounts.privacy import erasure
from audit.actions import Action
from audit.models import ActivityLog
from portfolios import tasks
from portfolios.exporting import making
from portfolios.exporting.asking import MAKE_TASK
from portfolios.models import FileExport, Trade
from tests import factories, processes
from tests.portfolios.exporting.made import fetched, opened, rows_of
from tracker import clock, tenancy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def traded(alice):
    """Alice with three trades."""
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        Trade.objects.bulk_create(factories.trade(alice, connected, n) for n in range(3))
    return connected


def changed(row, **fields):
    """As if something had happened to it."""
    with tenancy.as_user(row.user_id):
        FileExport.objects.filter(id=row.id).update(**fields)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def acts(user, action) -> int:
    with tenancy.as_user(user.id):
        return ActivityLog.objects.filter(action=action).count()


def told(user, event) -> list[dict]:
    with tenancy.as_user(user.id):
        rows = Delivery.objects.filter(event=event, channel="email")
        return list(rows.values_list("parameters", flat=True))


class Interrupted:
    """A clock at whose nth reading something happens once."""

    def __init__(self, number: int, happens) -> None:
        self.left, self.happens = number, happens

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            self.happens()
        return clock.now()


WRITING = 4  # the reading of the clock after the first table's rows


# --- the way it should go -----------------------------------------------------------------------
def test_asked_for_it_waits_in_its_queue_and_is_made_once(alice, traded, exports, queued):
    hers = exports(alice)
    asked = hers.asked("trades")
    assert (asked["state"], asked["url"]) == ("waiting", None)
    assert (MAKE_TASK, {"export_id": asked["id"]}) in queued("exports")
    tasks.make_file_export(export_id=asked["id"])
    first = hers.row(asked["id"])
    tasks.make_file_export(export_id=asked["id"])
    tasks.sweep_file_exports()
    assert hers.row(asked["id"]).file_name == first.file_name
    ready = hers.told(asked["id"])
    assert (ready["state"], ready["rows_done"], ready["rows_total"]) == ("ready", 3, 3)
    assert acts(alice, Action.FILE_REQUESTED) == acts(alice, Action.FILE_READY) == 1
    (parameters,) = told(alice, Event.FILE_EXPORT_READY)
    assert parameters["export_id"] == asked["id"]
    assert (parameters["contents"], parameters["format"], parameters["rows"]) == (
        "trades",
        "CSV",
        3,
    )


@pytest.mark.parametrize("how", ["ends the writing", "is asked for at the end"])
def test_cancelled_while_it_is_made_nothing_is_offered(
    alice, traded, exports, private_files, client_of, how
):
    hers = exports(alice)
    asked = hers.asked("everything")
    reading = WRITING if how == "ends the writing" else WRITING + 10

    def cancel():
        assert hers.api.post(f"/exports/{asked['id']}/cancel").json()["state"] == "running"

    looked = Interrupted(reading, cancel)
    assert not making.make(export_id=asked["id"], clock=looked)
    assert looked.left == 0  # nothing more was done
    assert hers.told(asked["id"])["state"] == "cancelled"
    assert kept(private_files) == []
    assert told(alice, Event.FILE_EXPORT_READY) == []


def test_cancelled_while_it_waits_it_is_never_begun(alice, traded, exports, private_files):
    hers = exports(alice)
    asked = hers.asked("trades")
    assert hers.api.post(f"/exports/{asked['id']}/cancel").json()["state"] == "cancelled"
    tasks.make_file_export(export_id=asked["id"])
    assert hers.told(asked["id"])["state"] == "cancelled"
    assert kept(private_files) == []
    assert acts(alice, Action.FILE_CANCELLED) == 1


def test_cancelling_what_is_ready_changes_nothing(alice, traded, exports):
    hers = exports(alice)
    ready = hers.made("trades")
    assert hers.api.post(f"/exports/{ready['id']}/cancel").json()["state"] == "ready"
    assert opened(fetched(ready["url"]))


def test_removed_while_it_is_made_leaves_nothing(alice, traded, exports, private_files):
    hers = exports(alice)
    asked = hers.asked("trades")

    def remove():
        assert hers.api.delete(f"/exports/{asked['id']}").status_code == 204

    for reading in (WRITING, WRITING + 2):
        assert not making.make(export_id=asked["id"], clock=Interrupted(reading, remove))
        asked = hers.asked("trades")
    assert kept(private_files) == []


# --- workers that die ---------------------------------------------------------------------------
def test_what_a_dead_worker_left_is_made_again_and_is_one_result(
    alice, traded, exports, private_files, queued
):
    """S41"""
    hers = exports(alice)
    row = hers.row(hers.asked("trades")["id"])
    folder = private_files / "exports" / str(alice.id)
    folder.mkdir(parents=True)
    (folder / f"file-{row.id}-1.zip").write_bytes(b"half")
    (folder / "somebody-elses.zip").write_bytes(b"stays")
    in_a_while = clock.now() + timedelta(seconds=50)
    changed(row, state="running", attempts=1, leased_until=in_a_while, rows_done=1)
    tasks.make_file_export(export_id=str(row.id))
    assert hers.row(row.id).attempts == 1  # in other hands
    changed(row, leased_until=clock.now() - timedelta(seconds=1))
    before = len(queued("exports"))
    tasks.sweep_file_exports()
    assert len(queued("exports")) == before + 1
    tasks.make_file_export(export_id=str(row.id))
    assert hers.told(str(row.id))["state"] == "ready"
    assert kept(private_files) == [f"file-{row.id}-2.zip", "somebody-elses.zip"]
    assert len(told(alice, Event.FILE_EXPORT_READY)) == 1


def test_a_worker_that_comes_back_late_changes_nothing(alice, traded, exports, private_files):
    """S41"""
    hers = exports(alice)
    row = hers.row(hers.asked("trades")["id"])

    def overtaken():
        changed(row, leased_until=clock.now() - timedelta(seconds=1))
        assert making.make(export_id=row.id, clock=clock.now)

    for reading in (WRITING, WRITING + 2):
        changed(row, state="waiting", leased_until=None, attempts=0)
        assert not making.make(export_id=row.id, clock=Interrupted(reading, overtaken))
        assert hers.told(str(row.id))["state"] == "ready"
        assert kept(private_files) == [f"file-{row.id}-2.zip"]
    assert len(rows_of(opened(fetched(hers.told(str(row.id))["url"])), "trades", "csv")) == 3


def test_what_dies_again_and_again_is_given_up_and_said(alice, traded, exports, private_files):
    """S42"""
    hers = exports(alice)
    row = hers.row(hers.asked("trades")["id"])
    past = clock.now() - timedelta(seconds=1)
    changed(row, state="running", attempts=making.MOST_ATTEMPTS, leased_until=past)
    tasks.sweep_file_exports()
    shown = hers.told(str(row.id))
    assert (shown["state"], shown["error"]) == ("failed", "internal_error")
    assert shown["message"]
    (parameters,) = told(alice, Event.FILE_EXPORT_FAILED)
    assert parameters["reason"] == shown["message"]
    assert acts(alice, Action.FILE_FAILED) == 1


def test_a_dead_workers_file_that_nobody_wants_is_not_made_again(alice, traded, exports):
    hers = exports(alice)
    row = hers.row(hers.asked("trades")["id"])
    past = clock.now() - timedelta(seconds=1)
    changed(row, state="running", attempts=1, leased_until=past, cancel_asked=True)
    tasks.sweep_file_exports()
    assert hers.told(str(row.id))["state"] == "cancelled"


def test_two_workers_at_once_make_one(alice, traded, exports, private_files):
    hers = exports(alice)
    asked, made, barrier = hers.asked("trades"), [], threading.Barrier(2)

    def work():
        try:
            barrier.wait()
            made.append(making.make(export_id=asked["id"], clock=clock.now))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(made) == [False, True]
    assert len(kept(private_files)) == 1


# --- what goes wrong ----------------------------------------------------------------------------
_IN_A_CHILD = """
import os, resource, tempfile
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
tempfile.tempdir = {temporary!r}
from portfolios import tasks
tasks.make_file_export(export_id={export_id!r})
print("LEFT", os.listdir({temporary!r}))
"""


@pytest.mark.parametrize("format", ["csv", "xlsx", "parquet"])
def test_a_full_disk_is_said_and_leaves_nothing(alice, exports, private_files, tmp_path, format):
    """A process of its own whose files may not grow beyond some kilobytes."""
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        Trade.objects.bulk_create(factories.trade(alice, connected, n) for n in range(9_000))
    hers, temporary = exports(alice), tmp_path / "temporary"
    temporary.mkdir()
    asked = hers.asked("trades", format=format)
    code = _IN_A_CHILD.format(most=40_000, temporary=str(temporary), export_id=asked["id"])
    with processes.managed("shell", "-c", code, PRIVATE_FILES=str(private_files)) as child:
        assert child.process.wait(60) == 0
        assert "LEFT []" in child.output()
    shown = hers.told(asked["id"])
    assert (shown["state"], shown["error"], shown["url"]) == ("failed", "disk_full", None)
    assert "room" in shown["message"]
    assert kept(private_files) == []
    assert len(told(alice, Event.FILE_EXPORT_FAILED)) == 1
    tasks.sweep_file_exports()
    tasks.make_file_export(export_id=asked["id"])
    assert hers.told(asked["id"])["state"] == "failed"


def test_a_storage_that_refuses_is_tried_again_and_then_said(alice, traded, exports, private_files):
    hers = exports(alice)
    asked = hers.asked("trades")
    private_files.write_text("a file where the folder should be")
    for attempt in range(making.MOST_ATTEMPTS):
        assert hers.told(asked["id"])["state"] == "waiting", attempt
        tasks.make_file_export(export_id=asked["id"])
    shown = hers.told(asked["id"])
    assert (shown["state"], shown["error"]) == ("failed", "internal_error")


def test_what_takes_longer_than_a_task_may_is_said_at_once(alice, traded, exports, private_files):
    hers = exports(alice)
    asked = hers.asked("trades")

    def too_long():
        raise SoftTimeLimitExceeded

    assert not making.make(export_id=asked["id"], clock=Interrupted(WRITING, too_long))
    shown = hers.told(asked["id"])
    assert (shown["state"], shown["error"]) == ("failed", "took_too_long")
    assert kept(private_files) == []


def test_somebody_erased_leaves_no_file_and_no_worker_brings_one_back(
    alice, traded, exports, private_files, settings, tmp_path
):
    """S49"""
    settings.ERASURE_LOG = str(tmp_path / "erasures.jsonl")
    hers = exports(alice)
    hers.made("trades")
    asked = hers.asked("ledger")
    erase = Interrupted(WRITING, lambda: erasure.erase(user_id=alice.id, now=clock.now()))
    assert not making.make(export_id=asked["id"], clock=erase)
    assert kept(private_files) == []


# --- in time ------------------------------------------------------------------------------------
def test_a_file_whose_time_is_over_goes(alice, traded, exports, private_files, client_of):
    hers = exports(alice)
    ready = hers.made("trades")
    row = hers.row(ready["id"])
    assert making.remove_expired(now=row.expires_at - timedelta(seconds=1)) == 0
    assert len(kept(private_files)) == 1
    assert making.remove_expired(now=row.expires_at) == 1
    assert making.remove_expired(now=row.expires_at) == 0
    assert kept(private_files) == []
    shown = hers.told(ready["id"])
    assert (shown["state"], shown["url"], shown["bytes"]) == ("expired", None, None)
    assert fetched(ready["url"]).status_code == 410


def test_one_instant_is_shown_whatever_is_booked_meanwhile(alice, traded, exports, private_files):
    """All tables agree with each other: what comes in while they are read is in none."""
    hers = exports(alice)
    asked = hers.asked("trades", "transfers")

    def booked():
        factories.transfer(alice, traded, "deposit", "late")
        with tenancy.as_user(alice.id):
            factories.trade(alice, traded, 9).save(force_insert=True)

    assert making.make(export_id=asked["id"], clock=Interrupted(WRITING, booked))
    found = opened(fetched(hers.told(asked["id"])["url"]))
    assert len(rows_of(found, "trades", "csv")) == 3
    assert rows_of(found, "transfers", "csv") == []
