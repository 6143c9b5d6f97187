"""Tables of `portfolios`: facts and their ledger, holdings, decisions, what is derived, and what
people do with it: strategies, alerts, files."""

from portfolios.models.alerts import (
    AlertDirection,
    AlertFiring,
    AlertKind,
    AlertState,
    PriceAlert,
    PriceRange,
)
from portfolios.models.decisions import (
    FileImport,
    ImportState,
    ManualPrice,
    MatchOrigin,
    ProblemDismissal,
    TransferMatch,
    TransferMeaning,
    TransferNote,
)
from portfolios.models.derived import (
    AssetBasis,
    Basis,
    DailyValuation,
    Discrepancy,
    Disposal,
    DisposalKind,
    Income,
    Lot,
    Scope,
    Term,
)
from portfolios.models.exports import ExportState, FileExport
from portfolios.models.facts import (
    Adjustment,
    AdjustmentReason,
    EntryKind,
    LedgerEntry,
    Reward,
    Trade,
    Transfer,
)
from portfolios.models.holdings import Holding, HoldingChange, SyncRun, SyncState
from portfolios.models.snapshots import PortfolioSnapshot, PortfolioState, Status
from portfolios.models.strategies import (
    Backtest,
    BacktestKind,
    BacktestState,
    Strategy,
    StrategySignal,
    StrategyWatch,
)

__all__ = [
    "Adjustment", "AdjustmentReason", "AlertDirection", "AlertFiring", "AlertKind", "AlertState",
    "AssetBasis", "Backtest", "BacktestKind", "BacktestState", "Basis", "DailyValuation",
    "Discrepancy", "Disposal", "DisposalKind", "EntryKind", "ExportState", "FileExport",
    "FileImport", "Holding", "HoldingChange", "ImportState", "Income", "LedgerEntry", "Lot",
    "ManualPrice", "MatchOrigin", "PortfolioSnapshot", "PortfolioState", "PriceAlert",
    "PriceRange", "ProblemDismissal", "Reward", "Scope", "Status", "Strategy", "StrategySignal",
    "StrategyWatch", "SyncRun", "SyncState", "Term", "Trade", "Transfer", "TransferMatch",
    "TransferMeaning", "TransferNote",
]  # fmt: skip
