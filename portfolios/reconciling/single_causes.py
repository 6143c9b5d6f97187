"""Causes of one difference: what came in, what went out, what was entered beside. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from portfolios.reconciling.account import SMALLEST, Account, Fact, Habit, OtherSide, OwnEntry
from portfolios.reconciling.causes import (
    MOST_CAUSES,
    SURELY,
    TOGETHER,
    Cause,
    Code,
    cause_with_feeds,
    dollars,
    named_units,
    plain_instant,
    plain_number,
    signed_number,
    usualness,
)
from portfolios.reconciling.differences import READING_TIME, Difference

_ZERO = Decimal(0)


def causes_of_one(item: Difference, account: Account) -> list[Cause]:
    """What alone could have made one difference; plain causes and special ones together."""
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
    name = named_units(item.units, item.place.asset, account)
    for fact, code, sentence in (
        (Fact.DEPOSIT, Code.MISSING_DEPOSIT, f"A deposit of {name} seems to be missing."),
        (Fact.REWARD, Code.MISSING_REWARD, f"A reward of {name} seems to be missing."),
        (Fact.PURCHASE, Code.MISSING_PURCHASE, f"A purchase of {name} seems to be missing."),
    ):
        weight = _usual(fact, item, account)
        if weight:
            yield cause_with_feeds(
                code, fact, weight, sentence, _sizes(fact, item, account), (item,), account
            )


def _went_out(item: Difference, account: Account) -> Iterator[Cause]:
    name = named_units(-item.units, item.place.asset, account)
    for fact, code, sentence in (
        (
            Fact.WITHDRAWAL, Code.MISSING_WITHDRAWAL,
            f"A withdrawal of {name}, fee included, seems to be missing.",
        ),
        (Fact.SALE, Code.MISSING_SALE, f"A sale of {name} seems to be missing."),
    ):  # fmt: skip
        weight = _usual(fact, item, account)
        if weight:
            yield cause_with_feeds(
                code, fact, weight, sentence, _sizes(fact, item, account), (item,), account
            )
    if item.place.asset in account.fee_assets:
        yield cause_with_feeds(
            Code.THIRD_ASSET_FEE, Fact.FEE, _usual(Fact.FEE, item, account),
            f"Fees of {name} for trades of other assets seem to be missing.",
            ["Fees of this account are paid in this asset."], (item,), account,
        )  # fmt: skip


def _usual(fact: Fact, item: Difference, account: Account) -> float:
    """Weight of a fact of this kind, from what the account did in this wallet."""
    asset, wallet = item.place.asset, item.place.wallet
    weight = usualness(account.habits.get((fact, wallet)), fact, dollars(item, account))
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
            f"The books fall below zero at {plain_instant(item.below_zero_at)}: units that came in "
            "before are missing."
        )
    return found


def _by_hand(item: Difference, account: Account) -> Iterator[Cause]:
    """Something was given away here that never came in."""
    name = named_units(item.units, item.place.asset, account)
    told = [f"The entries give more than came in, since {plain_instant(item.appeared_at)}."]
    yield from _other_sides(item, account)
    yield cause_with_feeds(
        Code.MISSING_PURCHASE, Fact.PURCHASE, 1.0,
        f"A purchase of {name} before then was not entered.", told, (item,), account,
    )  # fmt: skip
    yield cause_with_feeds(
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
            yield cause_with_feeds(
                Code.UNMATCHED_TRANSFER, fact, TOGETHER * (2 if not apart else 0.5),
                "Another account knows the other half of this transfer.",
                [f"{plain_number(side.quantity)} {'arrived' if side.came_in else 'left'} there at "
                 f"{plain_instant(side.at)}."],
                (item,), account, counterpart=side.id,
            )  # fmt: skip
    for side in account.pending:
        same = side.asset == item.place.asset and side.came_in == (item.units > 0)
        if same and _apart(side, item) is not None:
            yield cause_with_feeds(
                Code.PENDING_TRANSFER, None, TOGETHER * 2,
                "A transfer that the exchange calls pending has moved the balance already.",
                [f"{plain_number(side.quantity)} at {plain_instant(side.at)}."], (item,), account,
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
        yield _own_cause(exact[:1], SURELY, item, account)
    elif twins:
        surely = sum(entry.units for entry in twins) == -item.units
        yield _own_cause(twins, SURELY if surely else TOGETHER * 10, item, account)


def _may_have_made(entry: OwnEntry, item: Difference) -> bool:
    begins = item.agreed_at is None or entry.at > item.agreed_at
    in_time = begins and entry.at <= item.reported_at + READING_TIME
    return entry.place == item.place and entry.units * item.units < 0 and in_time


def _own_cause(
    entries: Sequence[OwnEntry], weight: float, item: Difference, account: Account
) -> Cause:
    name = named_units(sum((entry.units for entry in entries), _ZERO), item.place.asset, account)
    twice = all(entry.twin_at for entry in entries)
    what = "are in the books twice: also" if twice else "are in the books only because they were"
    sentence = f"{name} {what} entered or imported beside what the exchange reports."
    found = cause_with_feeds(
        Code.ENTERED_OR_IMPORTED, None, weight, sentence,
        [_own_evidence(entry) for entry in entries[:MOST_CAUSES]], (item,), account,
    )  # fmt: skip
    return replace(found, entries=tuple(entry.id for entry in entries))


def _own_evidence(entry: OwnEntry) -> str:
    told = f"{signed_number(entry.units)} of {plain_instant(entry.at)} is an entry of your own"
    if entry.twin_at is None:
        return f"{told}, and nothing that the exchange told."
    return f"{told}; the exchange told as much at {plain_instant(entry.twin_at)}."


def _special(item: Difference, account: Account) -> Iterator[Cause]:
    units, asset = abs(item.units), item.place.asset
    step = account.steps.get(item.place, SMALLEST)
    if units < step:
        yield cause_with_feeds(
            Code.ROUNDING, None, TOGETHER * 3,
            "The exchange rounds: the difference is less than the smallest unit it reports.",
            [f"Reported in steps of {plain_number(step)}."], (item,), account,
        )  # fmt: skip
    elif units <= 2 * step:
        yield cause_with_feeds(
            Code.ROUNDING, None, 0.05, "Rounding by the exchange may have added up.",
            [f"Reported in steps of {plain_number(step)}."], (item,), account,
        )  # fmt: skip
    if item.units < 0 and asset in account.delisted:
        gone = not item.reported
        yield cause_with_feeds(
            Code.DELISTING, None, TOGETHER if gone else 0.3,
            "The exchange has closed this asset's market and may have taken or changed the units.",
            [f"{account.delisted[asset]} is no longer traded."], (item,), account,
        )  # fmt: skip
    if item.units > 0 and asset not in account.booked and asset not in account.fiat:
        unknown = asset not in account.prices
        yield cause_with_feeds(
            Code.FORK_OR_AIRDROP, None, 3.0 if unknown else 0.1,
            "Units of an asset that was never bought or sent here: a fork or an airdrop.",
            ["No entry of this account names it."]
            + (["No market is known for it."] if unknown else []),
            (item,), account,
        )  # fmt: skip
