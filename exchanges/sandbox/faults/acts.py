"""What faults do to a request and to its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import orjson

from exchanges.sandbox import violations
from exchanges.sandbox.faults import fault as faults
from exchanges.sandbox.faults import pages
from exchanges.sandbox.faults.fault import Fault, Request
from exchanges.sandbox.wire import Answer

_DEFAULT_RETRY = 1  # seconds, for a storm that does not say how long it lasts


class DroppedError(Exception):
    """The connection is to be closed without an answer."""


def skew(met: Iterable[Fault]) -> int:
    """By how many milliseconds the exchange's clock is off for this request."""
    return sum(fault.milliseconds for fault in met if fault.kind == faults.CLOCK)


def coarse(met: Iterable[Fault]) -> int:
    """In steps of how many milliseconds times are told; 0 is as they are."""
    steps = [fault.milliseconds for fault in met if fault.kind == faults.COARSE_TIMES]
    return max(steps, default=0)


async def before(
    met: Iterable[Fault], request: Request, counted: violations.Violations
) -> Answer | None:
    """What the faults do before the request is served; an answer replaces the serving.

    Raises DroppedError.
    """
    for fault in met:
        if answer := _refusal(fault, request, counted):
            return answer
        if act := _BEFORE.get(fault.kind):
            await act(fault)
    return None


async def after(met: Iterable[Fault], answer: Answer) -> Answer:
    """What the faults make of the finished answer. Raises DroppedError."""
    for fault in met:
        if fault.kind == faults.LOST_ANSWER:
            await _lose(fault)
        elif answer.status == 200:
            answer = _changed(fault, answer)
    return answer


# --- before ---------------------------------------------------------------------------------------


def _refusal(fault: Fault, request: Request, counted: violations.Violations) -> Answer | None:
    if fault.kind == faults.STATUS:
        return _status(fault)
    if fault.kind == faults.DELISTED:
        return request.spoken.unknown_symbol()
    if fault.kind == faults.STORM:
        seconds = fault.retry_after or _left(fault, request.now) or _DEFAULT_RETRY
        subject = f"{request.call.address} {request.account}"
        _note(fault, subject, request, seconds, violations.OVER_LIMIT_AFTER_429, counted)
        return request.spoken.slow_down(seconds=seconds)
    if fault.kind == faults.BAN:
        seconds = _left(fault, request.now)
        kind = violations.REQUEST_DURING_BAN
        _note(fault, request.call.address, request, seconds, kind, counted)
        return request.spoken.banned(now=request.now, seconds=seconds)
    return None


def _left(fault: Fault, now: int) -> int:
    """Seconds until the fault ends by itself, a part counted as one."""
    return -(-(fault.until - now) // 1000) if fault.until else 0


def _note(
    fault: Fault,
    subject: str,
    request: Request,
    seconds: int,
    kind: str,
    counted: violations.Violations,
) -> None:
    """Who was told to stay away and comes all the same breaks the rules; the first time tells."""
    if request.now < fault.told.get(subject, 0):
        counted.note(kind, request.call.address)
    else:
        fault.told[subject] = request.now + seconds * 1000


def _status(fault: Fault) -> Answer:
    if isinstance(fault.body, str | None):
        return Answer(fault.status, (fault.body or "").encode(), fault.headers)
    return Answer(fault.status, orjson.dumps(fault.body), fault.headers)


async def _hang(fault: Fault) -> None:
    await fault.ended.wait()


async def _delay(fault: Fault) -> None:
    await asyncio.sleep(fault.seconds)


async def _drop(fault: Fault) -> None:
    raise DroppedError


_BEFORE: dict[str, Callable[[Fault], Awaitable[None]]] = {
    faults.HANG: _hang,
    faults.DELAY: _delay,
    faults.DROP: _drop,
}


# --- after ----------------------------------------------------------------------------------------


async def _lose(fault: Fault) -> None:
    """The request took effect, and its answer never arrives."""
    if fault.by == faults.HANG:
        await fault.ended.wait()
    raise DroppedError


def _changed(fault: Fault, answer: Answer) -> Answer:
    if fault.kind == faults.DRIP:
        return replace(answer, seconds=fault.seconds)
    if fault.kind == faults.TRUNCATE:
        return replace(answer, body=answer.body[: len(answer.body) // 2])
    if fault.kind == faults.GARBAGE and fault.broken == "json":
        return replace(answer, body=b"<html>" + answer.body)
    if fault.kind == faults.SCHEMA and fault.change == faults.ENVELOPE:
        return replace(answer, body=b'{"version":2,"data":{"items":' + answer.body + b"}}")
    if change := pages.CHANGES.get(fault.kind):
        return replace(answer, body=pages.changed(answer.body, fault, change))
    return answer
