"""HTX: every account of the user by itself, fills of all symbols in windows of two days.

Fills are kept for 120 days. A withdrawal's amount is net, its fee is on top. A fill's fee is in
the coin received unless it was deducted in another (HT, HTX, TRX …): then ``filled-points`` tells
it. Prepaid points are no coin, so what was deducted from them is no fee here. Moves between spot
and the other accounts come from the ledger of the spot account, which tells nothing else.
What a key may do is asked with the user's number, and told to keys of main accounts.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import shapes
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Cursor,
    Dialect,
    Feed,
    Holding,
    KeyCheck,
    Surroundings,
    WalletCall,
    Windows,
    at,
    under,
)
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Privileges, Ticker, Wallet

OPENED = at(2013, 9)
EDGE = timedelta(minutes=10)  # what lies closer to a horizon may be refused on arrival
FILLS_KEPT = timedelta(days=120) - EDGE
MOVES_KEPT = timedelta(days=180) - EDGE
TRANSFERS_PAGE = 500
ACCOUNT = Pool("account", 600)  # by user and endpoint: a hundred in ten seconds
MATCHES = Pool("matches", 600)
TRANSFERS = Pool("transfers", 600)
IP = Pool("ip", 600)

# Codes that stand for another coin here than elsewhere.
CODES = {
    "NGL": "GFNGL", "GET": "THEMIS", "GTC": "GAMECOM", "HIT": "HITCHAIN", "PNT": "PENTA",
    "SBTC": "SUPERBITCOIN", "SOUL": "SOULSAVER", "BIFI": "BITCOINFILE",
}  # fmt: skip
_QUOTES = (
    "usdt", "usdc", "usdd", "usd1", "husd", "busd", "tusd", "btc", "eth", "htx", "trx", "eur",
    "gbp", "try", "brl", "uah", "rub", "usd", "ht",
)  # fmt: skip
_WALLETS = {
    "spot": Wallet.SPOT, "otc": Wallet.FUNDING, "margin": Wallet.MARGIN,
    "super-margin": Wallet.MARGIN, "cross-margin": Wallet.MARGIN, "deposit-earning": Wallet.EARN,
    "minepool": Wallet.EARN, "investment": Wallet.EARN,
}  # fmt: skip
_OWNED = {"trade", "frozen", "loan", "interest", "lock", "bank"}  # the rest says what one may do
_PERIODS = {"5m": "5min", "15m": "15min", "1h": "60min"}
_POINTS = ("point", "hbpoint")
_DEPOSITS: shapes.Meanings = {
    "confirming": False, "confirmed": True, "safe": True, "unknown": None, "orphan": None,
    "large": False, "manual": False, "waiting": False,
}  # fmt: skip
_WITHDRAWALS: shapes.Meanings = {
    "confirmed": True, "submitted": False, "reexamine": False, "pass": False,
    "pre-transfer": False, "wallet-transfer": False, "verifying": False, "pending": False,
    "canceled": None, "reject": None, "wallet-reject": None, "confirm-error": None,
    "repealed": None, "failed": None,
}  # fmt: skip


def code(row: Row, field: str) -> str:
    """A coin's code; HTX writes them in small letters."""
    found = rows.code(row, field).upper()
    return CODES.get(found, found)


# --- balances -----------------------------------------------------------------------------------


def accounts(answer: Any, around: Surroundings) -> Iterator[WalletCall]:
    """One call for each account, the spot account first; prepaid points are no coins."""
    listed = [row for row in under("data")(answer) if row["type"] not in _POINTS]
    for row in sorted(listed, key=lambda row: row["type"] != "spot"):
        if row["type"] == "spot":
            around.accounts[rows.code(row, "id")] = ""
        yield WalletCall(
            wallet=_WALLETS.get(row["type"], rows.text(row, "type")[:16]), parse=balances,
            call=_account("spotPrivateGetV1AccountAccountsAccountIdBalance", row["id"]),
            optional=row["type"] != "spot",
        )  # fmt: skip


def _account(method: str, number: Any) -> Call:
    return Call(method, 1, ACCOUNT, per_account=True, fixed={"account-id": str(number)})


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """What is free, frozen or locked, less what is borrowed and the interest on it."""
    found = [row for row in under("data", "list")(answer) if not _tells_a_right(row)]
    return shapes.held(
        found, around, lambda row: Holding(code(row, "currency"), rows.quantity(row, "balance"))
    )


def _tells_a_right(row: Any) -> bool:
    return isinstance(row, Mapping) and row.get("type") not in _OWNED


# --- history ------------------------------------------------------------------------------------


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill of spot or margin. A rebate of the maker is a fee below 0."""
    way = shapes.side(row, "type")
    source = rows.text(row, "source")
    yield shapes.fill(
        name, split_symbol(rows.code(row, "symbol"), rows.text(row, "fee-currency"), way), way,
        amount=rows.quantity(row, "filled-amount"), price=rows.quantity(row, "price"),
        fee=_fee(row), wallet=Wallet.MARGIN if "margin" in source else Wallet.SPOT,
        order_id=rows.text(row, "order-id"), occurred_at=rows.milliseconds(row, "created-at"),
    )  # fmt: skip


def split_symbol(symbol: str, fee_coin: str, way: str) -> tuple[str, str]:
    """Base and quote of ``dogeusdt``. The fee is in the coin received, which tells it surely."""
    if way == "buy" and fee_coin and symbol.startswith(fee_coin) and symbol != fee_coin:
        base = fee_coin
    else:
        base = symbol.removesuffix(_quote(symbol, fee_coin if way == "sell" else ""))
    return code({"base": base}, "base"), code({"quote": symbol.removeprefix(base)}, "quote")


def _quote(symbol: str, fee_coin: str) -> str:
    known = (fee_coin, *_QUOTES) if fee_coin else _QUOTES
    for quote in known:
        if symbol.endswith(quote) and symbol != quote:
            return quote
    raise BadRow("symbol is unknown")


def _fee(row: Row) -> tuple[str | None, Decimal | None]:
    charged = rows.quantity_or_zero(row, "filled-fees")
    if charged:
        return rows.fee(code(row, "fee-currency"), charged)
    deducted, coin = rows.quantity_or_zero(row, "filled-points"), row.get("fee-deduct-currency")
    if not deducted or not coin or str(coin).lower() in _POINTS:
        return None, None
    return rows.fee(code(row, "fee-deduct-currency"), deducted)


def transfer(
    way: Direction, meanings: shapes.Meanings
) -> Callable[[Row, str, Surroundings], Iterator[Fact]]:
    """A deposit or withdrawal; the amount is net. One endpoint tells both: rows name which."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        if not way.startswith(rows.text(row, "type")):
            return
        done = shapes.settled(row, meanings, "state")
        if done is not None:
            yield shapes.transfer(
                f"{way}s", name, way, code(row, "currency"), rows.quantity(row, "amount"),
                fee=abs(rows.quantity_or_zero(row, "fee")), done=done,
                occurred_at=rows.milliseconds(row, "created-at"),
                txid=rows.text(row, "tx-hash"), address=rows.text(row, "address"),
                network=rows.text(row, "chain"),
            )  # fmt: skip

    return parse


def _transfers(name: str, kind: str, parse: Any) -> Feed:
    return Feed(
        name=name, parse=parse, rows=under("data"), launched=OPENED,
        call=Call(
            "spotPrivateGetV1QueryDepositWithdraw", 1, TRANSFERS, per_account=True,
            fixed={"type": kind, "size": TRANSFERS_PAGE, "direct": "next"},
        ),
        paging=Cursor("from", _last_id),
    )  # fmt: skip


def _last_id(answer: Any) -> str:
    """Where the next page begins: at the last row of a full one, which comes again."""
    found = under("data")(answer)
    return str(found[-1]["id"]) if len(found) >= TRANSFERS_PAGE else ""


# The account at the other end of a move, by a word of ``transferType``; None: somebody else's.
_OTHER_SIDES = (
    ("sub", None), ("master", None), ("agency", None), ("margin", Wallet.MARGIN),
    ("futures", Wallet.FUTURES), ("swap", Wallet.FUTURES), ("otc", Wallet.FUNDING),
    ("earn", Wallet.EARN), ("minepool", Wallet.EARN), ("saving", Wallet.EARN),
)  # fmt: skip


def move(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that left the spot account for another account, or came back (above 0)."""
    kind, amount = rows.text(row, "transferType").lower(), rows.quantity(row, "transactAmt")
    other = next((wallet for word, wallet in _OTHER_SIDES if word in kind), None)
    leaving = amount < 0
    wallets = (Wallet.SPOT, other or "") if leaving or not other else (other, Wallet.SPOT)
    way = Direction.WITHDRAWAL if leaving else Direction.DEPOSIT
    yield shapes.transfer(
        "transfers", name, Direction.INTERNAL if other else way, code(row, "currency"),
        abs(amount), wallet=wallets[0], counter_wallet=wallets[1],
        occurred_at=rows.milliseconds(row, "transactTime"),
    )  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``user/api-key`` says of the one key that was asked for."""
    told = _the_key(answer)
    granted = {word.strip().lower() for word in rows.text(told, "permission").split(",")}
    if "withdraw" in granted:
        return Privileges.WITHDRAW
    if "trade" in granted:
        return Privileges.TRADE
    if "readonly" not in granted:
        raise errors.MissingPermission
    return Privileges.READ_ONLY


def _the_key(answer: Any) -> Row:
    found = under("data")(answer)
    if len(found) != 1:
        raise IndexError("not exactly one key")
    return found[0]


def restricted(answer: Any) -> bool | None:
    """Whether the key works from some addresses only."""
    told = _the_key(answer)
    return bool(told["ipAddresses"]) if "ipAddresses" in told else None


def naming(answer: Any, api_key: str) -> dict[str, str]:
    """The user's number, and the key that is meant."""
    return {"uid": str(answer["data"]), "accessKey": api_key}


async def load_markets(client: Any) -> Markets:
    """All spot symbols, straight from ``common/symbols``."""
    answer = await client.spotPublicGetV1CommonSymbols()
    return Markets(
        Market(row["symbol"], code(row, "base-currency"), code(row, "quote-currency"))
        for row in answer["data"]
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``market/tickers``; its opening price is that of a day in Singapore, so it is left out."""

    def read(row: Row) -> Ticker | None:
        return shapes.ticker(markets, row["symbol"], rows.quantity(row, "close"), None, now)

    return shapes.tickers(under("data")(answer), read)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``history/candles`` is asked. Its days begin at 16:00 UTC, so they are of no use."""
    times = {"from": since // 1000, "to": (until - 1) // 1000}
    return (), {"symbol": market, "period": _PERIODS[interval], "size": limit} | times


def candle_rows(answer: Any) -> list[Any]:
    """Start in milliseconds, open, high, low, close, volume."""
    told = ("open", "high", "low", "close", "amount")
    return [
        [int(row["id"]) * 1000, *(row.get(name) for name in told)] for row in under("data")(answer)
    ]


DIALECT = Dialect(
    id="htx",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, parse=balances, accounts=accounts,
            call=Call("spotPrivateGetV1AccountAccounts", 1, ACCOUNT, per_account=True),
        ),
    ),
    feeds=(
        _transfers("deposits", "deposit", transfer(Direction.DEPOSIT, _DEPOSITS)),
        _transfers("withdrawals", "withdraw", transfer(Direction.WITHDRAWAL, _WITHDRAWALS)),
        Feed(
            name="trades", parse=fill, rows=under("data"), launched=OPENED, horizon=FILLS_KEPT,
            call=Call("spotPrivateGetV1OrderMatchresults", 1, MATCHES, per_account=True),
            paging=Windows(
                timedelta(days=2), 500, since="start-time", until="end-time", size="size"
            ),
        ),
        Feed(
            name="transfers", parse=move, rows=under("data"), launched=OPENED,
            horizon=MOVES_KEPT, optional=True, scoped=True, scope_param="accountId",
            call=Call(
                "spotPrivateGetV2AccountLedger", 1, ACCOUNT, per_account=True,
                fixed={"transactTypes": "transfer"},
            ),
            paging=Windows(timedelta(days=10), 500), id_field="",
            stable=("accountId", "currency", "transactAmt", "transferType", "transactTime"),
        ),
    ),
    key_check=KeyCheck(
        call=Call("spotPrivateGetV2UserApiKey", 1, ACCOUNT, per_account=True), read=privileges,
        restricted=restricted, naming=naming, optional=True,
        before=Call("spotPrivateGetV2UserUid", 1, ACCOUNT, per_account=True),
    ),
    error_codes={
        "api-signature": errors.WrongKey,
        "login-required": errors.WrongKey,
        "403": errors.WrongKey,
        "1003": errors.WrongKey,
        "no-permission": errors.MissingPermission,
        "1002": errors.MissingPermission,
        "base-request-exceed-frequency-limit": errors.RateLimited,
        "rate-too-many-requests": errors.RateLimited,
        "base-symbol": errors.SymbolUnknown,
        "system-maintenance": errors.OnMaintenance,
        "gateway-internal-error": errors.Unreachable,
        "timeout": errors.TimedOut,
    },
    limits_by_key=True,
    load_markets=load_markets,
    markets_call=Call("spotPublicGetV1CommonSymbols", 1, IP),
    tickers_call=Call("spotPublicGetMarketTickers", 1, IP),
    read_tickers=tickers,
    candles=CandleCall(
        call=Call("spotPublicGetMarketHistoryCandles", 1, IP), limit=1000, asking=candles,
        rows=candle_rows, intervals=frozenset(_PERIODS),
    ),
)  # fmt: skip
