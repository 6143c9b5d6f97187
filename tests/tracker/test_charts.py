"""Charts: every value is drawn, gaps stay gaps, words are there, and nothing foreign is in them."""

import re
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker import charts

EVIL = "<script>alert('1')</script>\" onload=\"x"
DAYS = [f"{day} Nov" for day in range(1, 6)]


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def drawn(svg: str, kind: str) -> list[ElementTree.Element]:
    return [part for part in tree(svg).iter() if part.get("class") == kind]


def tooltips(svg: str, kind: str) -> list[str]:
    return [part.findtext("title") or "" for part in drawn(svg, kind)]


def every_kind(name: str) -> dict[str, str]:
    curve = charts.curve([(name, Decimal(1)), ("b", Decimal(2))], key="c", title=name, unit=name)
    assert curve is not None
    return {
        "line": charts.line_chart(
            {name: [1, 2]}, [name, "b"], key="l", title=name, sentence=name, unit=name
        ).svg,
        "columns": charts.columns([(name, 1.0), ("b", 2.0)], key="k", title=name).svg,
        "bars": charts.bars([(name, 1, ""), ("b", 2, "")], key="b", title=name).svg,
        "curve": curve,
    }


@pytest.mark.parametrize("kind", ["line", "columns", "bars", "curve"])
def test_nothing_runs_is_styled_or_fetched_whatever_the_names_are(kind):
    svg = every_kind(EVIL)[kind]
    for part in tree(svg).iter():
        assert part.tag in {"svg", "title", "desc", "g", "path", "rect", "circle", "text"}
        assert not {
            name for name in part.attrib if name.startswith(("on", "style", "href", "xlink"))
        }
    assert "<?" not in svg
    assert "<!--" not in svg
    assert "//" not in svg
    assert "&lt;script&gt;" in svg


@pytest.mark.parametrize("kind", ["line", "columns", "bars", "curve"])
def test_each_is_an_image_with_a_title_and_a_sentence(kind):
    root = tree(every_kind("Ann")[kind])
    title, desc = root[0], root[1]
    assert (title.tag, title.text, desc.tag) == ("title", "Ann", "desc")
    assert desc.text
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"


@given(st.lists(st.none() | st.integers(0, 10**6), min_size=1, max_size=30))
def test_a_line_has_as_many_points_as_known_values(values):
    labels = [f"d{place}" for place in range(len(values))]
    chart = charts.line_chart({"a": values}, labels, key="a", title="A", sentence="S")
    assert tooltips(chart.svg, "dots") == [
        f"{label}: {value:,}" for label, value in zip(labels, values, strict=True)
        if value is not None
    ]  # fmt: skip
    assert chart.rows == tuple(
        (label, (value,)) for label, value in zip(labels, values, strict=True)
    )
    assert chart.lines == (charts.Line("a", values[-1]),)


def test_a_line_does_not_run_over_a_gap():
    values = [1, 2, None, 3, 4]
    svg = charts.line_chart({"a": values}, DAYS, key="a", title="A", sentence="S").svg
    path = " ".join(part.get("d", "") for part in drawn(svg, "line reactive nofill"))
    assert path.count("M") == 2
    assert len(re.findall(r"[\d.]+ [\d.]+", path)) == 4


def test_columns_leave_a_gap_where_nothing_is_known_and_say_it_in_words():
    values = [(day, value) for day, value in zip(DAYS, (4.0, None, 0.0, 2.5, 1.0), strict=True)]
    chart = charts.columns(values, key="a", title="A")
    assert tooltips(chart.svg, "bar") == ["1 Nov: 4", "3 Nov: 0", "4 Nov: 2.5", "5 Nov: 1"]
    assert chart.rows == tuple(values)
    assert chart.sentence == ("From 1 Nov to 5 Nov: between 0 and 4 (on 1 Nov); the last is 1.")


def test_a_curve_without_any_value_is_none():
    assert charts.curve([("a", None)], key="c", title="C", unit="USD") is None
    assert charts.columns([("a", None)], key="c", title="C").sentence == "Nothing to draw."


def test_bars_are_as_long_as_their_values_and_only_the_first_are_drawn():
    chart = charts.bars([("a", 4, ""), ("b", 1, ""), ("c", 0, "")], key="b", title="B")
    long = {
        part.findtext("title"): float(part[0].get("width", 0)) for part in drawn(chart.svg, "bar")
    }
    assert long["a: 4"] == pytest.approx(4 * long["b: 1"])
    assert long["c: 0"] == 0
    many = charts.bars([(f"n{n}", 1, "") for n in range(50)], key="b", title="B")
    assert len(drawn(many.svg, "bar")) == charts.MOST_BARS
    assert len(many.rows) == 50
    assert charts.bars([], key="b", title="B").rows == ()


def test_a_scale_ends_at_a_round_number_and_begins_at_zero():
    assert [charts.round_up(n) for n in (0, 4, 5, 9, 21, 100, 201)] == [4, 4, 8, 20, 40, 200, 400]
    svg = charts.line_chart({"a": [0, 5, 8]}, ["x", "y", "z"], key="a", title="A", sentence="S").svg
    texts = [part.text for part in tree(svg).iter("text")]
    assert texts == ["0", "2", "4", "6", "8", "x", "y", "z"]


def test_tints_go_by_the_share():
    assert [charts.level(share) for share in (0, 0.01, 0.5, 1)] == [0, 1, 3, 5]
