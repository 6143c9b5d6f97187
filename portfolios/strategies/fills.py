"""What was bought and sold, as arrays."""

from dataclasses import dataclass
from typing import NamedTuple

from portfolios.strategies.market import Floats, Integers

BUY, SELL = 1, -1


class Fill(NamedTuple):
    """Units bought or sold at the open of a bar. ``price`` has the slippage, ``fee`` is cash."""

    bar: int
    asset: str
    side: str
    units: float
    price: float
    fee: float


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """All fills in the order in which they happened, each array of shape (fills,).

    ``asset`` is the asset's place in the market, ``side`` 1 for bought and −1 for sold, ``left``
    the units held afterwards.
    """

    bar: Integers
    asset: Integers
    side: Integers
    units: Floats
    price: Floats
    fee: Floats
    left: Floats

    def __len__(self) -> int:
        return int(self.bar.size)

    @property
    def value(self) -> Floats:
        """Cash that each moved, before its fee."""
        return self.units * self.price
