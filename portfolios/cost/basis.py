"""From the ledger to lots, disposals and incomes in their tables, as little of it as need be.

An asset whose new entries all come after those already booked is *continued*: its open lots are
read and the new events happen to them. Anything else (an entry in the middle of the history, a
pair, a note, another method or currency) has it computed from the beginning. Both give the same
rows, to the digit and to the id. Call inside ``as_user``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.db.models import Q

from accounts.models import User
from accounts.models.people import CostBasisScope
from exchanges import history
from exchanges.models import Asset
from portfolios.cost import booking, ledger_reading, lot_tables
from portfolios.cost.booking import Booking, Entry, FactBook
from portfolios.cost.ledger_reading import Ledger
from portfolios.cost.lot_tables import Rows
from portfolios.cost.lots import Book, Disposition, Event, Method, Move, collector_paused
from portfolios.models import AssetBasis
from portfolios.valuing import pricebook
from portfolios.valuing.pricebook import PriceBook, Quote

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a person chose that lots depend on."""

    currency: str
    method: Method
    per_account: bool
    long_term_days: int
    time_zone: str  # of the days of prices that they set

    def __str__(self) -> str:
        scope = "account" if self.per_account else "all"
        return f"{self.currency} {self.method} {scope} {self.long_term_days} {self.time_zone}"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an asset is computed now; ``through`` None when it has no entries any more.

    ``waits_for`` are assets whose prices may still come, wanted from ``waits_from`` on.
    """

    asset_id: UUID
    through: datetime | None
    rules: str
    waits_for: frozenset[UUID] = frozenset()
    waits_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """What was computed and not stored: rows by asset, in order."""

    rules: Rules
    rows: list[Rows] = field(default_factory=list)


# --- storing ------------------------------------------------------------------------------------
def update(*, user_id: UUID) -> list[Reached]:
    """Bring the tables up to the ledger; returns how far each asset that was touched is now.

    Takes no lock that a recording waits for. ``note`` makes it known.
    """
    with collector_paused():
        return _update(user_id)


def _update(user_id: UUID) -> list[Reached]:
    rules = rules_of(user_id)
    whole, continued = _touched(user_id, rules)
    reached = []
    for asset_id, mark in continued.items():
        if found := _continue(user_id, rules, mark):
            reached.append(found)
        else:
            whole.add(asset_id)
    return reached + _renew(user_id, rules, whole)


def rules_of(user_id: UUID) -> Rules:
    """What this person chose."""
    user = User.objects.only(
        "base_currency", "cost_basis_method", "cost_basis_scope", "long_term_days", "time_zone"
    ).get(id=user_id)
    return Rules(
        currency=user.base_currency, method=Method(user.cost_basis_method),
        per_account=user.cost_basis_scope == CostBasisScope.ACCOUNT,
        long_term_days=user.long_term_days, time_zone=user.time_zone,
    )  # fmt: skip


def _touched(user_id: UUID, rules: Rules) -> tuple[set[UUID], dict[UUID, AssetBasis]]:
    """Assets to be computed from the beginning, and those that go on where they were."""
    whole, continued = set(), {}
    for row in AssetBasis.objects.filter(user_id=user_id):
        if row.derived_with != str(rules) or row.derived_through is None:
            whole.add(row.asset_id)
        elif row.dirty_from and row.dirty_from > row.derived_through:
            continued[row.asset_id] = row
        elif row.dirty_from:
            whole.add(row.asset_id)
    return whole, continued


def _renew(user_id: UUID, rules: Rules, assets: Collection[UUID]) -> list[Reached]:
    """Compute some assets from the beginning and put that in the place of what there was."""
    if not assets:
        return []
    others = AssetBasis.objects.filter(user_id=user_id).exclude(asset_id__in=assets).exists()
    # All legs are read in half of the time that it takes to find those of some assets.
    books = _Books(user_id, rules, assets if others else None)
    rows = [books.rows(asset_id) for asset_id in sorted(assets)]
    lot_tables.remove(user_id=user_id, assets=assets)
    lot_tables.write(user_id=user_id, rows=rows, long_term_days=rules.long_term_days)
    return books.reached(assets)


def _continue(user_id: UUID, rules: Rules, mark: AssetBasis) -> Reached | None:
    """Let an asset's new events happen to its open lots; None when that is not all there is."""
    asset_id = mark.asset_id
    books = _Books(user_id, rules, [asset_id], after=mark.derived_through)
    if books.reach_back():
        return None
    rows = books.rows_after(asset_id)
    lot_tables.write(user_id=user_id, rows=[rows], long_term_days=rules.long_term_days)
    (reached,) = books.reached([asset_id], before=mark)
    return reached


def note(*, user_id: UUID, reached: Sequence[Reached], clean: bool) -> None:
    """Write down how far assets are; with ``clean`` their marks are taken back.

    Without, something arrived meanwhile, and they will be looked at again.
    """
    with connection.cursor() as cursor:
        for item in sorted(reached, key=_asset_of):
            cursor.execute(
                """
                UPDATE asset_bases SET derived_through = %s, derived_with = %s, waits_for = %s,
                    waits_from = %s, dirty_from = CASE WHEN %s THEN NULL ELSE dirty_from END
                WHERE user_id = %s AND asset_id = %s
                """,
                [item.through, item.rules, sorted(item.waits_for) or None, item.waits_from, clean,
                 user_id, item.asset_id],
            )  # fmt: skip
    gone = [item.asset_id for item in reached if item.through is None]
    if clean and gone:
        AssetBasis.objects.filter(user_id=user_id, asset_id__in=gone).delete()


def lock(*, user_id: UUID, assets: Iterable[UUID]) -> None:
    """Lock the marks of some assets, in the order in which ``books.mark`` does."""
    rows = AssetBasis.objects.filter(user_id=user_id, asset_id__in=list(assets))
    list(rows.order_by("asset_id").select_for_update().values_list("id"))


def _asset_of(item: Reached) -> UUID:
    return item.asset_id


def depending_on(*, user_id: UUID, asset_id: UUID, since: datetime) -> dict[UUID, datetime]:
    """Assets with entries whose value may depend on the price of one, and from when on."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asset_id, min(occurred_at) FROM ledger_entries
            WHERE user_id = %(user)s AND occurred_at >= %(since)s AND (
                asset_id = %(asset)s
                OR trade_id IN (
                    SELECT trade_id FROM ledger_entries
                    WHERE user_id = %(user)s AND occurred_at >= %(since)s AND asset_id = %(asset)s
                      AND trade_id IS NOT NULL)
                OR adjustment_id IN (
                    SELECT id FROM adjustments
                    WHERE user_id = %(user)s AND cost_asset_id = %(asset)s)
                OR transfer_id IN (
                    SELECT transfer_id FROM transfer_notes
                    WHERE user_id = %(user)s AND cost_asset_id = %(asset)s))
            GROUP BY asset_id
            """,
            {"user": user_id, "asset": asset_id, "since": since},
        )
        return dict(cursor.fetchall())


# --- computing without storing ------------------------------------------------------------------
def compute(*, user_id: UUID, method: Method) -> Computed:
    """Everything by another method than the person's own, which stays as it is."""
    rules = replace(rules_of(user_id), method=method)
    books = _Books(user_id, rules)
    return Computed(rules=rules, rows=[books.rows(asset_id) for asset_id in books.assets()])


# --- a ledger, or the end of one, booked --------------------------------------------------------
class _Books:
    """A person's ledger, or that of some assets, valued and sorted into what happened to each."""

    def __init__(
        self,
        user_id: UUID,
        rules: Rules,
        assets: Collection[UUID] | None = None,
        after: datetime | None = None,
    ) -> None:
        self._user_id, self._rules = user_id, rules
        cash = _cash(rules.currency)
        read = ledger_reading.ledger(user_id=user_id, base=cash.base, assets=assets, after=after)
        self._legs = read.legs
        self._facts = ledger_reading.facts(user_id=user_id, legs=read.legs)
        self._prices, self._booking = _booked(user_id, rules, read, self._facts, cash)
        self._received: dict[Any, list[booking.Receipt]] = defaultdict(list)
        for receipt in self._booking.receipts:
            self._received[receipt.asset].append(receipt)

    def assets(self) -> list[UUID]:
        """The assets that anything happened to."""
        return sorted(UUID(bytes=cast(Any, key)) for key in {leg[2] for leg in self._legs})

    def reach_back(self) -> bool:
        """Whether a pair has its other half among what was booked before."""
        present = {leg[8] for leg in self._legs}
        pairs = self._facts.pairs.items()
        return any(gone not in present or come not in present for gone, come in pairs)

    def rows(self, asset_id: UUID) -> Rows:
        """All that is computed of one asset from the beginning, while its pieces are read."""
        book = Book(method=self._rules.method, per_account=self._rules.per_account)
        return Rows(
            asset=asset_id.bytes, opened=book.opened,
            pieces=book.pieces_of(self._events(asset_id)), receipts=self._receipts(asset_id),
        )  # fmt: skip

    def rows_after(self, asset_id: UUID) -> Rows:
        """What new events change of one asset."""
        events, method = self._events(asset_id), self._rules.method
        if not events:  # cash, whose income is all there is
            return Rows(asset=asset_id.bytes, receipts=self._receipts(asset_id))
        position, first_piece = lot_tables.next_positions(user_id=self._user_id, asset=asset_id)
        needed = None if self._rules.per_account else _needed(events)
        book = Book.resume(
            method=method, per_account=self._rules.per_account, next_position=position,
            open_lots=lot_tables.open_lots(
                user_id=self._user_id, asset=asset_id, method=method, needed=needed
            ),
        )  # fmt: skip
        book.apply(events)
        return Rows(
            asset=asset_id.bytes, opened=book.opened, changed=book.changed(), pieces=book.pieces,
            first_piece=first_piece, receipts=self._receipts(asset_id),
        )  # fmt: skip

    def reached(
        self, assets: Collection[UUID], *, before: AssetBasis | None = None
    ) -> list[Reached]:
        """How far these assets are now. ``before`` is how far the only one was, if it goes on."""
        last = ledger_reading.last_instants(user_id=self._user_id, assets=assets)
        waits = self._waits()
        if before and before.waits_for:
            waits[before.asset_id.bytes].add(before.waits_for, before.waits_from)
        return [
            Reached(
                asset_id=asset_id, rules=str(self._rules),
                through=last.get(asset_id),
                waits_for=frozenset(waits[asset_id.bytes].assets),
                waits_from=waits[asset_id.bytes].since,
            )
            for asset_id in sorted(assets)
        ]  # fmt: skip

    def _events(self, asset_id: UUID) -> list[Event]:
        return self._booking.events.get(cast(Any, asset_id.bytes), [])

    def _receipts(self, asset_id: UUID) -> list[booking.Receipt]:
        return self._received.get(asset_id.bytes, [])

    def _waits(self) -> dict[Any, "_Wait"]:
        """By asset, the prices that may still come and that its entries want.

        An hour is settled once markets answered, about the close of its day as well, which stands
        in for it.
        """
        found: dict[Any, _Wait] = defaultdict(_Wait)
        missing = self._prices.missing if self._prices else []
        if not self._prices or not missing:
            return found
        days = self._prices.missing_days
        history.want(needs=[*missing, *days])
        lacking = _by_hour(history.unanswered(needs=[*missing, *days]))
        for leg in self._legs if lacking else ():
            for at in self._instants(leg):
                if assets := lacking.get(history.floor_hour(at)):
                    found[leg[2]].add(assets, leg[1])
        return found

    def _instants(self, leg: Entry) -> list[datetime]:
        """When a leg's prices are asked for: at its own time, or when its units were acquired."""
        told = self._facts.notes.get(leg[8]) if leg[8] else None
        return [leg[1], told.acquired_at] if told and told.acquired_at else [leg[1]]


@dataclass(slots=True)
class _Wait:
    assets: set[UUID] = field(default_factory=set)
    since: datetime | None = None

    def add(self, assets: Collection[UUID], since: datetime | None) -> None:
        self.assets |= set(assets)
        if since is not None:
            self.since = since if self.since is None else min(self.since, since)


def _needed(events: Iterable[Event]) -> Decimal | None:
    """How many units leave; None when lots move, which may be any."""
    units = Decimal(0)
    for event in events:
        if isinstance(event, Move):
            return None
        if isinstance(event, Disposition):
            units += event.quantity
    return units


def _by_hour(wants: Iterable[history.Want]) -> dict[datetime, set[UUID]]:
    found: dict[datetime, set[UUID]] = {}
    for want in wants:
        hour = history.floor_hour(want.since)
        while hour < want.until:
            found.setdefault(hour, set()).add(want.asset_id)
            hour += _HOUR
    return found


# --- prices -------------------------------------------------------------------------------------
def _booked(
    user_id: UUID, rules: Rules, read: Ledger, facts: FactBook, cash: "_Cash"
) -> tuple[PriceBook | None, Booking]:
    """Legs as events. Booked once to learn which prices are asked for, then with those.

    Whoever trades in their own currency alone asks for none, and the first time is enough.
    """
    asked = _Asked()
    booked = _book(read, facts, asked, rules, cash)
    if not asked.instants:
        return None, booked
    instants = [at for _, at in asked.instants]
    prices = pricebook.load(
        user_id=user_id, currency=rules.currency, instants=asked.instants,
        asset_ids={asset_id for asset_id, _ in asked.instants},
        since=min(instants), until=max(instants),
    )  # fmt: skip
    return prices, _book(read, facts, _Prices(prices), rules, cash)


def _book(
    read: Ledger, facts: FactBook, prices: booking.Prices, rules: Rules, cash: "_Cash"
) -> Booking:
    return booking.events(
        read.legs, moneys=read.moneys, facts=facts, prices=prices, base_asset_id=cash.base,
        currency=rules.currency, fiat=cash.fiat,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cash:
    """What has no lots. Ids are bytes, as everywhere between reading and writing."""

    base: Any
    fiat: frozenset[Any]


def _cash(currency: str) -> _Cash:
    rows = Asset.objects.filter(Q(is_fiat=True) | Q(slug=currency.lower()))
    by_slug = {slug: key.bytes for key, slug in rows.values_list("id", "slug")}
    # Of a currency that nobody has seen yet nothing can be an entry.
    return _Cash(by_slug.get(currency.lower(), bytes(16)), frozenset(by_slug.values()))


class _Asked:
    """Knows no price and remembers what it was asked for, by the hour."""

    def __init__(self) -> None:
        self._hours: set[tuple[Any, datetime]] = set()

    def at(self, asset_id: Any, instant: datetime) -> None:
        self._hours.add((asset_id, history.floor_hour(instant)))

    @property
    def instants(self) -> list[tuple[UUID, datetime]]:
        return [(UUID(bytes=key), hour) for key, hour in self._hours]


class _Prices:
    """A price book that is asked with bytes."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._ids: dict[Any, UUID] = {}

    def at(self, asset_id: Any, instant: datetime) -> Quote | None:
        known = self._ids.get(asset_id)
        if known is None:
            known = self._ids[asset_id] = UUID(bytes=asset_id)
        return self._book.at(known, instant)
