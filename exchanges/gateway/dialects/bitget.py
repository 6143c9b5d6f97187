"""Bitget: spot, funding, earn and margin; windows of ninety days, fills asked symbol by symbol.

Coins arrive in spot and leave from there. A withdrawal's amount is gross: its fee is inside. Fees
of fills and withdrawals are told below 0, and a rebate above 0; with a discount they are charged
in BGB, which the row names. An account of the newer unified kind refuses these lists and has lists
of its own, with the same rows: both are asked, and that one refuses the account is no failure. The
ledger is read for what no other feed tells: rewards, and moves to earn.
"""

import json
from collections.abc import Iterator, Sequence
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
    by_cursor,
    by_oldest,
    the_list,
    under,
)
from exchanges.gateway.dialects.facts import PENDING, SETTLED, Fee
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Privileges, Reward, Ticker, TradeKind, Wallet

OPENED = at(2019)
UNIFIED = at(2025)
# Tickers that other exchanges use for other coins.
NAMES = {
    "XBT": "BTC", "BCHSV": "BSV", "APX": "AstroPepeX", "DEGEN": "DegenReborn", "EVA": "Evadore",
    "JADE": "JadeProtocol", "OMNI": "omni", "TONCOIN": "TON",
}  # fmt: skip
QUOTES = ("USDT", "USDC", "BTC", "ETH", "BGB", "EUR", "BRL", "TRY")


def private(method: str, per_minute: float = 600, **fixed: Any) -> Call:
    """A call that is counted per account and endpoint."""
    return Call(method, 1, Pool(method, per_minute), per_account=True, fixed=fixed)


def public(method: str) -> Call:
    """A call that is counted per address and endpoint."""
    return Call(method, 1, Pool(method, 1200))


# --- balances -----------------------------------------------------------------------------------

_SPOT_QUANTITY = facts.balance_of("available", "frozen", "locked")


def spot(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """The spot account, or the unified account that may have replaced it."""
    if isinstance(answer["data"], list):
        parse = facts.holdings(under("data"), "coin", _SPOT_QUANTITY, names=NAMES)
    else:
        net = facts.first("equity", "balance")
        parse = facts.holdings(under("data", "assets"), "coin", net, names=NAMES)
    return parse(answer, around)


WALLETS = (
    WalletCall(
        wallet=Wallet.SPOT, call=private("privateSpotGetV2SpotAccountAssets"), parse=spot,
        otherwise=private("privateUtaGetV3AccountAssets", 1200),
    ),
    WalletCall(
        wallet=Wallet.FUNDING, call=private("privateSpotGetV2AccountFundingAssets"),
        otherwise=private("privateUtaGetV3AccountFundingAssets", 1200),
        parse=facts.holdings(
            under("data"), "coin", facts.balance_of("available", "frozen"), names=NAMES
        ),
    ),
    WalletCall(
        wallet=Wallet.EARN, call=private("privateEarnGetV2EarnAccountAssets"),
        parse=facts.earned(
            facts.holdings(under("data"), "coin", facts.first("amount"), names=NAMES)
        ),
        optional=True, needs_earn=True,
    ),
    *(
        WalletCall(
            wallet=Wallet.MARGIN, call=private(method), optional=True, rarely=True,
            parse=facts.holdings(under("data"), "coin", facts.first("net"), names=NAMES),
        )
        for method in (
            "privateMarginGetV2MarginCrossedAccountAssets",
            "privateMarginGetV2MarginIsolatedAccountAssets",
        )
    ),
)  # fmt: skip


# --- trades -------------------------------------------------------------------------------------


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill of either kind of account. Ids count per symbol, so the symbol is part of ours."""
    symbol = rows.code(row, "symbol")
    fees = list(_fees(row))
    trade = facts.fill(
        f"{symbol}:{name}", of=pair(symbol, around.markets), side=facts.side(row),
        amount=rows.quantity(row, "size", "execQty"),
        price=rows.quantity(row, "priceAvg", "execPrice", "price"),
        paid=rows.quantity_or_zero(row, "amount", "execValue"), fee=fees[0],
        order_id=rows.text(row, "orderId"),
        occurred_at=rows.milliseconds(row, "cTime", "createdTime"),
    )  # fmt: skip
    yield trade
    yield from facts.further_fees(trade, fees[1:])


def pair(symbol: str, markets: Markets) -> tuple[str, str]:
    """Base and quote of a symbol, which has no separator. Raises BadRow."""
    if market := markets.by_id.get(symbol):
        return market.base, market.quote
    for quote in QUOTES:  # no longer listed
        if symbol.endswith(quote) and len(symbol) > len(quote):
            base = symbol.removesuffix(quote)
            return NAMES.get(base, base), quote
    raise BadRow("symbol is unknown")


def _fees(row: Row) -> Iterator[Fee]:
    """One object, a list, or either of them written as text."""
    detail = row.get("feeDetail")
    detail = _parsed(detail) if isinstance(detail, str) else detail
    found = detail if isinstance(detail, list) else [detail]
    charged = [part for part in found if isinstance(part, dict)]
    for part in charged:
        amount = _charge(part)
        yield (facts.coin(part, "feeCoin", names=NAMES) if amount else None), amount
    if not charged:
        yield None, Decimal()


def _parsed(written: str) -> Any:
    try:
        return json.loads(written, parse_float=str) if written else None
    except ValueError:
        raise BadRow("feeDetail is not readable") from None


def _charge(part: Row) -> Decimal:
    """What was charged. Unified accounts tell it above 0, the others below."""
    if rows.text(part, "fee") and not rows.text(part, "totalFee"):
        return rows.quantity(part, "fee")
    if rows.text(part, "deduction") == "yes":
        return abs(rows.quantity(part, "totalFee", "totalDeductionFee"))
    return -rows.quantity_or_zero(part, "totalFee")


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A conversion."""
    received = facts.coin(row, "toCoin", names=NAMES)
    yield facts.swap(
        name, feed="conversions", kind=TradeKind.CONVERSION,
        sold=(facts.coin(row, "fromCoin", names=NAMES), rows.quantity(row, "fromCoinSize")),
        bought=(received, rows.quantity(row, "toCoinSize")),
        fee=(received, abs(rows.quantity_or_zero(row, "fee"))),
        occurred_at=facts.moment(row, "ts", "cTime"),
    )  # fmt: skip


def dust(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A small balance turned into BGB; one order can hold several coins."""
    if rows.text(row, "status").lower() not in ("success", ""):
        return
    code, charged = facts.coin(row, "fromCoin", names=NAMES), row.get("feeDetail")
    fees = [
        (facts.coin(part, "feeCoin", names=NAMES), abs(rows.quantity_or_zero(part, "fee")))
        for part in (charged if isinstance(charged, list) else [])
        if rows.text(part, "fee")
    ]
    trade = facts.swap(
        f"{name}:{code}", feed="dust", kind=TradeKind.DUST,
        sold=(code, rows.quantity(row, "fromAmount")),
        bought=(facts.coin(row, "toCoin", names=NAMES), rows.quantity(row, "toAmount")),
        fee=fees[0] if fees else (None, Decimal()),
        occurred_at=facts.moment(row, "ctime", "cTime"),
    )  # fmt: skip
    yield trade
    yield from facts.further_fees(trade, fees[1:])


# --- transfers ----------------------------------------------------------------------------------

STATUSES = {
    "success": SETTLED, "pending": PENDING, "pending_review": PENDING, "pending_processing":
    PENDING, "processing": PENDING, "first_reject": None, "reject": None, "fail": None,
    "pending_fail": None, "pending_review_fail": None, "wallet_fail": None, "wallet_processing":
    PENDING, "cancel": None, "canceled": None, "cancelled": None, "first_audit": PENDING,
    "recheck": PENDING,
}  # fmt: skip


def deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that arrived."""
    yield from _outside(row, name, Direction.DEPOSIT, rows.quantity(row, "size"), Decimal())


def withdrawal(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins sent: the amount is gross, the fee inside."""
    fee = abs(rows.quantity_or_zero(row, "fee"))
    net = facts.net_of(rows.quantity(row, "size"), fee)
    yield from _outside(row, name, Direction.WITHDRAWAL, net, fee)


def _outside(
    row: Row, name: str, direction: Direction, quantity: Decimal, fee: Decimal
) -> Iterator[Fact]:
    settled = facts.outcome(row, STATUSES)
    if settled is not None:
        yield facts.transfer(
            name, direction, code=facts.coin(row, "coin", names=NAMES), quantity=quantity, fee=fee,
            settled=settled, wallet=Wallet.SPOT, txid=_txid(row),
            address=rows.text(row, "toAddress"), network=rows.text(row, "chain"),
            occurred_at=rows.milliseconds(row, "cTime", "createdTime"),
        )  # fmt: skip


def _txid(row: Row) -> str:
    """A transfer inside Bitget has a number here, which is no transaction."""
    return rows.text(row, "tradeId", "recordId") if row.get("dest") != "internal_transfer" else ""


# --- the ledger ---------------------------------------------------------------------------------

_EARNED = (
    ("airdrop", "airdrop"), ("rebate", "rebate"), ("bonus", "bonus"), ("reward", "reward"),
    ("interest", "interest"), ("profit", "interest"), ("income", "interest"),
    ("cashback", "cashback"), ("commission", "commission"), ("distribut", "distribution"),
)  # fmt: skip


def bill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A reward, or a move to or from earn (group ``financial``)."""
    kind, group = rows.text(row, "businessType").lower(), rows.text(row, "groupType").lower()
    reason = next((reason for word, reason in _EARNED if word in kind), None)
    change = rows.quantity_or_zero(row, "size")
    if not change or group == "transaction" or not (reason or group == "financial"):
        return
    code, when = facts.coin(row, "coin", names=NAMES), rows.milliseconds(row, "cTime")
    if reason:
        yield Reward("ledger", name, reason, code, change, Wallet.SPOT, when)
    else:
        yield facts.moved_by(
            name, change, code=code, here=Wallet.SPOT, there=Wallet.EARN, occurred_at=when
        )


# --- feeds --------------------------------------------------------------------------------------

_DAYS_90, _DAYS_30 = timedelta(days=90), timedelta(days=30)


def _older_than(field: str, limit: int = 100) -> Windows:
    """Windows of 90 days, read by the ids that fall."""
    return Windows(_DAYS_90, limit, page="idLessThan", following=by_oldest(field, limit))


_UNIFIED = Windows(
    _DAYS_30, 100, page="cursor", following=lambda answer, found, read: _cursor(answer, found)
)


def _cursor(answer: Any, found: Sequence[Any]) -> str:
    """Lists of fills name the next page; lists of transfers go on below the last id."""
    if isinstance(answer["data"], dict):
        return str(by_cursor("data", "cursor")(answer, found, 1))
    return str(by_oldest("orderId", 100)(answer, found, 1))


def listed(name: str) -> Any:
    """Rows below ``data``, which is a list, or an object that holds it, or nothing at all."""

    def walk(answer: Any) -> Sequence[Any]:
        data = answer["data"]
        found = data.get(name) if isinstance(data, dict) else data
        return the_list(found or [])

    return walk


def _transfers(direction: Direction, parse: Any) -> tuple[Feed, Feed]:
    one = str(direction).capitalize()
    return (
        Feed(
            name=f"{direction}s", call=private(f"privateSpotGetV2SpotWallet{one}Records"),
            paging=_older_than("orderId"), launched=OPENED, rows=under("data"), parse=parse,
            id_field="orderId", other_account=True,
        ),
        Feed(
            name=f"unified_{direction}s",
            call=private(f"privateUtaGetV3Account{one}Records"), paging=_UNIFIED,
            launched=UNIFIED, rows=under("data"), parse=parse, id_field="orderId", optional=True,
        ),
    )  # fmt: skip


FEEDS = (
    *_transfers(Direction.DEPOSIT, deposit),
    *_transfers(Direction.WITHDRAWAL, withdrawal),
    Feed(
        name="conversions", call=private("privateConvertGetV2ConvertConvertRecord"),
        paging=_older_than("id"), launched=at(2022), rows=listed("dataList"), parse=conversion,
        optional=True,
    ),
    Feed(
        name="dust", call=private("privateConvertGetV2ConvertBgbConvertRecords"),
        paging=_older_than("orderId"), launched=at(2023), rows=listed("resultList"), parse=dust,
        id_field="orderId", optional=True,
    ),
    Feed(
        name="ledger", call=private("privateSpotGetV2SpotAccountBills"),
        paging=_older_than("billId", 500), launched=OPENED, horizon=_DAYS_90, rows=under("data"),
        parse=bill, id_field="billId", other_account=True,
    ),
    Feed(
        name="unified_trades", call=private("privateUtaGetV3TradeFills", 1200, category="SPOT"),
        paging=_UNIFIED, launched=UNIFIED, horizon=_DAYS_90, rows=listed("list"), parse=fill,
        id_field="execId", optional=True,
    ),
    Feed(  # last: the others reveal which symbols to ask for
        name="trades", call=private("privateSpotGetV2SpotTradeFills"),
        paging=_older_than("tradeId"), launched=OPENED, horizon=_DAYS_90, tries_older=True,
        rows=listed("fillList"), parse=fill, id_field="tradeId", scoped=True,
        other_account=True,
    ),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------

# ``wtow`` moves coins between accounts, ``wwow`` out of them; a word of four letters that ends in
# ``w`` may write, one that ends in ``r`` may only read.
_MOVING = ("wtow", "wwow", "withdraw", "transfer")


def privileges(answer: Any) -> Privileges:
    """What ``account/info`` says."""
    words = [str(word).lower() for word in answer["data"]["authorities"]]
    if any(word in _MOVING for word in words):
        return Privileges.WITHDRAW
    writes = (word for word in words if word in ("trade", "trader") or word.endswith("ow"))
    return Privileges.TRADE if any(writes) else Privileges.READ_ONLY


def restricted(answer: Any) -> bool | None:
    """Whether the key is bound to addresses."""
    return facts.bound(answer["data"].get("ips"))


async def load_markets(client: Any) -> Markets:
    """The spot list alone: ccxt would load the futures as well."""
    answer = await client.publicSpotGetV2SpotPublicSymbols()
    return facts.markets(
        under("data")(answer), name="symbol", base="baseCoin", quote="quoteCoin", names=NAMES
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """All spot prices."""
    return facts.tickers(
        under("data")(answer), markets, now, name="symbol", last="lastPr", stamp="ts",
        opened=lambda row, last: rows.quantity_or_zero(row, "open"),
    )  # fmt: skip


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``history-candles`` is asked: so many before an end."""
    length = {"1h": "1h", "1d": "1Dutc"}[interval]
    return (), {"symbol": market, "granularity": length, "endTime": until, "limit": limit}


DIALECT = Dialect(
    id="bitget",
    wallets=WALLETS,
    feeds=FEEDS,
    key_check=KeyCheck(
        call=private("privateSpotGetV2SpotAccountInfo", 60), read=privileges,
        restricted=restricted, optional=True,
    ),
    error_codes={
        "40001": errors.WrongKey,
        "40002": errors.WrongKey,
        "40003": errors.WrongKey,
        "40006": errors.WrongKey,
        "40009": errors.WrongKey,
        "40010": errors.WrongKey,
        "40011": errors.WrongKey,
        "40012": errors.WrongKey,
        "40037": errors.WrongKey,
        "40004": errors.WrongClock,
        "40005": errors.WrongClock,
        "40008": errors.WrongClock,
        "40014": errors.MissingPermission,
        "40018": errors.AddressNotAllowed,
        "40084": errors.Unsupported,  # not with a classic account
        "40085": errors.Unsupported,  # not with a unified account
        "429": errors.RateLimited,
        "1001": errors.RateLimited,
        "40200": errors.OnMaintenance,
        "40725": errors.Unreachable,
        "45001": errors.Unreachable,
        "40034": errors.SymbolUnknown,
        "40309": errors.SymbolUnknown,
    },
    needs_markets=True,
    markets_optional=True,
    load_markets=load_markets,
    markets_call=public("publicSpotGetV2SpotPublicSymbols"),
    tickers_call=public("publicSpotGetV2SpotMarketTickers"),
    read_tickers=tickers,
    candles=CandleCall(
        call=public("publicSpotGetV2SpotMarketHistoryCandles"), limit=200, asking=candles,
        rows=under("data"),
    ),
    major_quotes=frozenset(QUOTES),
    symbols=True,
)  # fmt: skip
