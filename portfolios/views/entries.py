"""Accounts and entries by hand."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from billing import entitlements
from exchanges.serializers import ConnectionSerializer
from portfolios import filters
from portfolios.by_hand import entries
from portfolios.by_hand.entries import Place
from portfolios.ledger import accounts_by_hand
from portfolios.serializers.entries import (
    EntrySerializer,
    NewAdjustmentEntrySerializer,
    NewManualAccountSerializer,
    NewRewardEntrySerializer,
    NewTradeEntrySerializer,
    NewTransferEntrySerializer,
)
from portfolios.views.lists import OwnedList
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, TimeCursorPagination
from tracker.schema import results_of


def valid(serializer: Any) -> dict[str, Any]:
    """What a serializer read. Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _shown(request: Any, found: Any, *, many: bool = False) -> Any:
    context = {"granted": entitlements.for_user(request.user)}
    return ConnectionSerializer(found, many=many, context=context).data


class ManualAccountView(IdempotentPostMixin, ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="manual_accounts_list", tags=["entries"],
        responses=results_of(ConnectionSerializer),
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """The accounts that you keep by hand."""
        filters.refuse_unknown(request.query_params)
        rows = accounts_by_hand.listed(user_id=request.user.id)
        return Response({"results": _shown(request, rows, many=True)})

    @extend_schema(
        operation_id="manual_accounts_create", tags=["entries"],
        request=NewManualAccountSerializer, responses={201: ConnectionSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Make an account for entries by hand and from files."""
        data = valid(NewManualAccountSerializer(data=request.data))

        def make() -> Response:
            made = accounts_by_hand.open_account(
                user_id=request.user.id, label=data["label"], now=clock.now()
            )
            return Response(_shown(request, made), status=201)

        return self.once(request, make)


class _EntryPagination(TimeCursorPagination):
    """A file may hold thousands of entries of one second: no end to pages within it."""

    offset_cutoff = None  # type: ignore[assignment]  # DRF's own takes None for no end


class EntryView(OwnedList):
    serializer_class = EntrySerializer
    api_key_scopes = {"GET": "read_trades"}
    filterset_class = filters.EntryFilter
    pagination_class = _EntryPagination

    def get_queryset(self) -> Any:
        return entries.made_by(self.owner_id)

    @extend_schema(operation_id="entries_list", tags=["entries"])
    def get(self, request: Any) -> Response:
        """What you entered by hand or imported, newest first."""
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
            found = [row["entry"] for row in page]
            rows = entries.shown(user_id=request.user.id, entry_ids=found)
        return self.get_paginated_response(rows)


class EntryDetailView(APIView):
    @extend_schema(
        operation_id="entries_delete", tags=["entries"],
        responses={204: OpenApiResponse(description="Gone from the books.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Remove an entry that you made or imported; never what an exchange reported."""
        entries.remove(user_id=request.user.id, entry_id=pk, now=clock.now())
        return Response(status=204)


class _NewEntryView(IdempotentPostMixin, ConditionalMixin, APIView):
    def _add(self, request: Any, serializer: Any, add: Callable[..., dict[str, Any]]) -> Response:
        data = valid(serializer(data=request.data))
        place = Place(data.pop("connection"), data.pop("wallet"), data.pop("occurred_at"))
        user_id = request.user.id
        return self.once(
            request,
            lambda: Response(
                add(user_id=user_id, place=place, now=clock.now(), **data), status=201
            ),
        )


class TradeEntryView(_NewEntryView):
    @extend_schema(
        operation_id="entries_trades_create", tags=["entries"],
        request=NewTradeEntrySerializer, responses={201: EntrySerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Enter a trade."""
        return self._add(request, NewTradeEntrySerializer, entries.add_trade)


class TransferEntryView(_NewEntryView):
    @extend_schema(
        operation_id="entries_transfers_create", tags=["entries"],
        request=NewTransferEntrySerializer, responses={201: EntrySerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Enter a deposit, a withdrawal or a move between wallets."""
        return self._add(request, NewTransferEntrySerializer, entries.add_transfer)


class RewardEntryView(_NewEntryView):
    @extend_schema(
        operation_id="entries_rewards_create", tags=["entries"],
        request=NewRewardEntrySerializer, responses={201: EntrySerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Enter units that came as income."""
        return self._add(request, NewRewardEntrySerializer, entries.add_reward)


class AdjustmentEntryView(_NewEntryView):
    @extend_schema(
        operation_id="entries_adjustments_create", tags=["entries"],
        request=NewAdjustmentEntrySerializer, responses={201: EntrySerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Enter units that came or went without a counterpart."""
        return self._add(request, NewAdjustmentEntrySerializer, entries.add_adjustment)
