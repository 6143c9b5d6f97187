"""Looks at what a sync brought in: is this how the person trades and withdraws?

Judged are facts that happened after the account was connected, so that importing an old history
raises nothing; measured by the 30 days before them, and by what the account was worth. Values are
in US dollars of today, because what matters is how much of the account moved.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection as database

from audit import alerts, detection
from audit.detectors import trading
from audit.detectors.trading import Bought, Day, Habit, Withdrawn
from audit.log import Happening
from tracker import clock, tenancy

DAY = timedelta(days=1)
HABIT = timedelta(days=30)
FRESH = timedelta(days=1)  # what was recorded so lately is what the sync brought, or nearly so
STEP_HOURS = 6
MOST_DAYS = 12  # after a long silence the newest days are judged


def after_sync(happening: Happening) -> None:
    """Subscriber of ``portfolio.sync.finished``. Running again finds the same alerts."""
    told = happening.details
    if not told.get("new_trades") and not told.get("new_transfers"):
        return
    judge(user_id=happening.owner, connection_id=UUID(told["connection_id"]), now=clock.now())


def judge(*, user_id: UUID, connection_id: UUID, now: datetime) -> int:
    """Judge the days of what was recorded lately; returns how many alerts were raised."""
    thresholds, raised = detection.thresholds(), 0
    with tenancy.as_user(user_id):
        who = {"user": user_id, "connection": connection_id}
        for until in _moments(who, now):
            habit, day = _habit(who, until - DAY), _day(who, until)
            for finding in trading.judge(day, habit, thresholds, dedupe=str(connection_id)):
                alert = alerts.raise_finding(
                    finding, user_id=user_id, now=now, quiet=trading.SAME_INCIDENT,
                    incident=str(connection_id),
                )  # fmt: skip
                raised += alert is not None
    return raised


# --- reading ------------------------------------------------------------------------------------
# Every fact of one connection with its value: what was paid, else what it would be today. An
# order is one however many fills it took, and dust is swept up by the exchange.
_FACTS = """
    facts AS (
        SELECT trades.occurred_at, trades.recorded_at, 'trade' AS what,
               coalesce(nullif(trades.order_id, ''), trades.id::text) AS part,
               CASE WHEN trades.side = 'buy' THEN trades.base_asset_id
                    ELSE trades.quote_asset_id END AS asset_id,
               coalesce(trades.quote_quantity * quote.usd, trades.base_quantity * base.usd, 0)
                   AS value
        FROM trades
        LEFT JOIN prices AS quote ON quote.asset_id = trades.quote_asset_id
        LEFT JOIN prices AS base ON base.asset_id = trades.base_asset_id
        WHERE trades.user_id = %(user)s AND trades.connection_id = %(connection)s
          AND trades.kind <> 'dust'
          AND trades.occurred_at > %(since)s AND trades.occurred_at <= %(until)s
        UNION ALL
        SELECT transfers.occurred_at, transfers.recorded_at, transfers.direction,
               transfers.address, transfers.asset_id,
               coalesce(transfers.quantity * prices.usd, 0)
        FROM transfers LEFT JOIN prices ON prices.asset_id = transfers.asset_id
        WHERE transfers.user_id = %(user)s AND transfers.connection_id = %(connection)s
          AND transfers.direction IN ('withdrawal', 'deposit')
          AND transfers.occurred_at > %(since)s AND transfers.occurred_at <= %(until)s
    )
"""

_MOMENTS = """
    SELECT DISTINCT date_bin(%(step)s, facts.occurred_at, timestamptz '2020-01-01Z') + %(step)s
    FROM facts JOIN exchange_connections ON exchange_connections.id = %(connection)s
    WHERE facts.what <> 'deposit' AND facts.recorded_at > %(fresh)s
      AND facts.occurred_at > exchange_connections.created_at
    ORDER BY 1 DESC LIMIT %(most)s
"""

_DAY = """
    SELECT what, part, asset_id, code, sum(value), bool_or(unpriced) FROM (
        SELECT facts.*, assets.code, prices.usd IS NULL AS unpriced
        FROM facts JOIN assets ON assets.id = facts.asset_id
        LEFT JOIN prices ON prices.asset_id = facts.asset_id
        JOIN exchange_connections ON exchange_connections.id = %(connection)s
        WHERE facts.occurred_at > exchange_connections.created_at
    ) AS new GROUP BY what, part, asset_id, code
"""

_HABIT = """
    , days AS (
        SELECT what, floor(extract(epoch FROM %(until)s - occurred_at) / 86400) AS day,
               count(DISTINCT part) AS orders, sum(value) AS value
        FROM facts GROUP BY what, day
    )
    SELECT coalesce(max(orders) FILTER (WHERE what = 'trade'), 0),
           coalesce(max(value) FILTER (WHERE what = 'trade'), 0),
           coalesce(max(value) FILTER (WHERE what = 'withdrawal'), 0)
    FROM days
"""

_WORTH = """
    SELECT coalesce(sum(holdings.quantity * prices.usd), 0)
    FROM holdings JOIN prices ON prices.asset_id = holdings.asset_id
    WHERE holdings.user_id = %(user)s AND holdings.connection_id = %(connection)s
"""

_KNOWN_ASSETS = """
    SELECT DISTINCT asset_id FROM ledger_entries
    WHERE user_id = %(user)s AND asset_id = ANY(%(assets)s) AND occurred_at <= %(until)s
"""

_GOING = "SELECT DISTINCT part FROM facts WHERE what = 'withdrawal'"

_KNOWN_ADDRESSES = """
    SELECT DISTINCT address FROM transfers
    WHERE user_id = %(user)s AND direction = 'withdrawal' AND occurred_at <= %(until)s
      AND address = ANY(%(addresses)s)
"""

_SINCE = """
    SELECT least(
        (SELECT min(occurred_at) FROM ledger_entries
         WHERE user_id = %(user)s AND connection_id = %(connection)s),
        (SELECT created_at FROM exchange_connections WHERE id = %(connection)s))
"""


def _moments(who: dict[str, Any], now: datetime) -> list[datetime]:
    """The ends of the days to judge, the oldest first: every six hours that saw something new."""
    rows = _read(
        f"WITH {_FACTS} {_MOMENTS}", who, since=now - HABIT, until=now + DAY,
        fresh=now - FRESH, step=timedelta(hours=STEP_HOURS), most=MOST_DAYS,
    )  # fmt: skip
    return sorted(moment for (moment,) in rows)


def _day(who: dict[str, Any], until: datetime) -> Day:
    rows = _read(f"WITH {_FACTS} {_DAY}", who, since=until - DAY, until=until)
    trades = [row for row in rows if row[0] == "trade"]
    out = [row for row in rows if row[0] == "withdrawal"]
    came = _sum(row[4] for row in rows if row[0] == "deposit")
    known = {
        row[0]
        for row in _read(_KNOWN_ASSETS, who, assets=[row[2] for row in trades], until=until - DAY)
    }
    bought: dict[tuple[UUID, str], Decimal] = {}
    for _, _, asset_id, code, value, _ in trades:
        bought[asset_id, code] = bought.get((asset_id, code), Decimal(0)) + value
    ((holdings,),) = _read(_WORTH, who)
    # What was bought and has no price is worth what was paid for it.
    unpriced = _sum(row[4] for row in trades if row[5])
    return Day(
        until=until,
        orders=len({row[1] for row in trades}),
        traded=_sum(row[4] for row in trades),
        # An asset with a past goes by a name that is in the habit, whatever its code.
        bought=tuple(
            Bought(_KNOWN if asset_id in known else code, value)
            for (asset_id, code), value in bought.items()
        ),
        withdrawn=tuple(Withdrawn(row[1], row[4]) for row in out),
        worth=max(Decimal(0), holdings + unpriced + _sum(row[4] for row in out) - came),
    )


_KNOWN = "known"


def _habit(who: dict[str, Any], until: datetime) -> Habit:
    ((orders, traded, withdrawn),) = _read(
        f"WITH {_FACTS} {_HABIT}", who, since=until - HABIT, until=until
    )
    ((since,),) = _read(_SINCE, who)
    going = _read(
        f"WITH {_FACTS} {_GOING}",
        who, since=until, until=until + DAY,
    )  # fmt: skip
    addresses = _read(_KNOWN_ADDRESSES, who, until=until, addresses=[row[0] for row in going])
    return Habit(
        days=0 if since is None else max(0, (until - since).days),
        most_orders_a_day=orders, most_traded_a_day=traded, most_withdrawn_a_day=withdrawn,
        assets=frozenset({_KNOWN}), addresses=frozenset(row[0] for row in addresses),
    )  # fmt: skip


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _read(statement: str, who: dict[str, Any], **names: Any) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(statement, who | names)
        return cursor.fetchall()
