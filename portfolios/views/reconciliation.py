"""Where reports and books differ, what to do about it, and the inbox of problems."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from portfolios import filters
from portfolios.reconciling import discrepancies, problems, remedies
from portfolios.reconciling.remedies import Wish
from portfolios.serializers.reconciliation import (
    DoneSerializer,
    ProblemInboxSerializer,
    ReconciliationSerializer,
    RepairSerializer,
)
from tracker import clock, tenancy
from tracker.api import ConditionalMixin

_TAGS = ["reconciliation"]


class ReconciliationView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(
        operation_id="reconciliation_read", tags=_TAGS, responses=ReconciliationSerializer
    )
    def get(self, request: Any) -> Response:
        """Reported less booked units wherever they differ, with since when and why."""
        filters.refuse_unknown(request.query_params)
        with tenancy.as_user(request.user.id):
            body = discrepancies.overview(user_id=request.user.id)
        return Response(body)


class RepairView(IdempotentPostMixin, APIView):
    @extend_schema(
        operation_id="reconciliation_repair", tags=_TAGS, request=RepairSerializer,
        responses=DoneSerializer,
    )  # fmt: skip
    def post(self, request: Any, pk: UUID) -> Response:
        """Do one thing about a difference: read again, match a transfer, or book it."""
        return self.once(request, lambda: self._repair(request, pk))

    def _repair(self, request: Any, pk: UUID) -> Response:
        given = RepairSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        done = remedies.repair(
            user=request.user, discrepancy_id=pk, wish=Wish(**given.validated_data),
            now=clock.now(),
        )  # fmt: skip
        return Response(asdict(done))


class ProblemView(ConditionalMixin, APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    @extend_schema(operation_id="problems_list", tags=_TAGS, responses=ProblemInboxSerializer)
    def get(self, request: Any) -> Response:
        """Everything that makes a number less than certain, gravest first."""
        filters.refuse_unknown(request.query_params)
        with tenancy.as_user(request.user.id):
            body = problems.inbox(user_id=request.user.id, now=clock.now())
        return Response(body)


class DismissView(IdempotentPostMixin, APIView):
    @extend_schema(operation_id="problems_dismiss", tags=_TAGS, request=None, responses={204: None})
    def post(self, request: Any, pk: UUID) -> Response:
        """Put a problem aside; it still counts in every figure."""
        return self.once(request, lambda: self._dismiss(request, pk))

    def _dismiss(self, request: Any, pk: UUID) -> Response:
        with tenancy.as_user(request.user.id):
            problems.dismiss(user_id=request.user.id, problem_id=pk, now=clock.now())
        return Response(status=204)

    @extend_schema(operation_id="problems_restore", tags=_TAGS, responses={204: None})
    def delete(self, request: Any, pk: UUID) -> Response:
        """Take a problem up again."""
        with tenancy.as_user(request.user.id):
            problems.restore(user_id=request.user.id, problem_id=pk)
        return Response(status=204)
