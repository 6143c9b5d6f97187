"""KuCoin: main account (funding), trading accounts, margin, earn; windows of seven days.

Coins arrive in the main account and leave from there. The amounts of transfers are net, their
fees on top; an arriving transfer can cost a fee as well. Fills since the trading account became
the "high-frequency" one are told per symbol, older ones for all symbols at once; both name a fill
alike. The ledger is asked a day at a time, a year back, for rewards and for moves between wallets.
Transfers before 2019-02-18 have lists of their own.
"""

import re
from collections.abc import Iterator, Sequence
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
    Following,
    Holding,
    KeyCheck,
    Surroundings,
    WalletCall,
    Windows,
    at,
    by_cursor,
    by_total,
    the_list,
    under,
)
from exchanges.gateway.dialects.facts import PENDING, SETTLED
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Privileges, Reward, Ticker, TradeKind, Wallet

OPENED = at(2017, 9)
SECOND_VERSION = at(2019, 2, 18)  # older records lie elsewhere
HIGH_FREQUENCY = at(2022, 11)
# Tickers that other exchanges use for other coins.
NAMES = {
    "XBT": "BTC", "BCHSV": "BSV", "BIFI": "BIFIF", "VAI": "VAIOT", "WAX": "WAXP",
    "ALT": "APTOSLAUNCHTOKEN", "KALT": "ALT", "FUD": "FTXDEBT",
}  # fmt: skip
ACCOUNTS = {
    "main": Wallet.FUNDING, "trade": Wallet.SPOT, "trade_hf": Wallet.SPOT, "": Wallet.SPOT,
    "margin": Wallet.MARGIN, "margin_v2": Wallet.MARGIN, "isolated": Wallet.MARGIN,
    "isolated_v2": Wallet.MARGIN, "contract": Wallet.FUTURES,
}  # fmt: skip


def private(method: str, weight: float, **fixed: Any) -> Call:
    """A call that draws from the account's 4,000 in half a minute."""
    return Call(method, weight, Pool("account", 8000), per_account=True, fixed=fixed)


def public(method: str, weight: float, **fixed: Any) -> Call:
    """A call that draws from the address's 2,000 in half a minute."""
    return Call(method, weight, Pool("ip", 4000), fixed=fixed)


# --- balances -----------------------------------------------------------------------------------


def accounts(*kinds: str) -> Any:
    """Parses the list of accounts, of which only some kinds are meant."""
    total = facts.balance_of("balance")

    def parse(answer: Any, around: Surroundings) -> Iterator[Holding]:
        for row in the_list(answer["data"]):
            try:
                if (kind := rows.text(row, "type").lower()) not in kinds:
                    continue
                held = Holding(facts.coin(row, "currency", names=NAMES), total(row), ACCOUNTS[kind])
            except (BadRow, AttributeError, TypeError) as problem:
                around.bad.append((str(problem), row))
                continue
            if held.quantity:
                yield held

    return parse


def trading(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """The trading accounts, or the unified account that may have replaced them."""
    if isinstance(answer["data"], list):
        return accounts("trade", "trade_hf", "", "margin", "isolated")(answer, around)
    held = [row for part in answer["data"]["accounts"] for row in part.get("currencies") or []]
    net = facts.balance_of("balance", less=("liability",))
    return facts.holdings(lambda _: held, "currency", net, names=NAMES)(answer, around)


def margin_quantity(row: Row) -> Decimal:
    """What is there less what is borrowed."""
    owed = rows.quantity_or_zero(row, "liability") + rows.quantity_or_zero(row, "interest")
    return rows.quantity(row, "total", "totalBalance") - owed


def isolated(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Base and quote of each isolated pair, net of what is borrowed."""
    sides = [
        pair[side]
        for pair in under("data", "assets")(answer)
        for side in ("baseAsset", "quoteAsset")
    ]
    return facts.holdings(lambda _: sides, "currency", margin_quantity, names=NAMES)(answer, around)


def _pages(answer: Any) -> int:
    return int(answer["data"].get("totalNum") or 0)


WALLETS = (
    WalletCall(
        wallet=Wallet.SPOT, call=private("privateGetAccounts", 5), parse=trading,
        otherwise=private("utaPrivateGetAccountModeAccountBalance", 5, accountMode="unified"),
    ),
    WalletCall(
        wallet=Wallet.FUNDING, call=private("privateGetAccounts", 5, type="main"),
        parse=accounts("main"),
    ),
    WalletCall(
        wallet=Wallet.EARN, call=private("earnGetEarnHoldAssets", 10, pageSize=100),
        parse=facts.earned(
            facts.holdings(
                under("data", "items"), "currency", facts.first("holdAmount"), names=NAMES
            )
        ),
        page="currentPage", total=_pages, optional=True, needs_earn=True,
    ),
    WalletCall(
        wallet=Wallet.MARGIN, call=private("privateGetMarginAccounts", 15),
        parse=facts.holdings(under("data", "accounts"), "currency", margin_quantity, names=NAMES),
        optional=True, rarely=True,
    ),
    WalletCall(
        wallet=Wallet.MARGIN, call=private("privateGetIsolatedAccounts", 15), parse=isolated,
        optional=True, rarely=True,
    ),
)  # fmt: skip


# --- trades -------------------------------------------------------------------------------------


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill. Ids count per symbol, so the symbol is part of ours."""
    symbol = rows.code(row, "symbol")
    fee_coin = facts.coin(row, "feeCurrency", names=NAMES) if row.get("feeCurrency") else None
    yield facts.fill(
        f"{symbol}:{name}", of=facts.pair(symbol, "-", names=NAMES), side=facts.side(row),
        amount=rows.quantity(row, "size"), price=rows.quantity(row, "price"),
        paid=rows.quantity_or_zero(row, "funds"),
        fee=(fee_coin, rows.quantity_or_zero(row, "fee")), order_id=rows.text(row, "orderId"),
        wallet=_traded_in(row), occurred_at=rows.milliseconds(row, "createdAt"),
    )  # fmt: skip


def _traded_in(row: Row) -> str:
    """``TRADE``, ``MARGIN_TRADE`` or ``MARGIN_ISOLATED_TRADE``."""
    return Wallet.MARGIN if rows.text(row, "tradeType").startswith("MARGIN") else Wallet.SPOT


_CONVERTED = {"success": True, "open": None, "fail": None, "cancel": None, "": True}


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A completed conversion; its fee is in the rate."""
    if facts.outcome(row, _CONVERTED):
        sold = rows.quantity(row, "fromCurrencySize", "fromSize")
        bought = rows.quantity(row, "toCurrencySize", "toSize")
        yield facts.swap(
            name, feed="conversions", kind=TradeKind.CONVERSION,
            sold=(facts.coin(row, "fromCurrency", names=NAMES), sold),
            bought=(facts.coin(row, "toCurrency", names=NAMES), bought),
            wallet=Wallet.FUNDING if "FUND" in rows.text(row, "accountType") else Wallet.SPOT,
            occurred_at=facts.moment(row, "orderTime", "filledTime", "createdAt"),
        )  # fmt: skip


# --- transfers ----------------------------------------------------------------------------------

STATUSES = {
    "success": SETTLED, "processing": PENDING, "wallet_processing": PENDING, "review": PENDING,
    "failure": None, "cancel": None, "cancelled": None,
}  # fmt: skip


def outside(direction: Direction) -> Any:
    """A deposit or withdrawal: net, its fee on top. Rows of the first version have no address."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        settled = facts.outcome(row, STATUSES)
        if settled is None:
            return
        txid, _, told = rows.text(row, "walletTxId").partition("@")
        yield facts.transfer(
            name, direction, code=facts.coin(row, "currency", names=NAMES),
            quantity=rows.quantity(row, "amount"), fee=rows.quantity_or_zero(row, "fee"),
            settled=settled, wallet=Wallet.FUNDING, txid=txid,
            address=rows.text(row, "address") or told.partition("@")[0],
            network=rows.text(row, "chain"), occurred_at=facts.moment(row, "createdAt", "createAt"),
        )  # fmt: skip

    return parse


# --- the ledger ---------------------------------------------------------------------------------

_EARNED = (
    ("airdrop", "airdrop"), ("fork", "airdrop"), ("referral", "referral"), ("rebate", "rebate"),
    ("refund", "rebate"), ("staking profit", "staking"), ("staking reward", "staking"),
    ("bonus", "bonus"), ("reward", "reward"), ("distribution", "distribution"),
    ("interest", "interest"), ("profit", "interest"), ("commission", "commission"),
    ("cashback", "cashback"),
)  # fmt: skip
_TO_EARN = re.compile(r"^(staking|pool-x|kucoin earn|lending|redemption|subscription)\b", re.I)


def ledger(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """An entry that no other feed tells. The main account tells both sides of a move."""
    wallet = ACCOUNTS.get(rows.text(row, "accountType").lower(), Wallet.SPOT)
    kind = rows.text(row, "bizType").replace("_", " ")
    reason = next((reason for word, reason in _EARNED if word in kind.lower()), None)
    moved = wallet == Wallet.FUNDING and (kind.lower() == "transfer" or _TO_EARN.match(kind))
    if not (reason or moved):
        return
    change, code = _change(row), facts.coin(row, "currency", names=NAMES)
    if not change:
        return
    when = rows.milliseconds(row, "createdAt")
    if reason:
        yield Reward("ledger", name, reason, code, change, wallet, when)
    else:
        there = Wallet.SPOT if kind.lower() == "transfer" else Wallet.EARN
        yield facts.moved_by(name, change, code=code, here=wallet, there=there, occurred_at=when)


def _change(row: Row) -> Decimal:
    """The change of the balance, the fee included."""
    direction = rows.text(row, "direction").lower()
    if direction not in ("in", "out"):
        raise BadRow("direction is neither in nor out")
    amount = abs(rows.quantity(row, "amount"))
    return amount if direction == "in" else -amount


# --- feeds --------------------------------------------------------------------------------------

_TIMES: dict[str, Any] = {"since": "startAt", "until": "endAt", "size": "pageSize"}
_BY_PAGE: dict[str, Any] = {"page": "currentPage", "following": by_total("data", "totalPage")}
_WEEKS = Windows(timedelta(days=7), 500, **_TIMES, **_BY_PAGE)
_MONTHS = replace(_WEEKS, length=timedelta(days=30))
_DAYS = replace(_WEEKS, length=timedelta(days=1))
_FIRST_VERSION = replace(_WEEKS, length=timedelta(days=20 * 365), since="", until="")
_ITEMS = under("data", "items")


def _last_id(limit: int) -> Following:
    told = by_cursor("data", "lastId")
    return lambda answer, found, read: told(answer, found, read) if len(found) >= limit else ""


def _transfers(direction: Direction, weight: float) -> tuple[Feed, Feed]:
    """What is told since 2019, and the older list."""
    name, stable = f"{direction}s", ("currency", "amount", "walletTxId", "address")
    now = Feed(
        name=name, call=private(f"privateGet{name.capitalize()}", weight), paging=_MONTHS,
        launched=SECOND_VERSION, rows=_ITEMS, parse=outside(direction),
        stable=(*stable, "createdAt"),
    )  # fmt: skip
    old = replace(
        now, name=f"old_{name}", call=private(f"privateGetHist{name.capitalize()}", weight),
        paging=_FIRST_VERSION, launched=OPENED, stable=(*stable, "createAt"), optional=True,
    )  # fmt: skip
    return now, old


FEEDS = (
    Feed(
        name="trades", call=private("privateGetFills", 10), paging=_WEEKS,
        launched=SECOND_VERSION, rows=_ITEMS, parse=fill, id_field="tradeId",
    ),
    *_transfers(Direction.DEPOSIT, 5),
    *_transfers(Direction.WITHDRAWAL, 20),
    Feed(
        name="conversions", call=private("privateGetConvertOrderHistory", 5),
        paging=replace(_MONTHS, limit=100, page="page"), launched=at(2023), rows=_ITEMS,
        parse=conversion, id_field="orderId", optional=True,
    ),
    Feed(
        name="ledger", call=private("privateGetAccountsLedgers", 2), paging=_DAYS,
        launched=SECOND_VERSION, horizon=timedelta(days=364), rows=_ITEMS, parse=ledger,
    ),
    Feed(  # last: the others reveal which symbols to ask for
        name="hf_trades", call=private("privateGetHfFills", 2),
        paging=Windows(
            timedelta(days=7), 100, since="startAt", until="endAt", page="lastId",
            following=_last_id(100),
        ),
        launched=HIGH_FREQUENCY, horizon=timedelta(days=90), tries_older=True, rows=_ITEMS,
        parse=fill, id_field="tradeId", scoped=True,
    ),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``user/api-key`` says."""
    trade = ("trade", "spot", "margin", "futures", "earn")
    allowed = answer["data"]["permission"]
    return facts.by_words(allowed, trade=trade, withdraw=("transfer", "withdraw"))


def restricted(answer: Any) -> bool | None:
    """Whether the key is bound to addresses."""
    return facts.bound(answer["data"].get("ipWhitelist"))


async def load_markets(client: Any) -> Markets:
    """The spot list alone: ccxt would load the futures as well."""
    answer = await client.publicGetSymbols()
    return facts.markets(
        under("data")(answer), name="symbol", base="baseCurrency", quote="quoteCurrency",
        names=NAMES,
    )  # fmt: skip


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """All spot prices."""
    return facts.tickers(
        under("data", "ticker")(answer), markets, now, name="symbol", last="last",
        opened=lambda row, last: last - rows.quantity(row, "changePrice"),
    )  # fmt: skip


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``candles`` is asked."""
    length = {"1h": "1hour", "1d": "1day"}[interval]
    times = {"startAt": since // 1000, "endAt": until // 1000}
    return (), {"symbol": market, "type": length} | times


def candle_rows(answer: Any) -> Sequence[Any]:
    """From (seconds, open, close, high, low, …) to the usual order."""
    return [
        (int(start) * 1000, opened, high, low, close)
        for start, opened, close, high, low, *_ in under("data")(answer)
    ]


DIALECT = Dialect(
    id="kucoin",
    wallets=WALLETS,
    feeds=FEEDS,
    key_check=KeyCheck(
        call=private("privateGetUserApiKey", 20), read=privileges, restricted=restricted
    ),
    error_codes={
        "400001": errors.WrongKey,
        "400002": errors.WrongClock,
        "400003": errors.WrongKey,
        "400004": errors.WrongKey,
        "400005": errors.WrongKey,
        "400006": errors.AddressNotAllowed,
        "400007": errors.MissingPermission,
        "411100": errors.WrongKey,
        "429000": errors.RateLimited,
        "1015": errors.RateLimited,
        "200002": errors.RateLimited,
        "900001": errors.SymbolUnknown,
        "400600": errors.SymbolUnknown,
        "500000": errors.Unreachable,
        "503000": errors.OnMaintenance,
        "101030": errors.Unsupported,  # no margin account
        "112010": errors.Unsupported,  # no unified account
    },
    needs_markets=True,
    markets_optional=True,
    load_markets=load_markets,
    markets_call=public("publicGetSymbols", 4),
    tickers_call=public("publicGetMarketAllTickers", 15),
    read_tickers=tickers,
    candles=CandleCall(
        call=public("publicGetMarketCandles", 3), limit=1500, asking=candles, rows=candle_rows
    ),
    major_quotes=frozenset(["USDT", "USDC", "BTC", "ETH", "KCS", "EUR"]),
    symbols=True,
)
