"""The checklist of a launch: what must be true before people are let in, looked at as it is now.

A leaf with one list. Each room adds what only it can look at, when its app is ready; the command
`launch_checklist` knows no room above its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tracker.logs import get_logger

log = get_logger(__name__)


class Missing(Exception):
    """What was looked at is not as it should be: what is wrong, and what is to be done."""

    def __init__(self, said: str, *, remedy: str) -> None:
        super().__init__(said)
        self.said, self.remedy = said, remedy


@dataclass(frozen=True, slots=True)
class Occasion:
    """When it is looked, and what may be sent to try it out: a report, an e-mail to somebody."""

    now: datetime
    send: bool = False
    send_to: str = ""


# Says in a sentence without secrets what it saw. Raises Missing. Opens its own tenancy contexts.
Look = Callable[[Occasion], str]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the list."""

    slug: str
    title: str
    look: Look
    rank: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen. ``ok`` is None for what the operator left out."""

    item: Item
    ok: bool | None
    said: str
    remedy: str = ""


_items: dict[str, Item] = {}


def add(slug: str, title: str, look: Look, *, rank: int) -> None:
    """Have something looked at in every checklist; shown by rank."""
    _items[slug] = Item(slug, title, look, rank)


def items() -> list[Item]:
    """Every line, by rank."""
    return sorted(_items.values(), key=lambda item: item.rank)


def findings(occasion: Occasion, *, without: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """Look at everything, one after the other; what cannot be looked at is not in order."""
    for item in items():
        if item.slug in without:
            yield Finding(item, None, "left out, as you said")
        else:
            yield _looked(item, occasion)


def _looked(item: Item, occasion: Occasion) -> Finding:
    try:
        return Finding(item, True, item.look(occasion))
    except Missing as missing:
        return Finding(item, False, missing.said, missing.remedy)
    except Exception as error:  # of one thing that is down; its text may hold an address or a row
        log.warning("launch.not_looked_at", item=item.slug, exc_info=True)
        said = f"could not be looked at ({type(error).__name__})"
        return Finding(item, False, said, "The log says why: launch.not_looked_at.")
