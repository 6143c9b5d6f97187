"""The front page of the admin: is anything wrong? Tiles that the rooms brought, each with a chart.

A tile is kept for a minute, for all readers together, because it says nothing of anybody. One that
cannot be read says so, and the others are shown all the same.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from django.utils.text import slugify

from tracker import charts, clock, desk
from tracker.desk import Figure, Level, Tile
from tracker.logs import get_logger

log = get_logger(__name__)
Values = tuple[tuple[str, float], ...]
KEPT_SECONDS = 60
_MOST_BARS = 6
_BROKEN = "This could not be read; the log says why. It says nothing about whether all is well."


@dataclass(frozen=True, slots=True)
class Shown:
    """A tile with its chart laid out."""

    key: str
    title: str
    tile: Tile
    columns: charts.Columns | None = None
    bars: charts.Bars | None = None
    left_out: int = 0  # bars


def shown(request: HttpRequest) -> dict[str, Any]:
    """What the template of the front page draws. Call inside ``as_system``."""
    now = clock.now()
    tiles = _tiles(desk.figures(request), now)
    return {
        "tiles": tiles,
        "bad": [one.title for one in tiles if one.tile.level == Level.BAD],
        "watched": [one.title for one in tiles if one.tile.level == Level.WATCH],
        "unknown": [one.title for one in tiles if one.tile.level == Level.UNKNOWN],
        "as_of": now,
        "may_find": may_find(request),
    }


def may_find(request: HttpRequest) -> bool:
    """Whether somebody may look people up at all."""
    return request.user.has_perm("accounts.view_user")


def _tiles(figures: Sequence[Figure], now: datetime) -> list[Shown]:
    known = cache.get_many([_key(figure) for figure in figures]) or {}
    return [
        _laid_out(figure, _kept(known.get(_key(figure))) or _read(figure, now))
        for figure in figures
    ]


def _key(figure: Figure) -> str:
    return f"desk:figure:{slugify(figure.title)}"


def _kept(found: dict[str, Any] | None) -> Tile | None:
    """What another release has kept may have another shape, and is then read anew."""
    if found is None:
        return None
    try:
        values = tuple((name, value) for name, value in found["values"])
        return Tile(**{**found, "level": Level(found["level"]), "values": values})
    except (TypeError, ValueError, KeyError):
        return None


def _read(figure: Figure, now: datetime) -> Tile:
    try:
        with transaction.atomic():  # what a failed query leaves behind ends with it
            tile = figure.read(now=now)
            cache.set(_key(figure), asdict(tile), timeout=KEPT_SECONDS)
    except Exception as error:  # whatever it is, the other tiles matter more
        log.exception("desk.figure_failed", figure=figure.title, error=type(error).__name__)
        return Tile("?", Level.UNKNOWN, _BROKEN)
    return tile


def _laid_out(figure: Figure, tile: Tile) -> Shown:
    key = slugify(figure.title)
    if not tile.values:
        return Shown(key, figure.title, tile)
    if not tile.by_name:
        return Shown(key, figure.title, tile, columns=_columns(*_drawn(key, tile)))
    left_out = max(len(tile.values) - _MOST_BARS, 0)
    return Shown(key, figure.title, tile, bars=_bars(*_drawn(key, tile)), left_out=left_out)


def _drawn(key: str, tile: Tile) -> tuple[str, str, Values]:
    return key, tile.values_are, tuple((name, value) for name, value in tile.values)


# A chart is some milliseconds of work, and most look as they did a minute ago.
@lru_cache(maxsize=64)
def _columns(key: str, title: str, values: Values) -> charts.Columns:
    return charts.columns(values, key=key, title=title)


@lru_cache(maxsize=64)
def _bars(key: str, title: str, values: Values) -> charts.Bars:
    longest = sorted(values, key=lambda pair: -pair[1])[:_MOST_BARS]
    rows = ((name, int(value), "") for name, value in longest)
    return charts.bars(rows, key=key, title=title, narrow=True)
