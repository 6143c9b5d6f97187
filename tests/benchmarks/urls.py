"""The project's addresses, and what the home screen is compared with."""

from django.db import connection
from django.http import HttpResponse
from django.urls import path
from rest_framework import generics, serializers, viewsets
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.throttling import BurstThrottle
from exchanges.models import Candle
from portfolios.models import Holding, Trade
from tracker import tenancy
from tracker.api import TimeCursorPagination
from tracker.urls import handler400, handler403, handler404, handler500  # noqa: F401
from tracker.urls import urlpatterns as project


class _HoldingRow(serializers.ModelSerializer):
    """Eleven fields of a holding, as stock Django REST Framework would serialize them."""

    code = serializers.CharField(source="asset.code")
    usd = serializers.DecimalField(60, 30, source="asset.price.usd")
    source = serializers.CharField(source="asset.price.source")
    as_of = serializers.DateTimeField(source="asset.price.as_of")

    class Meta:
        model = Holding
        fields = [
            "id", "connection", "wallet", "asset", "quantity", "changed_at",
            "last_confirmed_at", "code", "usd", "source", "as_of",
        ]  # fmt: skip


class StockList(generics.ListAPIView):
    """The same rows through a stock ModelSerializer, with the same authentication."""

    serializer_class = _HoldingRow
    pagination_class = None
    filter_backends = ()
    throttle_classes = ()

    def get(self, request, *args, **kwargs):
        with tenancy.as_user(request.user.id):
            return super().get(request, *args, **kwargs)

    def get_queryset(self):
        return Holding.objects.filter(user_id=self.request.user.id).select_related("asset__price")


_JSON_AGG = """
    SELECT json_agg(row_to_json(rows))::text FROM (
        SELECT h.id, h.connection_id AS connection, h.wallet, h.asset_id AS asset,
               h.quantity::text, h.changed_at, h.last_confirmed_at, a.code, p.usd::text, p.source,
               p.as_of
        FROM holdings AS h JOIN assets AS a ON a.id = h.asset_id
        JOIN prices AS p ON p.asset_id = a.id WHERE h.user_id = %(user_id)s
    ) AS rows
"""


def json_agg(request, user):
    """The same rows as PostgreSQL writes them: one query, for anybody, and nothing else."""
    ((body,),) = tenancy.read_as_user(user, _JSON_AGG, {"user_id": user})
    answer = HttpResponse(body, content_type="application/json")
    answer["Content-Length"] = len(answer.content)
    return answer


class _TradeRow(serializers.ModelSerializer):
    """The fields of our list of trades, as stock Django REST Framework would serialize them."""

    exchange = serializers.CharField(source="connection.exchange_id")
    base_code = serializers.CharField(source="base_asset.code")
    quote_code = serializers.CharField(source="quote_asset.code")
    fee_code = serializers.CharField(source="fee_asset.code", allow_null=True)

    class Meta:
        model = Trade
        fields = [
            "id", "connection", "exchange", "wallet", "exchange_id", "kind", "symbol", "side",
            "base_asset", "base_code", "base_quantity", "quote_asset", "quote_code",
            "quote_quantity", "price", "fee_asset", "fee_code", "fee_quantity", "occurred_at",
        ]  # fmt: skip


class StockTrades(viewsets.ModelViewSet):
    """A stock ModelViewSet over the same trades, with the same pages, order and authentication."""

    serializer_class = _TradeRow
    pagination_class = TimeCursorPagination
    renderer_classes = (JSONRenderer,)
    filter_backends = ()
    throttle_classes = ()

    def list(self, request, *args, **kwargs):
        with tenancy.as_user(request.user.id):
            return super().list(request, *args, **kwargs)

    def get_queryset(self):
        return Trade.objects.filter(user_id=self.request.user.id).select_related(
            "connection", "base_asset", "quote_asset", "fee_asset"
        )


class _CandleRow(serializers.ModelSerializer):
    """A candle as stock Django REST Framework would serialize it."""

    class Meta:
        model = Candle
        fields = ["at", "open", "high", "low", "close", "volume", "closed", "source"]


class StockCandles(generics.ListAPIView):
    """The first two thousand candles of an asset through a stock ModelSerializer."""

    serializer_class = _CandleRow
    pagination_class = None
    filter_backends = ()
    throttle_classes = ()

    def get_queryset(self):
        rows = Candle.objects.filter(asset_id=self.kwargs["asset"], interval="5m")
        return rows.order_by("at")[:2000]


class Bare(APIView):
    """One query and an answer, for anybody."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def get(self, request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return Response({"rows": cursor.fetchall()})


class Guarded(APIView):
    """The same for somebody: token, session, tenancy, activity."""

    throttle_classes = ()

    def get(self, request):
        return Response({"rows": tenancy.read_as_user(request.user.id, "SELECT 1", {})})


class Metered(Guarded):
    """The same as a data call: burst limits as it enters, usage as it leaves."""

    throttle_classes = (BurstThrottle,)


urlpatterns = [
    *project,
    path("reference/holdings", StockList.as_view()),
    path("reference/json-agg/<uuid:user>", json_agg),
    path("reference/trades", StockTrades.as_view({"get": "list"})),
    path("reference/candles/<uuid:asset>", StockCandles.as_view()),
    path("reference/bare", Bare.as_view()),
    path("reference/guarded", Guarded.as_view()),
    path("reference/metered", Metered.as_view()),
]
