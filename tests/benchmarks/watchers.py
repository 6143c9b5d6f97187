"""Many WebSocket clients in one process: as little per message as reading it takes.

Run as ``python -m tests.benchmarks.watchers PORT COUNT``; the first line of stdin is a JSON object
with ``tokens``, shared out in turn (none for a server that asks for none), ``channel`` and
``assets``. Then one command a line, each answered with one line of JSON:

- ``rounds N``: N times, publish a tick and wait until every client has it: seconds each.
- ``listen S``: for S seconds, how old streamed ticks are when clients have them: seconds each.
"""

import asyncio
import json
import os
import re
import resource
import struct
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import redis
import uvloop

_HANDSHAKE = (
    b"GET /ws/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_AT_ONCE = 20
_TEXT, _PING, _PONG = 1, 9, 10
_PRICE = b'{"type":"price"'
_DIRECT = re.compile(r"binance: \w+/USDT, USDT pegged to USD")


class Watcher(asyncio.Protocol):
    """One client: authenticates, watches what its person owns, hands on each price message."""

    def __init__(self, token: str, on_price: Callable[[bytes], None]) -> None:
        self._token, self._on_price = token, on_price
        self._buffer, self._upgraded = b"", False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self._transport = transport
        transport.write(_HANDSHAKE)

    def connection_lost(self, error) -> None:
        print("a client lost its connection", file=sys.stderr)
        os._exit(1)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        place = 0 if self._upgraded else self._begin(data)
        while (frame := _frame(data, place)) is not None:
            start, end = frame
            self._take(data[place] & 15, data[start:end])
            place = end
        self._buffer = data[place:]

    def _begin(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        self._upgraded = True
        if self._token:
            self.send(_TEXT, json.dumps({"type": "authenticate", "token": self._token}).encode())
        else:
            self.ready.set_result(None)
        return end + 4

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == _PING:
            self.send(_PONG, content)
        elif self.ready.done():
            if not self._token or content.startswith(_PRICE):
                self._on_price(content)
        elif content.startswith(b'{"type":"authenticated"'):
            self.send(_TEXT, b'{"type":"subscribe","channel":"prices"}')
        elif content.startswith(_PRICE):
            self.ready.set_result(None)

    def send(self, opcode: int, content: bytes) -> None:
        size = len(content)
        if size > 125:
            head = struct.pack("!BBH", 128 | opcode, 254, size)
        else:
            head = struct.pack("!BB", 128 | opcode, 128 | size)
        self._transport.write(head + bytes(4) + content)  # masked with noughts


def _frame(data: bytes, place: int) -> tuple[int, int] | None:
    """Where the content of the frame at ``place`` begins and ends, if all of it is there."""
    size, start = len(data), place + 2
    if size < start:
        return None
    length = data[place + 1]
    if length == 126 and size >= start + 2:
        (length,), start = struct.unpack_from("!H", data, start), start + 2
    elif length == 127 and size >= start + 8:
        (length,), start = struct.unpack_from("!Q", data, start), start + 8
    elif length > 125:
        return None
    return (start, start + length) if size >= start + length else None


class Crowd:
    """All clients, and how many have the message of this round."""

    def __init__(self, setup: dict) -> None:
        self._setup = setup
        self._redis = redis.Redis.from_url(os.environ["REDIS_URL"])
        self._served, self._everybody, self._count = 0, asyncio.Event(), 0
        self._number = 0
        self._listening = False
        self._ages: list[float] = []
        self._newest: dict[str, str] = {}
        self._seen: dict[bytes, list[float]] = {}

    async def connect(self, port: int, count: int) -> None:
        tokens, gate = self._setup["tokens"] or [""], asyncio.Semaphore(_AT_ONCE)
        loop = asyncio.get_running_loop()

        async def one(number: int) -> None:
            async with gate:
                token = tokens[number % len(tokens)]
                _, watcher = await loop.create_connection(
                    lambda: Watcher(token, self._take), "127.0.0.1", port
                )
                await watcher.ready

        await asyncio.gather(*(one(number) for number in range(count)))
        self._count = count

    async def rounds(self, number: int) -> list[float]:
        return [await self._round() for _ in range(number)]

    async def listen(self, seconds: float) -> list[float]:
        self._ages, self._listening = [], True
        await asyncio.sleep(seconds)
        self._listening = False
        return self._ages

    async def _round(self) -> float:
        assets = self._setup["assets"]
        self._number += 1
        self._served = 0
        self._everybody.clear()
        message = _tick(assets[self._number % len(assets)], self._number)
        started = time.perf_counter()
        self._redis.publish(self._setup["channel"], message)
        await self._everybody.wait()
        return time.perf_counter() - started

    def _take(self, content: bytes) -> None:
        if self._listening:
            self._measure(content)
            return
        self._served += 1
        if self._served == self._count:
            self._everybody.set()

    def _measure(self, content: bytes) -> None:
        """The same message reaches many clients: it is read once, its age is theirs."""
        now = time.time()
        if content not in self._seen:
            if len(self._seen) > 1000:
                self._seen.clear()
            self._seen[content] = list(self._fresh(content))
        self._ages += [now - at for at in self._seen[content]]

    def _fresh(self, content: bytes):
        """When the ticks happened that this message is the first to tell of, if a market quotes
        them directly: what is crossed is as old as the older of two ticks."""
        for row in json.loads(content)["prices"]:
            before, as_of = self._newest.get(row["asset"], ""), row["as_of"] or ""
            if as_of > before and _DIRECT.fullmatch(row["source"] or ""):
                self._newest[row["asset"]] = as_of
                yield datetime.fromisoformat(as_of).timestamp()


def _tick(asset: str, number: int) -> bytes:
    quote = {
        "asset_id": asset, "code": "COIN", "usd": f"{number}.25", "usd_24h_ago": "10",
        "source": "binance: COIN/USDT", "as_of": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    return json.dumps([quote], separators=(",", ":")).encode()


async def _main(port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    crowd = Crowd(json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    await crowd.connect(port, count)
    print(json.dumps("ready"), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, number = line.split()
        work = crowd.rounds(int(number)) if command == "rounds" else crowd.listen(float(number))
        print(json.dumps(await work), flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_main(int(sys.argv[1]), int(sys.argv[2])))
    os._exit(0)
