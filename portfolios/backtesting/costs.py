"""What trading costs a person: measured from their own fills, or assumed and said so."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

LOOKED_BACK = timedelta(days=365)
FEWEST_FILLS = 5  # fewer say little about what the next one costs
ASSUMED = Decimal("0.001")  # a tenth of a per cent, what large exchanges ask of small accounts
_MOST = Decimal("0.1")

# Fees in the quote or base of the trade say their share by themselves; those in a third coin
# would need a price of that moment and are left out.
_OWN = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY share), count(*)
    FROM (
        SELECT CASE WHEN fee_asset_id = quote_asset_id THEN fee_quantity / quote_quantity
                    ELSE fee_quantity / base_quantity END::float8 AS share
        FROM trades
        WHERE user_id = %(user_id)s AND occurred_at >= %(since)s AND kind = 'fill'
          AND fee_quantity >= 0 AND quote_quantity > 0 AND base_quantity > 0
          AND fee_asset_id IN (quote_asset_id, base_asset_id)
        ORDER BY occurred_at DESC LIMIT 10000
    ) AS fills
"""


@dataclass(frozen=True, slots=True)
class Fee:
    """A share of what is traded, and where it comes from: ``own_fills`` or ``default``."""

    share: Decimal
    source: str


def usual(*, user_id: UUID, now: datetime) -> Fee:
    """The median fee of a person's fills of the last year. Call inside ``as_user``."""
    with connection.cursor() as cursor:
        cursor.execute(_OWN, {"user_id": user_id, "since": now - LOOKED_BACK})
        median, fills = cursor.fetchone()
    if fills < FEWEST_FILLS or median is None:
        return Fee(ASSUMED, "default")
    share = Decimal(str(median)).quantize(Decimal("1e-6"))
    return Fee(share, "own_fills") if share < _MOST else Fee(ASSUMED, "default")
