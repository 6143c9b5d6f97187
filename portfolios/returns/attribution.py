"""Why a value changed: parts that add up to the change exactly. Pure, no Django.

Transaction-based attribution (Spaulding, *Investment Performance Attribution*, 2003) of the daily
parts that ``daily`` computes: holdings earn the price change, transactions earn from their own
price to the day's end, and what came from outside or went there is no earning.
"""

from dataclasses import dataclass
from decimal import Decimal

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of a range's days, as daily valuations hold them."""

    deposits: Decimal = _ZERO
    withdrawals: Decimal = _ZERO
    income: Decimal = _ZERO
    fees: Decimal = _ZERO
    realized: Decimal = _ZERO
    price_effect: Decimal = _ZERO
    currency_effect: Decimal = _ZERO
    traded: Decimal = _ZERO
    trade_effect: Decimal = _ZERO
    corrections: Decimal = _ZERO

    @property
    def net_flows(self) -> Decimal:
        """What came from outside less what went there; nobody earned it."""
        return self.deposits - self.withdrawals + self.traded + self.corrections

    @property
    def profit(self) -> Decimal:
        """What was earned or lost: price and currency, trading, income less fees."""
        return (
            self.price_effect + self.currency_effect + self.trade_effect + self.income - self.fees
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """Signed parts of a change; their sum is the change."""

    price: Decimal
    deposits: Decimal
    withdrawals: Decimal
    trades: Decimal
    fees: Decimal
    income: Decimal
    currency: Decimal
    corrections: Decimal
    late_data: Decimal

    @property
    def total(self) -> Decimal:
        return sum((getattr(self, name) for name in self.__dataclass_fields__), _ZERO)


def unexplained(*, opening: Decimal, closing: Decimal, sums: Sums) -> Decimal:
    """What of ``closing`` − ``opening`` the days do not explain; nothing, as days add up."""
    return closing - opening - sums.profit - sums.net_flows


def explain(
    *, opening: Decimal, closing: Decimal, sums: Sums, shown: Decimal | None = None
) -> Parts:
    """The parts of ``closing`` − what was shown at the beginning.

    ``shown`` is what a snapshot said then, where late data has changed that day since: the
    difference to ``opening``, which is what is known of it today, is ``late_data``. What the days
    themselves do not explain is a correction.
    """
    gap = unexplained(opening=opening, closing=closing, sums=sums)
    return Parts(
        price=sums.price_effect,
        deposits=sums.deposits,
        withdrawals=-sums.withdrawals,
        trades=sums.traded + sums.trade_effect,
        fees=-sums.fees,
        income=sums.income,
        currency=sums.currency_effect,
        corrections=sums.corrections + gap,
        late_data=_ZERO if shown is None else opening - shown,
    )
