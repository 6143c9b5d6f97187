"""Gate: spot (or the unified account that replaces it), isolated margin and earn; windows of
thirty days, pages by number.

Coins arrive in spot and leave from there. A withdrawal's amount is gross: its fee is inside. A
fill can be charged in three ways at once: in what was received, in GT, in points. Spot's ledger is
read for what no other feed tells: moves to margin, futures and earn, and rewards.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import facts
from exchanges.gateway.dialects.base import (
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
    by_number,
    by_offset,
    the_list,
)
from exchanges.gateway.dialects.facts import PENDING, SETTLED, Fee
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row, millis
from exchanges.reports import Direction, Fact, Privileges, Reward, Ticker, TradeKind, Wallet

OPENED = at(2017)
# Tickers that other exchanges use for other coins.
NAMES = {
    "XBT": "BTC", "BCHSV": "BSV", "ORT": "XREATORS", "ASS": "ASSF", "88MPH": "MPH",
    "AXIS": "AXISDEFI", "BIFI": "BITCOINFILE", "BOX": "DEFIBOX", "BYN": "BEYONDFI",
    "EGG": "GOOSEFINANCE", "GTC": "GAMECOM", "HIT": "HITCHAIN", "MM": "MILLION",
    "MPH": "MORPHER", "POINT": "GATEPOINT", "RAI": "RAIREFLEXINDEX", "SBTC": "SUPERBITCOIN",
    "TNC": "TRINITYNETWORKCREDIT", "VAI": "VAIOT", "TRAC": "TRACO",
}  # fmt: skip
# A coin may be named with its network: ``USDT_TRX`` is USDT.
_NETWORK = re.compile(r"_(TRX|ETH|BSC|SOL|HT|HECO|OKT|MATIC|ARB\w*|OP\w*|BASE|AVAX\w*|TON|BTC)$")
_MANY = 10**9


def private(method: str, per_minute: float = 900, **fixed: Any) -> Call:
    """A call that is counted per account and endpoint."""
    return Call(method, 1, Pool(method, per_minute), per_account=True, fixed=fixed)


def public(method: str) -> Call:
    """A call that is counted per address and endpoint."""
    return Call(method, 1, Pool(method, 1200))


def coin(row: Row, *fields: str) -> str:
    """A coin's code without its network. Raises BadRow."""
    code = _NETWORK.sub("", rows.code(row, *fields).upper())
    return NAMES.get(code, code)


# --- balances -----------------------------------------------------------------------------------


def held(listed: Callable[[Any], Sequence[Any]], code: str, quantity: facts.Quantity) -> Any:
    """Parses balances, with codes in Gate's spelling."""
    return facts.holdings(
        lambda answer: [_spelled(row, code) for row in listed(answer)], code, quantity
    )


def _spelled(row: Any, code: str) -> Any:
    try:
        return {**row, code: coin(row, code)}
    except (BadRow, AttributeError, TypeError):
        return row  # noted by whoever reads it


def keyed(name: str) -> Callable[[Any], Sequence[Any]]:
    """Rows of an object keyed by coin, each with its coin."""

    def read(answer: Any) -> Sequence[Any]:
        found = answer[name].items()
        return [{**row, "currency": code} if isinstance(row, dict) else row for code, row in found]

    return read


_NET = facts.balance_of("available", "locked", less=("borrowed", "interest"))


def spot(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """The spot account, or the unified account that may have replaced it."""
    if isinstance(answer, list):
        parse = held(the_list, "currency", facts.balance_of("available", "locked"))
    else:
        parse = held(keyed("balances"), "currency", _unified)
    yield from parse(answer, around)


def _unified(row: Row) -> Decimal:
    """What is free and frozen, less what is borrowed."""
    owed = rows.quantity_or_zero(row, "borrowed")
    return rows.quantity(row, "available") + rows.quantity_or_zero(row, "freeze") - owed


def margin_rows(answer: Any) -> Sequence[Any]:
    """Base and quote of each isolated pair."""
    return [pair[side] for pair in the_list(answer) for side in ("base", "quote")]


def _goes_on(answer: Any) -> int:
    """How many rows there are: unknown, so as long as pages are full, many."""
    return _MANY if len(the_list(answer)) >= 100 else 0


WALLETS = (
    WalletCall(
        wallet=Wallet.SPOT, call=private("privateSpotGetAccounts"), parse=spot,
        otherwise=private("privateUnifiedGetAccounts"),
    ),
    WalletCall(
        wallet=Wallet.EARN, call=private("privateEarnGetUniLends", limit=100),
        parse=facts.earned(held(the_list, "currency", facts.first("amount", "current_amount"))),
        page="page", total=_goes_on, optional=True, needs_earn=True,
    ),
    WalletCall(
        wallet=Wallet.EARN, call=private("privateEarnGetStakingAssets"),
        parse=facts.earned(
            held(
                the_list, "mortgage_coin", facts.balance_of("mortgage_amount", "freeze_amount")
            )
        ),
        optional=True, needs_earn=True,
    ),
    WalletCall(
        wallet=Wallet.MARGIN, call=private("privateMarginGetAccounts"),
        parse=held(margin_rows, "currency", _NET), optional=True, rarely=True,
    ),
)  # fmt: skip


# --- trades -------------------------------------------------------------------------------------


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill, and what it cost beyond one fee."""
    symbol = rows.code(row, "currency_pair")
    fees = [fee for fee in _fees(row) if fee[1]] or [(None, Decimal())]
    trade = facts.fill(
        f"{symbol}:{name}", of=facts.pair(symbol, "_", names=NAMES), side=facts.side(row),
        amount=rows.quantity(row, "amount"), price=rows.quantity(row, "price"), fee=fees[0],
        order_id=rows.text(row, "order_id"), wallet=_traded_in(row), occurred_at=_when(row),
    )  # fmt: skip
    yield trade
    yield from facts.further_fees(trade, fees[1:])


def _fees(row: Row) -> Iterator[Fee]:
    amount = rows.quantity_or_zero(row, "fee")
    yield (coin(row, "fee_currency") if amount else None), amount
    yield "GT", rows.quantity_or_zero(row, "gt_fee")
    yield NAMES["POINT"], rows.quantity_or_zero(row, "point_fee")


def _traded_in(row: Row) -> str:
    return Wallet.MARGIN if rows.text(row, "account") == "margin" else Wallet.SPOT


def _when(row: Row) -> datetime:
    if rows.text(row, "create_time_ms"):
        return rows.milliseconds(row, "create_time_ms")
    return facts.moment(row, "create_time")


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A flash swap that succeeded; its fee is in the rate."""
    if facts.outcome(row, {"1": True, "2": None}):
        yield facts.swap(
            name, feed="conversions", kind=TradeKind.CONVERSION,
            sold=(coin(row, "sell_currency"), rows.quantity(row, "sell_amount")),
            bought=(coin(row, "buy_currency"), rows.quantity(row, "buy_amount")),
            occurred_at=facts.moment(row, "create_time"),
        )  # fmt: skip


def dust(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A small balance turned into GT."""
    yield facts.swap(
        name, feed="dust", kind=TradeKind.DUST,
        sold=(coin(row, "currency"), rows.quantity(row, "amount")),
        bought=("GT", rows.quantity(row, "gt_amount")),
        occurred_at=facts.moment(row, "create_time"),
    )  # fmt: skip


# --- transfers ----------------------------------------------------------------------------------

STATUSES: Mapping[str, bool | None] = {
    "done": SETTLED, "bcode": SETTLED, "cancel": None, "fail": None, "invalid": None,
    "request": PENDING, "manual": PENDING, "pend": PENDING, "dmove": PENDING, "verify": PENDING,
    "proces": PENDING, "extpend": PENDING, "splitpend": PENDING, "review": PENDING,
    "locked": PENDING, "track": PENDING, "blocked": PENDING, "depcode": SETTLED,
}  # fmt: skip


def deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that arrived."""
    quantity = abs(rows.quantity(row, "amount"))
    yield from _outside(row, name, Direction.DEPOSIT, quantity, Decimal())


def withdrawal(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins sent: the amount is gross, the fee inside."""
    fee = rows.quantity_or_zero(row, "fee", "fee_amount")
    net = facts.net_of(abs(rows.quantity(row, "amount")), fee)
    yield from _outside(row, name, Direction.WITHDRAWAL, net, fee)


def _outside(
    row: Row, name: str, direction: Direction, quantity: Decimal, fee: Decimal
) -> Iterator[Fact]:
    settled = facts.outcome(row, STATUSES)
    if settled is not None:
        yield facts.transfer(
            name, direction, code=coin(row, "currency"), quantity=quantity, fee=fee,
            settled=settled, wallet=Wallet.SPOT, txid=rows.text(row, "txid"),
            address=rows.text(row, "address"), network=rows.text(row, "chain"),
            occurred_at=facts.moment(row, "timestamp"),
        )  # fmt: skip


# --- the ledger ---------------------------------------------------------------------------------

_EARNED = (
    ("referral", "referral"), ("airdrop", "airdrop"), ("rebate", "rebate"), ("bonus", "bonus"),
    ("reward", "reward"), ("dividend", "dividend"), ("interest", "interest"),
    ("profit", "interest"), ("cashback", "cashback"), ("commission", "commission"),
    ("staking_income", "staking"),
)  # fmt: skip
_PLACES = (
    ("cross_margin", Wallet.MARGIN), ("margin", Wallet.MARGIN), ("futures", Wallet.FUTURES),
    ("delivery", Wallet.FUTURES), ("lend", Wallet.EARN), ("redeem", Wallet.EARN),
    ("staking", Wallet.EARN), ("earn", Wallet.EARN),
)  # fmt: skip


def ledger(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A reward, or a move to or from another wallet."""
    kind, change = rows.text(row, "type").lower(), rows.quantity_or_zero(row, "change")
    reason = next((reason for word, reason in _EARNED if word in kind), None)
    there = next((place for word, place in _PLACES if kind.startswith(word)), None)
    if not change or not (reason or there):
        return
    code, when = coin(row, "currency"), facts.moment(row, "time")
    if reason:
        yield Reward("ledger", name, reason, code, change, Wallet.SPOT, when)
    else:
        yield facts.moved_by(
            name, change, code=code, here=Wallet.SPOT, there=str(there), occurred_at=when
        )


def interest(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Interest that was lent again; what is paid into spot stands in spot's ledger."""
    if rows.text(row, "interest_status") == "interest_reinvest" and rows.text(row, "status") == "1":
        yield Reward(
            "earn_rewards", name, "interest", coin(row, "currency"),
            rows.positive(rows.quantity(row, "interest"), field="interest"), Wallet.EARN,
            facts.moment(row, "create_time"),
        )  # fmt: skip


# --- feeds --------------------------------------------------------------------------------------


def _seconds(instant: datetime) -> int:
    return millis(instant) // 1000


_MONTHS = Windows(
    timedelta(days=30), 1000, since="from", until="to", stamp=_seconds,
    smallest=timedelta(seconds=1), page="page", following=by_number(1000),
)  # fmt: skip
_BY_OFFSET = replace(_MONTHS, limit=500, page="offset", following=by_offset(500))
_ALL = replace(
    _MONTHS, length=timedelta(days=20 * 365), since="", until="", limit=100,
    following=by_number(100),
)  # fmt: skip

FEEDS = (
    Feed(
        name="trades", call=private("privateSpotGetMyTrades"), paging=_MONTHS, launched=OPENED,
        rows=the_list, parse=fill,
    ),
    Feed(
        name="deposits", call=private("privateWalletGetDeposits"), paging=_BY_OFFSET,
        launched=OPENED, rows=the_list, parse=deposit,
    ),
    Feed(
        name="withdrawals", call=private("privateWalletGetWithdrawals"), paging=_BY_OFFSET,
        launched=OPENED, rows=the_list, parse=withdrawal,
    ),
    Feed(
        name="conversions", call=private("privateFlashSwapGetOrders"), paging=_ALL,
        launched=at(2021), rows=the_list, parse=conversion, optional=True,
    ),
    Feed(
        name="dust", call=private("privateWalletGetSmallBalanceHistory"), paging=_ALL,
        launched=at(2022), rows=the_list, parse=dust, optional=True,
        stable=("currency", "amount", "gt_amount", "create_time"),
    ),
    Feed(
        name="ledger", call=private("privateSpotGetAccountBook"), paging=_MONTHS,
        launched=OPENED, rows=the_list, parse=ledger,
    ),
    Feed(
        name="earn_rewards", call=private("privateEarnGetUniInterestRecords"),
        paging=replace(_MONTHS, limit=100, following=by_number(100)), launched=at(2023),
        rows=the_list, parse=interest, id_field="", needs_earn=True, optional=True,
        stable=("currency", "interest", "create_time", "actual_rate"),
    ),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``main_keys`` says: all keys of the account, and not which of them is asking."""
    keys = [answer] if isinstance(answer, dict) else list(answer)
    if len(keys) != 1:
        return Privileges.UNVERIFIED
    writing = {perm["name"] for perm in keys[0]["perms"] if perm.get("read_only") is not True}
    if writing & {"wallet", "withdraw"}:
        return Privileges.WITHDRAW
    return Privileges.TRADE if writing else Privileges.READ_ONLY


def restricted(answer: Any) -> bool | None:
    """Whether the key is bound to addresses."""
    keys = [answer] if isinstance(answer, dict) else list(answer)
    return facts.bound(keys[0].get("ip_whitelist")) if len(keys) == 1 else None


def complete(client: Any) -> None:
    """ccxt knows the calls of flash swaps and not their address, which is that of all others."""
    addresses = client.urls["api"]["private"]
    addresses.setdefault("flash_swap", addresses["spot"])


async def load_markets(client: Any) -> Markets:
    """The spot list alone: ccxt would load every future and option as well."""
    listed = the_list(await client.publicSpotGetCurrencyPairs())
    return facts.markets(listed, name="id", base="base", quote="quote", names=NAMES)


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """All spot prices; the price a day ago follows from the change in percent."""
    return facts.tickers(
        the_list(answer), markets, now, name="currency_pair", last="last",
        opened=lambda row, last: last / (1 + rows.quantity(row, "change_percentage") / 100),
    )  # fmt: skip


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``candlesticks`` is asked; both ends are included."""
    times = {"from": since // 1000, "to": until // 1000 - 1}
    return (), {"currency_pair": market, "interval": interval} | times


def candle_rows(answer: Any) -> Sequence[Any]:
    """From (seconds, volume, close, high, low, open, …) to the usual order."""
    return [
        (int(start) * 1000, opened, high, low, close)
        for start, _, close, high, low, opened, *_ in the_list(answer)
    ]


DIALECT = Dialect(
    id="gate",
    wallets=WALLETS,
    feeds=FEEDS,
    key_check=KeyCheck(
        call=private("privateAccountGetMainKeys"), read=privileges, restricted=restricted,
        optional=True,
    ),
    error_codes={
        "INVALID_KEY": errors.WrongKey,
        "INVALID_SIGNATURE": errors.WrongKey,
        "INVALID_CREDENTIALS": errors.WrongKey,
        "AUTHENTICATION_FAILED": errors.WrongKey,
        "MISSING_REQUIRED_HEADER": errors.WrongKey,
        "REQUEST_EXPIRED": errors.WrongClock,
        "IP_FORBIDDEN": errors.AddressNotAllowed,
        "READ_ONLY": errors.MissingPermission,
        "FORBIDDEN": errors.MissingPermission,
        "USER_NOT_FOUND": errors.Unsupported,  # that kind of account was never opened
        "TOO_MANY_REQUESTS": errors.RateLimited,
        "TOO_FAST": errors.RateLimited,
        "TOO_BUSY": errors.Unreachable,
        "SERVER_ERROR": errors.Unreachable,
        "INTERNAL": errors.Unreachable,
        "INVALID_CURRENCY_PAIR": errors.SymbolUnknown,
    },
    prepare=complete,
    load_markets=load_markets,
    markets_call=public("publicSpotGetCurrencyPairs"),
    tickers_call=public("publicSpotGetTickers"),
    read_tickers=tickers,
    candles=CandleCall(
        call=public("publicSpotGetCandlesticks"), limit=1000, asking=candles, rows=candle_rows
    ),
)  # fmt: skip
