"""Adding gains and income up, and saying what each sum does not know. Pure, no Django.

A *piece* is a part of one lot given up. Its gain is proceeds less cost, and only pieces of which
both are known are added up, so that in every total ``gain`` = ``proceeds`` − ``cost``. What is
left out is counted beside it: pieces of unknown basis with what they brought in, pieces without a
price, withdrawals that nobody has explained. A total that leaves something out is *partial*.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

ZERO = Decimal(0)
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(slots=True)
class Tally:
    """Sums in the base currency, and how many pieces they leave out and why."""

    pieces: int = 0
    proceeds: Decimal = ZERO
    cost: Decimal = ZERO
    gain: Decimal = ZERO
    income: Decimal = ZERO
    unknown_basis: int = 0
    unknown_basis_proceeds: Decimal = ZERO
    unpriced: int = 0
    unpriced_income: int = 0
    unexplained_withdrawals: int = 0
    without_gain: int = 0
    without_gain_cost: Decimal = ZERO

    def add(self, other: "Tally") -> None:
        for column in _COLUMNS:
            setattr(self, column, getattr(self, column) + getattr(other, column))

    @property
    def depends_on(self) -> list[str]:
        """What is unknown and would change these sums, by name; empty when nothing is."""
        return [name for name in _UNKNOWNS if getattr(self, name)]

    @property
    def status(self) -> str:
        return "partial" if self.depends_on else "complete"

    def told(self) -> dict[str, Any]:
        """As the API tells it."""
        sums = {column: getattr(self, column) for column in _COLUMNS}
        return {**sums, "status": self.status, "depends_on": self.depends_on}


_COLUMNS = tuple(column.name for column in fields(Tally))
_UNKNOWNS = ("unknown_basis", "unpriced", "unpriced_income", "unexplained_withdrawals")


@dataclass(frozen=True, slots=True)
class Group:
    """One year, asset, term and kind; income has a kind of its own and no term."""

    year: int
    asset_id: UUID
    term: str | None
    kind: str
    tally: Tally = field(default_factory=Tally)


def total(groups: Iterable[Group]) -> Tally:
    """The sum of everything."""
    return rolled_up(groups, lambda group: None).get(None, Tally())


def rolled_up(groups: Iterable[Group], key: Callable[[Group], _Key]) -> dict[_Key, Tally]:
    """The sum of each part, by what ``key`` says of a group, in the order they were met."""
    sums: dict[_Key, Tally] = {}
    for group in groups:
        sums.setdefault(key(group), Tally()).add(group.tally)
    return sums
