"""Reads that views start from: one user's rows as plain dictionaries, in the API's own names."""

from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from portfolios.models import Holding, LedgerEntry, PortfolioSnapshot, SyncRun, Trade, Transfer


def trades_of(user_id: UUID) -> QuerySet[Any]:
    """Trades with the codes of their assets."""
    return Trade.objects.filter(user_id=user_id).values(
        "connection",
        "base_asset",
        "quote_asset",
        "fee_asset",
        "id",
        "kind",
        "symbol",
        "side",
        "base_quantity",
        "quote_quantity",
        "price",
        "fee_quantity",
        "wallet",
        "occurred_at",
        "exchange_id",
        exchange=F("connection__exchange_id"),
        base_code=F("base_asset__code"),
        quote_code=F("quote_asset__code"),
        fee_code=F("fee_asset__code"),
    )


def transfers_of(user_id: UUID) -> QuerySet[Any]:
    """Deposits, withdrawals and internal moves."""
    return Transfer.objects.filter(user_id=user_id).values(
        "connection",
        "asset",
        "fee_asset",
        "id",
        "direction",
        "quantity",
        "fee_quantity",
        "wallet",
        "counter_wallet",
        "is_settled",
        "txid",
        "address",
        "network",
        "occurred_at",
        "exchange_id",
        exchange=F("connection__exchange_id"),
        code=F("asset__code"),
        fee_code=F("fee_asset__code"),
    )


def ledger_of(user_id: UUID) -> QuerySet[Any]:
    """Ledger entries with the fact that each came from."""
    return LedgerEntry.objects.filter(user_id=user_id).values(
        "connection",
        "asset",
        "trade",
        "transfer",
        "reward",
        "id",
        "kind",
        "quantity",
        "wallet",
        "occurred_at",
        exchange=F("connection__exchange_id"),
        code=F("asset__code"),
    )


def holdings_of(user_id: UUID) -> QuerySet[Any]:
    """Units per connection, wallet and asset, without those that are zero now."""
    return (
        Holding.objects.filter(user_id=user_id)
        .exclude(quantity=0)
        .order_by("id")
        .values(
            "connection",
            "asset",
            "id",
            "wallet",
            "quantity",
            "changed_at",
            "last_confirmed_at",
            exchange=F("connection__exchange_id"),
            code=F("asset__code"),
        )
    )


def snapshots_of(user_id: UUID) -> QuerySet[Any]:
    """Snapshots as they were shown, oldest first."""
    return (
        PortfolioSnapshot.objects.filter(user_id=user_id)
        .order_by("taken_at", "id")
        .values("id", "taken_at", "total_value", "currency", "status")
    )


def sync_runs_of(user_id: UUID) -> QuerySet[Any]:
    """Sync runs, newest first."""
    return (
        SyncRun.objects.filter(user_id=user_id)
        .order_by("-requested_at", "-id")
        .values(
            "connection",
            "id",
            "trigger",
            "state",
            "requested_at",
            "started_at",
            "finished_at",
            "new_trades",
            "new_transfers",
            "new_rewards",
            "quarantined",
            "problems",
            "error",
            "phase",
            "visits",
            "calls_done",
            "calls_left",
            "seconds_left",
        )
    )
