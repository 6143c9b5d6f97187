"""What the app asks of `portfolios`, a module for each topic."""

from portfolios.views.alerts import AlertFiringView, OnePriceAlertView, PriceAlertView
from portfolios.views.backtests import (
    BacktestCancelView,
    BacktestChartView,
    BacktestsView,
    BacktestView,
)
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
from portfolios.views.strategies import (
    StrategiesView,
    StrategyCatalogueView,
    StrategySignalView,
    StrategyView,
    StrategyWatchView,
)

__all__ = [
    "AdjustmentEntryView",
    "AlertFiringView",
    "AllocationView",
    "AttributionView",
    "BacktestCancelView",
    "BacktestChartView",
    "BacktestView",
    "BacktestsView",
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
    "OnePriceAlertView",
    "PerformanceView",
    "PortfolioView",
    "PriceAlertView",
    "ProblemView",
    "ReconciliationView",
    "RepairView",
    "RewardEntryView",
    "SeriesView",
    "SnapshotView",
    "StrategiesView",
    "StrategyCatalogueView",
    "StrategySignalView",
    "StrategyView",
    "StrategyWatchView",
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
