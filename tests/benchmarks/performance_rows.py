"""Portfolios with many activities over three years, and the closes that value them."""

from datetime import datetime, timedelta

from django.db import connection

from accounts.models import User
from portfolios.models import PortfolioState
from tests.benchmarks import rows
from tracker import tenancy

ASSETS, DAYS = 20, 1_096

# Nine trades for each deposit, over all assets and days, oldest first; the dollar is the first.
_TRADES = """
    INSERT INTO trades (id, user_id, connection_id, feed, exchange_id, order_id, kind, symbol, side,
        base_asset_id, base_quantity, quote_asset_id, quote_quantity, price, wallet, occurred_at,
        recorded_at)
    SELECT gen_random_uuid(), %(user)s, %(connection)s, 'trades', n::text, '', 'fill', 'C/USD',
        CASE n %% 3 WHEN 0 THEN 'sell' ELSE 'buy' END, coin.id, 1 + n %% 7, %(dollar)s,
        (1 + n %% 7) * 50, 50, 'spot', %(since)s + n * %(step)s, %(now)s
    FROM generate_series(1, %(count)s) AS n
    JOIN unnest(%(coins)s::uuid[]) WITH ORDINALITY AS coin (id, place)
        ON coin.place = 1 + n %% cardinality(%(coins)s::uuid[])
    WHERE n %% 10 <> 1
"""
_LEGS = """
    INSERT INTO ledger_entries (id, user_id, connection_id, asset_id, wallet, kind, quantity,
        occurred_at, trade_id, leg)
    SELECT gen_random_uuid(), t.user_id, t.connection_id,
        CASE leg WHEN 0 THEN t.base_asset_id ELSE t.quote_asset_id END, 'spot', 'trade',
        CASE (leg = 0) = (t.side = 'buy') WHEN true THEN 1 ELSE -1 END
            * CASE leg WHEN 0 THEN t.base_quantity ELSE t.quote_quantity END,
        t.occurred_at, t.id, leg
    FROM trades t CROSS JOIN generate_series(0, 1) AS leg WHERE t.user_id = %(user)s
"""
_DEPOSITS = """
    WITH made AS (
        INSERT INTO transfers (id, user_id, connection_id, feed, exchange_id, direction, asset_id,
            quantity, wallet, counter_wallet, is_settled, txid, address, network, occurred_at,
            recorded_at)
        SELECT gen_random_uuid(), %(user)s, %(connection)s, 'deposits', n::text, 'deposit',
            %(dollar)s, 2000, 'spot', '', true, '', '', '', %(since)s + n * %(step)s, %(now)s
        FROM generate_series(1, %(count)s, 10) AS n RETURNING *
    )
    INSERT INTO ledger_entries (id, user_id, connection_id, asset_id, wallet, kind, quantity,
        occurred_at, transfer_id, leg)
    SELECT gen_random_uuid(), user_id, connection_id, asset_id, wallet, 'deposit', quantity,
        occurred_at, id, 0 FROM made
"""
_HELD = """
    INSERT INTO holdings (id, user_id, connection_id, wallet, asset_id, exchange_code, quantity,
        changed_at, last_confirmed_at)
    SELECT gen_random_uuid(), %(user)s, %(connection)s, 'spot', asset_id, asset_id::text,
        sum(quantity), %(now)s, %(now)s
    FROM ledger_entries WHERE user_id = %(user)s GROUP BY asset_id
"""
_CLOSES = """
    INSERT INTO historic_prices (asset_id, interval, at, usd, source, fetched_at)
    SELECT coin.id, '1d', date_trunc('day', %(since)s, 'UTC') + n * interval '1 day',
        50 + (n * 7919 + coin.place * 104729) %% 40, 'benchmark', %(now)s
    FROM generate_series(-1, %(days)s) AS n
    CROSS JOIN unnest(%(coins)s::uuid[]) WITH ORDINALITY AS coin (id, place)
    ON CONFLICT DO NOTHING
"""


def activities(count: int, now: datetime) -> User:
    """Somebody with ``count`` trades and deposits over three years, nothing derived yet."""
    rows.clear()
    assets = rows.priced_assets(ASSETS, now)
    (user,) = rows.people(1)
    (connected,) = rows.connections_of([user], now)
    since = now - timedelta(days=DAYS)
    parameters = {
        "user": user.id, "connection": connected.id, "dollar": assets[0].id, "now": now,
        "coins": [asset.id for asset in assets[1:]], "since": since, "count": count,
        "step": (now - since) / (count + 1), "days": DAYS - 1,
    }  # fmt: skip
    with tenancy.as_user(user.id), connection.cursor() as cursor:
        for statement in (_TRADES, _LEGS, _DEPOSITS, _HELD, _CLOSES):
            cursor.execute(statement, parameters)
        PortfolioState.objects.create(user_id=user.id, ledger_revision=1)
    return user
