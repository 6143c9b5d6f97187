"""Prices as a person sees them: in their base currency, with age and source."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from exchanges import prices
from exchanges.models import Asset
from exchanges.prices import Quote
from tracker import money
from tracker.api import InvalidInput

MAX_ASSETS = 200
_PERCENT, _PRICE = Decimal("0.01"), Decimal(1).scaleb(-18)


def quote(wanted: str, *, currency: str, now: datetime) -> list[dict[str, Any]]:
    """Rows for comma-separated asset ids or codes. Raises InvalidInput.

    A code stands for every asset that bears it. What we have no price for is ``unpriced``.
    """
    assets = _find(wanted)
    base = Asset.objects.filter(slug=currency.lower()).first()
    ids = [asset.id for asset in assets] + ([base.id] if base else [])
    quotes = {found.asset_id: found for found in prices.latest(ids)}
    base_quote = quotes.get(base.id) if base else None
    return [
        row(asset.id, asset.code, quotes.get(asset.id), base=base_quote, currency=currency, now=now)
        for asset in assets
    ]


def _find(wanted: str) -> Sequence[Asset]:
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if not names or len(names) > MAX_ASSETS:
        raise InvalidInput.of("assets", f"Name 1 to {MAX_ASSETS} assets, by id or code.")
    if any(len(name) > 64 or not name.isprintable() for name in names):
        raise InvalidInput.of("assets", "This is neither an asset id nor a code.")
    ids = [parsed for name in names if (parsed := _as_id(name))]
    codes = [name.upper() for name in names if not _as_id(name)]
    found = Asset.objects.filter(id__in=ids) | Asset.objects.filter(code__in=codes)
    return list(found.order_by("code", "id"))


def _as_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def row(
    asset_id: UUID,
    code: str,
    found: Quote | None,
    *,
    base: Quote | None,
    currency: str,
    now: datetime,
) -> dict[str, Any]:
    """One asset's price in a currency whose own quote is ``base``, as the API tells it."""
    named: dict[str, Any] = {"asset": asset_id, "code": code, "currency": currency}
    if found is None or base is None:
        empty = {"price": None, "change_24h_percent": None, "source": None, "as_of": None}
        return named | empty | {"status": "unpriced"}
    as_of = min(found.as_of, base.as_of)
    return named | {
        "price": money.to_text((found.usd / base.usd).quantize(_PRICE)),
        "change_24h_percent": _change(found, base),
        "status": "stale" if now - as_of > settings.PRICE_STALE_AFTER else "complete",
        "source": found.source,
        "as_of": as_of,
    }


def _change(found: Quote, base: Quote) -> str | None:
    if found.usd_24h_ago is None or base.usd_24h_ago is None:
        return None
    before = found.usd_24h_ago / base.usd_24h_ago
    return str((((found.usd / base.usd) / before - 1) * 100).quantize(_PERCENT))
