"""From the bytes of a file to its rows, each with its line number. Pure.

Encodings are told by what only they can hold: a byte order mark, or bytes that are UTF-8. Any
other is refused, because the wrong guess would turn names into others without a word.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracker.errors import DomainError

MOST_ROWS = 25_000  # they are read within the request that sends them
_MOST_COLUMNS = 200
_LONGEST_CELL = 10_000
_SEARCHED = 15  # so many lines may stand before the header
_DELIMITERS = (",", ";", "\t")


class FileUnreadable(DomainError):
    """No rows can be had of this file at all; the sentence says why."""

    code = "import_file_unreadable"
    status = 400
    message = "This file cannot be read."


class TooManyRows(FileUnreadable):
    message = f"This file has more than {MOST_ROWS:,} rows. Please split it."


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the line that it begins on (the first line of the file is 1), and its cells."""

    line: int
    cells: tuple[str, ...]


def decode(content: bytes) -> str:
    """The text of a file in UTF-8, with or without a mark, or UTF-16. Raises FileUnreadable."""
    if not content.strip(b"\x00\r\n\t ,;\xef\xbb\xbf\xff\xfe"):
        raise FileUnreadable("This file is empty.")
    marked_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if marked_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise FileUnreadable(
            "This file is not in UTF-8. Please save it as CSV in UTF-8 and send it again."
        ) from None
    if "\x00" in text or _binary(text):
        raise FileUnreadable("This is not a text file. Please send a CSV file.")
    return text


def _binary(text: str) -> bool:
    sample = text[:4096]
    odd = sum(1 for letter in sample if ord(letter) < 32 and letter not in "\r\n\t")
    return sample.startswith("%PDF") or odd * 50 > len(sample)


def rows(text: str) -> Sequence[Row]:
    """Every record that is not empty. Raises FileUnreadable."""
    found = list(_records(text, _delimiter(text)))
    if len(found) > MOST_ROWS:
        raise TooManyRows
    return found


def _records(text: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line, number = 1, 0
    try:
        for record in reader:
            if any(map(str.strip, record)):
                number += 1
                _check(record)
                yield Row(line, tuple(record))
            if number > MOST_ROWS + _SEARCHED:
                raise TooManyRows
            line = reader.line_num + 1
    except csv.Error:
        raise FileUnreadable(f"Line {line} is not CSV: a quotation mark is out of place.") from None


def _check(record: Sequence[str]) -> None:
    if len(record) > _MOST_COLUMNS:
        raise FileUnreadable(f"This file has more than {_MOST_COLUMNS} columns.")
    if max(map(len, record)) > _LONGEST_CELL:
        raise FileUnreadable("A cell of this file is longer than any entry can be.")


def _delimiter(text: str) -> str:
    """The one that most of the first lines hold the most of."""
    lines = [line for line in text[:65_536].splitlines() if line.strip()][: _SEARCHED + 10]
    total = Counter({mark: sum(line.count(mark) for line in lines) for mark in _DELIMITERS})
    steady = {mark: sum(mark in line for line in lines) for mark in _DELIMITERS}
    return max(_DELIMITERS, key=lambda mark: (steady[mark], total[mark]))


def headers(found: Sequence[Row]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows that may be the header, with their place: the first few that have several names."""
    for place, row in enumerate(found[:_SEARCHED]):
        names = named(row.cells)
        if sum(bool(name) for name in names) > 1:
            yield place, names


def named(cells: Sequence[str]) -> tuple[str, ...]:
    """The names of columns; the second ``Cur.`` is called ``Cur. 2``."""
    seen: Counter[str] = Counter()
    found = []
    for cell in cells:
        name = " ".join(cell.split())[:100]
        seen[name] += 1
        found.append(f"{name} {seen[name]}" if name and seen[name] > 1 else name)
    return tuple(found)
