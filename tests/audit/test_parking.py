"""S42: a task that kills its worker three times is put aside, and somebody is told."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django_redis import get_redis_connection

from audit import parking
from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert
from tests.audit import poison
from tests.servers import PROJECT
from tests.tracker.test_outage import DEAD_REDIS
from tracker import celery as tracker_celery
from tracker import tenancy

WORK = {"name": "tests.work", "arguments": {"of": "somebody"}}


def begins(task_id):
    """One delivery that ends by itself; whether it was let begin."""
    with parking.counted(task_id=task_id, **WORK) as may_begin:
        return may_begin


@pytest.fixture
def dies():
    """`dies(id)`: one delivery whose process is gone before its end, which nothing undoes."""
    left_open = []

    def dies(task_id, work=WORK):
        left_open.append(parking.counted(task_id=task_id, **work))
        return left_open[-1].__enter__()

    yield dies
    for run in left_open:
        run.gen.close()


def told():
    with tenancy.as_system("test"):
        return (
            ActivityLog.objects.filter(action=Action.TASK_PARKED).count(),
            SecurityAlert.objects.filter(kind=parking.KIND, user=None).count(),
        )


def test_work_that_killed_its_process_three_times_is_not_begun_again(db, dies):
    assert [dies("a"), dies("a"), dies("a")] == [True, True, True]
    assert told() == (0, 0)
    assert begins("a") is False
    assert begins("another delivery of the same work") is False
    assert told() == (1, 1)


def test_work_that_comes_up_under_another_id_each_time_is_counted_all_the_same(db, dies):
    """Handed out again it finds nothing to do, since the lease of the dead still stands."""
    for task_id in "abc":
        assert dies(task_id) is True
        assert begins(task_id) is (task_id != "c")
    assert begins("d") is False
    assert told() == (1, 1)


def test_a_run_that_ends_takes_back_what_came_before_it(db, dies):
    for task_id in "abcdef":
        assert dies(task_id) is True
        assert begins(task_id) is True
        assert begins(f"{task_id} later") is True
    assert told() == (0, 0)


def test_a_run_that_fails_has_not_killed_anybody(db):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), parking.counted(task_id="a", **WORK):
            raise ZeroDivisionError
    assert begins("a") is True


def test_two_at_once_are_no_deaths(db):
    with parking.counted(task_id="a", **WORK), parking.counted(task_id="b", **WORK):
        assert begins("c") is True
    assert begins("a") is True


def test_other_work_goes_on(db, dies):
    assert [dies("a") for _ in range(3)]
    assert begins("a") is False
    with parking.counted(task_id="z", name="tests.work", arguments={"of": "else"}) as may_begin:
        assert may_begin


def test_work_that_was_forgiven_begins_again(db, dies):
    assert [dies("a") for _ in range(3)]
    assert begins("a") is False
    parking.forgive(**WORK)
    assert begins("a") is True


def test_a_sweep_rests_for_minutes_and_asking_again_does_not_prolong_it(db, dies):
    sweep = {"name": "tests.sweep", "arguments": {}}
    for _ in range(4):
        dies("a", sweep)
    with get_redis_connection("limits") as redis:
        (key,) = redis.keys("task-deaths:*")
        assert 0 < redis.ttl(key) <= parking.SWEEPS_REMEMBERED.total_seconds()
        redis.expire(key, 100)
        assert dies("b", sweep) is False
        assert redis.ttl(key) <= 100


def test_without_redis_work_is_done_uncounted(db):
    moved = {name: row | {"LOCATION": DEAD_REDIS} for name, row in settings.CACHES.items()}
    with override_settings(CACHES=moved):
        assert [begins("a") for _ in range(5)] == [True] * 5


def test_nobody_is_named_in_what_an_erasure_does_not_find(db, dies):
    arguments = {"user_id": "0192f0c1-0000-7000-8000-000000000000", "of": "a person"}
    for _ in range(4):
        dies("a", {"name": "tests.work", "arguments": arguments})
    with tenancy.as_system("test"):
        assert ActivityLog.objects.get(action=Action.TASK_PARKED).details == {
            "task": "tests.work", "arguments": {"of": "a person"}, "deaths": 3,
        }  # fmt: skip


@contextmanager
def worker(log):
    """A real worker with one process, on the database of this test."""
    url = os.environ["DATABASE_URL"].replace("/tracker?", f"/{connection.settings_dict['NAME']}?")
    words = ["-A", "tests.audit.poison", "worker", "-Q", poison.QUEUE, "-c", "1", "-l", "WARNING",
             "--without-gossip", "--without-mingle"]  # fmt: skip
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", *words], cwd=PROJECT, stdout=file, stderr=file,
            env=os.environ | {"DATABASE_URL": url}, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def within(seconds, holds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


def test_a_real_worker_loses_three_processes_and_goes_on(transactional_db, tmp_path):
    trace, log = tmp_path / "trace", tmp_path / "log"
    with worker(log):
        tracker_celery.app.send_task(
            "tests.kill_the_worker", kwargs={"trace": str(trace)}, queue=poison.QUEUE
        )
        assert within(60, lambda: told() == (1, 1)), log.read_text()[-2000:]
    assert trace.read_text().split() == ["begun"] * 3


def test_the_broker_hands_out_again_what_a_lost_worker_held_and_not_before_its_end():
    assert settings.CELERY_TASK_ACKS_LATE
    assert settings.CELERY_TASK_REJECT_ON_WORKER_LOST
    longest = settings.CELERY_TASK_TIME_LIMIT
    assert longest > settings.CELERY_TASK_SOFT_TIME_LIMIT
    assert longest < settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
