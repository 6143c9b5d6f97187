"""Prices that a person sets where no market has one."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolios import filters
from portfolios.by_hand import manual_prices
from portfolios.serializers.manual_prices import ManualPriceSerializer, NewManualPriceSerializer
from portfolios.views.lists import ByIdPagination, OwnedList
from tracker import clock, tenancy


class ManualPriceView(OwnedList):
    serializer_class = ManualPriceSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filterset_class = filters.ManualPriceFilter
    pagination_class = ByIdPagination

    def get_queryset(self) -> Any:
        return manual_prices.of(self.owner_id)

    @extend_schema(operation_id="manual_prices_list", tags=["prices"])
    def get(self, request: Any) -> Response:
        """The prices that you set yourself."""
        return super().get(request)

    @extend_schema(
        operation_id="manual_prices_set", tags=["prices"],
        request=NewManualPriceSerializer, responses=ManualPriceSerializer,
    )  # fmt: skip
    def put(self, request: Any) -> Response:
        """Set what an asset costs from a day on; replaces your price of that day."""
        asked = NewManualPriceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = {"currency": request.user.base_currency} | asked.validated_data
        row_id = manual_prices.put(
            user=request.user, asset_id=data["asset"], day=data["day"], price=data["price"],
            currency=data["currency"], now=clock.now(),
        )  # fmt: skip
        with tenancy.as_user(request.user.id):
            row = manual_prices.of(request.user.id).get(id=row_id)
        return Response(row)


class OneManualPriceView(APIView):
    @extend_schema(
        operation_id="manual_prices_delete", tags=["prices"],
        responses={204: OpenApiResponse(description="Gone.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Forget a price of your own."""
        manual_prices.remove(user=request.user, price_id=pk, now=clock.now())
        return Response(status=204)
