"""Reading what daily valuations are made of: one person's ledger, reports, pairs and costs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from accounts.models import User
from exchanges.models import Asset, ConnectionKind, ExchangeConnection
from portfolios.models import AdjustmentReason, EntryKind, Holding, HoldingChange, TransferMeaning
from portfolios.returns import daily, positions
from portfolios.returns.day_prices import Prices
from portfolios.returns.day_rows import CostChange
from portfolios.returns.positions import Movement, Pair, Reported, Reports

_ZERO = Decimal(0)


class Entry(NamedTuple):
    """One leg of the ledger, and what its fact adds to its meaning.

    ``meaning`` is what the person said of a transfer, the reason of an adjustment or the kind of a
    reward. ``pair`` is the match that the transfer belongs to.
    """

    account: UUID
    asset: UUID
    at: datetime
    quantity: Decimal
    kind: str
    trade: UUID | None
    meaning: str | None
    pair: UUID | None
    wallet: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one person's valuations stand on, in the order of time."""

    entries: list[Entry]
    reports: dict[UUID, Reports]
    by_hand: list[UUID]
    base: UUID | None
    base_is_money: bool
    cash: frozenset[UUID]

    @property
    def assets(self) -> set[UUID]:
        """Every asset that was ever there."""
        found = {entry.asset for entry in self.entries}
        return found.union(*(told.totals for told in self.reports.values()))

    @property
    def reported_first(self) -> date | None:
        """The latest day on which an account was reported for the first time."""
        days = [told.first_at.astimezone(UTC).date() for told in self.reports.values()]
        return max(days, default=None)


# What a leg of the ledger means, by its kind; deposits, withdrawals, rewards and adjustments
# have cases of their own.
_PARTS = {
    EntryKind.TRADE: positions.TRADE,
    EntryKind.CONVERSION: positions.TRADE,
    EntryKind.FEE: positions.FEE,
    EntryKind.TRANSFER: positions.INSIDE,
}
_EARNED = {AdjustmentReason.FORK, AdjustmentReason.AIRDROP}

_ENTRIES = """
SELECT entries.connection_id, entries.asset_id, entries.occurred_at,
       trim_scale(entries.quantity), entries.kind, entries.trade_id,
       coalesce(notes.meaning, adjustments.reason, rewards.kind), matches.id, entries.wallet
FROM ledger_entries AS entries
LEFT JOIN transfer_notes AS notes
    ON notes.user_id = entries.user_id AND notes.transfer_id = entries.transfer_id
LEFT JOIN adjustments
    ON adjustments.user_id = entries.user_id AND adjustments.id = entries.adjustment_id
LEFT JOIN rewards
    ON rewards.user_id = entries.user_id AND rewards.id = entries.reward_id
LEFT JOIN transfer_matches AS matches
    ON matches.user_id = entries.user_id AND matches.is_pair
    AND entries.transfer_id IN (matches.withdrawal_id, matches.deposit_id)
    AND entries.kind IN ('withdrawal', 'deposit')
WHERE entries.user_id = %(user_id)s AND entries.occurred_at <= %(now)s
ORDER BY entries.occurred_at, entries.leg, entries.id
"""


def read(*, user: User, now: datetime) -> Ledger:
    """The entries until ``now`` and everything that was reported. Call inside ``as_user``."""
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, {"user_id": user.id, "now": now})
        entries = [Entry(*row) for row in cursor]
    accounts = list(
        ExchangeConnection.objects.filter(user_id=user.id).values_list(
            "id", "kind", "last_synced_at"
        )
    )
    base = Asset.objects.filter(slug=user.base_currency.lower()).first()
    return Ledger(
        entries=entries,
        reports=_reports(user.id, accounts),
        by_hand=[key for key, kind, _ in accounts if kind == ConnectionKind.MANUAL],
        base=base.id if base else None,
        base_is_money=bool(base and base.is_fiat),
        cash=frozenset(Asset.objects.filter(is_fiat=True).values_list("id", flat=True)),
    )


def _reports(
    user_id: UUID, accounts: Sequence[tuple[UUID, str, datetime | None]]
) -> dict[UUID, Reports]:
    """What exchanges reported. Accounts that are kept by hand follow their entries instead."""
    asked = {key: synced for key, kind, synced in accounts if kind == ConnectionKind.EXCHANGE}
    rows = HoldingChange.objects.filter(user_id=user_id, connection_id__in=list(asked))
    changes = [
        Reported(at, account, asset, (wallet, code), quantity)
        for account, asset, wallet, code, quantity, at in rows.values_list(
            "connection_id", "asset_id", "wallet", "exchange_code", "quantity", "reported_at"
        )
    ]
    confirmed = {key: at for key, at in asked.items() if at is not None}
    held = Holding.objects.filter(user_id=user_id, connection_id__in=list(asked))
    for account, at in held.values_list("connection_id", "last_confirmed_at"):
        confirmed[account] = max(confirmed.get(account, at), at)
    return positions.reports(changes, confirmed=confirmed)


def movements(*, ledger: Ledger, prices: Prices, since: datetime) -> list[Movement]:
    """Every movement, and what reports add, in the order of time.

    From ``since`` on each has its value at its instant, None where nobody says; earlier ones
    count with their units only.
    """
    trades = _trade_values(ledger, prices, since)
    found = [
        _movement(entry, trades, prices) if entry.at >= since else _units(entry)
        for entry in ledger.entries
    ]
    found += _on_their_way(ledger.entries, found)
    told = _told(ledger, found)
    found += [_worth(item, prices) if item.at >= since else item for item in told]
    return sorted(found, key=lambda item: item.at)


def _told(ledger: Ledger, moved: Iterable[Movement]) -> list[Movement]:
    """What reports, and wallets that cannot owe anything, add to the entries."""
    return positions.corrections(
        moved, reports=ledger.reports, without_reports=ledger.by_hand, cash=ledger.cash
    )


def _units(entry: Entry) -> Movement:
    return Movement(
        entry.at, entry.account, entry.asset, entry.quantity, _part(entry), None, entry.wallet
    )


def _movement(entry: Entry, trades: dict[UUID, Decimal | None], prices: Prices) -> Movement:
    item = _units(entry)
    if item.part != positions.TRADE or entry.trade is None:
        return _worth(item, prices)
    worth = trades.get(entry.trade)
    if worth is None:
        return item
    return item._replace(value=worth if entry.quantity > 0 else -worth)


def _worth(item: Movement, prices: Prices) -> Movement:
    price = prices.at(item.asset, item.at)
    return item if price is None else item._replace(value=item.quantity * price)


def _part(entry: Entry) -> str:
    if entry.kind in _PARTS:
        return _PARTS[EntryKind(entry.kind)]
    if entry.kind == EntryKind.REWARD:
        return _rewarded(entry)
    if entry.kind == EntryKind.ADJUSTMENT:
        return _adjusted(entry)
    if entry.pair is not None:
        return positions.PAIRED
    if entry.meaning == TransferMeaning.INCOME:
        return positions.INCOME
    if entry.meaning == TransferMeaning.LOST and entry.quantity < 0:
        return positions.LOST
    return positions.DEPOSIT if entry.quantity > 0 else positions.WITHDRAWAL


def _rewarded(entry: Entry) -> str:
    """Exchanges book corrections of their own (a code that changed, a mistake) as rewards."""
    if entry.meaning == EntryKind.ADJUSTMENT:
        return positions.CORRECTION
    return positions.INCOME if entry.quantity > 0 else positions.FEE


def _adjusted(entry: Entry) -> str:
    if entry.meaning in _EARNED and entry.quantity > 0:
        return positions.INCOME
    if entry.meaning == AdjustmentReason.GIFT:
        return positions.DEPOSIT if entry.quantity > 0 else positions.WITHDRAWAL
    if entry.meaning == AdjustmentReason.LOST and entry.quantity < 0:
        return positions.LOST
    return positions.CORRECTION


def _trade_values(ledger: Ledger, prices: Prices, since: datetime) -> dict[UUID, Decimal | None]:
    """What each trade was worth: its quote where that is the base currency, else its base where
    that is, else quote units at their price, else base units at theirs, else None. A price is that
    of the instant, else the close by which the units count on that day.

    A trade's base leg comes before its quote leg, and a trade for nothing has no quote leg.
    """
    legs: dict[UUID, list[Entry]] = {}
    for entry in ledger.entries:
        if entry.trade and entry.at >= since and _part(entry) == positions.TRADE:
            legs.setdefault(entry.trade, []).append(entry)
    return {trade: _trade_value(sides, ledger.base, prices) for trade, sides in legs.items()}


def _trade_value(sides: list[Entry], base: UUID | None, prices: Prices) -> Decimal | None:
    if len(sides) < 2:
        return _ZERO
    quote_first = sorted(sides, key=lambda side: side.asset != base)
    ordered = quote_first if quote_first[0].asset == base else sides[::-1]
    for price_of in (_price_at, _close_of_day):
        for side in ordered:
            price = price_of(side, prices)
            if price is not None:
                return abs(side.quantity) * price
    return None


def _price_at(side: Entry, prices: Prices) -> Decimal | None:
    return prices.at(side.asset, side.at)


def _close_of_day(side: Entry, prices: Prices) -> Decimal | None:
    close = prices.close(side.asset, side.at.astimezone(UTC).date())
    return None if close is None else close.price


def _on_their_way(entries: Iterable[Entry], found: Sequence[Movement]) -> list[Movement]:
    """The units of each pair between the withdrawal and the deposit."""
    halves: dict[UUID, list[Movement]] = {}
    for entry, item in zip(entries, found, strict=False):
        if entry.pair is not None and item.part == positions.PAIRED:
            halves.setdefault(entry.pair, []).append(item)
    result: list[Movement] = []
    for items in halves.values():
        went = [item for item in items if item.quantity < 0]
        came = [item for item in items if item.quantity > 0]
        if len(went) == len(came) == 1:
            pair = Pair(
                went[0].at, -went[0].quantity, came[0].at, came[0].quantity, went[0].asset,
                None if went[0].value is None else -went[0].value, came[0].value,
            )  # fmt: skip
            result += positions.on_their_way(pair)
    return result


_COSTS = """
SELECT (acquired_at AT TIME ZONE 'UTC')::date, connection_id, asset_id, quantity, cost, 0
FROM lots WHERE user_id = %(user_id)s AND cost IS NOT NULL
UNION ALL
SELECT (disposed_at AT TIME ZONE 'UTC')::date, connection_id, asset_id,
       CASE WHEN cost IS NULL THEN 0 ELSE -quantity END, -coalesce(cost, 0), coalesce(gain, 0)
FROM disposals WHERE user_id = %(user_id)s AND (cost IS NOT NULL OR gain IS NOT NULL)
ORDER BY 1
"""


def costs(*, user_id: UUID) -> list[CostChange]:
    """Units of known cost as they came and went, and realized gains, by day."""
    with connection.cursor() as cursor:
        cursor.execute(_COSTS, {"user_id": user_id})
        return [CostChange(*row) for row in cursor]


def books(*, user: User, ledger: Ledger, moved: Sequence[Movement]) -> daily.Books:
    """Everything that ``daily.valuations`` asks for."""
    return daily.Books(
        portfolio=user.id,
        movements=moved,
        costs=costs(user_id=user.id),
        cash=ledger.cash,
        base=ledger.base,
        per_account=user.cost_basis_scope == "account",
    )


def instants(*, ledger: Ledger, since: datetime) -> set[tuple[UUID, datetime]]:
    """The assets and instants whose own prices values need, from ``since`` on.

    Those of each entry, and of what reports add. What else was held at a large flow is asked for
    when the days are valued and it is known which flows were large.
    """
    moved = [_units(entry) for entry in ledger.entries]
    told = _told(ledger, moved)
    return {(item.asset, item.at) for item in (*moved, *told) if item.at >= since}
