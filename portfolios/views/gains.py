"""Lots, gains, their explanation and their reports."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from django_filters.rest_framework import DjangoFilterBackend
from django_filters.utils import translate_validation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import CostBasisMethod
from portfolios import filters
from portfolios.cost import explanations, gains
from portfolios.cost.gains import Extent
from portfolios.models import Disposal
from portfolios.reports import making, pdf_file, xlsx_file
from portfolios.serializers.gains import ExplanationSerializer, GainsSerializer, LotsSerializer
from portfolios.sync import completeness
from portfolios.views.lists import OwnedList
from tracker import clock, tenancy
from tracker.api import TimeCursorPagination


class _ManyAtOnce(TimeCursorPagination):
    """One sale may give up thousands of lots at one instant: no end to pages within it."""

    offset_cutoff = None  # type: ignore[assignment]  # DRF's own takes None for no end
    ordering: Any = TimeCursorPagination.ordering


class _LotPagination(_ManyAtOnce):
    ordering = ("-acquired_at", "-position", "-id")


class _DisposalPagination(_ManyAtOnce):
    ordering = ("-disposed_at", "-position", "-id")


class _EntryPagination(_ManyAtOnce):
    page_size, max_page_size = 50, 200


class LotView(OwnedList):
    serializer_class = LotsSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filterset_class = filters.LotFilter
    pagination_class = _LotPagination

    def get_queryset(self) -> Any:
        return gains.lots_of(self.owner_id)

    @extend_schema(operation_id="lots_list", tags=["gains"])
    def get(self, request: Any) -> Response:
        """Acquisitions and what is left of each, newest first."""
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
            head = gains.standing(user=request.user)
        return _headed(head, self.get_paginated_response(page))


class GainView(OwnedList):
    serializer_class = GainsSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filterset_class = filters.GainFilter
    pagination_class = _DisposalPagination

    def get_queryset(self) -> Any:
        return gains.disposals_of(self.owner_id)

    @extend_schema(operation_id="gains_list", tags=["gains"])
    def get(self, request: Any) -> Response:
        """Gains with totals by year, asset, term and kind, and their pieces, newest first."""
        asked = _asked(request, self)
        with gains.counted_by(user=request.user, method=asked["method"]) as method:
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
            head = gains.overview(
                user=request.user, extent=_extent(asked), method=method, now=clock.now()
            )
            head["coverage"] = completeness.of_person(user_id=request.user.id)
        return _headed(head, self.get_paginated_response(page))


class GainReportView(APIView):
    api_key_scopes = {"GET": "read_portfolio"}

    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        """Who accepts a spreadsheet and nothing else still gets errors as JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        operation_id="gains_report", tags=["gains"],
        parameters=[
            OpenApiParameter("format", str, enum=list(making.Format), required=True),
            OpenApiParameter("form", str, enum=list(making.Form), default=making.Form.FORM_8949),
            OpenApiParameter("year", int, description="In your time zone; 8949 needs it."),
            OpenApiParameter("asset", OpenApiTypes.UUID),
            OpenApiParameter("connection", OpenApiTypes.UUID),
            OpenApiParameter("method", str, enum=CostBasisMethod.values),
        ],
        responses={
            (200, kind): OpenApiTypes.BINARY
            for kind in ("text/csv", xlsx_file.CONTENT_TYPE, pdf_file.CONTENT_TYPE)
        },
    )  # fmt: skip
    def get(self, request: Any) -> FileResponse:
        """Gains of a year as a file: the columns of Form 8949, or all there are."""
        asked = _valid(filters.ReportFilter(request.query_params, Disposal.objects.none()))
        found = making.make(
            user=request.user, extent=_extent(asked), method=asked["method"],
            form=making.Form(asked["form"] or making.Form.FORM_8949),
            file_format=making.Format(asked["format"]), now=clock.now(),
        )  # fmt: skip
        return FileResponse(
            found.content, as_attachment=True, filename=found.file_name,
            content_type=found.content_type, headers={"Cache-Control": "no-store, private"},
        )  # fmt: skip


class ExplainView(OwnedList):
    serializer_class = ExplanationSerializer
    api_key_scopes = {"GET": "read_portfolio"}
    filterset_class = filters.EntryPageFilter
    pagination_class = _EntryPagination

    def get_queryset(self) -> Any:
        return explanations.entries_of(self.owner_id, self.kwargs.get("asset", UUID(int=0)))

    @extend_schema(operation_id="explain_read", tags=["gains"])
    def get(self, request: Any, asset: UUID) -> Response:  # type: ignore[override]
        """Why an asset's gain is what it is: entries, lots, prices and gains, newest first."""
        user = request.user
        with tenancy.as_user(user.id):
            head = explanations.summary(user=user, asset_id=asset, now=clock.now())
            entries = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
            page = explanations.chain(user_id=user.id, asset_id=asset, entries=entries or [])
        return _headed(head, self.get_paginated_response(page))


def _asked(request: Any, view: OwnedList) -> dict[str, Any]:
    """Query parameters as values. Raises as the filter itself would."""
    return _valid(DjangoFilterBackend().get_filterset(request, view.get_queryset(), view))


def _valid(filterset: filters.StrictFilterSet) -> dict[str, Any]:
    if not filterset.is_valid():
        raise translate_validation(filterset.errors)
    return filterset.form.cleaned_data


def _extent(asked: dict[str, Any]) -> Extent:
    return Extent(year=asked["year"], asset_id=asked["asset"], connection_id=asked["connection"])


def _headed(head: dict[str, Any], answer: Response) -> Response:
    """The page after what is said of all of it."""
    answer.data = {**head, **answer.data}
    return answer
