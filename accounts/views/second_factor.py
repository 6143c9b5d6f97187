"""The second step of signing in, passkeys, and what a person has as second factor."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, OpenApiTypes, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import shield
from accounts.idempotency import IdempotentPostMixin
from accounts.permissions import EmailConfirmed, FreshlyAuthenticated
from accounts.second_factor import changes, sign_in
from accounts.serializers.auth import SignedInSerializer
from accounts.serializers.second_factor import (
    EnrolmentSerializer,
    NewPasskeyAnswerSerializer,
    NewPasskeySerializer,
    PasskeyOptionsRequestSerializer,
    PasskeySerializer,
    PasskeySignInSerializer,
    RecoveryCodesSerializer,
    SecondFactorSerializer,
    SecondFactorSignInSerializer,
    TotpConfirmSerializer,
)
from accounts.views.auth import AnonymousView, device_of, signed_in_body, valid
from tracker import clock
from tracker.api import ConditionalMixin, StrictSerializer
from tracker.schema import results_of

_GONE = {204: OpenApiResponse(description="It counts no longer.")}


class SecondStepView(AnonymousView):
    @extend_schema(
        operation_id="auth_login_second_factor", tags=["auth"],
        request=SecondFactorSignInSerializer, responses={200: SignedInSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Finish a sign-in that asked for a second factor."""
        shield.check(request, group="second_factor")
        data = valid(SecondFactorSignInSerializer(data=request.data))
        challenge = data.pop("challenge")
        result = sign_in.finish(challenge=challenge, proof=data, now=clock.now())
        shield.succeeded(request, result.user.email)
        return Response(signed_in_body(result))


class PasskeySignInOptionsView(AnonymousView):
    @extend_schema(
        operation_id="auth_passkey_options", tags=["auth"],
        request=PasskeyOptionsRequestSerializer, responses={200: OpenApiTypes.OBJECT},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """What the authenticator needs to prove who it is (WebAuthn request options as JSON)."""
        shield.check(request, group="passkey_options")
        data = valid(PasskeyOptionsRequestSerializer(data=request.data))
        options = sign_in.passkey_options(challenge=data.get("challenge", ""), now=clock.now())
        return Response(options)


class PasskeySignInView(AnonymousView):
    @extend_schema(
        operation_id="auth_passkey", tags=["auth"],
        request=PasskeySignInSerializer, responses={200: SignedInSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Sign in with a passkey instead of a password."""
        shield.check(request, group="passkey")
        data = valid(PasskeySignInSerializer(data=request.data))
        device = device_of(request, data.get("device"))
        result = sign_in.with_passkey(credential=data["passkey"], device=device, now=clock.now())
        shield.succeeded(request, result.user.email)
        return Response(signed_in_body(result))


class _OwnView(IdempotentPostMixin, ConditionalMixin, APIView):
    """Reading takes a token; changing takes one that is fresh (S12).

    Adding takes a confirmed address as well, where that is asked for: who signs up with somebody
    else's could otherwise set a factor that keeps the owner out after a reset.
    """

    throttle_classes = ()

    def get_permissions(self) -> list[Any]:
        if self.request.method in ("GET", "HEAD", "OPTIONS"):
            return [IsAuthenticated()]
        adding = self.request.method == "POST"
        return [FreshlyAuthenticated(), *([EmailConfirmed()] if adding else [])]


class SecondFactorView(_OwnView):
    @extend_schema(
        operation_id="second_factor_read", tags=["second factor"], responses=SecondFactorSerializer
    )
    def get(self, request: Any) -> Response:
        """What you have: authenticator app, passkeys, recovery codes left."""
        return Response(SecondFactorSerializer(changes.state(user_id=request.user.id)).data)


class TotpView(_OwnView):
    @extend_schema(
        operation_id="totp_begin", tags=["second factor"], request=StrictSerializer,
        responses={200: EnrolmentSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """A fresh secret for an authenticator app. It counts once it was confirmed."""
        valid(StrictSerializer(data=request.data))
        begun = changes.begin_totp(
            user_id=request.user.id, email=request.user.email, now=clock.now()
        )
        return Response(EnrolmentSerializer(begun).data)

    @extend_schema(operation_id="totp_remove", tags=["second factor"], responses=_GONE)
    def delete(self, request: Any) -> Response:
        """The authenticator app counts no longer."""
        changes.remove_totp(user_id=request.user.id, keep=request.auth.id, now=clock.now())
        return Response(status=204)


class TotpConfirmView(_OwnView):
    @extend_schema(
        operation_id="totp_confirm", tags=["second factor"], request=TotpConfirmSerializer,
        responses={200: RecoveryCodesSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Have the authenticator app count. Ends your other sessions."""
        data = valid(TotpConfirmSerializer(data=request.data))
        added = changes.confirm_totp(
            user_id=request.user.id, code=data["code"], keep=request.auth.id, now=clock.now()
        )
        return Response({"recovery_codes": added.recovery_codes})


class RecoveryCodesView(_OwnView):
    @extend_schema(
        operation_id="recovery_codes_make", tags=["second factor"], request=StrictSerializer,
        responses={201: RecoveryCodesSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Ten fresh recovery codes, shown this once; the old are void. Ends your other sessions."""
        valid(StrictSerializer(data=request.data))
        return self.once(request, lambda: self._make(request))

    def _make(self, request: Any) -> Response:
        codes = changes.make_recovery_codes(
            user_id=request.user.id, keep=request.auth.id, now=clock.now()
        )
        return Response({"recovery_codes": codes}, status=201)


class PasskeysView(_OwnView):
    @extend_schema(
        operation_id="passkey_list", tags=["second factor"],
        responses=results_of(PasskeySerializer),
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Your passkeys, newest first."""
        found = changes.state(user_id=request.user.id).passkeys
        return Response({"results": PasskeySerializer(found, many=True).data})

    @extend_schema(
        operation_id="passkey_add", tags=["second factor"], request=NewPasskeySerializer,
        responses={201: NewPasskeyAnswerSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Keep the passkey that an authenticator made. Ends your other sessions."""
        data = valid(NewPasskeySerializer(data=request.data))
        return self.once(request, lambda: self._add(request, data))

    def _add(self, request: Any, data: dict[str, Any]) -> Response:
        added = changes.add_passkey(
            user_id=request.user.id, credential=data["passkey"], name=data["name"],
            keep=request.auth.id, now=clock.now(),
        )  # fmt: skip
        shown = dict(PasskeySerializer(added.device).data)
        return Response(shown | {"recovery_codes": added.recovery_codes}, status=201)


class PasskeyOptionsView(_OwnView):
    @extend_schema(
        operation_id="passkey_options", tags=["second factor"], request=StrictSerializer,
        responses={200: OpenApiTypes.OBJECT},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """What an authenticator needs to make a passkey (WebAuthn creation options as JSON)."""
        valid(StrictSerializer(data=request.data))
        return Response(changes.passkey_options(user=request.user, now=clock.now()))


class PasskeyView(_OwnView):
    @extend_schema(operation_id="passkey_remove", tags=["second factor"], responses=_GONE)
    def delete(self, request: Any, id: UUID) -> Response:
        """Remove a passkey. Ends your other sessions."""
        changes.remove_passkey(
            user_id=request.user.id, passkey_id=id, keep=request.auth.id, now=clock.now()
        )
        return Response(status=204)
