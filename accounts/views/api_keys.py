"""Keys for programs."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import api_keys
from accounts.idempotency import IdempotentPostMixin
from accounts.permissions import EmailConfirmed, FreshlyAuthenticated
from accounts.serializers.api_keys import (
    ApiKeySerializer,
    CreatedApiKeySerializer,
    NewApiKeySerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin
from tracker.schema import results_of


class ApiKeysView(IdempotentPostMixin, ConditionalMixin, APIView):
    throttle_classes = ()

    def get_permissions(self) -> list[Any]:
        """A key outlives the session it is made in, so who makes one is asked again."""
        making = self.request.method == "POST"
        return [IsAuthenticated(), *([FreshlyAuthenticated(), EmailConfirmed()] if making else [])]

    @extend_schema(
        operation_id="api_keys_list", tags=["api keys"], responses=results_of(ApiKeySerializer)
    )
    def get(self, request: Any) -> Response:
        """Your API keys that were not revoked, newest first; expired ones too."""
        with tenancy.as_user(request.user.id):
            rows = ApiKeySerializer(api_keys.keys_of(request.user.id), many=True).data
        return Response({"results": rows})

    @extend_schema(
        operation_id="api_keys_create", tags=["api keys"], request=NewApiKeySerializer,
        responses={201: CreatedApiKeySerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Make a key. The answer is the only place where it can ever be read."""
        serializer = NewApiKeySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.once(request, lambda: self._create(request, serializer.validated_data))

    def _create(self, request: Any, data: dict[str, Any]) -> Response:
        made = api_keys.create(
            user=request.user, name=data["name"], scopes=data["scopes"],
            days=data["expires_in_days"], session_id=request.auth.id, now=clock.now(),
        )  # fmt: skip
        return Response({**ApiKeySerializer(made.row).data, "key": made.text}, status=201)


class ApiKeyView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="api_keys_revoke", tags=["api keys"],
        responses={204: OpenApiResponse(description="It fails at its next call.")},
    )  # fmt: skip
    def delete(self, request: Any, id: UUID) -> Response:
        """Revoke a key. This cannot be undone."""
        api_keys.revoke(user_id=request.user.id, key_id=id, now=clock.now())
        return Response(status=204)
