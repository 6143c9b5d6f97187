"""The eight operations of the matrix: how each begins, where its middle is, what it must leave.

An operation is begun, held or observed until a share of it is done, and asked again and again
what is still wrong, until nothing is.
"""

import hashlib
import json
import random
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Sequence
from typing import Any

import psutil

from tests.chaos import people, verdicts
from tests.chaos.gates import Gate
from tests.chaos.people import Person
from tests.chaos.processes import Supervised
from tests.chaos.system import Away, System, wait_until
from tracker import vault

REACH_SECONDS = 20


class Operation:
    """One operation on one account, with what the seed has chosen."""

    name = ""
    # How long each answer of the exchange takes, so that there is a middle to strike in.
    delay = 0.0

    def __init__(self, system: System, settled: Sequence[Person], draw: random.Random) -> None:
        self.system, self.draw, self.settled = system, draw, settled
        self.person = draw.choice(settled)
        self.share = draw.uniform(0.05, 0.85)
        self._slow: int | None = None

    # --- what the matrix calls ------------------------------------------------------------------
    def prepare(self) -> None:
        """Everything that is not to be disturbed."""

    def begin(self) -> None:
        """Start it; returns at once."""

    def reach(self, *, before: bool) -> None:
        """Wait until its share is done; ``before`` asks for the moment before the first call."""

    def release(self) -> None:
        """Let it go on, now that the fault has struck."""

    def drive(self) -> None:
        """What a client or an operator does meanwhile: ask again, run a command again."""

    def wrong(self) -> list[str]:
        """What is not as it must be, yet. Raises Away."""
        return []

    def end(self) -> None:
        """Clear away."""
        self._speed_up()

    def at_the_exchange(self) -> dict[str, Any]:
        """Which requests to the exchange belong to it, as a fault names them."""
        return {}

    def children(self) -> list[psutil.Process]:
        """The processes that may be doing its work."""
        return self.system.worker.children()

    def parent(self) -> Supervised:
        return self.system.worker

    # --- pieces ---------------------------------------------------------------------------------
    def _slow_down(self) -> None:
        fault = {"kind": "delay", "seconds": self.delay, **self.at_the_exchange()}
        self._slow = self.system.sandbox("faults", "POST", fault)["id"]

    def _speed_up(self) -> None:
        if self._slow is not None:
            self.system.sandbox(f"faults/{self._slow}", "DELETE")
            self._slow = None

    def _await_requests(self, since: int, wanted: int, path: str = "") -> None:
        wait_until(lambda: self.system.requests(path) >= since + wanted, REACH_SECONDS, every=0.005)

    def _account_is_wrong(self, person: Person) -> list[str]:
        truth = self.system.sandbox(f"accounts/{person.account}/books")
        return verdicts.books(self.system, person.connection_id, truth) or verdicts.account(
            self.system, person.connection_id
        )


class Connect(Operation):
    """A person sends their key; the app sends it again until it hears what became of it."""

    name = "connect"
    delay = 0.15
    calls = 6  # two of the test of the key, the first of the sync

    def prepare(self) -> None:
        self.account = self.draw.randrange(people.SETTLED, 50)
        self.email = f"{uuid.uuid4().hex}@example.com"
        self.headers = self.system.person(self.email)
        self.user_id = people.user_of(self.system, self.email)
        self.headers["Idempotency-Key"] = uuid.uuid4().hex
        self.in_web = self.draw.random() < 0.5
        self.told: tuple[int, Any] | None = None
        self.given_up = threading.Event()

    def at_the_exchange(self) -> dict[str, Any]:
        return {"account": self.account}

    def begin(self) -> None:
        self._slow_down()
        self.since = self.system.requests()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def reach(self, *, before: bool) -> None:
        self._await_requests(self.since, 1 if before else 1 + int(self.share * self.calls))

    def drive(self) -> None:
        self._speed_up()

    def children(self) -> list[psutil.Process]:
        return self.system.web.children() if self.in_web else super().children()

    def parent(self) -> Supervised:
        return self.system.web if self.in_web else super().parent()

    def wrong(self) -> list[str]:
        rows = self.system.rows(
            "SELECT id FROM exchange_connections WHERE user_id = %s", self.user_id
        )
        if len(rows) != 1:
            return [f"{len(rows)} connections; the app was told {self.told}"]
        if self.told is None:
            return ["the app has not been told"]
        person = Person(self.email, self.user_id, rows[0][0], self.account)
        return self._account_is_wrong(person)

    def end(self) -> None:
        super().end()
        self.given_up.set()
        self.thread.join()

    def _ask(self) -> None:
        while self.told is None and not self.given_up.is_set():
            try:
                status, answer = self.system.call(
                    "POST", "/connections", people.offer(self.system, self.account),
                    headers=self.headers,
                )  # fmt: skip
                code = (answer or {}).get("code")
                if status == 201 or code == "connection_label_taken":
                    self.told = status, code
            except Away:
                pass
            self.given_up.wait(0.5)


class FirstImport(Operation):
    """The first sync of an account, from balances to the last page of its history."""

    name = "first import"
    delay = 0.005
    calls = 800

    def prepare(self) -> None:
        self.account = self.draw.randrange(people.SETTLED, 50)
        self._slow_down()

    def at_the_exchange(self) -> dict[str, Any]:
        return {"account": self.account}

    def begin(self) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        self.person = people.connect(self.system, email, self.account)
        self.since = self.system.requests()

    def reach(self, *, before: bool) -> None:
        self._await_requests(self.since, 1 + int(self.share * self.calls))

    def wrong(self) -> list[str]:
        return self._account_is_wrong(self.person)

    def drive(self) -> None:
        self._speed_up()


class IncrementalSync(Operation):
    """ "Sync now" after something happened at the exchange."""

    name = "incremental sync"
    delay = 0.04
    calls = 40

    def prepare(self) -> None:
        headers = self.system.signed_in(self.person.email)
        self._happen("deposits", asset="BTC", quantity=self._units())
        self._happen("deposits", asset="ETH", quantity=self._units())
        self._happen("trades", symbol="BTCUSDT", side="sell", quantity="0.0001")
        self._slow_down()
        self.headers = headers

    def at_the_exchange(self) -> dict[str, Any]:
        return {"account": self.person.account}

    def begin(self) -> None:
        self.since = self.system.requests()
        path = f"/connections/{self.person.connection_id}/sync"
        status, answer = self.system.call("POST", path, headers=self.headers)
        assert status == 202, answer

    def reach(self, *, before: bool) -> None:
        self._await_requests(self.since, 1 + int(self.share * self.calls))

    def wrong(self) -> list[str]:
        return self._account_is_wrong(self.person)

    def drive(self) -> None:
        self._speed_up()

    def end(self) -> None:
        super().end()
        self.system.rows(
            "DELETE FROM quarantined_pages WHERE connection_id = %s RETURNING 1",
            self.person.connection_id,
        )

    def _units(self) -> str:
        return f"{self.draw.randrange(10**7, 10**9) / 10**8:.8f}"

    def _happen(self, feed: str, **fact: str) -> None:
        answer = self.system.sandbox(
            f"accounts/{self.person.account}/facts", "POST", {"feed": feed, **fact}
        )
        assert "fact" in answer, answer


class PriceRefresh(Operation):
    """The latest prices of an exchange in one batch."""

    name = "price refresh"
    delay = 1.0
    path = "/api/v3/ticker/24hr"

    def at_the_exchange(self) -> dict[str, Any]:
        return {"path": self.path}

    def prepare(self) -> None:
        self._slow_down()
        self.system.forget_in_redis("*prices:fetched:*")

    def begin(self) -> None:
        self.asked_at, self.since = self.system.now(), self.system.requests(self.path)
        self.system.send("exchanges.tasks.refresh_prices")

    def reach(self, *, before: bool) -> None:
        if not before:
            self._await_requests(self.since, 1, self.path)
            time.sleep(self.share * self.delay)  # the middle of the call itself

    def drive(self) -> None:
        self._speed_up()

    def wrong(self) -> list[str]:
        old, total = self.system.rows(
            "SELECT count(*) FILTER (WHERE fetched_at < %s), count(*) FROM prices", self.asked_at
        )[0]
        return [f"{old} of {total} prices are old"] if old or not total else []


class Snapshot(Operation):
    """The snapshots of three people who are due at the same instant."""

    name = "snapshot"

    def prepare(self) -> None:
        self.due = [person.user_id for person in self.draw.sample(list(self.settled), 3)]
        self.gate = Gate(self.system, "portfolio_snapshots", "SHARE")

    def begin(self) -> None:
        self.asked_at = self.system.now()
        self.system.change(
            "UPDATE portfolio_states SET next_snapshot_at = now() - interval '1 second' "
            "WHERE user_id = ANY(%s)",
            self.due,
        )
        self.system.send("portfolios.tasks.take_due_snapshots")

    def reach(self, *, before: bool) -> None:
        if not before:
            self.gate.await_somebody()

    def release(self) -> None:
        self.gate.open()

    def wrong(self) -> list[str]:
        rows = self.system.rows(
            """
            SELECT users.id, count(snapshots.id), bool_and(snapshots.total_value IS NOT NULL)
            FROM users LEFT JOIN portfolio_snapshots AS snapshots
                ON snapshots.user_id = users.id AND snapshots.taken_at >= %s
            WHERE users.id = ANY(%s) GROUP BY users.id
            """,
            self.asked_at, self.due,
        )  # fmt: skip
        return [
            f"{count} snapshots of one person" for _, count, valued in rows
            if (count, valued) != (1, True)
        ]  # fmt: skip

    def end(self) -> None:
        self.gate.open()


class Export(Operation):
    """A copy of everything about a person."""

    name = "export"
    tables = ("trades", "transfers", "rewards", "ledger_entries", "holdings")

    def prepare(self) -> None:
        self.headers = self.system.signed_in(self.person.email)
        self.system.rows(
            "UPDATE data_exports SET requested_at = requested_at - interval '2 hours', "
            "ready_at = ready_at - interval '2 hours' WHERE user_id = %s RETURNING 1",
            self.person.user_id,
        )
        self.gate = Gate(self.system, self.draw.choice(self.tables), "ACCESS EXCLUSIVE")

    def begin(self) -> None:
        status, answer = self.system.call("POST", "/me/export", {}, headers=self.headers)
        assert status == 202, answer
        self.export_id = answer["id"]

    def reach(self, *, before: bool) -> None:
        self.gate.await_somebody()
        if self.share > 0.4 and not before:  # past the counting, into the writing
            self.gate.let_one_pass()
            self.gate.await_somebody(2)

    def release(self) -> None:
        self.gate.open()

    def wrong(self) -> list[str]:
        rows = self.system.rows(
            "SELECT id::text, state, file_name FROM data_exports "
            "WHERE user_id = %s AND requested_at > now() - interval '1 hour'",
            self.person.user_id,
        )
        if [(row[0], row[1]) for row in rows] != [(self.export_id, "ready")]:
            return [f"exports {[(row[0][-4:], row[1]) for row in rows]}"]
        folder = self.system.files / "exports" / str(self.person.user_id)
        files = [path for path in folder.iterdir() if path.name.startswith(self.export_id)]
        if [path.name for path in files] != [rows[0][2].rpartition("/")[2]]:
            return [f"{len(files)} files of one export"]
        return self._archive_is_wrong(zipfile.ZipFile(files[0])) + self._mails()

    def end(self) -> None:
        self.gate.open()

    def _archive_is_wrong(self, archive: zipfile.ZipFile) -> list[str]:
        """Each file as the manifest names it, each table with as many rows as there are."""
        wrong = []
        for told in json.loads(archive.read("manifest.json"))["files"]:
            if hashlib.sha256(archive.read(told["name"])).hexdigest() != told["sha256"]:
                wrong.append(f"{told['name']} is damaged")
        for table in self.tables:
            written = len(json.loads(archive.read(f"json/{table}.json")))
            sql = f"SELECT count(*) FROM {table} WHERE user_id = %s"
            if written != self.system.rows(sql, self.person.user_id)[0][0]:
                wrong.append(f"{table} is not whole")
        return wrong

    def _mails(self) -> list[str]:
        (count,) = self.system.rows(
            "SELECT count(*) FROM deliveries WHERE user_id = %s AND channel = 'email' "
            "AND parameters ->> 'export_id' = %s",
            self.person.user_id, self.export_id,
        )[0]  # fmt: skip
        return [] if count == 1 else [f"{count} e-mails about one export"]


class Backfill(Operation):
    """Prices of the past of one asset: lost, wanted by somebody's figures, fetched, told."""

    name = "backfill"
    delay = 0.25
    path = "/api/v3/klines"

    def at_the_exchange(self) -> dict[str, Any]:
        return {"path": self.path}

    def prepare(self) -> None:
        self.asset = self._choose()
        self.before = self._figures()
        for table in ("historic_prices", "price_needs"):
            self.system.rows(f"DELETE FROM {table} WHERE asset_id = %s RETURNING 1", self.asset)
        self._slow_down()

    def begin(self) -> None:
        self.since = self.system.requests(self.path)
        self.system.rows(
            "UPDATE asset_bases SET dirty_from = '1970-01-01' WHERE user_id = %s RETURNING 1",
            self.person.user_id,
        )
        self.system.change(
            "UPDATE portfolio_states SET ledger_revision = ledger_revision + 1, "
            "revalue_from = '1970-01-01' WHERE user_id = %s",
            self.person.user_id,
        )
        self.system.send(
            "portfolios.tasks.derive_portfolio", queue="derive", user_id=str(self.person.user_id)
        )

    def reach(self, *, before: bool) -> None:
        self._await_requests(self.since, 1 if before else 1 + int(self.share * 4), self.path)

    def drive(self) -> None:
        self._speed_up()

    def wrong(self) -> list[str]:
        wrong = people.waiting(self.system)
        return wrong or [
            f"{before} became {after}"
            for before, after in zip(self.before, self._figures(), strict=True)
            if before != after
        ]

    def _choose(self) -> Any:
        rows = self.system.rows(
            """
            SELECT needs.asset_id FROM price_needs AS needs
            JOIN assets ON assets.id = needs.asset_id AND NOT assets.is_fiat
            JOIN asset_bases AS held ON held.asset_id = needs.asset_id AND held.user_id = %s
            WHERE needs.state = 'done' AND needs.interval = '1h'
            GROUP BY needs.asset_id ORDER BY count(*) DESC, needs.asset_id LIMIT 4
            """,
            self.person.user_id,
        )
        return self.draw.choice(rows)[0]

    def _figures(self) -> list[tuple[Any, ...]]:
        """Lots, disposals and days that are over: how many there are, and how many are valued.

        Not their sums: while a market does not answer, the next best one is asked.
        """
        return self.system.rows(
            """
            SELECT 'lots', count(*), count(cost) FROM lots WHERE user_id = %s
            UNION ALL
            SELECT 'disposals', count(*), count(proceeds) FROM disposals WHERE user_id = %s
            UNION ALL
            SELECT 'days', count(*), count(*) FILTER (WHERE unpriced = 0)
                FROM daily_valuations WHERE user_id = %s AND day < current_date
            """,
            *[self.person.user_id] * 3,
        )


class KeyRotation(Operation):
    """``rotate_encryption_keys``, run again by its operator until it says that it is done."""

    name = "key rotation"
    batches = 3

    def prepare(self) -> None:
        self.system.keys.insert(0, vault.new_data_key().hex())
        self.system.restart_application()
        self.current = vault.key_id(bytes.fromhex(self.system.keys[0]))
        self.gate = Gate(self.system, "user_data_keys", "SHARE")
        self.command: subprocess.Popen[bytes] | None = None
        self.done, self.again_at = False, 0.0

    def begin(self) -> None:
        self.command = self.system.command("rotate_encryption_keys")

    def reach(self, *, before: bool) -> None:
        """Held in its first, second or third batch."""
        self.gate.await_somebody()
        for _ in range(0 if before else int(self.share * self.batches)):
            self.gate.let_one_pass()
            self.gate.await_somebody(5)

    def release(self) -> None:
        self.gate.open()

    def children(self) -> list[psutil.Process]:
        assert self.command is not None
        return [psutil.Process(self.command.pid)] if self.command.poll() is None else []

    def drive(self) -> None:
        if self.done or self.command is None or self.command.poll() is None:
            return
        self.done = self.command.returncode == 0
        if not self.done and time.monotonic() >= self.again_at:
            self.again_at = time.monotonic() + 2
            self.command = self.system.command("rotate_encryption_keys")

    def wrong(self) -> list[str]:
        if not self.done:
            return ["the rotation has not ended"]
        answer = self.system.ask("credentials", keys=self.system.keys[0])
        if "error" in answer or answer["closed"]:
            return [f"with the new key alone: {answer}"]
        return []

    def end(self) -> None:
        self.gate.open()
        if self.command is not None and self.command.poll() is None:
            self.command.kill()
            self.command.wait()


OPERATIONS: tuple[type[Operation], ...] = (
    Connect, FirstImport, IncrementalSync, PriceRefresh, Snapshot, Export, Backfill, KeyRotation,
)  # fmt: skip
