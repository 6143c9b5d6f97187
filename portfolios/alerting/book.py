"""The book of all alerts on prices, held in memory, and what ticks bring about in it: pure.

Each asset in each currency is one place. A tick of an asset visits its places, a tick of a currency
all places in that currency; at each, bisection finds what comes true (``ladders``). Alerts on moves
share one pair of extremes for each window.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from portfolios.alerting import conditions
from portfolios.alerting.conditions import Move
from portfolios.alerting.extremes import Extremes, Range
from portfolios.alerting.ladders import Ladder, Watched

DOLLAR = "USD"
Pair = tuple[UUID, str]  # an asset, and the code of the currency its price is in


class Quoted(NamedTuple):
    """What one unit of an asset costs in US dollars, as of when."""

    usd: Decimal
    as_of: datetime


class Finding(NamedTuple):
    """An alert came true (``told``) or is armed again, at a figure as of an instant."""

    alert: Watched
    told: bool
    shown: Decimal
    as_of: datetime


class _Moves:
    """Alerts on how far a price moves within one window."""

    def __init__(self, window: timedelta) -> None:
        self.extremes = Extremes(window)
        self.ladders: defaultdict[str, Ladder] = defaultdict(Ladder)

    def judge(self, price: Decimal, as_of: datetime) -> Iterator[Finding]:
        self.extremes.add(as_of, price)
        found = self.extremes.within(as_of)
        if found is None:
            return
        for direction, ladder in self.ladders.items():
            move = conditions.moved(price, low=found.low, high=found.high, direction=direction)
            yield from _findings(ladder, move, as_of)


class _Place:
    """Everything that is watched of one asset in one currency."""

    __slots__ = ("moves", "price")

    def __init__(self) -> None:
        self.price = Ladder()
        self.moves: dict[timedelta, _Moves] = {}

    def ladder(self, alert: Watched) -> Ladder:
        if alert.window is None:
            return self.price
        if alert.window not in self.moves:
            self.moves[alert.window] = _Moves(alert.window)
        return self.moves[alert.window].ladders[alert.direction]

    @property
    def is_empty(self) -> bool:
        return not len(self.price) and not any(
            len(ladder) for moves in self.moves.values() for ladder in moves.ladders.values()
        )

    def judge(self, price: Decimal, as_of: datetime) -> Iterator[Finding]:
        yield from _findings(self.price, Move(price, price), as_of)
        for moves in self.moves.values():
            yield from moves.judge(price, as_of)


class Book:
    """What is watched, and the newest price of everything it depends on.

    ``currencies`` are the assets that stand for the currencies, by code. A dollar is a dollar.
    """

    def __init__(self, currencies: Mapping[str, UUID]) -> None:
        self._currencies = dict(currencies)
        self._alerts: dict[UUID, Watched] = {}
        self._places: dict[Pair, _Place] = {}
        self._pairs: defaultdict[UUID, dict[Pair, None]] = defaultdict(dict)
        self._quotes: dict[UUID, Quoted] = {}

    def __len__(self) -> int:
        return len(self._alerts)

    # --- what is watched ------------------------------------------------------------------------
    def load(self, alerts: Iterable[Watched]) -> None:
        """Put many; sorted first, so that each goes to the end of its ladder."""
        for alert in sorted(alerts, key=lambda alert: alert.threshold):
            self.put(alert)

    def reload(self, alerts: Iterable[Watched]) -> None:
        """Watch exactly these. What has not changed stays where it is."""
        wanted = {alert.id: alert for alert in alerts}
        for alert_id in self._alerts.keys() - wanted.keys():
            self.forget(alert_id)
        self.load(
            alert for key, alert in wanted.items() if not alert.is_like(self._alerts.get(key))
        )

    def put(self, alert: Watched) -> None:
        """Watch an alert from the next tick on, as it is now.

        Its asset, its currency and its window never change.
        """
        pair = (alert.asset_id, alert.currency)
        if before := self._alerts.get(alert.id):
            self._places[pair].ladder(before).remove(before)
        place = self._places.get(pair)
        if place is None:
            place = self._places[pair] = _Place()
            for asset_id in self._moved_by(pair):
                self._pairs[asset_id][pair] = None
        place.ladder(alert).add(alert)
        self._alerts[alert.id] = alert

    def forget(self, alert_id: UUID) -> None:
        """Watch it no longer."""
        alert = self._alerts.pop(alert_id, None)
        if alert is None:
            return
        pair = (alert.asset_id, alert.currency)
        place = self._places[pair]
        place.ladder(alert).remove(alert)
        if place.is_empty:
            del self._places[pair]
            for asset_id in self._moved_by(pair):
                self._pairs[asset_id].pop(pair, None)

    def get(self, alert_id: UUID) -> Watched | None:
        """An alert as it is watched."""
        return self._alerts.get(alert_id)

    def assets(self) -> set[UUID]:
        """Everything whose ticks change anything."""
        return {asset_id for asset_id, pairs in self._pairs.items() if pairs}

    def windows(self) -> set[tuple[UUID, str, timedelta]]:
        """Every window that is looked at."""
        return {(*pair, window) for pair, place in self._places.items() for window in place.moves}

    def remember(
        self, pair: Pair, window: timedelta, ranges: Iterable[tuple[datetime, Range]]
    ) -> None:
        """What a price was before it was watched, oldest first."""
        place = self._places.get(pair)
        if place is not None and window in place.moves:
            earlier = Extremes(window)
            for at, found in ranges:
                earlier.add(at, found.low)
                earlier.add(at, found.high)
            place.moves[window].extremes = earlier

    def _moved_by(self, pair: Pair) -> Iterator[UUID]:
        """The assets whose ticks change a price."""
        yield pair[0]
        if pair[1] != DOLLAR and (base := self._currencies.get(pair[1])) is not None:
            yield base

    # --- what ticks bring about -----------------------------------------------------------------
    def take(self, ticks: Iterable[tuple[UUID, Quoted]], *, fresh_since: datetime) -> list[Finding]:
        """Take in ticks; what comes true or is armed again by them, in order.

        A price whose older part is from before ``fresh_since`` says nothing.
        """
        moved: dict[Pair, None] = {}
        for asset_id, quoted in ticks:
            held = self._quotes.get(asset_id)
            if held is None or held.as_of < quoted.as_of:
                self._quotes[asset_id] = quoted
                moved.update(self._pairs.get(asset_id, {}))
        found: list[Finding] = []
        for pair in moved:
            found += self._judge(pair, fresh_since)
        self._drop_what_was_told_once(found)
        return found

    def _judge(self, pair: Pair, fresh_since: datetime) -> Iterable[Finding]:
        priced = self._price(pair, fresh_since)
        return () if priced is None else self._places[pair].judge(*priced)

    def _price(self, pair: Pair, fresh_since: datetime) -> Quoted | None:
        quoted = self._quotes.get(pair[0])
        if pair[1] == DOLLAR:
            return quoted if quoted and quoted.as_of >= fresh_since else None
        base = self._quotes.get(self._currencies.get(pair[1], pair[0]))
        if pair[1] not in self._currencies or quoted is None or base is None:
            return None
        return crossed(quoted, base, fresh_since=fresh_since)

    def _drop_what_was_told_once(self, found: Iterable[Finding]) -> None:
        for alert, told, *_ in found:
            if told and not alert.repeats:
                self._alerts.pop(alert.id, None)


def crossed(quoted: Quoted, base: Quoted, *, fresh_since: datetime) -> Quoted | None:
    """A price in a currency, as of its newer part; None while either part is too old."""
    if min(quoted.as_of, base.as_of) < fresh_since or base.usd <= 0:
        return None
    price = quoted.usd if base.usd == 1 else (quoted.usd / base.usd).quantize(_PRICE)
    return Quoted(price, max(quoted.as_of, base.as_of)) if price > 0 else None


_PRICE = Decimal(1).scaleb(-30)


def _findings(ladder: Ladder, move: Move, as_of: datetime) -> Iterator[Finding]:
    told, back = ladder.take(move.figure)
    for alert in told:
        yield Finding(alert, True, move.shown, as_of)
    for alert in back:
        yield Finding(alert, False, move.shown, as_of)
