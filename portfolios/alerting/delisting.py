"""Assets that no market of ours quotes any more: their alerts cannot come true, and say so.

A market that is delisted tells no price any more, so the latest one grows old, while others stay
young. Where nothing is young it is we who are cut off, and nothing is said of any asset.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from accounts import notifications
from accounts.notifications import Event
from exchanges.models import Price
from portfolios.alerting import wording
from portfolios.models import AlertState, PriceAlert
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
UNQUOTED_AFTER = timedelta(days=3)
AT_MOST = 5_000


def sweep(*, now: datetime) -> int:
    """Set aside alerts on what is quoted no more, take up those on what is again.

    Returns how many were set aside. Each person is told once each time it happens. Idempotent.
    """
    with tenancy.as_system("alerts on delisted assets"), connection.cursor() as cursor:
        parameters = {
            "now": now, "fresh_since": now - settings.PRICE_STALE_AFTER,
            "quoted_since": now - UNQUOTED_AFTER,
        }  # fmt: skip
        cursor.execute(_AGAIN, parameters)
        cursor.execute(_GONE, parameters)
        gone = cursor.fetchall()
    return sum(_safely_set_aside(*row, now=now) for row in gone)


def _safely_set_aside(alert_id: UUID, *told: Any, now: datetime) -> bool:
    """One that cannot be set aside must not hold up the others."""
    try:
        return _set_aside(alert_id, *told, now=now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # whatever it is, such as of who is being erased just now
        log.error("alerts.not_set_aside", alert=str(alert_id), error=type(error).__name__)
        return False


def is_quoted(asset_id: UUID, *, now: datetime) -> bool:
    """Whether some market of ours told a price within the last days."""
    return Price.objects.filter(asset_id=asset_id, as_of__gte=now - UNQUOTED_AFTER).exists()


_AGAIN = """
UPDATE price_alerts AS alerts SET state = 'active', judged_at = %(now)s, updated_at = %(now)s
FROM prices
WHERE alerts.state = 'impossible' AND prices.asset_id = alerts.asset_id
  AND prices.as_of >= %(fresh_since)s
"""
_GONE = f"""
SELECT alerts.id, alerts.user_id, assets.code, prices.as_of
FROM price_alerts AS alerts
JOIN users ON users.id = alerts.user_id AND users.is_active
JOIN assets ON assets.id = alerts.asset_id
LEFT JOIN prices ON prices.asset_id = alerts.asset_id
WHERE alerts.state = 'active' AND (prices.as_of >= %(quoted_since)s) IS NOT TRUE
  AND EXISTS (SELECT FROM prices AS others WHERE others.as_of >= %(fresh_since)s)
LIMIT {AT_MOST}
"""  # noqa: S608  (all parts are ours)


def _set_aside(
    alert_id: UUID, user_id: UUID, code: str, quoted_at: datetime | None, *, now: datetime
) -> bool:
    with tenancy.as_user(user_id):
        rows: Any = PriceAlert.objects.filter(user_id=user_id, id=alert_id, state=AlertState.ACTIVE)
        if not rows.update(state=AlertState.IMPOSSIBLE, updated_at=now):
            return False
        note = rows.model.objects.values_list("note", flat=True).get(id=alert_id)
        notifications.notify(
            user_id=user_id, event=Event.PRICE_ALERT, now=now,
            dedupe=f"{alert_id}:unquoted:{quoted_at}", alert_id=alert_id,
            title=wording.unquoted(code), value="", code=code, note=note,
        )  # fmt: skip
    return True
