"""Where an exchange's report and our books differ, since when, and why: pure, no Django.

*Since when*: the reports of a place (an asset in a wallet) are walked in order and compared with
the running sum of its entries. The difference appeared between the last report that agreed and
the first one after it.

*Why*: a fact that is missing leaves a print of its own in the differences of an account. A trade
leaves two of opposite sign and equal value, and a third where its fee was paid in a third asset;
a move between wallets two of the same asset that cancel out; a reward or a deposit a single one,
of a size that the account's other rewards or deposits make likely. Each cause that could have
made a difference gets a weight, which is how likely its print is against that of the others:
counts of what the account is known to do, the spread of the sizes (a kernel density over the
logarithm of the value), how well two values agree, and whether the units fit the steps in which
the market trades. The weights of a difference add up to 1 and are its ``likelihood``. They order
causes; they are no probabilities of anything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from math import exp, log, log10
from typing import Any
from uuid import UUID

# An entry this shortly after a report may already be in it: balances are read first, then history.
READING_TIME = timedelta(minutes=5)
SMALLEST = Decimal("1e-8")  # in which most exchanges count
_ZERO = Decimal(0)
_LEAST_LIKELY = 0.002  # what is less likely is not listed
MOST_CAUSES = 6


class Code(StrEnum):
    """What may have happened; stable, for programs."""

    ENTERED_OR_IMPORTED = "entered_or_imported"
    FEED_NOT_FETCHED = "feed_not_fetched"
    WINDOW_MISSING = "window_missing"
    MISSING_TRADE = "missing_trade"
    MISSING_CONVERSION = "missing_conversion"
    DUST = "dust"
    MISSING_PURCHASE = "missing_purchase"
    MISSING_SALE = "missing_sale"
    MISSING_DEPOSIT = "missing_deposit"
    MISSING_WITHDRAWAL = "missing_withdrawal"
    MISSING_REWARD = "missing_reward"
    EARN_MOVEMENT = "earn_movement"
    WALLET_MOVE = "wallet_move"
    UNMATCHED_TRANSFER = "unmatched_transfer"
    PENDING_TRANSFER = "pending_transfer"
    THIRD_ASSET_FEE = "third_asset_fee"
    ROUNDING = "rounding"
    DELISTING = "delisting"
    FORK_OR_AIRDROP = "fork_or_airdrop"


class Fact(StrEnum):
    """Kinds of facts, as causes name the one that is missing."""

    TRADE = "trade"
    CONVERSION = "conversion"
    DUST = "dust"
    PURCHASE = "purchase"  # by card: the money never lay in a wallet
    SALE = "sale"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REWARD = "reward"
    EARN = "earn"
    MOVE = "move"
    FEE = "fee"


# --- since when ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Report:
    """What was reported of a place at an instant."""

    at: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """An entry of a place."""

    at: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Place:
    """An asset in one wallet of an account."""

    wallet: str
    asset: UUID


@dataclass(frozen=True, slots=True)
class Difference:
    """Reported less booked, of one place, when the two differ.

    ``agreed_at`` is the last report that still agreed (None: none did), ``appeared_at`` the first
    that did not. ``below_zero_at`` is when the books first gave more than they had, if ever:
    something that came in is missing from before then.
    """

    place: Place
    reported: Decimal
    ledger: Decimal
    reported_at: datetime
    agreed_at: datetime | None
    appeared_at: datetime
    below_zero_at: datetime | None = None

    @property
    def units(self) -> Decimal:
        """Above zero: the exchange has more than the books."""
        return self.reported - self.ledger


def difference(
    place: Place, reports: Sequence[Report], movements: Sequence[Movement]
) -> Difference | None:
    """How a place stands at its last report, or None when books and report agree.

    Both sequences are in order of time; there is at least one report.
    """
    agreed_at = appeared_at = None
    ledger = _ZERO
    for report, earlier, later in _sums(reports, movements):
        ledger = earlier
        if report.quantity in (earlier, later):
            agreed_at, appeared_at = report.at, None
        else:
            appeared_at = appeared_at or report.at
    if appeared_at is None:
        return None
    last = reports[-1]
    return Difference(
        place, last.quantity, ledger, last.at, agreed_at, appeared_at, below_zero(movements)
    )


def shortage(place: Place, movements: Sequence[Movement]) -> Difference | None:
    """How an account kept by hand stands: its books may not owe what nobody lent.

    It holds what its entries add up to, and nothing when that is below zero; then something that
    came in was never entered, since the entry that took too much.
    """
    total, agreed_at, appeared_at = _ZERO, None, None
    for movement in movements:
        total += movement.quantity
        if total >= 0:
            agreed_at, appeared_at = movement.at, None
        else:
            appeared_at = appeared_at or movement.at
    if appeared_at is None:
        return None
    return Difference(
        place, _ZERO, total, movements[-1].at, agreed_at, appeared_at, below_zero(movements)
    )


def _sums(
    reports: Sequence[Report], movements: Sequence[Movement]
) -> Iterator[tuple[Report, Decimal, Decimal]]:
    """Each report with the books at its instant, and a reading time later."""
    earlier = later = _ZERO
    first = second = 0
    for report in reports:
        while first < len(movements) and movements[first].at <= report.at:
            earlier += movements[first].quantity
            first += 1
        while second < len(movements) and movements[second].at <= report.at + READING_TIME:
            later += movements[second].quantity
            second += 1
        yield report, earlier, later


def below_zero(movements: Iterable[Movement]) -> datetime | None:
    """When entries in order of time first gave more than they had; None when they never did."""
    total = _ZERO
    instants: dict[datetime, Decimal] = {}
    for movement in movements:  # legs of one instant count together, whatever their order
        instants[movement.at] = instants.get(movement.at, _ZERO) + movement.quantity
    for at, quantity in instants.items():
        total += quantity
        if total < 0:
            return at
    return None


# --- what is known of an account ----------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Habit:
    """How often an account did something of a kind, and how big it was in US dollars.

    ``values`` are by the middle of all prices since the account began and serve to compare sizes;
    ``worths``, as far as known, by the prices of ``Account.priced_on``, and are shown.
    """

    count: int = 0
    values: tuple[float, ...] = ()
    worths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars for one unit, and the UTC day of that price."""

    usd: Decimal
    day: date


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far a feed was read: ``since`` None when it never was; ``error`` of the last try."""

    since: datetime | None = None
    until: datetime | None = None
    error: str = ""
    unread: int = 0  # rows that were received and not understood
    launched: datetime | None = None  # nothing is older


@dataclass(frozen=True, slots=True)
class OtherSide:
    """A transfer that may explain a difference: unmatched in another account, or pending here."""

    id: UUID
    account: UUID
    asset: UUID
    came_in: bool
    quantity: Decimal
    fee: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """What a person entered or imported in a place beside what is reported: units of one fact.

    ``twin_at`` is when a fact of the same units was reported; None: there is none.
    """

    id: UUID
    place: Place
    units: Decimal
    at: datetime
    twin_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the explanation may lean on."""

    by_hand: bool = False
    codes: Mapping[UUID, str] = field(default_factory=dict)
    fiat: frozenset[UUID] = frozenset()
    # Lowest and highest price in US dollars since the account's beginning, as far as known.
    prices: Mapping[UUID, tuple[Decimal, Decimal]] = field(default_factory=dict)
    # The price of an asset when a difference of it appeared, where one is known.
    rates: Mapping[tuple[UUID, datetime], Rate] = field(default_factory=dict)
    habits: Mapping[tuple[Fact, str], Habit] = field(default_factory=dict)  # by fact and wallet
    priced_on: date | None = None
    # Base and quote of every market traded in, with the decimals of the units traded.
    markets: Mapping[tuple[UUID, UUID], int] = field(default_factory=dict)
    fee_rates: tuple[Decimal, ...] = ()
    fee_assets: frozenset[UUID] = frozenset()
    dust_targets: frozenset[UUID] = frozenset()
    booked: frozenset[UUID] = frozenset()  # assets that have entries
    first_at: datetime | None = None
    feeds: Mapping[str, FeedState] = field(default_factory=dict)
    feeds_of: Mapping[Fact, tuple[str, ...]] = field(default_factory=dict)
    delisted: Mapping[UUID, str] = field(default_factory=dict)  # asset → a market that is closed
    other_sides: tuple[OtherSide, ...] = ()
    pending: tuple[OtherSide, ...] = ()
    own: tuple[OwnEntry, ...] = ()
    steps: Mapping[Place, Decimal] = field(default_factory=dict)  # smallest unit ever reported


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible reason of a difference: what is missing, why it may be, what to do."""

    code: Code
    fact: Fact | None
    weight: float
    sentence: str
    evidence: tuple[str, ...]
    parts: tuple[tuple[Place, Decimal], ...]  # the differences that it explains together
    feeds: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    counterpart: UUID | None = None  # a transfer
    entries: tuple[UUID, ...] = ()  # of the person's own, to be removed


def explain(
    differences: Sequence[Difference], account: Account
) -> dict[Place, list[tuple[Cause, float]]]:
    """Causes of each difference of one account with their likelihood, the likeliest first."""
    joint = list(_joint(differences, account))
    return {
        item.place: _ranked([*_of(item, joint), *_single(item, account)], item)
        for item in differences
    }


def _ranked(causes: Iterable[Cause], of: Difference) -> list[tuple[Cause, float]]:
    found = sorted(causes, key=lambda cause: (-cause.weight, cause.code, cause.sentence))
    total = sum(cause.weight for cause in found) or 1.0
    ranked = [(cause, cause.weight / total) for cause in found]
    likely = [item for item in ranked if item[1] >= _LEAST_LIKELY]
    return (likely or ranked)[:MOST_CAUSES]


def _of(item: Difference, joint: Iterable[Cause]) -> list[Cause]:
    return [cause for cause in joint if any(place == item.place for place, _ in cause.parts)]


# --- causes that explain several differences at once --------------------------------------------
# How much likelier one missing fact is than two, each of which would leave half of the print.
_TOGETHER = 30.0


def _joint(differences: Sequence[Difference], account: Account) -> Iterator[Cause]:
    for number, one in enumerate(differences):
        for other in differences[number + 1 :]:
            if not _overlap(one, other) or one.units * other.units > 0:
                continue
            if one.place.asset == other.place.asset:
                yield from _move(one, other, account)
            elif one.place.wallet == other.place.wallet:
                yield from _swaps(one, other, differences, account)


def _overlap(one: Difference, other: Difference) -> bool:
    """Whether both can have appeared at the same time."""
    starts = [item.agreed_at for item in (one, other) if item.agreed_at]
    return not starts or max(starts) <= min(one.appeared_at, other.appeared_at)


def _move(one: Difference, other: Difference, account: Account) -> Iterator[Cause]:
    gave, got = (one, other) if one.units < 0 else (other, one)
    apart = abs(gave.units + got.units)
    if apart > abs(got.units) / 50:
        return
    earn = "earn" in (one.place.wallet, other.place.wallet)
    fact = Fact.EARN if earn else Fact.MOVE
    moved = min(abs(gave.units), abs(got.units))
    name = _units(moved, got.place.asset, account)
    evidence = [
        f"{gave.place.wallet} has {_text(abs(gave.units))} less and {got.place.wallet} "
        f"{_text(abs(got.units))} more than the books."
    ]
    yield _cause(
        Code.EARN_MOVEMENT if earn else Code.WALLET_MOVE, fact,
        _TOGETHER * (50 if not apart else 1),
        f"A move of {name} from {gave.place.wallet} to {got.place.wallet} seems to be missing.",
        evidence, (gave, got), account,
    )  # fmt: skip


def _swaps(
    one: Difference, other: Difference, differences: Sequence[Difference], account: Account
) -> Iterator[Cause]:
    """A trade, conversion or dust sweep between two assets, with a fee in a third where there is
    one that fits."""
    gave, got = (one, other) if one.units < 0 else (other, one)
    agreement, told = _agreement(gave, got, account)
    if agreement < 0.001:
        return
    fee = _fee_of_swap(gave, got, differences, account)
    kinds = _kinds_of_swap(gave, got, fee, account)
    total = sum(kinds.values()) or 1.0
    names = f"{_units(-gave.units, gave.place.asset, account)} for " + _units(
        got.units, got.place.asset, account
    )
    for fact, share in kinds.items():
        parts = (gave, got) if fee is None else (gave, got, fee)
        evidence = [told] if told else []
        if fee is not None:
            paid = _units(-fee.units, fee.place.asset, account)
            evidence.append(f"{paid} more are gone, which fits a fee in a third asset.")
        yield _cause(
            _SWAPS[fact][0], fact, _TOGETHER * agreement * share / total,
            f"{_SWAPS[fact][1]} of {names} seems to be missing.", evidence, parts, account,
        )  # fmt: skip


_SWAPS = {
    Fact.TRADE: (Code.MISSING_TRADE, "A trade"),
    Fact.CONVERSION: (Code.MISSING_CONVERSION, "A conversion"),
    Fact.DUST: (Code.DUST, "A sweep of dust"),
}


def _agreement(gave: Difference, got: Difference, account: Account) -> tuple[float, str]:
    """How well two amounts agree in value, 0 to 1, given how prices ranged meanwhile."""
    ranges = [_values(item, account) for item in (gave, got)]
    if None in ranges:
        return 0.5, "Both appeared at the same time, with opposite signs."
    (low, high), (other_low, other_high) = ranges  # type: ignore[misc]
    apart = max(low / other_high, other_low / high, Decimal(1))
    if apart == 1:
        return 1.0, "Both appeared at the same time, with opposite signs, and agree in value."
    return exp(-((log(apart) / 0.25) ** 2)), "Both appeared at the same time, with opposite signs."


def _fee_of_swap(
    gave: Difference, got: Difference, differences: Sequence[Difference], account: Account
) -> Difference | None:
    """The third difference that may be the fee of a swap of the other two."""
    value = _value(got, account) or _value(gave, account)
    for item in differences:
        if item in (gave, got) or item.units >= 0 or item.place.wallet != got.place.wallet:
            continue
        if not (_overlap(item, gave) and _overlap(item, got)):
            continue
        paid = _value(item, account)
        small = paid is not None and value is not None and paid <= value / 50
        if small or (paid is None and item.place.asset in account.fee_assets):
            return item
    return None


def _kinds_of_swap(
    gave: Difference, got: Difference, fee: Difference | None, account: Account
) -> dict[Fact, float]:
    """Weights of trade, conversion and dust for one swap."""
    value = _value(got, account) or _value(gave, account)
    wallet = got.place.wallet
    weights = {
        fact: _density(account.habits.get((fact, wallet)), fact, value)
        for fact in (Fact.TRADE, Fact.CONVERSION, Fact.DUST)
    }
    fits, by_chance = _fits_the_steps(gave, got, fee, account)
    weights[Fact.TRADE] *= 1.0 if fits else 0.01
    weights[Fact.CONVERSION] *= by_chance if fits else 1 - by_chance
    if fee is not None:
        weights[Fact.CONVERSION] *= 0.01
        weights[Fact.DUST] *= 0.01
    if account.dust_targets and got.place.asset not in account.dust_targets:
        weights[Fact.DUST] *= 0.01
    if not _is_market(gave, got, account):
        weights[Fact.TRADE] *= 0.3
    return weights


def _is_market(gave: Difference, got: Difference, account: Account) -> bool:
    assets = (gave.place.asset, got.place.asset)
    return assets in account.markets or assets[::-1] in account.markets


def _fits_the_steps(
    gave: Difference, got: Difference, fee: Difference | None, account: Account
) -> tuple[bool, float]:
    """Whether the units are whole steps of a market, fee allowed for, and how often that would be
    so by chance."""
    chance, fits = 0.0, False
    for base, quote, side in ((got, gave, 1), (gave, got, -1)):
        decimals = _decimals(base.place.asset, quote.place.asset, account)
        if decimals is None:
            continue
        rates = (_ZERO,) if fee is not None else (_ZERO, *account.fee_rates)
        step = Decimal(1).scaleb(-decimals)
        chance += min(1.0, float(4 * len(rates) * SMALLEST / step))
        fits = fits or any(_is_whole(abs(base.units), rate * side, step) for rate in rates)
    if not chance:
        return True, 0.5  # nothing is known of any market: no evidence either way
    return fits, min(chance, 0.9)


def _decimals(base: UUID, quote: UUID, account: Account) -> int | None:
    """Decimals of the units of a base asset: in this market, else in any other of its markets."""
    if (base, quote) in account.markets:
        return account.markets[base, quote]
    if (quote, base) in account.markets:
        return None
    others = [places for (asset, _), places in account.markets.items() if asset == base]
    return max(others, default=None)


def _is_whole(units: Decimal, rate: Decimal, step: Decimal) -> bool:
    traded = units / (1 - rate)
    whole = (traded / step).to_integral_value(ROUND_HALF_EVEN) * step
    return abs(traded - whole) <= (2 * SMALLEST if rate else _ZERO)


# --- causes of one difference -------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Size:
    """What is expected of a kind of fact before the account has shown any: as if it had once."""

    middle: float  # log10 of US dollars
    spread: float


_EXPECTED = {
    Fact.TRADE: _Size(2.3, 1.0),
    Fact.CONVERSION: _Size(2.3, 1.0),
    Fact.DUST: _Size(0.0, 0.5),
    Fact.PURCHASE: _Size(2.3, 0.5),
    Fact.SALE: _Size(2.3, 0.5),
    Fact.DEPOSIT: _Size(3.0, 0.8),
    Fact.WITHDRAWAL: _Size(3.0, 0.8),
    Fact.REWARD: _Size(0.0, 1.2),
    Fact.FEE: _Size(-0.5, 1.0),
}
_BANDWIDTH = 0.3  # of the kernel, in powers of ten


def _density(habit: Habit | None, fact: Fact, value: float | None) -> float:
    """How often an account does something of this kind and size."""
    habit, expected = habit or Habit(), _EXPECTED[fact]
    weight = 0.3 + habit.count
    if value is None or value <= 0:
        return weight * 0.2
    size = log10(value)
    shape = 0.3 * _normal(size, expected.middle, expected.spread)
    if habit.values:
        near = sum(_normal(size, log10(known), _BANDWIDTH) for known in habit.values if known > 0)
        shape += near / len(habit.values) * habit.count
    else:
        shape += habit.count * _normal(size, expected.middle, expected.spread)
    return shape + 1e-9


def _normal(at: float, middle: float, spread: float) -> float:
    return exp(-(((at - middle) / spread) ** 2) / 2) / (spread * 2.5066282746310002)


def _single(item: Difference, account: Account) -> list[Cause]:
    if account.by_hand:
        return [*_by_hand(item, account)]
    plain = [*_came_in(item, account)] if item.units > 0 else [*_went_out(item, account)]
    total = sum(cause.weight for cause in plain) or 1.0
    usual = [_weighted(cause, cause.weight / total) for cause in plain]
    known = [*_other_sides(item, account), *_special(item, account)]
    return [*usual, *known, *_booked_twice(item, account)]


def _weighted(cause: Cause, weight: float) -> Cause:
    return Cause(
        cause.code, cause.fact, weight, cause.sentence, cause.evidence, cause.parts, cause.feeds,
        cause.since, cause.until, cause.counterpart,
    )  # fmt: skip


def _came_in(item: Difference, account: Account) -> Iterator[Cause]:
    name = _units(item.units, item.place.asset, account)
    for fact, code, sentence in (
        (Fact.DEPOSIT, Code.MISSING_DEPOSIT, f"A deposit of {name} seems to be missing."),
        (Fact.REWARD, Code.MISSING_REWARD, f"A reward of {name} seems to be missing."),
        (Fact.PURCHASE, Code.MISSING_PURCHASE, f"A purchase of {name} seems to be missing."),
    ):
        weight = _usual(fact, item, account)
        if weight:
            yield _cause(
                code, fact, weight, sentence, _sizes(fact, item, account), (item,), account
            )


def _went_out(item: Difference, account: Account) -> Iterator[Cause]:
    name = _units(-item.units, item.place.asset, account)
    for fact, code, sentence in (
        (
            Fact.WITHDRAWAL, Code.MISSING_WITHDRAWAL,
            f"A withdrawal of {name}, fee included, seems to be missing.",
        ),
        (Fact.SALE, Code.MISSING_SALE, f"A sale of {name} seems to be missing."),
    ):  # fmt: skip
        weight = _usual(fact, item, account)
        if weight:
            yield _cause(
                code, fact, weight, sentence, _sizes(fact, item, account), (item,), account
            )
    if item.place.asset in account.fee_assets:
        yield _cause(
            Code.THIRD_ASSET_FEE, Fact.FEE, _usual(Fact.FEE, item, account),
            f"Fees of {name} for trades of other assets seem to be missing.",
            ["Fees of this account are paid in this asset."], (item,), account,
        )  # fmt: skip


def _usual(fact: Fact, item: Difference, account: Account) -> float:
    """Weight of a fact of this kind, from what the account did in this wallet."""
    asset, wallet = item.place.asset, item.place.wallet
    weight = _density(account.habits.get((fact, wallet)), fact, _value(item, account))
    if asset in account.fiat and fact in (Fact.REWARD, Fact.PURCHASE, Fact.SALE):
        weight *= 0.02
    if wallet == "earn" and fact != Fact.REWARD:
        weight *= 0.02
    return weight


def _sizes(fact: Fact, item: Difference, account: Account) -> list[str]:
    habit = account.habits.get((fact, item.place.wallet), Habit())
    rate = account.rates.get((item.place.asset, item.appeared_at))
    found = []
    if rate:
        worth = abs(item.units) * rate.usd
        found.append(f"It was worth about {worth:.2f} USD at the price of {rate.day}.")
    if habit.worths:
        known = sorted(habit.worths)
        middle = known[len(known) // 2]
        found.append(
            f"The {habit.count} known of this kind, at the prices of {account.priced_on}, are "
            f"worth {middle:.2f} USD in the middle."
        )
    if item.below_zero_at and item.units > 0:
        found.append(
            f"The books fall below zero at {_instant(item.below_zero_at)}: units that came in "
            "before are missing."
        )
    return found


def _by_hand(item: Difference, account: Account) -> Iterator[Cause]:
    """Something was given away here that never came in."""
    name = _units(item.units, item.place.asset, account)
    told = [f"The entries give more than came in, since {_instant(item.appeared_at)}."]
    yield from _other_sides(item, account)
    yield _cause(
        Code.MISSING_PURCHASE, Fact.PURCHASE, 1.0,
        f"A purchase of {name} before then was not entered.", told, (item,), account,
    )  # fmt: skip
    yield _cause(
        Code.MISSING_DEPOSIT, Fact.DEPOSIT, 0.5,
        f"A deposit of {name} before then was not entered.", told, (item,), account,
    )  # fmt: skip


def _other_sides(item: Difference, account: Account) -> Iterator[Cause]:
    """A transfer that is known on one side only, or is still pending."""
    for side in account.other_sides:
        if side.came_in == (item.units > 0) or side.asset != item.place.asset:
            continue
        apart = _apart(side, item)
        if apart is not None:
            fact = Fact.DEPOSIT if item.units > 0 else Fact.WITHDRAWAL
            yield _cause(
                Code.UNMATCHED_TRANSFER, fact, _TOGETHER * (2 if not apart else 0.5),
                "Another account knows the other half of this transfer.",
                [f"{_text(side.quantity)} {'arrived' if side.came_in else 'left'} there at "
                 f"{_instant(side.at)}."],
                (item,), account, counterpart=side.id,
            )  # fmt: skip
    for side in account.pending:
        same = side.asset == item.place.asset and side.came_in == (item.units > 0)
        if same and _apart(side, item) is not None:
            yield _cause(
                Code.PENDING_TRANSFER, None, _TOGETHER * 2,
                "A transfer that the exchange calls pending has moved the balance already.",
                [f"{_text(side.quantity)} at {_instant(side.at)}."], (item,), account,
                counterpart=side.id,
            )  # fmt: skip


def _apart(side: OtherSide, item: Difference) -> Decimal | None:
    """Units by which a transfer misses a difference; None when it cannot have made it."""
    if side.at > item.appeared_at + timedelta(days=1):
        return None
    if item.agreed_at and side.at < item.agreed_at - timedelta(days=1):
        return None
    units = abs(item.units)
    apart = min(abs(units - side.quantity), abs(units - side.quantity - side.fee))
    return apart if apart <= side.quantity / 50 else None


def _booked_twice(item: Difference, account: Account) -> Iterator[Cause]:
    """Entries of the person's own that make up the difference: too much is booked, not too little.

    An amount that is the difference to the last digit hardly is so by chance.
    """
    own = [entry for entry in account.own if _may_have_made(entry, item)]
    twins = [entry for entry in own if entry.twin_at]
    exact = sorted(
        (entry for entry in own if entry.units == -item.units),
        key=lambda entry: (entry.twin_at is None, -entry.at.timestamp(), entry.id),
    )
    if exact:
        yield _own_cause(exact[:1], _SURELY, item, account)
    elif twins:
        surely = sum(entry.units for entry in twins) == -item.units
        yield _own_cause(twins, _SURELY if surely else _TOGETHER * 10, item, account)


_SURELY = _TOGETHER * 1000


def _may_have_made(entry: OwnEntry, item: Difference) -> bool:
    begins = item.agreed_at is None or entry.at > item.agreed_at
    in_time = begins and entry.at <= item.reported_at + READING_TIME
    return entry.place == item.place and entry.units * item.units < 0 and in_time


def _own_cause(
    entries: Sequence[OwnEntry], weight: float, item: Difference, account: Account
) -> Cause:
    name = _units(sum((entry.units for entry in entries), _ZERO), item.place.asset, account)
    twice = all(entry.twin_at for entry in entries)
    what = "are in the books twice: also" if twice else "are in the books only because they were"
    sentence = f"{name} {what} entered or imported beside what the exchange reports."
    found = _cause(
        Code.ENTERED_OR_IMPORTED, None, weight, sentence,
        [_own_evidence(entry) for entry in entries[:MOST_CAUSES]], (item,), account,
    )  # fmt: skip
    return replace(found, entries=tuple(entry.id for entry in entries))


def _own_evidence(entry: OwnEntry) -> str:
    told = f"{_signed(entry.units)} of {_instant(entry.at)} is an entry of your own"
    if entry.twin_at is None:
        return f"{told}, and nothing that the exchange told."
    return f"{told}; the exchange told as much at {_instant(entry.twin_at)}."


def _special(item: Difference, account: Account) -> Iterator[Cause]:
    units, asset = abs(item.units), item.place.asset
    step = account.steps.get(item.place, SMALLEST)
    if units < step:
        yield _cause(
            Code.ROUNDING, None, _TOGETHER * 3,
            "The exchange rounds: the difference is less than the smallest unit it reports.",
            [f"Reported in steps of {_text(step)}."], (item,), account,
        )  # fmt: skip
    elif units <= 2 * step:
        yield _cause(
            Code.ROUNDING, None, 0.05, "Rounding by the exchange may have added up.",
            [f"Reported in steps of {_text(step)}."], (item,), account,
        )  # fmt: skip
    if item.units < 0 and asset in account.delisted:
        gone = not item.reported
        yield _cause(
            Code.DELISTING, None, _TOGETHER if gone else 0.3,
            "The exchange has closed this asset's market and may have taken or changed the units.",
            [f"{account.delisted[asset]} is no longer traded."], (item,), account,
        )  # fmt: skip
    if item.units > 0 and asset not in account.booked and asset not in account.fiat:
        unknown = asset not in account.prices
        yield _cause(
            Code.FORK_OR_AIRDROP, None, 3.0 if unknown else 0.1,
            "Units of an asset that was never bought or sent here: a fork or an airdrop.",
            ["No entry of this account names it."]
            + (["No market is known for it."] if unknown else []),
            (item,), account,
        )  # fmt: skip


# --- putting a cause together -------------------------------------------------------------------
def _cause(
    code: Code, fact: Fact | None, weight: float, sentence: str, evidence: Sequence[str],
    parts: Sequence[Difference], account: Account, counterpart: UUID | None = None,
) -> Cause:  # fmt: skip
    """With the feeds that would tell; a feed that was not read, or not that far, is the cause of
    the cause."""
    since, until = _window(parts)
    asset = parts[0].place.asset
    feeds = _feeds(fact, asset, account)
    reason = _gap(feeds, since, until, account)
    told = list(evidence)
    if reason:
        code, more = reason
        weight *= 3
        told.append(more)
    return Cause(
        code, fact, weight, sentence, tuple(told),
        tuple((part.place, part.units) for part in parts), feeds, since, until, counterpart,
    )  # fmt: skip


def _window(parts: Sequence[Difference]) -> tuple[datetime | None, datetime]:
    starts = [part.agreed_at for part in parts if part.agreed_at]
    ends = [part.appeared_at for part in parts]
    ends += [p.below_zero_at for p in parts if p.units > 0 and p.below_zero_at]
    since = max(starts, default=None)
    until = min(ends)
    return since, max(until, since) if since else until


def _feeds(fact: Fact | None, asset: UUID, account: Account) -> tuple[str, ...]:
    if fact is None:
        return ()
    named = account.feeds_of.get(fact, ())
    money = asset in account.fiat
    if fact in (Fact.DEPOSIT, Fact.WITHDRAWAL):
        fitting = tuple(name for name in named if name.startswith("fiat_") == money)
        return fitting or named
    return named


def _gap(
    feeds: Sequence[str], since: datetime | None, until: datetime, account: Account
) -> tuple[Code, str] | None:
    """Why a feed may not have told: never read, failed, rows not understood, or a gap in time."""
    for name in feeds:
        state = account.feeds.get(name)
        if state is None or (state.since is None and not state.unread):
            error = f" ({state.error})" if state and state.error else ""
            return Code.FEED_NOT_FETCHED, f"The feed “{name}” was never read{error}."
        if state.error:
            return Code.FEED_NOT_FETCHED, f"The feed “{name}” failed lately ({state.error})."
        if state.unread:
            return Code.WINDOW_MISSING, f"{state.unread} rows of “{name}” were not understood."
        if state.until and state.until + timedelta(days=1) < (since or until):
            return Code.WINDOW_MISSING, f"“{name}” was read until {_instant(state.until)} only."
        begins = max(filter(None, (since or account.first_at, state.launched)), default=None)
        if state.since and begins and state.since > begins + timedelta(days=1):
            return Code.WINDOW_MISSING, f"“{name}” was read from {_instant(state.since)} on only."
    return None


# --- value --------------------------------------------------------------------------------------
def _values(item: Difference, account: Account) -> tuple[Decimal, Decimal] | None:
    prices = account.prices.get(item.place.asset)
    if prices is None:
        return None
    return abs(item.units) * prices[0], abs(item.units) * prices[1]


def _value(item: Difference, account: Account) -> float | None:
    """US dollars, at the geometric middle of the prices."""
    found = _values(item, account)
    return float((found[0] * found[1]).sqrt()) if found else None


def _units(units: Decimal, asset: UUID, account: Account) -> str:
    return f"{_text(abs(units))} {account.codes.get(asset, '?')}"


def _text(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


# --- as it is stored and shown ------------------------------------------------------------------
def as_rows(ranked: Sequence[tuple[Cause, float]], account: Account) -> list[dict[str, Any]]:
    """Causes as JSON: code, sentence, likelihood, evidence, the missing fact, and remedies."""
    return [_row(cause, likelihood, account) for cause, likelihood in ranked]


def _row(cause: Cause, likelihood: float, account: Account) -> dict[str, Any]:
    return {
        "code": str(cause.code),
        "fact": str(cause.fact) if cause.fact else None,
        "likelihood": f"{likelihood:.4f}",
        "sentence": cause.sentence,
        "evidence": list(cause.evidence),
        "parts": [
            {
                "wallet": place.wallet,
                "asset": str(place.asset),
                "code": account.codes.get(place.asset, ""),
                "units": _signed(units),
            }
            for place, units in cause.parts
        ],
        "feeds": list(cause.feeds),
        "since": cause.since.isoformat() if cause.since else None,
        "until": cause.until.isoformat() if cause.until else None,
        "transfer": str(cause.counterpart) if cause.counterpart else None,
        "entries": [str(entry) for entry in cause.entries],
        "remedies": _remedies(cause, account),
    }


def _signed(units: Decimal) -> str:
    return ("-" if units < 0 else "") + _text(abs(units))


def _remedies(cause: Cause, account: Account) -> list[str]:
    """What one call can do about it, the best first."""
    found = []
    if cause.code == Code.ENTERED_OR_IMPORTED:
        return ["delete_entries"]
    if cause.code == Code.UNMATCHED_TRANSFER:
        found.append("match_transfer")
    if cause.feeds and not account.by_hand:
        found.append("fetch_window")
    return [*found, "book_adjustment"]
