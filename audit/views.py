"""What a person can read of the log."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from audit import activity
from audit.models import ActivityLog
from audit.serializers import ActivitySerializer
from tracker import tenancy
from tracker.api import ConditionalMixin, TimeCursorPagination


class _NewestFirst(TimeCursorPagination):
    page_size = 50
    ordering = ("-created_at", "-id")


class MyActivityView(ConditionalMixin, GenericAPIView):
    serializer_class = ActivitySerializer
    pagination_class = _NewestFirst
    filter_backends = ()
    throttle_classes = ()

    def get_queryset(self) -> QuerySet[Any]:
        """Nobody's rows while the schema is being drawn."""
        user_id = self.request.user.pk
        return ActivityLog.objects.none() if user_id is None else activity.acts_of(user_id)

    @extend_schema(operation_id="me_activity", tags=["me"])
    def get(self, request: Any) -> Response:
        """What you, support or the program did with this account, newest first."""
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([activity.shown(act) for act in page])
