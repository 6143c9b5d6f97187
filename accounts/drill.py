"""What this room looks at in a database that was restored for a drill."""

from datetime import datetime

from accounts.models import DataKey, TotpDevice
from accounts.privacy import erasure, tombstones
from accounts.second_factor import sealing
from accounts.second_factor.errors import SecondFactorUnreadable
from tracker import tenancy
from tracker.backups import drill
from tracker.backups.drill import Faulty

_SAMPLE = 100


def register() -> None:
    """Take part in drills; erasing comes last, because it changes what others look at."""
    drill.check("second factors", look_at_seeds, place=2)
    drill.check("erased people", erase_again, place=9)


def look_at_seeds(now: datetime) -> str:
    """Seeds of authenticator apps open with the keys that came back. Raises Faulty."""
    with tenancy.as_system("restore drill"):
        having_keys = DataKey.objects.values("user_id")
        devices = list(TotpDevice.objects.filter(confirmed=True, user_id__in=having_keys)[:_SAMPLE])
        try:
            for device in devices:
                sealing.open_seed(device.sealed_seed, user_id=device.user_id, device_id=device.id)
        except SecondFactorUnreadable:
            raise Faulty("a seed of an authenticator app cannot be opened") from None
    return f"{len(devices)} seeds of authenticator apps open"


def erase_again(now: datetime) -> str:
    """Whoever the erasure log names is gone from the copy, too (S49). Raises Faulty."""
    named = {stone.user_id for stone in tombstones.read()}
    back = [user_id for user_id in named if erasure.remains(user_id)]
    for user_id in back:
        erasure.erase_in_copy(user_id=user_id)
    left = sum(erasure.remains(user_id) for user_id in back)
    if left:
        raise Faulty(f"{left} people who were erased are still there")
    return f"{len(named)} in the erasure log; {len(back)} of them had come back and are gone"
