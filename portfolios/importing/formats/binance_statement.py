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

import re
from collections import defaultdict
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
_MOST_PAIRED = 6
_COUNTED = 16  # so many decimals of a ratio are compared


@dataclass(frozen=True, slots=True)
class Change:
    """One line: what became of one balance."""

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
    named = "".join(re.findall("[a-z]", cells.text(line.cells, "account").lower())) or "spot"
    wallet = _WALLETS.get(named)
    if wallet is None:
        raise RowRefused("account_unknown", "This account of Binance is not known here.")
    operation = " ".join(cells.text(line.cells, "operation").lower().split())
    if code.startswith("LD") and code not in _NOT_LENT and len(code) > 3:
        code, wallet = code.removeprefix("LD"), Wallet.EARN
    return Change(line, at, wallet, operation, code, cells.some(quantity))


def _event(change: Change) -> tuple:
    """What belongs together: the fills of a second, the halves of a move, else the line alone."""
    kind, stamp = _kind(change), change.at.isoformat()
    if kind == "fill":
        return kind, stamp, change.wallet
    if kind in ("swap", "dust"):
        return kind, stamp, change.operation
    if kind in ("earn", "move"):
        return kind, stamp, change.operation, change.code, money.to_text(change.size)
    return kind, stamp, f"{change.line.number:09}"


def _kind(change: Change) -> str:
    operation = change.operation
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
    left = [change for change in changes if change.quantity < 0]
    arrived = [change for change in changes if change.quantity > 0]
    for source in list(left):
        target = next((item for item in arrived if item.wallet != source.wallet), None)
        if target:
            left.remove(source)
            arrived.remove(target)
            yield _move(source, source.wallet, target.wallet, (source, target))
    for source in left:
        yield _move(source, source.wallet, _other(kind, source), (source,))
    for target in arrived:
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
    for number, item in enumerate(found):
        yield Found(item.fact, item.lines, key=f"{stamp}|{';'.join(rows)}|{number}")


def _fills(changes: list[Change], kind: TradeKind) -> Iterator[Found]:
    fees = [item for item in changes if item.operation in _FEES]
    came = [item for item in changes if item.quantity > 0 and item not in fees]
    went = [item for item in changes if item.quantity < 0 and item not in fees]
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
    tried = (
        [Fill([a], [b], []) for a, b in zip(came, order, strict=True)]
        for order in permutations(went)
    )
    return min(tried, key=lambda fills: (_spread(fills), _distance(fills)))


def _spread(fills: Iterable[Fill]) -> Decimal:
    prices: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for fill in fills:
        prices[fill.came[0].code, fill.went[0].code].append(fill.price)
    spread = sum((max(found) / min(found) - 1 for found in prices.values()), Decimal(0))
    return round(spread, _COUNTED)


def _distance(fills: Iterable[Fill]) -> int:
    return sum(abs(fill.came[0].line.number - fill.went[0].line.number) for fill in fills)


def _as_written(came: list[Change], went: list[Change]) -> list[Fill]:
    def by_line(item: Change) -> int:
        return item.line.number

    pairs = zip(sorted(came, key=by_line), sorted(went, key=by_line), strict=True)
    return [Fill([a], [b], []) for a, b in pairs]


def _assign(fees: list[Change], fills: list[Fill]) -> list[Change]:
    """Give each fill its fee: the largest fee of a coin to the largest fill that has none.

    Returns what is left, which is booked beside the fills.
    """
    rest = []
    for charged in sorted(fees, key=lambda item: (item.code, -item.size, item.line.number)):
        free = [fill for fill in fills if not fill.fees]
        own = [fill for fill in free if charged.code in (fill.came[0].code, fill.went[0].code)]
        same = [fill for fill in fills if fill.fees and fill.fees[0].code == charged.code]
        one = own or free or same
        if charged.quantity > 0 or not one:
            rest.append(charged)
        else:
            max(one, key=_size_of).fees.append(charged)
    return rest


def _size_of(fill: Fill) -> Decimal:
    return _total(fill.came)


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
