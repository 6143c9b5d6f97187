"""Bybit: the unified account, funding and earn; windows of seven days, two years back.

Deposits arrive in funding, withdrawals leave from there. A withdrawal's amount is net, its fee on
top. A fill's fee is in what was received unless the row names a coin, a rebate (below 0) in what
was paid. Conversions are told by two lists under the same ids. The transaction log is read for
what no other feed tells: bonus, airdrop, interest, moves to earn, and what derivatives gained or
lost, since they share the unified account.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import facts
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Dialect,
    Feed,
    KeyCheck,
    Surroundings,
    WalletCall,
    Windows,
    at,
    by_cursor,
    by_number,
    under,
)
from exchanges.gateway.dialects.facts import PENDING, SETTLED, Fee
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Privileges, Reward, Ticker, TradeKind, Wallet

OPENED = at(2018, 12)
NAMES = {"XBT": "BTC", "BCHSV": "BSV"}
QUOTES = (
    "USDT", "USDC", "USDE", "USD1", "XUSD", "USDQ", "EURQ", "EURR", "RLUSD", "BTC", "ETH", "SOL",
    "MNT", "DAI", "BRZ", "EUR", "GBP", "BRL", "TRY", "PLN", "AUD", "AED",
)  # fmt: skip
_TWO_YEARS = timedelta(days=730) - timedelta(hours=1)  # asked exactly two years back, it refuses


def private(method: str, per_minute: float, **fixed: Any) -> Call:
    """A call that is counted per account and endpoint."""
    return Call(method, 1, Pool(method, per_minute), per_account=True, fixed=fixed)


def public(method: str, **fixed: Any) -> Call:
    """A call that is counted per address: 600 in five seconds, whatever is asked."""
    return Call(method, 1, Pool("ip", 7200), fixed=fixed)


def _result(*path: str) -> Any:
    return under("result", *path)


# --- balances -----------------------------------------------------------------------------------


def account_rows(answer: Any) -> Sequence[Any]:
    """The coins of the unified account (or of the older spot account)."""
    return [row for account in _result("list")(answer) for row in account.get("coin") or []]


WALLETS = (
    WalletCall(
        wallet=Wallet.SPOT,
        call=private("privateGetV5AccountWalletBalance", 3000, accountType="UNIFIED"),
        otherwise=private("privateGetV5AccountWalletBalance", 3000, accountType="SPOT"),
        parse=facts.holdings(
            account_rows, "coin", facts.balance_of("walletBalance", less=("spotBorrow",)),
            names=NAMES,
        ),
    ),
    WalletCall(
        wallet=Wallet.FUNDING,
        call=private(
            "privateGetV5AssetTransferQueryAccountCoinsBalance", 120, accountType="FUND"
        ),
        parse=facts.holdings(
            _result("balance"), "coin", facts.first("walletBalance", "transferBalance"),
            names=NAMES,
        ),
    ),
    *(
        WalletCall(
            wallet=Wallet.EARN,
            call=private("privateGetV5EarnPosition", 600, category=category),
            parse=facts.earned(
                facts.holdings(_result("list"), "coin", facts.first("amount"), names=NAMES)
            ),
            optional=True, needs_earn=True,
        )
        for category in ("FlexibleSaving", "OnChain")
    ),
)  # fmt: skip


# --- trades -------------------------------------------------------------------------------------


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill, and what else it cost where it was taxed."""
    base, quote = pair(rows.code(row, "symbol"))
    side = facts.side(row)
    fees = [_fee(row, base, quote, side), *_further(row)]
    trade = facts.fill(
        name, of=(base, quote), side=side, amount=rows.quantity(row, "execQty"),
        price=rows.quantity(row, "execPrice"), paid=rows.quantity_or_zero(row, "execValue"),
        fee=fees[0], order_id=rows.text(row, "orderId"),
        occurred_at=rows.milliseconds(row, "execTime", "tradeTime"),
    )  # fmt: skip
    yield trade
    yield from facts.further_fees(trade, fees[1:])


def pair(symbol: str) -> tuple[str, str]:
    """Base and quote of a spot symbol, which has no separator. Raises BadRow."""
    for quote in sorted(QUOTES, key=len, reverse=True):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            base = symbol.removesuffix(quote)
            return NAMES.get(base, base), quote
    raise BadRow("symbol is unknown")


def _fee(row: Row, base: str, quote: str, side: str) -> Fee:
    amount = rows.quantity_or_zero(row, "execFee")
    if rows.text(row, "feeCurrency", "feeCoin"):
        return facts.coin(row, "feeCurrency", "feeCoin", names=NAMES), amount
    received, paid = (base, quote) if side == "buy" else (quote, base)
    return received if amount > 0 else paid, amount


def _further(row: Row) -> Iterator[Fee]:
    extra = row.get("extraFees")
    for fee in extra if isinstance(extra, list) else ():
        amount = rows.quantity_or_zero(fee, "fee")
        if amount:
            yield facts.coin(fee, "feeCoin", names=NAMES), amount


_EXCHANGED = {"success": True, "processing": None, "init": None, "failure": None, "": True}


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A completed conversion; its fee is in the rate."""
    if facts.outcome(row, _EXCHANGED, "exchangeStatus"):
        yield facts.swap(
            name, feed="conversions", kind=TradeKind.CONVERSION,
            sold=(facts.coin(row, "fromCoin", names=NAMES), rows.quantity(row, "fromAmount")),
            bought=(facts.coin(row, "toCoin", names=NAMES), rows.quantity(row, "toAmount")),
            occurred_at=facts.moment(row, "createdAt", "createdTime"), wallet=_converted_in(row),
        )  # fmt: skip


def _converted_in(row: Row) -> str:
    """``eb_convert_funding`` or ``eb_convert_uta``."""
    return Wallet.FUNDING if "fund" in rows.text(row, "accountType") else Wallet.SPOT


def dust_rows(answer: Any) -> Sequence[Any]:
    """Every coin of every sweep, with what only the sweep tells."""
    return [
        {
            "id": f"{sweep.get('exchangeTxId')}:{part.get('fromCoin')}",
            **{field: sweep.get(field) for field in ("accountType", "createdAt", "toCoin")},
            **part,
        }
        for sweep in _result("records")(answer)
        for part in sweep.get("subRecords") or []
    ]


_SWEPT = {"success": True, "partial_fulfillment": True, "processing": None, "init": None} | {
    "failure": None
}


def dust(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A small balance turned into another coin; the fee is taken from what is received."""
    if facts.outcome(row, _SWEPT):
        fee_coin = rows.text(row, "feeCoin") or rows.text(row, "toCoin")
        yield facts.swap(
            name, feed="dust", kind=TradeKind.DUST,
            sold=(facts.coin(row, "fromCoin", names=NAMES), rows.quantity(row, "fromAmount")),
            bought=(facts.coin(row, "toCoin", names=NAMES), rows.quantity(row, "toAmount")),
            fee=(fee_coin, rows.quantity_or_zero(row, "feeAmount")),
            occurred_at=facts.moment(row, "createdAt"), wallet=_converted_in(row),
        )  # fmt: skip


# --- transfers ----------------------------------------------------------------------------------

DEPOSITS = {
    "0": PENDING, "1": PENDING, "2": PENDING, "3": SETTLED, "4": None, "10011": PENDING,
    "10012": SETTLED,
}  # fmt: skip
INSIDE_BYBIT = {"1": PENDING, "2": SETTLED, "3": None}
WITHDRAWALS = {
    "securitycheck": PENDING, "pending": PENDING, "success": SETTLED, "cancelbyuser": None,
    "reject": None, "fail": None, "blockchainconfirmed": SETTLED,
    "moreinformationrequired": PENDING, "unknown": PENDING,
}  # fmt: skip


def deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that arrived. One that is still on its way has no time yet, and is told later."""
    settled = facts.outcome(row, DEPOSITS)
    if settled is None or (not settled and row.get("successAt") in rows.NOTHING):
        return
    yield facts.transfer(
        name, Direction.DEPOSIT, code=facts.coin(row, "coin", names=NAMES),
        quantity=rows.quantity(row, "amount"), fee=rows.quantity_or_zero(row, "depositFee"),
        settled=settled, wallet=Wallet.FUNDING, txid=rows.text(row, "txID"),
        address=rows.text(row, "toAddress"), network=rows.text(row, "chain"),
        occurred_at=facts.moment(row, "successAt"),
    )  # fmt: skip


def internal_deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that another user of Bybit sent."""
    settled = facts.outcome(row, INSIDE_BYBIT)
    if settled is not None:
        yield facts.transfer(
            f"internal:{name}", Direction.DEPOSIT, code=facts.coin(row, "coin", names=NAMES),
            quantity=rows.quantity(row, "amount"), settled=settled, wallet=Wallet.FUNDING,
            txid=rows.text(row, "txID"), address=rows.text(row, "address"),
            occurred_at=facts.moment(row, "createdTime"),
        )  # fmt: skip


def withdrawal(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins sent: the amount is net, the fee on top."""
    settled = facts.outcome(row, WITHDRAWALS)
    if settled is not None:
        yield facts.transfer(
            name, Direction.WITHDRAWAL, code=facts.coin(row, "coin", names=NAMES),
            quantity=rows.quantity(row, "amount"), fee=rows.quantity_or_zero(row, "withdrawFee"),
            settled=settled, wallet=Wallet.FUNDING, txid=rows.text(row, "txID"),
            address=rows.text(row, "toAddress"), network=rows.text(row, "chain"),
            occurred_at=facts.moment(row, "createTime"),
        )  # fmt: skip


_ACCOUNTS = {
    "UNIFIED": Wallet.SPOT, "SPOT": Wallet.SPOT, "FUND": Wallet.FUNDING,
    "CONTRACT": Wallet.FUTURES, "OPTION": Wallet.FUTURES, "INVESTMENT": Wallet.EARN,
}  # fmt: skip
_MOVED = {"success": True, "status_unknown": None, "pending": None, "failed": None}


def internal_move(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A move between accounts; between two that are one wallet here, nothing moved."""
    if not facts.outcome(row, _MOVED):
        return
    wallets = [
        _ACCOUNTS.get(rows.text(row, field)) for field in ("fromAccountType", "toAccountType")
    ]
    if None in wallets:
        raise BadRow("account type is unknown")
    if wallets[0] != wallets[1]:
        yield facts.move(
            name, code=facts.coin(row, "coin", names=NAMES), quantity=rows.quantity(row, "amount"),
            source=str(wallets[0]), target=str(wallets[1]),
            occurred_at=facts.moment(row, "timestamp"),
        )  # fmt: skip


# --- the log ------------------------------------------------------------------------------------

EARNED = {
    "BONUS": "bonus", "BONUS_RECOLLECT": "bonus", "AIRDROP": "airdrop", "AIRDROP_RECOLLECT":
    "airdrop", "FEE_REFUND": "rebate", "INTEREST": "interest", "SETTLEMENT": "funding",
    "DELIVERY": "derivatives", "LIQUIDATION": "derivatives", "ADL": "derivatives",
    "AUTO_DEDUCTION": "adjustment", "PEF_PROFIT_SHARE": "profit share",
    "FLEXIBLE_STAKING_PROFIT": "interest", "CUSTODY_NETWORK_FEE": "fee",
}  # fmt: skip
TO_EARN = {
    "FLEXIBLE_STAKING_SUBSCRIPTION", "FLEXIBLE_STAKING_REDEMPTION", "FLEXIBLE_STAKING_REFUND",
    "FIXED_STAKING_SUBSCRIPTION", "FIXED_STAKING_REDEMPTION", "FIXED_STAKING_REFUND",
}  # fmt: skip


def logged(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """An entry of the transaction log that no other feed tells."""
    kind, change = rows.text(row, "type"), rows.quantity_or_zero(row, "change")
    reason = EARNED.get(kind)
    if kind == "TRADE" and rows.text(row, "category") in ("linear", "inverse", "option"):
        reason = "derivatives"
    if not change or not (reason or kind in TO_EARN):
        return  # fills, conversions and transfers are told elsewhere, a loan stays owed
    code, when = facts.coin(row, "currency", names=NAMES), facts.moment(row, "transactionTime")
    if reason:
        yield Reward("ledger", name, reason, code, change, Wallet.SPOT, when)
    else:
        yield facts.moved_by(
            f"log:{name}", change, code=code, here=Wallet.SPOT, there=Wallet.EARN,
            occurred_at=when,
        )  # fmt: skip


def yields(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Interest of savings: it stays in earn where it is invested again."""
    if rows.text(row, "status").lower() in ("success", ""):
        again = rows.text(row, "distributionMode") == "Reinvest"
        yield Reward(
            "earn_rewards", name, "interest", facts.coin(row, "coin", names=NAMES),
            rows.positive(rows.quantity(row, "amount"), field="amount"),
            Wallet.EARN if again else Wallet.FUNDING, facts.moment(row, "createdAt"),
        )  # fmt: skip


def yield_rows(answer: Any) -> Sequence[Any]:
    """The documentation calls the list ``list``, the answer ``yield``."""
    result = answer["result"]
    return under("rows")({"rows": result.get("yield") or result.get("list")})


# --- feeds --------------------------------------------------------------------------------------

_DAYS_7, _DAYS_30 = timedelta(days=7), timedelta(days=30)
_NEXT = by_cursor("result", "nextPageCursor")
_WEEKS_OF_100 = Windows(_DAYS_7, 100, page="cursor", following=_NEXT)
_WEEKS_OF_50 = Windows(_DAYS_7, 50, page="cursor", following=_NEXT)
_MONTHS = Windows(_DAYS_30, 50, page="cursor", following=_NEXT)
_ALL = Windows(timedelta(days=20 * 365), 100, since="", until="")  # takes no times
_SENT = ("coin", "chain", "amount", "txID", "toAddress")

FEEDS = (
    Feed(
        name="trades",
        call=private("privateGetV5ExecutionList", 3000, category="spot", execType="Trade"),
        paging=_WEEKS_OF_100, launched=OPENED, horizon=_TWO_YEARS, rows=_result("list"),
        parse=fill, id_field="execId", stable=("tradeId", "symbol", "orderId", "execQty"),
    ),
    Feed(
        name="deposits", call=private("privateGetV5AssetDepositQueryRecord", 300),
        paging=_MONTHS, launched=OPENED, rows=_result("rows"), parse=deposit,
        stable=(*_SENT, "txIndex"),
    ),
    Feed(
        name="internal_deposits",
        call=private("privateGetV5AssetDepositQueryInternalRecord", 600), paging=_MONTHS,
        launched=at(2023), rows=_result("rows"), parse=internal_deposit,
        stable=("coin", "amount", "address", "createdTime", "txID"),
    ),
    Feed(
        name="withdrawals",
        call=private("privateGetV5AssetWithdrawQueryRecord", 300, withdrawType=2),
        paging=_MONTHS, launched=OPENED, rows=_result("rows"), parse=withdrawal,
        id_field="withdrawId", stable=(*_SENT, "createTime"),
    ),
    Feed(
        name="conversions",
        call=private("privateGetV5AssetExchangeQueryConvertHistory", 6000),
        paging=replace(_ALL, page="index", following=by_number(100)), launched=at(2024),
        rows=_result("list"), parse=conversion, id_field="exchangeTxId", optional=True,
    ),
    Feed(
        name="coin_exchanges", call=private("privateGetV5AssetExchangeOrderRecord", 600),
        paging=replace(_ALL, limit=50, page="cursor", following=_NEXT), launched=at(2020),
        rows=_result("orderBody"), parse=conversion, id_field="exchangeTxId", optional=True,
    ),
    Feed(
        name="dust", call=private("privateGetV5AssetCovertSmallBalanceHistory", 600),
        paging=replace(_ALL, size="size", page="cursor", following=by_number(1)),
        launched=at(2024), rows=dust_rows, parse=dust, optional=True,
    ),
    Feed(
        name="ledger",
        call=private("privateGetV5AccountTransactionLog", 1800, accountType="UNIFIED"),
        paging=_WEEKS_OF_50, launched=OPENED, horizon=_TWO_YEARS, rows=_result("list"),
        parse=logged, other_account=True,
        stable=("type", "currency", "transactionTime", "change", "cashBalance", "tradeId"),
    ),
    *(
        Feed(
            name=f"{kind}_rewards",
            call=private("privateGetV5EarnYield", 600, category=category), paging=_WEEKS_OF_100,
            launched=at(2023), horizon=timedelta(days=89), rows=yield_rows, parse=yields,
            optional=True, needs_earn=True,
        )
        for kind, category in (("savings", "FlexibleSaving"), ("staking", "OnChain"))
    ),
    Feed(  # last: one call a second
        name="transfers",
        call=private("privateGetV5AssetTransferQueryInterTransferList", 60),
        paging=_WEEKS_OF_50, launched=OPENED, horizon=_TWO_YEARS, rows=_result("list"),
        parse=internal_move, id_field="transferId", optional=True,
    ),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``user/query-api`` says."""
    result = answer["result"]
    if str(result["readOnly"]) == "1":
        return Privileges.READ_ONLY
    wallet = (result.get("permissions") or {}).get("Wallet") or []
    return Privileges.WITHDRAW if "Withdraw" in wallet else Privileges.TRADE


def restricted(answer: Any) -> bool | None:
    """Whether the key is bound to addresses."""
    return facts.bound(answer["result"].get("ips"))


async def load_markets(client: Any) -> Markets:
    """The spot list alone: ccxt would load every option as well."""
    answer = await client.publicGetV5MarketInstrumentsInfo({"category": "spot"})
    return facts.markets(
        _result("list")(answer), name="symbol", base="baseCoin", quote="quoteCoin", names=NAMES
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """All spot prices."""
    return facts.tickers(
        _result("list")(answer), markets, now, name="symbol", last="lastPrice",
        opened=lambda row, last: rows.quantity_or_zero(row, "prevPrice24h"),
    )  # fmt: skip


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``kline`` is asked."""
    length = {"1h": "60", "1d": "D"}[interval]
    times = {"start": since, "end": until - 1}
    return (), {"category": "spot", "symbol": market, "interval": length, "limit": limit} | times


DIALECT = Dialect(
    id="bybit",
    wallets=WALLETS,
    feeds=FEEDS,
    key_check=KeyCheck(
        call=private("privateGetV5UserQueryApi", 600), read=privileges, restricted=restricted
    ),
    error_codes={
        "10002": errors.WrongClock,
        "10003": errors.WrongKey,
        "10004": errors.WrongKey,
        "10007": errors.WrongKey,
        "33004": errors.WrongKey,
        "10005": errors.MissingPermission,
        "10010": errors.AddressNotAllowed,
        "10006": errors.RateLimited,
        "10018": errors.RateLimited,
        "10000": errors.Unreachable,
        "10016": errors.Unreachable,
        "10020": errors.Unsupported,  # not with this kind of account
        "10028": errors.Unsupported,
        "100028": errors.Unsupported,
        "10029": errors.SymbolUnknown,
    },
    load_markets=load_markets,
    markets_call=public("publicGetV5MarketInstrumentsInfo"),
    tickers_call=public("publicGetV5MarketTickers", category="spot"),
    read_tickers=tickers,
    candles=CandleCall(
        call=public("publicGetV5MarketKline"), limit=1000, asking=candles, rows=_result("list")
    ),
)
