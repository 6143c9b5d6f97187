"""What fan-out is compared with: the websockets library alone, handing on what Redis tells.

Run as ``python -m tests.benchmarks.bare_broadcast PORT CHANNEL``.
"""

import os
import resource
import sys

import redis.asyncio
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def _main(port: int, channel: str) -> None:
    everybody: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        everybody.add(connection)
        try:
            await connection.wait_closed()
        finally:
            everybody.discard(connection)

    async with (
        serve(handle, "127.0.0.1", port, compression=None, backlog=2048),
        redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]).pubsub() as told,
    ):
        await told.subscribe(channel)
        print("ready", flush=True)
        async for message in told.listen():
            if message["type"] == "message":
                broadcast(everybody, message["data"], text=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_main(int(sys.argv[1]), sys.argv[2]))
