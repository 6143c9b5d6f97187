"""Daily valuations: stored, extended day by day, restated when late data arrives.

Positions are made of everything the ledger and the reports say; values are computed for the days
that may have changed, and written only where they differ from what stands there. A day that had
ended and was complete when it was last valued, and differs now, gets ``restated_at``.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.backends.utils import CursorWrapper

from accounts.models import User
from exchanges import history
from exchanges.history import Want
from exchanges.models import PriceInterval
from portfolios.ledger import books
from portfolios.models import DailyValuation, PortfolioState
from portfolios.returns import daily, day_growth, day_prices, day_rows, movements, positions
from portfolios.returns.day_prices import Close
from portfolios.returns.day_rows import Day
from portfolios.returns.movements import Ledger
from portfolios.valuing import pricebook
from portfolios.valuing.pricebook import PriceBook, Quote
from tracker import money, tenancy

# Days that are always computed again: a report may settle what had come in before midnight.
SETTLING = timedelta(days=2)
# A flow of this part of the portfolio has the other prices of its hour fetched, so that what was
# held before it is valued at its instant (a "large cash flow" of GIPS 2020).
LARGE_FLOW = Decimal("0.1")
EXTEND_AT_MOST = 5_000
_FLOWS = day_growth.FLOWS[day_rows.CONNECTION]
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_ZERO = Decimal(0)


def revalue(*, user_id: UUID, since: date | None, now: datetime) -> None:
    """Compute the days from ``since`` (or the first missing one) to today anew.

    The row of today is as of ``now``. Earlier days are computed as well where what they stand on
    has moved. Call inside ``as_user``.
    """
    user = User.objects.get(id=user_id)
    ledger = movements.read(user=user, now=now)
    first = _first_day(ledger)
    waits = False
    if first is None:
        _forget_before(user_id, now.astimezone(UTC).date() + _DAY)
    else:
        waits = _revalue(user, ledger, first, since, now)
    PortfolioState.objects.filter(user_id=user_id).update(
        valued_through=now.astimezone(UTC).date() - _DAY, valued_in=user.base_currency,
        waits_for_prices=waits,
    )  # fmt: skip


def _revalue(user: User, ledger: Ledger, first: date, since: date | None, now: datetime) -> bool:
    """Bring the stored days up to the ledger; whether prices for them are still being fetched."""
    before, today = _before(user), now.astimezone(UTC).date()
    start = _start(ledger, first, since, before.valued_through, today)
    prices, moved = _priced(user, ledger, start, now)
    if start > first and daily.value_before(books=moved, prices=prices, since=start) != _stored(
        user.id, start - _DAY
    ):
        start = first
        prices, moved = _priced(user, ledger, start, now)
    _forget_before(user.id, first)
    with connection.cursor() as cursor:
        large = _compute(cursor, prices, moved, start, today)
        if prices.learn(large):  # which flows are large is only known once days are valued
            large = _compute(cursor, prices, moved, start, today)
        _replace(cursor, user.id, start, before, now)
    if history.want(needs=prices.wants(large=large)):
        return True
    # What earlier days wait for was not asked for again.
    return before.waited and start > first and bool(_pending(ledger))


_BEHIND = """
UPDATE portfolio_states SET ledger_revision = ledger_revision + 1
WHERE user_id = ANY(ARRAY(
    SELECT states.user_id FROM portfolio_states AS states
    JOIN users ON users.id = states.user_id
    WHERE states.valued_through < %s AND users.is_active
      AND states.ledger_revision = states.derived_revision
    ORDER BY states.valued_through LIMIT %s FOR UPDATE OF states SKIP LOCKED
)) RETURNING user_id
"""


def extend_due(*, now: datetime) -> int:
    """Have yesterday valued for everybody whose days end before it; returns for how many.

    A worker does so under the lease that all computing of a person's figures holds. Who is behind
    anyway is not counted. At most ``EXTEND_AT_MOST`` people at a time, first those whose days end
    earliest.
    """
    yesterday = now.astimezone(UTC).date() - _DAY
    with tenancy.as_system("extend daily valuations"), connection.cursor() as cursor:
        cursor.execute(_BEHIND, [yesterday, EXTEND_AT_MOST])
        people = [row[0] for row in cursor.fetchall()]
    for user_id in people:
        books.enqueue(user_id)
    return len(people)


# --- from when on -------------------------------------------------------------------------------
def _first_day(ledger: Ledger) -> date | None:
    instants = [ledger.entries[0].at] if ledger.entries else []
    instants += [told.first_at for told in ledger.reports.values() if told.totals]
    return min(instants).astimezone(UTC).date() if instants else None


def _start(
    ledger: Ledger, first: date, since: date | None, valued_through: date | None, today: date
) -> date:
    """The first day to compute.

    What was there before an account's first report depends on everything that lies before it, so
    a change there moves all days.
    """
    if valued_through is None:
        return first
    start = min(since or today, valued_through + _DAY - SETTLING)
    reported = ledger.reported_first
    if reported is not None and start <= reported:
        return first
    return max(first, start)


class _Before(NamedTuple):
    """How the last computation left what is stored."""

    valued_through: date | None
    waited: bool  # for prices
    same_money: bool  # in the same base currency


def _before(user: User) -> _Before:
    state = PortfolioState.objects.filter(user_id=user.id).values_list(
        "valued_through", "waits_for_prices", "valued_in"
    )
    valued_through, waited, currency = state.first() or (None, False, "")
    return _Before(valued_through, waited, currency in ("", user.base_currency))


def _pending(ledger: Ledger) -> set[UUID]:
    """The assets of a person, or their base currency, whose prices are still being fetched."""
    base = {ledger.base} if ledger.base else set()
    return history.pending(asset_ids=ledger.assets | base)


def _stored(user_id: UUID, day: date) -> Decimal | None:
    rows = DailyValuation.objects.filter(user_id=user_id, scope_id=user_id, day=day)
    return rows.values_list("value", flat=True).first()


# --- prices -------------------------------------------------------------------------------------
class BookPrices:
    """A price book as ``daily`` asks it: closes carried for seven days, today's the latest."""

    def __init__(self, book: PriceBook, *, base_is_money: bool, now: datetime) -> None:
        self.book, self.now = book, now
        self.today = now.astimezone(UTC).date()
        self.base_is_money = base_is_money
        self._closes: dict[tuple[UUID, date], Close | None] = {}
        self._own_hours: set[tuple[UUID, datetime]] = set()

    def close(self, asset: UUID, day: date) -> Close | None:
        key = (asset, day)
        if key not in self._closes:
            self._closes[key] = self._find(asset, day)
        return self._closes[key]

    def at(self, asset: UUID, instant: datetime) -> Decimal | None:
        quote = self.book.at(asset, instant)
        return None if quote is None else quote.price

    def is_of_the_hour(self, asset: UUID, instant: datetime) -> bool:
        """A price that the person set holds all day; the latest one counts within an hour."""
        quote = self.book.at(asset, instant)
        return quote is not None and (quote.is_manual or abs(quote.as_of - instant) <= _HOUR)

    def learn(self, pairs: Collection[tuple[UUID, datetime]]) -> bool:
        """Know the stored prices of these assets' hours as well; whether there are new ones."""
        found = history.hours(wanted={(asset, history.floor_hour(at)) for asset, at in pairs})
        return self.book.learn(found)

    def dollars(self, day: date) -> Decimal | None:
        if not self.base_is_money:
            return None
        for back in range(day_prices.CARRIED_DAYS + 1):
            quote = self.book.fx(day - back * _DAY)
            if quote is not None:
                return quote.price
        return None

    def wants(self, *, large: Iterable[tuple[UUID, datetime]]) -> list[Want]:
        """Prices that are missing and should not be: closes of days, hours of entries, and
        those of ``large`` flows. Hours and days that have not ended are not waited for.
        """
        hours = self._own_hours | {(asset, history.floor_hour(at)) for asset, at in large}
        found = []
        for want in self.book.missing:
            if want.interval == PriceInterval.DAY:
                found.append(replace(want, until=min(want.until, _midnight(self.today))))
            else:
                found += [
                    Want(want.asset_id, want.interval, at, at + _HOUR)
                    for at in _hours_between(want.since, min(want.until, self.now - _HOUR))
                    if (want.asset_id, at) in hours
                ]
        return [want for want in found if want.since < want.until]

    def entries_are_priced(self) -> None:
        """What was asked for so far is of entries themselves; later it is of what was held."""
        self._own_hours = {
            (want.asset_id, at)
            for want in self.book.missing
            if want.interval == PriceInterval.HOUR
            for at in _hours_between(want.since, want.until)
        }

    def _find(self, asset: UUID, day: date) -> Close | None:
        if day >= self.today and (quote := self.book.at(asset, self.now)) is not None:
            return _close_of(quote)
        for back in range(day_prices.CARRIED_DAYS + 1):
            quote = self.book.close(asset, day - back * _DAY)
            if quote is not None:
                return _close_of(quote, carried=back > 0)
        return None


def _close_of(quote: Quote, *, carried: bool = False) -> Close:
    return Close(quote.price, carried and not quote.is_manual, quote.is_manual)


def _priced(
    user: User, ledger: Ledger, start: date, now: datetime
) -> tuple[BookPrices, daily.Books]:
    """What is valued, and prices: closes, and the hours of the entries themselves."""
    since = _midnight(start - _DAY)
    book = pricebook.load(
        user_id=user.id,
        currency=user.base_currency,
        asset_ids=ledger.assets,
        since=since,
        until=now,
        instants=movements.instants(ledger=ledger, since=since),
    )
    prices = BookPrices(book, base_is_money=ledger.base_is_money, now=now)
    moved = movements.movements(ledger=ledger, prices=prices, since=_midnight(start))
    prices.entries_are_priced()
    return prices, movements.books(user=user, ledger=ledger, moved=moved)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _hours_between(since: datetime, until: datetime) -> Iterator[datetime]:
    while since < until:
        yield since
        since += _HOUR


class _Seen:
    """What each day's rows said, as far as it tells which flows were large."""

    def __init__(self) -> None:
        self.totals: dict[tuple[UUID, date], Decimal] = {}
        self.held: dict[date, list[UUID]] = {}

    def watched(self, days: Iterable[list[Day]]) -> Iterator[Day]:
        for rows in days:
            total = rows[0]
            for row in rows:
                if row.scope != day_rows.ASSET:
                    self.totals[row.scope_id, row.day] = row.value
            if any(row.deposits or row.withdrawals or row.corrections for row in rows):
                self.held[total.day] = [row.scope_id for row in rows if row.scope == day_rows.ASSET]
            yield from rows

    def large_flows(self, moved: daily.Books, since: date) -> Iterator[tuple[UUID, datetime]]:
        """The assets that were held at each large flow from ``since`` on, and its instant.

        A move between own accounts is a flow of each account, all others are the portfolio's.
        """
        for item in moved.movements:
            day = item.at.astimezone(UTC).date()
            if day < since or item.part not in _FLOWS:
                continue
            scope = item.account if item.part == positions.PAIRED else moved.portfolio
            held = self.totals.get((scope, day - _DAY), _ZERO) if scope else _ZERO
            if held and abs(item.value or _ZERO) >= LARGE_FLOW * held:
                yield from ((asset, item.at.astimezone(UTC)) for asset in self.held.get(day, ()))


# --- what is written ----------------------------------------------------------------------------
_FIGURES = (
    "value", "cost", "value_without_cost", "deposits", "withdrawals", "income", "fees",
    "realized", "price_effect", "currency_effect", "traded", "trade_effect", "corrections",
    "growth", "unpriced", "is_partial",
)  # fmt: skip
_MONEY = _FIGURES[:-3]
_money_of = attrgetter(*_MONEY)
_TOO_MUCH = Decimal(10) ** (money.VALUE_DIGITS - money.VALUE_DECIMALS) - 1
_MOST_COUNTED = 32_767  # of a small integer
# A statement may take only so long, and one that copies takes as long as its rows are computed.
COPIED_AT_ONCE = 10_000
_COLUMNS = ("scope", "scope_id", "day", *_FIGURES)
_LIST = ", ".join(_COLUMNS)

_CHANGED = f"""
INSERT INTO daily_valuations AS stored (user_id, {_LIST})
SELECT %(user_id)s, {_LIST} FROM fresh_valuations
ON CONFLICT (user_id, scope_id, day) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _FIGURES)},
    -- Restated is what was complete. What lacked a price, what is told in another currency now,
    -- and parts that moved as awaited prices of hours came in, is not.
    restated_at = CASE WHEN stored.day <= %(valued_through)s
                            AND %(same_money)s AND NOT (stored.is_partial OR stored.unpriced > 0)
                            AND (stored.value <> excluded.value OR NOT %(waited)s)
                       THEN %(now)s ELSE stored.restated_at END
WHERE ({", ".join(f"stored.{name}" for name in _FIGURES)})
    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _FIGURES)})
"""  # noqa: S608  (names of columns are ours)

_GONE = """
DELETE FROM daily_valuations AS stored
WHERE stored.user_id = %(user_id)s AND stored.day >= %(start)s AND NOT EXISTS (
    SELECT FROM fresh_valuations AS fresh
    WHERE fresh.scope_id = stored.scope_id AND fresh.day = stored.day)
"""


def _compute(
    cursor: CursorWrapper, prices: "BookPrices", moved: daily.Books, start: date, until: date
) -> list[tuple[UUID, datetime]]:
    """Value the days into a table of this transaction; returns what was held at large flows."""
    cursor.execute(
        "DROP TABLE IF EXISTS fresh_valuations; "  # noqa: S608  (names of columns are ours)
        "CREATE TEMPORARY TABLE fresh_valuations ON COMMIT DROP AS "
        f"SELECT {_LIST} FROM daily_valuations WITH NO DATA"
    )
    seen = _Seen()
    days = daily.valuations(books=moved, prices=prices, since=start, until=until)
    rows = _with_a_price(seen.watched(days), _assets_told(moved.portfolio, start))
    while part := list(islice(rows, COPIED_AT_ONCE)):
        with cursor.copy(f"COPY fresh_valuations ({_LIST}) FROM STDIN") as copy:
            for row in part:
                copy.write_row([getattr(row, name) for name in _COLUMNS])
    return list(seen.large_flows(moved, start))


def _assets_told(user_id: UUID, start: date) -> set[UUID]:
    """The assets with rows of their own before a day."""
    rows = DailyValuation.objects.filter(user_id=user_id, scope=day_rows.ASSET, day__lt=start)
    return set(rows.values_list("scope_id", flat=True).distinct())


def _with_a_price(rows: Iterable[Day], told: set[UUID]) -> Iterator[Day]:
    """Without the days of assets that never had a price until then: only totals count those.

    ``told`` are the assets that had one before the first of the rows.
    """
    for row in rows:
        if row.scope == day_rows.ASSET and row.scope_id not in told:
            if row.unpriced and not any(_money_of(row)):
                continue
            told.add(row.scope_id)
        yield _storable(row)


def _storable(row: Day) -> Day:
    """A row whose figures the table can hold; what it cannot is missing, and said to be."""
    if max(map(abs, _money_of(row))) >= _TOO_MUCH:
        for name in _MONEY:
            if abs(getattr(row, name)) >= _TOO_MUCH:
                setattr(row, name, _ZERO)
        row.is_partial = True
    row.unpriced = min(row.unpriced, _MOST_COUNTED)
    return row


def _replace(
    cursor: CursorWrapper, user_id: UUID, start: date, before: _Before, now: datetime
) -> None:
    """Bring what is stored from ``start`` on to what was computed, touching only what differs."""
    parameters = {"user_id": user_id, "start": start, "now": now, **before._asdict()}
    cursor.execute("ANALYZE fresh_valuations")
    cursor.execute(_GONE, parameters)
    cursor.execute(_CHANGED, parameters)
    cursor.execute("DROP TABLE fresh_valuations")


def _forget_before(user_id: UUID, day: date) -> None:
    DailyValuation.objects.filter(user_id=user_id, day__lt=day).delete()
