"""US dollar prices of an asset over a stretch of time, from the best markets there are.

The exchanges of ``PRICE_EXCHANGES`` are asked in their order, each market of an exchange in the
order of ``routes``, and only about what the ones before left open. Prices against another coin
are crossed through that coin's own prices of the same kind. What is found goes on a shelf, which
keeps closes or whole candles. Network: call outside any transaction.

A candle's close is the historic price of the same interval whenever both have the same source.
The books may have asked when an exchange was down that answered the chart later, or the other way
round; then each keeps what it found first, and its source says from where.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from exchanges import assets, bars, gateway
from exchanges.assets import DatedAsset
from exchanges.bars import Bar
from exchanges.crossing import DOLLAR
from exchanges.gateway.errors import GatewayError, RateLimited, SymbolUnknown, Unreachable
from exchanges.intervals import LENGTHS
from exchanges.reports import Candle
from exchanges.routes import Route, Routes
from exchanges.spans import Span
from tracker.logs import get_logger

log = get_logger(__name__)
_ONE = Decimal(1)
_SOURCE_LENGTH = 96


class Shelf(Protocol):
    """Where prices are kept: ``closes`` or ``candle_table``.

    ``between`` gives what is not to be asked for again. A shelf of ``WHOLE`` candles takes
    running ones too; the other kind takes closes, so nothing before its interval is over.
    """

    @property
    def WHOLE(self) -> bool: ...  # noqa: N802  (a module's constant)

    def between(self, *, asset_id: UUID, interval: str, span: Span) -> dict[datetime, Bar]: ...

    def store(
        self, *, asset_id: UUID, interval: str, found: Mapping[datetime, Bar], now: datetime
    ) -> None: ...


@dataclass(slots=True)
class Answer:
    """What markets said about one asset: prices by the first instant of their interval.

    ``has_market`` tells whether any market or peg could have said something at all, ``problem``
    is the code of what kept one from answering for now.
    """

    bars: dict[datetime, Bar] = field(default_factory=dict)
    has_market: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """An exchange with its routes, and what its codes mean."""

    exchange: str
    routes: Routes
    meanings: Mapping[str, DatedAsset]

    def codes_of(self, asset_id: UUID) -> list[str]:
        """The codes that ever stood for an asset here."""
        return [
            code
            for code, dated in self.meanings.items()
            if any(meant == asset_id for *_, meant in dated.meanings)
        ]


class Desk:
    """Asks exchanges during one run; one that fails is left alone for the rest of it.

    ``gained`` are the assets of which prices were stored on the way, bridges included.
    """

    def __init__(self, exchanges: Iterable[str], *, now: datetime, shelf: Shelf) -> None:
        self._exchanges, self._now, self._shelf = list(exchanges), now, shelf
        self._places: dict[str, _Place] = {}
        self._down: dict[str, str] = {}  # exchange -> code of the error
        self.gained: set[UUID] = set()

    def bars(self, asset_id: UUID, interval: str, wanted: Iterable[datetime]) -> Answer:
        """Store and return the prices of the intervals that begin at ``wanted``.

        What lies between the first and the last of them may come as well.
        """
        open_at = sorted(wanted)
        answer = Answer()
        if not open_at:
            return answer
        span = open_at[0], open_at[-1] + LENGTHS[interval]
        answer.bars = self._shelf.between(asset_id=asset_id, interval=interval, span=span)
        for place in self._reachable(answer):
            self._ask_markets(place, asset_id, interval, open_at, answer)
        self._fill_pegged(asset_id, interval, open_at, answer)
        return answer

    # --- places ---------------------------------------------------------------------------------

    def _reachable(self, answer: Answer) -> Iterator[_Place]:
        for exchange in self._exchanges:
            place = self._place(exchange)
            if place is None:
                answer.problem = self._down[exchange]
            else:
                yield place

    def _place(self, exchange: str) -> _Place | None:
        if exchange not in self._places and exchange not in self._down:
            try:
                routes = Routes(gateway.fetch_markets(exchange))
            except GatewayError as error:
                self._leave(exchange, error)
                return None
            meanings = assets.resolve(exchange, routes.codes)
            self._places[exchange] = _Place(exchange, routes, meanings)
        return self._places.get(exchange) if exchange not in self._down else None

    def _leave(self, exchange: str, error: GatewayError) -> None:
        log.warning("prices.history_source_failed", exchange=exchange, code=error.code)
        self._down[exchange] = error.code

    # --- markets --------------------------------------------------------------------------------

    def _ask_markets(
        self, place: _Place, asset_id: UUID, interval: str, wanted: list[datetime], answer: Answer
    ) -> None:
        for code in place.codes_of(asset_id):
            for route in place.routes.of(code):
                answer.has_market = True
                missing = [
                    at
                    for at in wanted
                    if at not in answer.bars and place.meanings[code].at(at) == asset_id
                ]
                if missing and place.exchange not in self._down:
                    self._ask(place, route, asset_id, interval, missing, answer)
        if place.exchange in self._down:
            answer.problem = self._down[place.exchange]

    def _ask(
        self, place: _Place, route: Route, asset_id: UUID, interval: str,
        missing: list[datetime], answer: Answer,
    ) -> None:  # fmt: skip
        try:
            found = self._priced(place, route, asset_id, interval, missing, answer)
        except SymbolUnknown:
            return  # closed for good, and nothing about it is told any more
        except (Unreachable, RateLimited) as error:
            self._leave(place.exchange, error)
            return
        except GatewayError as error:
            # What is refused for good is no reason to ask again; it hides none that there is.
            if not error.permanent:
                answer.problem = error.code
            return
        self._keep(asset_id, interval, found, answer)

    def _keep(
        self, asset_id: UUID, interval: str, found: Mapping[datetime, Bar], answer: Answer
    ) -> None:
        fresh = {at: priced for at, priced in found.items() if at not in answer.bars}
        if fresh:
            self._shelf.store(asset_id=asset_id, interval=interval, found=fresh, now=self._now)
            answer.bars |= fresh
            self.gained.add(asset_id)

    def _priced(
        self, place: _Place, route: Route, asset_id: UUID, interval: str,
        missing: list[datetime], answer: Answer,
    ) -> dict[datetime, Bar]:  # fmt: skip
        """Candles of one market times what its other side cost."""
        told = gateway.fetch_candles(
            place.exchange, market=route.market, interval=interval,
            since=missing[0], until=missing[-1] + LENGTHS[interval],
        )  # fmt: skip
        meaning = place.meanings[route.code]
        candles = [
            candle if self._shelf.WHOLE else bars.of_close(candle)
            for candle in told
            if self._counts(candle, interval) and meaning.at(candle.start) == asset_id
        ]
        bridge = self._bridge(place, route.bridge, interval, candles, answer)
        crossed = {
            candle.start: _crossed(place.exchange, route, candle, bridge[candle.start])
            for candle in candles
            if candle.start in bridge
        }
        return {at: bar for at, bar in crossed.items() if bar}

    def _counts(self, candle: Candle, interval: str) -> bool:
        if self._shelf.WHOLE:
            return candle.start <= self._now
        return candle.start + LENGTHS[interval] <= self._now

    def _bridge(
        self, place: _Place, code: str, interval: str, candles: list[Candle], answer: Answer
    ) -> dict[datetime, Bar]:
        """What one unit of a route's other side cost at the candles, where that is known."""
        if code == DOLLAR:
            return dict.fromkeys((candle.start for candle in candles), bars.flat(_ONE, ""))
        if place.routes.is_pegged(code):
            pegged = bars.flat(_ONE, _pegged(code))
            return dict.fromkeys((candle.start for candle in candles), pegged)
        dated = place.meanings[code]
        found: dict[datetime, Bar] = {}
        for asset_id in {dated.at(candle.start) for candle in candles}:
            wanted = [c.start for c in candles if dated.at(c.start) == asset_id]
            priced = self.bars(asset_id, interval, wanted)
            answer.problem = answer.problem or priced.problem
            found |= {at: priced.bars[at] for at in wanted if at in priced.bars}
        return found

    # --- pegs -----------------------------------------------------------------------------------

    def _fill_pegged(
        self, asset_id: UUID, interval: str, wanted: list[datetime], answer: Answer
    ) -> None:
        """A stablecoin is one dollar at an exchange that quotes it in nothing better."""
        missing = [at for at in wanted if at not in answer.bars]
        if not missing or answer.problem:
            return
        for place in self._places.values():
            for code in place.codes_of(asset_id):
                if place.routes.is_pegged(code):
                    answer.has_market = True
                    pegged = bars.flat(_ONE, f"{place.exchange}: {_pegged(code)}")
                    found = dict.fromkeys(missing, pegged)
                    self._keep(asset_id, interval, found, answer)
                    return


def _pegged(code: str) -> str:
    return f"{code} pegged to USD"


def _crossed(exchange: str, route: Route, candle: Candle, bridge: Bar) -> Bar | None:
    rest = bridge.source.removeprefix(f"{exchange}: ")
    source = f"{exchange}: {route.pair}" + (f", {rest}" if rest else "")
    return bars.crossed(candle, bridge, inverse=route.inverse, source=source[:_SOURCE_LENGTH])
