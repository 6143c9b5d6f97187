"""OKX: one trading account for all that is traded, one funding account for what comes and goes.

Coins arrive in funding and leave from there. Fees of fills are told below 0, and a rebate above
0. A withdrawal's amount is net, its fee on top (older rows write the coin behind the fee). Fills
reach 90 days back, bills of the trading account as far, bills of funding to February 2021.

Moves between the two accounts are told by both ledgers and booked from funding's. The trading
account's ledger is read for what no other feed tells: interest, and what futures gained or lost,
since both accounts of coins and futures are one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
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
    by_oldest,
    under,
)
from exchanges.gateway.dialects.facts import PENDING, SETTLED
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Privileges, Reward, Ticker, TradeKind, Wallet

OPENED = at(2017, 6)
BILLS_SINCE = at(2021, 2)
NAMES = {"XBT": "BTC", "BCHSV": "BSV"}
_ACCOUNTS = {"6": Wallet.FUNDING, "18": Wallet.SPOT}
_DERIVATIVES = ("SWAP", "FUTURES", "OPTION")
_WRITTEN_BEHIND = re.compile(r"[A-Za-z]+$")  # "0.01000000eth"


def private(method: str, per_minute: float, **fixed: Any) -> Call:
    """A call that is counted per account and endpoint."""
    return Call(method, 1, Pool(method, per_minute), per_account=True, fixed=fixed)


def public(method: str, per_minute: float, **fixed: Any) -> Call:
    """A call that is counted per address and endpoint."""
    return Call(method, 1, Pool(method, per_minute), fixed=fixed)


# --- balances -----------------------------------------------------------------------------------


def trading_rows(answer: Any) -> Sequence[Any]:
    """The coins of the trading account."""
    return [row for account in under("data")(answer) for row in account.get("details") or []]


def trading_quantity(row: Row) -> Decimal:
    """What is free and frozen; with debts, positions or bots only the equity tells the whole."""
    plain = not any(
        row.get(part) not in rows.NOTHING for part in ("liab", "upl", "isoEq", "stgyEq")
    )
    if plain and rows.text(row, "availBal") and rows.text(row, "frozenBal"):
        return rows.quantity(row, "availBal") + rows.quantity(row, "frozenBal")
    return rows.quantity(row, "eq", "cashBal", "availBal")


def funding_quantity(row: Row) -> Decimal:
    """The balance, else what is free and frozen."""
    if rows.text(row, "bal"):
        return rows.quantity(row, "bal")
    return rows.quantity(row, "availBal") + rows.quantity_or_zero(row, "frozenBal")


def staked(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """What is invested in orders of staking and DeFi."""
    invested = [part for order in under("data")(answer) for part in order.get("investData") or []]
    parse = facts.holdings(lambda _: invested, "ccy", facts.first("amt"), names=NAMES)
    return parse(answer, around)


WALLETS = (
    WalletCall(
        wallet=Wallet.SPOT, call=private("privateGetAccountBalance", 300),
        parse=facts.holdings(trading_rows, "ccy", trading_quantity, names=NAMES),
    ),
    WalletCall(
        wallet=Wallet.FUNDING, call=private("privateGetAssetBalances", 360),
        parse=facts.holdings(under("data"), "ccy", funding_quantity, names=NAMES),
    ),
    WalletCall(
        wallet=Wallet.EARN, call=private("privateGetFinanceSavingsBalance", 360),
        parse=facts.earned(
            facts.holdings(under("data"), "ccy", facts.first("amt"), names=NAMES)
        ),
        optional=True, needs_earn=True,
    ),
    WalletCall(
        wallet=Wallet.EARN, call=private("privateGetFinanceStakingDefiOrdersActive", 180),
        parse=facts.earned(staked), optional=True, needs_earn=True,
    ),
)  # fmt: skip


# --- trades -------------------------------------------------------------------------------------


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill. Ids count per instrument, so the instrument is part of ours."""
    symbol = rows.code(row, "instId")
    yield facts.fill(
        f"{symbol}:{name}", of=facts.pair(symbol, "-", names=NAMES), side=facts.side(row),
        amount=rows.quantity(row, "fillSz"), price=rows.quantity(row, "fillPx"),
        fee=(_fee_coin(row), -rows.quantity_or_zero(row, "fee")),
        order_id=rows.text(row, "ordId"), occurred_at=rows.milliseconds(row, "fillTime", "ts"),
    )  # fmt: skip


def _fee_coin(row: Row) -> str | None:
    return facts.coin(row, "feeCcy", names=NAMES) if rows.text(row, "feeCcy") else None


def fill_rows(answer: Any) -> Sequence[Any]:
    """Fills under the id that is unique: a trade with oneself has one trade and two bills."""
    return [
        {**row, "id": row.get("billId") or row.get("tradeId")} if isinstance(row, dict) else row
        for row in under("data")(answer)
    ]


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A completed conversion. It is paid from funding; the fee is in the rate."""
    state = rows.text(row, "state")
    if state not in ("fullyFilled", "rejected"):
        raise BadRow("state is unknown")
    if state == "fullyFilled":
        base = facts.coin(row, "baseCcy", names=NAMES), rows.quantity(row, "fillBaseSz")
        quote = facts.coin(row, "quoteCcy", names=NAMES), rows.quantity(row, "fillQuoteSz")
        sold, bought = (base, quote) if facts.side(row) == "sell" else (quote, base)
        yield facts.swap(
            name, feed="conversions", kind=TradeKind.CONVERSION, sold=sold, bought=bought,
            occurred_at=rows.milliseconds(row, "ts"), wallet=Wallet.FUNDING,
        )  # fmt: skip


def dust(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A remainder turned into another coin."""
    status = rows.text(row, "status")
    if status not in ("filled", "running", "failed"):
        raise BadRow("status is unknown")
    if status == "filled":
        yield facts.swap(
            name, feed="dust", kind=TradeKind.DUST,
            sold=(facts.coin(row, "fromCcy", names=NAMES), rows.quantity(row, "fillFromSz")),
            bought=(facts.coin(row, "toCcy", names=NAMES), rows.quantity(row, "fillToSz")),
            occurred_at=rows.milliseconds(row, "uTime"),
            wallet=_ACCOUNTS.get(rows.text(row, "acct"), Wallet.SPOT),
        )  # fmt: skip


# --- transfers ----------------------------------------------------------------------------------

# 1 is credited and not free yet; 8 and above are held back for a reason.
DEPOSITS = {
    "0": PENDING, "1": SETTLED, "2": SETTLED, "8": PENDING, "11": PENDING, "12": PENDING,
    "13": PENDING, "14": PENDING, "17": PENDING,
}  # fmt: skip
WITHDRAWALS = {"-3": PENDING, "-2": None, "-1": None, "2": SETTLED} | dict.fromkeys(
    ["0", "1", *(str(number) for number in range(3, 20))], PENDING
)


def deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that arrived. The ids of two coins have been seen to be equal."""
    settled = facts.outcome(row, DEPOSITS, "state")
    code = facts.coin(row, "ccy", names=NAMES)
    if settled is not None:
        yield facts.transfer(
            f"{name}:{code}", Direction.DEPOSIT, code=code, quantity=rows.quantity(row, "amt"),
            settled=settled, wallet=Wallet.FUNDING, txid=rows.text(row, "txId"),
            address=rows.text(row, "to"), network=_network(row),
            occurred_at=rows.milliseconds(row, "ts"),
        )  # fmt: skip


def withdrawal(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins sent: the amount is net, the fee on top."""
    settled = facts.outcome(row, WITHDRAWALS, "state")
    code = facts.coin(row, "ccy", names=NAMES)
    if settled is not None:
        yield facts.transfer(
            f"{name}:{code}", Direction.WITHDRAWAL, code=code, quantity=rows.quantity(row, "amt"),
            fee=_withdrawal_fee(row), settled=settled, wallet=Wallet.FUNDING,
            txid=rows.text(row, "txId"), address=rows.text(row, "to"), network=_network(row),
            occurred_at=rows.milliseconds(row, "ts"),
        )  # fmt: skip


def _withdrawal_fee(row: Row) -> Decimal:
    written = _WRITTEN_BEHIND.sub("", rows.text(row, "fee"))
    return abs(rows.quantity_or_zero({"fee": written}, "fee"))


def _network(row: Row) -> str:
    """``USDT-Arbitrum One``: the coin stands before the network."""
    return rows.text(row, "chain").partition("-")[2]


# --- ledgers ------------------------------------------------------------------------------------

EARNED = {
    "28": "airdrop", "48": "reward", "49": "reward", "68": "rebate", "72": "gift", "73": "gift",
    "74": "gift", "77": "launchpool", "83": "staking", "84": "fee", "89": "interest",
    "139": "staking", "146": "compensation", "150": "commission", "151": "referral",
    "152": "commission", "162": "earn", "172": "commission", "173": "rebate", "181": "airdrop",
    "185": "reward", "189": "bonus", "204": "earn", "209": "earn", "221": "fee", "222": "rebate",
    "223": "profit share", "227": "earn", "229": "airdrop", "232": "interest", "233": "rebate",
    "242": "earn", "251": "earn", "263": "profit share", "265": "profit share",
    "266": "profit share", "271": "rebate", "299": "commission", "300": "rebate", "313": "gift",
    "314": "gift", "315": "gift", "328": "staking", "333": "reward", "343": "interest",
    "344": "interest", "350": "staking", "354": "reward", "400": "interest", "408": "interest",
    "47": "adjustment", "220": "adjustment",
}  # fmt: skip
TO_TRADING = {"130", "131"}
TO_EARN = {
    "75", "76", "78", "80", "82", "124", "160", "161", "163", "202", "203", "205", "207", "208",
    "210", "225", "226", "228", "240", "241", "243", "249", "250", "252", "339", "340", "341",
    "342", "348", "349",
}  # fmt: skip
SUB_ACCOUNTS = {"20", "21", "22", "23", "361"}
# Told by other feeds (deposits, withdrawals, conversions), swaps whose other half is not said,
# loans and frozen coins, which stay one's own.
ELSEWHERE = {
    "1", "2", "13", "116", "117", "118", "132", "133", "134", "135", "137", "138", "174", "175",
    "176", "177", "178", "179", "180", "187", "195", "196", "197", "198", "199", "200", "212",
    "215", "217", "218", "270", "272", "273", "284", "285", "286", "287", "288", "289", "303",
    "311", "329", "330", "331", "332", "345", "346", "347", "351", "372", "373", "476", "477",
}  # fmt: skip


def funding_bill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A change of funding that no other feed tells."""
    kind = rows.text(row, "type")
    if kind in ELSEWHERE:
        return
    code, change = facts.coin(row, "ccy", names=NAMES), rows.quantity(row, "balChg")
    when = rows.milliseconds(row, "ts")
    if kind in EARNED:
        yield Reward("ledger", name, EARNED[kind], code, change, Wallet.FUNDING, when)
    elif kind in TO_TRADING or kind in TO_EARN:
        there = Wallet.EARN if kind in TO_EARN else Wallet.SPOT
        yield facts.moved_by(
            name, change, code=code, here=Wallet.FUNDING, there=there, occurred_at=when
        )
    elif kind in SUB_ACCOUNTS:
        way = Direction.WITHDRAWAL if change < 0 else Direction.DEPOSIT
        yield facts.transfer(
            f"bill:{name}", way, code=code, quantity=abs(change), settled=True,
            wallet=Wallet.FUNDING, occurred_at=when,
        )  # fmt: skip
    else:
        raise BadRow("the type of bill is unknown")


_CHARGES = {"7": "interest", "8": "funding", "18": "profit share", "250": "profit share"}


def trading_bill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Interest, funding, and what futures changed; spot fills are told by their own feed."""
    kind = rows.text(row, "type")
    reason = _CHARGES.get(kind)
    if reason is None and rows.text(row, "instType") in _DERIVATIVES and kind not in ("1", "6"):
        reason = "derivatives"
    change = rows.quantity_or_zero(row, "balChg")
    if reason and change:
        yield Reward(
            "trading_ledger", name, reason, facts.coin(row, "ccy", names=NAMES), change,
            Wallet.SPOT, rows.milliseconds(row, "ts"),
        )  # fmt: skip


# --- feeds --------------------------------------------------------------------------------------

_DAYS_90 = timedelta(days=90)
_YEAR = timedelta(days=365)  # OKX takes any window; what was read of it is kept year by year


def _by_time(field: str = "ts") -> Windows:
    """``before`` and ``after`` are instants, and what happened at them is left out."""
    return Windows(
        _YEAR, 100, since="before", until="after", exclusive=True, page="after",
        following=by_oldest(field, 100, overlap=1),
    )  # fmt: skip


_BY_BILL = Windows(
    _YEAR, 100, since="begin", until="end", page="after", following=by_oldest("billId", 100)
)

FEEDS = (
    Feed(
        name="trades", call=private("privateGetTradeFillsHistory", 300, instType="SPOT"),
        paging=_BY_BILL, launched=OPENED, horizon=_DAYS_90, rows=fill_rows, parse=fill,
    ),
    Feed(
        name="deposits", call=private("privateGetAssetDepositHistory", 360), paging=_by_time(),
        launched=OPENED, rows=under("data"), parse=deposit, id_field="depId",
        stable=("ccy", "amt", "txId", "to", "ts"),
    ),
    Feed(
        name="withdrawals", call=private("privateGetAssetWithdrawalHistory", 360),
        paging=_by_time(), launched=OPENED, rows=under("data"), parse=withdrawal, id_field="wdId",
        stable=("ccy", "amt", "to", "ts"),
    ),
    Feed(
        name="conversions", call=private("privateGetAssetConvertHistory", 360), paging=_by_time(),
        launched=BILLS_SINCE, rows=under("data"), parse=conversion, id_field="tradeId",
        optional=True,
    ),
    Feed(
        name="dust", call=private("privateGetTradeEasyConvertHistory", 30),
        paging=_by_time("uTime"), launched=BILLS_SINCE, horizon=timedelta(days=7),
        rows=under("data"), parse=dust,
        id_field="", stable=("fromCcy", "toCcy", "fillFromSz", "fillToSz", "uTime"),
        optional=True,
    ),
    Feed(
        name="ledger", call=private("privateGetAssetBillsHistory", 60), paging=_by_time(),
        launched=BILLS_SINCE, rows=under("data"), parse=funding_bill, id_field="billId",
    ),
    Feed(
        name="trading_ledger", call=private("privateGetAccountBillsArchive", 150),
        paging=_BY_BILL, launched=OPENED, horizon=_DAYS_90, rows=under("data"),
        parse=trading_bill, id_field="billId",
    ),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``account/config`` says."""
    perm = answer["data"][0]["perm"]
    return facts.by_words(perm, trade=("trade",), withdraw=("withdraw",))


def restricted(answer: Any) -> bool | None:
    """Whether the key is bound to addresses."""
    return facts.bound(answer["data"][0].get("ip"))


async def load_markets(client: Any) -> Markets:
    """The spot list alone: ccxt would load every option as well."""
    answer = await client.publicGetPublicInstruments({"instType": "SPOT"})
    return facts.markets(
        under("data")(answer), name="instId", base="baseCcy", quote="quoteCcy", names=NAMES
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """All spot prices."""
    return facts.tickers(
        under("data")(answer), markets, now, name="instId", last="last", stamp="ts",
        opened=lambda row, last: rows.quantity_or_zero(row, "open24h"),
    )  # fmt: skip


_BARS: Mapping[str, str] = {"1h": "1H", "1d": "1Dutc"}


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``history-candles`` is asked; both ends are left out by OKX."""
    times = {"before": since - 1, "after": until}
    return (), {"instId": market, "bar": _BARS[interval], "limit": limit} | times


DIALECT = Dialect(
    id="okx",
    wallets=WALLETS,
    feeds=FEEDS,
    key_check=KeyCheck(
        call=private("privateGetAccountConfig", 150), read=privileges, restricted=restricted
    ),
    error_codes={
        "50101": errors.WrongKey,
        "50102": errors.WrongClock,
        "50105": errors.WrongKey,
        "50110": errors.AddressNotAllowed,
        "50111": errors.WrongKey,
        "50112": errors.WrongClock,
        "50113": errors.WrongKey,
        "50114": errors.WrongKey,
        "50119": errors.WrongKey,
        "50030": errors.MissingPermission,
        "50120": errors.MissingPermission,
        "50011": errors.RateLimited,
        "50061": errors.RateLimited,
        "50001": errors.OnMaintenance,
        "50004": errors.TimedOut,
        "50005": errors.Unreachable,
        "50013": errors.Unreachable,
        "50026": errors.Unreachable,
        "51001": errors.SymbolUnknown,
        "51010": errors.Unsupported,  # not in this mode of account
        "58002": errors.Unsupported,  # no savings account
    },
    limits_by_key=True,
    load_markets=load_markets,
    markets_call=public("publicGetPublicInstruments", 600),
    tickers_call=public("publicGetMarketTickers", 600, instType="SPOT"),
    read_tickers=tickers,
    candles=CandleCall(
        call=public("publicGetMarketHistoryCandles", 600), limit=100, asking=candles,
        rows=under("data"),
    ),
)  # fmt: skip
