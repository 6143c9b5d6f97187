"""What can be traded: pairs of assets with their price ticks and lot steps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from exchanges.sandbox import assets

_LEAST_TICK, _GREATEST_TICK = Decimal("0.00000001"), Decimal("0.01")
_LEAST_STEP, _GREATEST_STEP = Decimal("0.00001"), Decimal(1)
_MAJORS = 18
# A price must be worth a thousand ticks, or a tick would move it by more than the market does.
_TICKS_NEEDED = 1000


@dataclass(frozen=True, slots=True)
class Symbol:
    """A spot pair; prices are multiples of `tick`, quantities of `step`."""

    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_notional: Decimal
    trading: bool = True

    @property
    def name(self) -> str:
        """Base and quote in one word, as in BTCUSDT."""
        return self.base + self.quote


def seeded() -> list[Symbol]:
    """The pairs of the sandbox without files: coins against USDT, BTC, ETH, BNB, EUR, USDC."""
    return [make(base, quote) for base, quote in dict.fromkeys(_seeded_pairs())]


def kraken() -> list[Symbol]:
    """The pairs of the sandbox's Kraken: coins and stablecoins for dollars, euros and coins."""
    return [make(base, quote) for base, quote in dict.fromkeys(_kraken_pairs())]


def completed(listed: Iterable[Symbol]) -> list[Symbol]:
    """The listed pairs, and those that every sandbox needs and the list lacks.

    With them each coin's price in USD crosses to EUR, GBP, JPY, CHF, AUD and CAD, fees can be
    paid in BNB, and LDO exists beside the LD… codes of earn positions.
    """
    result = {symbol.name: symbol for symbol in listed}
    for base, quote in _essential_pairs():
        result.setdefault(base + quote, make(base, quote))
    return list(result.values())


def make(base: str, quote: str) -> Symbol:
    """A pair whose tick, step and least order follow from what its assets cost."""
    base_usd, quote_usd = _usd(base), _usd(quote)
    tick = _power_of_ten((base_usd / quote_usd).adjusted() - 4)
    step = _power_of_ten((Decimal("0.5") / base_usd).adjusted())
    return Symbol(
        base=base,
        quote=quote,
        tick=min(max(tick, _LEAST_TICK), _GREATEST_TICK),
        step=min(max(step, _LEAST_STEP), _GREATEST_STEP),
        min_notional=_power_of_ten((Decimal(10) / quote_usd).adjusted()),
    )


def _usd(code: str) -> Decimal:
    return assets.KNOWN[code].usd


def _power_of_ten(exponent: int) -> Decimal:
    return Decimal(1).scaleb(exponent)


def _seeded_pairs() -> Iterator[tuple[str, str]]:
    codes = [coin.code for coin in assets.COINS]
    yield from _essential_pairs()
    yield from _pairs(codes, "USDT")
    yield from _pairs(codes, "BTC")
    for quote in ("ETH", "BNB", "EUR", "USDC"):
        yield from _pairs(codes[:_MAJORS], quote)


def _pairs(codes: Iterable[str], quote: str) -> Iterator[tuple[str, str]]:
    for code in codes:
        if code != quote and _priced_finely(code, quote) and not _reversed(code, quote):
            yield code, quote


def _priced_finely(base: str, quote: str) -> bool:
    return _usd(base) / _usd(quote) >= _TICKS_NEEDED * _LEAST_TICK


def _reversed(base: str, quote: str) -> bool:
    # BTC is never bought with ETH: only ETHBTC is listed, not BTCETH.
    order = ("USDT", "USDC", "EUR", "BTC", "ETH", "BNB")
    return base in order and order.index(base) < order.index(quote)


def _essential_pairs() -> Iterator[tuple[str, str]]:
    for base in ("BTC", "ETH", "BNB", "LTC", "LDO", "EUR", "GBP", "AUD", "USDC"):
        yield base, "USDT"
    for quote in ("EUR", "GBP", "AUD", "JPY", "CHF", "CAD", "USDC"):
        yield "BTC", quote
    for base, quotes in _ESSENTIAL_CROSSES.items():
        for quote in quotes:
            yield base, quote


def _kraken_pairs() -> Iterator[tuple[str, str]]:
    codes = [coin.code for coin in assets.COINS if coin.code not in _NOT_AT_KRAKEN]
    for quote in ("USD", "EUR"):
        yield from ((code, quote) for code in (*codes, "USDT", "USDC"))
    for base, quote in (("EUR", "USD"), ("GBP", "USD"), ("BTC", "GBP"), ("ETH", "GBP")):
        yield base, quote
    for quote in ("BTC", "ETH", "USDT"):
        yield from _pairs(codes[:_MAJORS], quote)


_NOT_AT_KRAKEN = ("BNB", "VET", "EGLD", "LDO")
_ESSENTIAL_CROSSES = {
    "ETH": ("BTC", "EUR"),
    "BNB": ("BTC", "ETH", "EUR", "USDC"),
    "LDO": ("BTC",),
    "LTC": ("BTC",),
}
