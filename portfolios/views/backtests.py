"""Backtests: asked for, followed, read, drawn."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from portfolios import filters
from portfolios.backtesting import asking, drawing, telling
from portfolios.backtesting.asking import Asked
from portfolios.serializers.backtests import (
    BacktestSerializer,
    BacktestSummarySerializer,
    NewBacktestSerializer,
)
from portfolios.views.entries import valid
from portfolios.views.lists import OwnedList, PollingIsFree
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, TimeCursorPagination


class NewestBacktestFirst(TimeCursorPagination):
    ordering = ("-created_at", "-id")


class BacktestsView(IdempotentPostMixin, OwnedList):
    serializer_class = BacktestSummarySerializer
    filterset_class = filters.BacktestFilter
    pagination_class = NewestBacktestFirst

    def get_queryset(self) -> Any:
        return telling.summaries(user_id=self.owner_id)

    @extend_schema(operation_id="backtests_list", tags=["strategies"])
    def get(self, request: Any) -> Response:
        """Your backtests without what is large, newest first."""
        answer = super().get(request)
        answer.data["results"] = [telling.summary(row) for row in answer.data["results"]]
        return answer

    @extend_schema(
        operation_id="backtests_create", tags=["strategies"], request=NewBacktestSerializer,
        responses={202: BacktestSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Try a strategy on the past, in the background: follow it here or on the live channel
        `jobs`."""
        data = valid(NewBacktestSerializer(data=request.data))

        def ask() -> Response:
            row = asking.ask(user=request.user, asked=_asked(data), now=clock.now())
            return Response(telling.backtest(row), status=202)

        return self.once(request, ask)


def _asked(data: dict[str, Any]) -> Asked:
    plain = ("kind", "assets", "interval", "cash", "fee", "slippage", "fills_gaps")
    return Asked(
        strategy_id=data["strategy"], options=data.get("options") or {}, since=data["from"],
        until=data.get("to"), **{name: data[name] for name in plain},
    )  # fmt: skip


class BacktestView(ConditionalMixin, PollingIsFree):
    @extend_schema(operation_id="backtests_read", tags=["strategies"], responses=BacktestSerializer)
    def get(self, request: Any, pk: UUID) -> Response:
        """One backtest: how far it is, and what it came to."""
        filters.refuse_unknown(request.query_params)
        with tenancy.as_user(request.user.id):
            row = asking.find(user_id=request.user.id, backtest_id=pk)
        return Response(telling.backtest(row))

    @extend_schema(
        operation_id="backtests_delete", tags=["strategies"],
        responses={204: OpenApiResponse(description="Gone.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Forget a backtest; one that runs is stopped."""
        asking.remove(user_id=request.user.id, backtest_id=pk)
        return Response(status=204)


class BacktestCancelView(APIView):
    @extend_schema(
        operation_id="backtests_cancel", tags=["strategies"], request=None,
        responses=BacktestSerializer,
    )  # fmt: skip
    def post(self, request: Any, pk: UUID) -> Response:
        """Stop a backtest; asked twice it is stopped once."""
        row = asking.cancel(user_id=request.user.id, backtest_id=pk, now=clock.now())
        return Response(telling.backtest(row))


class BacktestChartView(APIView):
    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        """Who accepts pictures and nothing else still gets errors as JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        operation_id="backtests_chart", tags=["strategies"],
        responses={(200, "image/svg+xml"): OpenApiTypes.STR},
    )  # fmt: skip
    def get(self, request: Any, pk: UUID) -> HttpResponse:
        """The equity beside what it is compared with, and how far it was below its highest."""
        filters.refuse_unknown(request.query_params)
        with tenancy.as_user(request.user.id):
            row = asking.find(user_id=request.user.id, backtest_id=pk)
        return HttpResponse(
            drawing.svg(row), content_type="image/svg+xml; charset=utf-8",
            headers={"Cache-Control": "private, no-store",
                     "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )  # fmt: skip
