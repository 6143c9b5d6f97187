"""Shapes of what `portfolios` takes and answers, a module for each topic."""

from portfolios.serializers.lists import (
    ChangeSerializer,
    ConnectionHealthSerializer,
    HoldingSerializer,
    HoldingValueSerializer,
    LedgerEntrySerializer,
    PortfolioSerializer,
    SnapshotSerializer,
    SyncProblemSerializer,
    SyncRunSerializer,
    TradeSerializer,
    TransferSerializer,
)

__all__ = [
    "ChangeSerializer",
    "ConnectionHealthSerializer",
    "HoldingSerializer",
    "HoldingValueSerializer",
    "LedgerEntrySerializer",
    "PortfolioSerializer",
    "SnapshotSerializer",
    "SyncProblemSerializer",
    "SyncRunSerializer",
    "TradeSerializer",
    "TransferSerializer",
]
