"""What a person was told, and what they want to be told."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import inbox, notification_settings, notifications, reachability
from accounts.models.notifications import Channel
from accounts.notifications import Event
from accounts.serializers.notifications import (
    ChangedChoicesSerializer,
    ChangedSettingsSerializer,
    ChoiceSerializer,
    NoticeSerializer,
    ReadSerializer,
    SettingsSerializer,
    UnreadSerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, InvalidInput, OpaquePagination, TimeCursorPagination
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


class NotificationSettingsView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_notification_settings_read", tags=["me"], responses=SettingsSerializer
    )
    def get(self, request: Any) -> Response:
        """Your quiet hours, the day of your weekly summary, and whether e-mail reaches you."""
        with tenancy.as_user(request.user.id):
            return Response(SettingsSerializer(notification_settings.of(request.user)).data)

    @extend_schema(
        operation_id="me_notification_settings_update", tags=["me"],
        request=ChangedSettingsSerializer, responses=SettingsSerializer,
    )  # fmt: skip
    def patch(self, request: Any) -> Response:
        """Change some of them; what is not named stays."""
        serializer = ChangedSettingsSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        changed = notification_settings.change(
            user_id=request.user.id, changes=serializer.validated_data
        )
        return Response(SettingsSerializer(changed).data)


class ProveEmailView(APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_email_prove", tags=["me"], request=None,
        responses={202: OpenApiResponse(description="A link is on its way.")},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Mail a link to an address that took no e-mail; opening it proves that it does now."""
        reachability.send_link(user_id=request.user.id, now=clock.now())
        return Response(status=202)


# --- notices ------------------------------------------------------------------------------------
class NoticePagination(OpaquePagination):
    """Newest first, with how many are not read yet on every page."""

    page_size = TimeCursorPagination.page_size
    max_page_size = TimeCursorPagination.max_page_size
    page_size_query_param = "page_size"
    ordering = ("-created_at", "-id")
    invalid_cursor_message = TimeCursorPagination.invalid_cursor_message
    unread = 0

    def get_paginated_response(self, data: Any) -> Response:
        answer = super().get_paginated_response(data)
        answer.data["unread"] = self.unread
        return answer

    def get_paginated_response_schema(self, schema: Any) -> Any:
        described = super().get_paginated_response_schema(schema)
        described["properties"]["unread"] = {"type": "integer"}
        return described


class NoticesView(ConditionalMixin, GenericAPIView):
    throttle_classes = ()
    serializer_class = NoticeSerializer
    pagination_class = NoticePagination

    def get_queryset(self) -> Any:
        return inbox.rows_of(self.request.user.pk or UUID(int=0))  # nobody's for the schema

    @extend_schema(operation_id="notifications_list", tags=["notifications"])
    def get(self, request: Any) -> Response:
        """What you were told in the last 90 days, newest first."""
        _refuse_unknown(request.query_params)
        user = request.user
        with tenancy.as_user(user.id):
            self.paginator.unread = inbox.unread(user.id)  # type: ignore[union-attr]
            page = self.paginate_queryset(self.get_queryset())
            notices = [inbox.as_notice(row, user) for row in page or ()]
        return self.get_paginated_response(NoticeSerializer(notices, many=True).data)


class NoticesReadView(APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="notifications_read", tags=["notifications"], request=ReadSerializer,
        responses=UnreadSerializer,
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Mark notices as read. A second time changes nothing."""
        serializer = ReadSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        left = inbox.mark_read(
            user_id=request.user.id, now=clock.now(), **serializer.validated_data
        )
        return Response({"unread": left})


def _refuse_unknown(query: Any) -> None:
    for name in sorted(set(query) - {"cursor", "page_size"}):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")


def _table(cells: Any) -> Response:
    return Response({"results": ChoiceSerializer(cells, many=True).data})
