"""The sandbox as the gateway's tests use it: its controls, its books, and the next visit."""

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from exchanges.reports import AccountReport, Visit

Held = dict[tuple[str, str], Decimal]


def control(exchange: Any, path: str, *, method: str = "GET", body: Any = None) -> Any:
    """A call of the sandbox's own controls."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{exchange.url}/sandbox/{path}", data=data, method=method)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def books(exchange: Any, account: int, house: str = "binance") -> Held:
    """What an account holds by (wallet, code), as the sandbox itself knows it."""
    told = control(exchange, f"{house}/accounts/{account}/books")["balances"]
    return {
        (wallet, code): Decimal(quantity)
        for wallet, held in told.items()
        for code, quantity in held.items()
        if Decimal(quantity)
    }


def reported(report: AccountReport) -> Held:
    """The same as a report tells it."""
    return {(b.wallet, b.code): b.quantity for b in report.balances}


def follow_up(first: Visit, report: AccountReport, **changes: Any) -> Visit:
    """The visit after one that gave this report."""
    known = dict(first.known) | {(c.feed, c.scope): c for c in report.covered}
    codes = first.codes | {b.code for b in report.balances}
    changed = {"known": known, "held": reported(report), "codes": codes, "everything": False}
    return replace(first, **changed | {"now": datetime.now(UTC)} | changes)
