"""Reading lots and gains: as derivation stored them, in the person's base currency.

Years are the person's own (their time zone). Income is what rewards, interest and airdrops were
worth when they came in; it stands beside gains and is no part of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import (
    Count,
    DateTimeField,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce

from accounts.models import User
from exchanges.models import Asset
from portfolios.cost import basis, lot_tables, tallies, years
from portfolios.cost.lots import Method
from portfolios.cost.tallies import Group, Tally
from portfolios.ledger import books
from portfolios.models import (
    Basis,
    Disposal,
    DisposalKind,
    Income,
    LedgerEntry,
    Lot,
    TransferNote,
)
from tracker import tenancy
from tracker.errors import DomainError
from tracker.money import UnitsField

# How many ledger entries are counted by another method while somebody waits.
MOST_COMPARED = 100_000
_COMPUTED = (Lot._meta.db_table, Disposal._meta.db_table, Income._meta.db_table)
# Of these a gain is computed, of gifts and donations at what they were worth then; of withdrawals
# and corrections none is.
REALIZING = (
    DisposalKind.SALE, DisposalKind.FEE, DisposalKind.PAYMENT, DisposalKind.LOST,
    DisposalKind.GIFT, DisposalKind.DONATION,
)  # fmt: skip
_REALIZING = Q(kind__in=REALIZING)
_COUNTED = Q(gain__isnull=False)
_UNKNOWN_BASIS = _REALIZING & Q(basis=Basis.UNKNOWN)
_UNPRICED = _REALIZING & Q(proceeds=None)

# What ``standing`` says.
STANDING = (
    "status", "currency", "method", "scope", "long_term_days", "time_zone", "derived_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extent:
    """What totals are of: everything, or one year, asset or connection."""

    year: int | None = None
    asset_id: UUID | None = None
    connection_id: UUID | None = None

    def narrow(self, rows: QuerySet[Any], *, at: str, zone: str) -> QuerySet[Any]:
        """Rows within; ``at`` names their instant."""
        if self.year is not None:
            since, until = years.bounds(self.year, zone)
            rows = rows.filter(**{f"{at}__gte": since, f"{at}__lt": until})
        if self.asset_id is not None:
            rows = rows.filter(asset_id=self.asset_id)
        if self.connection_id is not None:
            rows = rows.filter(connection_id=self.connection_id)
        return rows


class TooManyToCompare(DomainError):
    code = "too_many_entries_to_compare"
    status = 409
    message = (
        "Your history is too long to be counted by another method on the spot. "
        "Please change the method in your settings instead."
    )


@contextmanager
def counted_by(*, user: User, method: str | None) -> Iterator[str]:
    """Act for a person whose gains are counted by some method; gives the method in force.

    Without one, or with the person's own, the stored rows are read. For another one the lots are
    computed on the spot into temporary tables of the same names, which PostgreSQL finds first:
    whatever reads lots and gains inside reads those, and the stored rows stay as they are. Raises
    TooManyToCompare.
    """
    with tenancy.as_user(user.id):
        if method in (None, "", user.cost_basis_method):
            yield user.cost_basis_method
            return
        _check_length(user.id)
        computed = basis.compute(user_id=user.id, method=Method(method))
        with _set_aside(_COMPUTED):
            lot_tables.write(
                user_id=user.id, rows=computed.rows, long_term_days=user.long_term_days
            )
            yield str(method)


def _check_length(user_id: UUID) -> None:
    entries = LedgerEntry.objects.filter(user_id=user_id)[: MOST_COMPARED + 1].count()
    if entries > MOST_COMPARED:
        raise TooManyToCompare(details={"most": MOST_COMPARED})


@contextmanager
def _set_aside(tables: Sequence[str]) -> Iterator[None]:
    """Have empty tables in front of some; after an error the transaction's end removes them."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"CREATE TEMPORARY TABLE {table} (LIKE {table}) ON COMMIT DROP")
    yield
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DROP TABLE pg_temp.{table}")


def lots_of(user_id: UUID) -> QuerySet[Any]:
    """Acquisitions and what is left of each."""
    return Lot.objects.filter(user_id=user_id).values(
        "id", "asset", "connection", "entry", "kind", "position", "acquired_at", "quantity",
        "cost", "remaining", "remaining_cost", "basis", code=F("asset__code"),
        source=F("price_source"),
    )  # fmt: skip


def disposals_of(user_id: UUID) -> QuerySet[Any]:
    """Pieces of lots given up, each with the lot it came from."""
    return Disposal.objects.filter(user_id=user_id).values(
        "id", "asset", "connection", "entry", "lot", "kind", "position", "disposed_at",
        "acquired_at", "quantity", "cost", "proceeds", "gain", "held_days", "term", "basis",
        code=F("asset__code"), source=F("price_source"),
    )  # fmt: skip


def standing(*, user: User, method: str | None = None) -> dict[str, Any]:
    """By which rules the rows were computed, and how up to date they are. Inside ``as_user``."""
    fresh = books.freshness(user_id=user.id)
    return {
        "status": "updating" if fresh.updating else "complete",
        "currency": user.base_currency,
        "method": method or user.cost_basis_method,
        "scope": user.cost_basis_scope,
        "long_term_days": user.long_term_days,
        "time_zone": user.time_zone,
        "derived_at": fresh.derived_at,
    }


def overview(*, user: User, extent: Extent, method: str, now: datetime) -> dict[str, Any]:
    """Totals by year, asset, term and kind, with what each leaves out. Call inside ``as_user``."""
    groups = [*_disposed(user, extent, now), *_unexplained(user, extent, now)]
    incomes = _received(user, extent, now)
    everything = [*groups, *incomes]
    whole = tallies.total(everything)
    told = standing(user=user, method=method)
    if told["status"] == "complete":
        told["status"] = whole.status
    return told | {
        "year": extent.year,
        "totals": whole.told(),
        "by_year": _named("year", tallies.rolled_up(everything, lambda group: group.year)),
        "by_asset": _by_asset(everything),
        "by_term": _named("term", tallies.rolled_up(groups, lambda group: group.term)),
        "by_kind": _named("kind", tallies.rolled_up(groups, lambda group: group.kind)),
        "income_by_kind": _income_by_kind(incomes),
    }


def _named(name: str, sums: Mapping[Any, Tally]) -> list[dict[str, Any]]:
    return [{name: key, **sums[key].told()} for key in sorted(sums)]


def _by_asset(groups: Iterable[Group]) -> list[dict[str, Any]]:
    sums = tallies.rolled_up(groups, lambda group: group.asset_id)
    codes = dict(Asset.objects.filter(id__in=sums).values_list("id", "code"))
    rows = [{"asset": key, "code": codes.get(key, ""), **sums[key].told()} for key in sums]
    return sorted(rows, key=lambda row: (row["code"], str(row["asset"])))


def _income_by_kind(incomes: Iterable[Group]) -> list[dict[str, Any]]:
    sums = tallies.rolled_up(incomes, lambda group: group.kind)
    return [
        {"kind": kind, "income": sums[kind].income, "unpriced_income": sums[kind].unpriced_income}
        for kind in sorted(sums)
    ]


# --- grouped in the database, added up here -----------------------------------------------------
def _disposed(user: User, extent: Extent, now: datetime) -> list[Group]:
    rows = extent.narrow(
        Disposal.objects.filter(user_id=user.id), at="disposed_at", zone=user.time_zone
    )
    found = (
        rows.order_by()
        .values("asset_id", "term", "kind", year=_year("disposed_at", user.time_zone, now))
        .annotate(
            pieces=Count("*"),
            sum_proceeds=_sum("proceeds", _COUNTED),
            sum_cost=_sum("cost", _COUNTED),
            sum_gain=_sum("gain", _COUNTED),
            unknown=Count("id", filter=_UNKNOWN_BASIS),
            unknown_proceeds=_sum("proceeds", _UNKNOWN_BASIS),
            without_price=Count("id", filter=_UNPRICED),
            not_sold=Count("id", filter=~_REALIZING & ~_COUNTED),
            not_sold_cost=_sum("cost", ~_REALIZING & ~_COUNTED),
        )
    )
    return [_disposed_group(row) for row in found]


def _disposed_group(row: Mapping[str, Any]) -> Group:
    tally = Tally(
        pieces=row["pieces"], proceeds=row["sum_proceeds"], cost=row["sum_cost"],
        gain=row["sum_gain"], unknown_basis=row["unknown"],
        unknown_basis_proceeds=row["unknown_proceeds"], unpriced=row["without_price"],
        without_gain=row["not_sold"], without_gain_cost=row["not_sold_cost"],
    )  # fmt: skip
    return Group(row["year"], row["asset_id"], row["term"], row["kind"], tally)


def _unexplained(user: User, extent: Extent, now: datetime) -> list[Group]:
    """Withdrawals that are neither paired nor explained: they may have been sales."""
    notes = TransferNote.objects.filter(user_id=user.id, transfer_id=OuterRef("entry__transfer_id"))
    withdrawn = Disposal.objects.filter(
        ~Exists(notes), user_id=user.id, kind=DisposalKind.WITHDRAWAL
    )
    found = (
        extent.narrow(withdrawn, at="disposed_at", zone=user.time_zone)
        .order_by()
        .values("asset_id", "term", "kind", year=_year("disposed_at", user.time_zone, now))
        .annotate(entries=Count("entry_id", distinct=True))
    )
    return [
        Group(
            row["year"], row["asset_id"], row["term"], row["kind"],
            Tally(unexplained_withdrawals=row["entries"]),
        )
        for row in found
    ]  # fmt: skip


def _received(user: User, extent: Extent, now: datetime) -> list[Group]:
    rows = extent.narrow(
        Income.objects.filter(user_id=user.id), at="received_at", zone=user.time_zone
    )
    found = (
        rows.order_by()
        .values("asset_id", "kind", year=_year("received_at", user.time_zone, now))
        .annotate(income=_sum("value", Q()), unpriced=Count("id", filter=Q(value=None)))
    )
    return [
        Group(
            row["year"], row["asset_id"], None, row["kind"],
            Tally(income=row["income"], unpriced_income=row["unpriced"]),
        )
        for row in found
    ]  # fmt: skip


def _sum(column: str, which: Q) -> Coalesce:
    return Coalesce(Sum(column, filter=which), Value(tallies.ZERO), output_field=UnitsField())


def _year(column: str, zone: str, now: datetime) -> Any:
    """The person's own year of an instant: how many of their new years lie before it.

    Python's list of new years instead of PostgreSQL's ``AT TIME ZONE``, so that totals and the
    ``year`` filter cannot disagree where the two know different time zones.
    """
    newest = max(now.year + 1, years.FIRST)
    new_years = years.starts(zone, first=years.FIRST + 1, last=newest)
    return Func(
        F(column), Value(new_years, output_field=ArrayField(DateTimeField())),
        function="width_bucket", output_field=IntegerField(),
    ) + Value(years.FIRST)  # fmt: skip
