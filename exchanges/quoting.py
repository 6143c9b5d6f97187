"""US dollar closes of an asset over a stretch of time, from the best markets there are.

The exchanges of ``PRICE_EXCHANGES`` are asked in their order, each market of an exchange in the
order of ``routes``, and only about what the ones before left open. Prices against another coin
are crossed through that coin's own closes. Network: call outside any transaction.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from exchanges import assets, closes, gateway
from exchanges.assets import DatedAsset
from exchanges.closes import LENGTHS, Priced
from exchanges.crossing import DOLLAR
from exchanges.gateway.errors import GatewayError, RateLimited, SymbolUnknown, Unreachable
from exchanges.reports import Candle
from exchanges.routes import Route, Routes
from tracker.logs import get_logger
from tracker.money import UNIT_DECIMALS, UNIT_DIGITS, UNIT_QUANTUM

log = get_logger(__name__)
_SOURCE_LENGTH = 96
_TOO_LARGE = Decimal(10) ** (UNIT_DIGITS - UNIT_DECIMALS)


@dataclass(slots=True)
class Answer:
    """What markets said about one asset: closes by the first instant of their interval.

    ``has_market`` tells whether any market or peg could have said something at all, ``problem``
    is the code of what kept one from answering for now.
    """

    closes: dict[datetime, Priced] = field(default_factory=dict)
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

    ``gained`` are the assets of which closes were stored on the way, bridges included.
    """

    def __init__(self, exchanges: Iterable[str], *, now: datetime) -> None:
        self._exchanges, self._now = list(exchanges), now
        self._places: dict[str, _Place] = {}
        self._down: dict[str, str] = {}  # exchange -> code of the error
        self.gained: set[UUID] = set()

    def closes(self, asset_id: UUID, interval: str, wanted: Iterable[datetime]) -> Answer:
        """Store and return the closes of the intervals that begin at ``wanted``.

        What lies between the first and the last of them may come as well.
        """
        open_at = sorted(wanted)
        answer = Answer()
        if not open_at:
            return answer
        span = open_at[0], open_at[-1] + LENGTHS[interval]
        answer.closes = closes.between(asset_id=asset_id, interval=interval, span=span)
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
                    if at not in answer.closes and place.meanings[code].at(at) == asset_id
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
        self, asset_id: UUID, interval: str, found: Mapping[datetime, Priced], answer: Answer
    ) -> None:
        fresh = {at: priced for at, priced in found.items() if at not in answer.closes}
        if fresh:
            closes.store(asset_id=asset_id, interval=interval, found=fresh, now=self._now)
            answer.closes |= fresh
            self.gained.add(asset_id)

    def _priced(
        self, place: _Place, route: Route, asset_id: UUID, interval: str,
        missing: list[datetime], answer: Answer,
    ) -> dict[datetime, Priced]:  # fmt: skip
        """Candles of one market times what its other side cost."""
        length, meaning = LENGTHS[interval], place.meanings[route.code]
        candles = [
            candle
            for candle in gateway.fetch_candles(
                place.exchange, market=route.market, interval=interval,
                since=missing[0], until=missing[-1] + length,
            )
            if candle.start + length <= self._now and meaning.at(candle.start) == asset_id
        ]  # fmt: skip
        bridge = self._bridge(place, route.bridge, interval, candles, answer)
        crossed = (_crossed(place.exchange, route, candle, bridge) for candle in candles)
        return dict(found for found in crossed if found)

    def _bridge(
        self, place: _Place, code: str, interval: str, candles: list[Candle], answer: Answer
    ) -> dict[datetime, Priced]:
        """What one unit of a route's other side cost at the candles, where that is known."""
        if code == DOLLAR:
            return {candle.start: (Decimal(1), "") for candle in candles}
        if place.routes.is_pegged(code):
            return {candle.start: (Decimal(1), _pegged(code)) for candle in candles}
        dated = place.meanings[code]
        found: dict[datetime, Priced] = {}
        for asset_id in {dated.at(candle.start) for candle in candles}:
            wanted = [c.start for c in candles if dated.at(c.start) == asset_id]
            priced = self.closes(asset_id, interval, wanted)
            answer.problem = answer.problem or priced.problem
            found |= {at: priced.closes[at] for at in wanted if at in priced.closes}
        return found

    # --- pegs -----------------------------------------------------------------------------------

    def _fill_pegged(
        self, asset_id: UUID, interval: str, wanted: list[datetime], answer: Answer
    ) -> None:
        """A stablecoin is one dollar at an exchange that quotes it in nothing better."""
        missing = [at for at in wanted if at not in answer.closes]
        if not missing or answer.problem:
            return
        for place in self._places.values():
            for code in place.codes_of(asset_id):
                if place.routes.is_pegged(code):
                    answer.has_market = True
                    priced = Decimal(1), f"{place.exchange}: {_pegged(code)}"
                    found = dict.fromkeys(missing, priced)
                    self._keep(asset_id, interval, found, answer)
                    return


def _pegged(code: str) -> str:
    return f"{code} pegged to USD"


def _crossed(
    exchange: str, route: Route, candle: Candle, bridge: Mapping[datetime, Priced]
) -> tuple[datetime, Priced] | None:
    """The close in dollars, unless the bridge has none, or it is too small or large to keep."""
    if candle.start not in bridge:
        return None
    rate, through = bridge[candle.start]
    usd = rate / candle.close if route.inverse else rate * candle.close
    if usd >= _TOO_LARGE or (usd := usd.quantize(UNIT_QUANTUM)) <= 0:
        return None
    rest = through.removeprefix(f"{exchange}: ")
    source = f"{exchange}: {route.pair}" + (f", {rest}" if rest else "")
    return candle.start, (usd, source[:_SOURCE_LENGTH])
