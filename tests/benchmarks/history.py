"""A person with a long history: 100,000 trades and what belongs to them."""

from datetime import datetime, timedelta

from django.db import connection

from accounts.models import User
from exchanges import credentials
from exchanges.models import ExchangeConnection
from exchanges.reports import Credential
from tests.benchmarks import rows
from tracker import tenancy

TRADES, TRANSFERS, REWARDS = 100_000, 2_000, 2_000
SNAPSHOTS, ACTS, VISITS = 9_000, 5_000, 5_000

_TRADES = """
    INSERT INTO trades (id, user_id, connection_id, feed, exchange_id, order_id, kind, symbol, side,
        base_asset_id, base_quantity, quote_asset_id, quote_quantity, price, fee_asset_id,
        fee_quantity, wallet, occurred_at, recorded_at)
    SELECT gen_random_uuid(), %(user)s, %(connection)s, 'trades', n::text, 'o' || n, 'fill',
        'C1/USD', CASE n %% 2 WHEN 0 THEN 'buy' ELSE 'sell' END, %(base)s, 1 + n * 0.001,
        %(quote)s, 100 + n * 0.1, 100, %(quote)s, 0.001 * n, 'spot',
        %(now)s::timestamptz - n * interval '5 minutes', %(now)s
    FROM generate_series(1, %(trades)s) AS n
"""
_LEGS = """
    INSERT INTO ledger_entries (id, user_id, connection_id, asset_id, wallet, kind, quantity,
        occurred_at, trade_id, leg)
    SELECT gen_random_uuid(), t.user_id, t.connection_id, t.base_asset_id, 'spot',
        CASE leg WHEN 2 THEN 'fee' ELSE 'trade' END, t.base_quantity, t.occurred_at, t.id, leg
    FROM trades t CROSS JOIN generate_series(0, 2) AS leg WHERE t.user_id = %(user)s
"""
_TRANSFERS = """
    WITH made AS (
        INSERT INTO transfers (id, user_id, connection_id, feed, exchange_id, direction, asset_id,
            quantity, wallet, counter_wallet, is_settled, txid, address, network, occurred_at,
            recorded_at)
        SELECT gen_random_uuid(), %(user)s, %(connection)s, 'deposits', n::text, 'deposit',
            %(base)s, n, 'spot', '', true, 'tx' || n, 'bc1' || n, 'BTC',
            %(now)s::timestamptz - n * interval '1 hour', %(now)s
        FROM generate_series(1, %(transfers)s) AS n RETURNING *
    )
    INSERT INTO ledger_entries (id, user_id, connection_id, asset_id, wallet, kind, quantity,
        occurred_at, transfer_id, leg)
    SELECT gen_random_uuid(), user_id, connection_id, asset_id, wallet, 'deposit', quantity,
        occurred_at, id, 0 FROM made
"""
_REWARDS = """
    WITH made AS (
        INSERT INTO rewards (id, user_id, connection_id, feed, exchange_id, kind, asset_id,
            quantity, wallet, occurred_at, recorded_at)
        SELECT gen_random_uuid(), %(user)s, %(connection)s, 'rewards', n::text, 'interest',
            %(base)s, n, 'spot', %(now)s::timestamptz - n * interval '1 day', %(now)s
        FROM generate_series(1, %(rewards)s) AS n RETURNING *
    )
    INSERT INTO ledger_entries (id, user_id, connection_id, asset_id, wallet, kind, quantity,
        occurred_at, reward_id, leg)
    SELECT gen_random_uuid(), user_id, connection_id, asset_id, wallet, 'reward', quantity,
        occurred_at, id, 0 FROM made
"""
_SNAPSHOTS = """
    INSERT INTO portfolio_snapshots (id, user_id, taken_at, total_value, currency, status,
        snapshot_data)
    SELECT gen_random_uuid(), %(user)s, %(now)s::timestamptz - n * interval '1 hour', n, 'USD',
        'complete', jsonb_build_object('holdings', jsonb_build_array(n, n + 1))
    FROM generate_series(1, %(snapshots)s) AS n
"""
_ACTS = """
    INSERT INTO activity_logs (id, user_id, action, outcome, details, ip_address, request_id,
        created_at, salt)
    SELECT gen_random_uuid(), %(user)s, 'user.signed_in', 'ok', '{{}}', '203.0.113.7', '',
        %(now)s::timestamptz - n * interval '1 hour', gen_random_uuid()
    FROM generate_series(1, %(acts)s) AS n
""".replace("{{}}", "{}")
_VISITS = """
    INSERT INTO session_activity (session_id, bucket_at, user_id, last_at, ip_address, features)
    SELECT gen_random_uuid(), %(now)s::timestamptz - n * interval '5 minutes', %(user)s, %(now)s,
        '203.0.113.7', '{portfolio}'
    FROM generate_series(1, %(visits)s) AS n
"""


def somebody(now: datetime, *, trades: int = TRADES) -> tuple[User, ExchangeConnection]:
    """A fresh person with this many trades, everything else in proportion."""
    (user,) = rows.people(1)
    (connected,) = rows.connections_of([user], now)
    assets = rows.priced_assets(2, now)
    share = trades / TRADES
    parameters = {
        "user": user.id, "connection": connected.id, "base": assets[1].id, "quote": assets[0].id,
        "now": now - timedelta(minutes=1), "trades": trades,
        "transfers": int(TRANSFERS * share), "rewards": int(REWARDS * share),
        "snapshots": int(SNAPSHOTS * share), "acts": int(ACTS * share),
        "visits": int(VISITS * share),
    }  # fmt: skip
    with tenancy.as_user(user.id):
        key = Credential(api_key="k" * 64, api_secret="s" * 64)
        credentials.store(user_id=user.id, connection_id=connected.id, credential=key)
        with connection.cursor() as cursor:
            for statement in (_TRADES, _LEGS, _TRANSFERS, _REWARDS, _SNAPSHOTS, _ACTS, _VISITS):
                cursor.execute(statement, parameters)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return user, connected
