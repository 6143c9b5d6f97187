"""Files of entries in, and our own format out."""

import hashlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import IdempotentPostMixin
from portfolios import filters
from portfolios.by_hand import ledger_export
from portfolios.importing import imports
from portfolios.serializers.imports import (
    ImportChangeSerializer,
    ImportSerializer,
    ImportSummarySerializer,
    NewImportSerializer,
)
from portfolios.views.entries import valid
from tracker import clock
from tracker.api import BodyTooLarge, ConditionalMixin, StrictJSONParser
from tracker.schema import results_of

_FRAME = 64 * 1024  # what a form has besides its file


class _InMemory(FileUploadHandler):
    """Takes a file into memory alone: a temporary file would lie on the disk in the clear."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._parts: list[bytes] = []
        self._size = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._size += len(raw_data)
        if self._size > settings.IMPORT_MAX_BYTES:
            raise BodyTooLarge
        self._parts.append(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        return InMemoryUploadedFile(
            BytesIO(b"".join(self._parts)), self.field_name, self.file_name or "",
            self.content_type, file_size, self.charset,
        )  # fmt: skip


class FormParser(MultiPartParser):
    """A form with one file, of bounded size, that never touches the disk."""

    def parse(
        self, stream: Any, media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        request = (parser_context or {})["request"]._request
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.IMPORT_MAX_BYTES + _FRAME:
            raise BodyTooLarge
        request.upload_handlers = [_InMemory(request)]
        return super().parse(stream, media_type, parser_context)


class ImportsView(IdempotentPostMixin, ConditionalMixin, APIView):
    parser_classes = (FormParser, StrictJSONParser)

    @extend_schema(
        operation_id="imports_list", tags=["entries"],
        responses=results_of(ImportSummarySerializer),
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Files that you sent within 90 days, newest first."""
        filters.refuse_unknown(request.query_params)
        return Response({"results": imports.listed(user_id=request.user.id)})

    @extend_schema(
        operation_id="imports_create", tags=["entries"],
        request={"multipart/form-data": NewImportSerializer}, responses={201: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Send a file (as a form). Nothing is booked yet: the answer says what would be."""
        data = valid(NewImportSerializer(data=request.data))
        file, connection_id = data.pop("file"), data.pop("connection")
        content = file.read()

        def keep() -> Response:
            shown = imports.upload(
                user_id=request.user.id, connection_id=connection_id, file_name=file.name,
                content=content, now=clock.now(), **data,
            )  # fmt: skip
            return Response(shown, status=201)

        digest = hashlib.sha256(content).hexdigest()
        told = data | {"file": digest, "name": file.name, "connection": connection_id}
        return self.once(request, keep, body=told)


class ImportView(ConditionalMixin, APIView):
    @extend_schema(operation_id="imports_read", tags=["entries"], responses=ImportSerializer)
    def get(self, request: Any, pk: UUID) -> Response:
        """One file: what would be booked of it, or what was."""
        filters.refuse_unknown(request.query_params)
        return Response(imports.detail(user_id=request.user.id, import_id=pk, now=clock.now()))

    @extend_schema(
        operation_id="imports_update", tags=["entries"], request=ImportChangeSerializer,
        responses=ImportSerializer,
    )  # fmt: skip
    def patch(self, request: Any, pk: UUID) -> Response:
        """Say what the columns are, or which format or time zone; the answer says what would be
        booked now."""
        data = valid(ImportChangeSerializer(data=request.data))
        return Response(
            imports.remap(user_id=request.user.id, import_id=pk, now=clock.now(), **data)
        )

    @extend_schema(
        operation_id="imports_delete", tags=["entries"],
        responses={204: OpenApiResponse(description="Forgotten; what was booked stays.")},
    )  # fmt: skip
    def delete(self, request: Any, pk: UUID) -> Response:
        """Forget a file. Entries that were booked from it stay."""
        imports.remove(user_id=request.user.id, import_id=pk)
        return Response(status=204)


class ImportApplyView(ConditionalMixin, APIView):
    @extend_schema(
        operation_id="imports_apply", tags=["entries"], request=None,
        responses={202: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Any, pk: UUID) -> Response:
        """Book a file, in the background; asked twice it is booked once."""
        return Response(imports.confirm(user_id=request.user.id, import_id=pk), status=202)


class LedgerExportView(APIView):
    api_key_scopes = {"GET": "read_trades"}

    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        """Who accepts CSV and nothing else still gets errors as JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        operation_id="ledger_export", tags=["entries"],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )  # fmt: skip
    def get(self, request: Any) -> StreamingHttpResponse:
        """All entries as CSV, oldest first, in the format that POST /imports reads back."""
        filters.refuse_unknown(request.query_params)
        return StreamingHttpResponse(
            ledger_export.lines(user_id=request.user.id), content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": 'attachment; filename="entries.csv"',
                "Cache-Control": "no-store, private",
            },
        )  # fmt: skip
