"""How far a visit is stands on its run, whoever of two threads writes it."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db import connection as database

from exchanges.reports import Progress
from portfolios.models import SyncRun, SyncState
from portfolios.sync.progress import Board
from portfolios.sync.recording import Claim
from tests import factories, threads
from tracker import ids, tenancy

# Long enough for a thread that does not wait to come back. One that waits never does before it may.
SOON_SECONDS = 0.5


@pytest.fixture
def claim(transactional_db) -> Claim:
    """A connection whose visit runs."""
    alice = factories.person("alice@example.com")
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        SyncRun.objects.create(
            user=alice, connection=connected, trigger="manual", state=SyncState.RUNNING
        )
    return Claim(connected.id, alice.id, "binance", ids.new_id(), timedelta(minutes=15))


@pytest.fixture
def board(claim) -> Board:
    board = Board({claim.connection_id: claim})
    board.note(Progress(claim.connection_id, "trades", 12, 30, 4))
    return board


def told(claim) -> tuple[str, int]:
    with tenancy.as_user(claim.user_id):
        run = SyncRun.objects.get(connection_id=claim.connection_id)
    return run.phase, run.calls_done


def test_what_could_not_be_written_is_written_the_next_time(claim, board):
    def away(*_):
        raise OperationalError("gone")

    with database.execute_wrapper(away), pytest.raises(OperationalError):
        board.tell()
    assert told(claim) == ("", 0)
    board.tell()
    assert told(claim) == ("trades", 12)


def test_who_tells_beside_another_comes_back_when_that_is_written(claim, board):
    writing, back, seen = threading.Event(), threading.Event(), []

    def slow(execute, sql, *rest):
        if "UPDATE sync_runs" in sql:
            writing.set()
            back.wait(SOON_SECONDS)
        return execute(sql, *rest)

    def by_the_clock() -> None:
        with database.execute_wrapper(slow):
            board.tell()

    def at_the_end() -> None:
        writing.wait()
        board.tell()
        seen.append(told(claim))
        back.set()

    threads.at_once(2, lambda number: (by_the_clock, at_the_end)[number]())
    assert seen == [("trades", 12)]


def test_what_found_no_run_is_told_once_there_is_one(claim, board):
    with tenancy.as_user(claim.user_id):
        SyncRun.objects.update(state=SyncState.QUEUED)
    board.tell()
    assert told(claim) == ("", 0)
    with tenancy.as_user(claim.user_id):
        SyncRun.objects.update(state=SyncState.RUNNING)
    board.tell()
    assert told(claim) == ("trades", 12)
