"""Bitfinex: three wallets in one answer, fills, movements, and what only the ledger tells.

Rows come without names, so they are named here first. Fees are below 0 where something was
charged, and above where it was a rebate. A movement's amount is net, its fee is on top, for
deposits too. A fill of a margin order is booked in the margin wallet; what the ledger says of its
position is then left out, for it is the same money again. Derivatives (``BTCF0``) move no coins:
of these the ledger's settlements count. Moves between wallets, interest, staking and corrections
come from the ledger, which also tells in which wallet a movement took place.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import shapes
from exchanges.gateway.dialects.base import (
    Bad,
    Batch,
    Call,
    CandleCall,
    Dialect,
    Feed,
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

OPENED = at(2012, 10)
LEDGER_KEPT = timedelta(days=6 * 365)
PER_MINUTE = 90  # calls by address and endpoint

# Codes that Bitfinex made up, or that stand for another coin here than elsewhere.
CODES = {
    "UST": "USDT", "EUT": "EURT", "EUS": "EURS", "UDC": "USDC", "TSD": "TUSD", "WBT": "WBTC",
    "ALG": "ALGO", "AMP": "AMPL", "ATO": "ATOM", "BCHABC": "XEC", "BCHN": "BCH", "DAT": "DATA",
    "DOG": "MDOGE", "DSH": "DASH", "EDO": "PNT", "GNT": "GLM", "HTX": "HT", "IDX": "ID",
    "IOT": "IOTA", "IQX": "IQ", "LUNA": "LUNC", "LUNA2": "LUNA", "MNA": "MANA",
    "ORS": "ORSGROUP", "PAS": "PASS", "QSH": "QASH", "QTM": "QTUM", "RBT": "RBTC",
    "SNG": "SNGLS", "STJ": "STORJ", "TERRAUST": "USTC", "YGG": "YEED", "YYW": "YOYOW",
    "VSY": "VSYS", "WAX": "WAXP", "XCH": "XCHF", "ZBT": "ZB",
}  # fmt: skip
_DERIVATIVE = "F0"
_WALLETS = {
    "exchange": Wallet.SPOT, "margin": Wallet.MARGIN, "trading": Wallet.MARGIN,
    "funding": Wallet.FUNDING, "deposit": Wallet.FUNDING,
}  # fmt: skip
_WALLET = ("wallet", "currency", "balance", "interest", "available")
_FILL = (
    "id", "symbol", "time", "order", "amount", "price", "type", "order_price", "maker", "fee",
    "fee_currency",
)  # fmt: skip
_MOVEMENT = (
    "id", "currency", "method", "", "", "started", "updated", "", "", "status", "", "", "amount",
    "fee", "", "", "address", "", "", "", "txid",
)  # fmt: skip
_LEDGER = ("id", "currency", "wallet", "time", "", "amount", "balance", "", "description")


def private(method: str) -> Call:
    """A call of a pool counted per endpoint and address."""
    return Call(method, 1, Pool(f"ip:{method}", PER_MINUTE))


def named(*names: str) -> Callable[[Any], Sequence[Any]]:
    """Rows with their fields named by position; one that is no list stays as it is."""

    def read(answer: Any) -> Sequence[Any]:
        return [_named(row, names) for row in the_list(answer)]

    return read


def _named(row: Any, names: Sequence[str]) -> Any:
    if not isinstance(row, list):
        return row
    return {name: value for name, value in zip(names, row, strict=False) if name}


def split_asset(asset: str) -> tuple[str, bool]:
    """Code, and whether it is money of the derivatives platform (``USTF0``)."""
    derivative = len(asset) > len(_DERIVATIVE) + 1 and asset.endswith(_DERIVATIVE)
    plain = asset.removesuffix(_DERIVATIVE) if derivative else asset
    return CODES.get(plain, plain), derivative


def _code(row: Row, field: str = "currency") -> str:
    return split_asset(rows.code(row, field).upper())[0]


def _wallet(row: Row) -> str:
    """The wallet that a row names; money for derivatives lies in the margin wallet there."""
    if split_asset(rows.code(row, "currency").upper())[1]:
        return Wallet.FUTURES
    told = rows.text(row, "wallet") or _wallet_in_words(rows.text(row, "description"))
    return _WALLETS.get(told.lower(), told.lower()[:16] or Wallet.SPOT)


def _wallet_in_words(description: str) -> str:
    return description.rpartition(" on wallet ")[2] if " on wallet " in description else ""


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """All wallets; what is lent out or on order is part of the balance."""
    return shapes.held(
        named(*_WALLET)(answer), around,
        lambda row: Holding(_code(row), rows.quantity(row, "balance"), _wallet(row)),
    )  # fmt: skip


# --- fills and movements ------------------------------------------------------------------------


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote of ``tBTCUSD`` or ``tETH:UST``, in the exchange's own codes."""
    pair = symbol.removeprefix("t").upper()
    base, colon, quote = pair.partition(":")
    if not colon:
        base, quote = pair[:-3], pair[-3:]
    if not (base and quote):
        raise BadRow("symbol is unknown")
    return base, quote


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill; the sign of the amount tells the side."""
    base, quote = split_symbol(rows.code(row, "symbol"))
    if split_asset(base)[1]:
        return
    amount, charged = rows.quantity(row, "amount"), -rows.quantity_or_zero(row, "fee")
    fee_code = _code(row, "fee_currency") if charged else None
    spot = rows.text(row, "type").upper().startswith("EXCHANGE") or not row.get("type")
    yield shapes.fill(
        name, (split_asset(base)[0], split_asset(quote)[0]), "buy" if amount > 0 else "sell",
        amount=amount, price=rows.quantity(row, "price"), fee=rows.fee(fee_code, charged),
        wallet=Wallet.SPOT if spot else Wallet.MARGIN, order_id=rows.text(row, "order"),
        occurred_at=rows.milliseconds(row, "time"),
    )  # fmt: skip


_STATUSES = (
    ("completed", True), ("cancel", None), ("error", None), ("fail", None), ("reject", None),
    ("pending", False), ("sending", False), ("approved", False), ("unconfirmed", False),
    ("processing", False), ("review", False),
)  # fmt: skip


def movement(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A deposit or withdrawal, told by the sign of its amount."""
    done = _settled(rows.text(row, "status").lower())
    if done is None:
        return
    amount = rows.quantity(row, "amount")
    way = Direction.DEPOSIT if amount > 0 else Direction.WITHDRAWAL
    told = around.noted.get(name)
    yield shapes.transfer(
        f"{way}s", name, way, _code(row), abs(amount),
        fee=abs(rows.quantity_or_zero(row, "fee")), done=done,
        wallet=_wallet(told) if told else Wallet.SPOT, txid=rows.text(row, "txid"),
        address=rows.text(row, "address"), network=rows.text(row, "method"),
        occurred_at=rows.milliseconds(row, "started"),
    )  # fmt: skip


def _settled(status: str) -> bool | None:
    if status == "pending cancellation":
        return False
    for word, meaning in _STATUSES:
        if word in status:
            return meaning
    raise BadRow("status is unknown")


# --- the ledger ---------------------------------------------------------------------------------

# What fills and movements tell already, and what margin fills add up to.
_ELSEWHERE = re.compile(
    r"^(exchange \S+ \S+ for|trading (fee|rebate)|hidden order fee|"
    r"(crypto |wire )?deposit\b|.*\bwithdrawal\b|.*\bdeposit fee|miner fee)",
    re.IGNORECASE,
)
_OF_POSITIONS = re.compile(r"^(position\b(?!.*(funding|swap|interest))|settlement\b)", re.I)
_MOVE = re.compile(
    r"^transfer of .* from wallet (\w+)( SA\S*)? to (?:wallet )?(\w+)( SA\S*)?", re.IGNORECASE
)
_NUMBER = re.compile(r"#(\d+)")
_KINDS = (
    ("funding", "interest"), ("interest", "interest"), ("swap", "interest"),
    ("staking", "staking"), ("affiliate", "referral"), ("earned fee", "referral"),
    ("fee", "fee"), ("settlement", "settlement"), ("position", "settlement"),
)  # fmt: skip


def ledger(
    found: Mapping[str, Row], batch: Batch, around: Surroundings
) -> tuple[list[Fact], list[Bad]]:
    """Everything that neither fills nor movements tell; notes the wallets of movements."""
    facts: list[Fact] = []
    bad: list[Bad] = []
    for name, row in found.items():
        try:
            facts += _entry(name, row, around)
        except shapes.ROW_FAULTS as problem:
            bad.append((str(problem), row))
    return facts, bad


def _entry(name: str, row: Row, around: Surroundings) -> Iterator[Fact]:
    words = rows.text(row, "description")
    derivative = split_asset(rows.code(row, "currency").upper())[1]
    if _ELSEWHERE.match(words) and not derivative:
        if number := _NUMBER.search(words):
            around.noted[number[1]] = row
    elif moved := _MOVE.match(words):
        yield from _moved(name, row, moved)
    elif derivative or not _OF_POSITIONS.match(words):
        yield from _credit(name, row, words.lower())


def _moved(name: str, row: Row, moved: re.Match[str]) -> Iterator[Fact]:
    """A move is two entries: the one below 0 tells it, unless the other is somebody else's."""
    amount, source = rows.quantity(row, "amount"), _wallet(row)
    if moved[2] or moved[4]:
        way = Direction.DEPOSIT if amount > 0 else Direction.WITHDRAWAL
        yield _transfer(name, row, way, source, "")
    elif amount < 0:
        target = _WALLETS.get(moved[3].lower(), moved[3].lower()[:16])
        if target != source:
            yield _transfer(name, row, Direction.INTERNAL, source, target)


def _transfer(name: str, row: Row, way: Direction, wallet: str, counter: str) -> Fact:
    return shapes.transfer(
        "transfers", name, way, _code(row), abs(rows.quantity(row, "amount")), wallet=wallet,
        counter_wallet=counter, occurred_at=rows.milliseconds(row, "time"),
    )  # fmt: skip


def _credit(name: str, row: Row, words: str) -> Iterator[Fact]:
    amount = rows.quantity(row, "amount")
    kind = next((kind for word, kind in _KINDS if word in words), "adjustment")
    if amount:
        when = rows.milliseconds(row, "time")
        yield Reward("ledger", name, kind, _code(row), amount, _wallet(row), when)


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``permissions`` says. Raises MissingPermission when it may not see the wallets."""
    told = {scope: (str(read), str(write)) for scope, read, write, *_ in the_list(answer)}
    writes = {scope for scope, (_, write) in told.items() if write == "1"}
    if writes & {"withdraw", "ui_withdraw"}:
        return Privileges.WITHDRAW
    if writes:
        return Privileges.TRADE
    if told["wallets"][0] != "1":
        raise errors.MissingPermission
    return Privileges.READ_ONLY


async def load_markets(client: Any) -> Markets:
    """Spot pairs, straight from the public configuration; derivatives are a list of their own."""
    (pairs,) = await client.publicGetConfConfig({"config": "pub:list:pair:exchange"})
    split = ((pair, *split_symbol(pair)) for pair in the_list(pairs))
    return Markets(
        Market(f"t{pair}", split_asset(base)[0], split_asset(quote)[0])
        for pair, base, quote in split
        if not split_asset(base)[1]
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``tickers``: symbol, …, the day's change (5), its rate, the latest price (7)."""

    def read(row: Any) -> Ticker | None:
        last, change = (rows.number(row[place], field="last") for place in (7, 5))
        return shapes.ticker(markets, row[0], last, last - change, now)

    return shapes.tickers(the_list(answer), read)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``candles`` is asked, oldest first."""
    times = {"start": since, "end": until - 1, "sort": 1}
    shown = {"1d": "1D"}.get(interval, interval)
    return (), {"symbol": market, "timeframe": shown, "limit": limit} | times


def candle_rows(answer: Any) -> list[Any]:
    """Start in milliseconds, open, high, low, close, volume: Bitfinex tells the close second."""
    return [
        [*row[:2], row[3], row[4], row[2], *row[5:]]
        if isinstance(row, list) and len(row) > 4
        else row
        for row in the_list(answer)
    ]


def _pages(limit: int) -> Windows:
    return Windows(timedelta(days=20 * 365), limit, since="start", until="end")


DIALECT = Dialect(
    id="bitfinex",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, parse=balances, call=private("privatePostAuthRWallets"),
            tells=frozenset({Wallet.MARGIN, Wallet.FUNDING, Wallet.FUTURES}),
        ),
    ),
    feeds=(
        Feed(  # first: it knows the wallets of movements
            name="ledger", call=private("privatePostAuthRLedgersHist"), paging=_pages(2500),
            launched=OPENED, horizon=LEDGER_KEPT, rows=named(*_LEDGER), interpret=ledger,
        ),
        Feed(
            name="movements", call=private("privatePostAuthRMovementsHist"), paging=_pages(250),
            launched=OPENED, rows=named(*_MOVEMENT), parse=movement,
        ),
        Feed(
            name="trades", call=private("privatePostAuthRTradesHist"), paging=_pages(1000),
            launched=OPENED, rows=named(*_FILL), parse=fill,
        ),
    ),
    key_check=KeyCheck(call=private("privatePostAuthRPermissions"), read=privileges),
    error_codes={
        "10100": errors.WrongKey,
        "10111": errors.WrongKey,
        "10112": errors.WrongKey,
        "10113": errors.WrongKey,
        "10114": errors.WrongClock,
        "10001": errors.MissingPermission,
        "11010": errors.RateLimited,
        "ERR_RATE_LIMIT": errors.RateLimited,
        "20060": errors.OnMaintenance,
        "temporarily_unavailable": errors.Unreachable,
    },
    load_markets=load_markets,
    markets_call=private("publicGetConfConfig"),
    tickers_call=Call("publicGetTickers", 1, Pool("ip:tickers", PER_MINUTE),
                      fixed={"symbols": "ALL"}),
    read_tickers=tickers,
    candles=CandleCall(
        call=Call("publicGetCandlesTradeTimeframeSymbolHist", 1, Pool("ip:candles", 30)),
        limit=10_000, asking=candles, rows=candle_rows,
    ),
)  # fmt: skip
