"""A request in, an answer out: signature and nonce, the call counter, then the endpoint."""

from typing import Any

import orjson

from exchanges.sandbox import config, houses, limits, wire
from exchanges.sandbox.exchange import Exchange
from exchanges.sandbox.kraken import (
    account,
    endpoint,
    errors,
    funding,
    parameters,
    public,
    security,
)
from exchanges.sandbox.wire import Answer

PREFIX = "/0/"

# The counter of an address that asks for what is public, as `limits.TIERS` has those of keys.
# Another weight limit than the usual one scales both.
_ADDRESS = (30, 1.0)
_SCALE = config.DEFAULT_WEIGHT_LIMIT
_MINUTE = 60


class Dialect:
    """Kraken's REST interface to an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._books = exchange.houses[houses.KRAKEN.name]
        self._ledgers = endpoint.Ledgers()
        self._nonces = security.Nonces()
        self._counter = limits.CallCounter()
        self._endpoints = (
            public.registry().endpoints | account.registry.endpoints | funding.registry.endpoints
        )

    def account_of(self, call: wire.Call) -> int | None:
        """Whose key came with a request."""
        holder = self._books.holder(call.header(security.KEY_HEADER))
        return holder.account if holder else None

    def asks_for(self, call: wire.Call, symbol: str) -> bool:
        """Whether a request names a pair, alone or in a list."""
        try:
            return symbol in parameters.Parameters(call.query, call.body).texts("pair")
        except errors.KrakenError:  # its body cannot be read, and its answer will say so
            return False

    def slow_down(self, *, seconds: int) -> Answer:
        """429, as the front of the exchange answers who asks too often."""
        return _refused(errors.too_many_requests(), seconds)

    def banned(self, *, now: int, seconds: int) -> Answer:
        """A lockout."""
        return _refused(errors.lockout(), seconds)

    def unknown_symbol(self) -> Answer:
        """Unknown asset pair."""
        return _refused(errors.pair())

    def answer(self, call: wire.Call, *, now: int, skew: int = 0, coarse: int = 0) -> Answer:
        """The answer to a request at `now`; see `wire.Dialect`."""
        try:
            result = self._served(call, now, skew, coarse)
            return Answer(200, orjson.dumps({"error": [], "result": result}), {})
        except errors.KrakenError as error:
            if error.violation:
                self._exchange.violations.note(error.violation, call.address)
            return _refused(error)

    def _served(self, call: wire.Call, now: int, skew: int, coarse: int) -> Any:
        found = self._endpoints.get(call.path)
        if found is None or (found.private and call.method != "POST"):
            raise errors.method()
        params = parameters.Parameters(call.query, call.body)
        context = endpoint.Context(
            self._exchange, self._books, self._ledgers, self._nonces, params, now + skew, coarse
        )
        if found.private:
            context.holder = security.holder(call, params, kept=self._books, nonces=self._nonces)
        self._charge(call, found, context, now)
        self._check_permission(found, context)
        return found.answer(context)

    def _charge(
        self, call: wire.Call, found: endpoint.Endpoint, context: endpoint.Context, now: int
    ) -> None:
        """Raise the counter of the key, or of the address where nobody signed."""
        allowance = self._exchange.allowance
        most, per_second = limits.TIERS[allowance.tier] if found.private else _ADDRESS
        pool = "kraken private" if found.private else "kraken public"
        subject = call.address
        if context.holder:
            subject = f"kraken key {context.holder.role} {context.holder.account}"
        scale = allowance.of(call.address, _SCALE) / _SCALE
        verdict = self._counter.charge(
            subject=subject,
            weight=found.weight,
            most=most * scale,
            per_second=per_second * scale,
            now=now,
        )
        self._exchange.statistics.weight[found.path] += found.weight
        self._exchange.usage.note(
            subject=subject,
            pool=pool,
            weight=found.weight,
            limit=round(per_second * scale * _MINUTE, 3),
            now=now,
        )
        if verdict.status != 200:
            raise self._refusal(verdict)

    def _refusal(self, verdict: limits.Verdict) -> errors.KrakenError:
        if verdict.status == 418:
            return errors.lockout()
        return errors.counter_full(carried_on=verdict.carried_on)

    def _check_permission(self, found: endpoint.Endpoint, context: endpoint.Context) -> None:
        if found.permission and found.permission not in security.PERMISSIONS[context.caller.role]:
            raise errors.permission()


def _refused(error: errors.KrakenError, seconds: int | None = None) -> Answer:
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Answer(error.status, orjson.dumps(error.body), headers)
