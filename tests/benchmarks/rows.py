"""Rows that benchmarks measure on, made in bulk."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import connection

from accounts import sessions
from accounts.models import User
from accounts.sessions import Device
from exchanges.models import Asset, Exchange, ExchangeConnection, Price
from tracker import bulk, ids, tenancy

TABLES = (
    "users", "assets", "exchanges", "exchange_connections", "holdings", "prices", "trades",
    "portfolio_snapshots", "portfolio_states", "activity_logs", "outbox", "exchange_assets",
    "activity_unsealed", "activity_seals", "session_activity", "user_metrics",
)  # fmt: skip


def clear() -> None:
    """An empty database."""
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def people(count: int) -> list[User]:
    """Users without a usable password."""
    return people_named(f"p{number}@example.com" for number in range(count))


def people_named(emails: Iterable[str]) -> list[User]:
    """Users with these addresses, without a usable password."""
    users = [User(id=ids.new_id(), email=email, password="!") for email in emails]
    with tenancy.as_system("benchmark"):
        User.objects.bulk_create(users, batch_size=2000)
    return users


def priced_assets(count: int, now: datetime) -> list[Asset]:
    """Assets with a price, the dollar first."""
    assets = [Asset(slug="usd", code="USD")]
    assets += [Asset(slug=f"c{number}", code=f"C{number}") for number in range(count - 1)]
    with tenancy.as_system("benchmark"):
        Asset.objects.bulk_create(assets)
        Price.objects.bulk_create(
            Price(
                asset=asset, usd=Decimal(1) if number == 0 else Decimal(number * 7919) / 1000,
                usd_24h_ago=Decimal(1) if number == 0 else Decimal(number * 7907) / 1000,
                source="binance: benchmark", as_of=now, fetched_at=now,
            )
            for number, asset in enumerate(assets)
        )  # fmt: skip
    return assets


def connections_of(users: list[User], now: datetime) -> list[ExchangeConnection]:
    """One synced connection each."""
    rows = [
        ExchangeConnection(
            id=ids.new_id(), user=user, exchange_id="binance", state="ok", last_synced_at=now,
            last_complete_at=now,
        )
        for user in users
    ]  # fmt: skip
    with tenancy.as_system("benchmark"):
        Exchange.objects.get_or_create(
            id="binance",
            defaults={"name": "Binance", "required_fields": ["api_key", "api_secret"],
                      "ccxt_version": "benchmark"},
        )  # fmt: skip
        bulk.insert_new(rows)
    return rows


def holdings(rows: list[ExchangeConnection], assets: list[Asset], each: int, now: datetime) -> None:
    """``each`` holdings on every connection, by one statement."""
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO holdings (id, user_id, connection_id, wallet, asset_id, exchange_code,
                                  quantity, changed_at, last_confirmed_at)
            SELECT gen_random_uuid(), c.user_id, c.id, 'spot', a.id, a.code,
                   round((1 + n * 0.37 + a.place * 1.113)::numeric, 8), %s, %s
            FROM (SELECT user_id, id, row_number() OVER (ORDER BY id) AS n
                  FROM exchange_connections WHERE id = ANY(%s)) AS c
            JOIN (SELECT id, code, ordinality AS place FROM unnest(%s::uuid[], %s::text[])
                  WITH ORDINALITY AS a (id, code, ordinality)) AS a
              ON (a.place + c.n) %% %s < %s
            """,
            [now, now, [row.id for row in rows], [a.id for a in assets], [a.code for a in assets],
             len(assets), each],
        )  # fmt: skip
        cursor.execute("ANALYZE")


def access_token(user: User, now: datetime) -> str:
    """A token for a signed-in user."""
    return sessions.start(user=user, device=Device(), now=now).access
