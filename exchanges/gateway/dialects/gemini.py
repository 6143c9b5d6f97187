"""Gemini: fills by symbol, transfers of every kind, and staking as a wallet of its own.

Fills and transfers are given oldest first from an instant on, without an end. A withdrawal's
amount is net, its fee is on top. A deposit that was advanced (``Advanced``) comes again as
``Complete`` under a new number that names the old one, so the old one is its name here. Symbols
are one word (``btcusd``), so they are split by their quote. Nonces must rise, and a key belongs
to one account.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import shapes
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Dialect,
    Feed,
    Forward,
    Holding,
    KeyCheck,
    Surroundings,
    WalletCall,
    Windows,
    at,
    the_list,
)
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Privileges, Reward, Ticker, Wallet

OPENED = at(2015, 10)
STAKING_OPENED = at(2022, 8)
KEY = Pool("key", 600)
TRANSFERS = Pool("transfers", 12)  # one in five seconds and account
IP = Pool("ip", 120)
_QUOTES = (
    "rlusd", "usdt", "usdc", "gusd", "usd", "eur", "gbp", "sgd", "btc", "eth", "fil", "dai",
    "bch", "ltc", "sol",
)  # fmt: skip
_NOT_GUSD = {"paxgusd"}  # where the g belongs to the base
_STATUSES: shapes.Meanings = {
    "complete": True, "advanced": True, "": True, "pending": False, "awaiting": False,
    "processing": False, "cancelled": None, "canceled": None, "failed": None, "rejected": None,
    "returned": None, "reversed": None,
}  # fmt: skip
_WAYS = {"deposit": Direction.DEPOSIT, "withdrawal": Direction.WITHDRAWAL}
_CREDITS = {"reward": 1, "admincredit": 1, "admindebit": -1}


def private(method: str, pool: Pool = KEY, **fixed: Any) -> Call:
    """A private call; Gemini counts them by account."""
    return Call(method, 1, pool, per_account=True, fixed=fixed)


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """Base and quote; None for a derivative. Raises BadRow."""
    word = symbol.lower()
    if word.endswith("perp"):
        return None
    for quote in _QUOTES:
        if quote == "gusd" and word in _NOT_GUSD:
            continue
        if word.endswith(quote) and word != quote:
            return word.removesuffix(quote).upper(), quote.upper()
    raise BadRow("symbol is unknown")


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """``amount`` holds what is on order as well."""
    return shapes.held(the_list(answer), around, lambda row: _held(row, "amount"))


def staked(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Staked coins; they are no part of the other balances."""
    for holding in shapes.held(the_list(answer), around, lambda row: _held(row, "balance")):
        around.earn_seen = True
        yield holding


def _held(row: Row, field: str) -> Holding:
    return Holding(rows.code(row, "currency").upper(), rows.quantity(row, field))


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill; older ones do not name their symbol, which was asked for. Broken ones are void."""
    pair = split_symbol(rows.text(row, "symbol") or around.scope)
    if pair is None or row.get("break"):
        return
    charged = rows.quantity_or_zero(row, "fee_amount")
    fee_code = rows.code(row, "fee_currency").upper() if charged else None
    yield shapes.fill(
        name, pair, shapes.side(row, "type"), amount=rows.quantity(row, "amount"),
        price=rows.quantity(row, "price"), fee=rows.fee(fee_code, charged),
        order_id=rows.text(row, "order_id"), occurred_at=_when(row),
    )  # fmt: skip


def _when(row: Row) -> datetime:
    if row.get("timestampms") not in (None, ""):
        return rows.milliseconds(row, "timestampms")
    return rows.seconds(row, "timestamp")


def transfer(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A deposit, a withdrawal, or a credit without counterpart."""
    done, kind = shapes.settled(row, _STATUSES, "status"), rows.text(row, "type").lower()
    name = rows.text(row, "advanceEid") or name
    code, amount = rows.code(row, "currency").upper(), abs(rows.quantity(row, "amount"))
    if kind in _CREDITS and done:
        word = "reward" if kind == "reward" else "adjustment"
        yield Reward(
            "rewards", name, word, code, _CREDITS[kind] * rows.positive(amount, field="amount"),
            Wallet.SPOT, _when(row),
        )  # fmt: skip
    elif kind not in _WAYS and kind not in _CREDITS:
        raise BadRow("type is unknown")
    elif done is not None and kind in _WAYS:
        yield shapes.transfer(
            f"{kind}s", name, _WAYS[kind], code, amount,
            fee=abs(rows.quantity_or_zero(row, "feeAmount")),
            fee_code=rows.text(row, "feeCurrency").upper(), done=done, occurred_at=_when(row),
            txid=rows.text(row, "txHash"), address=rows.text(row, "destination"),
            network=rows.text(row, "network", "method"),
        )  # fmt: skip


def staking_rows(answer: Any) -> list[Any]:
    """The transactions of every provider."""
    return [row for provider in the_list(answer) for row in the_list(provider["transactions"])]


def staking(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that were staked or given back, and interest, which grows what is staked."""
    kind, code = rows.text(row, "transactionType").lower(), rows.code(row, "amountCurrency")
    amount, when = rows.quantity(row, "amount"), _staking_time(row)
    if kind == "interest":
        amount = rows.positive(amount, field="amount")
        yield Reward("staking", name, "staking", code.upper(), amount, Wallet.EARN, when)
        return
    if kind not in ("deposit", "redeem"):
        raise BadRow("transactionType is unknown")
    wallets = (Wallet.SPOT, Wallet.EARN) if kind == "deposit" else (Wallet.EARN, Wallet.SPOT)
    yield shapes.transfer(
        "staking", name, Direction.INTERNAL, code.upper(), amount, wallet=wallets[0],
        counter_wallet=wallets[1], occurred_at=when,
    )  # fmt: skip


def _staking_time(row: Row) -> datetime:
    written = rows.text(row, "dateTime")
    return rows.milliseconds(row, "dateTime") if written.isdigit() else rows.moment(row, "dateTime")


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Mapping[str, Any]) -> Privileges:
    """What ``roles`` says. Raises MissingPermission for a key without a role that may read."""
    if answer.get("isFundManager") is True or answer.get("isAccountAdmin") is True:
        return Privileges.WITHDRAW
    if answer.get("isTrader") is True:
        return Privileges.TRADE
    if answer.get("isAuditor") is not True:
        raise errors.MissingPermission
    return Privileges.READ_ONLY


async def load_markets(client: Any) -> Markets:
    """Spot symbols, straight from the plain list."""
    symbols = await client.publicGetV1Symbols()
    return Markets(market for symbol in the_list(symbols) if (market := _market(symbol)))


def _market(symbol: str) -> Market | None:
    try:
        pair = split_symbol(symbol)
    except BadRow:
        return None
    return Market(symbol.lower(), *pair) if pair else None


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``pricefeed``; of the day before it tells only a rounded change."""

    def read(row: Row) -> Ticker | None:
        return shapes.ticker(markets, row["pair"].lower(), rows.quantity(row, "price"), None, now)

    return shapes.tickers(the_list(answer), read)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``candles`` is asked: it takes no times, and knows the newest only."""
    named = {"1h": "1hr", "1d": "1day"}.get(interval, interval)
    return (), {"symbol": market, "timeframe": named}


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03}Z"


DIALECT = Dialect(
    id="gemini",
    wallets=(
        WalletCall(wallet=Wallet.SPOT, parse=balances, call=private("privatePostV1Balances")),
        WalletCall(
            wallet=Wallet.EARN, parse=staked, call=private("privatePostV1BalancesStaking"),
            optional=True, needs_earn=True,
        ),
    ),
    feeds=(
        Feed(
            name="transfers", parse=transfer, rows=the_list, id_field="eid", launched=OPENED,
            call=private("privatePostV1Transfers", TRANSFERS), when=_when,
            paging=Forward(50, since="timestamp", size="limit_transfers"),
        ),
        Feed(
            name="staking", parse=staking, rows=staking_rows, id_field="transactionId",
            call=private("privatePostV1StakingHistory"), launched=STAKING_OPENED, optional=True,
            needs_earn=True,
            paging=Windows(timedelta(days=5 * 365), 500, since="since", until="until", stamp=_iso),
        ),
        Feed(  # last: the others reveal which symbols to ask for
            name="trades", parse=fill, rows=the_list, id_field="tid", launched=OPENED,
            call=private("privatePostV1Mytrades"), when=_when, scoped=True,
            paging=Forward(500, since="timestamp", size="limit_trades"),
        ),
    ),
    key_check=KeyCheck(call=private("privatePostV1Roles"), read=privileges),
    error_codes={
        "InvalidSignature": errors.WrongKey,
        "InvalidApiKey": errors.WrongKey,
        "MissingApikeyHeader": errors.WrongKey,
        "MissingRole": errors.MissingPermission,
        "MissingAccounts": errors.MissingPermission,
        "InvalidNonce": errors.WrongClock,
        "BadNonce": errors.WrongClock,
        "RateLimit": errors.RateLimited,
        "InvalidSymbol": errors.SymbolUnknown,
        "System": errors.Unreachable,
        "Maintenance": errors.OnMaintenance,
    },
    limits_by_key=True,
    needs_markets=True,
    markets_optional=True,
    load_markets=load_markets,
    markets_call=Call("publicGetV1Symbols", 1, IP),
    tickers_call=Call("publicGetV1Pricefeed", 1, IP),
    read_tickers=tickers,
    candles=CandleCall(
        call=Call("publicGetV2CandlesSymbolTimeframe", 1, IP), limit=10_000, asking=candles,
        rows=the_list,
    ),
    major_quotes=frozenset({"USD", "GUSD", "USDC", "USDT", "EUR", "GBP", "SGD", "BTC", "ETH"}),
    symbols=True,
)  # fmt: skip
