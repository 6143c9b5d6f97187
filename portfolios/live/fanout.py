"""Ticks to all who watch them: each asset at most once a second, each message encoded once.

Connections that watch the same assets in the same currency are one group. A tick is sent at once
unless its asset was sent within the last second; then the latest one follows when that is over.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import orjson
from django.conf import settings
from websockets.asyncio.server import broadcast

from exchanges import pricelist
from exchanges.crossing import DOLLAR
from exchanges.prices import Quote
from portfolios.live.clients import Client, Connection
from tracker import clock

REST_SECONDS = 1.0  # of an asset after it was sent

Key = tuple[frozenset[UUID], str]


@dataclass(eq=False, slots=True)
class _Group:
    """Everybody who watches these assets in this currency."""

    key: Key
    clients: dict[Connection, Client] = field(default_factory=dict)


class Fanout:
    """The newest tick of every asset, and who is told of it."""

    def __init__(
        self, *, counts: Counter[str], on_sent: Callable[[Collection[UUID]], None]
    ) -> None:
        self.newest: dict[UUID, Quote] = {}
        self.codes: dict[UUID, str] = {}  # of assets that are watched
        self.bases: dict[str, UUID] = {}  # the asset that a currency is
        self._counts, self._on_sent = counts, on_sent
        self._groups: dict[Key, _Group] = {}
        self._group_of: dict[Client, _Group] = {}
        self._watching: defaultdict[UUID, set[_Group]] = defaultdict(set)
        self._resting: dict[UUID, None] = {}
        self._rests: deque[tuple[float, UUID]] = deque()
        self._waiting: set[UUID] = set()
        self._stale: set[UUID] = set()
        self._timer: asyncio.TimerHandle | None = None

    # --- who watches ----------------------------------------------------------------------------
    def watch(self, client: Client, assets: frozenset[UUID], currency: str) -> None:
        """Let a client watch exactly these assets, in this currency."""
        self.forget(client)
        client.watched = assets
        if not assets:
            return
        key = (assets, currency)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key)
            for asset_id in assets:
                self._watching[asset_id].add(group)
        group.clients[client.connection] = client
        self._group_of[client] = group

    def forget(self, client: Client) -> None:
        """Tell a client of no price any more."""
        group = self._group_of.pop(client, None)
        if group is None:
            return
        del group.clients[client.connection]
        if not group.clients:
            del self._groups[group.key]
            for asset_id in group.key[0]:
                self._watching[asset_id].discard(group)
                if not self._watching[asset_id]:
                    del self._watching[asset_id]

    @property
    def watched(self) -> set[UUID]:
        """Every asset that somebody watches."""
        return set(self._watching)

    def base(self, currency: str, now: datetime) -> Quote | None:
        """What a currency is worth; a dollar is a dollar at any time."""
        asset_id = self.bases.get(currency)
        if asset_id is not None and currency == DOLLAR:
            return Quote(asset_id, DOLLAR, Decimal(1), Decimal(1), DOLLAR, now)
        return self.newest.get(asset_id) if asset_id else None

    # --- what is told ---------------------------------------------------------------------------
    def take(self, quotes: Iterable[Quote]) -> None:
        """Take in ticks, and send those whose assets do not rest."""
        ready = []
        for quote in quotes:
            held = self.newest.get(quote.asset_id)
            if held is not None and held.as_of > quote.as_of:
                continue
            self.newest[quote.asset_id] = quote
            self._stale.discard(quote.asset_id)
            if quote.asset_id in self._resting:
                self._waiting.add(quote.asset_id)
            else:
                ready.append(quote.asset_id)
        self._send(ready)

    def send_all(self, client: Client, assets: Collection[UUID], currency: str) -> None:
        """Tell one client the latest of some assets, also what has no price."""
        if not assets:
            return
        rows = _Rows(self, clock.now())
        if client.tell(rows.message(list(assets), currency)):
            self._counts["messages"] += 1
        else:
            client.missed.update(assets)

    def catch_up(self, client: Client) -> None:
        """Tell a client that reads again the latest of what it missed."""
        missed, client.missed = client.missed & client.watched, set()
        group = self._group_of.get(client)
        if group and missed:
            self.send_all(client, missed, group.key[1])

    def tell_stale(self, now: datetime) -> None:
        """Tell of the prices that have become stale since they were sent, once."""
        limit = now - settings.PRICE_STALE_AFTER
        turned = [
            asset_id
            for asset_id in self._watching
            if (quote := self.newest.get(asset_id)) and quote.as_of < limit
        ]
        fresh_news = [asset_id for asset_id in turned if asset_id not in self._stale]
        self._stale.update(fresh_news)
        self._send(fresh_news)

    def _send(self, assets: Collection[UUID]) -> None:
        if not assets:
            return
        self._rest(assets)
        rows = _Rows(self, clock.now())
        for group, moved in self._grouped(assets).items():
            self._send_to(group, moved, rows.message(moved, group.key[1]))
        self._counts["ticks"] += len(assets)
        self._on_sent(assets)

    def _grouped(self, assets: Collection[UUID]) -> Mapping[_Group, list[UUID]]:
        found: defaultdict[_Group, list[UUID]] = defaultdict(list)
        for asset_id in assets:
            for group in self._watching.get(asset_id, ()):
                found[group].append(asset_id)
        return found

    def _send_to(self, group: _Group, moved: list[UUID], message: bytes) -> None:
        behind = [client for connection, client in group.clients.items() if connection.paused]
        for client in behind:
            client.missed.update(moved)
        reading = group.clients.keys() - {c.connection for c in behind} if behind else group.clients
        broadcast(reading, message, text=True)
        self._counts.update(messages=len(reading), missed=len(behind))

    # --- resting --------------------------------------------------------------------------------
    def _rest(self, assets: Collection[UUID]) -> None:
        until = asyncio.get_running_loop().time() + REST_SECONDS
        for asset_id in assets:
            if asset_id in self._watching:
                self._resting[asset_id] = None
                self._rests.append((until, asset_id))
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is None and self._rests:
            self._timer = asyncio.get_running_loop().call_at(self._rests[0][0], self._wake)

    def _wake(self) -> None:
        self._timer = None
        now, rested = asyncio.get_running_loop().time(), []
        while self._rests and self._rests[0][0] <= now + 0.001:
            asset_id = self._rests.popleft()[1]
            self._resting.pop(asset_id, None)
            if asset_id in self._waiting:
                self._waiting.discard(asset_id)
                rested.append(asset_id)
        self._send(rested)
        self._set_timer()


class _Rows:
    """Rows of one moment: each asset encoded once a currency, each message once a set."""

    def __init__(self, fanout: Fanout, now: datetime) -> None:
        self._fanout, self._now = fanout, now
        self._encoded: dict[tuple[UUID, str], bytes] = {}
        self._messages: dict[tuple[str, tuple[UUID, ...]], bytes] = {}

    def message(self, assets: Collection[UUID], currency: str) -> bytes:
        """A ``price`` message of these assets."""
        key = (currency, tuple(assets))
        if key not in self._messages:
            rows = b",".join(self._row(asset_id, currency) for asset_id in assets)
            self._messages[key] = b'{"type":"price","prices":[' + rows + b"]}"
        return self._messages[key]

    def _row(self, asset_id: UUID, currency: str) -> bytes:
        key = (asset_id, currency)
        if key not in self._encoded:
            self._encoded[key] = orjson.dumps(self._told(*key), option=orjson.OPT_UTC_Z)
        return self._encoded[key]

    def _told(self, asset_id: UUID, currency: str) -> dict[str, object]:
        fanout = self._fanout
        quote, base = fanout.newest.get(asset_id), fanout.base(currency, self._now)
        return pricelist.row(
            asset_id, quote.code if quote else fanout.codes.get(asset_id, ""), quote,
            base=base, currency=currency, now=self._now,
        )  # fmt: skip
