"""What was made of a file: facts with the lines they came from, and lines with reasons. Pure.

Every row of a file ends up in exactly one of the two.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer, Wallet
from portfolios.importing import cells
from portfolios.importing.cells import RowRefused, RowSkipped
from portfolios.ledger.legs import Adjustment, Fact


@dataclass(frozen=True, slots=True)
class Line:
    """One row by the names of our columns."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A fact and the lines that it was read from.

    ``key`` names it within its format where the file does; without one it is known by what it
    says, and two that say the same are told apart by counting them.
    """

    fact: Fact
    lines: tuple[int, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """Lines that are not booked, and why."""

    outcome: str  # "skipped" or "refused"
    code: str
    sentence: str
    lines: tuple[int, ...]


@dataclass(slots=True)
class Reading:
    """A whole file."""

    found: list[Found] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def refuse(self, code: str, sentence: str, lines: Iterable[int]) -> None:
        self.remarks.append(Remark("refused", code, sentence, tuple(lines)))

    def skip(self, code: str, sentence: str, lines: Iterable[int]) -> None:
        self.remarks.append(Remark("skipped", code, sentence, tuple(lines)))


@dataclass(frozen=True, slots=True)
class Frame:
    """What a format has to know besides the rows: the zone of bare times, and the present."""

    now: datetime
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file. ``columns`` names ours, with the names that files have for each."""

    name: str
    title: str
    columns: Mapping[str, tuple[str, ...]]
    required: frozenset[str]
    read: Callable[[Sequence[Line], Frame], Reading]
    # What a header must have to be taken for this format; ``required`` unless said.
    distinctive: frozenset[str] = frozenset()
    # By whose spelling codes are to be understood; the account's own unless said.
    exchange: str = ""

    @property
    def feed(self) -> str:
        return f"import:{self.name}"

    def mapping(self, header: Sequence[str]) -> dict[str, str]:
        """Our column by the file's, for the columns that this format knows."""
        named = self.columns.items()
        known = {_key(name): ours for ours, names in named for name in names}
        found: dict[str, str] = {}
        for name in header:
            ours = known.get(_key(name))
            if name and ours and ours not in found.values():
                found[name] = ours
        return found

    def missing(self, mapping: Mapping[str, str]) -> list[str]:
        """Columns without which nothing can be read."""
        return sorted(self.required - set(mapping.values()))

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a file with this header is plainly in this format."""
        return (self.distinctive or self.required) <= set(self.mapping(header).values())


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def row_by_row(
    lines: Sequence[Line], frame: Frame, read: Callable[[Line, Frame], Iterator[Found]]
) -> Reading:
    """A reading of a format whose rows stand alone."""
    reading = Reading()
    for line in lines:
        with_remarks(reading, [line], read, line, frame)
    return reading


def with_remarks(
    reading: Reading, lines: Sequence[Line], read: Callable[..., Iterable[Found]], *told: Any
) -> None:
    """Add what ``read(*told)`` makes of some lines, or why it makes nothing of them."""
    numbers = tuple(line.number for line in lines)
    try:
        reading.found += list(read(*told))
    except RowRefused as problem:
        reading.refuse(problem.code, problem.sentence, numbers)
    except RowSkipped as problem:
        reading.skip(problem.code, problem.sentence, numbers)


# --- facts as files tell them -------------------------------------------------------------------
def swap(
    *,
    at: datetime,
    received: tuple[str, Decimal],
    sent: tuple[str, Decimal],
    fee: tuple[str | None, Decimal | None] = (None, None),
    kind: TradeKind = TradeKind.FILL,
    side: str | None = None,
    wallet: str = Wallet.SPOT,
) -> Trade:
    """One asset given for another. Without a side, what others are priced in is the quote."""
    if received[0] == sent[0]:
        raise RowRefused("same_asset", "An asset cannot be traded for itself.")
    rank = _PRICED_IN.get
    side = side or ("sell" if rank(received[0], 0) > rank(sent[0], 0) else "buy")
    base, quote = (received, sent) if side == "buy" else (sent, received)
    return Trade(
        feed="", exchange_id="", kind=kind, symbol=f"{base[0]}/{quote[0]}", side=side,
        base_code=base[0], base_quantity=base[1], quote_code=quote[0], quote_quantity=quote[1],
        price=cells.keepable_price(quote[1] / base[1]), fee_code=fee[0], fee_quantity=fee[1],
        wallet=wallet, order_id="", occurred_at=at,
    )  # fmt: skip


# What others are priced in: of a trade's two sides the higher one is its quote.
_MONEY = frozenset({
    "USD", "EUR", "GBP", "CHF", "JPY", "AUD", "CAD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI",
})  # fmt: skip
_PRICED_IN = {"BTC": 3, "ETH": 2, "BNB": 1} | dict.fromkeys(_MONEY, 4)


def transfer(
    direction: Direction,
    *,
    at: datetime,
    code: str,
    quantity: Decimal,
    fee: tuple[str | None, Decimal | None] = (None, None),
    wallet: str = Wallet.SPOT,
    counter_wallet: str = "",
    txid: str = "",
) -> Transfer:
    """A deposit, a withdrawal or a move between wallets."""
    return Transfer(
        feed="", exchange_id="", direction=direction, code=code, quantity=quantity,
        fee_code=fee[0], fee_quantity=fee[1], wallet=wallet, counter_wallet=counter_wallet,
        settled=True, txid=txid[:200], address="", network="", occurred_at=at,
    )  # fmt: skip


def reward(
    kind: str, *, at: datetime, code: str, quantity: Decimal, wallet: str = Wallet.SPOT
) -> Reward:
    """Units without a counterpart; below zero when they were taken."""
    return Reward("", "", kind[:32], code, quantity, wallet, at)


def adjustment(
    reason: str, *, at: datetime, code: str, quantity: Decimal, note: str = ""
) -> Adjustment:
    """Units that came or went otherwise."""
    return Adjustment(
        feed="", exchange_id="", reason=reason, code=code, quantity=quantity, cost_code=None,
        cost_quantity=None, note=note[:200], wallet=Wallet.SPOT, occurred_at=at,
    )  # fmt: skip
