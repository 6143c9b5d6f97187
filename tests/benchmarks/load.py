"""A small HTTP load generator: keep-alive connections, one request after the other on each."""

import asyncio
import statistics
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: requests a second, and latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float


def run(port: int, path: str, *, token: str, connections: int, requests: int) -> Load:
    """Send ``requests`` GETs over ``connections`` connections. Any answer but 200 raises."""
    return asyncio.run(_run(port, path, token, connections, requests))


async def _run(port: int, path: str, token: str, connections: int, requests: int) -> Load:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()
    times: list[float] = []
    started = time.perf_counter()
    each = requests // connections
    await asyncio.gather(*(_connection(port, request, each, times) for _ in range(connections)))
    took = time.perf_counter() - started
    percentiles = statistics.quantiles(times, n=100)
    return Load(len(times) / took, percentiles[49] * 1000, percentiles[98] * 1000)


async def _connection(port: int, request: bytes, count: int, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - start)
    writer.close()
