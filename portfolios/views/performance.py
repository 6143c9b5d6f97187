"""Returns, risk, allocation, series, and why a value changed."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolios.returns import answers, benchmarks, ranges
from portfolios.serializers.performance import (
    AllocationSerializer,
    AttributionSerializer,
    PerformanceSerializer,
    SeriesSerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin

_WHAT_AND_WHEN = [
    OpenApiParameter(
        "range", str, enum=ranges.NAMES, default="ALL",
        description="Reaches back from today in your time zone; 'custom' goes by from and to.",
    ),
    OpenApiParameter("from", str, description="Date, included. Makes the range 'custom'."),
    OpenApiParameter("to", str, description="Date, included; today when left out."),
    OpenApiParameter("connection", str, description="Of one connection only, by its id."),
    OpenApiParameter("asset", str, description="Of one asset only, by its id."),
]  # fmt: skip


class PerformanceView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="performance_read", tags=["portfolio"], responses=PerformanceSerializer,
        parameters=[
            *_WHAT_AND_WHEN,
            OpenApiParameter(
                "benchmark", str, enum=[*benchmarks.NAMES, "all", "none"], default="all",
                description="What to compare with.",
            ),
        ],
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Value, flows, profit, returns and risk over a range, compared with benchmarks."""
        with tenancy.as_user(request.user.id):
            answer = answers.read(user=request.user, query=request.query_params, now=clock.now())
        return Response(answer)


class SeriesView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="series_read", tags=["portfolio"], responses=SeriesSerializer,
        parameters=[
            *_WHAT_AND_WHEN,
            OpenApiParameter(
                "points", int, default=answers.DEFAULT_POINTS,
                description="At most so many, 10 to 2,000; no extreme is lost.",
            ),
        ],
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """The value over time as it is known today, thinned to what a phone can draw."""
        with tenancy.as_user(request.user.id):
            answer = answers.series(user=request.user, query=request.query_params, now=clock.now())
        return Response(answer)


class AttributionView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="attribution_read", tags=["portfolio"], responses=AttributionSerializer,
        parameters=_WHAT_AND_WHEN,
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Why the value changed: parts that add up to the change."""
        with tenancy.as_user(request.user.id):
            answer = answers.explained(
                user=request.user, query=request.query_params, now=clock.now()
            )
        return Response(answer)


class AllocationView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="allocation_read", tags=["portfolio"], responses=AllocationSerializer
    )
    def get(self, request: Any) -> Response:
        """What the portfolio is made of now, and how concentrated it is."""
        with tenancy.as_user(request.user.id):
            answer = answers.allocation(
                user=request.user, query=request.query_params, now=clock.now()
            )
        return Response(answer)
