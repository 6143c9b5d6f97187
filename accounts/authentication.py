"""Who is calling: a signed-in device with an access token, or a program with an API key.

Both come as ``Authorization: Bearer …``; an API key begins with ``trk_``. A token costs one
indexed read, a key two; then that somebody was there is counted (``audit.metrics``).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header

from accounts import api_keys, sessions, shield
from accounts.api_keys import ApiKeyInvalid, Refusal
from accounts.models import ApiKey, Session, User
from accounts.tokens import AccessToken, InvalidToken
from audit import metrics
from tracker import clock, network


class SessionTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <access token>``. Ended sessions and inactive users are refused."""

    def authenticate(self, request: Any) -> tuple[User, Session] | None:
        bearer = _bearer(request)
        if bearer is None or bearer.startswith(api_keys.MARK):
            return None
        token, now = AccessToken.read(bearer), clock.now()
        session = sessions.find_live(user_id=token.user_id, session_id=token.session_id, now=now)
        if session is None:
            raise InvalidToken
        _was_there(request, token.user_id, token.session_id)
        return session.user, session

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="api"'


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer trk_…``, for views that declare a scope and for nothing else.

    A view says ``api_key_scopes = {"GET": "read_portfolio"}``. What it does not say, no key may
    do: the scope is asked here and not in a permission class, because views have permission
    classes of their own and one of them would one day lack it.
    """

    def authenticate(self, request: Any) -> tuple[User, ApiKey] | None:
        bearer = _bearer(request)
        if bearer is None or not bearer.startswith(api_keys.MARK):
            return None
        address, now = _address(request), clock.now()
        try:
            key = api_keys.find_live(bearer, now=now)
        except Refusal as refusal:
            # Raises TooManyAttempts: whoever keeps on guessing fills no log.
            shield.check(request, group="api_key")
            api_keys.record_refusal(refusal, ip_address=address)
            raise ApiKeyInvalid from None
        api_keys.permit(key, _scope_of(request))
        api_keys.record_use(key, ip_address=address, now=now)
        _was_there(request, key.user_id, key.id)
        return key.user, key


def scopes_of(view: Any) -> Mapping[str, str]:
    """Which scope of API keys a view asks for, by method."""
    return getattr(view, "api_key_scopes", {})


def _scope_of(request: Any) -> str | None:
    method = "GET" if request.method == "HEAD" else request.method
    return scopes_of(request.parser_context.get("view")).get(method)


def _bearer(request: Any) -> str | None:
    header = get_authorization_header(request).split()
    if not header or header[0].lower() != b"bearer":
        return None
    if len(header) != 2:
        raise InvalidToken
    return header[1].decode("latin-1")


def _was_there(request: Any, user_id: UUID, session_id: UUID) -> None:
    # The activity log takes the session from here.
    structlog.contextvars.bind_contextvars(user_id=str(user_id), session_id=str(session_id))
    match = request.resolver_match
    metrics.touch(
        user_id=user_id, session_id=session_id, ip_address=_address(request), now=clock.now(),
        feature=metrics.feature_of(match.route if match else ""),
    )  # fmt: skip


def _address(request: Any) -> str | None:
    address = network.client_address(request)
    return None if address == network.UNKNOWN else address


class SessionTokenScheme(OpenApiAuthenticationExtension):
    """How the schema describes it."""

    target_class = SessionTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """Only where a view takes keys, with the scope that the key needs."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http", "scheme": "bearer", "bearerFormat": "trk_<prefix>_<secret>",
            "description": "A key for programs, made at `POST /api/v1/api-keys`.",
        }  # fmt: skip

    def get_security_requirement(self, auto_schema: Any) -> Any:
        scope = scopes_of(auto_schema.view).get(auto_schema.method)
        return {self.name: [scope]} if scope else None
