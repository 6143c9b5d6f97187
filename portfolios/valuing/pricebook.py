"""What things cost in a person's base currency at any instant: loaded at once, then asked freely.

``load`` does the queries; a ``PriceBook`` is data and arithmetic. A price is looked for in this
order: the close of the hour, the close of the UTC day (the source says so), within a day of it
the latest price, the person's own price, and else there is none.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import User
from exchanges import history, prices, spans
from exchanges.history import Priced, Want
from exchanges.models import Asset, PriceInterval
from portfolios.models import ManualPrice

DOLLAR = "USD"
MANUAL = "manual"
CARRIED_DAYS = 7  # closes of this many days before ``since`` are loaded as well
DAY, HOUR = PriceInterval.DAY.value, PriceInterval.HOUR.value
_SOURCE_LENGTH = 96
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_LATEST_HOLDS = timedelta(hours=24)
_ONE = Decimal(1)
_NO_ROW = UUID(int=0)  # of the dollar, as long as nothing made it an asset: it is a dollar anyway


@dataclass(frozen=True, slots=True)
class Quote:
    """Units of the base currency for one unit, where that comes from, and of when it is."""

    price: Decimal
    source: str
    as_of: datetime
    is_manual: bool = False


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """A price that the person set: ``price`` units of the currency that ``currency_id`` names."""

    day: date
    price: Decimal
    currency_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Dollars:
    """A market's price in US dollars."""

    usd: Decimal
    source: str
    as_of: datetime


@dataclass(slots=True, kw_only=True)
class PriceBook:
    """Prices in one person's base currency. Pure data; says in ``missing`` what it lacked.

    ``days`` and ``hours`` are US dollars as ``exchanges.history`` gives them, ``latest`` the
    latest ones, ``own`` the person's, in order of days. ``quoted`` has, of assets with prices of
    the person's own, all days since the first of those that have a close, in order.
    """

    currency: str
    base_id: UUID | None
    dollar_id: UUID | None
    days: Mapping[UUID, Mapping[date, Priced]] = field(default_factory=dict)
    hours: Mapping[tuple[UUID, datetime], Priced] = field(default_factory=dict)
    latest: Mapping[UUID, prices.Quote] = field(default_factory=dict)
    own: Mapping[UUID, list[OwnPrice]] = field(default_factory=dict)
    quoted: Mapping[UUID, Sequence[date]] = field(default_factory=dict)
    time_zone: str = "UTC"
    _lacked: set[tuple[UUID, str, datetime]] = field(default_factory=set)
    _quoted: dict[tuple[UUID, datetime], Quote | None] = field(default_factory=dict)

    def at(self, asset_id: UUID, instant: datetime) -> Quote | None:
        """What one unit cost at an instant; None when nobody says.

        The price of an instant is the close of the hour that holds it, so all instants of one
        hour have one price.
        """
        hour = history.floor_hour(instant.astimezone(UTC))
        key = (asset_id, hour)
        if key not in self._quoted:
            self._quoted[key] = self._market_quote(asset_id, hour)
        found = self._quoted[key]
        return found if found is not None else self._own_at(asset_id, instant)

    def close(self, asset_id: UUID, day: date) -> Quote | None:
        """What one unit cost when a UTC day ended; None when nobody says."""
        end = _midnight(day) + _DAY
        found = self._close_quote(asset_id, end)
        return found if found is not None else self._own_close(asset_id, day)

    def fx(self, day: date) -> Quote | None:
        """US dollars for one unit of the base currency when a UTC day ended."""
        found = self._close_at(self.base_id, _midnight(day) + _DAY) if self.base_id else None
        return Quote(found.usd, found.source, found.as_of) if found else None

    def learn(self, hours: Mapping[tuple[UUID, datetime], Priced]) -> bool:
        """Know the prices of more hours; whether any of them is new."""
        new = {key: price for key, price in hours.items() if key not in self.hours}
        self.hours = {**self.hours, **new}
        told = {hour for _, hour in new}
        self._quoted = {key: found for key, found in self._quoted.items() if key[1] not in told}
        return bool(new)

    @property
    def missing(self) -> list[Want]:
        """What was asked for and not there, neighbours as one: for ``history.want``.

        An hour that is missing is named even where the close of its day stood in for it.
        """
        return _wants(self._lacked)

    @property
    def missing_days(self) -> list[Want]:
        """The days whose closes could stand in for hours that are missing, and are missing too."""
        return _wants(
            {
                (asset_id, DAY, _midnight(at.date()))
                for asset_id, interval, at in self._lacked
                if interval == HOUR and at.date() not in self.days.get(asset_id, {})
            }
        )

    # --- markets --------------------------------------------------------------------------------

    def _market_quote(self, asset_id: UUID, hour: datetime) -> Quote | None:
        """By the hour, else by the day, both sides alike; else by what there is of each."""
        for dollars in (self._hour_at, self._day_at, self._market_at):
            found = self._in_base(asset_id, hour, dollars)
            if found is not None:
                return found
        return None

    def _close_quote(self, asset_id: UUID, end: datetime) -> Quote | None:
        return self._in_base(asset_id, end, self._close_at)

    def _in_base(self, asset_id: UUID, at: datetime, dollars: "_Lookup") -> Quote | None:
        """A market's price over the base currency's at the same time."""
        if asset_id == self.base_id:
            return Quote(_ONE, self.currency, at)
        found = dollars(asset_id, at)
        base = dollars(self.base_id, at) if self.base_id else None
        if found is None or base is None:
            return None
        if self.base_id == self.dollar_id:
            return Quote(found.usd, found.source, found.as_of)
        source = found.source
        if asset_id != self.dollar_id:
            source = f"{source}; {self.currency} {base.source}"[:_SOURCE_LENGTH]
        else:
            source = base.source
        return Quote(found.usd / base.usd, source, min(found.as_of, base.as_of))

    def _market_at(self, asset_id: UUID, hour: datetime) -> _Dollars | None:
        """By the hour, else by the day, else the latest one when it is less than a day apart."""
        found = self._hour_at(asset_id, hour) or self._day_at(asset_id, hour)
        if found is not None:
            return found
        latest = self.latest.get(asset_id)
        if latest and abs(latest.as_of - hour) <= _LATEST_HOLDS:
            return _Dollars(latest.usd, latest.source, latest.as_of)
        return None

    def _hour_at(self, asset_id: UUID, hour: datetime) -> _Dollars | None:
        """The close of the hour that begins at ``hour``."""
        if asset_id == self.dollar_id:
            return _Dollars(_ONE, DOLLAR, hour + _HOUR)
        if priced := self.hours.get((asset_id, hour)):
            return _Dollars(priced[0], f"{priced[1]}, {HOUR}", hour + _HOUR)
        self._lacked.add((asset_id, HOUR, hour))
        return None

    def _day_at(self, asset_id: UUID, hour: datetime) -> _Dollars | None:
        """The close of the UTC day that holds an hour."""
        end = _midnight(hour.date()) + _DAY
        if asset_id == self.dollar_id:
            return _Dollars(_ONE, DOLLAR, end)
        if priced := self.days.get(asset_id, {}).get(hour.date()):
            return _Dollars(priced[0], f"{priced[1]}, {DAY}", end)
        return None

    def _close_at(self, asset_id: UUID, end: datetime) -> _Dollars | None:
        """The close of the UTC day that ends at ``end``."""
        if asset_id == self.dollar_id:
            return _Dollars(_ONE, DOLLAR, end)
        day = (end - _DAY).date()
        if priced := self.days.get(asset_id, {}).get(day):
            return _Dollars(priced[0], f"{priced[1]}, {DAY}", end)
        self._lacked.add((asset_id, DAY, end - _DAY))
        return None

    # --- the person's own prices ----------------------------------------------------------------

    def _own_at(self, asset_id: UUID, instant: datetime) -> Quote | None:
        if asset_id not in self.own:
            return None
        day = instant.astimezone(ZoneInfo(self.time_zone)).date()
        hour = history.floor_hour(instant.astimezone(UTC))
        return self._own(asset_id, day, hour, self._market_quote)

    def _own_close(self, asset_id: UUID, day: date) -> Quote | None:
        if asset_id not in self.own:
            return None
        return self._own(asset_id, day, _midnight(day) + _DAY, self._close_quote)

    def _own(self, asset_id: UUID, day: date, at: datetime, quote: "_Quotes") -> Quote | None:
        """The person's price that holds on a day: the last one, unless a market quoted since."""
        rows = self.own[asset_id]
        place = bisect_right(rows, day, key=lambda row: row.day)
        if not place or self._quoted_between(asset_id, rows[place - 1].day, day):
            return None
        own = rows[place - 1]
        rate = quote(own.currency_id, at) if own.currency_id else None
        if rate is None:
            return None
        source = MANUAL if own.currency_id == self.base_id else f"{MANUAL}; {rate.source}"
        price = own.price * rate.price
        return Quote(price, source[:_SOURCE_LENGTH], _midnight(own.day), is_manual=True)

    def _quoted_between(self, asset_id: UUID, first: date, last: date) -> bool:
        days = self.quoted.get(asset_id, ())
        place = bisect_right(days, last)
        return bool(place) and days[place - 1] >= first


_Lookup = Callable[[UUID, datetime], _Dollars | None]
_Quotes = Callable[[UUID, datetime], Quote | None]


def _wants(lacked: Iterable[tuple[UUID, str, datetime]]) -> list[Want]:
    """Neighbouring intervals as one."""
    groups: dict[tuple[UUID, str], list[spans.Span]] = {}
    for asset_id, interval, at in lacked:
        until = at + history.LENGTHS[interval]
        groups.setdefault((asset_id, interval), []).append((at, until))
    return [
        Want(asset_id, interval, since, until)
        for (asset_id, interval), parts in sorted(groups.items(), key=str)
        for since, until in spans.merged(parts)
    ]


def load(
    *,
    user_id: UUID,
    currency: str,
    asset_ids: Collection[UUID],
    since: datetime,
    until: datetime,
    instants: Collection[tuple[UUID, datetime]] = (),
) -> PriceBook:
    """The prices of some assets in ``currency``: all days of [since, until], and some instants.

    Closes of the seven days before ``since`` are there as well. ``instants`` names (asset,
    instant) pairs whose hours are wanted; the base currency's are added. Call inside
    ``as_user``: the person's own prices are read too.
    """
    own, own_ids = _own_prices(user_id, asset_ids)
    currencies = {DOLLAR.lower(), currency.lower(), *own_ids}
    by_slug = dict(Asset.objects.filter(slug__in=currencies).values_list("slug", "id"))
    by_slug.setdefault(DOLLAR.lower(), _NO_ROW)
    money = set(by_slug.values())
    base_id, dollar_id = by_slug.get(currency.lower()), by_slug.get(DOLLAR.lower())
    wanted = {*asset_ids, *money} - {dollar_id}
    first = (since - timedelta(days=CARRIED_DAYS)).astimezone(UTC).date()
    return PriceBook(
        currency=currency,
        base_id=base_id,
        dollar_id=dollar_id,
        days=history.days(asset_ids=wanted, since=first, until=until.astimezone(UTC).date()),
        hours=history.hours(wanted=_hours_of(instants, money - {dollar_id})),
        latest={found.asset_id: found for found in prices.latest(sorted(wanted, key=str))},
        own=_with_currencies(own, by_slug),
        quoted=_quoted_since_own(own, until.astimezone(UTC).date()),
        time_zone=User.objects.values_list("time_zone", flat=True).get(id=user_id)
        if own
        else "UTC",
    )


def _hours_of(
    instants: Iterable[tuple[UUID, datetime]], money: Collection[UUID]
) -> set[tuple[UUID, datetime]]:
    wanted = {(asset_id, history.floor_hour(at.astimezone(UTC))) for asset_id, at in instants}
    hours = {hour for _, hour in wanted}
    return wanted | {(asset_id, hour) for asset_id in money for hour in hours}


def _own_prices(
    user_id: UUID, asset_ids: Collection[UUID]
) -> tuple[list[tuple[UUID, date, Decimal, str]], set[str]]:
    rows = ManualPrice.objects.filter(user_id=user_id, asset_id__in=asset_ids).order_by("day")
    found = list(rows.values_list("asset_id", "day", "price", "currency"))
    return found, {currency.lower() for *_, currency in found}


def _quoted_since_own(
    own: Collection[tuple[UUID, date, Decimal, str]], until: date
) -> dict[UUID, list[date]]:
    """Whatever stretch is loaded: a quote of long ago ends a person's price as one of today."""
    if not own:
        return {}
    first = min(day for _, day, *_ in own)
    return history.quoted_days(asset_ids={row[0] for row in own}, since=first, until=until)


def _with_currencies(
    rows: Iterable[tuple[UUID, date, Decimal, str]], by_slug: Mapping[str, UUID]
) -> dict[UUID, list[OwnPrice]]:
    found: dict[UUID, list[OwnPrice]] = {}
    for asset_id, day, price, currency in rows:
        own = OwnPrice(day, price, by_slug.get(currency.lower()))
        found.setdefault(asset_id, []).append(own)
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
