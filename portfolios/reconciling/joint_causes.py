"""Causes that explain several differences at once: moves and swaps. Pure, no Django."""

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from math import exp, log
from uuid import UUID

from portfolios.reconciling.account import SMALLEST, Account, Fact
from portfolios.reconciling.causes import (
    TOGETHER,
    Cause,
    Code,
    cause_with_feeds,
    dollar_range,
    dollars,
    named_units,
    plain_number,
    usualness,
)
from portfolios.reconciling.differences import Difference

_ZERO = Decimal(0)


def joint_causes(differences: Sequence[Difference], account: Account) -> Iterator[Cause]:
    """A move or a swap for each pair of differences that could be the two ends of one."""
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
    name = named_units(moved, got.place.asset, account)
    evidence = [
        f"{gave.place.wallet} has {plain_number(abs(gave.units))} less and {got.place.wallet} "
        f"{plain_number(abs(got.units))} more than the books."
    ]
    yield cause_with_feeds(
        Code.EARN_MOVEMENT if earn else Code.WALLET_MOVE, fact,
        TOGETHER * (50 if not apart else 1),
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
    names = f"{named_units(-gave.units, gave.place.asset, account)} for " + named_units(
        got.units, got.place.asset, account
    )
    for fact, share in kinds.items():
        parts = (gave, got) if fee is None else (gave, got, fee)
        evidence = [told] if told else []
        if fee is not None:
            paid = named_units(-fee.units, fee.place.asset, account)
            evidence.append(f"{paid} more are gone, which fits a fee in a third asset.")
        yield cause_with_feeds(
            _SWAPS[fact][0], fact, TOGETHER * agreement * share / total,
            f"{_SWAPS[fact][1]} of {names} seems to be missing.", evidence, parts, account,
        )  # fmt: skip


_SWAPS = {
    Fact.TRADE: (Code.MISSING_TRADE, "A trade"),
    Fact.CONVERSION: (Code.MISSING_CONVERSION, "A conversion"),
    Fact.DUST: (Code.DUST, "A sweep of dust"),
}


def _agreement(gave: Difference, got: Difference, account: Account) -> tuple[float, str]:
    """How well two amounts agree in value, 0 to 1, given how prices ranged meanwhile."""
    ranges = [dollar_range(item, account) for item in (gave, got)]
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
    value = dollars(got, account) or dollars(gave, account)
    for item in differences:
        if item in (gave, got) or item.units >= 0 or item.place.wallet != got.place.wallet:
            continue
        if not (_overlap(item, gave) and _overlap(item, got)):
            continue
        paid = dollars(item, account)
        small = paid is not None and value is not None and paid <= value / 50
        if small or (paid is None and item.place.asset in account.fee_assets):
            return item
    return None


def _kinds_of_swap(
    gave: Difference, got: Difference, fee: Difference | None, account: Account
) -> dict[Fact, float]:
    """Weights of trade, conversion and dust for one swap."""
    value = dollars(got, account) or dollars(gave, account)
    wallet = got.place.wallet
    weights = {
        fact: usualness(account.habits.get((fact, wallet)), fact, value)
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
