"""A request in, an answer out: limits first, then the signature, then the endpoint."""

from typing import Any

import orjson

from exchanges.sandbox import config, limits, violations, wire
from exchanges.sandbox.binance import (
    activity,
    capital,
    earn,
    endpoint,
    errors,
    exchange_info,
    parameters,
    public,
    security,
    trades,
    wallets,
)
from exchanges.sandbox.exchange import Exchange
from exchanges.sandbox.wire import Answer

# Weight per minute in each pool, at the default limit; another limit scales them all.
_LIMITS = {
    endpoint.API: config.DEFAULT_WEIGHT_LIMIT,
    endpoint.FUTURES: 2400,
    endpoint.COIN_FUTURES: 2400,
    endpoint.SAPI_BY_ADDRESS: 12_000,
    endpoint.SAPI_BY_ACCOUNT: 180_000,
}
_HEADERS = {
    endpoint.SAPI_BY_ADDRESS: "X-SAPI-USED-IP-WEIGHT-1M",
    endpoint.SAPI_BY_ACCOUNT: "X-SAPI-USED-UID-WEIGHT-1M",
}
_DEFAULT_HEADER = "X-MBX-USED-WEIGHT-1M"


class Dialect:
    """Binance's REST interface to an exchange."""

    def __init__(self, exchange: Exchange, listing: exchange_info.Listing) -> None:
        self._exchange = exchange
        self._bodies = endpoint.Bodies(orjson.dumps)
        self._endpoints: dict[tuple[str, str], endpoint.Endpoint] = {}
        own = (wallets.registry, trades.registry, capital.registry, activity.registry)
        for registry in (*own, earn.registry, public.registry(listing)):
            self._endpoints |= registry.endpoints

    def account_of(self, call: wire.Call) -> int | None:
        """Whose key came with a request."""
        holder = self._exchange.books.holder(call.header(security.KEY_HEADER))
        return holder.account if holder else None

    def asks_for(self, call: wire.Call, symbol: str) -> bool:
        """Whether a request names a symbol, alone or in a list."""
        params = parameters.Parameters(call.query, call.body)
        return params.text("symbol") == symbol or f'"{symbol}"' in params.text("symbols")

    def slow_down(self, *, seconds: int) -> Answer:
        """429, as over the limit."""
        limit = self._exchange.allowance.weight or config.DEFAULT_WEIGHT_LIMIT
        return _refused(errors.too_much_weight(limit), seconds)

    def banned(self, *, now: int, seconds: int) -> Answer:
        """418, as after a caller carried on over the limit."""
        return _refused(errors.banned(now + seconds * 1000), seconds)

    def unknown_symbol(self) -> Answer:
        """-1121."""
        return _refused(errors.symbol())

    def answer(self, call: wire.Call, *, now: int, skew: int = 0, coarse: int = 0) -> Answer:
        """The answer to a request at `now`; see `wire.Dialect`."""
        headers: dict[str, str] = {}
        try:
            body = self._served(call, now, skew, coarse, headers)
            return Answer(200, body, headers)
        except errors.BinanceError as error:
            if error.violation:
                self._exchange.violations.note(error.violation, call.address)
            return Answer(error.status, orjson.dumps(error.body), headers)

    def _served(
        self, call: wire.Call, now: int, skew: int, coarse: int, headers: dict[str, str]
    ) -> bytes:
        found = self._endpoints.get((call.method, call.path))
        if found is None:
            raise errors.endpoint()
        params = parameters.Parameters(call.query, call.body)
        self._charge(call, found, params, now, headers)
        context = endpoint.Context(self._exchange, self._bodies, params, now + skew, coarse)
        if found.signed:
            context.holder = security.holder(
                call,
                params,
                known=self._exchange.books.holder,
                now=context.now,
                any_key=found.any_key,
            )
        return _encoded(found.answer(context))

    def _charge(
        self,
        call: wire.Call,
        found: endpoint.Endpoint,
        params: parameters.Parameters,
        now: int,
        headers: dict[str, str],
    ) -> None:
        """Count the weight, note it in the headers, refuse what is too much."""
        weight = found.weight(params)
        limit = self._exchange.allowance.of(call.address, _LIMITS[found.pool])
        subject = self._subject(call, found.pool)
        limiter = self._exchange.limiter
        verdict = limiter.ban(subject=call.address, now=now) or limiter.charge(
            pool=_pool(found), subject=subject, weight=weight, limit=limit, now=now
        )
        self._exchange.statistics.weight[found.path] += weight
        self._exchange.usage.note(
            subject=subject, pool=_pool(found), weight=weight, limit=limit, now=now
        )
        headers[_HEADERS.get(found.pool, _DEFAULT_HEADER)] = str(verdict.used)
        if verdict.status != 200:
            headers["Retry-After"] = str(verdict.retry_after)
            raise self._refusal(verdict, limit, now)

    def _refusal(self, verdict: limits.Verdict, limit: int, now: int) -> errors.BinanceError:
        if verdict.status == 418:
            return errors.banned(now + verdict.retry_after * 1000)
        refusal = errors.too_much_weight(limit)
        if verdict.carried_on:
            refusal.violation = violations.OVER_LIMIT_AFTER_429
        return refusal

    def _subject(self, call: wire.Call, pool: str) -> str:
        if pool == endpoint.SAPI_BY_ACCOUNT:
            account = self.account_of(call)
            return call.address if account is None else f"account {account}"
        return call.address


def _refused(error: errors.BinanceError, seconds: int | None = None) -> Answer:
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Answer(error.status, orjson.dumps(error.body), headers)


def _pool(found: endpoint.Endpoint) -> str:
    """The family shares one pool, but each SAPI endpoint has its own."""
    return found.path if found.pool in _HEADERS else found.pool


def _encoded(content: Any) -> bytes:
    return content if isinstance(content, bytes) else orjson.dumps(content)
