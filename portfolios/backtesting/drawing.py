"""A backtest as a picture: SVG without script, readable in light and dark, with a text of its own.

Above the equity beside what it is compared with, below how far it is under its highest so far.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string

from portfolios.models import Backtest
from tracker.errors import DomainError

WIDTH, HEIGHT = 800, 460
_LEFT, _RIGHT, _TOP, _BASE = 76, 16, 58, 320
_FALL_TOP, _FALL_BASE = 350, 430
_LOG_FROM = 8  # a range of more than so many times its least is drawn in logarithms
_MOST_DAYS = 6
_STEPS = 5  # of the scale, about
_FLAT = 1e-9  # a smaller share of the highest is no movement


class NothingToDraw(DomainError):
    code = "backtest_without_chart"
    status = 409
    message = "There is a chart once this backtest is done."


@dataclass(frozen=True, slots=True)
class Mark:
    """A step of an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, its class in the style, its points, and what it ended with."""

    name: str
    style: str
    points: str
    last: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to heights."""

    low: float
    high: float
    logarithmic: bool

    def down(self, value: float) -> float:
        low, high, at = (self._scaled(one) for one in (self.low, self.high, value))
        share = 0.5 if high == low else (at - low) / (high - low)
        return round(_BASE - (_BASE - _TOP) * share, 1)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def steps(self) -> Iterator[float]:
        """Round numbers from low to high."""
        if self.logarithmic:
            yield from _decades(self.low, self.high)
            return
        step = _round_step((self.high - self.low) / _STEPS)
        first = math.ceil(self.low / step)
        # Counted, because adding a small step to a large number may change nothing.
        marks = (step * (first + place) for place in range(2 * _STEPS + 1))
        yield from (at for at in marks if at <= self.high)


Points = Sequence[tuple[float, float]]
_CURVES = (("equity", "Strategy"), ("buy_and_hold", "Buy and hold"),
           ("own_history", "Your own history"))  # fmt: skip


def svg(row: Backtest) -> str:
    """The chart of a backtest that is done. Raises NothingToDraw."""
    details: Mapping[str, Any] = row.details or {}
    curves = {style: _read(details.get(style) or []) for style, _ in _CURVES}
    if not curves["equity"]:
        raise NothingToDraw
    times = [at for at, _ in curves["equity"]]
    axis = _axis([value for points in curves.values() for _, value in points])
    span = (times[0], times[-1])
    lines = [
        Line(name, style, _drawn(curves[style], span, axis.down), _money(curves[style][-1][1]))
        for style, name in _CURVES
        if curves[style]
    ]
    falls = _read(details.get("drawdown") or [])
    deepest = min((value for _, value in falls), default=0.0)
    context = {
        "width": WIDTH, "height": HEIGHT, "left": _LEFT, "right": WIDTH - _RIGHT, "base": _BASE,
        "top": _TOP, "fall_top": _FALL_TOP, "fall_base": _FALL_BASE,
        "title": _title(row, times),
        "lines": lines, "scale": [Mark(axis.down(one), _money(one)) for one in axis.steps()],
        "days": list(_days(span)), "logarithmic": axis.logarithmic,
        "fall": _area(falls, span, deepest), "deepest": f"{deepest:.1%}",
        "summary": _summary(row, lines, deepest),
    }  # fmt: skip
    return render_to_string("charts/backtest.svg", context)


def _title(row: Backtest, times: Sequence[float]) -> str:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (times[0], times[-1]))
    return f"{row.strategy_name}: {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _read(pairs: Sequence[Sequence[str]]) -> Points:
    return [
        (datetime.fromisoformat(at).timestamp(), float(Decimal(value)))
        for at, value in pairs
        if value is not None
    ]


def _axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low > _LOG_FROM
    moved = high - low if high - low > _FLAT * abs(high) else 0.0
    room = 0 if logarithmic else moved * 0.04 or high * 0.01 or 1.0
    return _Axis(low - room, high + room, logarithmic)


def _across(at: float, span: tuple[float, float]) -> float:
    share = 0.5 if span[1] == span[0] else (at - span[0]) / (span[1] - span[0])
    return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(share, 0.0), 1.0), 1)


def _drawn(points: Points, span: tuple[float, float], down: Any) -> str:
    return " ".join(f"{_across(at, span):g},{down(value):g}" for at, value in points)


def _area(falls: Points, span: tuple[float, float], deepest: float) -> str:
    """How far under its highest, from the upper edge down."""
    if not falls or not deepest:
        return ""
    room = _FALL_BASE - _FALL_TOP
    inner = " ".join(
        f"{_across(at, span):g},{_FALL_TOP + room * value / deepest:.1f}" for at, value in falls
    )
    first, last = _across(falls[0][0], span), _across(falls[-1][0], span)
    return f"{first:g},{_FALL_TOP} {inner} {last:g},{_FALL_TOP}"


def _days(span: tuple[float, float]) -> Iterator[Mark]:
    for place in range(_MOST_DAYS):
        at = span[0] + (span[1] - span[0]) * place / (_MOST_DAYS - 1)
        yield Mark(_across(at, span), f"{datetime.fromtimestamp(at, UTC):%b %Y}")


def _decades(low: float, high: float) -> Iterator[float]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in (1, 2, 5):
            if low <= factor * 10.0**power <= high:
                yield factor * 10.0**power


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(step * power for step in (1, 2, 5, 10) if rough <= step * power)


def _money(value: float) -> str:
    return f"${value:,.0f}" if abs(value) >= 100 else f"${value:,.2f}"


def _summary(row: Backtest, lines: Sequence[Line], deepest: float) -> str:
    ends = ", ".join(f"{line.name} {line.last}" for line in lines)
    return f"From {_money(float(row.cash))}: {ends}. Deepest fall of the strategy {deepest:.1%}."
