"""Reads that views start from."""

from uuid import UUID

from django.db.models import Case, F, QuerySet, When

from exchanges import allotment
from exchanges.models import ExchangeConnection


def connections_of(user_id: UUID) -> QuerySet[ExchangeConnection]:
    """One user's connections in the order they chose, else that in which they were made.

    Each with ``unreachable_since``, and with its ``place`` among those that a plan counts.
    """
    circuit = "exchange__circuit"
    since = Case(When(**{f"{circuit}__openings__gt": 0}, then=F(f"{circuit}__failing_since")))
    return (
        ExchangeConnection.objects.filter(user_id=user_id)
        .select_related("exchange")
        .annotate(unreachable_since=since, place=allotment.place())
        .order_by("position", "created_at", "id")
    )
