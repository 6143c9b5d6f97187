"""The twelve kinds of fault: how each strikes, how long it lasts, how it is lifted."""

import random
import shutil
import signal
import time
from contextlib import suppress
from typing import Any, ClassVar

import psutil

from tests.chaos.operations import Operation
from tests.chaos.processes import Supervised
from tests.chaos.system import System, wait_until


class Impossible(Exception):
    """This fault cannot be made on this machine; the message says why."""


class Fault:
    """One fault with what the seed has chosen. ``lasts`` is in seconds."""

    name = ""
    at_the_exchange = False  # met by requests, so it must be there before they are made
    is_on = False

    def __init__(self, system: System, operation: Operation, draw: random.Random) -> None:
        self.system, self.operation, self.draw = system, operation, draw
        self.lasts = draw.uniform(2.0, 5.0)

    def strike(self) -> None:
        """Make it happen. Raises Impossible."""

    def lift(self) -> None:
        """Undo it; returns when whatever was killed has been started again."""


class ChildKilled(Fault):
    """kill -9 of the processes that may be doing the work; their parent lives."""

    name = "child killed"

    def strike(self) -> None:
        for child in self.operation.children():
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGKILL)
        self.lasts = 0


class ParentKilled(Fault):
    """kill -9 of the worker itself; the supervisor clears away its children and starts anew."""

    name = "worker killed"

    def strike(self) -> None:
        self.victim = self.operation.parent()
        self.starts, self.lasts = self.victim.starts, 0
        assert self.victim.process is not None
        self.victim.process.kill()

    def lift(self) -> None:
        wait_until(lambda: self.victim.starts > self.starts, 30)


class _Killed(Fault):
    """A server is killed, stays away for some seconds, and is started again."""

    def _process(self) -> Supervised:
        raise NotImplementedError

    def strike(self) -> None:
        self._process().hold_down()
        self._process().kill_family()

    def lift(self) -> None:
        self._process().start()


class RedisKilled(_Killed):
    """It comes back with what its file holds, or having lost everything."""

    name = "redis killed"

    def _process(self) -> Supervised:
        return self.system.valkey

    def lift(self) -> None:
        if self.draw.random() < 0.5:
            shutil.rmtree(self.system.folder / "valkey" / "appendonlydir", ignore_errors=True)
        super().lift()


class RedisPaused(Fault):
    """It accepts connections and answers nothing."""

    name = "redis paused"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lasts = self.draw.uniform(3.0, 12.0)  # below and beyond the timeouts of sockets

    def strike(self) -> None:
        assert self.system.valkey.process is not None
        self.system.valkey.process.send_signal(signal.SIGSTOP)

    def lift(self) -> None:
        assert self.system.valkey.process is not None
        self.system.valkey.process.send_signal(signal.SIGCONT)


class DatabaseKilled(_Killed):
    name = "database killed"

    def _process(self) -> Supervised:
        return self.system.database.process


class DiskFull(Fault):
    """Not one block is free where the database writes."""

    name = "disk full"

    def strike(self) -> None:
        if not self.system.disk.is_small:
            raise Impossible("a small disk cannot be mounted here")
        self.system.disk.fill()

    def lift(self) -> None:
        self.system.disk.free()


class _AtTheExchange(Fault):
    """The exchange does something wrong with the requests of the operation."""

    at_the_exchange = True
    everybody: ClassVar[bool] = False  # whatever is asked, and by whomever

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.number: int | None = None

    def _fault(self) -> dict[str, Any]:
        raise NotImplementedError

    def strike(self) -> None:
        target = {} if self.everybody else self.operation.at_the_exchange()
        added = self.system.sandbox("faults", "POST", {**self._fault(), **target})
        assert "id" in added, added
        self.number = added["id"]

    def lift(self) -> None:
        if self.number is not None:
            self.system.sandbox(f"faults/{self.number}", "DELETE")


class ConnectionDropped(_AtTheExchange):
    name = "connection dropped"

    def _fault(self) -> dict[str, Any]:
        return {"kind": "drop"}


class Storm(_AtTheExchange):
    """429 for everybody, with a time to wait that ends after the storm or before it."""

    name = "429 storm"
    everybody = True

    def _fault(self) -> dict[str, Any]:
        wait = self.draw.randrange(2, 9)
        return {"kind": "storm", "retry_after": wait}


class ServerError(_AtTheExchange):
    name = "5xx"

    def _fault(self) -> dict[str, Any]:
        body = self.draw.choice(["<html>Bad gateway</html>", {"code": -1000, "msg": "Unknown"}])
        return {"kind": "status", "status": self.draw.choice([500, 502, 503, 504]), "body": body}


class Timeout(_AtTheExchange):
    """The exchange answers, and the answer is lost: it never comes, or the connection ends."""

    name = "timeout after commit"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lasts = self.draw.uniform(10.5, 12.0)

    def _fault(self) -> dict[str, Any]:
        return {"kind": "lost_answer", "by": self.draw.choice(["hang", "hang", "drop"])}


class Malformed(_AtTheExchange):
    """A page with a row that is none, one that is no JSON, half of one, or doubled rows."""

    name = "malformed page"

    def _fault(self) -> dict[str, Any]:
        return self.draw.choice([
            {"kind": "garbage", "broken": "row"}, {"kind": "garbage", "broken": "json"},
            {"kind": "truncate"}, {"kind": "duplicates"},
        ])  # fmt: skip


class ClockOff(_AtTheExchange):
    """The exchange's clock is ninety seconds ahead or behind, then right again."""

    name = "clock off"
    everybody = True

    def _fault(self) -> dict[str, Any]:
        return {"kind": "clock", "milliseconds": self.draw.choice([-90_000, 90_000])}


FAULTS: tuple[type[Fault], ...] = (
    ChildKilled, ParentKilled, RedisKilled, RedisPaused, DatabaseKilled, ConnectionDropped, Storm,
    ServerError, Timeout, Malformed, ClockOff, DiskFull,
)  # fmt: skip


def let_pass(fault: Fault) -> None:
    """As long as the fault lasts; that is what it is, not a wait for something."""
    time.sleep(fault.lasts)
