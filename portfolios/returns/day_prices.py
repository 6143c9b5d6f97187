"""The prices that daily valuations ask for."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

CARRIED_DAYS = 7  # so old a close stands in for a later day's


class Close(NamedTuple):
    """What one unit cost at a day's end. ``carried``: the close is an earlier day's."""

    price: Decimal
    carried: bool = False
    is_manual: bool = False


class Prices(Protocol):
    """What the valuation asks for prices, in the base currency."""

    def close(self, asset: UUID, day: date) -> Close | None:
        """The price at the end of a UTC day, at most seven days old."""

    def at(self, asset: UUID, instant: datetime) -> Decimal | None:
        """The price at an instant."""

    def is_of_the_hour(self, asset: UUID, instant: datetime) -> bool:
        """Whether ``at`` is of that very hour, and no close of a day stands in for it."""

    def dollars(self, day: date) -> Decimal | None:
        """US dollars for one unit of the base currency, or None when that is no money."""
