"""A running sandbox exchange for tests, with the few calls they make to its controls."""

import json
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from exchanges.sandbox import testing
from exchanges.sandbox.config import Config


class Sandbox:
    """`sandbox.books(0)`, `sandbox.fault(...)`, `sandbox.key(0)`."""

    def __init__(self, process: testing.SandboxProcess) -> None:
        self.process, self.url = process, process.url

    def key(self, account: int, role: str = "read", house: str = "binance") -> dict[str, str]:
        return {
            "api_key": self.process.api_key(account, role, house),
            "api_secret": self.process.api_secret(account, role, house),
        }

    def books(self, account: int, house: str = "binance") -> dict[str, Any]:
        return self._call("GET", f"{house}/accounts/{account}/books")

    def add_fact(self, account: int, *, house: str = "binance", **fact: Any) -> Any:
        return self._call("POST", f"{house}/accounts/{account}/facts", fact)

    def hide_fact(self, account: int, feed: str, fact_id: str) -> Any:
        return self._call("DELETE", f"accounts/{account}/facts/{feed}/{fact_id}")

    def violations(self) -> dict[str, Any]:
        return self._call("GET", "violations")

    def stats(self) -> dict[str, Any]:
        return self._call("GET", "stats")

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        self._call("POST", "faults", fault)
        try:
            yield
        finally:
            self._call("DELETE", "faults")

    def limits(self, minutes: int = 30) -> dict[str, Any]:
        """What may be used per minute and what was used, by address or account and pool."""
        return self._call("GET", f"limits?minutes={minutes}")

    def set_limits(self, **limits: Any) -> dict[str, Any]:
        """`sandbox.set_limits(weight=6000)`: what every address may use in a minute."""
        return self._call("POST", "limits", limits)

    def balances(self, account: int, house: str = "binance") -> dict[tuple[str, str], Decimal]:
        return {
            (wallet, code): Decimal(quantity)
            for wallet, held in self.books(account, house)["balances"].items()
            for code, quantity in held.items()
            if Decimal(quantity)
        }

    def ledger_sums(self, account: int) -> dict[tuple[str, str], Decimal]:
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for leg in self.books(account)["ledger"]:
            sums[leg["wallet"], leg["asset"]] += Decimal(leg["quantity"])
        return {place: total for place, total in sums.items() if total}

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  (loopback)
            f"{self.url}/sandbox/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")


@contextmanager
def running(**settings: Any) -> Iterator[Sandbox]:
    """A sandbox in a process of its own, stopped at the end."""
    with testing.start(Config(**settings)) as process:
        yield Sandbox(process)
