"""The catalogue of exchanges: refreshed from ccxt at release, read from its table ever after."""

from datetime import datetime
from typing import Any

from exchanges import gateway
from exchanges.models import Exchange
from exchanges.reports import FeedDescription


def refresh(*, now: datetime) -> int:
    """Bring the table up to what the installed ccxt offers; returns how many are available.

    Exchanges that ccxt no longer has stay, marked unavailable: connections may refer to them.
    """
    offered = gateway.describe_exchanges()
    Exchange.objects.bulk_create(
        [
            Exchange(
                id=item.id, name=item.name, required_fields=list(item.required_fields),
                supports=list(item.supports), website=item.website,
                feeds=[_feed(feed) for feed in item.feeds], ccxt_version=item.ccxt_version,
                is_available=True, updated_at=now,
            )
            for item in offered
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[
            "name", "required_fields", "supports", "feeds", "website", "ccxt_version",
            "is_available", "updated_at",
        ],
    )  # fmt: skip
    Exchange.objects.exclude(id__in=[item.id for item in offered]).update(is_available=False)
    return len(offered)


def _feed(feed: FeedDescription) -> dict[str, Any]:
    return {
        "name": feed.name, "launched": feed.launched.isoformat(),
        "horizon_days": feed.horizon.days if feed.horizon else None,
    }  # fmt: skip
