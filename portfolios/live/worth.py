"""What one portfolio is worth at the latest ticks: holdings from PostgreSQL, prices from memory.

The figures are those of the home screen (``valuation``): the same rows, rounded in the same
places, with a newer price where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from exchanges.models import Asset
from exchanges.prices import Quote
from portfolios.valuing import valuation
from tracker import money, tenancy

_ROUNDED, _SHOWN = Decimal(1).scaleb(-18), Decimal(1).scaleb(-money.VALUE_DECIMALS)

_HELD = f"""
WITH people AS (SELECT %(user_id)s::uuid AS user_id, %(currency)s::text AS currency),
{valuation.valued(valuation.NOT_LISTED, shown=True)}
SELECT valued.asset_id, valued.quantity, valued.price, valued.as_of, valued.fetched_as_of,
       valued.is_manual, coalesce(health.partial, false), coalesce(health.stale, false)
FROM people LEFT JOIN valued USING (user_id) LEFT JOIN health USING (user_id)
"""  # noqa: S608  (both parts are ours)


@dataclass(frozen=True, slots=True)
class Held:
    """Units of one asset over all places, and the price that PostgreSQL has for it."""

    quantity: Decimal
    price: Decimal | None
    as_of: datetime | None
    fetched_as_of: datetime | None
    is_manual: bool  # the person's own price stands until a market quotes the asset after it


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What somebody holds, in which currency it counts, and how far connections are trusted."""

    currency: str
    base: UUID | None
    held: Mapping[UUID, Held]
    partial: bool
    stale: bool

    @property
    def assets(self) -> frozenset[UUID]:
        """Everything whose price changes what it is worth."""
        return frozenset(self.held) | ({self.base} if self.base else frozenset())


def load(user_id: UUID, currency: str, *, now: datetime) -> Portfolio:
    """A person's holdings, read as that person."""
    parameters = valuation.freshness(now) | {"user_id": user_id, "currency": currency}
    rows = tenancy.read_as_user(user_id, _HELD, parameters)
    held = {row[0]: Held(*row[1:6]) for row in rows if row[0] is not None}
    base = Asset.objects.filter(slug=currency.lower()).values_list("id", flat=True).first()
    return Portfolio(currency, base, held, rows[0][6], rows[0][7])


def shown(
    portfolio: Portfolio, ticks: Mapping[UUID, Quote], *, base: Quote | None, now: datetime
) -> dict[str, Any]:
    """The fields of a ``portfolio`` message; ``base`` is what its currency is worth."""
    total, unpriced, stale, oldest = Decimal(0), 0, portfolio.stale, None
    for asset_id, held in portfolio.held.items():
        price, as_of, fetched = _priced(held, ticks.get(asset_id), base)
        value = None if price is None else (held.quantity * price).quantize(_ROUNDED)
        if value is None or value >= money.MOST_VALUE or fetched is None:
            unpriced += 1
            continue
        total += value
        stale = stale or now - fetched > settings.PRICE_STALE_AFTER
        oldest = as_of if oldest is None or (as_of and as_of < oldest) else oldest
    return {
        "total_value": money.to_text(total.quantize(_SHOWN)),
        "currency": portfolio.currency,
        "status": _status(partial=portfolio.partial or unpriced > 0, stale=stale),
        "unpriced": unpriced,
        "as_of": oldest,
    }


_Price = tuple[Decimal | None, datetime | None, datetime | None]


def _priced(held: Held, tick: Quote | None, base: Quote | None) -> _Price:
    """Price, age, and age of the market's part of it: the tick's unless PostgreSQL is ahead."""
    recorded = (held.price, held.as_of, held.fetched_as_of)
    if tick is None or base is None or held.is_manual:
        return recorded
    as_of = min(tick.as_of, base.as_of)
    if held.as_of is not None and held.as_of > as_of:
        return recorded
    price = tick.usd if base.usd == 1 else (tick.usd / base.usd).quantize(money.UNIT_QUANTUM)
    return price, as_of, as_of


def _status(*, partial: bool, stale: bool) -> str:
    if partial:
        return "partial"
    return "stale" if stale else "complete"
