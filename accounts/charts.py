"""A small picture of a week, for e-mail: mail programs show PNG, and no SVG.

Nothing is written in it, so that it needs no fonts; the numbers stand beside it as text.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

NAME = "week"
# Twice what it is shown as, for fine screens; drawn twice as large again, to be smooth.
WIDTH, HEIGHT = 1040, 260
_FINE = 2
_MARGIN = 20
# Both are readable on white and on the dark of e-mails at night.
_LINE, _AREA = (74, 120, 240, 255), (74, 120, 240, 48)
Point = tuple[float, float]


def of_days(days: Sequence[Mapping[str, Any]]) -> bytes | None:
    """A PNG of the values at the end of each day, oldest first; None where there is no line.

    Each day has ``value``, a decimal as text or None where it is not known, and ``partial``. A day
    whose value is not complete is a ring instead of a dot; one that is not known, a gap.
    """
    values = [None if day["value"] is None else Decimal(day["value"]) for day in days]
    if sum(value is not None for value in values) < 2:
        return None
    image = Image.new("RGBA", (WIDTH * _FINE, HEIGHT * _FINE), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    points = _points(values)
    for run in _runs(points):
        _draw_run(draw, run)
    for point, day in zip(points, days, strict=True):
        if point is not None:
            _draw_dot(draw, point, hollow=bool(day.get("partial")))
    return _png(image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def _points(values: Sequence[Decimal | None]) -> list[Point | None]:
    known = [value for value in values if value is not None]
    low, span = min(known), max(known) - min(known)
    width, height = WIDTH * _FINE, HEIGHT * _FINE
    margin = _MARGIN * _FINE
    step = (width - 2 * margin) / (len(values) - 1)
    return [
        None if value is None else (
            margin + place * step,
            # A week in which nothing moved is a line in the middle.
            height - margin - float((value - low) / span if span else Decimal("0.5"))
            * (height - 2 * margin),
        )
        for place, value in enumerate(values)
    ]  # fmt: skip


def _runs(points: Sequence[Point | None]) -> list[list[Point]]:
    """What stands together without a gap."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if len(run) > 1]


def _draw_run(draw: ImageDraw.ImageDraw, run: list[Point]) -> None:
    floor = HEIGHT * _FINE
    draw.polygon([(run[0][0], floor), *run, (run[-1][0], floor)], fill=_AREA)
    draw.line(run, fill=_LINE, width=6 * _FINE, joint="curve")


def _draw_dot(draw: ImageDraw.ImageDraw, point: Point, *, hollow: bool) -> None:
    radius = 8 * _FINE
    box = (point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius)
    fill = (255, 255, 255, 255) if hollow else _LINE
    draw.ellipse(box, fill=fill, outline=_LINE, width=4 * _FINE)


def _png(image: Image.Image) -> bytes:
    held = BytesIO()
    image.save(held, "PNG", optimize=True)
    return held.getvalue()
