"""Signing up, in and out, and the signed-in person."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import preferences, sessions, shield
from accounts.idempotency import IdempotentPostMixin
from accounts.serializers.auth import (
    CredentialsSerializer,
    MeSerializer,
    PreferencesSerializer,
    RefreshSerializer,
    RegistrationSerializer,
    SignedInSerializer,
    TokensSerializer,
)
from accounts.sessions import Device, SignedIn
from tracker import clock, network
from tracker.api import ConditionalMixin


class _AnonymousView(IdempotentPostMixin, ConditionalMixin, APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()


def _device(request: Any) -> Device:
    address = network.client_address(request)
    return Device(
        user_agent=request.headers.get("User-Agent", ""),
        ip_address=None if address == "unknown" else address,
    )


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _signed_in(result: SignedIn) -> dict[str, Any]:
    return {
        "access": result.access,
        "refresh": result.refresh,
        "user": MeSerializer(result.user).data,
    }


class RegisterView(_AnonymousView):
    @extend_schema(
        operation_id="auth_register", tags=["auth"],
        request=RegistrationSerializer, responses={201: SignedInSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Create an account and sign in."""
        shield.check(request, group="register", email=request.data.get("email"))
        data = _valid(RegistrationSerializer(data=request.data))
        return self.once(
            request,
            lambda: Response(
                _signed_in(sessions.register(device=_device(request), now=clock.now(), **data)),
                status=201,
            ),
        )


class LoginView(_AnonymousView):
    @extend_schema(
        operation_id="auth_login", tags=["auth"],
        request=CredentialsSerializer, responses={200: SignedInSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Sign in with e-mail and password."""
        shield.check(request, group="login", email=request.data.get("email"))
        data = _valid(CredentialsSerializer(data=request.data))
        result = sessions.sign_in(device=_device(request), now=clock.now(), **data)
        return Response(_signed_in(result))


class RefreshView(_AnonymousView):
    @extend_schema(
        operation_id="auth_refresh", tags=["auth"],
        request=RefreshSerializer, responses={200: TokensSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Exchange a refresh token for a new pair; the old one is spent."""
        data = _valid(RefreshSerializer(data=request.data))
        result = sessions.refresh(token=data["refresh"], now=clock.now())
        return Response({"access": result.access, "refresh": result.refresh})


class LogoutView(_AnonymousView):
    @extend_schema(
        operation_id="auth_logout", tags=["auth"], request=RefreshSerializer,
        responses={204: OpenApiResponse(description="The session has ended.")},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """End the session of this refresh token; its access tokens end with it."""
        data = _valid(RefreshSerializer(data=request.data))
        sessions.sign_out(token=data["refresh"], now=clock.now())
        return Response(status=204)


class MeView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(operation_id="me_read", tags=["me"], responses=MeSerializer)
    def get(self, request: Any) -> Response:
        """The signed-in person and their preferences."""
        return Response(MeSerializer(request.user).data)

    @extend_schema(
        operation_id="me_update", tags=["me"], request=PreferencesSerializer,
        responses=MeSerializer,
    )  # fmt: skip
    def patch(self, request: Any) -> Response:
        """Change preferences; what is not named stays."""
        data = _valid(PreferencesSerializer(data=request.data, partial=True))
        user = preferences.change(user_id=request.user.id, changes=data)
        return Response(MeSerializer(user).data)
