"""Reading again, with today's dialect, what could not be read once. No account is asked, no key is
opened: the only call is for the public list of markets, where a dialect needs it and this process
does not have it yet.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from exchanges.gateway import clients, rows
from exchanges.gateway.dialects import table
from exchanges.gateway.dialects.base import Batch, Dialect, Feed, Interpret, Surroundings
from exchanges.gateway.engine import ANSWER_FAULTS, FUTURE
from exchanges.gateway.line import Line
from exchanges.gateway.markets import Markets
from exchanges.gateway.reading import row_name
from exchanges.gateway.rows import REDACTED, BadRow, Row
from exchanges.reports import Fact, Form, Kept, Quarantined, Reread

MARKETS_DEADLINE = 30.0  # seconds
_REPLAYED = (Form.ROW, Form.PAGE)


async def reread(
    exchange: str,
    feed: str,
    scope: str,
    kept: Sequence[Kept],
    codes: Collection[str],
    now: datetime,
) -> Reread:
    """What the dialect makes of stored payloads of one feed (and symbol or account).

    Raises GatewayError when the list of markets is needed and cannot be had: without it a symbol
    would be taken apart by guessing.
    """
    dialect = table.dialect(exchange)
    declared = {found.name: found for found in dialect.feeds}.get(feed)
    if declared is None:
        return Reread()  # the feed is not read any more
    markets = await _markets(exchange, dialect)
    around = Surroundings(markets, markets.codes | frozenset(codes))
    return _Reading(declared, scope, around, now).of(kept)


async def _markets(exchange: str, dialect: Dialect) -> Markets:
    if not dialect.needs_markets:
        return Markets(())
    deadline = time.monotonic() + MARKETS_DEADLINE
    return await Line(clients.exchange(exchange), dialect, deadline=deadline).markets()


class _Reading:
    """Collects what becomes of the payloads of one feed."""

    def __init__(self, feed: Feed, scope: str, around: Surroundings, now: datetime) -> None:
        self.feed, self.scope, self.around, self.now = feed, scope, around, now
        self.facts: dict[tuple[str, str], Fact] = {}
        self.open: set[UUID] = set()  # payloads that must be kept
        self.left: list[tuple[UUID, str, Any, str]] = []  # of which payload, why, row, name
        self.collected: dict[str, Row] = {}  # rows for ``interpret``, by name
        self.source: dict[str, UUID] = {}  # and of which payload each is

    def of(self, kept: Iterable[Kept]) -> Reread:
        payloads = list(kept)
        for payload in payloads:
            try:
                self._take(payload)
            except (BadRow, *ANSWER_FAULTS):
                self.open.add(payload.key)
        if self.feed.interpret:
            self._interpret(self.feed.interpret)
        pages = {payload.key for payload in payloads if payload.form is Form.PAGE}
        self.open |= {key for key, *_ in self.left if key not in pages}
        understood = frozenset(payload.key for payload in payloads) - self.open
        left = [item for item in self.left if item[0] in pages & understood]
        return Reread(tuple(self.facts.values()), understood, tuple(map(self._kept_on, left)))

    def _take(self, payload: Kept) -> None:
        """Raises BadRow or what a wrong shape raises: then the payload stays as it is."""
        content = rows.reread(payload.payload)
        if payload.form not in _REPLAYED:
            raise BadRow("this is no row")
        if payload.form is Form.PAGE:
            (answer,) = content
            self._take_rows(payload, self.feed.rows(answer))
        else:
            self._take_rows(payload, content if isinstance(content, list) else [content])

    def _take_rows(self, payload: Kept, found: Sequence[Any]) -> None:
        counted: Counter[str] = Counter()
        for row in found:
            name = payload.name
            try:
                name = name or self._name(row, counted)
                if self.feed.interpret:
                    self.collected[name] = row
                    self.source[name] = payload.key
                else:
                    self._add(self.feed.parse(row, name, self.around) if self.feed.parse else ())
            except BadRow as problem:
                self.left.append((payload.key, str(problem), row, name))
            except ANSWER_FAULTS:
                self.left.append((payload.key, "the row has another shape", row, name))

    def _name(self, row: Any, counted: Counter[str]) -> str:
        """What a visit would call the row; a name made of what was blotted out would be another."""
        name = row_name(self.feed, row, counted)
        made_up = not rows.text(row, self.feed.id_field)
        if REDACTED in name or (made_up and self._blotted(row)):
            raise BadRow("what names the row was blotted out")
        return name

    def _blotted(self, row: Row) -> bool:
        return any(REDACTED in str(row.get(field)) for field in self.feed.stable or row)

    def _add(self, facts: Iterable[Fact]) -> None:
        """All facts of a row, or none of them."""
        read = list(facts)
        for fact in read:
            if fact.occurred_at > self.now + FUTURE:
                raise BadRow("the time lies in the future")
            if any(REDACTED in value for value in _texts(fact)):
                raise BadRow("what the row says was blotted out")
        self.facts |= {(fact.feed, fact.exchange_id): fact for fact in read}

    def _interpret(self, interpret: Interpret) -> None:
        batch = Batch(self.feed.launched, self.now)
        facts, bad = interpret(self.collected, batch, self.around)
        names = {id(row): name for name, row in self.collected.items()}
        for reason, found in bad:
            for row in found if isinstance(found, list) else [found]:
                if name := names.get(id(row)):
                    self.left.append((self.source[name], reason, row, name))
        try:
            self._add(facts)
        except BadRow:  # which rows made it is not known
            self.open |= set(self.source.values())

    def _kept_on(self, left: tuple[UUID, str, Any, str]) -> Quarantined:
        _, reason, row, name = left
        payload, is_whole = rows.payload(row)
        scope = "" if self.feed.interpret else self.scope  # one event may lie in several accounts
        return Quarantined(self.feed.name, scope, reason, payload, Form.ROW, name, is_whole)


def _texts(fact: Fact) -> Iterable[str]:
    values: Mapping[str, Any] = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    return (value for value in values.values() if isinstance(value, str))
