"""The devices on which a person is signed in."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import sessions
from accounts.serializers.sessions import EndedSerializer, SessionSerializer
from tracker import clock
from tracker.api import ConditionalMixin
from tracker.schema import results_of


class SessionsView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="sessions_list", tags=["sessions"], responses=results_of(SessionSerializer)
    )
    def get(self, request: Any) -> Response:
        """The devices on which you are signed in, newest first."""
        rows = sessions.listed(user_id=request.user.id, current=request.auth.id, now=clock.now())
        return Response({"results": SessionSerializer(rows, many=True).data})

    @extend_schema(
        operation_id="sessions_end_others", tags=["sessions"], responses={200: EndedSerializer}
    )
    def delete(self, request: Any) -> Response:
        """Sign out everywhere else."""
        ended = sessions.end_others(user_id=request.user.id, keep=request.auth.id, now=clock.now())
        return Response({"ended": ended})


class SessionView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="sessions_end", tags=["sessions"],
        responses={204: OpenApiResponse(description="Ended; its tokens fail at the next call.")},
    )  # fmt: skip
    def delete(self, request: Any, id: UUID) -> Response:
        """Sign one device out."""
        sessions.end_one(user_id=request.user.id, session_id=id, now=clock.now())
        return Response(status=204)
