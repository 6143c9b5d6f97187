"""What a live connection needs from PostgreSQL, read in threads: no ORM on the event loop."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, close_old_connections

from exchanges import prices
from exchanges.models import Asset
from exchanges.prices import Quote

P = ParamSpec("P")
T = TypeVar("T")
UNAVAILABLE = (OperationalError, InterfaceError)


async def in_thread(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that uses the database, in a thread of the loop's executor."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, partial(_run, read, *args, **kwargs))


def _run(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()  # PostgreSQL may have been restarted since this thread's last read
    try:
        return read(*args, **kwargs)
    finally:
        close_old_connections()


def codes(asset_ids: Collection[UUID]) -> dict[UUID, str]:
    """The codes of those assets that exist."""
    return dict(Asset.objects.filter(id__in=asset_ids).values_list("id", "code"))


def base_of(currency: str) -> UUID | None:
    """The asset that a currency is."""
    return Asset.objects.filter(slug=currency.lower()).values_list("id", flat=True).first()


def recorded(asset_ids: Collection[UUID]) -> list[Quote]:
    """The prices that PostgreSQL has of some assets."""
    return prices.latest(list(asset_ids))
