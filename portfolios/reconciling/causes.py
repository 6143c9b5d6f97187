"""One possible cause of a difference: how likely, in which words, and which feed would tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import exp, log10
from uuid import UUID

from portfolios.reconciling.account import Account, Fact, Habit
from portfolios.reconciling.differences import Difference, Place

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


# How much likelier one missing fact is than two, each of which would leave half of the print.
TOGETHER = 30.0


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


def usualness(habit: Habit | None, fact: Fact, value: float | None) -> float:
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


SURELY = TOGETHER * 1000


def cause_with_feeds(
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
            return (
                Code.WINDOW_MISSING,
                f"“{name}” was read until {plain_instant(state.until)} only.",
            )
        begins = max(filter(None, (since or account.first_at, state.launched)), default=None)
        if state.since and begins and state.since > begins + timedelta(days=1):
            return (
                Code.WINDOW_MISSING,
                f"“{name}” was read from {plain_instant(state.since)} on only.",
            )
    return None


def dollar_range(item: Difference, account: Account) -> tuple[Decimal, Decimal] | None:
    prices = account.prices.get(item.place.asset)
    if prices is None:
        return None
    return abs(item.units) * prices[0], abs(item.units) * prices[1]


def dollars(item: Difference, account: Account) -> float | None:
    """US dollars, at the geometric middle of the prices."""
    found = dollar_range(item, account)
    return float((found[0] * found[1]).sqrt()) if found else None


def named_units(units: Decimal, asset: UUID, account: Account) -> str:
    return f"{plain_number(abs(units))} {account.codes.get(asset, '?')}"


def plain_number(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def signed_number(units: Decimal) -> str:
    return ("-" if units < 0 else "") + plain_number(abs(units))
