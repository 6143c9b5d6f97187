"""Binance's account statement: one line for each change of a balance, in UTC, to the second.

A fill is several lines of one second: what came, what went, the fee. Nothing in the file says
which lines belong together, so the lines of a second are paired by what fits:

- as many amounts came as went, of one pair of coins, at prices that agree: the largest with the
  largest, each pair a fill of its own;
- otherwise, of one pair of coins: their sum is one fill, since lots and gains of one second are
  the same;
- of several coins: the pairing in which the prices of each coin agree best.

What cannot be told is refused. ``LDBTC`` is BTC in earn. A move that one line tells (into earn,
to futures) has the other wallet in its name.
"""

import functools
import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations

from exchanges.reports import Direction, Fact, Trade, TradeKind, Wallet
from portfolios.importing import cells
from portfolios.importing.cells import RowRefused
from portfolios.importing.reading import (
    Format,
    Found,
    Frame,
    Line,
    Reading,
    reward,
    swap,
    transfer,
    with_remarks,
)
from tracker import money

_WALLETS = {
    "spot": Wallet.SPOT, "main": Wallet.SPOT, "funding": Wallet.FUNDING, "earn": Wallet.EARN,
    "savings": Wallet.EARN, "pool": Wallet.EARN, "usdmfutures": Wallet.FUTURES,
    "coinmfutures": Wallet.FUTURES, "futures": Wallet.FUTURES, "umfutures": Wallet.FUTURES,
    "cmfutures": Wallet.FUTURES, "crossmargin": Wallet.MARGIN, "isolatedmargin": Wallet.MARGIN,
    "margin": Wallet.MARGIN,
}  # fmt: skip
_FILLS = {
    "buy", "sell", "fee", "transaction related", "transaction buy", "transaction spend",
    "transaction sold", "transaction revenue", "transaction fee",
}  # fmt: skip
_FEES = {"fee", "transaction fee"}
_SWAPS = {
    "binance convert", "convert", "eth 2.0 staking", "large otc trading", "otc trading",
    "token swap - redenomination/rebranding", "auto-invest transaction",
}  # fmt: skip
_COMING = {"deposit", "fiat deposit", "buy crypto", "buy crypto with fiat", "crypto deposit"}
_GOING = {"withdraw", "fiat withdraw", "fiat withdrawal", "withdrawal", "crypto withdrawal"}
_DUST = re.compile(r"small assets exchange", re.I)
_INTO_EARN = re.compile(
    r"(savings|staking|earn|vault|launchpool|lending).*(purchase|subscription)", re.I
)
_OUT_OF_EARN = re.compile(r"(savings|staking|earn|vault|launchpool|lending).*(redemption)", re.I)
_BETWEEN = re.compile(r"transfer.*(between|account)|account.*transfer", re.I)
_OTHER_WALLET = (
    (re.compile("funding", re.I), Wallet.FUNDING),
    (re.compile("futures", re.I), Wallet.FUTURES),
    (re.compile("margin", re.I), Wallet.MARGIN),
)
_INCOME = re.compile(
    r"reward|interest|distribution|airdrop|cash ?back|rebate|referral|commission|voucher|mining"
    r"|launchpad|bonus|gift",
    re.I,
)
_TRADING = {"funding fee", "realized profit and loss", "insurance clear", "realize profit and loss"}
_KINDS = (
    (re.compile("interest", re.I), "interest"), (re.compile("staking|locked", re.I), "staking"),
    (re.compile("airdrop|distribution", re.I), "airdrop"), (re.compile("mining", re.I), "mining"),
    (re.compile("cash ?back|rebate|referral|commission|bonus|voucher", re.I), "bonus"),
)  # fmt: skip
_NOT_LENT = {"LDO"}  # a coin of its own
_AGREE = Decimal("1.1")
_MOST_PAIRED = 5  # 120 pairings; a file may hold thousands of such seconds
_MOST_AT_ONCE = 3_000  # lines of one second; a large order has some hundred
_COUNTED = 16  # so many decimals of a ratio are compared


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One line: what became of one balance. Two that say the same are still two."""

    line: Line
    at: datetime
    wallet: str
    operation: str
    code: str
    quantity: Decimal

    @property
    def size(self) -> Decimal:
        return abs(self.quantity)


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of a statement; every line is in one of them or in a remark."""
    reading = Reading()
    events: dict[tuple, list[Change]] = defaultdict(list)
    for line in lines:
        try:
            change = _change(line, frame)
            events[_event(change)].append(change)
        except RowRefused as problem:
            reading.refuse(problem.code, problem.sentence, [line.number])
    for event, changes in sorted(events.items()):
        numbers = [change.line for change in changes]
        with_remarks(reading, numbers, _facts, event[0], changes)
    return reading


def _change(line: Line, frame: Frame) -> Change:
    at = cells.instant(cells.text(line.cells, "time"), zone=frame.zone, now=frame.now)
    code, quantity = cells.code(line.cells, "asset"), cells.amount(line.cells, "quantity")
    wallet = _wallet(cells.text(line.cells, "account"))
    operation = " ".join(cells.text(line.cells, "operation").lower().split())
    if code.startswith("LD") and code not in _NOT_LENT and len(code) > 3:
        code, wallet = code.removeprefix("LD"), Wallet.EARN
    return Change(line, at, wallet, operation, code, cells.some(quantity))


@functools.lru_cache(maxsize=256)
def _wallet(account: str) -> str:
    wallet = _WALLETS.get("".join(re.findall("[a-z]", account.lower())) or "spot")
    if wallet is None:
        raise RowRefused("account_unknown", "This account of Binance is not known here.")
    return wallet


def _event(change: Change) -> tuple:
    """What belongs together: the fills of a second, the halves of a move, else the line alone."""
    kind, stamp = _kind(change.operation), change.at.isoformat()
    if kind == "fill":
        return kind, stamp, change.wallet
    if kind in ("swap", "dust"):
        return kind, stamp, change.operation
    if kind in ("earn", "move"):
        return kind, stamp, change.operation, change.code, money.to_text(change.size)
    return kind, stamp, f"{change.line.number:09}"


@functools.lru_cache(maxsize=256)
def _kind(operation: str) -> str:
    named = (
        ("fill", operation in _FILLS), ("swap", operation in _SWAPS),
        ("dust", bool(_DUST.search(operation))), ("coming", operation in _COMING),
        ("going", operation in _GOING),
        ("earn", bool(_INTO_EARN.search(operation) or _OUT_OF_EARN.search(operation))),
        ("move", bool(_BETWEEN.search(operation))), ("trading", operation in _TRADING),
        ("income", bool(_INCOME.search(operation))),
    )  # fmt: skip
    for kind, fits in named:
        if fits:
            return kind
    raise RowRefused("operation_unknown", "This operation of Binance is not known here.")


def _facts(kind: str, changes: list[Change]) -> Iterator[Found]:
    if kind == "fill":
        yield from _keyed(changes, _fills(changes, TradeKind.FILL))
    elif kind == "swap":
        yield from _keyed(changes, _fills(changes, TradeKind.CONVERSION))
    elif kind == "dust":
        yield from _keyed(changes, _fills(changes, TradeKind.DUST))
    elif kind in ("earn", "move"):
        yield from _moves(kind, changes)
    else:
        yield from (_alone(kind, change) for change in changes)


# --- lines that stand alone ---------------------------------------------------------------------
def _alone(kind: str, change: Change) -> Found:
    lines = (change.line.number,)
    if kind in ("coming", "going"):
        return Found(_outside(kind, change), lines)
    named = change.operation.replace(" ", "_")[:32] if kind == "trading" else _income(change)
    fact = reward(
        named, at=change.at, code=change.code, quantity=change.quantity, wallet=change.wallet
    )
    return Found(fact, lines)


def _outside(kind: str, change: Change) -> Fact:
    """A deposit or withdrawal; what has the other sign came back and is booked the other way."""
    direction = Direction.DEPOSIT if change.quantity > 0 else Direction.WITHDRAWAL
    if kind == "going" and change.quantity > 0:
        raise RowRefused(
            "sign_unexpected", "A withdrawal that adds units cannot be told from one sent back."
        )
    return transfer(
        direction, at=change.at, code=change.code, quantity=change.size, wallet=change.wallet
    )


def _income(change: Change) -> str:
    return next((kind for words, kind in _KINDS if words.search(change.operation)), "reward")


# --- moves between wallets ----------------------------------------------------------------------
def _moves(kind: str, changes: list[Change]) -> Iterator[Found]:
    """Halves with their other halves; a half alone names the other wallet by its operation."""
    arrived: dict[str, deque[Change]] = defaultdict(deque)  # by wallet, in the order of the file
    for change in changes:
        if change.quantity > 0:
            arrived[change.wallet].append(change)
    alone = []
    for source in (change for change in changes if change.quantity < 0):
        others = [queue for wallet, queue in arrived.items() if queue and wallet != source.wallet]
        if others:
            target = min(others, key=lambda queue: queue[0].line.number).popleft()
            yield _move(source, source.wallet, target.wallet, (source, target))
        else:
            alone.append(source)
    for source in alone:
        yield _move(source, source.wallet, _other(kind, source), (source,))
    for target in (change for queue in arrived.values() for change in queue):
        yield _move(target, _other(kind, target), target.wallet, (target,))


def _other(kind: str, change: Change) -> str:
    if kind == "earn":
        return Wallet.SPOT if change.wallet == Wallet.EARN else Wallet.EARN
    for words, wallet in _OTHER_WALLET:
        if words.search(change.operation):
            return Wallet.SPOT if change.wallet == wallet else wallet
    raise RowRefused("counterpart_missing", "The file does not say where this move went.")


def _move(change: Change, source: str, target: str, told_by: Iterable[Change]) -> Found:
    fact = transfer(
        Direction.INTERNAL, at=change.at, code=change.code, quantity=change.size,
        wallet=source, counter_wallet=target,
    )  # fmt: skip
    return Found(fact, tuple(item.line.number for item in told_by))


# --- fills --------------------------------------------------------------------------------------
@dataclass(slots=True)
class Fill:
    """What came and what went, each perhaps of several lines, with the fee that fits."""

    came: list[Change]
    went: list[Change]
    fees: list[Change]

    @property
    def price(self) -> Decimal:
        return _total(self.went) / _total(self.came)


def _total(changes: Iterable[Change]) -> Decimal:
    return sum((change.size for change in changes), Decimal(0))


def _keyed(changes: list[Change], found: Iterable[Found]) -> Iterator[Found]:
    """Named by all lines of their second, whatever order a file has them in."""
    rows = sorted(
        f"{item.operation}|{item.wallet}|{item.code}|{money.to_text(item.quantity)}"
        for item in changes
    )
    stamp = changes[0].at.astimezone(UTC).isoformat()
    told = hashlib.blake2b(f"{stamp}|{';'.join(rows)}".encode(), digest_size=16).hexdigest()
    for number, item in enumerate(found):
        yield Found(item.fact, item.lines, key=f"{told}|{number}")


def _fills(changes: list[Change], kind: TradeKind) -> Iterator[Found]:
    if len(changes) > _MOST_AT_ONCE:
        raise RowRefused("trades_mixed", "More happened in this second than can be told apart.")
    fees = [item for item in changes if item.operation in _FEES]
    moved = [item for item in changes if item.operation not in _FEES]
    came = [item for item in moved if item.quantity > 0]
    went = [item for item in moved if item.quantity < 0]
    if not came or not went:
        if came or went:
            raise RowRefused(
                "counterpart_missing", "The other side of this trade is not in the file."
            )
        yield from _lonely(fees)
        return
    fills = _paired(_ordered(came), _ordered(went))
    rest = _assign(fees, fills)
    for fill in fills:
        yield from _trade(fill, kind)
    yield from _lonely(rest)


def _ordered(changes: Iterable[Change]) -> list[Change]:
    return sorted(changes, key=lambda item: (item.code, -item.size, item.line.number))


def _paired(came: list[Change], went: list[Change]) -> list[Fill]:
    codes = len({item.code for item in came}), len({item.code for item in went})
    if codes == (1, 1):
        return _one_pair(came, went)
    if len(came) != len(went):
        raise RowRefused(
            "trades_mixed",
            "Several trades happened in this second, and the file does not say which amounts "
            "belong together.",
        )
    if len(came) <= _MOST_PAIRED:
        return _best(came, went)
    return _as_written(came, went)


def _one_pair(came: list[Change], went: list[Change]) -> list[Fill]:
    """The largest with the largest while their prices agree, otherwise one fill of all."""
    fills = [Fill([a], [b], []) for a, b in zip(came, went, strict=False)]
    prices = [fill.price for fill in fills]
    if len(came) == len(went) and max(prices) <= min(prices) * _AGREE:
        return fills
    return [Fill(came, went, [])]


def _best(came: list[Change], went: list[Change]) -> list[Fill]:
    """The pairing in which the prices of each pair of coins lie closest together.

    Where several do as well, the file's order decides: Binance writes the lines of a fill near
    each other.
    """
    each = [[Fill([a], [b], []) for b in went] for a in came]
    priced = [[((f.came[0].code, f.went[0].code), f.price) for f in row] for row in each]
    apart = [[_distance(fill) for fill in row] for row in each]

    def cost(order: Sequence[int]) -> tuple[Decimal, int]:
        chosen = list(enumerate(order))
        return _spread(priced[a][b] for a, b in chosen), sum(apart[a][b] for a, b in chosen)

    order = min(permutations(range(len(went))), key=cost)
    return [each[a][b] for a, b in enumerate(order)]


def _spread(priced: Iterable[tuple[tuple[str, str], Decimal]]) -> Decimal:
    """How far the prices of one pair of coins lie apart, over all pairs."""
    prices: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for codes, price in priced:
        prices[codes].append(price)
    several = (found for found in prices.values() if len(found) > 1)
    spread = sum((max(found) / min(found) - 1 for found in several), Decimal(0))
    return round(spread, _COUNTED)


def _distance(fill: Fill) -> int:
    return abs(fill.came[0].line.number - fill.went[0].line.number)


def _as_written(came: list[Change], went: list[Change]) -> list[Fill]:
    def by_line(item: Change) -> int:
        return item.line.number

    pairs = zip(sorted(came, key=by_line), sorted(went, key=by_line), strict=True)
    return [Fill([a], [b], []) for a, b in pairs]


def _assign(fees: list[Change], fills: list[Fill]) -> list[Change]:
    """Give each fill its fee: the largest fee of a coin to the largest fill that has none.

    Returns what is left, which is booked beside the fills.
    """
    free, rest = _Free(fills), []
    for charged in _ordered(fees):
        one = None if charged.quantity > 0 else free.take(charged.code)
        if one:
            one.fees.append(charged)
        else:
            rest.append(charged)
    return rest


class _Free:
    """Fills without a fee, the largest first, also by each of their coins."""

    def __init__(self, fills: Iterable[Fill]) -> None:
        largest = sorted(fills, key=lambda fill: -_total(fill.came))
        self._all = deque(largest)
        self._by_code: dict[str, deque[Fill]] = defaultdict(deque)
        self._charged: dict[str, Fill] = {}
        for fill in largest:
            for code in (fill.came[0].code, fill.went[0].code):
                self._by_code[code].append(fill)

    def take(self, code: str) -> Fill | None:
        """The largest that deals in this coin, else the largest of all, else one that already
        has such a fee."""
        for queue in (self._by_code[code], self._all):
            while queue and queue[0].fees:
                queue.popleft()
            if queue:
                self._charged.setdefault(code, queue[0])
                return queue.popleft()
        return self._charged.get(code)


def _trade(fill: Fill, kind: TradeKind) -> Iterator[Found]:
    charged = _total(fill.fees)
    lines = [item.line.number for item in (*fill.came, *fill.went, *fill.fees)]
    trade: Trade = swap(
        at=fill.came[0].at, received=(fill.came[0].code, _total(fill.came)),
        sent=(fill.went[0].code, _total(fill.went)), kind=kind, wallet=fill.came[0].wallet,
        side="sell" if kind != TradeKind.FILL else None,
        fee=(fill.fees[0].code, charged) if charged else (None, None),
    )  # fmt: skip
    yield Found(trade, tuple(sorted(lines)))


def _lonely(fees: Iterable[Change]) -> Iterator[Found]:
    """A fee whose trade is not in the file, or a second one of a trade."""
    for charged in fees:
        fact = reward(
            "fee", at=charged.at, code=charged.code, quantity=charged.quantity,
            wallet=charged.wallet,
        )  # fmt: skip
        yield Found(fact, (charged.line.number,))


_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "time": ("UTC_Time", "UTC Time", "Time", "Date(UTC)"),
    "account": ("Account",),
    "operation": ("Operation",),
    "asset": ("Coin",),
    "quantity": ("Change",),
    "note": ("Remark",),
}
FORMAT = Format(
    name="binance_statement",
    title="Binance account statement",
    columns=_COLUMNS,
    required=frozenset({"time", "operation", "asset", "quantity"}),
    read=read,
    exchange="binance",
)
