"""Daily valuations: stored, extended day by day, restated when late data arrives.

Positions are made of everything the ledger and the reports say; values are computed for the days
that may have changed, and written only where they differ from what stands there. A day that had
ended when it was last valued, and differs now, gets ``restated_at``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from accounts.models import User
from exchanges import history
from exchanges.history import Want
from exchanges.models import PriceInterval
from portfolios import daily, movements, positions, pricebook
from portfolios.daily import Close, Day
from portfolios.models import DailyValuation, PortfolioState
from portfolios.movements import Ledger
from portfolios.pricebook import PriceBook, Quote
from tracker import tenancy

# Days that are always computed again: a report may settle what had come in before midnight.
SETTLING = timedelta(days=2)
# A flow of this part of the portfolio has the other prices of its hour fetched, so that what was
# held before it is valued at its instant (a "large cash flow" of GIPS 2020).
LARGE_FLOW = Decimal("0.1")
EXTEND_AT_MOST = 500
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_ZERO = Decimal(0)


def revalue(*, user_id: UUID, since: date | None, now: datetime) -> None:
    """Compute the days from ``since`` (or the first missing one) to today anew.

    The row of today is as of ``now``. Earlier days are computed as well where what they stand on
    has moved. Call inside ``as_user``.
    """
    user = User.objects.get(id=user_id)
    today = now.astimezone(UTC).date()
    ledger = movements.read(user=user, now=now)
    valued_through = _valued_through(user_id)
    first = _first_day(ledger)
    if first is None:
        _forget_before(user_id, today + _DAY)
    else:
        start = _start(ledger, first, since, valued_through, today)
        prices, books = _priced(user, ledger, start, now)
        if start > first and daily.value_before(books=books, prices=prices, since=start) != _stored(
            user_id, start - _DAY
        ):
            start = first
            prices, books = _priced(user, ledger, start, now)
        _forget_before(user_id, first)
        days = daily.valuations(books=books, prices=prices, since=start, until=today)
        seen = _Seen()
        _write(user_id, seen.watched(days), start, valued_through, now)
        if history.want(needs=prices.wants(large=seen.large_flows(books, start))):
            PortfolioState.objects.filter(user_id=user_id).update(waits_for_prices=True)
    PortfolioState.objects.filter(user_id=user_id).update(valued_through=today - _DAY)


def extend_due(*, now: datetime) -> int:
    """Value yesterday for everybody whose days end before it; returns for how many.

    At most ``EXTEND_AT_MOST`` people at a time, first those whose days end earliest.
    """
    yesterday = now.astimezone(UTC).date() - _DAY
    with tenancy.as_system("extend daily valuations"):
        behind = PortfolioState.objects.filter(valued_through__lt=yesterday, user__is_active=True)
        people = list(
            behind.order_by("valued_through").values_list("user_id", flat=True)[:EXTEND_AT_MOST]
        )
    return sum(_extend(user_id, yesterday, now) for user_id in people)


def _extend(user_id: UUID, yesterday: date, now: datetime) -> bool:
    """One person's, unless somebody else is at it or was meanwhile."""
    with tenancy.as_user(user_id):
        behind = PortfolioState.objects.select_for_update(skip_locked=True).filter(
            user_id=user_id, valued_through__lt=yesterday
        )
        if not behind.exists():
            return False
        revalue(user_id=user_id, since=None, now=now)
        return True


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


def _valued_through(user_id: UUID) -> date | None:
    state = PortfolioState.objects.filter(user_id=user_id)
    return state.values_list("valued_through", flat=True).first()


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

    def dollars(self, day: date) -> Decimal | None:
        if not self.base_is_money:
            return None
        for back in range(daily.CARRIED_DAYS + 1):
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
        for back in range(daily.CARRIED_DAYS + 1):
            quote = self.book.close(asset, day - back * _DAY)
            if quote is not None:
                return _close_of(quote, carried=back > 0)
        return None


def _close_of(quote: Quote, *, carried: bool = False) -> Close:
    return Close(quote.price, carried and not quote.is_manual, quote.is_manual)


def _priced(
    user: User, ledger: Ledger, start: date, now: datetime
) -> tuple[BookPrices, daily.Books]:
    since = _midnight(start - _DAY)
    book = pricebook.load(
        user_id=user.id,
        currency=user.base_currency,
        asset_ids=ledger.assets,
        since=since,
        until=now,
        instants=movements.instants(ledger=ledger, since=since, held=ledger.assets),
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
        self.totals: dict[date, Decimal] = {}
        self.held: dict[date, list[UUID]] = {}

    def watched(self, days: Iterable[list[Day]]) -> Iterator[Day]:
        for rows in days:
            total = rows[0]
            self.totals[total.day] = total.value
            if total.deposits or total.withdrawals:
                self.held[total.day] = [row.scope_id for row in rows if row.scope == daily.ASSET]
            yield from rows

    def large_flows(self, books: daily.Books, since: date) -> Iterator[tuple[UUID, datetime]]:
        """The assets that were held at each large flow from ``since`` on, and its instant."""
        for item in books.movements:
            day = item.at.astimezone(UTC).date()
            if day < since or item.part not in (positions.DEPOSIT, positions.WITHDRAWAL):
                continue
            held = self.totals.get(day - _DAY, _ZERO)
            if held and abs(item.value or _ZERO) >= LARGE_FLOW * held:
                yield from ((asset, item.at.astimezone(UTC)) for asset in self.held.get(day, ()))


# --- what is written ----------------------------------------------------------------------------
_FIGURES = (
    "value", "cost", "value_without_cost", "deposits", "withdrawals", "income", "fees",
    "realized", "price_effect", "currency_effect", "traded", "trade_effect", "corrections",
    "growth", "unpriced", "is_partial",
)  # fmt: skip
_COLUMNS = ("scope", "scope_id", "day", *_FIGURES)
_LIST = ", ".join(_COLUMNS)

_CHANGED = f"""
INSERT INTO daily_valuations AS stored (user_id, {_LIST})
SELECT %(user_id)s, {_LIST} FROM fresh_valuations
ON CONFLICT (user_id, scope_id, day) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _FIGURES)},
    restated_at = CASE WHEN stored.day <= %(valued_through)s THEN %(now)s
                       ELSE stored.restated_at END
WHERE ({", ".join(f"stored.{name}" for name in _FIGURES)})
    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _FIGURES)})
"""  # noqa: S608  (names of columns are ours)

_GONE = """
DELETE FROM daily_valuations AS stored
WHERE stored.user_id = %(user_id)s AND stored.day >= %(start)s AND NOT EXISTS (
    SELECT FROM fresh_valuations AS fresh
    WHERE fresh.scope_id = stored.scope_id AND fresh.day = stored.day)
"""


def _write(
    user_id: UUID, rows: Iterable[Day], start: date, valued_through: date | None, now: datetime
) -> None:
    """Bring what is stored from ``start`` on to ``rows``, touching only what differs."""
    parameters: dict[str, UUID | date | None] = {
        "user_id": user_id, "start": start, "valued_through": valued_through, "now": now,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE fresh_valuations ON COMMIT DROP AS "  # noqa: S608
            f"SELECT {_LIST} FROM daily_valuations WITH NO DATA"
        )
        with cursor.copy(f"COPY fresh_valuations ({_LIST}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([getattr(row, name) for name in _COLUMNS])
        cursor.execute("ANALYZE fresh_valuations")
        cursor.execute(_GONE, parameters)
        cursor.execute(_CHANGED, parameters)
        cursor.execute("DROP TABLE fresh_valuations")


def _forget_before(user_id: UUID, day: date) -> None:
    DailyValuation.objects.filter(user_id=user_id, day__lt=day).delete()
