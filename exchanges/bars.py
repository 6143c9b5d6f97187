"""What an asset cost in US dollars while an interval lasted, and crossing one market's candle
through what its other side cost: pure, no Django.

Open and close are quotes of one instant at both markets, so their product is a price. The
instants of a high and a low are not known, and the product of two highs may never have been
asked. So a crossed high is the highest price that was *certainly* reached: when the one market
stood at its high, the other stood no lower than its low, and the other way round. The true high
may lie above it, never below. Lows go the same way. Against the dollar itself, or a coin that
counts as one, all four are what the market told.
"""

from dataclasses import dataclass
from decimal import Decimal

from exchanges.reports import Candle
from tracker.money import UNIT_DECIMALS, UNIT_DIGITS, UNIT_QUANTUM, fits_units

_TOO_LARGE = Decimal(10) ** (UNIT_DIGITS - UNIT_DECIMALS)


@dataclass(frozen=True, slots=True)
class Bar:
    """US dollars for one unit; ``source`` names the exchange and the markets crossed.

    ``volume`` is in units of the asset; None where the market tells it in units of its other
    side only, or not at all.
    """

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    source: str


def flat(usd: Decimal, source: str) -> Bar:
    """One price for the whole interval."""
    return Bar(usd, usd, usd, usd, None, source)


def crossed(candle: Candle, bridge: Bar, *, inverse: bool, source: str) -> Bar | None:
    """A market's candle in dollars, by what its other side cost meanwhile.

    ``inverse`` markets quote the bridge in units of the asset. None where the candle lacks a
    price, or where a price is too small or too large to keep.
    """
    if candle.open is None or candle.high is None or candle.low is None:
        return None
    told = (candle.open, candle.high, candle.low, candle.close)
    high, low = max(told), min(told)  # some exchanges round these past open and close
    if inverse:
        ends = bridge.open / candle.open, bridge.close / candle.close
        reached = bridge.low / low, bridge.high / high
    else:
        ends = bridge.open * candle.open, bridge.close * candle.close
        reached = bridge.low * high, bridge.high * low
    prices = [kept for usd in (*ends, *reached) if (kept := _kept(usd)) is not None]
    if len(prices) < 4:
        return None
    volume = None if inverse else _volume(candle.volume)
    return Bar(prices[0], max(prices), min(prices), prices[1], volume, source)


def of_close(candle: Candle) -> Candle:
    """A candle that stands still at its close, for who wants nothing else."""
    close = candle.close
    return Candle(candle.start, close, close, close, close)


def _kept(usd: Decimal) -> Decimal | None:
    if usd >= _TOO_LARGE or (usd := usd.quantize(UNIT_QUANTUM)) <= 0:
        return None
    return usd


def _volume(told: Decimal | None) -> Decimal | None:
    return told if told is not None and fits_units(told) else None
