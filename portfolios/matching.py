"""Which withdrawal and which deposit are one move between own accounts: pure, no Django.

A pair has the same asset, lies in two different accounts (or comes back to the same one with the
same transaction id), arrives within hours of leaving, and what arrived is what was sent, less at
most a network's fee. Exchanges spell transaction ids differently and tell different instants of
the same move (when it was asked for, when it was credited), so an equal id raises certainty and
an unequal one says nothing.

A pair is taken by itself only when neither side could as well belong to another; everything else
is left to the person. What was decided before, by us or by them, is never decided again here.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
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
# Between two candidates of equal amount, the nearer in time is taken only when the other is this
# many times as far away.
CLEARLY_NEARER = 6
_SAME_AMOUNT, _WITHIN_FEE = Decimal("0.95"), Decimal("0.8")
_SAME_TXID = Decimal("0.999")


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

    def evidence(self) -> dict[str, Any]:
        """What speaks for the pair, as it is stored and shown."""
        return {
            "seconds_apart": self.seconds,
            "units_apart": format(self.kept, "f"),
            "same_txid": _same_txid(self.withdrawal, self.deposit),
            "certainty": format(self.certainty, "f"),
        }


def candidates(
    withdrawals: Iterable[Sent],
    deposits: Iterable[Sent],
    *,
    refused: Collection[tuple[UUID, UUID]] = (),
) -> list[Pair]:
    """Every pair that could be one move, without those a person took apart; the surest first."""
    by_asset = _by_asset_and_time(deposits)
    found = []
    for withdrawal in withdrawals:
        for deposit in _within_reach(by_asset, withdrawal):
            certainty = _certainty(withdrawal, deposit)
            if certainty and (withdrawal.id, deposit.id) not in refused:
                found.append(Pair(withdrawal, deposit, certainty))
    return sorted(found, key=_surest_first)


def unambiguous(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of which neither side could as well belong to another one.

    The order in which transfers became known makes no difference.
    """
    open_pairs, taken = list(pairs), []
    while chosen := [pair for pair in open_pairs if _stands_out(pair, open_pairs)]:
        taken += chosen
        used = {side for pair in chosen for side in (pair.withdrawal.id, pair.deposit.id)}
        open_pairs = [
            pair
            for pair in open_pairs
            if pair.withdrawal.id not in used and pair.deposit.id not in used
        ]
    return taken


def _stands_out(pair: Pair, pairs: Sequence[Pair]) -> bool:
    rivals = [
        other
        for other in pairs
        if other is not pair
        and (other.withdrawal.id == pair.withdrawal.id or other.deposit.id == pair.deposit.id)
    ]
    return all(_clearly_better(pair, rival) for rival in rivals)


def _clearly_better(pair: Pair, rival: Pair) -> bool:
    if pair.certainty != rival.certainty:
        return pair.certainty > rival.certainty
    return abs(rival.seconds) > CLEARLY_NEARER * max(abs(pair.seconds), 60)


def _certainty(withdrawal: Sent, deposit: Sent) -> Decimal:
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
        return _WITHIN_FEE
    return Decimal(0)


def _same_txid(withdrawal: Sent, deposit: Sent) -> bool:
    left, right = _plain(withdrawal.txid), _plain(deposit.txid)
    return bool(left) and left == right


def _plain(txid: str) -> str:
    """Some write a chain's id in capitals, with ``0x``, or with the number of the output behind."""
    return txid.strip().lower().removeprefix("0x").split(":")[0]


def _by_asset_and_time(deposits: Iterable[Sent]) -> dict[UUID, list[Sent]]:
    found: dict[UUID, list[Sent]] = defaultdict(list)
    for deposit in sorted(deposits, key=lambda item: (item.at, item.id)):
        found[deposit.asset].append(deposit)
    return found


def _within_reach(by_asset: dict[UUID, list[Sent]], withdrawal: Sent) -> list[Sent]:
    of_asset = by_asset.get(withdrawal.asset, [])
    first = bisect_left(of_asset, withdrawal.at - EARLIEST, key=lambda item: item.at)
    last = bisect_right(of_asset, withdrawal.at + LATEST, key=lambda item: item.at)
    return of_asset[first:last]


def _surest_first(pair: Pair) -> Any:
    return -pair.certainty, abs(pair.seconds), pair.withdrawal.id, pair.deposit.id
