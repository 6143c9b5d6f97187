"""The market: symbols, and what they cost at any instant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from exchanges.sandbox import assets, prices, symbols

_DAY = 86_400_000
_HALTED_FOR = 400 * _DAY
_SAMPLES = 8
_EIGHT_PLACES = Decimal("0.00000001")
_REMEMBERED_PRICES = 16_384


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low, close and volumes of one symbol over [start, end)."""

    start: int
    end: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int


class Market:
    """Symbols with prices from recorded candles where there are any, else from the seed.

    `complete` adds the pairs that Binance's histories need to those listed.
    """

    def __init__(
        self,
        *,
        seed: int,
        anchor: int,
        listed: Iterable[symbols.Symbol] = (),
        complete: bool = True,
        candles: Mapping[str, Sequence[prices.Candle]] | None = None,
    ) -> None:
        self.seed = seed
        self.anchor = anchor
        listed = listed or symbols.seeded()
        chosen = symbols.completed(listed) if complete else list(listed)
        self.symbols = {symbol.name: symbol for symbol in chosen}
        self.codes = _codes(chosen)
        self._candles = candles or {}
        self._paths: dict[str, prices.Path] = {}
        # Tickers of all symbols, and fills of one order, ask for the same instants again.
        self._usd = lru_cache(maxsize=_REMEMBERED_PRICES)(self._usd_now)

    def asset(self, code: str) -> assets.Asset:
        """The asset of a code; one the sandbox does not know gets a price from its letters."""
        return assets.KNOWN.get(code) or _unknown(code)

    def usd(self, code: str, instant: int) -> int:
        """USD price of an asset in units of 10^-12."""
        return self._usd(code, instant)

    def price(self, symbol: symbols.Symbol, instant: int) -> Decimal:
        """What one base unit costs in quote units, to the symbol's tick."""
        return self._remembered(symbol, self.traded_until(symbol, instant))

    def rate(self, base: str, quote: str, instant: int) -> Decimal:
        """What one unit of an asset is worth in another, to 8 decimals, listed or not."""
        value = self._usd(base, instant) * prices.ONE_USD // self._usd(quote, instant)
        return Decimal(value).scaleb(-prices.SCALE_DIGITS).quantize(_EIGHT_PLACES)

    def bar(self, symbol: symbols.Symbol, start: int, end: int) -> Bar:
        """The candle of a symbol over [start, end)."""
        start_live, end_live = (
            self.traded_until(symbol, start),
            self.traded_until(symbol, end - 1) + 1,
        )
        low, high = self._extremes(symbol, start_live, end_live)
        volume = self._volume(symbol, start, end)
        return Bar(
            start=start,
            end=end,
            open=self._remembered(symbol, start_live),
            high=high,
            low=low,
            close=self._remembered(symbol, end_live - 1),
            volume=volume,
            quote_volume=(volume * (high + low) / 2).quantize(_EIGHT_PLACES),
            trades=int(volume * 7 / symbol.step) % 90_000,
        )

    def _path(self, code: str) -> prices.Path:
        if code not in self._paths:
            self._paths[code] = self._new_path(code)
        return self._paths[code]

    def _new_path(self, code: str) -> prices.Path:
        asset = self.asset(code)
        seeded = prices.SeededPath(seed=self.seed, asset=asset)
        if candles := self._candles.get(code):
            return prices.CandlePath(candles=candles, beyond=seeded)
        return seeded if asset.swing else prices.ConstantPath(prices.scaled(asset.usd))

    def _usd_now(self, code: str, instant: int) -> int:
        return self._path(code).at(instant)

    def traded_until(self, symbol: symbols.Symbol, instant: int) -> int:
        """The instant, or when trading ended if that was before it; a halted price stays."""
        return instant if symbol.trading else min(instant, self.anchor - _HALTED_FOR)

    def _remembered(self, symbol: symbols.Symbol, instant: int) -> Decimal:
        return _quoted(symbol, self._usd(symbol.base, instant), self._usd(symbol.quote, instant))

    def _extremes(self, symbol: symbols.Symbol, start: int, end: int) -> tuple[Decimal, Decimal]:
        recording, quote = self._recording(symbol.base, start, end), self._path(symbol.quote)
        if recording and isinstance(quote, prices.ConstantPath):
            low, high = recording.extremes(start, end)
            peg = quote.at(start)
            return _quoted(symbol, low, peg), _quoted(symbol, high, peg)
        sampled = [self._remembered(symbol, instant) for instant in _samples(start, end)]
        return min(sampled), max(sampled)

    def _volume(self, symbol: symbols.Symbol, start: int, end: int) -> Decimal:
        recording = self._recording(symbol.base, start, end)
        if recording and symbol.quote == "USDT":
            return recording.volume(start, end).quantize(_EIGHT_PLACES)
        if not symbol.trading:
            return Decimal(0)
        percent = 50 + prices.mix(start ^ prices.code_number(symbol.name)) % 100
        turnover = _daily_turnover(symbol.name) * (end - start) * percent // (100 * _DAY)
        quantity = prices.scaled(Decimal(turnover)) / Decimal(self._usd(symbol.base, start))
        return max(quantity // symbol.step, Decimal(1)) * symbol.step

    def _recording(self, code: str, start: int, end: int) -> prices.CandlePath | None:
        path = self._path(code)
        return path if isinstance(path, prices.CandlePath) and path.covers(start, end) else None


def _quoted(symbol: symbols.Symbol, base: int, quote: int) -> Decimal:
    ticks = base * prices.ONE_USD // quote // prices.scaled(symbol.tick)
    return symbol.tick * max(ticks, 1)


def _samples(start: int, end: int) -> list[int]:
    step = max((end - start) // _SAMPLES, 1)
    return [*range(start, end, step), end - 1]


def _daily_turnover(name: str) -> int:
    """Between 50,000 and 50 million USD."""
    number = prices.code_number(name)
    return (50_000 + number % 450_000) * (1, 10, 100)[number % 3]


def _codes(chosen: Iterable[symbols.Symbol]) -> list[str]:
    codes = dict.fromkeys(code for symbol in chosen for code in (symbol.base, symbol.quote))
    return sorted(codes)


def _unknown(code: str) -> assets.Asset:
    cents = 5 + prices.code_number(code) % 995
    return assets.Asset(code=code, name=code, usd=Decimal(cents).scaleb(-2))
