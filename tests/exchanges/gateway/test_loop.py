"""The loop thread: results as they finish, limits, timeouts, forks."""

import asyncio
import os
import threading

import pytest

from exchanges.gateway import loop
from exchanges.gateway.errors import TimedOut


def test_one_thread_serves_all_calls() -> None:
    async def where() -> str:
        return threading.current_thread().name

    assert {loop.run(where()) for _ in range(3)} == {"exchange-gateway"}


def test_a_timeout_is_ours_and_cancels() -> None:
    cancelled = threading.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimedOut):
        loop.run(never(), timeout=0.05)
    assert cancelled.wait(5)


def test_results_come_as_they_finish() -> None:
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "slow"

    async def quick() -> str:
        return "quick"

    async def open_gate() -> str:
        gate.set()
        return "opened"

    found = list(loop.as_finished([slow(), quick(), open_gate()], concurrency=3))
    assert found[-1] == "slow"
    assert set(found) == {"slow", "quick", "opened"}


def test_no_more_run_at_once_than_allowed() -> None:
    running, most = 0, 0

    async def counted() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    assert len(list(loop.as_finished([counted() for _ in range(30)], concurrency=4))) == 30
    assert most == 4


def test_leaving_early_cancels_the_rest() -> None:
    cancelled = threading.Event()

    async def first() -> int:
        return 1

    async def never() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 2

    results = loop.as_finished([first(), never(), first()], concurrency=2)
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]
    assert cancelled.wait(5)


def test_an_error_ends_the_iteration() -> None:
    async def broken() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        list(loop.as_finished([broken()], concurrency=1))


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    async def process() -> int:
        return os.getpid()

    assert loop.run(process()) == os.getpid()
    loop.current().held["inherited"] = True
    child = os.fork()
    if child == 0:
        fresh = "inherited" not in loop.current().held
        os._exit(0 if fresh and loop.run(process(), timeout=5) == os.getpid() else 1)
    _, status = os.waitpid(child, 0)
    del loop.current().held["inherited"]
    assert os.waitstatus_to_exitcode(status) == 0
