"""What the app asks of `portfolios`, a module for each topic."""

from portfolios.views.entries import (
    AdjustmentEntryView,
    EntryDetailView,
    EntryView,
    ManualAccountView,
    RewardEntryView,
    TradeEntryView,
    TransferEntryView,
)
from portfolios.views.exports import FileExportCancelView, FileExportsView, FileExportView
from portfolios.views.gains import ExplainView, GainReportView, GainView, LotView
from portfolios.views.imports import (
    ImportApplyView,
    ImportsView,
    ImportView,
    LedgerExportView,
)
from portfolios.views.lists import (
    CoverageView,
    HoldingView,
    LedgerView,
    PortfolioView,
    SnapshotView,
    SyncRunView,
    SyncView,
    TradeView,
    TransferView,
)
from portfolios.views.manual_prices import ManualPriceView, OneManualPriceView
from portfolios.views.matches import (
    MatchSuggestionView,
    TransferMatchConfirmView,
    TransferMatchItemView,
    TransferMatchView,
    TransferNoteView,
)
from portfolios.views.performance import (
    AllocationView,
    AttributionView,
    PerformanceView,
    SeriesView,
)
from portfolios.views.reconciliation import (
    DismissView,
    ProblemView,
    ReconciliationView,
    RepairView,
)

__all__ = [
    "AdjustmentEntryView",
    "AllocationView",
    "AttributionView",
    "CoverageView",
    "DismissView",
    "EntryDetailView",
    "EntryView",
    "ExplainView",
    "FileExportCancelView",
    "FileExportView",
    "FileExportsView",
    "GainReportView",
    "GainView",
    "HoldingView",
    "ImportApplyView",
    "ImportView",
    "ImportsView",
    "LedgerExportView",
    "LedgerView",
    "LotView",
    "ManualAccountView",
    "ManualPriceView",
    "MatchSuggestionView",
    "OneManualPriceView",
    "PerformanceView",
    "PortfolioView",
    "ProblemView",
    "ReconciliationView",
    "RepairView",
    "RewardEntryView",
    "SeriesView",
    "SnapshotView",
    "SyncRunView",
    "SyncView",
    "TradeEntryView",
    "TradeView",
    "TransferEntryView",
    "TransferMatchConfirmView",
    "TransferMatchItemView",
    "TransferMatchView",
    "TransferNoteView",
    "TransferView",
]
