"""Reads that views start from."""

from uuid import UUID

from django.db.models import QuerySet

from exchanges.models import ExchangeConnection


def connections_of(user_id: UUID) -> QuerySet[ExchangeConnection]:
    """One user's connections in the order they were made."""
    return (
        ExchangeConnection.objects.filter(user_id=user_id)
        .select_related("exchange")
        .order_by("created_at", "id")
    )
