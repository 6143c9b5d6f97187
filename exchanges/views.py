"""Exchanges, connections and prices."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from accounts import permissions
from accounts.idempotency import IdempotentPostMixin
from exchanges import connections, pricelist, querysets
from exchanges.models import Exchange
from exchanges.reports import Credential
from exchanges.serializers import (
    ConnectionChangeSerializer,
    ConnectionSerializer,
    ExchangeSerializer,
    NewConnectionSerializer,
    PriceSerializer,
    TestResultSerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin
from tracker.schema import results_of

_SECRETS = ("api_key", "api_secret", "passphrase")


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


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
            rows = ConnectionSerializer(querysets.connections_of(request.user.id), many=True).data
        return Response({"results": rows})

    @extend_schema(
        operation_id="connections_read", tags=["connections"], responses=ConnectionSerializer
    )
    def retrieve(self, request: Any, pk: UUID) -> Response:
        """One connection."""
        with tenancy.as_user(request.user.id):
            found = connections.find(user_id=request.user.id, connection_id=pk)
            return Response(ConnectionSerializer(found).data)

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
                ConnectionSerializer(
                    connections.create(
                        user_id=request.user.id, credential=credential, now=clock.now(), **data
                    )
                ).data,
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
        return Response(ConnectionSerializer(changed).data)

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
