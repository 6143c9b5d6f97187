"""From the ledger to lots in their tables: 100,000 trades at once, and one more after them."""

import statistics
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection

from exchanges.models import Asset, ExchangeConnection
from portfolios.cost import basis
from portfolios.ledger import books
from portfolios.models import AssetBasis, Disposal, Lot
from tests.benchmarks import rows, trades
from tests.benchmarks.measure import Result, seconds
from tracker import bulk, clock, ids, tenancy

TRADES, FEW = 100_000, 20
_SIDES = {"B": "buy", "S": "sell"}
_COPIED = {
    "id": "uuid", "number": "int8", "at": "timestamptz", "side": "text", "base": "numeric",
    "quote": "numeric", "fee": "numeric", "base_leg": "uuid", "quote_leg": "uuid",
    "fee_leg": "uuid",
}  # fmt: skip
_FACTS = """
INSERT INTO trades (id, user_id, connection_id, feed, exchange_id, order_id, kind, symbol,
    side, base_asset_id, base_quantity, quote_asset_id, quote_quantity, price, fee_asset_id,
    fee_quantity, wallet, occurred_at, recorded_at)
SELECT id, %(user)s, %(connection)s, 'trades', number::text, '', 'fill', 'C0/USD', side,
    %(base)s, base, %(quote)s, quote, quote / base, %(quote)s, fee, 'spot', at, at
FROM incoming
"""
_LEGS = """
INSERT INTO ledger_entries (id, user_id, connection_id, asset_id, wallet, kind, quantity,
    occurred_at, trade_id, leg)
SELECT leg.id, %(user)s, %(connection)s, leg.asset, 'spot', leg.kind,
       CASE side WHEN 'buy' THEN leg.units ELSE leg.sold END, at, incoming.id, leg.number
FROM incoming CROSS JOIN LATERAL (VALUES
    (0, base_leg, %(base)s, 'trade', base, -base),
    (1, quote_leg, %(quote)s, 'trade', -quote, quote),
    (2, fee_leg, %(quote)s, 'fee', -fee, -fee)
) AS leg (number, id, asset, kind, units, sold)
"""


def measure() -> list[Result]:
    rows.clear()
    now = clock.now()
    (connected,) = rows.connections_of(rows.people(1), now)
    quote, base = rows.priced_assets(2, now)
    made = list(trades.workload(TRADES + FEW))
    book(connected, base, quote, made[:TRADES])
    rate = TRADES / statistics.median(_derive_into_nothing(connected) for _ in range(5))
    again = TRADES / seconds(lambda: _derive_all(connected), rounds=3)
    one = sorted(_derive_one(connected, base, quote, trade) for trade in made[TRADES:])
    middle, slow = one[FEW // 2] * 1000, one[-2] * 1000
    return [
        Result("database → lots → database, 100,000 trades", rate, "trades/s", "", None,
               "≥ 100,000", rate >= 100_000),
        Result("the same in the place of what was stored", again, "trades/s", "", None, "none",
               True),
        Result("one new trade in a history of 100,000", middle, "ms", "", None, "≤ 20",
               middle <= 20),
        Result(f"the slowest but one of {FEW}", slow, "ms", "", None, "≤ 20", slow <= 20),
    ]  # fmt: skip


def book(
    connected: ExchangeConnection, base: Asset, quote: Asset,
    made: list[tuple[int, str, int, int, int]],
) -> None:  # fmt: skip
    """Trades and their three legs each, as recording writes them, and the books told."""
    parameters = {
        "user": connected.user_id, "connection": connected.id, "base": base.id, "quote": quote.id,
    }  # fmt: skip
    with tenancy.as_user(connected.user_id):
        rows_made = [_row(trade) for trade in made]
        for statement in (_FACTS, _LEGS):
            bulk.insert_from(rows_made, columns=_COPIED, statement=statement, parameters=parameters)
        first = datetime.fromtimestamp(made[0][0], UTC)
        books.changed(
            user_id=connected.user_id, touched={base.id: first, quote.id: first}, now=clock.now()
        )
    if len(made) > FEW:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _row(trade: tuple[int, str, int, int, int]) -> tuple:
    at, side, units, price, fee = trade
    return (
        ids.new_id(), at, datetime.fromtimestamp(at, UTC), _SIDES[side],
        str(Decimal(units).scaleb(-8)), str(Decimal(units * price).scaleb(-10)),
        str(Decimal(fee).scaleb(-10)), ids.new_id(), ids.new_id(), ids.new_id(),
    )  # fmt: skip


def _derive_into_nothing(connected: ExchangeConnection) -> float:
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE lots, disposals, incomes")
    return seconds(lambda: _derive_all(connected))


def _derive_all(connected: ExchangeConnection) -> None:
    """Everything anew."""
    with tenancy.as_user(connected.user_id):
        AssetBasis.objects.update(dirty_from=datetime(1970, 1, 1, tzinfo=UTC))
    _update(connected)


def _update(connected: ExchangeConnection) -> None:
    with tenancy.as_user(connected.user_id):
        reached = basis.update(user_id=connected.user_id)
        basis.note(user_id=connected.user_id, reached=reached, clean=True)


def _derive_one(connected: ExchangeConnection, base: Asset, quote: Asset, trade: tuple) -> float:
    book(connected, base, quote, [trade])
    before = _rows(connected)
    took = seconds(lambda: _update(connected))
    assert _rows(connected) > before
    return took


def _rows(connected: ExchangeConnection) -> int:
    with tenancy.as_user(connected.user_id):
        return Lot.objects.count() + Disposal.objects.count()
