"""Access and refresh tokens: simplejwt signs and verifies, our session row decides.

The two kinds have separate keys, a pinned algorithm, issuer, audience and type, so that neither
can stand in for the other.
"""

import hashlib
from datetime import timedelta
from functools import cache
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from tracker.errors import DomainError


class InvalidToken(DomainError):
    code = "token_invalid"
    status = 401
    message = "Please sign in again."


@cache
def _backend(secret: str) -> TokenBackend:
    jwt: dict[str, Any] = settings.SIMPLE_JWT
    return TokenBackend(jwt["ALGORITHM"], secret, "", jwt["AUDIENCE"], jwt["ISSUER"])


class _SessionToken(Token):
    """A token that names a user (``sub``) and a session (``sid``)."""

    secret_setting = ""

    @property
    def token_backend(self) -> TokenBackend:
        return _backend(getattr(settings, self.secret_setting))

    def get_token_backend(self) -> TokenBackend:
        return self.token_backend

    @classmethod
    def issue(cls, *, user_id: UUID, session_id: UUID) -> Self:
        token = cls()
        token["sub"], token["sid"] = str(user_id), str(session_id)
        return token

    @classmethod
    def read(cls, text: str) -> Self:
        """Verify signature, type, issuer, audience and expiry. Raises InvalidToken."""
        try:
            token = cls(text)  # type: ignore[arg-type]
            UUID(token["sub"]), UUID(token["sid"])
        except (TokenError, KeyError, ValueError, TypeError, AttributeError):
            raise InvalidToken from None
        return token

    @property
    def user_id(self) -> UUID:
        return UUID(self["sub"])

    @property
    def session_id(self) -> UUID:
        return UUID(self["sid"])

    def digest(self) -> bytes:
        """What is stored of a refresh token: SHA-256 of its id."""
        return hashlib.sha256(str(self["jti"]).encode()).digest()


class AccessToken(_SessionToken):
    token_type = "access"  # noqa: S105  (a type name, no secret)
    secret_setting = "JWT_SECRET_KEY"  # noqa: S105

    @property
    def lifetime(self) -> timedelta:  # type: ignore[override]
        return settings.ACCESS_TOKEN_LIFETIME


class RefreshToken(_SessionToken):
    token_type = "refresh"  # noqa: S105
    secret_setting = "JWT_REFRESH_SECRET_KEY"  # noqa: S105

    @property
    def lifetime(self) -> timedelta:  # type: ignore[override]
        return settings.REFRESH_TOKEN_LIFETIME


TokenPair = dict[str, Any]
