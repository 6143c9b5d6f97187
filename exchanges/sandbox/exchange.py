"""One exchange: its market, its books, its limits and faults, and its clock."""

import time
from collections import Counter
from dataclasses import dataclass, field

from exchanges.sandbox import (
    books,
    candles,
    config,
    faults,
    limits,
    market,
    prices,
    state,
    symbols,
    violations,
)
from exchanges.sandbox.history.story import Plan

_HOUR = 3_600_000


@dataclass(slots=True)
class Statistics:
    """What was asked, and what it weighed."""

    requests: Counter[str] = field(default_factory=Counter)
    weight: Counter[str] = field(default_factory=Counter)


class Exchange:
    """What every dialect speaks for."""

    def __init__(self, *, settings: config.Config, listed: list[symbols.Symbol], now: int) -> None:
        self.settings = settings
        self._state = state.opened(
            settings.state,
            identity=_identity(settings),
            anchor=now // _HOUR * _HOUR if settings.anchor is None else settings.anchor,
            moved=settings.anchor is not None,
        )
        self.world = market.Market(
            seed=settings.seed,
            anchor=self._state.anchor,
            listed=listed,
            candles=_candles(settings, self._state.anchor),
        )
        self.books = books.Books(
            world=self.world,
            remembered=self._state,
            plan=Plan(settings.assets, settings.trades, settings.days),
            size=settings.accounts,
        )
        self.limiter = limits.Limiter()
        self.switchboard = faults.Switchboard()
        self.violations = violations.Violations()
        self.statistics = Statistics()

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
