"""What an alert may be: kinds with their thresholds, windows and hysteresis."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from portfolios.alerting import conditions, extremes, ranges
from tracker import money
from tracker.api import InvalidInput

_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SHORTEST_WINDOW = timedelta(minutes=5)
LONGEST_FALL = timedelta(days=365)
LEAST_PERCENT, MOST_PERCENT, MOST_FALL = Decimal("0.1"), Decimal(10_000), Decimal(100)
LEAST_HYSTERESIS, MOST_HYSTERESIS = Decimal("0.1"), Decimal(50)
# Percent of the threshold, where a person says nothing: of prices and worth, and of percentages.
_USUAL_HYSTERESIS, _USUAL_OF_PERCENT = Decimal(1), Decimal(10)
_IN_PERCENT = frozenset({conditions.PRICE_CHANGE, conditions.DRAWDOWN})


@dataclass(frozen=True, slots=True)
class Wish:
    """An alert as a person asks for it."""

    kind: str
    threshold: Decimal
    currency: str
    asset_id: UUID | None = None
    direction: str = ""
    window: timedelta | None = None
    repeats: bool = False
    hysteresis: Decimal = Decimal(0)  # nought is what nobody said
    note: str = ""


def checked(wish: Wish) -> Wish:
    """The wish with everything that goes without saying. Raises InvalidInput."""
    _check_asset(wish)
    _check_window(wish)
    direction = _direction(wish)
    _check_threshold(wish, direction)
    return replace(wish, direction=direction, hysteresis=_hysteresis(wish))


def _check_asset(wish: Wish) -> None:
    of_price = wish.kind in conditions.OF_PRICES
    if of_price and wish.asset_id is None:
        raise InvalidInput.of("asset", "Say of which asset.", code="required")
    if not of_price and wish.asset_id is not None:
        raise InvalidInput.of("asset", "An alert on the whole portfolio has no asset.")


def _check_window(wish: Wish) -> None:
    if wish.kind not in _IN_PERCENT:
        if wish.window is not None:
            raise InvalidInput.of("window_seconds", "Only changes and drawdowns have a window.")
        return
    if wish.window is None:
        raise InvalidInput.of("window_seconds", "Say within which time.", code="required")
    if wish.kind == conditions.DRAWDOWN:
        if not _DAY <= wish.window <= LONGEST_FALL or wish.window % _DAY:
            raise InvalidInput.of("window_seconds", "Use whole days, from 1 to 365.")
        return
    unit = _MINUTE if wish.window <= extremes.LONGEST_BY_MINUTES else _HOUR
    if not SHORTEST_WINDOW <= wish.window <= ranges.LONGEST_WINDOW or wish.window % unit:
        text = "Use whole minutes from 5 minutes on, or whole hours from a day to 30 days."
        raise InvalidInput.of("window_seconds", text)


def _direction(wish: Wish) -> str:
    if wish.kind == conditions.PRICE_CHANGE:
        return wish.direction or conditions.EITHER
    if wish.direction:
        raise InvalidInput.of("direction", "Only changes have a direction.")
    return ""


def _check_threshold(wish: Wish, direction: str) -> None:
    if wish.threshold <= 0 or not money.fits_units(wish.threshold):
        raise InvalidInput.of("threshold", "Use a number above zero, with at most 30 decimals.")
    if wish.kind in _IN_PERCENT:
        falls = wish.kind == conditions.DRAWDOWN or direction == conditions.DOWN
        most = MOST_FALL if falls else MOST_PERCENT
        if not LEAST_PERCENT <= wish.threshold <= most:
            raise InvalidInput.of("threshold", f"Use 0.1 to {most:,} percent.")
        return
    of_price = wish.kind in conditions.OF_PRICES
    if wish.threshold >= (money.MOST_PRICE if of_price else money.MOST_VALUE):
        raise InvalidInput.of("threshold", "This is more than anything costs.", code="too_large")


def _hysteresis(wish: Wish) -> Decimal:
    """Of what is told once there is none."""
    if not wish.repeats:
        return Decimal(0)
    if not wish.hysteresis:
        return _USUAL_OF_PERCENT if wish.kind in _IN_PERCENT else _USUAL_HYSTERESIS
    if not LEAST_HYSTERESIS <= wish.hysteresis <= MOST_HYSTERESIS:
        raise InvalidInput.of("hysteresis", "Use 0.1 to 50 percent of the threshold.")
    return wish.hysteresis
