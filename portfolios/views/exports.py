"""Files of somebody's data, made in the background, and the link by which they are fetched."""

from typing import Any
from uuid import UUID

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import pages
from accounts.idempotency import IdempotentPostMixin
from accounts.permissions import FreshToTakeAway, may_take_away
from portfolios import filters
from portfolios.exporting import asking, links
from portfolios.serializers.exports import FileExportSerializer, NewFileExportSerializer
from portfolios.views.entries import valid
from portfolios.views.lists import PollingIsFree
from tracker import clock, tenancy
from tracker.api import ConditionalMixin, OpaquePagination
from tracker.errors import DomainError


class _NewestFirst(OpaquePagination):
    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"
    ordering = ("-requested_at", "-id")


class FileExportsView(IdempotentPostMixin, ConditionalMixin, PollingIsFree, GenericAPIView):
    serializer_class = FileExportSerializer
    permission_classes = (FreshToTakeAway,)
    api_key_scopes = {"GET": "export", "POST": "export"}
    pagination_class = _NewestFirst
    filter_backends = ()

    @extend_schema(operation_id="exports_list", tags=["exports"])
    def get(self, request: Any) -> Response:
        """Your files, newest first, with how far they are."""
        filters.refuse_unknown(request.query_params, known=filters.PAGING)
        with tenancy.as_user(request.user.id):
            page = self.paginate_queryset(asking.files_of(request.user.id)) or []
        now = clock.now()
        linked = may_take_away(request.auth, now=now)
        return self.get_paginated_response(
            [asking.shown(row, now=now, linked=linked) for row in page]
        )

    @extend_schema(
        operation_id="exports_create", tags=["exports"], request=NewFileExportSerializer,
        responses={202: FileExportSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Have a file made of your data, in the background: one zip with a file for each table."""
        data = valid(NewFileExportSerializer(data=request.data))

        def ask() -> Response:
            shown = asking.request(user_id=request.user.id, now=clock.now(), **data)
            return Response(shown, status=202)

        return self.once(request, ask)


class FileExportView(ConditionalMixin, PollingIsFree):
    api_key_scopes = {"GET": "export", "DELETE": "export"}

    @extend_schema(operation_id="exports_read", tags=["exports"], responses=FileExportSerializer)
    def get(self, request: Any, pk: UUID) -> Response:
        """How far one file is and, when it is ready, its address (who signed in long ago proves
        themselves first)."""
        filters.refuse_unknown(request.query_params)
        now = clock.now()
        shown = asking.detail(
            user_id=request.user.id, export_id=pk, now=now,
            linked=may_take_away(request.auth, now=now),
        )  # fmt: skip
        return Response(shown)

    @extend_schema(
        operation_id="exports_delete", tags=["exports"],
        responses={204: OpenApiResponse(description="Removed; its addresses are void.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Remove a file, or stop making it."""
        asking.remove(user_id=request.user.id, export_id=pk, now=clock.now())
        return Response(status=204)


class FileExportCancelView(ConditionalMixin, APIView):
    api_key_scopes = {"POST": "export"}

    @extend_schema(
        operation_id="exports_cancel", tags=["exports"], request=None,
        responses=FileExportSerializer,
    )  # fmt: skip
    def post(self, request: Any, pk: UUID) -> Response:
        """Stop making a file: at once, or with the rows that are being written. One that is over
        stays as it is."""
        shown = asking.cancel(user_id=request.user.id, export_id=pk, now=clock.now())
        return Response(shown)


@require_GET
def fetch_file(request: HttpRequest) -> HttpResponseBase:
    """``/files``: the file behind a link, without signing in.

    The token stands in the query, which is not logged. Opening it changes nothing.
    """
    response = _fetch(request)
    response["Cache-Control"] = "no-store, private"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _fetch(request: HttpRequest) -> HttpResponseBase:
    try:
        found = links.fetch(token=request.GET.get("token", ""), now=clock.now())
    except DomainError as problem:
        return pages.failed(request, problem)
    return FileResponse(
        found.content, as_attachment=True, filename=found.file_name, content_type="application/zip"
    )
