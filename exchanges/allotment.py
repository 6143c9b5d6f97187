"""Which connections a plan includes: the first so many, in the order that the person chose.

Nothing is pushed when a plan changes: the surplus is computed whenever somebody asks, shows as
paused by the plan, keeps all that was read, and goes on as soon as a plan includes it again.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection as database
from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Greatest, Least

from billing import entitlements, plans
from billing.entitlements import Entitlements
from exchanges.models import ConnectionKind, ConnectionState, ExchangeConnection
from tracker.errors import DomainError

REASON = "paused_by_plan"  # of a connection that the plan leaves out
LOOK_AGAIN = timedelta(days=1)  # at what a plan does not include; a change of plan is sooner


class ConnectionLimit(DomainError):
    code = "connection_limit_reached"
    status = 403
    message = "Your plan includes no further connection."


class PausedByPlan(DomainError):
    code = "paused_by_plan"
    status = 403
    message = "Your plan does not include this connection. It goes on after an upgrade."


def place() -> Coalesce:
    """An annotation: how many connections of the same person come before this one."""
    others = ExchangeConnection.objects.filter(
        user_id=OuterRef("user_id"), kind=ConnectionKind.EXCHANGE
    ).filter(
        Q(position__lt=OuterRef("position"))
        | Q(position=OuterRef("position"), id__lt=OuterRef("id"))
    )
    counted = others.order_by().values("user_id").annotate(n=Count("id")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def is_surplus(connection: Any, granted: Entitlements) -> bool:
    """Whether a plan leaves out a connection that was read with its ``place``."""
    most = granted.plan.connections
    if most is None or connection.kind != ConnectionKind.EXCHANGE:
        return False  # no limit, or an account kept by hand
    return connection.place >= most


def require_room(user: Any, *, now: datetime, lock: bool = False) -> None:
    """Raises ConnectionLimit when a plan includes no further connection.

    Call inside ``as_user``. With ``lock``, on the person's own row, two at once take turns.
    """
    granted = entitlements.for_user(user, now=now)
    most = granted.plan.connections
    if most is None:
        return
    if lock:
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
    counted = ExchangeConnection.objects.filter(user_id=user.pk, kind=ConnectionKind.EXCHANGE)
    if counted.count() < most:
        return
    s = "" if most == 1 else "s"
    raise ConnectionLimit(
        f"Your {granted.plan.name} plan includes {most} connection{s}. A larger plan includes "
        "more.", details={"plan": granted.tier, "limit": most},
    )  # fmt: skip


_SURPLUS = f"""
SELECT c.id FROM exchange_connections c
LEFT JOIN billing_accounts b ON b.user_id = c.user_id
LEFT JOIN unnest(%(tiers)s::text[], %(most)s::int[]) AS plan (tier, most)
  ON plan.tier = {entitlements.TIER}
WHERE c.id = ANY(%(ids)s) AND c.kind = 'exchange' AND (
    SELECT count(*) FROM exchange_connections other
    WHERE other.user_id = c.user_id AND other.kind = 'exchange'
      AND (other.position, other.id) < (c.position, c.id)
) >= CASE WHEN plan.tier IS NULL THEN %(usual)s ELSE plan.most END
"""  # noqa: S608  (fixed text)


def surplus_of(connection_ids: Collection[UUID], *, now: datetime) -> set[UUID]:
    """Those of some connections, of whomever, that plans leave out. Call inside ``as_system``.

    A limit of null leaves nothing out; a tier that the table lacks has the usual plan's.
    """
    if not connection_ids:
        return set()
    limits = {tier: plan.connections for tier, plan in plans.table().items()}
    parameters: dict[str, Any] = {
        "tiers": list(limits), "most": list(limits.values()), "ids": list(connection_ids),
        "usual": limits[plans.DEFAULT_TIER], "now": now,
    }  # fmt: skip
    with database.cursor() as cursor:
        cursor.execute(_SURPLUS, parameters)
        return {row[0] for row in cursor.fetchall()}


def put_off(connection_ids: Collection[UUID], *, now: datetime) -> None:
    """Look at them again tomorrow. Call inside ``as_system``."""
    ExchangeConnection.objects.filter(id__in=connection_ids).update(
        next_sync_at=now + LOOK_AGAIN, late_after=None
    )


def look_now(*, user_id: UUID, now: datetime) -> None:
    """A plan or an order has changed: what was not read for as long as the plan's pace is due,
    and the others as soon as it is so long ago.

    Call inside ``as_user``.
    """
    pace = entitlements.of_users([user_id], now=now)[user_id].plan.sync_every
    stopped = (ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY)
    due = Greatest(Value(now), F("last_synced_at") + pace)  # now, where it was never read
    mine = ExchangeConnection.objects.filter(user_id=user_id, next_sync_at__isnull=False)
    mine.exclude(state__in=stopped).update(
        next_sync_at=Least("next_sync_at", due),
        late_after=Least("late_after", due + pace / 2),  # as lateness.after
    )
