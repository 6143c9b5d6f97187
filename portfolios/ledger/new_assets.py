"""How many assets that nobody knew before one person may bring in: the table is everybody's."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import caches

from exchanges import assets
from tracker.api import InvalidInput
from tracker.errors import DomainError

MOST_A_FILE = 200
MOST_A_DAY = 500
_KEPT = int(timedelta(days=2).total_seconds())


class TooManyNewAssets(DomainError):
    code = "too_many_new_assets"
    status = 429
    message = (
        "You have entered hundreds of coins today that nobody knew before. Please check their "
        "codes, or go on tomorrow."
    )


def check_file(*, exchange: str, codes: Collection[str]) -> None:
    """Refuse a file with more unknown codes than coins are ever missing. Raises InvalidInput."""
    found = sorted(assets.unknown(exchange, codes))
    if len(found) > MOST_A_FILE:
        raise InvalidInput.of(
            "file",
            f"{len(found)} codes of this file are of no coin we know, such as {found[0]} and "
            f"{found[1]}. Please check its columns.",
            code="too_many_new_assets",
        )


def allow(*, user_id: UUID, exchange: str, codes: Collection[str], now: datetime) -> None:
    """Count the codes that would become new assets among those of the person's UTC day.

    Raises TooManyNewAssets.
    """
    count = len(assets.unknown(exchange, codes))
    if not count:
        return
    key = f"new-assets:{user_id}:{now:%Y-%m-%d}"
    caches["limits"].add(key, 0, _KEPT)
    if caches["limits"].incr(key, count) > MOST_A_DAY:
        caches["limits"].decr(key, count)
        raise TooManyNewAssets
