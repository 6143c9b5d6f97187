"""Strategies: the catalogue, those that a person keeps, what they watch and say."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from billing import entitlements
from portfolios import filters
from portfolios.backtesting import definitions, keeping, telling, watching
from portfolios.serializers.strategies import (
    CatalogueSerializer,
    ChangedStrategySerializer,
    NewStrategySerializer,
    NewWatchSerializer,
    SignalSerializer,
    StrategySerializer,
    WatchSerializer,
)
from portfolios.views.entries import valid
from portfolios.views.lists import OwnedList
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, TimeCursorPagination
from tracker.schema import results_of


class StrategyCatalogueView(ConditionalMixin, APIView):
    @extend_schema(
        operation_id="strategies_catalogue", tags=["strategies"], responses=CatalogueSerializer
    )
    def get(self, request: Any) -> Response:
        """The built-in strategies with the forms of their parameters, and the language of rules."""
        filters.refuse_unknown(request.query_params)
        return Response(definitions.offered(entitlements.for_user(request.user)))


class StrategiesView(IdempotentPostMixin, ConditionalMixin, APIView):
    @extend_schema(
        operation_id="strategies_list", tags=["strategies"],
        responses=results_of(StrategySerializer),
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Your strategies by name."""
        filters.refuse_unknown(request.query_params)
        return Response({"results": telling.strategies(user_id=request.user.id)})

    @extend_schema(
        operation_id="strategies_create", tags=["strategies"], request=NewStrategySerializer,
        responses={201: StrategySerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Keep a strategy: a built-in with parameters, or `custom` with rules of your own."""
        data = valid(NewStrategySerializer(data=request.data))

        def create() -> Response:
            row = keeping.create(user=request.user, now=clock.now(), **data)
            return Response(telling.strategy(row, None), status=201)

        return self.once(request, create)


class StrategyView(ConditionalMixin, APIView):
    @extend_schema(
        operation_id="strategies_read", tags=["strategies"], responses=StrategySerializer
    )
    def get(self, request: Any, pk: UUID) -> Response:
        """One strategy."""
        filters.refuse_unknown(request.query_params)
        with tenancy.as_user(request.user.id):
            row = keeping.find(user_id=request.user.id, strategy_id=pk)
            return Response(telling.strategy_of(user_id=request.user.id, row=row))

    @extend_schema(
        operation_id="strategies_update", tags=["strategies"], request=ChangedStrategySerializer,
        responses=StrategySerializer,
    )  # fmt: skip
    def patch(self, request: Any, pk: UUID) -> Response:
        """Change name, parameters or rules; what is not named stays."""
        changes = valid(ChangedStrategySerializer(data=request.data))
        row = keeping.change(user=request.user, strategy_id=pk, changes=changes, now=clock.now())
        return Response(telling.strategy_of(user_id=request.user.id, row=row))

    @extend_schema(
        operation_id="strategies_delete", tags=["strategies"],
        responses={204: OpenApiResponse(description="Gone; backtests of it stay.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Forget a strategy with its watch and signals. Backtests of it stay."""
        keeping.remove(user_id=request.user.id, strategy_id=pk)
        return Response(status=204)


class StrategyWatchView(APIView):
    @extend_schema(
        operation_id="strategies_watch", tags=["strategies"], request=NewWatchSerializer,
        responses=WatchSerializer,
    )  # fmt: skip
    def put(self, request: Any, pk: UUID) -> Response:
        """Have it say at each new candle what it would do. Nothing is traded: keys only read."""
        data = valid(NewWatchSerializer(data=request.data))
        row = watching.watch(user=request.user, strategy_id=pk, now=clock.now(), **data)
        return Response(telling.watching(row))

    @extend_schema(
        operation_id="strategies_unwatch", tags=["strategies"],
        responses={204: OpenApiResponse(description="It watches no longer.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Have it watch no longer; what it said stays."""
        watching.unwatch(user_id=request.user.id, strategy_id=pk)
        return Response(status=204)


class NewestSignalFirst(TimeCursorPagination):
    ordering = ("-at", "-id")


class StrategySignalView(OwnedList):
    serializer_class = SignalSerializer
    filterset_class = filters.SignalFilter
    pagination_class = NewestSignalFirst

    def get_queryset(self) -> Any:
        return telling.signals(user_id=self.owner_id)

    @extend_schema(operation_id="strategies_signals", tags=["strategies"])
    def get(self, request: Any) -> Response:
        """What watching strategies would have done, newest first."""
        answer = super().get(request)
        answer.data["results"] = [telling.signal(row) for row in answer.data["results"]]
        return answer
