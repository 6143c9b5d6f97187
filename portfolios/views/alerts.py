"""What a person wants to be told about prices and worth."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from portfolios import filters
from portfolios.alerting import keeping
from portfolios.alerting.bounds import Wish
from portfolios.serializers.alerts import (
    AlertFiringSerializer,
    NewPriceAlertSerializer,
    PriceAlertChangeSerializer,
    PriceAlertSerializer,
)
from portfolios.views.entries import valid
from portfolios.views.lists import OwnedList
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, TimeCursorPagination


class _NewestFirst(TimeCursorPagination):
    ordering = ("-created_at", "-id")


class _LatestFirst(TimeCursorPagination):
    ordering = ("-at", "-id")


class PriceAlertView(IdempotentPostMixin, OwnedList):
    serializer_class = PriceAlertSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filterset_class = filters.AlertFilter
    pagination_class = _NewestFirst

    def get_queryset(self) -> Any:
        return keeping.of(self.owner_id)

    @extend_schema(operation_id="price_alerts_list", tags=["alerts"])
    def get(self, request: Any) -> Response:
        """Your alerts, newest first, each with the figure it watches as it stands."""
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        rows = keeping.shown(page, user_id=request.user.id, now=clock.now())
        return self.get_paginated_response(rows)

    @extend_schema(
        operation_id="price_alerts_create", tags=["alerts"], request=NewPriceAlertSerializer,
        responses={201: PriceAlertSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Be told when a price, a move, a worth or a fall reaches a threshold.

        What is true already is refused (`already_true`), unless it repeats: then it waits, not
        `armed`, until the figure has gone back.
        """
        data = valid(NewPriceAlertSerializer(data=request.data))
        window = keeping.window_of(data.pop("window_seconds"))
        asked = {"currency": request.user.base_currency} | data
        wish = Wish(asset_id=asked.pop("asset"), window=window, **asked)

        def make() -> Response:
            now = clock.now()
            alert_id = keeping.create(user=request.user, wish=wish, now=now)
            row = keeping.one(user_id=request.user.id, alert_id=alert_id, now=now)
            return Response(row, status=201)

        return self.once(request, make)


class OnePriceAlertView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="price_alerts_read", tags=["alerts"], responses=PriceAlertSerializer
    )
    def get(self, request: Any, pk: UUID) -> Response:
        """One alert."""
        return Response(keeping.one(user_id=request.user.id, alert_id=pk, now=clock.now()))

    @extend_schema(
        operation_id="price_alerts_change", tags=["alerts"], request=PriceAlertChangeSerializer,
        responses=PriceAlertSerializer,
    )  # fmt: skip
    def patch(self, request: Any, pk: UUID) -> Response:
        """Pause, resume, or alter an alert. Its kind, asset, currency and window stay."""
        data = valid(PriceAlertChangeSerializer(data=request.data, partial=True))
        now = clock.now()
        keeping.change(user=request.user, alert_id=pk, now=now, **data)
        return Response(keeping.one(user_id=request.user.id, alert_id=pk, now=now))

    @extend_schema(
        operation_id="price_alerts_delete", tags=["alerts"],
        responses={204: OpenApiResponse(description="Gone, with its history.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Remove an alert."""
        keeping.remove(user_id=request.user.id, alert_id=pk)
        return Response(status=204)


class AlertFiringView(ConditionalMixin, GenericAPIView):
    serializer_class = AlertFiringSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filter_backends = ()
    pagination_class = _LatestFirst

    @extend_schema(operation_id="price_alerts_firings", tags=["alerts"])
    def get(self, request: Any, pk: UUID) -> Response:
        """When an alert came true, newest first; kept for a year."""
        filters.refuse_unknown(request.query_params, known=filters.PAGING)
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(keeping.firings_of(request.user.id, pk))
        return self.get_paginated_response(page)
