"""A client of the live server, which checks every message against the published description."""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import redis
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from accounts import sessions
from accounts.models import User
from accounts.sessions import Device
from accounts.tokens import AccessToken
from exchanges import ticks
from exchanges.models import Asset
from exchanges.prices import Quote
from portfolios.live import asyncapi
from tests import factories
from tracker import clock, tenancy

SECONDS = 30
DESCRIBED = {
    name: Draft202012Validator(message["payload"])
    for name, message in asyncapi.document(url="ws://host")["components"]["messages"].items()
}


def eventually(happened: Callable[[], Any], what: str, *, seconds: float = 2 * SECONDS) -> Any:
    """What ``happened`` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := happened()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return result


class Listener:
    """``listener.next("price")`` is the next message of that type."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def any(self, seconds: float = SECONDS) -> dict[str, Any]:
        """The next message, whatever it is. Raises TimeoutError."""
        message = json.loads(self.socket.recv(timeout=seconds))
        DESCRIBED[message["type"]].validate(message)
        return message

    def next(self, kind: str, *, seconds: float = SECONDS) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            message = self.any(max(deadline - time.monotonic(), 0))
            if message["type"] == kind:
                return message

    def prices(self) -> dict[str, dict[str, Any]]:
        """The next prices, by code."""
        return {row["code"]: row for row in self.next("price")["prices"]}

    def price_of(self, code: str, **wanted: Any) -> dict[str, Any]:
        """The next price of an asset that has certain fields."""
        while True:
            row = self.prices().get(code)
            if row and all(row[name] == value for name, value in wanted.items()):
                return row

    def worth(self, **wanted: Any) -> dict[str, Any]:
        """The next figure of the portfolio that has certain fields."""
        while True:
            message = self.next("portfolio")
            if all(message[name] == value for name, value in wanted.items()):
                return message

    def subscribe(self, channel: str, **fields: Any) -> dict[str, Any]:
        self.send("subscribe", channel=channel, **fields)
        return self.next("subscribed")

    def hears_nothing(self, *kinds: str, seconds: float = 0.6) -> bool:
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                assert self.any(deadline - time.monotonic())["type"] not in kinds
        except TimeoutError:
            pass
        return True

    def close_code(self, *, seconds: float = SECONDS) -> int | None:
        """With which code the server ends the connection."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.any(max(deadline - time.monotonic(), 0))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def opened(url: str, **options: Any) -> Listener:
    return Listener(connect(url, open_timeout=SECONDS, legacy=True, **options))


def sign_in(user: User) -> sessions.SignedIn:
    return sessions.start(user=user, device=Device(), now=clock.now(), method="everything")


def token_that_lives(signed_in: sessions.SignedIn, seconds: float) -> str:
    token = AccessToken.read(signed_in.access)
    token.set_exp(lifetime=timedelta(seconds=seconds))
    return str(token)


def holding(user: User, code: str, quantity: int | str) -> Asset:
    """Units of an asset that this person holds by an account of theirs."""
    asset = factories.asset(code)
    connected = factories.connection(user, label=f"{code}{time.monotonic_ns()}"[:60])
    from exchanges.models import ExchangeConnection
    from portfolios.models import Holding

    with tenancy.as_user(user.id):
        ExchangeConnection.objects.filter(id=connected.id).update(last_synced_at=clock.now())
        Holding.objects.create(
            user=user, connection=connected, asset=asset, wallet="spot", exchange_code=code,
            quantity=Decimal(quantity), changed_at=clock.now(), last_confirmed_at=clock.now(),
        )  # fmt: skip
    return asset


def tick(code: str, usd: int | str | Decimal, *, as_of: datetime | None = None) -> Quote:
    """Publish a price as a streamer does."""
    found = Quote(
        factories.asset(code).id, code, Decimal(usd), None, f"binance: {code}/USD",
        as_of or clock.now(),
    )  # fmt: skip
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        ticks.offer(client, [found], exchange="binance", preferred=[])
    return found
