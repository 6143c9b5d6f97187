"""A person's own webhooks."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import webhooks
from accounts.idempotency import IdempotentPostMixin
from accounts.permissions import EmailConfirmed, FreshlyAuthenticated
from accounts.serializers.webhooks import (
    CreatedWebhookSerializer,
    NewWebhookSerializer,
    WebhookSerializer,
    WebhookTestSerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin
from tracker.schema import results_of


class WebhooksView(IdempotentPostMixin, ConditionalMixin, APIView):
    throttle_classes = ()

    def get_permissions(self) -> list[Any]:
        """A webhook outlives the session it is made in, so who makes one is asked again."""
        making = self.request.method == "POST"
        return [IsAuthenticated(), *([FreshlyAuthenticated(), EmailConfirmed()] if making else [])]

    @extend_schema(
        operation_id="me_webhooks_list", tags=["webhooks"], responses=results_of(WebhookSerializer)
    )
    def get(self, request: Any) -> Response:
        """The addresses that are called, oldest first."""
        with tenancy.as_user(request.user.id):
            rows = webhooks.endpoints_of(request.user.id)
        return Response({"results": WebhookSerializer(rows, many=True).data})

    @extend_schema(
        operation_id="me_webhooks_create", tags=["webhooks"], request=NewWebhookSerializer,
        responses={201: CreatedWebhookSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Call an address from now on. The answer is the only place where its secret is told."""
        serializer = NewWebhookSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.once(request, lambda: self._create(request, serializer.validated_data["url"]))

    def _create(self, request: Any, url: str) -> Response:
        made = webhooks.create(user=request.user, url=url, now=clock.now())
        return Response(CreatedWebhookSerializer(made).data, status=201)


class WebhookView(APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_webhooks_delete", tags=["webhooks"],
        responses={204: OpenApiResponse(description="It is no longer called.")},
    )  # fmt: skip
    def delete(self, request: Any, id: UUID) -> Response:
        """Call an address no more."""
        webhooks.remove(user_id=request.user.id, endpoint_id=id)
        return Response(status=204)


class WebhookSecretView(APIView):
    throttle_classes = ()
    permission_classes = (FreshlyAuthenticated,)

    @extend_schema(
        operation_id="me_webhooks_rotate", tags=["webhooks"], request=None,
        responses=CreatedWebhookSerializer,
    )  # fmt: skip
    def post(self, request: Any, id: UUID) -> Response:
        """A new secret; the old one signs nothing any more."""
        made = webhooks.rotate(user_id=request.user.id, endpoint_id=id)
        return Response(CreatedWebhookSerializer(made).data)


class WebhookTestView(APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_webhooks_test", tags=["webhooks"], request=None,
        responses=WebhookTestSerializer,
    )  # fmt: skip
    def post(self, request: Any, id: UUID) -> Response:
        """Call it once, at most every ten seconds; one that was stopped and answers goes on."""
        outcome = webhooks.test(user_id=request.user.id, endpoint_id=id, now=clock.now())
        return Response(WebhookTestSerializer(outcome).data)
