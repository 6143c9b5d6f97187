"""Names for the facts of a file, so that the same file twice changes nothing. Pure.

A fact that its file names keeps that name. Any other is named by a digest of what it says and by
how many that say the same came before it in the file: two truly identical fills are two facts,
and they are the same two in the next export that holds them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from typing import Any

from exchanges.reports import Reward, Trade, Transfer
from portfolios.importing.reading import Found
from portfolios.ledger.legs import Adjustment, Fact
from tracker import money


def named(found: Iterable[Found], *, feed: str) -> tuple[list[Found], list[Found]]:
    """The facts with their feed and id, and those whose own name came before in the file."""
    seen: Counter[str] = Counter()
    fresh, repeated = [], []
    for item in found:
        base = _digest(item.key or _content(item.fact))
        seen[base] += 1
        if item.key and seen[base] > 1:
            repeated.append(item)
            continue
        name = base if item.key else f"{base}:{seen[base]}"
        fresh.append(Found(_renamed(item.fact, feed, name), item.lines, item.key))
    return fresh, repeated


_KINDS: tuple[Any, ...] = (Trade, Transfer, Reward, Adjustment)
# What a fact says besides its name (feed and id, the first two): fifty thousand times a file.
_SAYS = {kind: attrgetter(*(field.name for field in fields(kind)[2:])) for kind in _KINDS}


def is_by_content(name: str) -> bool:
    """Whether a fact is named by what it says, because its file has no name for it."""
    return ":" in name


def _renamed(fact: Fact, feed: str, name: str) -> Fact:
    return type(fact)(feed, name, *_SAYS[type(fact)](fact))


def _content(fact: Fact) -> str:
    said = _SAYS[type(fact)](fact)
    return "|".join([type(fact).__name__, *map(_text, said)])


def _text(value: object) -> str:
    return money.to_text(value) if type(value) is Decimal else str(value)


def _digest(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
