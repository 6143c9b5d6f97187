"""What holdings are worth: one SQL definition for the home screen and for snapshots alike.

Units times latest price, crossed into each person's base currency, added up per asset over
connections and wallets. PostgreSQL's ``numeric`` keeps the digits; values are rounded to eight
decimals where they are shown. An asset without a price, or whose value is beyond any sum of money,
is ``unpriced`` and makes the total ``partial``; it never counts as zero. Where no market quotes an
asset, or none any more, the price that the person set stands in, and shows as ``manual``.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from exchanges.models import ConnectionState
from tracker import money, tenancy

# Expects a leading CTE ``people (user_id, currency)``. Ends with ``valued`` (one row per person
# and asset), ``health`` (how far each person's connections can be trusted) and ``totals``. What
# stands for ``listed`` is aggregated in the same pass over a person's assets: a second pass would
# write 10,000 people's to disk first.
_VALUED = """
base AS MATERIALIZED (
    SELECT currencies.currency, prices.usd, prices.usd_24h_ago, prices.as_of
    FROM (SELECT DISTINCT currency FROM people) AS currencies
    JOIN assets ON assets.slug = lower(currencies.currency)
    JOIN prices ON prices.asset_id = assets.id
),
owned AS (
    SELECT holdings.user_id, holdings.asset_id, sum(holdings.quantity) AS quantity
    FROM holdings JOIN people USING (user_id)
    WHERE holdings.quantity <> 0
    GROUP BY holdings.user_id, holdings.asset_id
),
{quoted},
multiplied AS MATERIALIZED (
    -- Once a row: what follows asks for the value several times. Sixty decimals would come out of
    -- thirty times thirty, and slow down all of it. Nothing that nobody asks for: it is written.
    SELECT quoted.user_id, quoted.asset_id, quoted.quantity, quoted.price, quoted.is_manual,
           quoted.fetched_as_of, assets.code, {value} AS value, {shown}
    FROM quoted JOIN assets ON assets.id = quoted.asset_id
),
valued AS (
    SELECT multiplied.*,
           CASE WHEN multiplied.value IS NULL THEN 'unpriced'
                WHEN multiplied.fetched_as_of < %(prices_since)s THEN 'stale'
                ELSE 'complete' END AS status
    FROM multiplied
),
health AS (
    SELECT connections.user_id,
           bool_or(connections.state = ANY(%(partial_states)s)
                   OR connections.last_synced_at IS NULL) AS partial,
           bool_or(connections.state = ANY(%(stopped_states)s)
                   OR connections.last_synced_at < %(balances_since)s) AS stale
    FROM exchange_connections AS connections JOIN people USING (user_id)
    WHERE connections.kind = 'exchange'  -- what a person keeps by hand waits for no visit
    GROUP BY connections.user_id
),
sums AS (
    SELECT valued.user_id,
           round(sum(valued.value), 8) AS total_value,
           round(sum(valued.value) FILTER (WHERE valued.value_24h_ago IS NOT NULL), 8)
               AS comparable_value,
           round(sum(valued.value_24h_ago), 8) AS value_24h_ago,
           count(*) FILTER (WHERE valued.status = 'unpriced') AS unpriced,
           count(*) FILTER (WHERE valued.value IS NOT NULL AND valued.value_24h_ago IS NULL)
               AS without_24h,
           bool_or(valued.status = 'stale') AS stale,
           {listed} AS holdings
    FROM valued GROUP BY valued.user_id
),
totals AS (
    SELECT people.user_id, people.currency, sums.holdings,
           coalesce(sums.total_value, 0) AS total_value,
           sums.comparable_value, sums.value_24h_ago,
           coalesce(sums.unpriced, 0) AS unpriced,
           coalesce(sums.without_24h, 0) AS without_24h,
           CASE WHEN sums.unpriced > 0 OR health.partial THEN 'partial'
                WHEN sums.stale OR health.stale THEN 'stale'
                ELSE 'complete' END AS status
    FROM people
    LEFT JOIN sums USING (user_id)
    LEFT JOIN health USING (user_id)
)
"""


def _storable(price: str) -> str:
    """Units times a price; null beyond any sum of money. What is owed is bounded in the total."""
    most = f"{money.MOST_VALUE:f}"
    return f"nullif(least(round(quoted.quantity * {price}, 18), {most}), {most})"


_SHOWN_TOO = f"""quoted.source, quoted.as_of,
           {_storable("quoted.price_24h_ago")} AS value_24h_ago"""

# Prices of the markets alone: what everybody has who never set a price.
_AT_MARKETS = """quoted AS (
    SELECT owned.user_id, owned.asset_id, owned.quantity, false AS is_manual, prices.source,
           least(prices.as_of, base.as_of) AS as_of,
           least(prices.as_of, base.as_of) AS fetched_as_of,
           CASE WHEN base.usd = 1 THEN prices.usd ELSE prices.usd / base.usd END AS price,
           CASE WHEN base.usd_24h_ago = 1 THEN prices.usd_24h_ago
                ELSE prices.usd_24h_ago / base.usd_24h_ago END AS price_24h_ago
    FROM owned
    JOIN people USING (user_id)
    LEFT JOIN prices ON prices.asset_id = owned.asset_id
    LEFT JOIN base ON base.currency = people.currency
)"""

# The same with the prices that people set themselves, in the currency of each.
_WITH_OWN = """last_set AS (
    SELECT DISTINCT ON (manual.user_id, manual.asset_id)
           manual.user_id, manual.asset_id, manual.price, manual.currency,
           manual.day::timestamp AT TIME ZONE users.time_zone AS holds_from
    FROM manual_prices AS manual
    JOIN people USING (user_id)
    JOIN users ON users.id = manual.user_id
    WHERE manual.day::timestamp AT TIME ZONE users.time_zone <= %(now)s
    ORDER BY manual.user_id, manual.asset_id, manual.day DESC
),
own AS MATERIALIZED (
    -- What a person set holds until a market quotes the asset after that.
    SELECT last_set.user_id, last_set.asset_id, last_set.holds_from, money.as_of,
           last_set.price * money.usd AS usd,
           last_set.price * money.usd_24h_ago AS usd_24h_ago
    FROM last_set
    JOIN assets ON assets.slug = lower(last_set.currency)
    JOIN prices AS money ON money.asset_id = assets.id
),
dollars AS (
    SELECT owned.user_id, owned.asset_id, owned.quantity,
           own.user_id IS NOT NULL AS is_manual,
           CASE WHEN own.user_id IS NULL THEN prices.source ELSE 'manual' END AS source,
           coalesce(own.usd, prices.usd) AS usd,
           CASE WHEN own.user_id IS NULL THEN prices.usd_24h_ago ELSE own.usd_24h_ago END
               AS usd_24h_ago,
           coalesce(own.holds_from, prices.as_of) AS as_of,
           coalesce(own.as_of, prices.as_of) AS fetched_as_of
    FROM owned
    LEFT JOIN prices ON prices.asset_id = owned.asset_id
    LEFT JOIN own ON own.user_id = owned.user_id AND own.asset_id = owned.asset_id
        AND (prices.as_of >= own.holds_from) IS NOT TRUE
),
quoted AS (
    SELECT dollars.user_id, dollars.asset_id, dollars.quantity, dollars.is_manual, dollars.source,
           least(dollars.as_of, base.as_of) AS as_of,
           least(dollars.fetched_as_of, base.as_of) AS fetched_as_of,
           CASE WHEN base.usd = 1 THEN dollars.usd ELSE dollars.usd / base.usd END AS price,
           CASE WHEN base.usd_24h_ago = 1 THEN dollars.usd_24h_ago
                ELSE dollars.usd_24h_ago / base.usd_24h_ago END AS price_24h_ago
    FROM dollars
    JOIN people USING (user_id)
    LEFT JOIN base ON base.currency = people.currency
)"""

NOT_LISTED = "NULL::jsonb"
# Put together as text and parsed once: measured at 60 % of the time of ``jsonb_build_object`` and
# ``jsonb_agg``. Only the code can hold a character that JSON must escape.
LISTED = """('[' || string_agg(
    '{"asset": "' || valued.asset_id
    || '", "code": ' || to_json(valued.code)
    || ', "quantity": "' || trim_scale(valued.quantity)
    || '", "price": ' || coalesce('"' || trim_scale(valued.price) || '"', 'null')
    || ', "value": ' || coalesce('"' || trim_scale(round(valued.value, 8)) || '"', 'null')
    || ', "status": "' || valued.status
    || CASE WHEN valued.is_manual THEN '", "source": "manual"}' ELSE '"}' END, ', ')
    || ']')::jsonb"""


def valued(listed: str, *, own: bool = True, shown: bool = False) -> str:
    """The shared CTEs, with ``LISTED`` or ``NOT_LISTED`` as the holdings of ``totals``.

    Without ``own`` nobody's own prices are looked for, which is quicker. With ``shown`` there are
    also a price's source and age, and what all was worth 24 hours ago; else that is null.
    """
    quoted = _WITH_OWN if own else _AT_MARKETS
    told = _VALUED.replace("{quoted}", quoted).replace("{listed}", listed)
    told = told.replace("{value}", _storable("quoted.price"))
    return told.replace("{shown}", _SHOWN_TOO if shown else "NULL::numeric AS value_24h_ago")


_TIME = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
# The same as JSON text with its quotes, several times faster than to_char.
_JSON_TIME = "left(to_json({0} AT TIME ZONE 'UTC')::text, -1) || 'Z\"'"

_SHOWN = f"""
SELECT json_build_object(
    'total_value', trim_scale(totals.total_value)::text,
    'currency', totals.currency,
    'status', totals.status,
    'unpriced', totals.unpriced,
    'change_24h', CASE WHEN totals.value_24h_ago > 0 THEN json_build_object(
        'value', trim_scale(totals.comparable_value - totals.value_24h_ago)::text,
        'percent', round((totals.comparable_value / totals.value_24h_ago - 1) * 100, 2)::text,
        'status', CASE WHEN totals.unpriced + totals.without_24h > 0 THEN 'partial'
                       ELSE 'complete' END) END,
    'holdings', coalesce((
        SELECT ('[' || string_agg(
            '{{"asset":"' || valued.asset_id
            || '","code":' || to_json(valued.code)
            || ',"quantity":"' || trim_scale(valued.quantity)
            || '","price":' || coalesce('"' || trim_scale(round(valued.price, 18)) || '"', 'null')
            || ',"value":' || coalesce('"' || trim_scale(round(valued.value, 8)) || '"', 'null')
            || ',"share":' || coalesce('"' || CASE WHEN totals.total_value > 0 THEN
                   round(round(valued.value, 8) / totals.total_value, 6) END || '"', 'null')
            || ',"status":"' || valued.status
            || '","source":' || coalesce(to_json(valued.source)::text, 'null')
            || ',"as_of":' || coalesce({_JSON_TIME.format("valued.as_of")}, 'null')
            || '}}', ',' ORDER BY valued.value DESC NULLS LAST, valued.code, valued.asset_id)
            || ']')::json
        FROM valued), '[]'::json),
    'connections', coalesce((
        SELECT json_agg(json_build_object(
            'id', connections.id,
            'exchange', connections.exchange_id,
            'label', connections.label,
            'state', connections.state,
            'reason', connections.reason,
            'last_synced_at', {_TIME.format("connections.last_synced_at")},
            'status', CASE
                WHEN connections.kind = 'manual' THEN 'complete'
                WHEN connections.state = ANY(%(partial_states)s)
                     OR connections.last_synced_at IS NULL THEN 'partial'
                WHEN connections.state = ANY(%(stopped_states)s)
                     OR connections.last_synced_at < %(balances_since)s THEN 'stale'
                ELSE 'complete' END
        ) ORDER BY connections.created_at, connections.id)
        FROM exchange_connections AS connections
        WHERE connections.user_id = %(user_id)s), '[]'::json)
)::text, EXISTS (SELECT FROM manual_prices WHERE manual_prices.user_id = %(user_id)s)
FROM totals
"""  # noqa: S608  (both parts are ours)
_ONE_PERSON = "WITH people AS (SELECT %(user_id)s::uuid AS user_id, %(currency)s::text AS currency)"
_HOME = f"{_ONE_PERSON},\n{valued(NOT_LISTED, own=False, shown=True)}{_SHOWN}"
_HOME_WITH_OWN = f"{_ONE_PERSON},\n{valued(NOT_LISTED, shown=True)}{_SHOWN}"


def home_screen(*, user_id: UUID, currency: str, now: datetime) -> bytes:
    """The portfolio of one person as JSON bytes, in one query whatever they hold.

    That one also tells whether they have set prices of their own, which takes a second query. The
    shape is ``portfolios.serializers.PortfolioSerializer``.
    """
    parameters = freshness(now) | {"user_id": user_id, "currency": currency}
    ((body, sets_prices),) = tenancy.read_as_user(user_id, _HOME, parameters)
    if sets_prices:
        ((body, _),) = tenancy.read_as_user(user_id, _HOME_WITH_OWN, parameters)
    return body.encode()


def freshness(now: datetime) -> dict[str, Any]:
    """The parameters of ``valued``: now, and from when on a price or a balance is fresh."""
    return {
        "now": now,
        "prices_since": now - settings.PRICE_STALE_AFTER,
        "balances_since": now - settings.BALANCE_STALE_AFTER,
        "partial_states": [ConnectionState.PARTIAL.value],
        "stopped_states": [ConnectionState.PAUSED.value, ConnectionState.NEEDS_NEW_KEY.value],
    }
