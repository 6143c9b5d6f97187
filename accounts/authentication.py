"""Who is calling: the access token names a session, one indexed read says whether it runs."""

from typing import Any

import structlog
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header

from accounts import sessions
from accounts.models import Session, User
from accounts.tokens import AccessToken, InvalidToken
from tracker import clock


class SessionTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <access token>``. Ended sessions and inactive users are refused."""

    def authenticate(self, request: Any) -> tuple[User, Session] | None:
        header = get_authorization_header(request).split()
        if not header or header[0].lower() != b"bearer":
            return None
        if len(header) != 2:
            raise InvalidToken
        token = AccessToken.read(header[1].decode("latin-1"))
        session = sessions.find_live(
            user_id=token.user_id, session_id=token.session_id, now=clock.now()
        )
        if session is None:
            raise InvalidToken
        structlog.contextvars.bind_contextvars(user_id=str(token.user_id))
        return session.user, session

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="api"'


class SessionTokenScheme(OpenApiAuthenticationExtension):
    """How the schema describes it."""

    target_class = SessionTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
