"""One permanent event-loop thread per process, and the two ways into it from ordinary code.

Sessions, markets and budgets are bound to a loop, so they live as long as it does: in
``local``. A forked child starts with a loop of its own, because threads do not survive a fork.
"""

import asyncio
import concurrent.futures
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from exchanges.gateway.errors import TimedOut

T = TypeVar("T")
_DONE = object()


class LoopThread:
    """An event loop running in a daemon thread, with what belongs to it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.held: dict[object, Any] = {}
        threading.Thread(target=self._serve, name="exchange-gateway", daemon=True).start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_lock = threading.Lock()
_current: LoopThread | None = None


def _forget_parent() -> None:
    """After a fork: the parent's thread is not here, and its lock may be held forever."""
    global _lock, _current
    _lock, _current = threading.Lock(), None


os.register_at_fork(after_in_child=_forget_parent)


def current() -> LoopThread:
    """The loop thread of this process, started on first use."""
    global _current
    with _lock:
        if _current is None:
            _current = LoopThread()
        return _current


def local(key: object, build: Callable[[], T]) -> T:
    """What ``key`` names on the running loop, built once; only to be called on the loop."""
    held = current().held
    if key not in held:
        held[key] = build()
    return held[key]


def run(coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
    """Run a coroutine on the loop and wait for it. Raises TimedOut after ``timeout`` seconds."""
    future = asyncio.run_coroutine_threadsafe(coroutine, current().loop)
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError:
        future.cancel()
    raise TimedOut


def as_finished(coroutines: Iterable[Coroutine[Any, Any, T]], *, concurrency: int) -> Iterator[T]:
    """Run coroutines on the loop, at most ``concurrency`` at once; yield results as they finish.

    A coroutine that raises ends the iteration with its error; leaving the iteration cancels
    what is still running.
    """
    waiting = list(coroutines)
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    work = _work_through(waiting, concurrency, results.put)
    future = asyncio.run_coroutine_threadsafe(work, current().loop)
    future.add_done_callback(lambda _: results.put(_DONE))
    try:
        while (result := results.get()) is not _DONE:
            yield result
        future.result()
    finally:
        future.cancel()


async def _work_through(
    waiting: list[Coroutine[Any, Any, Any]], concurrency: int, deliver: Callable[[Any], None]
) -> None:
    waiting.reverse()

    async def worker() -> None:
        while waiting:
            deliver(await waiting.pop())

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(waiting))):
                group.create_task(worker())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    finally:
        for coroutine in waiting:
            coroutine.close()
