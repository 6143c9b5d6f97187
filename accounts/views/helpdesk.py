"""Support requests: asking, reading the answers, writing back, closing, rating."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.helpdesk import opening, threads
from accounts.idempotency import IdempotentPostMixin
from accounts.models import SupportRequest
from accounts.serializers.helpdesk import (
    NewSupportMessageSerializer,
    NewSupportRequestSerializer,
    RatingSerializer,
    SupportRequestSerializer,
    SupportThreadSerializer,
    thread_data,
)
from accounts.serializers.privacy import NothingSerializer
from accounts.views import auth
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, InvalidInput, TimeCursorPagination

_STATES = SupportRequest.State.values


class SupportPagination(TimeCursorPagination):
    """Those that were written to last come first."""

    ordering = ("-last_message_at", "-id")


class SupportRequestsView(IdempotentPostMixin, ConditionalMixin, GenericAPIView):
    throttle_classes = ()
    serializer_class = SupportRequestSerializer
    pagination_class = SupportPagination

    def get_queryset(self) -> Any:
        rows = threads.rows_of(self.request.user.pk or UUID(int=0))  # nobody's for the schema
        state = self.request.query_params.get("state")
        return rows.filter(state=state) if state is not None else rows

    @extend_schema(
        operation_id="support_requests_list", tags=["support"],
        parameters=[OpenApiParameter("state", str, enum=_STATES, description="Only these.")],
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Your requests, the last written to first."""
        _check_query(request.query_params)
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(SupportRequestSerializer(page or (), many=True).data)

    @extend_schema(
        operation_id="support_requests_create", tags=["support"],
        request=NewSupportRequestSerializer, responses={201: SupportThreadSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Ask support. You get an e-mail with the reference, and one with each answer. Files
        cannot be attached. At most 10 may be open, and 20 messages be written an hour."""
        asked = auth.valid(NewSupportRequestSerializer(data=request.data))

        def handle() -> Response:
            made = opening.open_request(
                user_id=request.user.id, category=asked["category"], subject=asked["subject"],
                text=asked["text"], connection_id=asked["connection_id"],
                told=asked.get("diagnostics"), consents=asked["diagnostics_consent"],
                now=clock.now(),
            )  # fmt: skip
            found = threads.read(user_id=request.user.id, request_id=made.id)
            return Response(thread_data(found), status=201)

        return self.once(request, handle)


class SupportRequestView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="support_requests_read", tags=["support"], responses=SupportThreadSerializer
    )
    def get(self, request: Any, id: UUID) -> Response:
        """One request with everything that was written, the oldest first."""
        return Response(thread_data(threads.read(user_id=request.user.id, request_id=id)))


class SupportMessagesView(IdempotentPostMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="support_requests_write", tags=["support"],
        request=NewSupportMessageSerializer, responses={201: SupportThreadSerializer},
    )  # fmt: skip
    def post(self, request: Any, id: UUID) -> Response:
        """Write to a request. One that was closed within the last 14 days is open again."""
        text = auth.valid(NewSupportMessageSerializer(data=request.data))["text"]

        def handle() -> Response:
            found = threads.write(
                user_id=request.user.id, request_id=id, text=text, now=clock.now()
            )
            return Response(thread_data(found), status=201)

        return self.once(request, handle)


class SupportCloseView(IdempotentPostMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="support_requests_close", tags=["support"], request=NothingSerializer,
        responses=SupportThreadSerializer,
    )  # fmt: skip
    def post(self, request: Any, id: UUID) -> Response:
        """Say that it is settled. A second time changes nothing."""
        auth.valid(NothingSerializer(data=request.data))

        def handle() -> Response:
            found = threads.close(user_id=request.user.id, request_id=id, now=clock.now())
            return Response(thread_data(found))

        return self.once(request, handle)


class SupportRatingView(IdempotentPostMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="support_requests_rate", tags=["support"], request=RatingSerializer,
        responses=SupportThreadSerializer,
    )  # fmt: skip
    def post(self, request: Any, id: UUID) -> Response:
        """Say how the help was, once it was answered or closed; for 14 days it may be changed."""
        said = auth.valid(RatingSerializer(data=request.data))

        def handle() -> Response:
            found = threads.rate(user_id=request.user.id, request_id=id, now=clock.now(), **said)
            return Response(thread_data(found))

        return self.once(request, handle)


def _check_query(query: Any) -> None:
    for name in sorted(set(query) - {"cursor", "page_size", "state"}):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")
    if "state" in query and query["state"] not in _STATES:
        text = f"Choose one of: {', '.join(_STATES)}."
        raise InvalidInput.of("state", text, code="invalid_choice")
