"""Prices that a person sets where no market has one. They are theirs alone, and shown as such.

One holds from its day on (in the person's time zone), until the next one or a market's quote.
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet

from accounts.models import User
from audit import log
from audit.actions import Action
from exchanges.models import Asset
from portfolios.cost import basis
from portfolios.ledger import books
from portfolios.models import ManualPrice
from tracker import money, tenancy
from tracker.api import InvalidInput
from tracker.errors import NotFound

EARLIEST = date(2009, 1, 3)  # before the first coin there was nothing to price


def of(user_id: UUID) -> QuerySet[Any]:
    """A person's own prices as plain rows, in the API's names."""
    return ManualPrice.objects.filter(user_id=user_id).values(
        "id", "asset", "day", "price", "currency", code=F("asset__code")
    )


def put(
    *, user: User, asset_id: UUID, day: date, price: Decimal, currency: str, now: datetime
) -> UUID:
    """Set what one unit costs from a day on, replacing the price of that day; returns its id.

    ``price`` is in units of ``currency``. Everything computed from that day on is computed anew.
    Raises InvalidInput.
    """
    _check(user, day, price, now)
    with tenancy.as_user(user.id):
        if not Asset.objects.filter(id=asset_id).exists():
            raise InvalidInput.of("asset", "There is no asset of this id.", code="does_not_exist")
        row, _ = ManualPrice.objects.update_or_create(
            user_id=user.id, asset_id=asset_id, day=day,
            defaults={"price": price, "currency": currency},
        )  # fmt: skip
        log.record(Action.PRICE_SET, user_id=user.id, asset=str(asset_id), day=day.isoformat())
        _value_anew(user, asset_id, day, now)
    return row.id


def remove(*, user: User, price_id: UUID, now: datetime) -> None:
    """Forget one of a person's prices. Raises NotFound."""
    with tenancy.as_user(user.id):
        row = ManualPrice.objects.filter(user_id=user.id, id=price_id).first()
        if row is None:
            raise NotFound
        row.delete()
        log.record(
            Action.PRICE_REMOVED, user_id=user.id, asset=str(row.asset_id),
            day=row.day.isoformat(),
        )  # fmt: skip
        _value_anew(user, row.asset_id, row.day, now)


def _value_anew(user: User, asset_id: UUID, day: date, now: datetime) -> None:
    """What was paid for with the asset, or in fees, is valued by its price as well.

    The asset itself is valued anew also where it has no entries but is reported.
    """
    since = _since(user, day)
    touched = basis.depending_on(user_id=user.id, asset_id=asset_id, since=since)
    books.changed(user_id=user.id, touched=touched | {asset_id: since}, now=now)


def _check(user: User, day: date, price: Decimal, now: datetime) -> None:
    if price < 0 or not money.fits_units(price):
        raise InvalidInput.of("price", "Use a price of 0 or more, with at most 30 decimals.")
    if price >= money.MOST_PRICE:
        raise InvalidInput.of("price", "This price is too large to be kept.")
    if not EARLIEST <= day <= now.astimezone(ZoneInfo(user.time_zone)).date():
        raise InvalidInput.of("day", f"Use a day from {EARLIEST} to today.")


def _since(user: User, day: date) -> datetime:
    """Valuations are of UTC days, so the earlier of the two midnights."""
    own = datetime.combine(day, time(), ZoneInfo(user.time_zone)).astimezone(UTC)
    return min(own, datetime.combine(day, time(), UTC))
