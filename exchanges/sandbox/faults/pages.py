"""Faults within a page: rows that are missing, doubled, out of order, or of another schema.

A page is a list of rows (Binance), or an object of rows by their ids (Kraken).
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from exchanges.sandbox.faults import fault as faults
from exchanges.sandbox.faults.fault import Fault

Rows = list[tuple[Any, Any]]  # (id or None, row)
Change = Callable[[Fault, Rows], Rows]

_WRONG_SCHEMA = {"sandbox": "no such row", "id": None, "asset": 7, "amount": ["?"]}


def changed(body: bytes, fault: Fault, change: Change) -> bytes:
    """The body with its longest page changed; as it is, where there is none."""
    content = orjson.loads(body)
    page = max(_pages(content), key=len, default=None)
    if isinstance(page, list):
        page[:] = [row for _, row in change(fault, [(None, row) for row in page])]
    elif page is not None:
        rows = change(fault, list(page.items()))
        page.clear()
        page.update(rows)
    return orjson.dumps(content)


def _pages(content: Any) -> Iterator[Any]:
    if isinstance(content, list):
        if all(isinstance(row, dict | list) for row in content):
            yield content
    elif isinstance(content, dict):
        if content and all(isinstance(row, dict) for row in content.values()):
            yield content
            return
        for part in content.values():
            yield from _pages(part)


def _with_garbage(fault: Fault, rows: Rows) -> Rows:
    """One bad row among the good ones; where rows have ids, one of them is spoilt instead.

    An id that the exchange does not count would shift the pages behind it.
    """
    half = len(rows) // 2
    spoilt = rows[half][0] if rows else None
    rest = rows[half:] if spoilt is None else rows[half + 1 :]
    return [*rows[:half], (spoilt, _WRONG_SCHEMA), *rest]


def _short(fault: Fault, rows: Rows) -> Rows:
    """The page ends early, as if there were no more."""
    return rows[: len(rows) // 2]


def _doubled(fault: Fault, rows: Rows) -> Rows:
    """Every row twice; an object cannot hold an id twice, and stays as it is."""
    return [row for row in rows for _ in range(2)]


def _reordered(fault: Fault, rows: Rows) -> Rows:
    """Neither old nor new first."""
    return [*rows[1::2], *reversed(rows[::2])]


def _of_another_schema(fault: Fault, rows: Rows) -> Rows:
    return [(name, _other(fault, row) if isinstance(row, dict) else row) for name, row in rows]


def _other(fault: Fault, row: dict[str, Any]) -> dict[str, Any]:
    wanted = fault.field or next(iter(row), "")
    if fault.change == faults.RENAMED:
        return {f"{name}V2" if name == wanted else name: value for name, value in row.items()}
    return {name: {"value": v} if name == wanted else v for name, v in row.items()}


CHANGES: dict[str, Change] = {
    faults.GARBAGE: _with_garbage,
    faults.SHORT_PAGE: _short,
    faults.DUPLICATES: _doubled,
    faults.REORDERED: _reordered,
    faults.SCHEMA: _of_another_schema,
}
