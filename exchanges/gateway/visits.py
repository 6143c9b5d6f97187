"""Visits, key checks, tickers and candles on the gateway's loop; the package's front door is
above."""

import asyncio
import logging
import time
import traceback
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from exchanges.gateway import budget, candles, clients, credentials, proxies
from exchanges.gateway.dialects import table
from exchanges.gateway.dialects.base import KeyCheck, WalletCall
from exchanges.gateway.engine import AccountVisit, Watch
from exchanges.gateway.errors import (
    GatewayError,
    KeyTooPowerful,
    Malformed,
    MissingPermission,
    TimedOut,
    Unsupported,
)
from exchanges.gateway.line import Line
from exchanges.gateway.timeline import CallLog
from exchanges.reports import (
    AccountReport,
    Candle,
    Credential,
    Listing,
    Privileges,
    SealedCredential,
    Ticker,
    Visit,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
AnyCredential = SealedCredential | Credential
GRACE = 2.0  # seconds beyond the deadline after which a visit is cut off
CATALOGUE_DEADLINE = 30.0  # seconds for one batch of tickers, one list of markets
CANDLES_DEADLINE = 30.0  # seconds for one stretch of candles
_TOO_POWERFUL = (Privileges.TRADE, Privileges.WITHDRAW)


async def visit_account(
    visit: Visit, *, deadline_seconds: float, watch: Watch | None = None
) -> AccountReport | tuple[UUID, GatewayError]:
    """One account's report, or whose visit failed and why. Never raises."""
    calls = CallLog()
    try:
        work = _visit(visit, deadline_seconds, watch, calls)
        return await _bounded(work, deadline_seconds + GRACE)
    except GatewayError as error:
        error.timeline = calls.timeline()
        return visit.connection_id, _bare(error)


async def _visit(
    visit: Visit, deadline_seconds: float, watch: Watch | None, calls: CallLog
) -> AccountReport:
    credential = credentials.opened(visit.credential)
    lane = budget.BULK if visit.first_import and visit.history else budget.URGENT
    line = _line(
        visit.exchange, deadline_seconds, account=visit.connection_id, lane=lane, calls=calls
    )
    with line.exchange.account(credential, line.proxy) as client:
        report = await AccountVisit(visit, line, client, credential, watch).report()
        if not report.complete_history or line.dialect.key_check is None:
            return report
        return await _with_key(report, line, client, line.dialect.key_check)


async def _with_key(
    report: AccountReport, line: Line, client: Any, check: KeyCheck
) -> AccountReport:
    """A report that also says what the key may do now. Raises KeyTooPowerful.

    A question that is not answered today is asked again with the next full visit.
    """
    try:
        answer = await _ask_check(line, client, check)
        told = _read_key(check, answer)
    except GatewayError:
        told = None
    if told is None:
        return replace(report, timeline=line.calls.timeline())
    privileges, restricted = told
    if privileges in _TOO_POWERFUL:
        details = {"privileges": str(privileges), "address_restricted": restricted}
        raise KeyTooPowerful(details=details)
    return replace(
        report, privileges=privileges, address_restricted=restricted, timeline=line.calls.timeline()
    )


def _read_key(check: KeyCheck, answer: Any) -> tuple[Privileges, bool | None] | None:
    try:
        return check.read(answer), check.restricted(answer)
    except (KeyError, TypeError, IndexError, AttributeError):
        return None


async def check_key(
    exchange: str, credential: AnyCredential, *, seconds: float, account: UUID | None = None
) -> Privileges:
    """What a key may do. Raises what is wrong with it, within ``seconds``."""
    return await _bounded(_check_key(exchange, credential, seconds, account), seconds)


async def _check_key(
    exchange: str, credential: AnyCredential, seconds: float, account: UUID | None
) -> Privileges:
    line = _line(exchange, seconds, account=account)
    await line.clock()
    with line.exchange.account(credentials.opened(credential), line.proxy) as client:
        privileges = await _privileges(line, client, line.dialect.key_check)
    if privileges in _TOO_POWERFUL:
        raise KeyTooPowerful(details={"privileges": privileges})
    return privileges


async def _privileges(line: Line, client: Any, check: KeyCheck | None) -> Privileges:
    if check is None:
        return await _read_something(line, client)
    try:
        return await _ask_privileges(line, client, check)
    except GatewayError as error:
        if not (check.optional and _is_no_answer(error)):
            raise
    return await _read_something(line, client)


def _is_no_answer(error: GatewayError) -> bool:
    """Whether the exchange only declined to tell what a key may do."""
    return isinstance(error, (MissingPermission, Unsupported, Malformed)) or (
        type(error) is GatewayError
    )


async def _ask_check(line: Line, client: Any, check: KeyCheck) -> Any:
    if check.before is None:
        return await line.ask(client, check.call, account="check")
    told = await line.ask(client, check.before, account="check")
    try:
        params = check.naming(told, client.apiKey)
    except (KeyError, TypeError, IndexError, AttributeError):
        params = None
    if params is None:
        raise Malformed
    return await line.ask(client, check.call, account="check", **params)


async def _ask_privileges(line: Line, client: Any, check: KeyCheck) -> Privileges:
    answer = await _ask_check(line, client, check)
    try:
        return check.read(answer)
    except (KeyError, TypeError, IndexError, AttributeError):
        pass
    raise Malformed


async def _read_something(line: Line, client: Any) -> Privileges:
    """Where the exchange does not tell, a balance shows at least that the key may read."""
    wallet = line.dialect.wallets[0]
    client.markets = client.markets or {}  # most balances need no markets …
    client.markets_by_id, client.currencies_by_id = client.markets_by_id or {}, {}
    try:
        await line.ask(client, wallet.call, account="check")
    except (Malformed, Unsupported):
        await _read_with_markets(line, client, wallet)  # … some do
    return Privileges.UNVERIFIED


async def _read_with_markets(line: Line, client: Any, wallet: WalletCall) -> None:
    await line.markets()
    if line.exchange.template.markets:
        client.set_markets_from_exchange(line.exchange.template)
    await line.ask(client, wallet.call, account="check")


async def fetch_tickers(exchange: str) -> list[Ticker]:
    """All spot tickers of an exchange in one batch."""
    return await _bounded(_fetch_tickers(exchange), CATALOGUE_DEADLINE + GRACE)


async def _fetch_tickers(exchange: str) -> list[Ticker]:
    line = _line(exchange, CATALOGUE_DEADLINE)
    dialect, read = line.dialect, line.dialect.read_tickers
    if read is None:
        raise Unsupported
    markets = await line.markets()
    answer = await line.ask(line.exchange.template, dialect.tickers_call, *dialect.tickers_args)
    try:
        return list(read(answer, markets, datetime.now(UTC)))
    except (KeyError, TypeError, AttributeError):
        pass
    raise Malformed


async def fetch_markets(exchange: str) -> list[Listing]:
    """All spot markets of an exchange."""
    return await _bounded(_fetch_markets(exchange), CATALOGUE_DEADLINE + GRACE)


async def _fetch_markets(exchange: str) -> list[Listing]:
    markets = await _line(exchange, CATALOGUE_DEADLINE).markets()
    return [Listing(found.id, found.base, found.quote) for found in markets.by_id.values()]


async def fetch_candles(
    exchange: str, market: str, interval: str, since: datetime, until: datetime
) -> list[Candle]:
    """Candles of one market in [since, until)."""
    work = candles.read(_line(exchange, CANDLES_DEADLINE), market, interval, (since, until))
    return await _bounded(work, CANDLES_DEADLINE + GRACE)


def _line(
    exchange: str,
    seconds: float,
    *,
    account: UUID | None = None,
    lane: str = budget.URGENT,
    calls: CallLog | None = None,
) -> Line:
    found, proxy = clients.exchange(exchange), proxies.of_account(exchange, account)
    return Line(
        found, table.dialect(exchange), deadline=time.monotonic() + seconds, proxy=proxy,
        lane=lane, calls=calls,
    )  # fmt: skip


async def bounded(work: Coroutine[Any, Any, T]) -> T:
    """The result of work that asks the exchange for its markets at most."""
    return await _bounded(work, CATALOGUE_DEADLINE + GRACE)


async def _bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The result of ``work``, or an error of ours that remembers no frame of the work.

    Frames hold answers, and answers can hold keys: tools that report errors show both.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except GatewayError as error:
        problem = _bare(error)
    except TimeoutError:
        problem = TimedOut()
    except Exception as error:
        problem = Malformed()
        logger.error("a visit met a fault: %s at %s", type(error).__name__, _place(error))
    raise problem


def _bare(error: GatewayError) -> GatewayError:
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
