"""What a person lets support see, and saying no to what support was asked for."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import support_access
from accounts.idempotency import IdempotentPostMixin
from accounts.second_factor import resets
from accounts.serializers.support_access import (
    SupportAccessRequestSerializer,
    SupportAccessSerializer,
    WaitingResetSerializer,
)
from accounts.views.auth import valid
from tracker import clock, tenancy
from tracker.api import ConditionalMixin

_ENDED = {204: OpenApiResponse(description="Support sees nothing any more.")}
_KEPT = {204: OpenApiResponse(description="Every second factor stays.")}


class SupportAccessView(IdempotentPostMixin, ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_support_access_read", tags=["support"], responses=SupportAccessSerializer
    )
    def get(self, request: Any) -> Response:
        """Whether support may see what your app shows, until when, and each time they looked."""
        found = support_access.standing(user_id=request.user.id, now=clock.now())
        return Response(SupportAccessSerializer(found).data)

    @extend_schema(
        operation_id="me_support_access_give", tags=["support"],
        request=SupportAccessRequestSerializer, responses={201: SupportAccessSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Let support see what your app shows, for some hours. They can change nothing and see no
        keys; you are told each time they begin to look. Given anew, the new time holds."""
        hours = valid(SupportAccessRequestSerializer(data=request.data))["hours"]

        def handle() -> Response:
            found = support_access.give(user_id=request.user.id, hours=hours, now=clock.now())
            return Response(SupportAccessSerializer(found).data, status=201)

        return self.once(request, handle)

    @extend_schema(operation_id="me_support_access_end", tags=["support"], responses=_ENDED)
    def delete(self, request: Any) -> Response:
        """Support sees nothing any more, from the next page on. Does nothing when it was over."""
        support_access.end(user_id=request.user.id, now=clock.now())
        return Response(status=204)


class WaitingResetView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_second_factor_reset_read", tags=["second factor"],
        responses=WaitingResetSerializer,
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Whether support was asked to remove every second factor of yours, and when they will."""
        with tenancy.as_user(request.user.id):
            row = resets.waiting(user_id=request.user.id)
        asked, due = (row.asked_at, row.due_at) if row else (None, None)
        told = {"is_waiting": row is not None, "asked_at": asked, "due_at": due}
        return Response(WaitingResetSerializer(told).data)

    @extend_schema(
        operation_id="me_second_factor_reset_cancel", tags=["second factor"], responses=_KEPT
    )
    def delete(self, request: Any) -> Response:
        """Keep your second factors: cancel the removal that support was asked for."""
        with tenancy.as_user(request.user.id):
            resets.cancel(user_id=request.user.id, now=clock.now())
        return Response(status=204)
