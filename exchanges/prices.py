"""Latest prices: one batch per exchange, at most every five minutes, kept when a source is down.

PostgreSQL holds the record, Redis the cache. Nothing here is ever zero: an asset without a price
has no row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db import connection

from exchanges import assets, crossing, gateway
from exchanges.crossing import UsdPrice
from exchanges.gateway.errors import GatewayError
from exchanges.models import Price
from tracker.logs import get_logger
from tracker.money import UNIT_QUANTUM, fits_units

log = get_logger(__name__)
# So long a fetch that has begun keeps others from beginning; one whose worker died is then made.
FETCHING_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Quote:
    """A price as it is told: in US dollars, with source and age."""

    asset_id: UUID
    code: str
    usd: Decimal
    usd_24h_ago: Decimal | None
    source: str
    as_of: datetime


def refresh_due(*, now: datetime) -> int:
    """Fetch from every price exchange whose last fetch is five minutes old; returns prices kept.

    One exchange that is down leaves its prices as they were, and the others go on. Five minutes
    count from what was stored: a fetch that came to nothing is made again with the next tick.
    """
    kept = 0
    for exchange in settings.PRICE_EXCHANGES:
        if cache.add(_fetched(exchange), "1", timeout=FETCHING_SECONDS):
            kept += _refresh_safely(exchange, now)
    return kept


def refresh(exchange: str, *, now: datetime) -> int:
    """Fetch one exchange's tickers and store the prices. Raises GatewayError."""
    tickers = gateway.fetch_tickers(exchange)  # outside any transaction
    return store(exchange, storable(crossing.usd_prices(tickers, now=now)), now=now)


def storable(found: Mapping[str, UsdPrice]) -> dict[str, UsdPrice]:
    """The prices by code that a column can hold; one that is nought when rounded is none."""
    return {
        code: price
        for code, price in found.items()
        if fits_units(price.usd.quantize(UNIT_QUANTUM)) and price.usd.quantize(UNIT_QUANTUM) > 0
    }


def store(exchange: str, found: Mapping[str, UsdPrice], *, now: datetime) -> int:
    """Keep an exchange's prices by code where they are newer; returns how many were kept."""
    meanings = assets.resolve(exchange, found)
    return _store(exchange, {meanings[code].at(now): price for code, price in found.items()}, now)


def was_fetched(exchange: str) -> None:
    """Spare the next fetch of an exchange whose prices arrive by themselves."""
    cache.set(f"prices:fetched:{exchange}", "1", timeout=settings.PRICE_CACHE_SECONDS)


def latest(asset_ids: Sequence[UUID]) -> list[Quote]:
    """The latest prices of some assets: from Redis, and from PostgreSQL what is not there."""
    keys = {asset_id: f"price:{asset_id}" for asset_id in asset_ids}
    cached = cache.get_many(list(keys.values())) or {}
    found = [thaw(cached[key]) for key in keys.values() if key in cached]
    missing = set(asset_ids) - {quote.asset_id for quote in found}
    fresh = _read(missing) if missing else []
    if fresh:
        frozen = {keys[quote.asset_id]: freeze(quote) for quote in fresh}
        cache.set_many(frozen, timeout=settings.PRICE_CACHE_SECONDS)
    return sorted([*found, *fresh], key=lambda quote: (quote.code, str(quote.asset_id)))


def _refresh_safely(exchange: str, now: datetime) -> int:
    try:
        kept = refresh(exchange, now=now)
    except GatewayError as error:
        log.warning("prices.source_failed", exchange=exchange, code=error.code)
        # Ask again at the next tick instead of in five minutes.
        cache.delete(_fetched(exchange))
        return 0
    cache.set(_fetched(exchange), "1", timeout=settings.PRICE_CACHE_SECONDS)
    return kept


def _fetched(exchange: str) -> str:
    """Is there while prices of this exchange are young, or being fetched."""
    return f"prices:fetched:{exchange}"


def _store(exchange: str, rows: Mapping[UUID, UsdPrice], now: datetime) -> int:
    """Upsert in id order (so that two writers never wait crosswise), never back in time.

    A more direct source wins over a crossed one only by being newer: sources are asked in the
    order of the setting, and the first one that knows an asset within the hour keeps it.
    """
    ordered = sorted(rows.items(), key=lambda item: str(item[0]))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO prices (asset_id, usd, usd_24h_ago, source, as_of, fetched_at)
            SELECT * FROM unnest(%s::uuid[], %s::numeric[], %s::numeric[], %s::text[],
                                 %s::timestamptz[], %s::timestamptz[])
            ON CONFLICT (asset_id) DO UPDATE SET
                usd = excluded.usd, usd_24h_ago = excluded.usd_24h_ago,
                source = excluded.source, as_of = excluded.as_of, fetched_at = excluded.fetched_at
            WHERE prices.as_of <= excluded.as_of
              AND (split_part(prices.source, ':', 1) = ANY(%s) IS NOT TRUE
                   OR prices.fetched_at < excluded.fetched_at - interval '1 hour')
            """,
            [
                [asset_id for asset_id, _ in ordered],
                [price.usd for _, price in ordered],
                [price.usd_24h_ago for _, price in ordered],
                [source_of(exchange, price) for _, price in ordered],
                [price.as_of for _, price in ordered],
                [now for _ in ordered],
                preferred_over(exchange),
            ],
        )
        stored = cursor.rowcount
    cache.delete_many([f"price:{asset_id}" for asset_id in rows])
    return stored


def source_of(exchange: str, price: UsdPrice) -> str:
    """How a price's origin is told: the exchange, and the markets crossed."""
    return f"{exchange}: {price.route}"[:96]


def preferred_over(exchange: str) -> list[str]:
    """The price exchanges that come before this one in the setting."""
    order = list(settings.PRICE_EXCHANGES)
    return order[: order.index(exchange)] if exchange in order else []


def _read(asset_ids: set[UUID]) -> list[Quote]:
    rows = Price.objects.filter(asset_id__in=asset_ids).select_related("asset")
    return [
        Quote(row.asset_id, row.asset.code, row.usd, row.usd_24h_ago, row.source, row.as_of)
        for row in rows
    ]


def freeze(quote: Quote) -> dict[str, Any]:
    """A quote as JSON takes it."""
    return {
        "asset_id": str(quote.asset_id),
        "code": quote.code,
        "usd": str(quote.usd),
        "usd_24h_ago": None if quote.usd_24h_ago is None else str(quote.usd_24h_ago),
        "source": quote.source,
        "as_of": quote.as_of.isoformat(),
    }


def thaw(frozen: Mapping[str, Any]) -> Quote:
    """The quote behind ``freeze``."""
    before = frozen["usd_24h_ago"]
    return Quote(
        asset_id=UUID(frozen["asset_id"]),
        code=frozen["code"],
        usd=Decimal(frozen["usd"]),
        usd_24h_ago=None if before is None else Decimal(before),
        source=frozen["source"],
        as_of=datetime.fromisoformat(frozen["as_of"]),
    )
