from django.urls import path

from portfolios import views

urlpatterns = [
    path("portfolio", views.PortfolioView.as_view()),
    path("holdings", views.HoldingView.as_view()),
    path("trades", views.TradeView.as_view()),
    path("transfers", views.TransferView.as_view()),
    path("ledger", views.LedgerView.as_view()),
    path("snapshots", views.SnapshotView.as_view()),
    path("connections/<uuid:pk>/sync", views.SyncView.as_view()),
    path("connections/<uuid:pk>/sync-runs", views.SyncRunView.as_view()),
]
