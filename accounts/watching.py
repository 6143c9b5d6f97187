"""Who may hold a live connection: asked when it is opened, and again for all of them at once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from accounts import sessions
from accounts.tokens import AccessToken, InvalidToken
from billing import entitlements, plans
from billing.plans import Plan
from tracker import tenancy


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person may watch now, and in which currency they count."""

    plan: Plan
    currency: str


@dataclass(frozen=True, slots=True)
class Watcher:
    """Somebody with a running session, until their access token expires."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime
    standing: Standing


def admit(token: str, *, now: datetime) -> Watcher:
    """Who presents this access token. Raises InvalidToken, also when the session has ended."""
    read = AccessToken.read(token)
    session = sessions.find_live(user_id=read.user_id, session_id=read.session_id, now=now)
    if session is None:
        raise InvalidToken
    plan = entitlements.for_user(session.user, now=now).plan
    expires_at = datetime.fromtimestamp(int(read["exp"]), UTC)
    standing = Standing(plan, session.user.base_currency)
    return Watcher(read.user_id, read.session_id, expires_at, standing)


_STILL_RUNNING = f"""
    SELECT s.id, {entitlements.TIER}, u.base_currency
    FROM sessions s JOIN users u ON u.id = s.user_id {entitlements.JOIN}
    WHERE s.id = ANY(%(sessions)s) AND s.ended_at IS NULL AND s.expires_at > %(now)s
      AND u.is_active
"""  # noqa: S608  (fixed text)


def still_running(session_ids: Collection[UUID], *, now: datetime) -> dict[UUID, Standing]:
    """Those of some sessions that run, of whomever they are, with their people's standing."""
    with tenancy.as_system("check live connections"), connection.cursor() as cursor:
        cursor.execute(_STILL_RUNNING, {"sessions": list(session_ids), "now": now})
        return {row[0]: Standing(plans.plan(row[1]), row[2]) for row in cursor.fetchall()}
