"""The record of processing activities (Art. 30 GDPR), made from the inventory."""

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

import orjson
from django.conf import settings
from rich.console import Console
from rich.table import Table as Grid

from accounts.privacy import inventory
from accounts.privacy.inventory import TABLES, Erasure

_SUBJECTS = "People with an account; staff"


def facts() -> dict[str, Any]:
    """The whole record as plain data."""
    return {
        "controller": settings.OPERATOR,
        "data_subjects": _SUBJECTS,
        "activities": [
            {
                "purpose": table.purpose, "legal_basis": table.basis,
                "table": inventory.model(label)._meta.db_table, "model": label,
                "categories": {kind: list(names) for kind, names in table.fields.items() if names},
                "retention": table.retention, "on_erasure": str(table.erasure), "why": table.why,
            }
            for label, table in TABLES.items()
            if table.erasure != Erasure.NOBODY
        ],
        "outside_the_database": dict(inventory.STORES),
        "recipients": dict(inventory.RECIPIENTS),
        "security_measures": list(inventory.MEASURES),
        "without_personal_data": [
            inventory.model(label)._meta.db_table
            for label, table in TABLES.items()
            if table.erasure == Erasure.NOBODY
        ],
    }  # fmt: skip


def as_json() -> str:
    return orjson.dumps(facts(), option=orjson.OPT_INDENT_2).decode()


_COLUMNS = ("purpose", "legal basis", "table", "fields", "kept", "on erasure")


def _row(activity: Mapping[str, Any]) -> tuple[str, ...]:
    fields = "; ".join(f"{kind}: {', '.join(n)}" for kind, n in activity["categories"].items())
    erasure = f"{activity['on_erasure']}: {activity['why']}"
    return (
        activity["purpose"], activity["legal_basis"], activity["table"], fields,
        activity["retention"], erasure,
    )  # fmt: skip


def as_markdown() -> str:
    record = facts()
    lines = ["# Record of processing activities (Art. 30 GDPR)", ""]
    lines += [f"Controller: {_controller(record)}", "", f"Data subjects: {_SUBJECTS}", ""]
    lines += ["## Purposes, categories, retention", "", "| " + " | ".join(_COLUMNS) + " |"]
    lines += ["|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(_row(activity)) + " |" for activity in record["activities"]]
    for title, part in _lists(record):
        lines += ["", f"## {title}", "", *(f"- {line}" for line in part)]
    return "\n".join(lines) + "\n"


def as_text() -> str:
    record = facts()
    grid = Grid(*_COLUMNS, title="Record of processing activities (Art. 30 GDPR)")
    for activity in record["activities"]:
        grid.add_row(*_row(activity))
    lists = [
        title + "\n" + "\n".join(f"  {line}" for line in part) for title, part in _lists(record)
    ]
    head = f"Controller: {_controller(record)}\nData subjects: {_SUBJECTS}"
    return "\n\n".join([head, printed(grid, width=160), *lists])


def printed(grid: Grid, *, width: int) -> str:
    """A table as plain text."""
    out = StringIO()
    Console(file=out, width=width).print(grid)
    return out.getvalue()


def _controller(record: Mapping[str, Any]) -> str:
    return ", ".join(value for value in record["controller"].values() if value)


def _lists(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        ("Recipients", [f"{who}: {what}" for who, what in record["recipients"].items()]),
        ("Held outside the database",
         [f"{where}: {what}" for where, what in record["outside_the_database"].items()]),
        ("Security measures", record["security_measures"]),
        ("Tables without personal data", [", ".join(record["without_personal_data"])]),
    ]  # fmt: skip


FORMATS: Mapping[str, Callable[[], str]] = {
    "text": as_text, "markdown": as_markdown, "json": as_json,
}  # fmt: skip
