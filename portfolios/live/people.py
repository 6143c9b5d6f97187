"""What is one person's alone: what their portfolio is worth, and the news of their syncs.

Holdings are read as that person, when they are first needed, when something says that they
changed, and every minute besides. The worth is worked out from them and the newest ticks, at most
once a second.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Coroutine, Mapping
from functools import partial
from typing import Any, cast
from uuid import UUID

from jsonschema import Draft202012Validator
from redis.asyncio import Redis
from redis.exceptions import RedisError

from exchanges import ticks
from exchanges.prices import Quote
from portfolios.live import messages, notices, reads, worth
from portfolios.live.clients import Client
from portfolios.live.fanout import Fanout
from portfolios.live.messages import Channel, Refused
from portfolios.live.worth import Portfolio
from tracker import clock, live
from tracker.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 0.05
REST_SECONDS = 1.0  # between two figures of one portfolio, and between two readings of it
READ_AGAIN_SECONDS = 60.0
_AWAY = (RedisError, OSError)
_SYNC = Draft202012Validator(
    {"type": "object", "properties": dict(messages.SYNC_FIELDS), "required": ["connection"]}
)

_JOB = messages.FROM_SERVER["job"].validator


class Person:
    """Somebody with at least one connection."""

    def __init__(self, user_id: UUID, currency: str) -> None:
        self.user_id, self.currency = user_id, currency
        self.clients: set[Client] = set()
        self.watchers: set[Client] = set()  # that want to know what the portfolio is worth
        self.portfolio: Portfolio | None = None
        self.reading = asyncio.Lock()
        self.told_at = self.read_at = float("-inf")

    @property
    def needs_holdings(self) -> bool:
        return bool(self.watchers) or any(client.own for client in self.clients)


class People:
    """Everybody who is connected to this process."""

    def __init__(self, *, fanout: Fanout, redis: Redis, counts: Counter[str]) -> None:
        self._fanout, self._redis, self._counts = fanout, redis, counts
        # Currencies that no exchange has named yet; they are looked for again with each heartbeat.
        self._baseless: set[str] = set()
        self._people: dict[UUID, Person] = {}
        self._holding: defaultdict[UUID, set[Person]] = defaultdict(set)
        self._moved: set[Person] = set()
        self._outdated: set[Person] = set()
        self._readings: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._people)

    # --- coming and going -----------------------------------------------------------------------
    def join(self, client: Client) -> bool:
        """Add a connection; returns whether it is its person's first here."""
        is_first = client.user_id not in self._people
        if is_first:
            currency = client.watcher.standing.currency
            self._people[client.user_id] = Person(client.user_id, currency)
        self._people[client.user_id].clients.add(client)
        return is_first

    def leave(self, client: Client) -> bool:
        """Remove a connection; returns whether it was its person's last here."""
        self._fanout.forget(client)
        person = self._people[client.user_id]
        person.clients.discard(client)
        person.watchers.discard(client)
        if person.clients:
            return False
        self._index(person, None)
        self._moved.discard(person)
        self._outdated.discard(person)
        del self._people[client.user_id]
        return True

    def clients_of(self, user_id: UUID) -> list[Client]:
        person = self._people.get(user_id)
        return list(person.clients) if person else []

    # --- subscribing ----------------------------------------------------------------------------
    async def watch_prices(self, client: Client, assets: Any, request: str | None) -> None:
        """Add assets, or whatever is owned. Raises Refused, and then nothing has changed."""
        chosen, own = set(client.chosen), client.own or assets in (messages.OWN, None)
        if isinstance(assets, list):
            wanted = {UUID(text) for text in assets}
            await self._know(wanted)
            if any(asset_id not in self._fanout.codes for asset_id in wanted):
                raise Refused("asset_unknown", request=request)
            chosen |= wanted
        person = self._people[client.user_id]
        if own:
            await self._have_holdings(person)
        watched = chosen | _owned(person) if own else chosen
        if len(watched) > client.watcher.standing.plan.live_assets:
            raise Refused("too_many_assets", request=request)
        client.chosen, client.own = chosen, own
        client.channels.add(Channel.PRICES)
        await self._know(watched)
        await client.answer(_subscribed(Channel.PRICES, request, assets=list(watched)))
        self._rewatch(client)

    async def unwatch_prices(self, client: Client, assets: Any, request: str | None) -> None:
        """Take assets away; without any, all of them. Raises Refused."""
        if Channel.PRICES not in client.channels:
            raise Refused("not_subscribed", request=request)
        if assets is None:
            client.chosen, client.own = set(), False
        elif assets == messages.OWN:
            client.own = False
        else:
            client.chosen -= {UUID(text) for text in assets}
        if not client.chosen and not client.own:
            client.channels.discard(Channel.PRICES)
        self._rewatch(client)
        await client.answer(
            messages.write(
                "unsubscribed", channel="prices", assets=list(client.watched), request=request
            )
        )

    async def watch_portfolio(self, client: Client, request: str | None) -> None:
        """Tell a connection what the portfolio is worth, at once and whenever it moves."""
        person = self._people[client.user_id]
        await self._have_holdings(person)
        client.channels.add(Channel.PORTFOLIO)
        person.watchers.add(client)
        await client.answer(_subscribed(Channel.PORTFOLIO, request))
        self._tell_worth(person, [client])

    async def watch_news(self, client: Client, channel: Channel, request: str | None) -> None:
        """Tell a connection how syncs and jobs go on, or what its person is told."""
        client.channels.add(channel)
        await client.answer(_subscribed(channel, request))

    async def unwatch(self, client: Client, channel: Channel, request: str | None) -> None:
        """End one of the channels that have no assets. Raises Refused."""
        if channel not in client.channels:
            raise Refused("not_subscribed", request=request)
        client.channels.discard(channel)
        if channel == Channel.PORTFOLIO:
            self._people[client.user_id].watchers.discard(client)
        await client.answer(messages.write("unsubscribed", channel=channel, request=request))

    def stop_prices(self, client: Client) -> None:
        """The plan allows no live prices any more."""
        client.channels -= {Channel.PRICES, Channel.PORTFOLIO}
        client.chosen, client.own = set(), False
        self._people[client.user_id].watchers.discard(client)
        self._rewatch(client)

    def change_currency(self, client: Client, currency: str) -> None:
        """The person counts in another currency now."""
        person = self._people[client.user_id]
        person.currency = currency
        self._outdated.add(person)
        self._fanout.forget(client)
        client.watched = frozenset()
        self._start(self._follow_currency(client))

    async def _follow_currency(self, client: Client) -> None:
        await self._know(client.chosen | _owned(self._people[client.user_id]))
        self._rewatch(client)

    # --- what happens ---------------------------------------------------------------------------
    def hear(self, user_id: UUID, topic: str, payload: Any) -> None:
        """News of one person: of a sync, a notice, or that what they own has changed."""
        person = self._people.get(user_id)
        if person is None:
            return
        is_over = topic == live.SYNC and not _goes_on(payload)
        if (topic == live.PORTFOLIO or is_over) and person.needs_holdings:
            self._outdated.add(person)
        if topic == live.SYNC and isinstance(payload, Mapping):
            self._tell_sync(person, payload)
        if topic == live.NOTICE:
            watching = partial(_watching, person, Channel.NOTICES)
            self._start(notices.tell(watching, user_id, payload))
        if topic == live.JOB and isinstance(payload, Mapping):
            self._tell_job(person, payload)

    def moved(self, assets: Collection[UUID]) -> None:
        """Prices that everybody was told of just now."""
        for asset_id in assets:
            holding = self._holding.get(asset_id, ())
            self._moved.update(person for person in holding if person.watchers)

    def all_moved(self) -> None:
        """Work out every portfolio anew: what was missed, nobody knows."""
        for currency in self._baseless:
            self._start(self.know_base(currency))
        self._moved.update(person for person in self._people.values() if person.watchers)

    def catch_up(self, client: Client) -> None:
        """Tell a client that reads again what its portfolio is worth now."""
        person = self._people.get(client.user_id)
        if person and client.missed_portfolio:
            client.missed_portfolio = False
            self._tell_worth(person, [client])

    async def work(self) -> None:
        """Tell and read what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            due = loop.time() - REST_SECONDS
            for person in [p for p in self._moved if p.told_at <= due]:
                self._moved.discard(person)
                self._tell_worth(person, list(person.watchers))
                await asyncio.sleep(0)  # prices go first
            for person in [p for p in self._outdated if p.read_at <= due]:
                self._outdated.discard(person)
                person.read_at = loop.time()
                self._start(self._read_again(person))
            self._find_old(loop.time() - READ_AGAIN_SECONDS)

    def _find_old(self, limit: float) -> None:
        for person in self._people.values():
            if person.read_at < limit and person.portfolio and person.needs_holdings:
                self._outdated.add(person)

    # --- parts ----------------------------------------------------------------------------------
    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._readings.add(task)
        task.add_done_callback(self._readings.discard)

    async def _have_holdings(self, person: Person) -> None:
        """Read holdings where none were read yet. Raises Refused."""
        async with person.reading:
            if person.portfolio is None:
                await self._read(person)
        if person.portfolio is None:
            raise Refused("unavailable")

    async def _read_again(self, person: Person) -> None:
        async with person.reading:
            await self._read(person)

    async def _read(self, person: Person) -> None:
        """Read holdings; those from before stay, and are tried again, while the database is away.

        Raises Refused where prices cannot be read.
        """
        person.read_at = asyncio.get_running_loop().time()
        try:
            currency, now = person.currency, clock.now()
            found = await reads.in_thread(worth.load, person.user_id, currency, now=now)
        except reads.UNAVAILABLE:
            log.warning("live.database_unavailable")
            self._outdated.add(person)
            return
        await self._know(found.assets)
        self._replace(person, found)

    def _replace(self, person: Person, found: Portfolio) -> None:
        if not person.clients:
            return
        self._index(person, found)
        if person.watchers:
            self._moved.add(person)
        for client in person.clients:
            if client.own:
                self._rewatch(client)

    def _index(self, person: Person, found: Portfolio | None) -> None:
        """Who is touched by which price."""
        for asset_id in person.portfolio.assets if person.portfolio else ():
            self._holding[asset_id].discard(person)
            if not self._holding[asset_id]:
                del self._holding[asset_id]
        person.portfolio = found
        for asset_id in found.assets if found else ():
            self._holding[asset_id].add(person)

    def _rewatch(self, client: Client) -> None:
        """Watch what the client asked for, and tell it the latest of what is new to it."""
        person = self._people[client.user_id]
        wanted = client.chosen | (_owned(person) if client.own else set())
        most = client.watcher.standing.plan.live_assets
        before, assets = client.watched, frozenset(wanted)
        if len(assets) > most:  # more is owned by now than the plan allows to watch
            assets = frozenset(sorted(assets)[:most])
        self._fanout.watch(client, assets, person.currency)
        self._fanout.send_all(client, assets - before, person.currency)

    def _tell_worth(self, person: Person, clients: list[Client]) -> None:
        if person.portfolio is None or not clients:
            return
        person.told_at = asyncio.get_running_loop().time()
        portfolio, now = person.portfolio, clock.now()
        base = self._fanout.base(portfolio.currency, now)
        fields = worth.shown(portfolio, self._fanout.newest, base=base, now=now)
        message = messages.write("portfolio", **fields)
        for client in clients:
            client.missed_portfolio = not client.tell(message)
        self._counts["portfolios"] += len(clients)

    def _tell_sync(self, person: Person, payload: Mapping[str, Any]) -> None:
        if not _SYNC.is_valid(payload):
            log.error("live.unreadable_news", topic=live.SYNC)
            return
        fields = {name: payload.get(name) for name in messages.SYNC_FIELDS}
        fields["state"] = fields["state"] or "running"
        message = messages.write("sync", **fields)
        for client in _watching(person, Channel.SYNC):
            client.tell(message)

    def _tell_job(self, person: Person, payload: Mapping[str, Any]) -> None:
        fields = {name: payload.get(name) for name in messages.JOB_FIELDS}
        if not _JOB.is_valid({"type": "job", **fields}):
            log.error("live.unreadable_news", topic=live.JOB)
            return
        message = messages.write("job", **fields)
        for client in _watching(person, Channel.JOBS):
            client.tell(message)

    async def _know(self, assets: Collection[UUID]) -> None:
        """Have the latest price and the code of assets: from Redis, else from PostgreSQL."""
        fanout = self._fanout
        wanted = [asset_id for asset_id in assets if asset_id not in fanout.newest]
        for quote in await self._held_or_none(wanted):
            fanout.newest.setdefault(quote.asset_id, quote)
        try:
            missing = [asset_id for asset_id in wanted if asset_id not in fanout.newest]
            for quote in await reads.in_thread(reads.recorded, missing) if missing else ():
                fanout.newest.setdefault(quote.asset_id, quote)
            nameless = [asset_id for asset_id in assets if asset_id not in fanout.codes]
            if nameless:
                fanout.codes.update(await reads.in_thread(reads.codes, nameless))
        except reads.UNAVAILABLE:
            raise Refused("unavailable") from None

    async def refresh(self) -> None:
        """Read the ticks of everything that is watched, after Redis was away."""
        wanted = list(self._fanout.watched | set(self._holding))
        while wanted:
            try:
                self._fanout.take(await self._held(wanted))
                break
            except _AWAY:
                await asyncio.sleep(REST_SECONDS)
        self.all_moved()

    async def know_base(self, currency: str) -> None:
        """Have the price of a currency that somebody counts in. Raises Refused."""
        try:
            base = await reads.in_thread(reads.base_of, currency)
        except reads.UNAVAILABLE:
            raise Refused("unavailable") from None
        if base is None:
            self._baseless.add(currency)
            self._fanout.bases.pop(currency, None)
            return
        self._baseless.discard(currency)
        self._fanout.bases[currency] = base
        await self._know([base])

    async def _held_or_none(self, assets: list[UUID]) -> list[Quote]:
        try:
            return await self._held(assets)
        except _AWAY:
            return []  # then PostgreSQL has them, a little older

    async def _held(self, assets: list[UUID]) -> list[Quote]:
        """The ticks that Redis has. Raises RedisError, OSError."""
        found = await self._redis.mget(ticks.keys_of(assets)) if assets else []
        return [ticks.read(cast(bytes, held)) for held in found if held]


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """What fails in the background is tried again by itself; a fault of ours is logged."""
    try:
        await work
    except Refused:
        return
    except Exception:
        log.exception("live.failed")


def _owned(person: Person) -> set[UUID]:
    return set(person.portfolio.held) if person.portfolio else set()


def _watching(person: Person, channel: Channel) -> list[Client]:
    return [client for client in person.clients if channel in client.channels]


def _goes_on(payload: Any) -> bool:
    """Whether news of a sync only tell how far it is."""
    return isinstance(payload, Mapping) and payload.get("state") == "running"


def _subscribed(channel: Channel, request: str | None, **fields: Any) -> bytes:
    return messages.write("subscribed", channel=channel, request=request, **fields)
