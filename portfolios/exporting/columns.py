"""What stands in a column of a file, and the SQL that says it.

Names are promises: scripts and spreadsheets of people go by them. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from portfolios.reports.tables import STARTS_A_FORMULA


class Kind(StrEnum):
    """What a column holds. The values are how the manifest calls it."""

    ID = "id"
    WORD = "word"  # one of ours, never a formula
    TEXT = "text"  # what people or exchanges wrote
    UNITS = "decimal"  # numeric(60, 30)
    MONEY = "money"  # numeric(28, 8)
    INTEGER = "integer"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    JSON = "json"
    VALUE = "value"  # one value out of JSON, whatever it is


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name; ``sql`` is an expression of a type that its kind goes with."""

    name: str
    kind: Kind
    sql: str
    meaning: str = ""


_FORMULAS = ", ".join(f"U&'\\{ord(letter):04x}'" for letter in STARTS_A_FORMULA)
_INSTANT = '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\''
# Decimals arrive as text in JSON, and are to stay numbers.
_NUMBER = r"'^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$'"


def plain(column: Column) -> str:
    """The column as text for a file whose texts nobody runs: exact decimals, instants in UTC.

    A value out of JSON is its JSON.
    """
    match column.kind:
        case Kind.UNITS | Kind.MONEY:
            return f"trim_scale({column.sql})"
        case Kind.INSTANT:
            return f"to_char({column.sql} AT TIME ZONE 'UTC', {_INSTANT})"
        case Kind.BOOLEAN | Kind.JSON | Kind.VALUE:
            return f"({column.sql})::text"
    return column.sql


def harmless(column: Column) -> str:
    """The same for CSV: text that a spreadsheet would run begins with an apostrophe."""
    match column.kind:
        case Kind.TEXT | Kind.JSON:
            return _quoted(plain(column))
        case Kind.VALUE:
            text = f"(({column.sql}) #>> '{{}}')"
            return f"CASE WHEN {text} ~ {_NUMBER} THEN {text} ELSE {_quoted(text)} END"
    return plain(column)


def _quoted(text: str) -> str:
    """Spaces in front do not keep a spreadsheet from running what follows."""
    return f"CASE WHEN left(ltrim({text}), 1) IN ({_FORMULAS}) THEN '''' || {text} ELSE {text} END"


# --- columns that many tables have --------------------------------------------------------------
def key(name: str, sql: str, meaning: str) -> Column:
    """An id of ours: opaque, never reused."""
    return Column(name, Kind.ID, sql, meaning)


def instant(name: str, sql: str, meaning: str) -> Column:
    """An instant in UTC."""
    return Column(name, Kind.INSTANT, sql, meaning)


def units(name: str, sql: str, meaning: str) -> Column:
    """An exact decimal."""
    return Column(name, Kind.UNITS, sql, meaning)


def word(name: str, sql: str, meaning: str) -> Column:
    """A word of ours."""
    return Column(name, Kind.WORD, sql, meaning)


def text(name: str, sql: str, meaning: str) -> Column:
    """What a person or an exchange wrote."""
    return Column(name, Kind.TEXT, sql, meaning)


def asset(name: str, alias: str, meaning: str) -> Iterator[Column]:
    """An asset's id and, beside it, the code that people know it by."""
    yield key(f"{name}_id", f"{alias}.id", f"{meaning}: our id of the asset")
    yield text(f"{name}_code", f"{alias}.code", f"{meaning}: its code; two assets may share one")


def place(alias: str = "c") -> Iterator[Column]:
    """Which account of the person's."""
    yield word("exchange", f"{alias}.exchange_id", "Exchange; manual for accounts kept by hand")
    yield text("connection_label", f"{alias}.label", "Your own name of the account")
    yield key("connection_id", f"{alias}.id", "Our id of the account")
