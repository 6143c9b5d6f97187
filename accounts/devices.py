"""Phones that want push messages. A phone is one person's at a time: whoever signs in on it."""

from datetime import datetime
from uuid import UUID

from accounts import notifications
from accounts.models import PushDevice, User
from audit import log
from audit.actions import Action
from tracker import ids, tenancy
from tracker.errors import NotFound

MOST_DEVICES = 20


def register(
    *, user_id: UUID, session_id: UUID, token: str, name: str, platform: str, now: datetime
) -> PushDevice:
    """Push to this phone for as long as the session runs. The same token is the same device.

    A token that somebody else had registered changes hands in one statement, so that at no moment
    does a push for one person reach the phone of another. That crosses the fence between people,
    hence ``as_system``.
    """
    with tenancy.as_system("push token changes hands"):
        # People first, so that two registrations of one phone wait for each other in one order.
        User.objects.select_for_update(no_key=True).get(id=user_id)
        before = PushDevice.objects.select_for_update().filter(token=token).first()
        PushDevice.objects.bulk_create(
            [PushDevice(
                id=ids.new_id(), user_id=user_id, session_id=session_id, token=token, name=name,
                platform=platform, created_at=now, registered_at=now,
            )],
            update_conflicts=True, unique_fields=["token"],
            update_fields=[
                "user", "session_id", "name", "platform", "registered_at", "refused_at",
            ],
        )  # fmt: skip
        device = PushDevice.objects.get(token=token)
        if before and before.user_id != user_id:
            log.record(Action.DEVICE_REMOVED, user_id=before.user_id, device_id=str(before.id),
                       reason="signed_in_elsewhere", of_this_request=False)  # fmt: skip
        if not before or before.user_id != user_id:
            log.record(Action.DEVICE_REGISTERED, user_id=user_id, session_id=session_id,
                       device_id=str(device.id), platform=platform)  # fmt: skip
        _forget_surplus(user_id)
        return device


def devices_of(user_id: UUID, now: datetime) -> list[PushDevice]:
    """The phones that would be pushed to, newest first. Call inside ``as_user``."""
    return list(notifications.reachable_devices(user_id, now).order_by("-registered_at", "-id"))


def remove(*, user_id: UUID, device_id: UUID) -> None:
    """Push there no more. Raises NotFound."""
    with tenancy.as_user(user_id):
        if not PushDevice.objects.filter(user_id=user_id, id=device_id).delete()[0]:
            raise NotFound
        log.record(Action.DEVICE_REMOVED, user_id=user_id, device_id=str(device_id))


def _forget_surplus(user_id: UUID) -> None:
    """Keep the newest; a heap of tokens would be a heap of messages for every event."""
    mine = PushDevice.objects.filter(user_id=user_id).order_by("-registered_at", "-id")
    surplus = list(mine.values_list("id", flat=True)[MOST_DEVICES:])
    PushDevice.objects.filter(user_id=user_id, id__in=surplus).delete()
