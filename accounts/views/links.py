"""E-mail addresses and passwords: what is confirmed by links that were mailed."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import addresses, confirmation, passwords, shield
from accounts.passwords import WrongPassword
from accounts.permissions import FreshlyAuthenticated
from accounts.serializers.auth import (
    AcceptedSerializer,
    EmailSerializer,
    LinkSerializer,
    PasswordChangeSerializer,
    PasswordResetSerializer,
)
from accounts.views.auth import AnonymousView, accepted, address_of, valid
from tracker import clock
from tracker.api import ConditionalMixin

_SENT = "We have sent you an e-mail. Please open the link in it."
_SENT_TO_NEW = "We have sent an e-mail to the new address. Please open the link in it."
_SENT_IF_KNOWN = "If there is an account with this address, we have sent it an e-mail."
_LINK = OpenApiResponse(description="The link did its work.")


class ResendView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="auth_email_resend", tags=["auth"], request=None,
        responses={202: AcceptedSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Mail another link to confirm your address; at most one a minute."""
        shield.check(request, group="resend", email=request.user.email)
        confirmation.send_again(user_id=request.user.id, now=clock.now())
        return accepted(_SENT)


class ConfirmEmailView(AnonymousView):
    @extend_schema(
        operation_id="auth_email_confirm", tags=["auth"], request=LinkSerializer,
        responses={204: _LINK},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Confirm an address with the token of a mailed link."""
        shield.check(request, group="confirm")
        data = valid(LinkSerializer(data=request.data))
        confirmation.confirm(token=data["token"], now=clock.now())
        return Response(status=204)


class EmailChangeView(ConditionalMixin, APIView):
    permission_classes = (IsAuthenticated, FreshlyAuthenticated)
    throttle_classes = ()

    @extend_schema(
        operation_id="me_email_change", tags=["me"], request=EmailSerializer,
        responses={202: AcceptedSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Ask for another e-mail address. It changes when the link sent there is opened."""
        shield.check(request, group="email", email=request.user.email)
        data = valid(EmailSerializer(data=request.data))
        addresses.request_change(
            user=request.user, email=data["email"], session_id=request.auth.id, now=clock.now()
        )
        return accepted(_SENT_TO_NEW)


class ConfirmNewEmailView(AnonymousView):
    @extend_schema(
        operation_id="auth_email_confirm_new", tags=["auth"], request=LinkSerializer,
        responses={204: _LINK},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Change an address with the token of the link that was mailed to the new one."""
        shield.check(request, group="confirm")
        data = valid(LinkSerializer(data=request.data))
        addresses.confirm_change(token=data["token"], now=clock.now())
        return Response(status=204)


class PasswordView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="me_password_change", tags=["me"], request=PasswordChangeSerializer,
        responses={204: OpenApiResponse(description="Changed; every other device is signed out.")},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Set a new password; every other device is signed out."""
        shield.check(request, group="reauthenticate", email=request.user.email)
        data = valid(PasswordChangeSerializer(data=request.data))
        try:
            passwords.change(user=request.user, session_id=request.auth.id, now=clock.now(), **data)
        except WrongPassword:
            shield.failed(request, request.user.email)
            raise
        shield.succeeded(request, request.user.email)
        return Response(status=204)


class ForgotPasswordView(AnonymousView):
    @extend_schema(
        operation_id="auth_password_forgot", tags=["auth"], request=EmailSerializer,
        responses={202: AcceptedSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Have a link mailed with which a new password can be set."""
        # By address alone: this is the way in for whom strangers slow down, and the mailbox is
        # protected by `mail_reset_link`, which writes once a minute.
        shield.check(request, group="forgot")
        data = valid(EmailSerializer(data=request.data))
        passwords.request_reset(email=data["email"], ip_address=address_of(request))
        return accepted(_SENT_IF_KNOWN)


class ResetPasswordView(AnonymousView):
    @extend_schema(
        operation_id="auth_password_reset", tags=["auth"], request=PasswordResetSerializer,
        responses={204: OpenApiResponse(description="Set; every device is signed out.")},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Set a new password with the token of a mailed link; every device is signed out."""
        shield.check(request, group="reset")
        data = valid(PasswordResetSerializer(data=request.data))
        user = passwords.reset(now=clock.now(), **data)
        shield.succeeded(request, user.email)
        return Response(status=204)
