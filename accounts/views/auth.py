"""Signing up, in and out, and the signed-in person."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import preferences, reauthentication, registration, sessions, shield, signing_in
from accounts.idempotency import IdempotentPostMixin
from accounts.passwords import WrongPassword
from accounts.serializers.auth import (
    AcceptedSerializer,
    CredentialsSerializer,
    MeSerializer,
    PreferencesSerializer,
    ReauthenticationSerializer,
    RefreshSerializer,
    RegistrationSerializer,
    SignedInSerializer,
    TokensSerializer,
)
from accounts.sessions import Device, SignedIn, WrongCredentials
from tracker import clock, network
from tracker.api import ConditionalMixin

_REGISTERED = "We have sent you an e-mail. Please open the link in it, and sign in."


class AnonymousView(IdempotentPostMixin, ConditionalMixin, APIView):
    """A view for people who are not signed in; the shield counts instead of burst limits."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()


def address_of(request: Any) -> str | None:
    """The caller's address, where it is known."""
    address = network.client_address(request)
    return None if address == network.UNKNOWN else address


def device_of(request: Any, described: Mapping[str, str] | None = None) -> Device:
    """The device that asks, as its request and its app describe it."""
    return Device(
        user_agent=request.headers.get("User-Agent", "")[:256],
        ip_address=address_of(request), **(described or {}),
    )  # fmt: skip


def valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def signed_in_body(result: SignedIn) -> dict[str, Any]:
    return {
        "access": result.access,
        "refresh": result.refresh,
        "user": MeSerializer(result.user).data,
    }


def accepted(message: str) -> Response:
    """The answer that tells nothing."""
    return Response({"status": "accepted", "message": message}, status=202)


class RegisterView(AnonymousView):
    @extend_schema(
        operation_id="auth_register", tags=["auth"],
        request=RegistrationSerializer, responses={202: AcceptedSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Create an account; a link to confirm the address is mailed. Then sign in."""
        shield.check(request, group="register", email=request.data.get("email"))
        data = valid(RegistrationSerializer(data=request.data))

        def handle() -> Response:
            registration.register(ip_address=address_of(request), now=clock.now(), **data)
            return accepted(_REGISTERED)

        return self.once(request, handle)


class LoginView(AnonymousView):
    @extend_schema(
        operation_id="auth_login", tags=["auth"],
        request=CredentialsSerializer, responses={200: SignedInSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Sign in with e-mail and password; who has a second factor gets a challenge for it."""
        shield.check(request, group="login", email=request.data.get("email"))
        data = valid(CredentialsSerializer(data=request.data))
        device = device_of(request, data.pop("device", None))
        try:
            result = signing_in.sign_in(device=device, now=clock.now(), **data)
        except WrongCredentials:
            shield.failed(request, data["email"])
            raise
        shield.succeeded(request, data["email"])
        return Response(signed_in_body(result))


class RefreshView(AnonymousView):
    @extend_schema(
        operation_id="auth_refresh", tags=["auth"],
        request=RefreshSerializer, responses={200: TokensSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Exchange a refresh token for a new pair; the old one is spent."""
        data = valid(RefreshSerializer(data=request.data))
        result = sessions.refresh(token=data["refresh"], now=clock.now())
        return Response({"access": result.access, "refresh": result.refresh})


class LogoutView(AnonymousView):
    @extend_schema(
        operation_id="auth_logout", tags=["auth"], request=RefreshSerializer,
        responses={204: OpenApiResponse(description="The session has ended.")},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """End the session of this refresh token; its access tokens end with it."""
        data = valid(RefreshSerializer(data=request.data))
        sessions.sign_out(token=data["refresh"], now=clock.now())
        return Response(status=204)


class ReauthenticateView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="auth_reauthenticate", tags=["auth"], request=ReauthenticationSerializer,
        responses={204: OpenApiResponse(description="Sensitive acts are open for 15 minutes.")},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Confirm that it is you: password (and second factor where enrolled), or a passkey."""
        shield.check(request, group="reauthenticate", email=request.user.email)
        proof = valid(ReauthenticationSerializer(data=request.data))
        password = proof.pop("password", "")
        try:
            reauthentication.confirm(
                session=request.auth, password=password, proof=proof, now=clock.now()
            )
        except WrongPassword:
            shield.failed(request, request.user.email)
            raise
        shield.succeeded(request, request.user.email)
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
        data = valid(PreferencesSerializer(data=request.data, partial=True))
        user = preferences.change(user_id=request.user.id, changes=data)
        return Response(MeSerializer(user).data)
