"""Making a report: one file of one form in one format, or the reason why not.

The file is written to its end before anything is sent, in a temporary file that leaves memory at
5 MB: a download that broke off in the middle would look like a shorter year. No transaction stays
open while a slow phone reads it.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import ModuleType
from typing import IO
from zoneinfo import ZoneInfo

from accounts.models import User
from portfolios.cost import gains
from portfolios.cost.gains import Extent
from portfolios.reports import csv_file, form_8949, generic, pdf_file, xlsx_file
from portfolios.reports.rows import Source
from portfolios.reports.tables import Column, Line, Table, decimals_of
from portfolios.sync import completeness
from tracker.api import InvalidInput
from tracker.errors import DomainError

_IN_MEMORY = 5_000_000


class Form(StrEnum):
    """Which columns."""

    FORM_8949 = "8949"
    GENERIC = "generic"


class Format(StrEnum):
    """Which kind of file."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


class ReportTooLong(DomainError):
    code = "report_too_long"
    status = 409
    message = "This report has too many lines for this format. Please choose CSV instead."


@dataclass(frozen=True, slots=True)
class Report:
    """A finished file, open for reading from its beginning."""

    content: IO[bytes]
    file_name: str
    content_type: str


_FORMS: dict[Form, tuple[str, ModuleType]] = {
    Form.FORM_8949: ("Form 8949", form_8949),
    Form.GENERIC: ("Gains and income", generic),
}
_FILES: dict[Format, ModuleType] = {
    Format.CSV: csv_file,
    Format.XLSX: xlsx_file,
    Format.PDF: pdf_file,
}


def make(
    *,
    user: User,
    extent: Extent,
    form: Form,
    file_format: Format,
    method: str | None,
    now: datetime,
) -> Report:
    """A person's gains as a file. Raises InvalidInput (a form without its year), ReportTooLong."""
    if form == Form.FORM_8949 and extent.year is None:
        raise InvalidInput.of("year", "This form is for one year.", code="required")
    file_kind = _FILES[file_format]
    content = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (the caller closes)
    with gains.counted_by(user=user, method=method) as in_force:
        source = Source(user, extent)
        _check_length(source, file_kind.MOST_LINES)
        file_kind.write(_table(source, form, in_force, now), content)
    content.seek(0)
    year = extent.year or "all"
    return Report(content, f"gains-{year}-{form}.{file_format}", file_kind.CONTENT_TYPE)


def _check_length(source: Source, most: int | None) -> None:
    if most is not None and (lines := source.count()) > most:
        raise ReportTooLong(details={"lines": lines, "most": most})


def _table(source: Source, form: Form, method: str, now: datetime) -> Table:
    user = source.user
    name, module = _FORMS[form]
    columns: Callable[[str], list[Column]] = module.columns
    lines: Callable[[Source], Iterator[Line]] = module.lines
    return Table(
        title=f"{name}, {source.extent.year or 'all years'}",
        remarks=_remarks(source, method, now),
        columns=columns(user.base_currency),
        lines=lines(source),
        decimals=decimals_of(user.base_currency),
    )


def _remarks(source: Source, method: str, now: datetime) -> list[str]:
    user = source.user
    told = gains.overview(user=user, extent=source.extent, method=method, now=now)
    prepared = now.astimezone(ZoneInfo(user.time_zone))
    where = (
        "each account by itself" if user.cost_basis_scope == "account" else "all accounts as one"
    )
    return [
        f"{user.email}, prepared {prepared:%Y-%m-%d %H:%M}, dates in {user.time_zone}",
        f"Cost basis: {method.upper()}, {where}; long-term after {user.long_term_days} days. "
        f"Amounts in {user.base_currency}, each rounded half to even.",
        completeness.sentence(completeness.of_person(user_id=user.id)),
        *_doubts(told),
    ]


def _doubts(told: dict) -> list[str]:
    """What a reader must know before trusting the sums."""
    totals = told["totals"]
    said = {
        "unknown_basis": "pieces sold whose cost is unknown; they are in no total.",
        "unpriced": "pieces sold without a known price; they are in no total.",
        "unpriced_income": "times income without a known price.",
        "unexplained_withdrawals": "withdrawals that are neither paired nor explained; "
        "they are taken for no sale.",
    }
    found = [f"Incomplete: {totals[name]} {said[name]}" for name in totals["depends_on"]]
    if told["status"] == "updating":
        found.append("Later changes were still being computed when this was made.")
    return found
