"""Kraken: the ledger is the truth, the trade history adds price and side.

Every movement is a ledger entry; entries of one event share a ``refid``, which for a fill is the
id of the trade. The ledger alone tells which coin a fee was charged in. A balance changes by
``amount - fee``. One coin has a code per wallet: ``XBT``, ``XBT.F`` and ``SOL03.S`` are BTC in
spot, BTC in earn, SOL in earn.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import generic
from exchanges.gateway.dialects.base import (
    Bad,
    Batch,
    Call,
    CandleCall,
    Dialect,
    Feed,
    Holding,
    KeyCheck,
    Offsets,
    Surroundings,
    WalletCall,
    at,
    load_with_ccxt,
    the_list,
)
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import (
    Direction,
    Fact,
    Privileges,
    Reward,
    Trade,
    TradeKind,
    Transfer,
    Wallet,
)

ACCOUNT = Pool("account", 20)
PUBLIC = Pool("public", 60)  # one call a second and address
OPENED = at(2013, 9)
EDGE = timedelta(minutes=1)  # entries of one event lie closer together than this

# Kraken never renamed an id, so these hold for all times.
LEGACY = {
    "XXBT": "BTC", "XBT": "BTC", "XETH": "ETH", "ETH2": "ETH", "XLTC": "LTC", "XETC": "ETC",
    "XMLN": "MLN", "XREP": "REPV1", "REP": "REPV1", "REPV2": "REP", "XXDG": "DOGE", "XDG": "DOGE",
    "XXLM": "XLM", "XXMR": "XMR", "XXRP": "XRP", "XZEC": "ZEC", "XDAO": "DAO", "XICN": "ICN",
    "XNMC": "NMC", "XXVN": "VEN", "ZAUD": "AUD", "ZCAD": "CAD", "ZEUR": "EUR", "ZGBP": "GBP",
    "ZJPY": "JPY", "ZUSD": "USD", "ZKRW": "KRW", "LUNA": "LUNC", "LUNA2": "LUNA", "UST": "USTC",
    "FEE": "KFEE",
}  # fmt: skip
_QUOTES = [
    "ZUSD", "ZEUR", "ZGBP", "ZJPY", "ZCAD", "ZAUD", "XXBT", "XETH", "PYUSD", "RLUSD", "USDT",
    "USDC", "USDG", "USDQ", "USDR", "EURQ", "EURR", "DAI", "USD", "EUR", "GBP", "JPY", "CAD",
    "AUD", "CHF", "AED", "XBT", "ETH", "DOT", "SOL", "BNB",
]  # fmt: skip
_RANK = [
    "USD", "EUR", "GBP", "JPY", "CAD", "AUD", "CHF", "AED", "KRW", "USDT", "USDC", "DAI",
    "USDG", "PYUSD", "RLUSD", "USDQ", "USDR", "BTC", "ETH",
]  # fmt: skip
_SUFFIX = re.compile(r"\.(F|S|M|B|P|HOLD)$")
_BONDED = re.compile(r"^([A-Z]{2,})\d{2}$")  # SOL03.S, DOT28.S: the days until it is free again


def split_asset(asset: str) -> tuple[str, str]:
    """Code and wallet of one of Kraken's asset ids; an unknown asset keeps its name."""
    suffix = _SUFFIX.search(asset)
    name = asset[: suffix.start()] if suffix else asset
    if suffix and suffix[1] == "S" and (bonded := _BONDED.match(name)):
        name = bonded[1]
    held = suffix is None or suffix[1] == "HOLD"
    wallet = Wallet.SPOT if held and asset != "ETH2" else Wallet.EARN
    return LEGACY.get(name, name), wallet


def split_pair(pair: str) -> tuple[str, str]:
    """Base and quote of a pair's id or alternative name. Raises BadRow."""
    if not re.fullmatch(r"[A-Za-z0-9./]{4,40}", pair):
        raise BadRow("pair is unknown")
    if "/" in pair:
        base, quote = pair.split("/", 1)
        return split_asset(base)[0], split_asset(quote)[0]
    for quote in _QUOTES:
        if pair.endswith(quote) and len(pair) > len(quote) + 1:
            return split_asset(pair.removesuffix(quote))[0], split_asset(quote)[0]
    for base in sorted(LEGACY, key=len, reverse=True):
        if pair.startswith(base) and len(pair) > len(base) + 1:
            return split_asset(base)[0], split_asset(pair.removeprefix(base))[0]
    raise BadRow("pair is unknown")


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """``BalanceEx`` (with what is on hold) or the plainer ``Balance``."""
    for asset, value in _result(answer).items():
        try:
            row = value if isinstance(value, Mapping) else {"balance": value}
            code, wallet = split_asset(rows.code({"asset": asset}, "asset"))
            amount = rows.quantity(row, "balance")
        except BadRow as problem:
            around.bad.append((str(problem), {asset: value}))
            continue
        if amount:
            yield Holding(code, amount, wallet)


def _result(answer: Any) -> Mapping[str, Any]:
    result = answer.get("result", answer)
    if not isinstance(result, Mapping):
        raise TypeError("not an object")
    return result


def _keyed(name: str) -> Callable[[Any], Sequence[Any]]:
    """Rows of an object keyed by id, each with its id."""

    def read(answer: Any) -> Sequence[Any]:
        found = _result(answer)[name]
        return [{**row, "id": key} if isinstance(row, dict) else row for key, row in found.items()]

    return read


def _count(answer: Any) -> int:
    return int(_result(answer).get("count") or 0)


# --- trades as the history tells them ------------------------------------------------------------


def note_trades(
    found: Mapping[str, Row], batch: Batch, around: Surroundings
) -> tuple[list[Fact], list[Bad]]:
    """Remember the fills; the ledger, read next, says what they moved."""
    around.noted |= found
    return [], []


def _history_trade(name: str, row: Row) -> Trade:
    """A fill without its ledger entries: the fee is taken to be in quote, as it mostly is."""
    base, quote = split_pair(rows.text(row, "pair"))
    amount = rows.positive(rows.quantity(row, "vol"), field="vol")
    price = rows.quantity(row, "price")
    fee_code, fee = rows.fee(quote, rows.quantity_or_zero(row, "fee"))
    return Trade(
        feed="trades", exchange_id=name, kind=TradeKind.FILL, symbol=f"{base}/{quote}",
        side=_side(row), base_code=base, base_quantity=amount, quote_code=quote,
        quote_quantity=rows.quantity(row, "cost") if row.get("cost") else price * amount,
        price=price, fee_code=fee_code, fee_quantity=fee, wallet=Wallet.SPOT,
        order_id=rows.text(row, "ordertxid"), occurred_at=rows.seconds(row, "time"),
    )  # fmt: skip


def _side(row: Row) -> str:
    if row.get("type") not in ("buy", "sell"):
        raise BadRow("type is neither buy nor sell")
    return str(row["type"])


def _is_margin(row: Row) -> bool:
    """A position moves no coins when it is opened; the ledger shows what it costs."""
    return bool(rows.quantity_or_zero(row, "margin"))


# --- the ledger ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry, read."""

    id: str
    event: str
    kind: str
    detail: str
    code: str
    wallet: str
    amount: Decimal
    fee: Decimal
    occurred_at: datetime


def ledger(
    found: Mapping[str, Row], batch: Batch, around: Surroundings
) -> tuple[list[Fact], list[Bad]]:
    """Facts of all events whose entries could be read, and fills that have no entries."""
    if batch.error is not None:
        return _history_only(around.noted, batch)
    bad: list[Bad] = []
    events, spoiled = _events(found, bad)
    facts = [fact for name in events for fact in _event(name, events[name], batch, around)]
    filled = {name for name, entries in events.items() if any(e.kind == "trade" for e in entries)}
    facts += _without_entries(around.noted, filled | spoiled, bad)
    return facts, bad


def _history_only(noted: Mapping[str, Row], batch: Batch) -> tuple[list[Fact], list[Bad]]:
    """A key that may never see the ledger still has its fills; else wait for the ledger."""
    bad: list[Bad] = []
    permanent = batch.error is not None and batch.error.permanent
    return (_without_entries(noted, set(), bad) if permanent else []), bad


def _without_entries(noted: Mapping[str, Row], booked: set[str], bad: list[Bad]) -> list[Fact]:
    facts: list[Fact] = []
    for name, row in noted.items():
        try:
            if name not in booked and not _is_margin(row):
                facts.append(_history_trade(name, row))
        except BadRow as problem:
            bad.append((str(problem), row))
    return facts


def _events(found: Mapping[str, Row], bad: list[Bad]) -> tuple[dict[str, list[Entry]], set[str]]:
    """Entries by event; an event with an unreadable entry is set aside whole."""
    events: dict[str, list[Entry]] = defaultdict(list)
    raw: dict[str, list[Row]] = defaultdict(list)
    spoiled: dict[str, str] = {}
    for name, row in found.items():
        event = rows.text(row, "refid") or name
        raw[event].append(row)
        try:
            events[event].append(_entry(name, event, row))
        except BadRow as problem:
            spoiled[event] = str(problem)
    for event, reason in spoiled.items():
        events.pop(event, None)
        bad += [(reason, row) for row in raw[event]]
    return events, {event for event in spoiled if any(r.get("type") == "trade" for r in raw[event])}


def _entry(name: str, event: str, row: Row) -> Entry:
    code, wallet = split_asset(rows.code(row, "asset"))
    return Entry(
        name, event, rows.text(row, "type"), rows.text(row, "subtype"), code, wallet,
        rows.quantity(row, "amount"), rows.quantity_or_zero(row, "fee"),
        rows.seconds(row, "time"),
    )  # fmt: skip


_SWAPS = {"trade", "spend", "receive", "sale", "conversion"}


def _event(name: str, entries: list[Entry], batch: Batch, around: Surroundings) -> Iterator[Fact]:
    """One event may mix kinds only where coins were swapped."""
    swapped = [entry for entry in entries if entry.kind in _SWAPS]
    if swapped:
        yield from _swap(name, swapped, batch, around)
    for entry in entries:
        if entry.kind in ("deposit", "withdrawal") and not _undone(entry, entries, batch):
            yield from _outside(entry)
    rest = [e for e in entries if e.kind not in _SWAPS and e.kind not in ("deposit", "withdrawal")]
    yield from _inside(rest)


def _undone(entry: Entry, entries: Iterable[Entry], batch: Batch) -> bool:
    """A failed transfer comes back under its own refid. Nothing was recorded of it before?"""
    known = batch.known_until
    if known and any(other.occurred_at <= known for other in entries if other.kind == entry.kind):
        return False
    same = [other for other in entries if other.kind == entry.kind and other.code == entry.code]
    return len(same) > 1 and not sum(other.amount - other.fee for other in same)


def _outside(entry: Entry) -> Iterator[Fact]:
    """A deposit or withdrawal; one that came back is booked the other way."""
    returned = entry.fee < 0 or (entry.kind == "deposit" and entry.amount < 0)
    returned = returned or (entry.kind == "withdrawal" and entry.amount > 0 and not entry.fee)
    leaving = (entry.kind == "withdrawal") is not returned
    amount = abs(entry.amount) - entry.fee if returned else abs(entry.amount)
    way = Direction.WITHDRAWAL if leaving else Direction.DEPOSIT
    yield _transfer(entry, way, amount, Decimal() if returned else entry.fee)


def _transfer(
    entry: Entry, way: Direction, amount: Decimal, fee: Decimal, counter_wallet: str = ""
) -> Transfer:
    fee_code, fee_quantity = rows.fee(entry.code, fee)
    return Transfer(
        feed="transfers" if way is Direction.INTERNAL else f"{way}s",
        exchange_id=entry.id, direction=way, code=entry.code, quantity=amount,
        fee_code=fee_code, fee_quantity=fee_quantity, wallet=entry.wallet,
        counter_wallet=counter_wallet, settled=True, txid="", address="", network="",
        occurred_at=entry.occurred_at,
    )  # fmt: skip


# --- swaps ---------------------------------------------------------------------------------------


def _swap(name: str, entries: list[Entry], batch: Batch, around: Surroundings) -> Iterator[Fact]:
    """Fill or conversion. A dust fill has one side only: the other rounded to nothing."""
    moved = _net(entries)
    given = [code for code, amount in moved.items() if amount < 0]
    gained = [code for code, amount in moved.items() if amount > 0]
    if len(given) == 1 and len(gained) == 1:
        yield from _trade(name, entries, moved, around.noted.get(name))
    elif not _cut_off(entries, batch):
        yield from (fact for entry in entries for fact in _alone(entry))


def _net(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """What an event moved by code; amounts that pass through cancel out."""
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        moved[entry.code] += entry.amount
    return {code: amount for code, amount in moved.items() if amount}


def _cut_off(entries: list[Entry], batch: Batch) -> bool:
    """Whether an event lies at the edge of what was read, so that its other side is missing."""
    first = min(entry.occurred_at for entry in entries)
    last = max(entry.occurred_at for entry in entries)
    return first < batch.since + EDGE or last > batch.until - EDGE


def _trade(
    name: str, entries: list[Entry], moved: Mapping[str, Decimal], told: Row | None
) -> Iterator[Fact]:
    base, quote = _base_and_quote(list(moved), told)
    amount, paid = abs(moved[base]), abs(moved[quote])
    fees = [(e.id, e.code, e.fee, e.occurred_at) for e in entries if e.fee]
    fees.sort(key=lambda fee: fee[1] not in moved)
    fill = entries[0].kind == "trade"
    yield Trade(
        feed="trades" if fill else "conversions", exchange_id=name,
        kind=TradeKind.FILL if fill else TradeKind.CONVERSION, symbol=f"{base}/{quote}",
        side="buy" if moved[base] > 0 else "sell", base_code=base, base_quantity=amount,
        quote_code=quote, quote_quantity=paid, price=_price(told, paid / amount),
        fee_code=fees[0][1] if fees else None, fee_quantity=fees[0][2] if fees else None,
        wallet=next(e.wallet for e in entries if e.code == base),
        order_id=rows.text(told or {}, "ordertxid"),
        occurred_at=min(entry.occurred_at for entry in entries),
    )  # fmt: skip
    for entry_id, code, fee, when in fees[1:]:
        yield Reward("ledger", f"{entry_id}:fee", "fee", code, -fee, Wallet.SPOT, when)


def _base_and_quote(codes: list[str], told: Row | None) -> tuple[str, str]:
    try:
        base, quote = split_pair(rows.text(told or {}, "pair"))
        if {base, quote} == set(codes):
            return base, quote
    except BadRow:
        pass
    return tuple(sorted(codes, key=_rank, reverse=True))  # type: ignore[return-value]


def _rank(code: str) -> tuple[int, str]:
    return (_RANK.index(code) if code in _RANK else len(_RANK)), code


def _price(told: Row | None, otherwise: Decimal) -> Decimal:
    try:
        return rows.quantity(told or {}, "price")
    except BadRow:
        return otherwise


def _alone(entry: Entry) -> Iterator[Fact]:
    """A swap's entry without its counterpart: money received or sent, or a remainder."""
    if entry.kind == "receive" and entry.amount > 0:
        yield _transfer(entry, Direction.DEPOSIT, entry.amount, entry.fee)
    elif entry.kind == "spend" and entry.amount < 0:
        yield _transfer(entry, Direction.WITHDRAWAL, -entry.amount, entry.fee)
    else:
        yield from _credit(entry, "adjustment")


# --- inside the account --------------------------------------------------------------------------

_REWARD_KINDS = {"staking", "dividend", "reward", "airdrop", "nft_rebate", "invite bonus", "credit"}
# Subtype of the one entry that tells a move: from where, to where. ``spotfromfutures`` is none:
# Kraken also credits the units of a migration by it, which never lay in futures.
MOVES = {
    "spottostaking": (Wallet.SPOT, Wallet.EARN),
    "stakingtospot": (Wallet.EARN, Wallet.SPOT),
    "spottofutures": (Wallet.SPOT, Wallet.FUTURES),
}
MIRRORS = {"stakingfromspot", "spotfromstaking", "futuresfromspot", "futurestospot"}


def _inside(entries: list[Entry]) -> Iterator[Fact]:
    """Moves between wallets, rewards, charges and corrections."""
    if pair := _moved_between(entries):
        left, arrived = pair
        yield _transfer(left, Direction.INTERNAL, -left.amount, left.fee, arrived.wallet)
        return
    for entry in entries:
        if entry.kind == "transfer" and entry.detail in MOVES:
            yield _named_move(entry)
        elif entry.kind != "transfer" or entry.detail not in MIRRORS:
            yield from _credit(entry, _kind(entry))


def _moved_between(entries: list[Entry]) -> tuple[Entry, Entry] | None:
    """One coin leaving a wallet and arriving in another under one refid."""
    if len(entries) != 2:
        return None
    left, arrived = sorted(entries, key=lambda entry: entry.amount)
    fits = left.code == arrived.code and left.amount == -arrived.amount < 0
    return (left, arrived) if fits and left.wallet != arrived.wallet else None


def _named_move(entry: Entry) -> Transfer:
    source, target = MOVES[entry.detail]
    return Transfer(
        feed="transfers", exchange_id=entry.id, direction=Direction.INTERNAL, code=entry.code,
        quantity=abs(entry.amount), fee_code=None, fee_quantity=None, wallet=source,
        counter_wallet=target, settled=True, txid="", address="", network="",
        occurred_at=entry.occurred_at,
    )  # fmt: skip


def _kind(entry: Entry) -> str:
    if entry.kind in _REWARD_KINDS or (entry.kind == "earn" and entry.detail == "reward"):
        return entry.kind
    return "adjustment" if entry.kind in ("adjustment", "transfer", "trade") else entry.kind[:32]


def _credit(entry: Entry, kind: str) -> Iterator[Fact]:
    """Units that came (or, below 0, went) without a counterpart, and what that cost."""
    if entry.amount:
        yield Reward(
            "ledger", entry.id, kind or "adjustment", entry.code, entry.amount, entry.wallet,
            entry.occurred_at,
        )  # fmt: skip
    if entry.fee:
        yield Reward(
            "ledger", f"{entry.id}:fee", "fee", entry.code, -entry.fee, entry.wallet,
            entry.occurred_at,
        )  # fmt: skip


# --- the rest ------------------------------------------------------------------------------------


def privileges(answer: Any) -> Privileges:
    """What ``GetApiKeyInfo`` says. Raises MissingPermission when funds may not be read."""
    granted = {str(word).lower() for word in _result(answer)["permissions"]}
    if any(word.startswith(("withdraw", "add-funds", "transfer")) for word in granted):
        return Privileges.WITHDRAW
    if any(word.startswith(("modify", "close", "create", "cancel", "earn")) for word in granted):
        return Privileges.TRADE
    if not any(word.startswith("query-funds") for word in granted):
        raise errors.MissingPermission
    return Privileges.READ_ONLY


def _stamp(instant: datetime) -> str:
    return f"{rows.millis(instant) / 1000:.3f}"


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``OHLC`` is asked: it takes no end, and knows no more than the newest 720."""
    return (market, interval, since, None), {}


_PAGES = Offsets("start", "end", "ofs", _stamp, total=_count)

DIALECT = Dialect(
    id="kraken",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, parse=balances, tells=frozenset({Wallet.EARN}),
            call=Call("privatePostBalanceEx", 1, ACCOUNT, per_account=True),
            otherwise=Call("privatePostBalance", 1, ACCOUNT, per_account=True),
        ),
    ),
    feeds=(
        Feed(
            name="trades", call=Call("privatePostTradesHistory", 2, ACCOUNT, per_account=True),
            paging=_PAGES, launched=OPENED, rows=_keyed("trades"), interpret=note_trades,
        ),
        Feed(
            name="ledger", call=Call("privatePostLedgers", 2, ACCOUNT, per_account=True),
            paging=_PAGES, launched=OPENED, rows=_keyed("ledger"), interpret=ledger,
            when=lambda row: rows.seconds(row, "time"),
        ),
    ),
    sliced_by="ledger",
    key_check=KeyCheck(
        call=Call("privatePostGetApiKeyInfo", 1, ACCOUNT, per_account=True), read=privileges
    ),
    error_codes={
        "EAPI:Invalid key": errors.WrongKey,
        "EAPI:Invalid signature": errors.WrongKey,
        "EAPI:Invalid nonce": errors.WrongClock,
        "EAPI:Rate limit": errors.RateLimited,
        "EGeneral:Temporary lockout": errors.RateLimited,
        "EGeneral:Too many requests": errors.RateLimited,
        "EGeneral:Permission denied": errors.MissingPermission,
        "EAPI:Feature disabled": errors.Unsupported,
        "EQuery:Unknown asset pair": errors.SymbolUnknown,
        "EService:Unavailable": errors.OnMaintenance,
        "EService:Busy": errors.Unreachable,
        "EService:Timeout": errors.TimedOut,
        "EService:Deadline": errors.TimedOut,
    },
    keeps_time=False,
    limits_by_key=True,
    load_markets=load_with_ccxt,
    tickers_args=(None,),
    read_tickers=generic.tickers,
    candles=CandleCall(
        call=Call("fetch_ohlcv", 1, PUBLIC), limit=720, asking=candles, rows=the_list
    ),
)  # fmt: skip
