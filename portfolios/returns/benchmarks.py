"""What the same days would have brought otherwise: in BTC, in ETH, in half of each, or by holding.

- ``btc``, ``eth``: the return of the asset in the person's base currency from close to close.
- ``half``: half of each at the beginning, not rebalanced: the mean of the two returns.
- ``held``: what a person had at the beginning, and what they put in or took out since, without
  any trade: each kept in the asset that it was in.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection

from portfolios.returns import day_prices, day_rows
from portfolios.returns.valued_ranges import Stored

NAMES = ("btc", "eth", "half", "held")
_COINS = ("btc", "eth")
_ZERO, _ONE = Decimal(0), Decimal(1)
_Ends = tuple[Decimal | None, Decimal | None]  # prices before the range and at its end
_DOLLAR: dict[str, _Ends] = {"usd": (_ONE, _ONE)}


@dataclass(frozen=True, slots=True)
class Held:
    """What would be there now without trades. None where an asset's price is missing."""

    value: Decimal | None


# The last close of an asset at most seven days before a day's end; the latest price stands for
# today. A US dollar is one US dollar.
_PRICE_ON = """
SELECT price.usd FROM (
    SELECT historic.usd, historic.at FROM historic_prices AS historic
    WHERE historic.asset_id = {asset} AND historic.interval = '1d'
      AND historic.at <= {day}::timestamp AT TIME ZONE 'UTC'
      AND historic.at >= ({day} - %(carried)s)::timestamp AT TIME ZONE 'UTC'
    UNION ALL
    SELECT latest.usd, 'infinity' FROM prices AS latest
    WHERE latest.asset_id = {asset} AND {day} >= %(today)s
    UNION ALL
    SELECT 1, 'infinity' FROM assets AS dollar WHERE dollar.id = {asset} AND dollar.slug = 'usd'
) AS price ORDER BY price.at DESC LIMIT 1
"""

_COIN_PRICES = f"""
SELECT assets.slug,
       ({_PRICE_ON.format(asset="assets.id", day="%(opening)s")}),
       ({_PRICE_ON.format(asset="assets.id", day="%(last)s")})
FROM assets WHERE assets.slug = ANY(%(slugs)s)
"""  # noqa: S608  (all parts are ours)

# What is in the base currency needs no price. Prices of an asset at the end are looked for once.
_HELD = f"""
WITH put_in AS (
    SELECT scope_id AS asset_id, day, value AS amount FROM daily_valuations
    WHERE user_id = %(user_id)s AND scope = 'asset' AND day = %(opening)s AND value <> 0
      AND %(opening_value)s <> 0
    UNION ALL
    SELECT scope_id, day, deposits - withdrawals + corrections FROM daily_valuations
    WHERE user_id = %(user_id)s AND scope = 'asset' AND day > %(opening)s AND day <= %(last)s
      AND (deposits <> 0 OR withdrawals <> 0 OR corrections <> 0)
),
base AS (SELECT (SELECT id FROM assets WHERE slug = %(base)s) AS id),
by_day AS (
    SELECT put_in.asset_id, put_in.day, sum(put_in.amount) AS amount
    FROM put_in, base WHERE put_in.asset_id IS DISTINCT FROM base.id
    GROUP BY put_in.asset_id, put_in.day
),
ends AS (
    SELECT assets.asset_id, ({_PRICE_ON.format(asset="assets.asset_id", day="%(last)s")}) AS usd
    FROM (SELECT DISTINCT asset_id FROM by_day) AS assets
)
SELECT by_day.amount, ({_PRICE_ON.format(asset="by_day.asset_id", day="by_day.day")}), ends.usd,
       CASE WHEN %(base)s = 'usd' THEN 1 ELSE
           ({_PRICE_ON.format(asset="base.id", day="by_day.day")}) END,
       CASE WHEN %(base)s = 'usd' THEN 1 ELSE
           ({_PRICE_ON.format(asset="base.id", day="%(last)s")}) END
FROM by_day JOIN ends USING (asset_id) CROSS JOIN base
UNION ALL
SELECT sum(put_in.amount), 1, 1, 1, 1 FROM put_in, base
WHERE put_in.asset_id = base.id HAVING count(*) > 0
"""  # noqa: S608  (all parts are ours)


def coins(found: Stored) -> dict[str, float | None]:
    """Returns of ``btc``, ``eth`` and ``half`` over the days of a range; None without a price."""
    base = found.currency.lower()
    with connection.cursor() as cursor:
        cursor.execute(_COIN_PRICES, _parameters(found) | {"slugs": [*_COINS, base]})
        prices = _DOLLAR | {slug: (before, after) for slug, before, after in cursor}
    returns = {name: _return(prices.get(name), prices.get(base)) for name in _COINS}
    btc, eth = returns["btc"], returns["eth"]
    return {**returns, "half": None if btc is None or eth is None else (btc + eth) / 2}


def held(found: Stored) -> Held:
    """The portfolio at the end of a range as if nothing had been traded in it."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, _parameters(found))
        total = _ZERO
        for amount, before, after, base_before, base_after in cursor:
            if None in (before, after, base_before, base_after):
                return Held(None)
            total += amount * (after / before) * (base_before / base_after)
    return Held(day_rows.rounded(total))


def _parameters(found: Stored) -> dict[str, UUID | date | str | int | Decimal]:
    asked = found.asked
    return {
        "user_id": asked.user.id, "opening": asked.range.opening, "last": asked.range.last,
        "opening_value": found.opening.value, "today": asked.now.date(),
        "carried": day_prices.CARRIED_DAYS, "base": found.currency.lower(),
    }  # fmt: skip


def _return(coin: _Ends | None, base: _Ends | None) -> float | None:
    if not coin or not base:
        return None
    (before, after), (base_before, base_after) = coin, base
    if not (before and after and base_before and base_after):
        return None
    return float((after / base_after) / (before / base_before) - 1)
