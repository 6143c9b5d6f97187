"""Counting the rows of a dump without a database: in COPY's text a row is a line."""

import re
from collections import Counter
from collections.abc import Iterator

_COPY = re.compile(rb'^COPY (?:public|"public")\.("(?:[^"]|"")+"|[^\s(]+) .*FROM stdin;$')
_END = b"\n\\.\n"


def count(sql: Iterator[bytes]) -> dict[str, int]:
    """Rows by table in what ``pg_restore --data-only`` writes."""
    found: Counter[str] = Counter()
    table, held = "", b""
    for piece in sql:
        held += piece
        while True:
            if table:
                done, held, rows = _rows_of(held)
                found[table] += rows
                table = "" if done else table
                if not done:
                    break
            line, newline, rest = held.partition(b"\n")
            if not newline:
                break
            begun = _COPY.match(line)
            if begun:
                table = begun[1].decode().strip('"').replace('""', '"')
                found[table] += 0
                held = b"\n" + rest  # so that the end of no rows looks like any other
            else:
                held = rest
    return dict(found)


def _rows_of(held: bytes) -> tuple[bool, bytes, int]:
    """Whether the block has ended, what is left to read, and how many rows ended here.

    ``held`` begins with the newline of the line before; so does what is left within a block.
    """
    end = held.find(_END)
    if end >= 0:
        return True, held[end + len(_END) :], held.count(b"\n", 1, end + 1) if end else 0
    # A newline counts once it cannot be the one before the end any more.
    cut = held.rfind(b"\n", 0, len(held) - 2)
    if cut <= 0:
        return False, held, 0
    return False, held[cut:], held.count(b"\n", 1, cut + 1)
