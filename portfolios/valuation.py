"""What holdings are worth: one SQL definition for the home screen and for snapshots alike.

Units times latest price, crossed into each person's base currency, added up per asset over
connections and wallets. PostgreSQL's ``numeric`` keeps the digits; values are rounded to eight
decimals where they are shown. An asset without a price is ``unpriced`` and makes the total
``partial``; it never counts as zero.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from exchanges.models import ConnectionState

# Expects a leading CTE ``people (user_id, currency)``. Ends with ``valued`` (one row per person
# and asset), ``health`` (how far each person's connections can be trusted) and ``totals``.
VALUED = """
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
valued AS (
    SELECT owned.user_id, owned.asset_id, assets.code, owned.quantity,
           prices.usd / base.usd AS price,
           owned.quantity * prices.usd / base.usd AS value,
           owned.quantity * prices.usd_24h_ago / base.usd_24h_ago AS value_24h_ago,
           prices.source, least(prices.as_of, base.as_of) AS as_of,
           CASE WHEN prices.usd IS NULL OR base.usd IS NULL THEN 'unpriced'
                WHEN least(prices.as_of, base.as_of) < %(prices_since)s THEN 'stale'
                ELSE 'complete' END AS status
    FROM owned
    JOIN people USING (user_id)
    JOIN assets ON assets.id = owned.asset_id
    LEFT JOIN prices ON prices.asset_id = owned.asset_id
    LEFT JOIN base ON base.currency = people.currency
),
health AS (
    SELECT connections.user_id,
           bool_or(connections.state = ANY(%(partial_states)s)
                   OR connections.last_synced_at IS NULL) AS partial,
           bool_or(connections.state = ANY(%(stopped_states)s)
                   OR connections.last_synced_at < %(balances_since)s) AS stale
    FROM exchange_connections AS connections JOIN people USING (user_id)
    GROUP BY connections.user_id
),
totals AS (
    SELECT people.user_id, people.currency,
           round(coalesce(sum(valued.value), 0), 8) AS total_value,
           round(sum(valued.value) FILTER (WHERE valued.value_24h_ago IS NOT NULL), 8)
               AS comparable_value,
           round(sum(valued.value_24h_ago), 8) AS value_24h_ago,
           count(valued.asset_id) AS held,
           count(*) FILTER (WHERE valued.status = 'unpriced') AS unpriced,
           count(*) FILTER (WHERE valued.value IS NOT NULL AND valued.value_24h_ago IS NULL)
               AS without_24h,
           CASE WHEN coalesce(bool_or(valued.status = 'unpriced'), false)
                     OR coalesce(bool_or(health.partial), false) THEN 'partial'
                WHEN coalesce(bool_or(valued.status = 'stale'), false)
                     OR coalesce(bool_or(health.stale), false) THEN 'stale'
                ELSE 'complete' END AS status
    FROM people
    LEFT JOIN valued USING (user_id)
    LEFT JOIN health USING (user_id)
    GROUP BY people.user_id, people.currency
)
"""

_TIME = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

_HOME = f"""
WITH people AS (SELECT %(user_id)s::uuid AS user_id, %(currency)s::text AS currency),
{VALUED}
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
        SELECT json_agg(json_build_object(
            'asset', valued.asset_id,
            'code', valued.code,
            'quantity', trim_scale(valued.quantity)::text,
            'price', trim_scale(round(valued.price, 18))::text,
            'value', trim_scale(round(valued.value, 8))::text,
            'share', CASE WHEN totals.total_value > 0
                          THEN round(valued.value / totals.total_value, 6)::text END,
            'status', valued.status,
            'source', valued.source,
            'as_of', {_TIME.format("valued.as_of")}
        ) ORDER BY valued.value DESC NULLS LAST, valued.code, valued.asset_id)
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
                WHEN connections.state = ANY(%(partial_states)s)
                     OR connections.last_synced_at IS NULL THEN 'partial'
                WHEN connections.state = ANY(%(stopped_states)s)
                     OR connections.last_synced_at < %(balances_since)s THEN 'stale'
                ELSE 'complete' END
        ) ORDER BY connections.created_at, connections.id)
        FROM exchange_connections AS connections
        WHERE connections.user_id = %(user_id)s), '[]'::json)
)::text
FROM totals
"""  # noqa: S608  (both parts are ours)


def home_screen(*, user_id: UUID, currency: str, now: datetime) -> bytes:
    """The portfolio of one person as JSON bytes, in one query whatever they hold.

    Call inside ``as_user``. The shape is ``portfolios.serializers.PortfolioSerializer``.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HOME, freshness(now) | {"user_id": user_id, "currency": currency})
        (body,) = cursor.fetchone()
    return body.encode()


def freshness(now: datetime) -> dict[str, Any]:
    """The parameters of ``VALUED``: from when on a price or a balance counts as fresh."""
    return {
        "prices_since": now - settings.PRICE_STALE_AFTER,
        "balances_since": now - settings.BALANCE_STALE_AFTER,
        "partial_states": [ConnectionState.PARTIAL.value],
        "stopped_states": [ConnectionState.PAUSED.value, ConnectionState.NEEDS_NEW_KEY.value],
    }
