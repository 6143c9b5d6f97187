"""Files as people get them: asked for through the API, made by the task, fetched by the link."""

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

import openpyxl
import pyarrow.parquet as pq
from django.test import Client

from portfolios import tasks
from portfolios.models import FileExport
from tracker import money, tenancy

FORMATS = ("csv", "xlsx", "jsonl", "parquet")


class Exports:
    """One person's files."""

    def __init__(self, api: Any, user: Any) -> None:
        self.api, self.user = api, user

    def asked(self, *contents: str, format: str = "csv", **more: Any) -> dict[str, Any]:
        """What the API answers when a file is asked for."""
        body = {"contents": list(contents), "format": format, **more}
        answer = self.api.post("/exports", body)
        assert answer.status_code == 202, answer.content
        return answer.json()

    def made(self, *contents: str, format: str = "csv", **more: Any) -> dict[str, Any]:
        """A file that is ready, as the API tells of it."""
        asked = self.asked(*contents, format=format, **more)
        tasks.make_file_export(export_id=asked["id"])
        return self.told(asked["id"])

    def told(self, export_id: str) -> dict[str, Any]:
        return self.api.get(f"/exports/{export_id}").json()

    def zip(self, *contents: str, format: str = "csv", **more: Any) -> zipfile.ZipFile:
        """The file itself."""
        return opened(fetched(self.made(*contents, format=format, **more)["url"]))

    def rows(self, content: str, *, format: str = "csv", table: str = "", **more: Any) -> Any:
        """Rows of one table, in the file's own types."""
        return rows_of(self.zip(content, format=format, **more), table or content, format)

    def row(self, export_id: str) -> FileExport:
        with tenancy.as_user(self.user.id):
            return FileExport.objects.get(id=export_id)


def fetched(url: str) -> Any:
    """What somebody without a token gets at an address of ours."""
    parts = urlsplit(url)
    return Client().get(f"{parts.path}?{parts.query}")


def opened(answer: Any) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.content
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def rows_of(found: zipfile.ZipFile, table: str, format: str) -> list[dict[str, Any]]:
    data = found.read(f"{table}.{format}")
    match format:
        case "csv":
            return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        case "jsonl":
            return [json.loads(line) for line in data.splitlines()]
        case "parquet":
            return pq.read_table(io.BytesIO(data)).to_pylist()
    return sheets_of(data)


def sheets_of(data: bytes) -> list[dict[str, Any]]:
    """Rows of all sheets of a workbook; each begins with the same header."""
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    rows: list[dict[str, Any]] = []
    for sheet in book.worksheets:
        header, *lines = sheet.iter_rows(values_only=True)
        # Empty cells at the end of a line are left out.
        rows += [dict(zip_longest(header, line)) for line in lines]
    return rows


def plain(value: Any) -> str | None:
    """A cell of any format as the API writes the same thing; empty is none."""
    if value in (None, ""):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return money.to_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = str(value)
    if text.endswith("Z") and text[10:11] == "T":
        return datetime.fromisoformat(text).isoformat()
    return text
