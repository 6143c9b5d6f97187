"""The figures that alerts watch, as they stand now: prices, moves, worth, falls.

One way to compute them for the sweep over everybody and for the answer to one person.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from portfolios.alerting import book, conditions, newest, ranges, worth
from portfolios.alerting.book import DOLLAR, Pair, Quoted
from portfolios.alerting.extremes import Range
from portfolios.alerting.worth import UNKNOWN, Figure
from tracker import tenancy


class Subject(NamedTuple):
    """What an alert looks at. ``user_id`` is None for prices, ``asset_id`` for portfolios."""

    kind: str
    asset_id: UUID | None
    currency: str
    direction: str
    window: timedelta | None
    user_id: UUID | None

    @property
    def pair(self) -> Pair | None:
        return None if self.asset_id is None else (self.asset_id, self.currency)


class Market:
    """The newest prices of what some subjects look at, in their currencies."""

    def __init__(self, subjects: Collection[Subject], *, now: datetime) -> None:
        self._fresh_since = now - settings.PRICE_STALE_AFTER
        self._currencies = newest.currencies()
        assets = {one.asset_id for one in subjects if one.asset_id} | set(self._currencies.values())
        self._prices = newest.prices(assets) if assets else {}

    def fresh(self, pair: Pair) -> Quoted | None:
        """A price that alerts may be judged by; None without one that is young."""
        quoted, base = self._sides(pair)
        if quoted is None or base is None:
            return None
        return book.crossed(quoted, base, fresh_since=self._fresh_since)

    def shown(self, pair: Pair) -> Figure:
        """A price as it is told, however old."""
        quoted, base = self._sides(pair)
        if quoted is None or base is None:
            return UNKNOWN
        as_of = min(quoted.as_of, base.as_of)
        found = book.crossed(quoted, base, fresh_since=as_of)
        if found is None:
            return UNKNOWN
        return Figure(found.usd, as_of, "complete" if as_of >= self._fresh_since else "stale")

    def _sides(self, pair: Pair) -> tuple[Quoted | None, Quoted | None]:
        quoted = self._prices.get(pair[0])
        if pair[1] == DOLLAR:
            return quoted, quoted and Quoted(Decimal(1), quoted.as_of)
        base = self._currencies.get(pair[1])
        return quoted, self._prices.get(base) if base else None


def of(
    subjects: Collection[Subject], market: Market, *, now: datetime
) -> dict[Subject, Figure]:  # fmt: skip
    """Every figure, moves and falls in percent with their sign as shown.

    Call inside the identity whose portfolios are asked about.
    """
    windows = ranges.of_windows(
        {(*one.pair, one.window) for one in subjects if one.pair and one.window}, now=now
    )
    portfolios = _portfolios([one for one in subjects if one.user_id], now)
    return {one: _figure(one, market, windows, portfolios) for one in subjects}


def _figure(
    subject: Subject, market: Market, windows: Mapping[ranges.Window, Range],
    portfolios: Mapping[Subject, Figure],
) -> Figure:  # fmt: skip
    if subject.pair is None:
        return portfolios.get(subject, UNKNOWN)
    price = market.shown(subject.pair)
    if subject.window is None or price.value is None:
        return price
    known = windows.get((*subject.pair, subject.window))
    if known is None:
        return UNKNOWN
    move = conditions.moved(
        price.value, low=min(known.low, price.value), high=max(known.high, price.value),
        direction=subject.direction,
    )  # fmt: skip
    return Figure(move.shown, price.as_of, price.status)


def _portfolios(subjects: Collection[Subject], now: datetime) -> dict[Subject, Figure]:
    people: defaultdict[str, set[UUID]] = defaultdict(set)
    fallen: dict[Subject, worth.Fall] = {}
    for one in subjects:
        if one.user_id and one.window:
            fallen[one] = (one.user_id, one.window)
        elif one.user_id:
            people[one.currency].add(one.user_id)
    totals = {
        currency: worth.totals(user_ids, currency=currency, now=now)
        for currency, user_ids in people.items()
    }
    falls = worth.falls(set(fallen.values()), now=now) if fallen else {}
    return {one: falls.get(key, UNKNOWN) for one, key in fallen.items()} | {
        one: totals[one.currency].get(one.user_id, UNKNOWN)
        for one in subjects
        if one.user_id and not one.window
    }


def personal(subject: Subject, user_id: UUID) -> Subject:
    """The subject of one person's alert, which says whose portfolio it is about."""
    if subject.kind in conditions.OF_PRICES:
        return subject
    return subject._replace(user_id=user_id)


def now_of(
    subjects: Collection[Subject], *, user_id: UUID, now: datetime
) -> dict[Subject, Figure]:  # fmt: skip
    """Figures for one person, as they are shown."""
    market = Market(subjects, now=now)  # asks Redis, so outside the transaction
    with tenancy.as_user(user_id):
        return of(subjects, market, now=now)
