"""What an alert says when it comes true: one sentence, and the figure with its unit."""

from datetime import timedelta
from decimal import Decimal

from portfolios.alerting import conditions
from tracker import money

_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
_CENT, _TENTH = Decimal("0.01"), Decimal("0.1")
_SMALL_DIGITS = 6


def title(
    *, kind: str, code: str, threshold: Decimal, currency: str, window: timedelta | None,
    shown: Decimal,
) -> str:  # fmt: skip
    """A sentence such as “BTC is above 100,000 USD”; ``shown`` is the figure at which it came true.

    ``code`` is the asset's, empty for the portfolio.
    """
    level = f"{_exact(threshold)} {currency}"
    sentences = {
        conditions.PRICE_ABOVE: f"{code} is above {level}",
        conditions.PRICE_BELOW: f"{code} is below {level}",
        conditions.VALUE_ABOVE: f"Your portfolio is worth more than {level}",
        conditions.VALUE_BELOW: f"Your portfolio is worth less than {level}",
    }
    if kind in sentences:
        return sentences[kind]
    percent, span = _percent(abs(shown)), _span(window or timedelta())
    if kind == conditions.DRAWDOWN:
        return f"Your portfolio fell by {percent} below its highest of {span}"
    return f"{code} {'rose' if shown >= 0 else 'fell'} by {percent} within {span}"


def value(*, kind: str, currency: str, shown: Decimal) -> str:
    """The figure with its unit: “100,123.45 USD”, “-5.2 %”."""
    if kind in (conditions.PRICE_CHANGE, conditions.DRAWDOWN):
        return _percent(shown)
    return f"{_rounded(shown)} {currency}"


def unquoted(code: str) -> str:
    """What is said when an alert can never come true any more."""
    return f"{code} is quoted by no market any more"


def _exact(number: Decimal) -> str:
    whole, _, decimals = money.to_text(number).partition(".")
    return f"{int(whole):,}" + (f".{decimals}" if decimals else "")


def _rounded(number: Decimal) -> str:
    """To the cent, or to six digits where that says more."""
    quantum = _CENT
    if number and abs(number) < 1:
        quantum = Decimal(1).scaleb(number.adjusted() + 1 - _SMALL_DIGITS)
    text = _exact(abs(number).quantize(quantum))
    return f"-{text}" if number < 0 else text


def _percent(number: Decimal) -> str:
    quantum = _TENTH if abs(number) >= 1 else _CENT
    return f"{money.to_text(number.quantize(quantum))} %"


def _span(window: timedelta) -> str:
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if window >= unit and not window % unit:
            count = window // unit
            return f"{count} {name}" + ("" if count == 1 else "s")
    return f"{window // _MINUTE} minutes"
