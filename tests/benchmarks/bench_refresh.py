"""Sixteen threads with one refresh token, a thousand times: how often exactly one succeeds."""

import threading
import time

from django.db import connection

from accounts import sessions
from accounts.sessions import Device
from accounts.tokens import InvalidToken
from tests.benchmarks import rows
from tests.benchmarks.measure import Result
from tracker import clock

ROUNDS, THREADS = 1000, 16


def measure() -> list[Result]:
    rows.clear()
    (person,) = rows.people(1)
    race = Race()
    start = time.perf_counter()
    won = []
    for _ in range(ROUNDS):
        token = sessions.start(user=person, device=Device(), now=clock.now()).refresh
        won.append(race.run(token))
    took = time.perf_counter() - start
    race.end()
    good = won.count(1)
    return [
        Result(
            f"rounds of {THREADS} threads with one refresh token that had one successor", good,
            f"of {ROUNDS}", f"{took:.0f} s in all", good / ROUNDS, f"{ROUNDS}", good == ROUNDS,
        )
    ]  # fmt: skip


class Race:
    """Threads, each with a connection of its own, that start together round after round."""

    def __init__(self) -> None:
        self._start, self._finish = (threading.Barrier(THREADS + 1) for _ in range(2))
        self._token: str | None = None
        self._successors: list[str] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def run(self, token: str) -> int:
        """How many of the threads got a successor of this token."""
        self._token, self._successors = token, []
        self._start.wait()
        self._finish.wait()
        return len(self._successors)

    def end(self) -> None:
        self._token = None
        self._start.wait()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            self._start.wait()
            if self._token is None:
                connection.close()
                return
            try:
                answer = sessions.refresh(token=self._token, now=clock.now())
                self._successors.append(answer.refresh)
            except InvalidToken:
                pass
            finally:
                self._finish.wait()
