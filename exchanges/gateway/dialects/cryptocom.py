"""Crypto.com Exchange: one account, whose staked coins are balances of their own (``SOL.staked``).

Fills come in windows of one day and one call a second, so they are read from the day on which the
account was opened; transfers come in windows of 90 days. Fees of fills are below 0 where
something was charged; a rebate is above. A withdrawal's amount is net, its fee is on top. What a
key may do cannot be asked. Every private method has a limit of its own, by key.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import shapes
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Dialect,
    Feed,
    Holding,
    Opening,
    Surroundings,
    WalletCall,
    Windows,
    at,
    the_list,
    under,
)
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Reward, Ticker, Trade, Wallet

OPENED = at(2019, 11)
STAKING_OPENED = at(2022, 6)
EDGE = timedelta(minutes=10)  # what lies closer to a horizon may be refused on arrival
STAKING_KEPT = timedelta(days=180) - EDGE
PUBLIC = Pool("ip", 6000)
CODES = {"USD_STABLE_COIN": "USDC"}
_STAKED = ".staked"
_DEPOSITS: shapes.Meanings = {"0": False, "1": True, "2": None, "3": False}
_WITHDRAWALS: shapes.Meanings = {
    "0": False, "1": False, "2": None, "3": False, "4": None, "5": True, "6": None,
}  # fmt: skip


def private(method: str, per_minute: float = 1800) -> Call:
    """A private call: three in 100 ms and key, for each method by itself."""
    return Call(method, 1, Pool(f"key:{method}", per_minute), per_account=True)


def split_asset(name: str) -> tuple[str, str]:
    """Code and wallet of an instrument: what is staked lies in earn."""
    wallet = Wallet.EARN if name.endswith(_STAKED) else Wallet.SPOT
    plain = name.removesuffix(_STAKED)
    return CODES.get(plain, plain), wallet


def listed(field: str) -> Callable[[Any], Sequence[Any]]:
    """Rows of a result, which leaves out what it has none of."""
    return lambda answer: the_list(answer["result"].get(field) or [])


def _asset(row: Row, field: str) -> tuple[str, str]:
    return split_asset(rows.code(row, field))


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """``user-balance``; ``quantity`` holds what is reserved as well."""
    found = [row for part in under("result", "data")(answer) for row in part["position_balances"]]
    return shapes.held(found, around, _held)


def _held(row: Row) -> Holding:
    code, wallet = _asset(row, "instrument_name")
    return Holding(code, rows.quantity(row, "quantity"), wallet)


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A spot fill; those of futures move no coins."""
    base, joined, quote = rows.code(row, "instrument_name").partition("_")
    if not joined or "-" in quote:
        return
    charged = -rows.quantity_or_zero(row, "fees")
    fee_code = _asset(row, "fee_instrument_name")[0] if charged else None
    yield shapes.fill(
        name, (split_asset(base)[0], split_asset(quote)[0]), shapes.side(row),
        amount=rows.quantity(row, "traded_quantity"), price=rows.quantity(row, "traded_price"),
        fee=rows.fee(fee_code, charged), order_id=rows.text(row, "order_id"),
        occurred_at=rows.milliseconds(row, "create_time"),
    )  # fmt: skip


def transfer(
    way: Direction, meanings: shapes.Meanings
) -> Callable[[Row, str, Surroundings], Iterator[Fact]]:
    """A deposit or withdrawal; the amount is net. With a transaction id, coins have left."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        done = shapes.settled(row, meanings, "status")
        txid = rows.text(row, "txid").partition("/")[0]
        if done is not None:
            yield shapes.transfer(
                f"{way}s", name, way, _asset(row, "currency")[0], rows.quantity(row, "amount"),
                fee=abs(rows.quantity_or_zero(row, "fee")), done=done or _has_left(way, txid),
                occurred_at=rows.milliseconds(row, "create_time"), txid=txid,
                address=rows.text(row, "address"), network=rows.text(row, "network_id"),
            )  # fmt: skip

    return parse


def _has_left(way: Direction, txid: str) -> bool:
    return way is Direction.WITHDRAWAL and bool(txid)


# --- staking ------------------------------------------------------------------------------------


def reward(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """What staking earned, in the staked coin itself or beside it."""
    code, wallet = _asset(row, "reward_inst_name")
    amount = rows.positive(rows.quantity(row, "reward_quantity"), field="reward_quantity")
    when = rows.milliseconds(row, "event_timestamp_ms")
    yield Reward("rewards", name, "staking", code, amount, wallet, when)


def stake(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that were staked, or given back."""
    if not _completed(row):
        return
    way = rows.text(row, "side").upper()
    if way not in ("STAKE", "UNSTAKE"):
        raise BadRow("side is neither STAKE nor UNSTAKE")
    wallets = (Wallet.SPOT, Wallet.EARN) if way == "STAKE" else (Wallet.EARN, Wallet.SPOT)
    yield shapes.transfer(
        "stakes", name, Direction.INTERNAL, _asset(row, "instrument_name")[0],
        rows.quantity(row, "quantity"), wallet=wallets[0], counter_wallet=wallets[1],
        occurred_at=rows.milliseconds(row, "create_timestamp_ms"),
    )  # fmt: skip


def _completed(row: Row) -> bool:
    return rows.text(row, "status").upper() == "COMPLETED"


def conversion(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A staked coin turned into its liquid token or back; both sides are told in spot."""
    if not _completed(row):
        return
    sold, bought = _asset(row, "from_instrument_name"), _asset(row, "to_instrument_name")
    given, received = rows.quantity(row, "from_quantity"), rows.quantity(row, "to_quantity")
    when = rows.milliseconds(row, "create_timestamp_ms")
    if sold[1] == Wallet.EARN:
        yield _step(name, "from", sold[0], given, (Wallet.EARN, Wallet.SPOT), when)
    yield _swap(name, (sold[0], given), (bought[0], received), when)
    if bought[1] == Wallet.EARN:
        yield _step(name, "to", bought[0], received, (Wallet.SPOT, Wallet.EARN), when)


def _swap(
    name: str, sold: tuple[str, Decimal], bought: tuple[str, Decimal], when: datetime
) -> Trade:
    return shapes.swap(name, sold, bought, occurred_at=when, feed="conversions", order_id=name)


def _step(
    name: str, end: str, code: str, amount: Decimal, wallets: tuple[str, str], when: datetime
) -> Fact:
    return shapes.transfer(
        "conversions", f"{name}:{end}", Direction.INTERNAL, code, amount, wallet=wallets[0],
        counter_wallet=wallets[1], occurred_at=when,
    )  # fmt: skip


def _staking(name: str, method: str, parse: Any, id_field: str, stable: tuple[str, ...]) -> Feed:
    return Feed(
        name=name, parse=parse, rows=listed("data"), optional=True, id_field=id_field,
        stable=stable, call=private(method, 3000), launched=STAKING_OPENED,
        horizon=STAKING_KEPT,
        paging=Windows(timedelta(days=180), 500, since="start_time", until="end_time"),
    )  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


def opened_at(answer: Any) -> datetime:
    """When the account was opened: the master account, before any that belong to it."""
    return rows.milliseconds(answer["result"]["master_account"], "create_time")


async def load_markets(client: Any) -> Markets:
    """Spot instruments, straight from ``get-instruments``."""
    answer = await client.v1PublicGetPublicGetInstruments()
    return Markets(
        Market(row["symbol"], _asset(row, "base_ccy")[0], _asset(row, "quote_ccy")[0])
        for row in answer["result"]["data"]
        if row.get("inst_type") == "CCY_PAIR"
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``get-tickers``: ``a`` is the latest price; of the day before only a rounded change."""

    def read(row: Row) -> Ticker | None:
        stamp = rows.milliseconds(row, "t") if row.get("t") else now
        return shapes.ticker(markets, row["i"], rows.quantity(row, "a"), None, stamp)

    return shapes.tickers(under("result", "data")(answer), read)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``get-candlestick`` is asked; both ends are left out of the answer."""
    times = {"start_ts": since - 1, "end_ts": until}
    named = {"1d": "1D"}.get(interval, interval)
    return (), {"instrument_name": market, "timeframe": named, "count": limit} | times


def candle_rows(answer: Any) -> list[Any]:
    """Start in milliseconds, open, high, low, close, volume."""
    return [
        [row["t"], *(row.get(name) for name in ("o", "h", "l", "c", "v"))]
        for row in under("result", "data")(answer)
    ]


def _transfers(name: str, method: str, field: str, parse: Any) -> Feed:
    return Feed(
        name=name, parse=parse, rows=listed(field), launched=OPENED,
        call=private(method),
        paging=Windows(
            timedelta(days=90), 200, since="start_ts", until="end_ts", size="page_size"
        ),
    )  # fmt: skip


DIALECT = Dialect(
    id="cryptocom",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, parse=balances, tells=frozenset({Wallet.EARN}),
            call=private("v1PrivatePostPrivateUserBalance"),
        ),
    ),
    feeds=(
        _transfers(
            "deposits", "v1PrivatePostPrivateGetDepositHistory", "deposit_list",
            transfer(Direction.DEPOSIT, _DEPOSITS),
        ),
        _transfers(
            "withdrawals", "v1PrivatePostPrivateGetWithdrawalHistory", "withdrawal_list",
            transfer(Direction.WITHDRAWAL, _WITHDRAWALS),
        ),
        _staking(
            "rewards", "v1PrivatePostPrivateStakingGetRewardHistory", reward, "",
            ("staking_inst_name", "reward_inst_name", "reward_quantity", "event_timestamp_ms"),
        ),
        _staking(
            "stakes", "v1PrivatePostPrivateStakingGetStakeHistory", stake, "staking_id",
            ("instrument_name", "side", "quantity", "create_timestamp_ms"),
        ),
        _staking(
            "conversions", "v1PrivatePostPrivateStakingGetConvertHistory", conversion,
            "convert_id", ("from_instrument_name", "from_quantity", "create_timestamp_ms"),
        ),
        Feed(  # last: one call a second is all that may be asked
            name="trades", parse=fill, rows=listed("data"), launched=OPENED,
            call=private("v1PrivatePostPrivateGetTrades", 60), id_field="trade_id",
            from_opening=True,
            paging=Windows(timedelta(days=1), 100, since="start_time", until="end_time"),
        ),
    ),
    opening=Opening(call=private("v1PrivatePostPrivateGetAccounts"), read=opened_at),
    error_codes={
        "10002": errors.WrongKey,
        "40101": errors.WrongKey,
        "10003": errors.AddressNotAllowed,
        "40103": errors.AddressNotAllowed,
        "10005": errors.MissingPermission,
        "40104": errors.MissingPermission,
        "10007": errors.WrongClock,
        "40102": errors.WrongClock,
        "10006": errors.RateLimited,
        "42901": errors.RateLimited,
        "30003": errors.SymbolUnknown,
        "10009": errors.Unsupported,
        "40801": errors.TimedOut,
        "50001": errors.Unreachable,
        "9010001": errors.OnMaintenance,
    },
    limits_by_key=True,
    load_markets=load_markets,
    markets_call=Call("v1PublicGetPublicGetInstruments", 1, PUBLIC),
    tickers_call=Call("v1PublicGetPublicGetTickers", 1, PUBLIC),
    read_tickers=tickers,
    candles=CandleCall(
        call=Call("v1PublicGetPublicGetCandlestick", 1, PUBLIC), limit=300, asking=candles,
        rows=candle_rows,
    ),
)  # fmt: skip
