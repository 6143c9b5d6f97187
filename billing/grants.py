"""Plans that staff give somebody for a time."""

from datetime import datetime
from uuid import UUID

from audit import log
from audit.actions import Action
from billing import plans, standing
from billing.models import PlanGrant
from tracker.api import InvalidInput


def grant(
    *, user_id: UUID, tier: str, until: datetime, reason: str, actor_id: UUID | None,
    now: datetime,
) -> PlanGrant:  # fmt: skip
    """Give a plan from now until an instant. Call inside ``as_system``.

    Raises InvalidInput for a plan that there is not, a past instant, or no reason.
    """
    if tier not in plans.table():
        raise InvalidInput.of("tier", "There is no such plan.")
    if until <= now:
        raise InvalidInput.of("until", "This is in the past.")
    if not reason.strip():
        raise InvalidInput.of("reason", "Say why.", code="required")
    row = PlanGrant.objects.create(
        user_id=user_id, tier=tier, reason=reason.strip(), granted_by=actor_id, starts_at=now,
        ends_at=until,
    )  # fmt: skip
    log.record(
        Action.PLAN_GRANTED, user_id=user_id, actor_id=actor_id, tier=tier,
        until=until.isoformat(), grant_id=str(row.id),
    )  # fmt: skip
    standing.settle(user_id=user_id, now=now)
    return row


def revoke(*, grant_id: UUID, actor_id: UUID | None, now: datetime) -> bool:
    """Take a grant back at once; False when it was over. Call inside ``as_system``."""
    row = PlanGrant.objects.select_for_update().get(id=grant_id)
    if row.revoked_at is not None or row.ends_at <= now:
        return False
    row.revoked_at = now
    row.save(update_fields=["revoked_at"])
    log.record(
        Action.PLAN_GRANT_REVOKED, user_id=row.user_id, actor_id=actor_id, grant_id=str(row.id)
    )
    standing.settle(user_id=row.user_id, now=now)
    return True
