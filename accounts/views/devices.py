"""Phones that receive push messages."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import devices
from accounts.idempotency import IdempotentPostMixin
from accounts.serializers.notifications import DeviceSerializer, NewDeviceSerializer
from tracker import clock, tenancy
from tracker.api import ConditionalMixin
from tracker.schema import results_of


class DevicesView(IdempotentPostMixin, ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="devices_list", tags=["devices"], responses=results_of(DeviceSerializer)
    )
    def get(self, request: Any) -> Response:
        """The phones that are pushed to, newest first."""
        with tenancy.as_user(request.user.id):
            rows = devices.devices_of(request.user.id, clock.now())
        return Response({"results": DeviceSerializer(rows, many=True).data})

    @extend_schema(
        operation_id="devices_register", tags=["devices"], request=NewDeviceSerializer,
        responses={201: DeviceSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Push to this phone while its session runs. The same token is the same device."""
        serializer = NewDeviceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.once(request, lambda: self._register(request, serializer.validated_data))

    def _register(self, request: Any, data: dict[str, Any]) -> Response:
        device = devices.register(
            user_id=request.user.id, session_id=request.auth.id, now=clock.now(), **data
        )
        return Response(DeviceSerializer(device).data, status=201)


class DeviceView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="devices_delete", tags=["devices"],
        responses={204: OpenApiResponse(description="It is no longer pushed to.")},
    )  # fmt: skip
    def delete(self, request: Any, id: UUID) -> Response:
        """Push to a phone no more."""
        devices.remove(user_id=request.user.id, device_id=id)
        return Response(status=204)
