"""The way to one exchange: paces, sends, translates errors, and repeats what may be."""

import asyncio
import math
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from exchanges.gateway import budget, clients, proxies, translation
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects.base import (
    Call,
    Dialect,
)
from exchanges.gateway.errors import (
    GatewayError,
    OnMaintenance,
    RateLimited,
    TimedOut,
    Unreachable,
    WrongClock,
)
from exchanges.gateway.markets import Markets
from exchanges.gateway.timeline import CallLog, count_rows
from exchanges.reports import (
    Asked,
)

T = TypeVar("T")


class Line:
    """The way to one exchange: paces, sends, translates errors, and repeats what may be."""

    def __init__(
        self,
        exchange: clients.Exchange,
        dialect: Dialect,
        *,
        deadline: float,
        proxy: str = proxies.DIRECT,
        lane: str = budget.URGENT,
        calls: CallLog | None = None,
    ) -> None:
        self.exchange, self.dialect, self.deadline = exchange, dialect, deadline
        self.proxy, self.address, self.lane = proxy, proxies.label(proxy), lane
        self.budget = budget.shared()
        self.calls = calls or CallLog()
        if dialect.prepare:
            dialect.prepare(exchange.template)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    async def ask(
        self, client: Any, call: Call, *args: Any, account: str = "", **params: Any
    ) -> Any:
        """The answer to one call. Raises our errors only, and none of them holds a key."""
        for last in (False, True):
            try:
                return await self._once(client, call, args, params, account)
            except WrongClock:
                if last or not await self._corrected(client):
                    raise
            except Unreachable as error:
                if last or isinstance(error, (TimedOut, OnMaintenance)) or answered(client):
                    raise  # a dropped connection is worth one more try, an answer is not
        raise AssertionError("unreachable")

    async def _once(
        self, client: Any, call: Call, args: Any, params: Mapping[str, Any], account: str
    ) -> Any:
        clients.forget_answer(client)
        began, sent = time.monotonic(), None
        try:
            await self._pace(call, account)
            sent = time.monotonic()
            answer = await self._sent(client, call, args, params)
        except GatewayError as problem:
            self._note(client, call, began, sent, code=problem.code)
            raise
        except asyncio.CancelledError:
            self._note(client, call, began, sent, code=TimedOut.code)
            raise
        self._note(client, call, began, sent, rows=count_rows(answer))
        return answer

    async def _sent(self, client: Any, call: Call, args: Any, params: Mapping[str, Any]) -> Any:
        problem = None
        try:
            return await self._send(client, call, args, params)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            codes = self.dialect.error_codes
            problem = translation.translate(error, client=client, codes=codes)
        if isinstance(problem, RateLimited) and not self.dialect.limits_by_key:
            await self.budget.stop(self.exchange.name, problem.retry_after, address=self.address)
        raise problem

    def _note(
        self,
        client: Any,
        call: Call,
        began: float,
        sent: float | None,
        *,
        rows: int = -1,
        code: str = "",
    ) -> None:
        """Keep what the call was and how it ended: no address, no value, no word of the answer.

        ``sent`` is None for a call that waited for its turn in vain.
        """
        ended = time.monotonic()
        waited, took = (sent or ended) - began, ended - sent if sent else 0.0
        self.calls.note(
            Asked(
                self.calls.at(began), call.method, call.weight, call.pool.name,
                int(waited * 1000), int(took * 1000), client.last_status or 0, rows, code,
            )
        )  # fmt: skip

    async def _pace(self, call: Call, account: str) -> None:
        pool = call.pool
        if call.per_account:
            pool = Pool(f"{pool.name}:{account}", pool.per_minute)
        wait = max(self.left, 0)
        await self.budget.take(
            self.exchange.name, pool, call.weight, wait=wait, address=self.address, lane=self.lane
        )

    async def _send(self, client: Any, call: Call, args: Any, params: Mapping[str, Any]) -> Any:
        seconds = min(clients.REQUEST_TIMEOUT, self.left)
        if seconds <= 0:
            raise TimeoutError
        client.timeout = math.ceil(seconds * 1000)
        return await getattr(client, call.method)(*args, {**call.fixed, **params})

    async def _corrected(self, client: Any) -> bool:
        """Whether another try may go better: with a higher nonce, or the clock measured anew."""
        if not self.dialect.keeps_time:
            return True
        if not self.exchange.keeps_time:
            return False
        await self._set_clock(client)
        return True

    async def _set_clock(self, client: Any) -> None:
        await self.clock(again=True)
        client.options["timeDifference"] = self.exchange.template.options["timeDifference"]

    async def clock(self, *, again: bool = False) -> None:
        """Have the exchange's clock measured, unless the process knows it already."""
        if self.dialect.keeps_time:
            await self._in_time(self.exchange.measure_clock(again=again))

    async def markets(self) -> Markets:
        """The exchange's markets, shared by the process."""
        load = self.dialect.load_markets
        if load is None:
            return Markets(())

        async def loading(template: Any) -> Markets:
            return await self._load(template, load)

        return await self._in_time(self.exchange.markets(loading))

    async def _in_time(self, shared: Coroutine[Any, Any, T]) -> T:
        """What others wait for as well goes on when this visit's time is over."""
        try:
            async with asyncio.timeout(max(self.left, 0)):
                return await shared
        except TimeoutError:
            pass
        raise TimedOut

    async def _load(self, template: Any, load: Any) -> Markets:
        call = self.dialect.markets_call
        began = time.monotonic()
        await self._pace(call, "")
        sent, problem = time.monotonic(), None
        try:
            found = await load(template)
            self._note(template, call, began, sent, rows=len(found.by_id))
            return found
        except asyncio.CancelledError:
            raise
        except Exception as error:
            codes = self.dialect.error_codes
            problem = translation.translate(error, client=template, codes=codes)
        self._note(template, call, began, sent, code=problem.code)
        raise problem


def answered(client: Any) -> bool:
    """Whether the last call of a client brought any answer."""
    return client.last_http_response is not None
