"""Exchanges, connections and prices."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
)
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from accounts import permissions
from accounts.idempotency import IdempotentPostMixin
from billing import entitlements
from exchanges import charts, connections, intervals, pricelist, querysets
from exchanges.models import Exchange
from exchanges.reports import Credential
from exchanges.serializers import (
    CandleSeriesSerializer,
    ConnectionChangeSerializer,
    ConnectionSerializer,
    ExchangeSerializer,
    NewConnectionSerializer,
    PriceSerializer,
    TestResultSerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, conditional
from tracker.schema import results_of

_SECRETS = ("api_key", "api_secret", "passphrase")


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _shown(user: Any, found: Any, *, many: bool = False) -> Any:
    """Connections as the API shows them, by what the person's plan includes."""
    context = {"granted": entitlements.for_user(user)}
    return ConnectionSerializer(found, many=many, context=context).data


def _credential(data: dict[str, Any]) -> Credential:
    return Credential(**{name: data.pop(name, "") for name in _SECRETS})


class ExchangeView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="exchanges_list", tags=["exchanges"], responses=results_of(ExchangeSerializer)
    )
    def get(self, request: Any) -> Response:
        """Every exchange that can be connected, and what it needs."""
        rows = Exchange.objects.filter(is_available=True).order_by("name", "id")
        return Response({"results": ExchangeSerializer(rows, many=True).data})


class ConnectionViewSet(IdempotentPostMixin, ConditionalMixin, ViewSet):
    """The accounts a person has connected."""

    lookup_value_converter = "uuid"
    api_key_scopes = {"GET": "read_portfolio"}

    def get_permissions(self) -> Any:
        """A key is only taken from who has proved who they are, and that just now."""
        if self.action != "create":
            return super().get_permissions()
        return [
            *super().get_permissions(),
            permissions.EmailConfirmed(), permissions.FreshlyAuthenticated(),
        ]  # fmt: skip

    @extend_schema(
        operation_id="connections_list", tags=["connections"],
        responses=results_of(ConnectionSerializer),
    )  # fmt: skip
    def list(self, request: Any) -> Response:
        """Your connections with their health."""
        with tenancy.as_user(request.user.id):
            rows = _shown(request.user, querysets.connections_of(request.user.id), many=True)
        return Response({"results": rows})

    @extend_schema(
        operation_id="connections_read", tags=["connections"], responses=ConnectionSerializer
    )
    def retrieve(self, request: Any, pk: UUID) -> Response:
        """One connection."""
        with tenancy.as_user(request.user.id):
            found = connections.find(user_id=request.user.id, connection_id=pk)
            return Response(_shown(request.user, found))

    @extend_schema(
        operation_id="connections_create", tags=["connections"],
        request=NewConnectionSerializer, responses={201: ConnectionSerializer},
    )  # fmt: skip
    def create(self, request: Any) -> Response:
        """Connect an account. The key is tested first; nothing is stored when it is refused."""
        data = _valid(NewConnectionSerializer(data=request.data))
        credential = _credential(data)
        return self.once(
            request,
            lambda: Response(
                _shown(
                    request.user,
                    connections.create(
                        user=request.user, credential=credential, now=clock.now(), **data
                    ),
                ),
                status=201,
            ),
        )

    @extend_schema(
        operation_id="connections_update", tags=["connections"],
        request=ConnectionChangeSerializer, responses=ConnectionSerializer,
    )  # fmt: skip
    def partial_update(self, request: Any, pk: UUID) -> Response:
        """Rename, pause or resume, or give a new key (tested first)."""
        data = _valid(ConnectionChangeSerializer(data=request.data, partial=True))
        credential = _credential(data) if data.keys() & set(_SECRETS) else None
        if credential is not None:
            permissions.require_confirmed(request.user)
            permissions.require_fresh(request.auth, now=clock.now())
        changed = connections.change(
            user_id=request.user.id, connection_id=pk, credential=credential, now=clock.now(),
            **data,
        )  # fmt: skip
        return Response(_shown(request.user, changed))

    @extend_schema(
        operation_id="connections_delete", tags=["connections"],
        responses={204: OpenApiResponse(description="Gone, with all that was read through it.")},
    )  # fmt: skip
    def destroy(self, request: Any, pk: UUID) -> Response:
        """Remove a connection: its key and everything that was read through it."""
        connections.remove(user_id=request.user.id, connection_id=pk)
        return Response(status=204)

    @extend_schema(
        operation_id="connections_test", tags=["connections"], request=None,
        responses=TestResultSerializer,
    )  # fmt: skip
    @action(detail=True, methods=["post"])
    def test(self, request: Any, pk: UUID) -> Response:
        """Ask the exchange whether the stored key still works."""
        privileges = connections.test(user_id=request.user.id, connection_id=pk, now=clock.now())
        return Response({"status": "ok", "privileges": privileges})


class PriceView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="prices_list", tags=["prices"], responses=results_of(PriceSerializer),
        parameters=[
            OpenApiParameter(
                "assets", str, required=True,
                description="Asset ids or codes, separated by commas; at most 200.",
            )
        ],
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Latest prices in your base currency."""
        rows = pricelist.quote(
            request.query_params.get("assets", ""),
            currency=request.user.base_currency,
            now=clock.now(),
        )
        return Response({"results": rows})


_CANDLES = [
    OpenApiExample(
        "Two hours, the second still running",
        value={
            "asset": "019af2c4-5a10-7c3e-9d52-6f0b8f1c2d3e", "code": "BTC", "currency": "USD",
            "interval": "1h", "from": "2026-03-01T12:00:00Z", "to": "2026-03-01T14:00:00Z",
            "complete": True, "updating": False, "gaps": [],
            "results": [
                {
                    "at": "2026-03-01T12:00:00Z", "open": "61250.01", "high": "61480",
                    "low": "61102.5", "close": "61377.2", "volume": "812.40351",
                    "closed": True, "source": "binance: BTC/USDT, USDT pegged to USD",
                },
                {
                    "at": "2026-03-01T13:00:00Z", "open": "61377.2", "high": "61390",
                    "low": "61310.8", "close": "61325.44", "volume": "94.0127",
                    "closed": False, "source": "binance: BTC/USDT, USDT pegged to USD",
                },
            ],
        },
        response_only=True,
    ),
    OpenApiExample(
        "Nothing fetched yet: ask again in a moment",
        value={
            "asset": "019af2c4-5a10-7c3e-9d52-6f0b8f1c2d3e", "code": "BTC", "currency": "USD",
            "interval": "1h", "from": "2026-03-01T12:00:00Z", "to": "2026-03-01T14:00:00Z",
            "complete": False, "updating": True,
            "gaps": [
                {
                    "from": "2026-03-01T12:00:00Z", "to": "2026-03-01T14:00:00Z",
                    "reason": "not_fetched",
                },
            ],
            "results": [],
        },
        response_only=True,
    ),
]  # fmt: skip


class CandleView(APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="prices_candles", tags=["prices"], responses=CandleSeriesSerializer,
        examples=_CANDLES,
        parameters=[
            OpenApiParameter("interval", str, required=True, enum=list(intervals.LENGTHS)),
            OpenApiParameter(
                "from", str,
                description="Instant (RFC 3339, with its zone), included; widened to a whole "
                f"interval. {charts.DEFAULT_CANDLES} intervals before the end when left out.",
            ),
            OpenApiParameter(
                "to", str,
                description="Instant, not included; the end of the running interval when left "
                f"out. At most {charts.MOST_CANDLES:,} intervals after the beginning.",
            ),
        ],
    )  # fmt: skip
    def get(self, request: Any, asset: UUID) -> HttpResponse:
        """Open, high, low, close and volume in US dollars, and what is missing of them.

        What is not stored is fetched in the background: ask again while ``updating``. Times are
        UTC; weeks begin on Mondays.
        """
        body = charts.answer(asset_id=asset, query=request.query_params, now=clock.now())
        return conditional(request, body)
