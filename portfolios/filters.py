"""What lists can be narrowed by. Unknown parameters are refused, so that a typing error does not
silently show everything."""

from collections.abc import Collection, Iterable
from typing import Any

import django_filters
from django import forms

from accounts.models import CostBasisMethod
from portfolios.cost import years
from portfolios.models import (
    AlertKind,
    AlertState,
    BacktestKind,
    BacktestState,
    Basis,
    DisposalKind,
    EntryKind,
    Term,
    Trade,
    Transfer,
)
from portfolios.reports.making import Form, Format
from tracker.api import InvalidInput

PAGING = {"cursor", "page_size", "format"}


def refuse_unknown(query: Iterable[str], *, known: Collection[str] = ()) -> None:
    """For what cannot be narrowed. Raises InvalidInput for any parameter that is not known."""
    for name in sorted(set(query) - set(known)):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")


class StrictFilterSet(django_filters.FilterSet):
    """Refuses parameters that it does not know, and values that it cannot read."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        refuse_unknown(data or (), known={*self.filters, *PAGING})


class _Instant(django_filters.IsoDateTimeFilter):
    def __init__(self, lookup: str) -> None:
        super().__init__(
            field_name="occurred_at", lookup_expr=lookup, label="Instant (RFC 3339, UTC)"
        )


class _Period(StrictFilterSet):
    """``from`` is included, ``to`` is not."""

    connection = django_filters.UUIDFilter(field_name="connection_id", label="Connection id")

    @classmethod
    def get_filters(cls) -> Any:
        # `from` is a keyword, so these two cannot be class attributes
        return super().get_filters() | {"from": _Instant("gte"), "to": _Instant("lt")}


def _choices(values: Any) -> list[tuple[str, str]]:
    return [(str(value), str(value)) for value in values]


class TradeFilter(_Period):
    asset = django_filters.UUIDFilter(method="of_asset", label="Asset id, as base or quote")
    code = django_filters.CharFilter(method="of_code", label="Asset code, as base or quote")
    side = django_filters.ChoiceFilter(choices=_choices(["buy", "sell"]))
    kind = django_filters.ChoiceFilter(choices=Trade._meta.get_field("kind").choices)

    def of_asset(self, queryset: Any, name: str, value: Any) -> Any:
        return queryset.filter(base_asset_id=value) | queryset.filter(quote_asset_id=value)

    def of_code(self, queryset: Any, name: str, value: str) -> Any:
        code = value.upper()
        return queryset.filter(base_asset__code=code) | queryset.filter(quote_asset__code=code)


class TransferFilter(_Period):
    asset = django_filters.UUIDFilter(field_name="asset_id")
    code = django_filters.CharFilter(field_name="asset__code", lookup_expr="iexact")
    direction = django_filters.ChoiceFilter(choices=Transfer._meta.get_field("direction").choices)


class LedgerFilter(_Period):
    asset = django_filters.UUIDFilter(field_name="asset_id")
    code = django_filters.CharFilter(field_name="asset__code", lookup_expr="iexact")
    kind = django_filters.ChoiceFilter(choices=EntryKind.choices)
    wallet = django_filters.ChoiceFilter(
        choices=_choices(["spot", "funding", "earn", "margin", "futures"])
    )


class HoldingFilter(StrictFilterSet):
    connection = django_filters.UUIDFilter(field_name="connection_id")
    asset = django_filters.UUIDFilter(field_name="asset_id")
    code = django_filters.CharFilter(field_name="asset__code", lookup_expr="iexact")
    wallet = django_filters.CharFilter(field_name="wallet")


class _YearFilter(django_filters.Filter):
    """A calendar year in the person's time zone."""

    field_class = forms.IntegerField


class LotFilter(StrictFilterSet):
    asset = django_filters.UUIDFilter(field_name="asset_id", label="Asset id")
    connection = django_filters.UUIDFilter(field_name="connection_id", label="Connection id")
    entry = django_filters.UUIDFilter(field_name="entry_id", label="Ledger entry id")
    basis = django_filters.ChoiceFilter(choices=Basis.choices)
    open = django_filters.BooleanFilter(
        method="with_units_left", label="Only lots with units left, or only those without"
    )

    def with_units_left(self, queryset: Any, name: str, value: bool) -> Any:
        return queryset.filter(remaining__gt=0) if value else queryset.filter(remaining=0)


class GainFilter(StrictFilterSet):
    """``year``, ``asset`` and ``connection`` also say what totals are of; the rest narrows rows."""

    year = _YearFilter(
        method="of_year", label="Calendar year in your time zone",
        min_value=years.FIRST, max_value=years.LAST,
    )  # fmt: skip
    asset = django_filters.UUIDFilter(field_name="asset_id", label="Asset id")
    connection = django_filters.UUIDFilter(field_name="connection_id", label="Connection id")
    method = django_filters.ChoiceFilter(
        choices=CostBasisMethod.choices, method="unchanged",
        label="Another method than your own, to compare",
    )  # fmt: skip
    entry = django_filters.UUIDFilter(field_name="entry_id", label="Ledger entry id")
    lot = django_filters.UUIDFilter(field_name="lot_id", label="Lot id")
    kind = django_filters.ChoiceFilter(choices=DisposalKind.choices)
    term = django_filters.ChoiceFilter(choices=Term.choices)
    basis = django_filters.ChoiceFilter(choices=Basis.choices)

    def of_year(self, queryset: Any, name: str, value: int) -> Any:
        since, until = years.bounds(value, self.request.user.time_zone)
        return queryset.filter(disposed_at__gte=since, disposed_at__lt=until)

    def unchanged(self, queryset: Any, name: str, value: str) -> Any:
        """The method decides which rows there are, not which of them are shown."""
        return queryset


class ReportFilter(GainFilter):
    """What a report is of, and which one; its rows are not narrowed further."""

    form = django_filters.ChoiceFilter(choices=_choices(Form), method="unchanged")
    format = django_filters.ChoiceFilter(
        choices=_choices(Format), method="unchanged", required=True
    )
    entry = lot = kind = term = basis = None


class EntryPageFilter(StrictFilterSet):
    """Nothing but pages."""


class ManualPriceFilter(StrictFilterSet):
    asset = django_filters.UUIDFilter(field_name="asset_id", label="Asset id")
    code = django_filters.CharFilter(field_name="asset__code", label="Asset code")


class AlertFilter(StrictFilterSet):
    asset = django_filters.UUIDFilter(field_name="asset_id", label="Asset id")
    kind = django_filters.ChoiceFilter(choices=AlertKind.choices)
    state = django_filters.ChoiceFilter(choices=AlertState.choices)


class EntryFilter(_Period):
    """What a person entered or imported."""

    asset = django_filters.UUIDFilter(field_name="asset_id", label="Asset id, of the first leg")
    code = django_filters.CharFilter(field_name="asset__code", lookup_expr="iexact")
    kind = django_filters.ChoiceFilter(
        choices=_choices(["trade", "transfer", "reward", "adjustment"]), method="of_kind"
    )

    def of_kind(self, queryset: Any, name: str, value: str) -> Any:
        return queryset.filter(**{f"{value}__isnull": False})


class SignalFilter(StrictFilterSet):
    strategy = django_filters.UUIDFilter(field_name="strategy_id", label="Strategy id")
    asset = django_filters.UUIDFilter(field_name="asset_id", label="Asset id")


class BacktestFilter(StrictFilterSet):
    strategy = django_filters.UUIDFilter(field_name="strategy_id", label="Strategy id")
    state = django_filters.ChoiceFilter(choices=BacktestState.choices)
    kind = django_filters.ChoiceFilter(choices=BacktestKind.choices)
