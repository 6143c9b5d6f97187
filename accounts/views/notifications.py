"""What a person wants to be told."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import notifications
from accounts.models.notifications import Channel
from accounts.notifications import Event
from accounts.serializers.notifications import ChangedChoicesSerializer, ChoiceSerializer
from tracker import tenancy
from tracker.api import ConditionalMixin
from tracker.schema import results_of


class NotificationsView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_notifications_read", tags=["me"], responses=results_of(ChoiceSerializer)
    )
    def get(self, request: Any) -> Response:
        """Every event by every channel: whether you are told, and whether you may choose."""
        with tenancy.as_user(request.user.id):
            return _table(notifications.table_of(request.user.id))

    @extend_schema(
        operation_id="me_notifications_update", tags=["me"], request=ChangedChoicesSerializer,
        responses=results_of(ChoiceSerializer),
    )  # fmt: skip
    def patch(self, request: Any) -> Response:
        """Choose by event and channel; what is not named stays."""
        serializer = ChangedChoicesSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        wanted = {
            (Event(row["event"]), Channel(row["channel"])): row["enabled"]
            for row in serializer.validated_data["choices"]
        }
        return _table(notifications.choose(user_id=request.user.id, wanted=wanted))


def _table(cells: Any) -> Response:
    return Response({"results": ChoiceSerializer(cells, many=True).data})
