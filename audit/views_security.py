"""A person's own alerts, and the door for security events from the outside."""

from typing import Any
from uuid import UUID

import redis
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import salted_hmac
from django.views.decorators.csrf import csrf_exempt
from django_redis.exceptions import ConnectionInterrupted
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import alerts
from audit.models import SecurityAlert
from audit.models.alerts import Severity
from audit.webhooks import inbound
from tracker import clock, network, tenancy
from tracker.api import (
    BodyTooLarge,
    ConditionalMixin,
    InvalidInput,
    TimeCursorPagination,
    error_body,
)
from tracker.errors import DomainError

FAILURES_A_MINUTE = 30


class AlertSerializer(serializers.ModelSerializer):
    """An alert as its person sees it."""

    severity = serializers.ChoiceField(choices=Severity.choices)
    state = serializers.ChoiceField(choices=SecurityAlert.State.choices)
    evidence = serializers.DictField(help_text="What led to it; depends on the kind.")

    class Meta:
        model = SecurityAlert
        fields = (
            "id", "kind", "severity", "state", "evidence", "created_at", "acknowledged_at",
            "resolved_at",
        )  # fmt: skip
        read_only_fields = fields


class _NewestFirst(TimeCursorPagination):
    ordering = ("-created_at", "-id")


class AlertsView(ConditionalMixin, GenericAPIView):
    throttle_classes = ()
    filter_backends = ()
    serializer_class = AlertSerializer
    pagination_class = _NewestFirst

    def get_queryset(self) -> Any:
        """One person's; nobody's while the schema is being drawn."""
        return alerts.alerts_of(self.request.user.pk or UUID(int=0))

    @extend_schema(
        operation_id="alerts_list", tags=["security"],
        parameters=[OpenApiParameter("state", str, enum=SecurityAlert.State.values)],
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Security alerts about this account, newest first."""
        state = request.query_params.get("state")
        if state is not None and state not in SecurityAlert.State.values:
            raise InvalidInput.of("state", "Use open, acknowledged or resolved.")
        with tenancy.as_user(request.user.id):
            rows = self.get_queryset()
            page = self.paginate_queryset(rows.filter(state=state) if state else rows)
        return self.get_paginated_response(AlertSerializer(page, many=True).data)


class AcknowledgeView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="alerts_acknowledge", tags=["security"], request=None,
        responses=AlertSerializer,
    )  # fmt: skip
    def post(self, request: Any, id: UUID) -> Response:
        """Say that an alert was seen. Saying it again changes nothing."""
        alert = alerts.acknowledge(user_id=request.user.id, alert_id=id, now=clock.now())
        return Response(AlertSerializer(alert).data)


# --- the webhook --------------------------------------------------------------------------------
@csrf_exempt
def security_webhook(request: HttpRequest) -> HttpResponse:
    """POST /api/webhook/security. Not in the schema: it is not the app's."""
    if request.method != "POST":
        body = error_body("method_not_allowed", "This address takes POST.")
        return JsonResponse(body, status=405, headers={"Allow": "POST"})
    if _failed_too_often(request):
        body = error_body("too_many_attempts", "Too many messages that were not signed by us.")
        return JsonResponse(body, status=429, headers={"Retry-After": "60"})
    try:
        is_new = inbound.receive(
            headers={name.lower(): value for name, value in request.headers.items()},
            body=_body(request), now=clock.now(),
        )  # fmt: skip
    except DomainError as error:
        if isinstance(error, inbound.BadSignature):
            _note_failure(request)
        headers = {"Retry-After": "300"} if error.status == 503 else {}
        answer = error_body(error.code, error.text, error.details)
        return JsonResponse(answer, status=error.status, headers=headers)
    return JsonResponse({"status": "accepted" if is_new else "known"}, status=202)


def _body(request: HttpRequest) -> bytes:
    """Read one byte more than is allowed and no further. Raises BodyTooLarge."""
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > inbound.LARGEST_BODY:
        raise BodyTooLarge
    body = request.read(inbound.LARGEST_BODY + 1)
    if len(body) > inbound.LARGEST_BODY:
        raise BodyTooLarge
    return body


def _failures_key(request: HttpRequest) -> str:
    """Says from where to nobody who reads Redis."""
    minute = int(clock.now().timestamp()) // 60
    address = salted_hmac("audit.webhook-failures", network.client_address(request))
    return f"webhook-failures:{address.hexdigest()}:{minute}"


def _failed_too_often(request: HttpRequest) -> bool:
    """A shield of its own: who cannot sign is soon not even listened to. Open without Redis,
    because the signature decides anyway."""
    try:
        return int(caches["limits"].get(_failures_key(request)) or 0) >= FAILURES_A_MINUTE
    except (redis.RedisError, ConnectionInterrupted, OSError):
        return False


def _note_failure(request: HttpRequest) -> None:
    key = _failures_key(request)
    try:
        caches["limits"].add(key, 0, 120)
        caches["limits"].incr(key)
    except (redis.RedisError, ConnectionInterrupted, OSError, ValueError):
        return
