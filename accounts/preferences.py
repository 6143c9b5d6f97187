"""What a person chose: base currency, time zone, cost-basis method."""

from collections.abc import Mapping
from uuid import UUID

from accounts.models import User
from audit import log
from audit.actions import Action
from tracker import tenancy


def change(*, user_id: UUID, changes: Mapping[str, str | int]) -> User:
    """Apply the given preferences; returns the user as they are now."""
    with tenancy.as_user(user_id):
        user = User.objects.select_for_update().get(id=user_id)
        changed = {name: value for name, value in changes.items() if getattr(user, name) != value}
        if changed:
            for name, value in changed.items():
                setattr(user, name, value)
            user.save(update_fields=list(changed))
            log.record(Action.USER_PREFERENCES_CHANGED, user_id=user_id, changed=sorted(changed))
        return user
