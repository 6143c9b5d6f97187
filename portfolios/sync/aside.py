"""Putting aside the accounts whose visits kill their workers."""

from audit import parking
from audit.log import Happening
from exchanges import connections
from exchanges.models import ExchangeConnection
from portfolios.models import SyncRun, SyncState
from portfolios.sync.dispatch import SYNC_TASK
from tracker import clock, tenancy

PUT_ASIDE = "sync_put_aside"


def put_aside(happening: Happening) -> None:
    """Subscriber of ``system.task.parked``: a visit that kills its workers pauses its account."""
    told = happening.details
    if told["task"] != SYNC_TASK:
        return
    keys = told["arguments"]["connection_ids"]
    with tenancy.as_system("put syncs aside"):
        for row in ExchangeConnection.objects.filter(id__in=keys):
            connections.pause(user_id=row.user_id, connection_id=row.id, reason=PUT_ASIDE)
        ExchangeConnection.objects.filter(id__in=keys).update(claimed_by=None, lease_until=None)
        SyncRun.objects.filter(
            connection_id__in=keys, state__in=[SyncState.QUEUED, SyncState.RUNNING]
        ).update(state=SyncState.FAILED, error=PUT_ASIDE, finished_at=clock.now())
    # Paused, they are not dispatched; who resumes one wants it tried.
    parking.forgive(name=SYNC_TASK, arguments=told["arguments"])
