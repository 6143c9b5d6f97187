"""Which withdrawal and which deposit are one move between own accounts: pure, no Django.

A pair has the same asset, lies in two different accounts (or comes back to the same one with the
same transaction id), arrives within hours of leaving, and what arrived is what was sent, less at
most a network's fee. Exchanges spell transaction ids differently and tell different instants of
the same move (when it was asked for, when it was credited), so an equal id raises certainty and
an unequal one says nothing.

A pair is taken by itself only when neither side could as well belong to another, and when what
was kept on the way is as much as networks keep; everything else is left to the person.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

# A deposit's instant may lie before the withdrawal's: clocks differ, and some exchanges tell when
# a withdrawal was finished and others when it was asked for.
EARLIEST = timedelta(minutes=10)
LATEST = timedelta(hours=24)
# What a network may keep when the exchange did not report it as a fee: a share, and on top of the
# reported fee once (an exchange whose amount is gross).
MOST_FEE_SHARE = Decimal("0.02")
# An amount that lacks something without a reported fee is believed when it came soon, or when the
# sending account is known to pay as much for this asset.
SOON = timedelta(hours=1)
# Above so many possible pairs of one asset amounts and times say nothing: only ids do.
MOST_POSSIBLE = 100_000
_MOST_OF_ONE_TRANSACTION = 1_000
# Between two candidates of equal amount, the nearer in time is taken only when the other is this
# many times as far away.
CLEARLY_NEARER = 6
_SAME_TXID, _SAME_AMOUNT = Decimal("0.999"), Decimal("0.95")
_WITHIN_FEE, _DOUBTFUL = Decimal("0.8"), Decimal("0.5")
Fees = Mapping[tuple[UUID, UUID], Collection[Decimal]]  # by account and asset


@dataclass(frozen=True, slots=True)
class Sent:
    """One side of a possible pair: a settled withdrawal or deposit. Quantities are positive."""

    id: UUID
    account: UUID
    asset: UUID
    quantity: Decimal
    fee: Decimal  # reported, in the same asset; else 0
    txid: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """A withdrawal and a deposit that may be one move, how sure that is (0 to 1), and why."""

    withdrawal: Sent
    deposit: Sent
    certainty: Decimal

    @property
    def seconds(self) -> int:
        """From leaving to arriving; below zero when the clocks say otherwise."""
        return round((self.deposit.at - self.withdrawal.at).total_seconds())

    @property
    def kept(self) -> Decimal:
        """Units sent and not arrived, on top of the reported fee."""
        return self.withdrawal.quantity - self.deposit.quantity

    @property
    def has_same_txid(self) -> bool:
        """Whether both sides name the same transaction."""
        return _same_txid(self.withdrawal, self.deposit)

    def evidence(self) -> dict[str, Any]:
        """What speaks for the pair, as it is stored and shown."""
        return {
            "seconds_apart": self.seconds,
            "units_apart": format(self.kept, "f"),
            "same_txid": self.has_same_txid,
            "certainty": format(self.certainty, "f"),
        }


def candidates(
    withdrawals: Iterable[Sent],
    deposits: Iterable[Sent],
    *,
    refused: Collection[tuple[UUID, UUID]] = (),
    usual_fees: Fees | None = None,
) -> list[Pair]:
    """Every pair that could be one move, without those a person took apart; the surest first.

    ``usual_fees`` are units that an account is known to have paid for sending an asset.
    """
    out, back = _by_asset_and_time(withdrawals), _by_asset_and_time(deposits)
    found = []
    for asset in out.keys() & back.keys():
        for withdrawal, deposit in _possible(out[asset], back[asset]):
            certainty = _certainty(withdrawal, deposit, usual_fees or {})
            if certainty and (withdrawal.id, deposit.id) not in refused:
                found.append(Pair(withdrawal, deposit, certainty))
    return sorted(found, key=_surest_first)


def unambiguous(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs of which neither side could as well belong to another one, surest first.

    The order in which transfers became known makes no difference: a pair that stands out goes on
    doing so while others are taken, so it does not matter which is looked at first.
    """
    ordered = sorted(pairs, key=_surest_first)
    rivals = _Rivals(ordered)
    taken, waiting = [], list(reversed(ordered))
    while waiting:
        pair = waiting.pop()
        if rivals.is_open(pair) and pair.certainty > _DOUBTFUL and rivals.stands_out(pair):
            taken.append(pair)
            waiting += rivals.take(pair)
    return sorted(taken, key=_surest_first)


class _Rivals:
    """Open pairs by each of their sides, the surest first, without those whose side is taken."""

    def __init__(self, ordered: Iterable[Pair]) -> None:
        self._of: dict[UUID, list[Pair]] = defaultdict(list)
        self._taken: set[UUID] = set()
        for pair in ordered:
            self._of[pair.withdrawal.id].append(pair)
            self._of[pair.deposit.id].append(pair)
        for of_side in self._of.values():
            of_side.reverse()  # the surest is popped first

    def is_open(self, pair: Pair) -> bool:
        return not self._taken & {pair.withdrawal.id, pair.deposit.id}

    def stands_out(self, pair: Pair) -> bool:
        """Whether a pair is the first of both its sides, and clearly better than the second.

        Whatever comes behind the second is no better than that.
        """
        return all(
            first is pair and (second is None or _clearly_better(pair, second))
            for first, second in map(self._first_two, (pair.withdrawal.id, pair.deposit.id))
        )

    def take(self, pair: Pair) -> list[Pair]:
        """Close both sides; returns the pairs that may stand out now."""
        sides = {pair.withdrawal.id, pair.deposit.id}
        self._taken |= sides
        beside = {
            other
            for side in sides
            for rival in self._of.pop(side)
            for other in (rival.withdrawal.id, rival.deposit.id)
        }
        firsts = [self._first_two(side)[0] for side in sorted(beside - self._taken)]
        return [first for first in firsts if first is not None]

    def _first_two(self, side: UUID) -> tuple[Pair | None, Pair | None]:
        of_side, first = self._of[side], None
        while of_side:
            pair = of_side.pop()
            if not self.is_open(pair):
                continue
            if first is not None:
                of_side += [pair, first]
                return first, pair
            first = pair
        if first is not None:
            of_side.append(first)
        return first, None


def _clearly_better(pair: Pair, rival: Pair) -> bool:
    if pair.certainty != rival.certainty:
        return pair.certainty > rival.certainty
    return abs(rival.seconds) > CLEARLY_NEARER * max(abs(pair.seconds), 60)


def _certainty(withdrawal: Sent, deposit: Sent, usual_fees: Fees) -> Decimal:
    """0 when the two cannot be one move."""
    same_txid = _same_txid(withdrawal, deposit)
    if withdrawal.account == deposit.account and not same_txid:
        return Decimal(0)
    kept = withdrawal.quantity - deposit.quantity
    if same_txid and 0 <= kept <= withdrawal.quantity * MOST_FEE_SHARE + withdrawal.fee:
        return _SAME_TXID
    if kept == 0 or (withdrawal.fee and kept == withdrawal.fee):
        return _SAME_AMOUNT
    # On top of what was sent nothing can arrive.
    if 0 < kept <= withdrawal.quantity * MOST_FEE_SHARE:
        usual = kept in usual_fees.get((withdrawal.account, withdrawal.asset), ())
        soon = deposit.at - withdrawal.at <= SOON
        return _WITHIN_FEE if usual or soon else _DOUBTFUL
    return Decimal(0)


def _same_txid(withdrawal: Sent, deposit: Sent) -> bool:
    left, right = _plain(withdrawal.txid), _plain(deposit.txid)
    return bool(left) and left == right


def _plain(txid: str) -> str:
    """Some write a chain's id in capitals, with ``0x``, or with the number of the output behind."""
    return txid.strip().lower().removeprefix("0x").split(":")[0]


def _by_asset_and_time(sides: Iterable[Sent]) -> dict[UUID, list[Sent]]:
    found: dict[UUID, list[Sent]] = defaultdict(list)
    for side in sorted(sides, key=lambda item: (item.at, item.id)):
        found[side.asset].append(side)
    return found


def _possible(out: Sequence[Sent], back: Sequence[Sent]) -> Iterator[tuple[Sent, Sent]]:
    """Withdrawals of one asset with each deposit of it that came in time; both in that order."""
    reach = [_within_reach(back, withdrawal) for withdrawal in out]
    crowded = sum(last - first for first, last in reach) > MOST_POSSIBLE
    if crowded:
        yield from _of_one_transaction(out, back, reach)
        return
    for withdrawal, (first, last) in zip(out, reach, strict=True):
        for place in range(first, last):
            yield withdrawal, back[place]


def _of_one_transaction(
    out: Sequence[Sent], back: Sequence[Sent], reach: Sequence[tuple[int, int]]
) -> Iterator[tuple[Sent, Sent]]:
    """Those of one id. An id that comes again and again names no transaction."""
    by_txid: dict[str, list[int]] = defaultdict(list)
    for place, deposit in enumerate(back):
        by_txid[_plain(deposit.txid)].append(place)
    sent = Counter(_plain(withdrawal.txid) for withdrawal in out)
    for withdrawal, (first, last) in zip(out, reach, strict=True):
        txid = _plain(withdrawal.txid)
        places = by_txid.get(txid, []) if txid else []
        if len(places) * sent[txid] <= _MOST_OF_ONE_TRANSACTION:
            yield from ((withdrawal, back[place]) for place in places if first <= place < last)


def _within_reach(back: Sequence[Sent], withdrawal: Sent) -> tuple[int, int]:
    first = bisect_left(back, withdrawal.at - EARLIEST, key=lambda item: item.at)
    return first, bisect_right(back, withdrawal.at + LATEST, key=lambda item: item.at)


def _surest_first(pair: Pair) -> Any:
    return -pair.certainty, abs(pair.seconds), pair.withdrawal.id, pair.deposit.id
