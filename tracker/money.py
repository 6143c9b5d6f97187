"""Exact numbers: the decimal context, the columns that hold money, and how it is written.

A product of a 20-digit quantity and an 18-digit price needs more than Python's default of 28
digits, so the context holds 60. Columns for units and prices keep 30 decimals: exchanges report
fees of 21 decimals, and PostgreSQL would round what does not fit without a word. Rounding
happens only at presentation.
"""

import decimal
from decimal import Decimal
from typing import Any

from django.db import models

DIGITS = 60
UNIT_DIGITS, UNIT_DECIMALS = 60, 30
UNIT_QUANTUM = Decimal(1).scaleb(-UNIT_DECIMALS)
VALUE_DIGITS, VALUE_DECIMALS = 28, 8
# More than anybody has, or pays for one unit. Their product is still stored as units are.
MOST_UNITS, MOST_PRICE = Decimal(10) ** 18, Decimal(10) ** 12
# Of one asset, in any currency: more than all there is. An amount of that size is taken for a
# mistake of who reported it, so it counts as unpriced; sums of smaller ones can be stored.
MOST_VALUE = Decimal(10) ** 15


def set_precision() -> None:
    """Make 60 digits the default of this thread and of every thread started later."""
    decimal.DefaultContext.prec = DIGITS
    decimal.setcontext(decimal.Context(prec=DIGITS))


class UnitsField(models.DecimalField):
    """Units of an asset, or a price per unit: ``numeric(60, 30)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = UNIT_DIGITS, UNIT_DECIMALS
        super().__init__(*args, **kwargs)


class ValueField(models.DecimalField):
    """An amount of money in some currency: ``numeric(28, 8)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = VALUE_DIGITS, VALUE_DECIMALS
        super().__init__(*args, **kwargs)


def fits_units(number: Decimal) -> bool:
    """Whether a number can be stored as units without losing a digit."""
    if not number.is_finite():
        return False
    if not number:
        return True
    _, digits, exponent = number.normalize().as_tuple()
    decimals = -int(exponent)
    return decimals <= UNIT_DECIMALS and len(digits) - decimals <= UNIT_DIGITS - UNIT_DECIMALS


def to_text(number: Decimal) -> str:
    """Plain notation without exponent or trailing zeros: ``1.5``, ``0.00000001``, ``0``."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"
