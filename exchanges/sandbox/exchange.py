"""All houses of a sandbox: their markets and books, one set of limits and faults, one clock."""

import time
from collections import Counter
from dataclasses import dataclass, field

from exchanges.sandbox import (
    books,
    candles,
    config,
    houses,
    limits,
    market,
    prices,
    state,
    symbols,
    usage,
    violations,
)
from exchanges.sandbox.faults import switchboard
from exchanges.sandbox.history.story import Plan

_HOUR = 3_600_000


@dataclass(slots=True)
class Statistics:
    """What was asked, and what it weighed."""

    requests: Counter[str] = field(default_factory=Counter)
    weight: Counter[str] = field(default_factory=Counter)


class Exchange:
    """What every dialect speaks for.

    `world` and `books` are Binance's, which was here first; `houses` has the books of all.
    """

    def __init__(self, *, settings: config.Config, listed: list[symbols.Symbol], now: int) -> None:
        self.settings = settings
        self._state = state.opened(
            settings.state,
            identity=_identity(settings),
            anchor=now // _HOUR * _HOUR if settings.anchor is None else settings.anchor,
            moved=settings.anchor is not None,
        )
        recorded = _candles(settings, self._state.anchor)
        self.world = self._market(recorded, listed)
        self.books = self._books(houses.BINANCE, self.world)
        self.houses = {
            houses.BINANCE.name: self.books,
            houses.KRAKEN.name: self._books(
                houses.KRAKEN,
                self._market(recorded, symbols.kraken(), complete=False),
                elsewhere=self.books,
            ),
        }
        self.allowance = limits.Allowance(settings.weight_limit)
        self.limiter = limits.Limiter()
        self.usage = usage.Usage()
        self.switchboard = switchboard.Switchboard()
        self.violations = violations.Violations()
        self.statistics = Statistics()

    def _market(
        self,
        recorded: dict[str, list[prices.Candle]],
        listed: list[symbols.Symbol],
        *,
        complete: bool = True,
    ) -> market.Market:
        return market.Market(
            seed=self.settings.seed,
            anchor=self._state.anchor,
            listed=listed,
            complete=complete,
            candles=recorded,
        )

    def _books(
        self, house: houses.House, world: market.Market, elsewhere: books.Books | None = None
    ) -> books.Books:
        settings = self.settings
        return books.Books(
            world=world,
            remembered=self._state,
            plan=Plan(settings.assets, settings.trades, settings.days),
            size=settings.accounts,
            house=house,
            elsewhere=elsewhere,
        )

    @property
    def anchor(self) -> int:
        """The instant at which the drawn histories end."""
        return self.world.anchor


def _identity(settings: config.Config) -> dict[str, object]:
    return {
        "seed": settings.seed,
        "assets": settings.assets,
        "trades": settings.trades,
        "days": settings.days,
        "market_data": settings.market_data is not None,
        "exchange_info": settings.exchange_info is not None,
    }


def _candles(settings: config.Config, anchor: int) -> dict[str, list[prices.Candle]]:
    return candles.load(settings.market_data, anchor=anchor) if settings.market_data else {}


def now() -> int:
    """The machine's clock in milliseconds: read by the server only, and handed on."""
    return time.time_ns() // 1_000_000
