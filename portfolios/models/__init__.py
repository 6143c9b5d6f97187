"""Tables of `portfolios`: facts and their ledger, holdings, decisions, and what is derived."""

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

__all__ = [
    "Adjustment", "AdjustmentReason", "AssetBasis", "Basis", "DailyValuation", "Discrepancy",
    "Disposal", "DisposalKind", "EntryKind", "FileImport", "Holding", "HoldingChange",
    "ImportState", "Income", "LedgerEntry", "Lot", "ManualPrice", "MatchOrigin",
    "PortfolioSnapshot", "PortfolioState", "ProblemDismissal", "Reward", "Scope", "Status",
    "SyncRun", "SyncState", "Term", "Trade", "Transfer", "TransferMatch", "TransferMeaning",
    "TransferNote",
]  # fmt: skip
