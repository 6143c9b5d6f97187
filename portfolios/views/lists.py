"""The home screen, lists of facts, and asking for a sync."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from exchanges import connections
from portfolios import filters, querysets
from portfolios.serializers.coverage import CoverageSerializer
from portfolios.serializers.lists import (
    HoldingSerializer,
    LedgerEntrySerializer,
    PortfolioSerializer,
    SnapshotSerializer,
    SyncRunSerializer,
    TradeSerializer,
    TransferSerializer,
)
from portfolios.sync import completeness, requests
from portfolios.valuing import series, valuation
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, OpaquePagination, TimeCursorPagination, conditional
from tracker.schema import results_of


class PortfolioView(APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(operation_id="portfolio_read", tags=["portfolio"], responses=PortfolioSerializer)
    def get(self, request: Any) -> HttpResponse:
        """The home screen in one call: total, change over 24 hours, holdings, connections."""
        user = request.user
        body = valuation.home_screen(user_id=user.id, currency=user.base_currency, now=clock.now())
        return conditional(request, body)


class PollingIsFree(APIView):
    """Asking how far a job is does not count; asking for one does."""

    def get_throttles(self) -> list[Any]:
        return [] if self.request.method == "GET" else super().get_throttles()


class OwnedList(ConditionalMixin, GenericAPIView):
    """A filtered, paged list of one user's rows, straight from ``.values()`` to bytes."""

    filter_backends = [DjangoFilterBackend]
    pagination_class: Any = TimeCursorPagination

    @property
    def owner_id(self) -> UUID:
        """Whose rows; nobody's while the schema is being drawn."""
        return self.request.user.pk or UUID(int=0)

    def get(self, request: Any) -> Response:
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(page)


class ByIdPagination(OpaquePagination):
    """For rows without an instant of their own: in the order of their ids."""

    page_size = TimeCursorPagination.page_size
    max_page_size = TimeCursorPagination.max_page_size
    page_size_query_param = "page_size"
    ordering = ("id",)


class TradeView(OwnedList):
    serializer_class = TradeSerializer
    api_key_scopes = {"GET": "read_trades"}
    filterset_class = filters.TradeFilter

    def get_queryset(self) -> Any:
        return querysets.trades_of(self.owner_id)

    @extend_schema(operation_id="trades_list", tags=["portfolio"])
    def get(self, request: Any) -> Response:
        """Trades, newest first."""
        return super().get(request)


class TransferView(OwnedList):
    serializer_class = TransferSerializer
    api_key_scopes = {"GET": "read_trades"}
    filterset_class = filters.TransferFilter

    def get_queryset(self) -> Any:
        return querysets.transfers_of(self.owner_id)

    @extend_schema(operation_id="transfers_list", tags=["portfolio"])
    def get(self, request: Any) -> Response:
        """Deposits, withdrawals and internal moves, newest first."""
        return super().get(request)


class LedgerView(OwnedList):
    serializer_class = LedgerEntrySerializer
    api_key_scopes = {"GET": "read_trades"}
    filterset_class = filters.LedgerFilter

    def get_queryset(self) -> Any:
        return querysets.ledger_of(self.owner_id)

    @extend_schema(operation_id="ledger_list", tags=["portfolio"])
    def get(self, request: Any) -> Response:
        """Ledger entries, newest first: what every figure is computed from."""
        return super().get(request)


class HoldingView(OwnedList):
    serializer_class = HoldingSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filterset_class = filters.HoldingFilter
    pagination_class = ByIdPagination

    def get_queryset(self) -> Any:
        return querysets.holdings_of(self.owner_id)

    @extend_schema(operation_id="holdings_list", tags=["portfolio"])
    def get(self, request: Any) -> Response:
        """Units per connection, wallet and asset, as the exchanges report them."""
        return super().get(request)


class SnapshotView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="snapshots_list", tags=["portfolio"], responses=results_of(SnapshotSerializer),
        parameters=[
            OpenApiParameter("from", str, description="Instant (RFC 3339), included."),
            OpenApiParameter("to", str, description="Instant (RFC 3339), not included."),
            OpenApiParameter(
                "interval", str, enum=sorted(series.INTERVALS), default="day",
                description="One snapshot, the last, for each hour, day, week or month.",
            ),
        ],
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """The total over time as it was shown, oldest first; at most 2,000 points."""
        with tenancy.as_user(request.user.id):
            points = series.snapshots(
                user_id=request.user.id, query=request.query_params, now=clock.now()
            )
        return Response({"results": points})


class CoverageView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="connections_coverage", tags=["connections"], responses=CoverageSerializer
    )
    def get(self, request: Any, pk: UUID) -> Response:
        """Since when an account is known completely, except for what, and what is left to read."""
        with tenancy.as_user(request.user.id):
            told = completeness.of_connection(user_id=request.user.id, connection_id=pk)
        return Response(told)


class SyncView(IdempotentPostMixin, ConditionalMixin, APIView):
    api_key_scopes = {"POST": "sync"}

    @extend_schema(
        operation_id="connections_sync", tags=["connections"], request=None,
        responses={202: SyncRunSerializer},
    )  # fmt: skip
    def post(self, request: Any, pk: UUID) -> Response:
        """Sync now. Asked for twice, the run that is open is returned."""
        return self.once(request, lambda: self._start(request, pk))

    def _start(self, request: Any, pk: UUID) -> Response:
        run = requests.request(user=request.user, connection_id=pk, now=clock.now())
        with tenancy.as_user(request.user.id):
            row = querysets.sync_runs_of(request.user.id).get(id=run.id)
        return Response(row, status=202)


class _NewestFirst(OpaquePagination):
    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"
    ordering = ("-requested_at", "-id")


class SyncRunView(ConditionalMixin, GenericAPIView):
    serializer_class = SyncRunSerializer
    api_key_scopes = {"GET": "sync"}
    pagination_class = _NewestFirst
    throttle_classes = ()  # polling a sync does not count
    filter_backends = ()

    @extend_schema(operation_id="connections_sync_runs", tags=["connections"])
    def get(self, request: Any, pk: UUID) -> Response:
        """The runs of a connection, newest first."""
        with tenancy.as_user(request.user.id):
            connections.find(user_id=request.user.id, connection_id=pk)
            rows = querysets.sync_runs_of(request.user.id).filter(connection_id=pk)
            page = self.paginate_queryset(rows)
        return self.get_paginated_response(page)
