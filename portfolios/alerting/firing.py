"""An alert is told, or armed again: once, however many see it at the same moment.

What decides is one conditional UPDATE of the alert's own row, in the transaction that also writes
the firing and the notification. It takes a figure that is newer than the one it was last judged by,
so a price that arrives late, or comes from the record after the stream was ahead, changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from accounts import notifications
from accounts.notifications import Event
from portfolios.alerting import wording
from portfolios.models import AlertFiring
from tracker import ids, tenancy


class Judgement(NamedTuple):
    """What a figure means for an alert: it came true (``told``), or may be told again.

    ``threshold`` is the one it was judged by, ``shown`` the figure in the alert's unit.
    """

    alert_id: UUID
    user_id: UUID
    threshold: Decimal
    told: bool
    shown: Decimal
    as_of: datetime


_STANDS = """
    alerts.id = %(alert_id)s AND alerts.user_id = %(user_id)s
    AND alerts.state = 'active' AND alerts.threshold = %(threshold)s
    AND alerts.judged_at < %(as_of)s
"""
_TELL = f"""
UPDATE price_alerts AS alerts SET
    armed = false, state = CASE WHEN alerts.repeats THEN alerts.state ELSE 'triggered' END,
    told_count = alerts.told_count + 1, told_at = %(now)s, judged_at = %(as_of)s,
    updated_at = %(now)s
FROM users
WHERE {_STANDS} AND alerts.armed AND users.id = alerts.user_id AND users.is_active
RETURNING alerts.kind, alerts.currency, alerts.threshold, alerts."window", alerts.note,
          coalesce((SELECT code FROM assets WHERE assets.id = alerts.asset_id), '')
"""  # noqa: S608  (all parts are ours)
_ARM = f"""
UPDATE price_alerts AS alerts SET armed = true, judged_at = %(as_of)s, updated_at = %(now)s
WHERE {_STANDS} AND NOT alerts.armed
"""  # noqa: S608


def settle(judgement: Judgement, *, now: datetime) -> bool:
    """Tell the person, or arm the alert again; False where somebody did, or it is so no longer.

    Safe to repeat. ``now`` is when it is told, ``as_of`` when it came true.
    """
    with tenancy.as_user(judgement.user_id):
        if not judgement.told:
            with connection.cursor() as cursor:
                cursor.execute(_ARM, judgement._asdict() | {"now": now})
                return cursor.rowcount > 0
        return _tell(judgement, now)


def _tell(judgement: Judgement, now: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_TELL, judgement._asdict() | {"now": now})
        row = cursor.fetchone()
    if row is None:
        return False
    firing = AlertFiring.objects.create(
        id=ids.new_id(), user_id=judgement.user_id, alert_id=judgement.alert_id,
        at=judgement.as_of, value=judgement.shown, created_at=now,
    )  # fmt: skip
    _notify(judgement, firing.id, row, now)
    return True


def _notify(judgement: Judgement, firing_id: UUID, row: Sequence[Any], now: datetime) -> None:
    kind, currency, threshold, window, note, code = row
    shown = judgement.shown
    notifications.notify(
        user_id=judgement.user_id, event=Event.PRICE_ALERT,
        dedupe=f"{judgement.alert_id}:{firing_id}", now=now, alert_id=judgement.alert_id,
        title=wording.title(
            kind=kind, code=code, threshold=threshold, currency=currency, window=window,
            shown=shown,
        ),
        value=wording.value(kind=kind, currency=currency, shown=shown), code=code, note=note,
    )  # fmt: skip
