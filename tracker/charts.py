"""Where the lines and bars of a chart lie; templates draw them as SVG.

A leaf, and pure: numbers in, coordinates out. No script, no picture from elsewhere, and the same
numbers stand beside each chart as a table for those who cannot see it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 24
SMALL_WIDTH, SMALL_HEIGHT = 240, 48
_STEPS = 4  # of the scale
_MOST_LABELS = 8
LEVELS = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """A step of an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, its points as SVG wants them, its last value and where that is.

    ``runs`` are the same points apart where a value is not known.
    """

    name: str
    points: str
    last: float | None
    end: tuple[float, float] | None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LineChart:
    """Several series over the same labels, from zero to a round number."""

    lines: tuple[Line, ...]
    scale: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]  # the same as a table
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    base: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart; the share is of the longest, in percent."""

    name: str
    value: int
    share: float
    note: str = ""


def line_chart(series: Mapping[str, Sequence[float | None]], labels: Sequence[str]) -> LineChart:
    """Series of the length of ``labels``, drawn from left to right; None is a gap."""
    known = [value for values in series.values() for value in values if value is not None]
    top = round_up(max(known, default=0))
    across = [_across(place, len(labels)) for place in range(len(labels))]
    lines = []
    for name, values in series.items():
        places = [
            None if value is None else (x, _down(value, top))
            for x, value in zip(across, values, strict=True)
        ]
        points = [place for place in places if place is not None]
        last = values[-1] if values else 0
        lines.append(
            Line(name, _text(points), last, points[-1] if points else None, _runs(places))
        )  # fmt: skip
    every = -(-len(labels) // _MOST_LABELS) or 1
    return LineChart(
        lines=tuple(lines),
        scale=tuple(
            Mark(_down(top * n // _STEPS, top), f"{top * n // _STEPS:,}") for n in range(_STEPS + 1)
        ),
        labels=tuple(Mark(across[n], labels[n]) for n in range(0, len(labels), every)),
        rows=tuple(zip(labels, zip(*series.values(), strict=True), strict=True)),
    )


def _runs(places: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    """Unbroken stretches; a point by itself stands twice, or nothing would be drawn."""
    found = [
        list(run) for known, run in groupby(places, key=lambda place: place is not None) if known
    ]
    return tuple(_text(run * 2 if len(run) == 1 else run) for run in found)


def _text(points: Iterable[tuple[float, float] | None]) -> str:
    return " ".join(f"{point[0]:g},{point[1]:g}" for point in points if point is not None)


def bars(values: Iterable[tuple[str, int, str]]) -> list[Bar]:
    """Name, value and note of each row, as bars against the longest."""
    rows = list(values)
    longest = max((value for _, value, _ in rows), default=0) or 1
    return [Bar(name, value, round(100 * value / longest, 1), note) for name, value, note in rows]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a small chart over time."""

    name: str
    value: float
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Columns:
    """A small chart over time, from zero to its highest column, with the same in a sentence."""

    columns: tuple[Column, ...]
    each: float  # how wide a column is
    sentence: str
    width: int = SMALL_WIDTH
    height: int = SMALL_HEIGHT


def columns(values: Sequence[tuple[str, float]]) -> Columns:
    """Names and values in the order of time; what lies below zero is drawn as zero."""
    top = max((value for _, value in values), default=0) or 1
    step = SMALL_WIDTH / max(len(values), 1)
    drawn = []
    for place, (name, value) in enumerate(values):
        least = 1.5 if value > 0 else 0  # to be seen at all
        tall = round(max((SMALL_HEIGHT - 2) * value / top, least), 1)
        drawn.append(
            Column(name, value, round(place * step, 1), round(SMALL_HEIGHT - tall, 1), tall)
        )
    return Columns(tuple(drawn), round(step * 0.8, 1), _in_words(values))


def _in_words(values: Sequence[tuple[str, float]]) -> str:
    if not values:
        return "Nothing to draw."
    (first, _), (last, now) = values[0], values[-1]
    highest, most = max(values, key=lambda pair: pair[1])
    least = min(value for _, value in values)
    return (
        f"From {first} to {last}: between {least:,.10g} and {most:,.10g} (on {highest}); "
        f"the last is {now:,.10g}."
    )


@dataclass(frozen=True, slots=True)
class Curve:
    """One value over time with gaps where it is not known, from its lowest to its highest."""

    runs: tuple[str, ...]  # what stands together, as points of SVG
    dots: tuple[tuple[float, float], ...]  # what stands alone
    high: Decimal
    low: Decimal
    first: str
    last: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM


def curve(values: Sequence[tuple[str, Decimal | None]]) -> Curve | None:
    """Labels and values in the order of time; None where no value is known."""
    known = [value for _, value in values if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    groups: list[list[tuple[float, float]]] = [[]]
    for place, (_, value) in enumerate(values):
        if value is None:
            groups.append([])
            continue
        share = float((value - low) / (high - low)) if high > low else 0.5
        down = round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)
        groups[-1].append((_across(place, len(values)), down))
    return Curve(
        tuple(" ".join(f"{x:g},{y:g}" for x, y in run) for run in groups if len(run) > 1),
        tuple(run[0] for run in groups if len(run) == 1),
        high, low, values[0][0], values[-1][0],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a line that runs from an earliest to a latest moment, in percent of it."""

    left: float
    width: float


def stretch(since: float, until: float, *, first: float, last: float) -> Stretch:
    """Where [since, until] lies on a line from ``first`` to ``last``; what is outside is cut."""
    room = last - first
    if room <= 0:
        return Stretch(0.0, 100.0)
    left, right = (min(max((at - first) / room, 0.0), 1.0) for at in (since, until))
    return Stretch(round(100 * left, 2), round(100 * max(right - left, 0.0), 2))


def level(share: float) -> int:
    """How strongly a cell of a heat table is tinted, from 0 to ``LEVELS``; only 0 has none."""
    return 0 if share <= 0 else min(LEVELS, 1 + int(share * LEVELS))


def round_up(value: float) -> int:
    """The end of a scale: the next 4, 8, 20, 40, 80, 200 …, which four steps divide evenly."""
    power = 1
    while True:
        for step in (4, 8, 20):
            if value <= step * power:
                return step * power
        power *= 10


def _across(place: int, count: int) -> float:
    room = WIDTH - LEFT - RIGHT
    return round(LEFT + room * (place / (count - 1) if count > 1 else 0.5), 1)


def _down(value: float, top: int) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), 1)
