"""What lists can be narrowed by. Unknown parameters are refused, so that a typing error does not
silently show everything."""

from typing import Any

import django_filters

from portfolios.models import EntryKind, Trade, Transfer
from tracker.api import InvalidInput

_PAGING = {"cursor", "page_size", "format"}


class StrictFilterSet(django_filters.FilterSet):
    """Refuses parameters that it does not know, and values that it cannot read."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        for name in sorted(set(data or ()) - set(self.filters) - _PAGING):
            raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")


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
