"""Access and refresh tokens: simplejwt signs and verifies, our session row decides.

The two kinds have separate keys, a pinned algorithm, issuer, audience and type, so that neither
can stand in for the other.

The current key signs. Keys of the past are accepted until they are taken out of the settings; the
header field ``kid``, a digest of the key, says which one it was.
"""

import hashlib
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any, Self
from uuid import UUID

import jwt
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from tracker.errors import DomainError


class InvalidToken(DomainError):
    code = "token_invalid"
    status = 401
    message = "Please sign in again."


# Ours have a tenth of this; longer ones are not looked at.
LONGEST = 4096
REMEMBERED = 2_000  # verified tokens per process and kind


class _Keys(TokenBackend):
    """simplejwt's backend with several keys: the first signs, each verifies what it signed."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        simple: dict[str, Any] = settings.SIMPLE_JWT
        super().__init__(simple["ALGORITHM"], secrets[0], "", simple["AUDIENCE"], simple["ISSUER"])
        self._key_id = _key_id(secrets[0])
        self._accepted = {_key_id(secret): self._prepare_key(secret) for secret in secrets}
        # What fails is not remembered.
        self._verified = lru_cache(maxsize=REMEMBERED)(super().decode)

    def encode(self, payload: dict[str, Any]) -> str:
        claims = payload | {"aud": self.audience, "iss": self.issuer}
        return jwt.encode(
            claims, self.prepared_signing_key, self.algorithm, headers={"kid": self._key_id}
        )

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """What a token says. Raises TokenBackendError, when it has run out as well.

        A device sends the same token with every request, and nothing that has been verified of
        it can change, but for the time: ``Token.verify`` looks at that each time.
        """
        return dict(self._verified(token)) if verify else super().decode(token, verify=False)

    def get_verifying_key(self, token: Any) -> Any:
        """The key that the token names, if it is one of ours."""
        named = jwt.get_unverified_header(token).get("kid")
        if named not in self._accepted:
            raise jwt.InvalidTokenError
        return self._accepted[named]


def _key_id(secret: str) -> str:
    """A name for a key that tells nothing about it: keys are long and random."""
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:16]


@cache
def _keys(*secrets: str) -> _Keys:
    return _Keys(secrets)


class _SessionToken(Token):
    """A token that names a user (``sub``) and a session (``sid``)."""

    secret_setting = previous_setting = ""

    @property
    def token_backend(self) -> TokenBackend:
        return _keys(
            getattr(settings, self.secret_setting), *getattr(settings, self.previous_setting)
        )

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
        if len(text) > LONGEST:
            raise InvalidToken
        try:
            token = cls(text)  # type: ignore[arg-type]
            UUID(token["sub"]), UUID(token["sid"])
        except (TokenError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
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
    previous_setting = "JWT_PREVIOUS_SECRET_KEYS"

    @property
    def lifetime(self) -> timedelta:  # type: ignore[override]
        return settings.ACCESS_TOKEN_LIFETIME


class RefreshToken(_SessionToken):
    token_type = "refresh"  # noqa: S105
    secret_setting = "JWT_REFRESH_SECRET_KEY"  # noqa: S105
    previous_setting = "JWT_PREVIOUS_REFRESH_SECRET_KEYS"

    @property
    def lifetime(self) -> timedelta:  # type: ignore[override]
        return settings.REFRESH_TOKEN_LIFETIME


TokenPair = dict[str, Any]
