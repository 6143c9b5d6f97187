"""The newest price of each asset: from PostgreSQL, or the tick in Redis where that is newer.

Whoever judges alerts by the record alone would be behind the stream by some seconds, and would see
prices go back that have not.
"""

from collections.abc import Collection
from functools import cache
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from accounts.models import BaseCurrency
from exchanges import ticks
from exchanges.models import Asset, Price
from portfolios.alerting.book import Quoted
from tracker.logs import get_logger

log = get_logger(__name__)
_SECONDS = 2.0
_AT_ONCE = 1_000


def prices(asset_ids: Collection[UUID]) -> dict[UUID, Quoted]:
    """Dollar prices by asset; one without any is absent. Without Redis, those of the record."""
    rows = Price.objects.filter(asset_id__in=asset_ids).values_list("asset_id", "usd", "as_of")
    found = {asset_id: Quoted(usd, as_of) for asset_id, usd, as_of in rows}
    for asset_id, tick in _ticks(list(asset_ids)).items():
        if asset_id not in found or found[asset_id].as_of < tick.as_of:
            found[asset_id] = tick
    return found


def currencies() -> dict[str, UUID]:
    """The asset that stands for each currency in which a person may count."""
    codes = [code.lower() for code in BaseCurrency.values]
    rows = Asset.objects.filter(slug__in=codes).values_list("slug", "id")
    return {slug.upper(): asset_id for slug, asset_id in rows}


def _ticks(asset_ids: list[UUID]) -> dict[UUID, Quoted]:
    found: dict[UUID, Quoted] = {}
    try:
        for start in range(0, len(asset_ids), _AT_ONCE):
            some = asset_ids[start : start + _AT_ONCE]
            held: Any = client(settings.REDIS_URL).mget(ticks.keys_of(some))
            for asset_id, value in zip(some, held, strict=True):
                if value is not None:
                    quote = ticks.read(value)
                    found[asset_id] = Quoted(quote.usd, quote.as_of)
    except (redis.RedisError, OSError):
        log.warning("alerts.redis_unavailable")
    return found


@cache
def client(url: str) -> redis.Redis:
    """A client that gives up soon."""
    return redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
