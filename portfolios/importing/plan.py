"""What would be booked of a file: everything about it that needs no database. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from portfolios.importing import cells, identity, table
from portfolios.importing.formats import own, registry
from portfolios.importing.reading import Format, Found, Frame, Line, Remark

_OF_AMOUNTS = ("quantity", "fee", "total")  # how our columns of amounts are called


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file's header is, what its columns are called and what they are for us."""

    format: Format
    header: tuple[str, ...]
    mapping: Mapping[str, str]
    rows: Sequence[table.Row]

    @property
    def missing(self) -> list[str]:
        return self.format.missing(self.mapping)


@dataclass(frozen=True, slots=True)
class Plan:
    """Facts with their names and lines, and the lines that are none."""

    layout: Layout
    found: Sequence[Found]
    remarks: Sequence[Remark]

    @property
    def total(self) -> int:
        return len(self.layout.rows)

    def lines(self, outcome: str) -> int:
        return sum(len(remark.lines) for remark in self.remarks if remark.outcome == outcome)


def lay_out(text: str, *, format: str = "", mapping: Mapping[str, str] | None = None) -> Layout:
    """Find the header and the format; without a format that fits it is ours, to be mapped.

    ``mapping`` says what the file's columns are; those it does not name keep the format's reading.
    Raises FileUnreadable.
    """
    rows = table.rows(text)
    kind, place, header = _header(rows, registry.FORMATS.get(format))
    if mapping:
        stated = {name: ours for name, ours in mapping.items() if name in header}
        told = kind.mapping(header)
        rest = {n: ours for n, ours in told.items() if ours not in stated.values()}
        found = {n: ours for n, ours in (rest | stated).items() if ours}
    else:
        found = kind.mapping(header)
    return Layout(kind, header, found, rows[place + 1 :])


def _header(rows: Sequence[table.Row], wanted: Format | None) -> tuple[Format, int, tuple]:
    """The first line that fits a format; else the first with several names is taken for ours."""
    candidates = list(table.headers(rows))
    for place, names in candidates:
        found = wanted if wanted and wanted.fits(names) else None
        if found or (not wanted and (found := registry.detect(names))):
            return found, place, names
    kind = wanted or own.FORMAT
    if not candidates:
        return kind, -1 if not rows else 0, table.named(rows[0].cells) if rows else ()
    best = max(candidates, key=lambda found: (len(kind.mapping(found[1])), -found[0]))
    return kind, best[0], best[1]


def interpret(layout: Layout, *, zone: tzinfo, now: datetime, first: int | None = None) -> Plan:
    """Read the rows (or the first so many); every row is in one fact or one remark."""
    if layout.missing:
        return Plan(layout, [], [])
    lines = list(_lines(layout, layout.rows[:first]))
    reading = layout.format.read(lines, Frame(now=now, zone=zone))
    fresh, repeated = identity.named(reading.found, feed=layout.format.feed)
    remarks = list(reading.remarks)
    remarks += [
        Remark("skipped", "repeated", "The same entry stands further up in this file.", item.lines)
        for item in repeated
        if item.lines
    ]
    return Plan(layout, fresh, remarks)


def _lines(layout: Layout, rows: Sequence[table.Row]) -> Iterator[Line]:
    """Rows by the names of our columns; a row may end before the header does."""
    places = {name: place for place, name in enumerate(layout.header)}
    columns = [(ours, places[name]) for name, ours in layout.mapping.items() if name in places]
    blank = dict.fromkeys(layout.mapping.values(), "")
    doubted = _amounts(columns) if _has_comma_decimals(layout.rows, columns) else []
    for row in rows:
        width, told = len(row.cells), row.cells
        found = blank | {ours: told[place] for ours, place in columns if place < width}
        for ours, _ in doubted:
            found[ours] = cells.doubted(found[ours])
        yield Line(row.line, found)


def _amounts(columns: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(ours, place) for ours, place in columns if ours.endswith(_OF_AMOUNTS)]


def _has_comma_decimals(rows: Iterable[table.Row], columns: Iterable[tuple[str, int]]) -> bool:
    """Whether any amount of the file plainly has its decimals behind a comma: then a point in
    another one may stand for thousands."""
    amounts = [place for _, place in _amounts(columns)]
    written = (row.cells[place] for row in rows for place in amounts if place < len(row.cells))
    return any(cells.has_comma_decimals(cell) for cell in written if "," in cell)
