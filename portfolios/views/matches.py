"""Pairs of transfers, and what transfers without a counterpart were."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from portfolios import filters
from portfolios.serializers.reconciliation import (
    MatchSuggestionSerializer,
    NewMatchSerializer,
    TransferMatchSerializer,
    TransferNoteInputSerializer,
    TransferNoteSerializer,
)
from portfolios.transfers import matches
from portfolios.views.lists import OwnedList
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, TimeCursorPagination
from tracker.schema import results_of

_TAGS = ["reconciliation"]


class TransferMatchView(IdempotentPostMixin, OwnedList):
    serializer_class = TransferMatchSerializer
    api_key_scopes = {"GET": "read_trades"}
    filter_backends: Any = ()
    pagination_class = TimeCursorPagination

    def get_queryset(self) -> Any:
        return matches.pairs_of(self.owner_id)

    @extend_schema(operation_id="transfer_matches_list", tags=_TAGS)
    def get(self, request: Any) -> Response:
        """Withdrawals and deposits that are one move between own accounts, newest first."""
        filters.refuse_unknown(request.query_params, known=filters.PAGING)
        return super().get(request)

    @extend_schema(
        operation_id="transfer_matches_create", tags=_TAGS, request=NewMatchSerializer,
        responses={201: TransferMatchSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Say that a withdrawal and a deposit are one move."""
        return self.once(request, lambda: self._pair(request))

    def _pair(self, request: Any) -> Response:
        given = NewMatchSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user_id = request.user.id
        with tenancy.as_user(user_id):
            match_id = matches.pair(
                user_id=user_id, withdrawal_id=given.validated_data["withdrawal"],
                deposit_id=given.validated_data["deposit"], now=clock.now(),
            )  # fmt: skip
            row = matches.pairs_of(user_id).get(id=match_id)
        return Response(row, status=201)


class MatchSuggestionView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_trades"}

    @extend_schema(
        operation_id="transfer_matches_suggestions", tags=_TAGS,
        responses=results_of(MatchSuggestionSerializer),
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Pairs that are possible and not certain enough to be made without asking."""
        filters.refuse_unknown(request.query_params)
        with tenancy.as_user(request.user.id):
            found = matches.suggestions(user_id=request.user.id)
        return Response({"results": found})


class TransferMatchConfirmView(IdempotentPostMixin, APIView):
    @extend_schema(
        operation_id="transfer_matches_confirm", tags=_TAGS, request=None,
        responses=TransferMatchSerializer,
    )  # fmt: skip
    def post(self, request: Any, pk: UUID) -> Response:
        """Agree with a pair that was found."""
        return self.once(request, lambda: self._confirm(request, pk))

    def _confirm(self, request: Any, pk: UUID) -> Response:
        user_id = request.user.id
        with tenancy.as_user(user_id):
            matches.confirm(user_id=user_id, match_id=pk, now=clock.now())
            row = matches.pairs_of(user_id).get(id=pk)
        return Response(row)


class TransferMatchItemView(APIView):
    @extend_schema(operation_id="transfer_matches_delete", tags=_TAGS, responses={204: None})
    def delete(self, request: Any, pk: UUID) -> Response:
        """Take a pair apart, for good."""
        with tenancy.as_user(request.user.id):
            matches.unpair(user_id=request.user.id, match_id=pk, now=clock.now())
        return Response(status=204)


class TransferNoteView(APIView):
    @extend_schema(
        operation_id="transfers_note", tags=_TAGS, request=TransferNoteInputSerializer,
        responses=TransferNoteSerializer,
    )  # fmt: skip
    def put(self, request: Any, pk: UUID) -> Response:
        """Say what a transfer was, instead of what was said before."""
        given = TransferNoteInputSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with tenancy.as_user(request.user.id):
            row = matches.note(
                user_id=request.user.id, transfer_id=pk, given=given.validated_data,
                now=clock.now(),
            )  # fmt: skip
        return Response(row)

    @extend_schema(operation_id="transfers_note_delete", tags=_TAGS, responses={204: None})
    def delete(self, request: Any, pk: UUID) -> Response:
        """Take back what was said about a transfer."""
        with tenancy.as_user(request.user.id):
            matches.forget_note(user_id=request.user.id, transfer_id=pk, now=clock.now())
        return Response(status=204)
