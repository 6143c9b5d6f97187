"""Several short lists by one question to the database.

A leaf. A page that shows ten lists of five rows would ask ten times; the waiting between question
and answer costs more than the rows.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

Rows = list[dict[str, Any]]


def rows_of(lists: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, Rows]:
    """Each list by its SELECT, as dictionaries by column. Call inside a tenancy context.

    ``lists`` is text of ours, never what somebody typed. What comes back is JSON: whole numbers,
    texts, booleans, lists; an instant is text that `at` reads, and a SELECT gives decimals as text.
    """
    parts = ", ".join(
        f"'{name}', (SELECT coalesce(json_agg(r), '[]') FROM ({select}) AS r)"  # noqa: S608
        for name, select in lists.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT json_build_object({parts})::text", parameters)
        return json.loads(cursor.fetchone()[0])


def at(text: str | None) -> datetime | None:
    """The instant that a row gives as text."""
    return datetime.fromisoformat(text) if text else None


def written(text: str | None, otherwise: str = "-") -> str:
    """The instant that a row gives as text, for staff: to the minute, in UTC."""
    found = at(text)
    return f"{found:%Y-%m-%d %H:%M}" if found else otherwise
