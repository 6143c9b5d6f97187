"""Binance: spot, funding, earn, margin and futures wallets, and fourteen kinds of history.

Weights, windows and page sizes are those of Binance's API documentation. Three pools matter:
6,000 a minute and address for ``/api``, 12,000 a minute, endpoint and address for most of
``/sapi``, and 180,000 a minute, endpoint and account for the rest of it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Dialect,
    Feed,
    Holding,
    Ids,
    KeyCheck,
    Surroundings,
    WalletCall,
    Windows,
    at,
    the_list,
    under,
)
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import (
    Direction,
    Fact,
    Privileges,
    Reward,
    Ticker,
    Trade,
    TradeKind,
    Transfer,
    Wallet,
)

IP = Pool("ip", 6000)
FUTURES = Pool("futures", 2400)
OPENED = at(2017, 7, 1)
SIMPLE_EARN = at(2022, 8, 1)  # when Simple Earn replaced Savings, and its records begin
SIGNED_TIMES = {"recvWindow": 10_000}
STABLE_AND_MAJOR = frozenset({
    "USDT", "BUSD", "USDC", "FDUSD", "TUSD", "USDP", "PAX", "USDS", "DAI", "BTC", "ETH",
    "BNB", "XRP", "TRX", "DOGE", "EUR", "TRY", "BRL",
})  # fmt: skip
_EARN_WORDS = re.compile(r"flexible|locked|simple earn|savings", re.IGNORECASE)
_CHEAP = Decimal("0.02")  # how far a fiat payment's price may be from its amounts


def sapi(method: str, weight: float = 1, **fixed: Any) -> Call:
    """A call of a pool counted per endpoint and address."""
    return Call(method, weight, Pool(f"sapi:{method}", 12_000), fixed=fixed)


def uid(method: str, weight: float, **fixed: Any) -> Call:
    """A call of a pool counted per endpoint and account."""
    return Call(method, weight, Pool(f"uid:{method}", 180_000), per_account=True, fixed=fixed)


# --- balances -----------------------------------------------------------------------------------


def spot_balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Free and locked; ``LDxxx`` mirrors a flexible earn position and is left to that wallet."""
    entries = answer["balances"]
    listed = around.markets.by_base
    known = {*around.known_codes, *(entry.get("asset") for entry in entries)}
    for entry in entries:
        holding = _held(entry, around, "free", "locked")
        if holding is None or not holding.quantity:
            continue
        if is_earn_mirror(holding.code, known=known, listed=listed):
            around.earn_seen = True
        else:
            yield holding


def is_earn_mirror(code: str, *, known: Iterable[str], listed: Iterable[str]) -> bool:
    """``LDBTC`` stands for BTC in earn, while LDO is a coin of its own."""
    return code.startswith("LD") and code not in listed and code[2:] in known


def _held(entry: Any, around: Surroundings, first: str, *parts: str) -> Holding | None:
    try:
        total = rows.number(entry.get(first), field=first)
        for part in parts:
            if (value := entry.get(part)) not in rows.NOTHING:
                total += rows.number(value, field=part)
        return Holding(rows.code(entry, "asset"), total)
    except (BadRow, AttributeError, TypeError) as problem:
        around.bad.append((str(problem), entry))
        return None


def _balances(path: Callable[[Any], Sequence[Any]], *parts: str) -> Callable[..., Any]:
    def parse(answer: Any, around: Surroundings) -> Iterator[Holding]:
        held = (_held(entry, around, *parts) for entry in path(answer))
        return (holding for holding in held if holding and holding.quantity)

    return parse


def earn_positions(amount: str) -> Callable[[Any, Surroundings], Iterator[Holding]]:
    """Positions of flexible or locked earn; having one is worth remembering."""
    parse = _balances(under("rows"), amount)

    def noting(answer: Any, around: Surroundings) -> Iterator[Holding]:
        for holding in parse(answer, around):
            around.earn_seen = True
            yield holding

    return noting


def isolated_margin(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Base and quote of each isolated pair, net of what is borrowed."""
    for pair in answer["assets"]:
        for side in ("baseAsset", "quoteAsset"):
            holding = _held(pair[side], around, "netAsset")
            if holding and holding.quantity:
                yield holding


def _total(answer: Any) -> int:
    return int(answer.get("total") or 0)


WALLETS = (
    WalletCall(
        wallet=Wallet.SPOT,
        call=Call("privateGetAccount", 20, IP, fixed={"omitZeroBalances": "true"}),
        parse=spot_balances,
    ),
    WalletCall(
        wallet=Wallet.FUNDING,
        call=sapi("sapiPostAssetGetFundingAsset"),
        parse=_balances(the_list, "free", "locked", "freeze", "withdrawing"),
    ),
    WalletCall(
        wallet=Wallet.EARN,
        call=sapi("sapiGetSimpleEarnFlexiblePosition", 150, size=100),
        parse=earn_positions("totalAmount"),
        page="current",
        total=_total,
        needs_earn=True,
    ),
    WalletCall(
        wallet=Wallet.EARN,
        call=sapi("sapiGetSimpleEarnLockedPosition", 150, size=100),
        parse=earn_positions("amount"),
        page="current",
        total=_total,
        needs_earn=True,
    ),
    WalletCall(
        wallet=Wallet.MARGIN,
        call=sapi("sapiGetMarginAccount", 10),
        parse=_balances(under("userAssets"), "netAsset"),
        optional=True,
        rarely=True,
    ),
    WalletCall(
        wallet=Wallet.MARGIN,
        call=sapi("sapiGetMarginIsolatedAccount", 10),
        parse=isolated_margin,
        optional=True,
        rarely=True,
    ),
    WalletCall(
        wallet=Wallet.FUTURES,
        call=Call("fapiPrivateV2GetBalance", 5, FUTURES),
        parse=_balances(the_list, "balance"),
        optional=True,
        rarely=True,
    ),
    WalletCall(
        wallet=Wallet.FUTURES,
        call=Call("dapiPrivateGetBalance", 1, Pool("coin-futures", 2400)),
        parse=_balances(the_list, "balance"),
        optional=True,
        rarely=True,
    ),
)


# --- trades -------------------------------------------------------------------------------------


def spot_trade(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill. Ids count per symbol, so the symbol is part of ours."""
    base, quote = _pair(rows.code(row, "symbol"), around.markets)
    price = rows.quantity(row, "price")
    amount = rows.positive(rows.quantity(row, "qty"), field="qty")
    charged = rows.quantity_or_zero(row, "commission")
    fee_code, fee = rows.fee(rows.text(row, "commissionAsset"), charged)
    yield Trade(
        feed="trades",
        exchange_id=f"{row['symbol']}:{name}",
        kind=TradeKind.FILL,
        symbol=f"{base}/{quote}",
        side="buy" if _flag(row, "isBuyer") else "sell",
        base_code=base,
        base_quantity=amount,
        quote_code=quote,
        quote_quantity=rows.quantity(row, "quoteQty") if row.get("quoteQty") else price * amount,
        price=price,
        fee_code=fee_code,
        fee_quantity=fee,
        wallet=Wallet.SPOT,
        order_id=rows.text(row, "orderId"),
        occurred_at=rows.milliseconds(row, "time"),
    )


def _flag(row: Row, field: str) -> bool:
    if not isinstance(row.get(field), bool):
        raise BadRow(f"{field} is not true or false")
    return bool(row[field])


def _pair(symbol: str, markets: Markets) -> tuple[str, str]:
    if market := markets.by_id.get(symbol):
        return market.base, market.quote
    for quote in sorted(STABLE_AND_MAJOR, key=len, reverse=True):  # delisted: no longer in the list
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    raise BadRow("symbol is unknown")


def _swap(
    name: str, *, feed: str, kind: TradeKind, sold: tuple[str, Decimal],
    bought: tuple[str, Decimal], fee: Decimal, occurred_at: datetime, order_id: str,
) -> Trade:  # fmt: skip
    """One asset given (the base) for another."""
    amount = rows.positive(sold[1], field="amount")
    rows.positive(bought[1], field="received")
    fee_code, fee_quantity = rows.fee(bought[0], fee)
    return Trade(
        feed=feed, exchange_id=name, kind=kind, symbol=f"{sold[0]}/{bought[0]}", side="sell",
        base_code=sold[0], base_quantity=amount, quote_code=bought[0], quote_quantity=bought[1],
        price=bought[1] / amount, fee_code=fee_code, fee_quantity=fee_quantity,
        wallet=Wallet.SPOT, order_id=order_id, occurred_at=occurred_at,
    )  # fmt: skip


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A completed conversion; its fee is in the rate."""
    status = rows.text(row, "orderStatus")
    if status not in ("SUCCESS", "PROCESS", "ACCEPT_SUCCESS", "FAIL", "FAILED", "EXPIRED"):
        raise BadRow("orderStatus is unknown")
    if status == "SUCCESS":
        yield _swap(
            name, feed="conversions", kind=TradeKind.CONVERSION,
            sold=(rows.code(row, "fromAsset"), rows.quantity(row, "fromAmount")),
            bought=(rows.code(row, "toAsset"), rows.quantity(row, "toAmount")),
            fee=Decimal(), occurred_at=rows.milliseconds(row, "createTime"), order_id=name,
        )  # fmt: skip


def dust_rows(answer: Any) -> Sequence[Any]:
    """Every asset of every sweep, with an id and the target that only the sweep names."""
    return [
        {
            "id": f"{detail.get('transId')}:{detail.get('fromAsset')}",
            "targetAsset": detail.get("targetAsset") or sweep.get("targetAsset") or "BNB",
            **detail,
        }
        for sweep in the_list(answer.get("userAssetDribblets") or [])
        for detail in the_list(sweep["userAssetDribbletDetails"])
    ]


def dust(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A remainder swept into BNB. The charge is 2 % of ``transferedAmount``, and taken from it."""
    charge = rows.quantity_or_zero(row, "serviceChargeAmount")
    received = rows.quantity(row, "transferedAmount")
    yield _swap(
        name, feed="dust", kind=TradeKind.DUST,
        sold=(rows.code(row, "fromAsset"), rows.quantity(row, "amount")),
        bought=(rows.code(row, "targetAsset"), received),
        fee=charge, occurred_at=rows.milliseconds(row, "operateTime"),
        order_id=rows.text(row, "transId"),
    )  # fmt: skip


def fiat_payment(side: str) -> Callable[[Row, str, Surroundings], Iterator[Fact]]:
    """Coins bought or sold for money that never was in a wallet (card, Apple Pay …)."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        if not _settled(row, _FIAT):
            return
        charged = rows.quantity_or_zero(row, "totalFee")
        fee_code, fee = rows.fee(rows.code(row, "fiatCurrency"), charged)
        coins, money = _fiat_amounts(row, charged)
        base, quote = rows.code(row, "cryptoCurrency"), rows.code(row, "fiatCurrency")
        yield Trade(
            feed=f"fiat_payments_{side}", exchange_id=name, kind=TradeKind.FIAT,
            symbol=f"{base}/{quote}", side=side, base_code=base, base_quantity=coins,
            quote_code=quote, quote_quantity=money, price=rows.quantity(row, "price"),
            fee_code=fee_code, fee_quantity=fee, wallet=Wallet.SPOT, order_id=name,
            occurred_at=rows.milliseconds(row, "createTime"),
        )  # fmt: skip

    return parse


def _fiat_amounts(row: Row, fee: Decimal) -> tuple[Decimal, Decimal]:
    """Coins, and money without the fee.

    The amount of money includes the fee, and it is ``sourceAmount`` in a purchase. In a sale
    either amount has been seen to be the money: the price says which.
    """
    source = rows.positive(rows.quantity(row, "sourceAmount"), field="sourceAmount")
    obtained = rows.positive(rows.quantity(row, "obtainAmount"), field="obtainAmount")
    price = rows.quantity(row, "price")
    for coins, total in ((obtained, source), (source, obtained)):
        for money in (total - fee, total, total + fee):
            if abs(money - price * coins) <= _CHEAP * price * coins:
                return coins, money
    return obtained, source - fee


# --- transfers ----------------------------------------------------------------------------------

_PENDING, _SETTLED = False, True
# A refused or cancelled transfer is no fact (None); a status that is not listed is a bad row.
_DEPOSITS = {
    "0": _PENDING, "1": _SETTLED, "2": None, "6": _SETTLED, "7": None, "8": _PENDING,
}  # fmt: skip
_WITHDRAWALS = {
    "0": _PENDING, "1": None, "2": _PENDING, "3": None, "4": _PENDING, "5": None, "6": _SETTLED,
}  # fmt: skip
_FIAT = {
    "successful": _SETTLED, "finished": _SETTLED, "completed": _SETTLED, "success": _SETTLED,
    "processing": _PENDING, "pending": _PENDING, "failed": None, "expired": None,
    "refunded": None, "refunding": None, "refund failed": None, "rejected": None,
    "cancelled": None, "canceled": None, "invalid": None,
}  # fmt: skip


def _settled(row: Row, meanings: Mapping[str, bool | None]) -> bool | None:
    status = rows.text(row, "status")
    if status.lower() not in meanings:
        raise BadRow("status is unknown")
    return meanings[status.lower()]


def deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that arrived; a refused deposit is no fact."""
    settled = _settled(row, _DEPOSITS)
    if settled is not None:
        yield _move(
            row, name, "deposits", Direction.DEPOSIT, code=rows.code(row, "coin"),
            quantity=rows.quantity(row, "amount"), fee=Decimal(), settled=settled,
            wallet=_side_wallet(row), occurred_at=rows.milliseconds(row, "insertTime"),
        )  # fmt: skip


def withdrawal(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins sent: the amount is net, the fee on top. With a transaction id they have left."""
    settled = _settled(row, _WITHDRAWALS)
    if settled is not None:
        yield _move(
            row, name, "withdrawals", Direction.WITHDRAWAL, code=rows.code(row, "coin"),
            quantity=rows.quantity(row, "amount"), fee=rows.quantity_or_zero(row, "transactionFee"),
            settled=settled or bool(rows.text(row, "txId")), wallet=_side_wallet(row),
            occurred_at=rows.moment(row, "applyTime"),
        )  # fmt: skip


def fiat_order(direction: Direction) -> Callable[[Row, str, Surroundings], Iterator[Fact]]:
    """A bank transfer. ``amount`` is what arrived here or there; going out, the fee is on top."""
    leaving = direction is Direction.WITHDRAWAL

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        settled = _settled(row, _FIAT)
        if settled is not None:
            yield _move(
                row, name, f"fiat_{direction}s", direction, code=rows.code(row, "fiatCurrency"),
                quantity=rows.quantity(row, "amount", "indicatedAmount"),
                fee=rows.quantity_or_zero(row, "totalFee") if leaving else Decimal(),
                settled=settled, wallet=Wallet.SPOT,
                occurred_at=rows.milliseconds(row, "createTime"),
            )  # fmt: skip

    return parse


def _side_wallet(row: Row) -> str:
    return Wallet.FUNDING if rows.text(row, "walletType") == "1" else Wallet.SPOT


def _move(
    row: Row, name: str, feed: str, direction: Direction, *, code: str, quantity: Decimal,
    fee: Decimal, settled: bool, wallet: str, occurred_at: datetime, counter_wallet: str = "",
) -> Transfer:  # fmt: skip
    fee_code, fee_quantity = rows.fee(code, fee)
    return Transfer(
        feed=feed, exchange_id=name, direction=direction, code=code,
        quantity=rows.positive(quantity, field="amount"), fee_code=fee_code,
        fee_quantity=fee_quantity, wallet=wallet, counter_wallet=counter_wallet, settled=settled,
        txid=rows.text(row, "txId"), address=rows.text(row, "address"),
        network=rows.text(row, "network"), occurred_at=occurred_at,
    )  # fmt: skip


def _inside(
    feed: str, *, source: str, target: str, done: frozenset[str], stamp: str, named: str = ""
) -> Callable[[Row, str, Surroundings], Iterator[Fact]]:
    """A move between wallets; ``named`` is the field that names the wallet outside earn."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        if rows.text(row, "status").upper() not in done:
            return
        wallets = [_named_wallet(row, named) if w == "named" else w for w in (source, target)]
        yield _move(
            row, name, feed, Direction.INTERNAL, code=rows.code(row, "asset"),
            quantity=rows.quantity(row, "amount"), fee=Decimal(), settled=True,
            wallet=wallets[0], counter_wallet=wallets[1],
            occurred_at=rows.milliseconds(row, stamp),
        )  # fmt: skip

    return parse


def _named_wallet(row: Row, field: str) -> str:
    return Wallet.FUNDING if rows.text(row, field).upper() == "FUNDING" else Wallet.SPOT


# --- rewards ------------------------------------------------------------------------------------


def dividend(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Airdrops, staking, launch pools. Interest of Simple Earn is left to its own feeds."""
    reason, paid_at = rows.text(row, "enInfo"), rows.milliseconds(row, "divTime")
    if not (_EARN_WORDS.search(reason) and paid_at >= SIMPLE_EARN):
        yield _reward(row, name, "rewards", _reward_kind(reason), "amount", Wallet.SPOT, paid_at)


def _reward_kind(reason: str) -> str:
    words = ("airdrop", "staking", "interest", "launchpool", "cashback", "rebate", "referral")
    found = (word for word in words if word in reason.lower())
    return next(found, "distribution")


def flexible_reward(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Real-time interest grows the position; bonus and older interest were paid into spot."""
    grows = rows.text(row, "type").upper() in ("REALTIME", "REAL_TIME", "")
    wallet = Wallet.EARN if grows else Wallet.SPOT
    when = rows.milliseconds(row, "time")
    yield _reward(row, name, "earn_rewards", "interest", "rewards", wallet, when)


def locked_reward(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Interest of a locked position, paid into spot."""
    when = rows.milliseconds(row, "time")
    yield _reward(row, name, "locked_rewards", "interest", "amount", Wallet.SPOT, when)


def _reward(
    row: Row, name: str, feed: str, kind: str, field: str, wallet: str, occurred_at: datetime
) -> Reward:
    amount = rows.positive(rows.quantity(row, field), field=field)
    return Reward(feed, name, kind, rows.code(row, "asset"), amount, wallet, occurred_at)


# --- feeds --------------------------------------------------------------------------------------

_DAYS_90 = timedelta(days=90)
_EARN_PAGES = Windows(timedelta(days=89), 100, size="size")
_FIAT_PAGES = Windows(timedelta(days=20 * 365), 500, since="beginTime", size="rows")
_EARN_DONE = frozenset({"SUCCESS", "PAID", ""})


def _earn(name: str, method: str, parse: Any, **more: Any) -> Feed:
    settings: dict[str, Any] = {"optional": True, "needs_earn": True, "id_field": ""} | more
    return Feed(
        name=name, call=sapi(method, 150, **settings.pop("fixed", {})), paging=_EARN_PAGES,
        launched=SIMPLE_EARN, rows=under("rows"), parse=parse, **settings,
    )  # fmt: skip


def _funding_transfer(name: str, kind: str, source: str, target: str) -> Feed:
    return Feed(
        name=name, call=sapi("sapiGetAssetTransfer", type=kind),
        paging=Windows(timedelta(days=89), 100, size="size"), launched=OPENED,
        rows=lambda answer: the_list(answer.get("rows") or []), id_field="tranId",
        horizon=timedelta(days=179), tries_older=True,
        parse=_inside(
            name, source=source, target=target, done=frozenset({"CONFIRMED"}), stamp="timestamp"
        ),
    )  # fmt: skip


FEEDS = (
    Feed(
        name="deposits", call=sapi("sapiGetCapitalDepositHisrec"),
        paging=Windows(_DAYS_90, 1000), launched=OPENED, rows=the_list, parse=deposit,
        stable=("coin", "amount", "address", "addressTag", "txId", "insertTime"),
    ),
    Feed(
        name="fiat_deposits", call=uid("sapiGetFiatOrders", 90_000, transactionType="0"),
        paging=_FIAT_PAGES, launched=OPENED, rows=under("data"), optional=True,
        parse=fiat_order(Direction.DEPOSIT), id_field="orderNo",
    ),
    Feed(
        name="fiat_withdrawals", call=uid("sapiGetFiatOrders", 90_000, transactionType="1"),
        paging=_FIAT_PAGES, launched=OPENED, rows=under("data"), optional=True,
        parse=fiat_order(Direction.WITHDRAWAL), id_field="orderNo",
    ),
    Feed(
        name="fiat_payments_buy", call=sapi("sapiGetFiatPayments", transactionType="0"),
        paging=_FIAT_PAGES, launched=OPENED, rows=under("data"), optional=True,
        parse=fiat_payment("buy"), id_field="orderNo",
    ),
    Feed(
        name="fiat_payments_sell", call=sapi("sapiGetFiatPayments", transactionType="1"),
        paging=_FIAT_PAGES, launched=OPENED, rows=under("data"), optional=True,
        parse=fiat_payment("sell"), id_field="orderNo",
    ),
    Feed(
        name="dust", call=sapi("sapiGetAssetDribblet"),
        paging=Windows(_DAYS_90, 100, size=""), launched=at(2018), rows=dust_rows, parse=dust,
    ),
    Feed(
        name="rewards", call=sapi("sapiGetAssetAssetDividend", 10),
        paging=Windows(timedelta(days=180), 500), launched=at(2018), rows=under("rows"),
        parse=dividend, stable=("tranId", "asset", "amount", "divTime", "enInfo"),
    ),
    Feed(
        name="withdrawals", call=uid("sapiGetCapitalWithdrawHistory", 18_000),
        paging=Windows(_DAYS_90, 1000), launched=OPENED, rows=the_list, parse=withdrawal,
    ),
    Feed(
        name="conversions", call=uid("sapiGetConvertTradeFlow", 3000),
        paging=Windows(timedelta(days=30), 1000), launched=at(2020, 1, 1), rows=under("list"),
        parse=conversion, id_field="orderId",
    ),
    _earn(
        "earn_rewards", "sapiGetSimpleEarnFlexibleHistoryRewardsRecord", flexible_reward,
        fixed={"type": "ALL"}, stable=("asset", "rewards", "projectId", "type", "time"),
    ),
    _earn(
        "locked_rewards", "sapiGetSimpleEarnLockedHistoryRewardsRecord", locked_reward,
        stable=("asset", "amount", "positionId", "time"),
    ),
    _earn(
        "earn_subscriptions", "sapiGetSimpleEarnFlexibleHistorySubscriptionRecord",
        _inside(
            "earn_subscriptions", source="named", target=Wallet.EARN, done=_EARN_DONE,
            stamp="time", named="sourceAccount",
        ),
        id_field="purchaseId",
    ),
    _earn(
        "earn_redemptions", "sapiGetSimpleEarnFlexibleHistoryRedemptionRecord",
        _inside(
            "earn_redemptions", source=Wallet.EARN, target="named", done=_EARN_DONE,
            stamp="time", named="destAccount",
        ),
        id_field="redeemId",
    ),
    _earn(
        "locked_subscriptions", "sapiGetSimpleEarnLockedHistorySubscriptionRecord",
        _inside(
            "locked_subscriptions", source="named", target=Wallet.EARN, done=_EARN_DONE,
            stamp="time", named="sourceAccount",
        ),
        id_field="purchaseId",
    ),
    _earn(
        "locked_redemptions", "sapiGetSimpleEarnLockedHistoryRedemptionRecord",
        _inside(
            "locked_redemptions", source=Wallet.EARN, target=Wallet.SPOT, done=_EARN_DONE,
            stamp="time",
        ),
        id_field="redeemId",
    ),
    _funding_transfer("transfers_to_funding", "MAIN_FUNDING", Wallet.SPOT, Wallet.FUNDING),
    _funding_transfer("transfers_from_funding", "FUNDING_MAIN", Wallet.FUNDING, Wallet.SPOT),
    Feed(  # last: the others reveal which symbols to ask for
        name="trades", call=Call("privateGetMyTrades", 20, IP), paging=Ids(1000),
        launched=OPENED, rows=the_list, parse=spot_trade, scoped=True,
    ),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


async def load_markets(client: Any) -> Markets:
    """The spot list alone, straight from ``exchangeInfo``: ccxt would build far more."""
    answer = await client.publicGetExchangeInfo()
    return Markets(
        Market(row["symbol"], row["baseAsset"], row["quoteAsset"]) for row in answer["symbols"]
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``ticker/24hr`` of all spot symbols; one that cannot be read is left out."""
    for row in the_list(answer):
        try:
            market = markets.by_id[row["symbol"]]
            last = rows.positive(rows.quantity(row, "lastPrice"), field="lastPrice")
            opened = rows.quantity_or_zero(row, "openPrice")
            stamp = rows.milliseconds(row, "closeTime") if row.get("closeTime") else now
        except (BadRow, KeyError, TypeError):
            continue
        yield Ticker(market.base, market.quote, last, opened or None, stamp)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``klines`` is asked."""
    times = {"startTime": since, "endTime": until - 1}
    return (), {"symbol": market, "interval": interval, "limit": limit} | times


_TRADING = (
    "enableSpotAndMarginTrading", "enableMargin", "enableFutures", "enableVanillaOptions",
    "enablePortfolioMarginTrading", "enableFixApiTrade",
)  # fmt: skip
_MOVING = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")


def privileges(answer: Mapping[str, Any]) -> Privileges:
    """What ``apiRestrictions`` says. Raises MissingPermission when it may not even read."""
    if any(answer.get(flag) is True for flag in _MOVING):
        return Privileges.WITHDRAW
    if any(answer.get(flag) is True for flag in _TRADING):
        return Privileges.TRADE
    if answer.get("enableReading") is not True:
        raise errors.MissingPermission
    return Privileges.READ_ONLY


def restricted(answer: Mapping[str, Any]) -> bool | None:
    """Whether the key is bound to addresses."""
    told = answer.get("ipRestrict")
    return told if isinstance(told, bool) else None


DIALECT = Dialect(
    id="binance",
    wallets=WALLETS,
    feeds=FEEDS,
    key_check=KeyCheck(
        call=sapi("sapiGetAccountApiRestrictions"), read=privileges, restricted=restricted
    ),
    error_codes={
        "-1021": errors.WrongClock,
        "-1022": errors.WrongKey,
        "-2008": errors.WrongKey,
        "-2014": errors.WrongKey,
        "-2015": errors.WrongKey,
        "-1002": errors.MissingPermission,
        "-1003": errors.RateLimited,
        "-1015": errors.RateLimited,
        "-1121": errors.SymbolUnknown,
        "-1100": errors.Malformed,
        "-1000": errors.Unreachable,
        "-1001": errors.Unreachable,
        "-1006": errors.Unreachable,
        "-1007": errors.TimedOut,
        "-1016": errors.OnMaintenance,
        "-3003": errors.MissingPermission,  # no margin account
        "-11001": errors.MissingPermission,  # no isolated margin account
    },
    needs_markets=True,
    load_markets=load_markets,
    markets_call=Call("publicGetExchangeInfo", 20, IP),
    tickers_call=Call("publicGetTicker24hr", 80, IP),
    read_tickers=tickers,
    candles=CandleCall(
        call=Call("publicGetKlines", 2, IP), limit=1000, asking=candles, rows=the_list
    ),
    major_quotes=STABLE_AND_MAJOR,
    symbols=True,
)
