"""Charts of the admin, drawn by pygal on the server as SVG that stands in the page itself.

A leaf: numbers in, markup out. No script, style or address is in it; colours and lines come from
our own style sheet (accounts/charts.css) by pygal's names of classes. Each chart is an image with a
title and a sentence, and hands on its numbers for a table beside it.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import pygal
from django.utils.safestring import SafeString, mark_safe
from pygal.etree import etree
from pygal.style import Style

# Its finder of plugins, of which we have none, lacks what finders must have since Python 3.4.
sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, pygal.PluginImportFixer)]
# pygal takes lxml where there is one; the same everywhere is easier to rely on.
etree.to_etree()

Number = int | float | Decimal
_LINES = {"width": 720, "height": 220}
_SMALL = {"width": 280, "height": 76}
_ROW = 16  # height of a bar with its name
_STEPS = 4  # of a scale
_MOST_LABELS = 8
_MOST_LETTERS = 30  # of a name beside a bar
_WIDE, _NARROW = 420, 280  # charts of bars
MOST_BARS = 12
LEVELS = 5
_LETTERS = Style(label_font_size=11, major_label_font_size=11, value_font_size=11)
# By the size of values pygal makes room behind lying bars, as if they stood; the sheet sets theirs.
_LYING = Style(label_font_size=11, major_label_font_size=11, value_font_size=3)
_BARE: dict[str, Any] = {
    "js": (), "css": (), "no_prefix": True, "disable_xml_declaration": True, "style": _LETTERS,
    "show_legend": False, "margin": 4, "spacing": 6, "truncate_label": -1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, and its last value."""

    name: str
    last: float | None


@dataclass(frozen=True, slots=True)
class LineChart:
    """Several series over the same labels, from zero to a round number."""

    svg: SafeString
    lines: tuple[Line, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]  # the same as a table


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart."""

    name: str
    value: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Lying bars from zero, in the order they were given."""

    svg: SafeString
    rows: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """A small chart over time, with the same in a sentence."""

    svg: SafeString
    rows: tuple[tuple[str, float | None], ...]
    sentence: str


def line_chart(
    series: Mapping[str, Sequence[float | None]], labels: Sequence[str], *, key: str, title: str,
    sentence: str, unit: str = "",
) -> LineChart:  # fmt: skip
    """Series of the length of ``labels``, from left to right; None is a gap.

    ``key`` is unique on the page; ``sentence`` describes the chart to those who do not see it;
    ``unit`` stands behind the numbers of the scale.
    """
    known = [value for values in series.values() for value in values if value is not None]
    rows = tuple(zip(labels, zip(*series.values(), strict=True), strict=True))
    drawn = pygal.Line(
        **_BARE | _LINES | _scale(round_up(max(known, default=0))) | _few(labels),
        allow_interruptions=True, dots_size=1.5, **_says(unit),
    )  # fmt: skip
    for name, values in series.items():
        drawn.add(name, list(values))
    ends = tuple(Line(name, values[-1] if values else None) for name, values in series.items())
    return LineChart(_svg(drawn, key, title, sentence, "lines"), ends, rows)


def curve(
    values: Sequence[tuple[str, Decimal | None]], *, key: str, title: str, unit: str
) -> SafeString | None:
    """One value over time with gaps where it is None, from its lowest to its highest; None where
    no value is known. Money becomes a float here because it is drawn, not counted."""
    known = [value for _, value in values if value is not None]
    if not known:
        return None
    labels = [label for label, _ in values]
    drawn = pygal.Line(
        **_BARE | _LINES | _few(labels, most=4), allow_interruptions=True, dots_size=2,
        max_scale=_STEPS + 2, **_says(f" {unit}"),
    )  # fmt: skip
    drawn.add(unit, [None if value is None else float(value) for _, value in values])
    sentence = (
        f"Between {min(known)} and {max(known)} {unit} from {labels[0]} to {labels[-1]}; "
        "the table below has every day."
    )
    return _svg(drawn, key, title, sentence, "curve")


def columns(values: Sequence[tuple[str, float | None]], *, key: str, title: str) -> Columns:
    """Names and values in the order of time; None is a gap."""
    known = [value for _, value in values if value is not None]
    labels = [name for name, _ in values]
    top, least = max(known, default=0), min(known, default=0)
    drawn = pygal.Bar(
        **_BARE | _SMALL, range=(min(least, 0), max(top, 0) or 1), y_labels=sorted({0, top}),
        x_labels=labels, x_labels_major=labels[:1] + labels[-1:], show_minor_x_labels=False,
        margin_right=20, **_says(),
    )  # fmt: skip
    drawn.add(title, [value for _, value in values])
    sentence = _in_words(values)
    return Columns(_svg(drawn, key, title, sentence, "columns"), tuple(values), sentence)


def bars(
    values: Iterable[tuple[str, int, str]], *, key: str, title: str, narrow: bool = False
) -> Bars:
    """Name, value and note of each row; the first ``MOST_BARS`` are drawn, all are told."""
    rows = tuple(Bar(*row) for row in values)
    shown = rows[:MOST_BARS][::-1]  # pygal begins below
    drawn = pygal.HorizontalBar(
        **_BARE | {"style": _LYING}, width=_NARROW if narrow else _WIDE,
        height=_ROW * max(len(shown), 1) + 10,
        range=(0, max((row.value for row in shown), default=0) or 1),
        x_labels=[_shortened(row.name) for row in shown], show_x_labels=False,
        margin_right=52, print_values=True, print_values_position="top", **_says(),
    )  # fmt: skip
    drawn.add(title, [row.value for row in shown])
    return Bars(_svg(drawn, key, title, _bars_in_words(rows), "bars"), rows)


def _few(labels: Sequence[str], most: int = _MOST_LABELS) -> dict[str, Any]:
    """As many labels as there is room for."""
    every = -(-len(labels) // most) or 1
    return {
        "x_labels": list(labels), "x_labels_major_every": every, "show_minor_x_labels": False,
        "margin_right": 36,
    }  # fmt: skip


def _scale(top: int) -> dict[str, Any]:
    return {"range": (0, top), "y_labels": [top * n // _STEPS for n in range(_STEPS + 1)]}


def _says(unit: str = "") -> dict[str, Callable[[Number | None], str]]:
    def spoken(value: Number | None) -> str:
        return "" if value is None else f"{value:,.10g}{unit}"

    return {"formatter": spoken, "value_formatter": spoken}  # of points, and of the scale


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


# --- in words -----------------------------------------------------------------------------------
def _in_words(values: Sequence[tuple[str, float | None]]) -> str:
    known = [(name, value) for name, value in values if value is not None]
    if not known:
        return "Nothing to draw."
    (first, _), (last, now) = known[0], known[-1]
    highest, most = max(known, key=lambda pair: pair[1])
    least = min(value for _, value in known)
    return (
        f"From {first} to {last}: between {least:,.10g} and {most:,.10g} (on {highest}); "
        f"the last is {now:,.10g}."
    )


def _bars_in_words(rows: Sequence[Bar]) -> str:
    if not rows:
        return "Nothing to draw."
    longest = max(rows, key=lambda row: row.value)
    shown = f" The first {MOST_BARS} are drawn." if len(rows) > MOST_BARS else ""
    return (
        f"{len(rows)} rows, the longest {longest.name} with {longest.value:,}.{shown} "
        "All numbers are in the table."
    )


# --- from pygal's tree to what stands in the page -------------------------------------------------
def _svg(drawn: Any, key: str, title: str, sentence: str, kind: str) -> SafeString:
    """The picture alone: what pygal adds for its own script, style and tooltips is left out."""
    tree = drawn.render_tree()
    (graph,) = (part for part in tree if part.get("class", "").startswith("graph "))
    root = Element("svg", {
        "class": f"pygal-chart {kind}", "role": "img", "viewBox": tree.get("viewBox"),
        "aria-labelledby": f"chart-{key}-title chart-{key}-desc",
    })  # fmt: skip
    SubElement(root, "title", {"id": f"chart-{key}-title"}).text = title
    SubElement(root, "desc", {"id": f"chart-{key}-desc"}).text = sentence
    root.append(_tidied(graph))
    # Safe: written by ElementTree, which escapes all text and attributes.
    return mark_safe(tostring(root, encoding="unicode"))  # noqa: S308


def _tidied(part: Element) -> Element:
    """Without parts for the script; what a point says becomes its tooltip of the browser."""
    said = {note.get("class", ""): note.text for note in part if note.tag == "desc"}
    for child in list(part):
        if child.tag in ("desc", "title") or "tooltip-overlay" in child.get("class", ""):
            part.remove(child)
        else:
            _tidied(child)
    if value := said.get("value"):
        label = said.get("x_label")
        SubElement(part, "title").text = f"{label}: {value}" if label else value
    return part


# --- layouts of tables, for which pygal has nothing: a line of time in a row, and tinted cells ----
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
