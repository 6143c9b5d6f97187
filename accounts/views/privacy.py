"""A person's own data: copies of it, leaving, and what they agreed to."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import consents
from accounts.idempotency import IdempotentPostMixin
from accounts.permissions import FreshlyAuthenticated
from accounts.privacy import closing, export
from accounts.privacy.export import Download
from accounts.serializers.privacy import (
    AgreementSerializer,
    ClosingSerializer,
    DataExportSerializer,
    NothingSerializer,
    StandingSerializer,
)
from accounts.views import auth
from tracker import clock
from tracker.api import ConditionalMixin
from tracker.schema import results_of


class _PrivacyView(IdempotentPostMixin, ConditionalMixin, APIView):
    throttle_classes = ()


def attachment(found: Download) -> FileResponse:
    """A file that browsers save and nobody between us and them keeps."""
    return FileResponse(
        found.content, as_attachment=True, filename=found.file_name,
        content_type="application/zip", headers={"Cache-Control": "no-store, private"},
    )  # fmt: skip


class MeView(auth.MeView):
    """The signed-in person, with the way out."""

    def get_permissions(self) -> list[Any]:
        leaving = self.request.method == "DELETE"
        return [*super().get_permissions(), *([FreshlyAuthenticated()] if leaving else [])]

    @extend_schema(
        operation_id="me_close", tags=["privacy"], request=None,
        responses={202: ClosingSerializer},
    )  # fmt: skip
    def delete(self, request: Any) -> Response:
        """Close the account: everything is deleted in 14 days, unless you sign in before."""
        result = closing.request(
            user_id=request.user.id, ip_address=auth.address_of(request), now=clock.now()
        )
        return Response(ClosingSerializer(result).data, status=202)


class ExportsView(_PrivacyView):
    def get_permissions(self) -> list[Any]:
        asking = self.request.method == "POST"
        return [*super().get_permissions(), *([FreshlyAuthenticated()] if asking else [])]

    @extend_schema(
        operation_id="me_export_list", tags=["privacy"], responses=results_of(DataExportSerializer)
    )
    def get(self, request: Any) -> Response:
        """Copies of your data that you asked for, newest first, with their progress."""
        rows = export.listed(user_id=request.user.id)
        return Response({"results": DataExportSerializer(rows, many=True).data})

    @extend_schema(
        operation_id="me_export_create", tags=["privacy"], request=NothingSerializer,
        responses={202: DataExportSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Ask for a copy of everything; made in the background, and you get an e-mail. While one
        is being made, and for an hour after, asking again gives that one."""
        auth.valid(NothingSerializer(data=request.data))

        def handle() -> Response:
            row = export.request(user_id=request.user.id, now=clock.now())
            return Response(DataExportSerializer(row).data, status=202)

        return self.once(request, handle)


class ExportDownloadView(APIView):
    permission_classes = (IsAuthenticated, FreshlyAuthenticated)
    throttle_classes = ()

    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        """Who accepts a zip and nothing else still gets errors as JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        operation_id="me_export_download", tags=["privacy"],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )  # fmt: skip
    def get(self, request: Any, id: UUID) -> FileResponse:
        """The file of a copy, while it is kept."""
        found = export.fetch(user_id=request.user.id, export_id=id, now=clock.now(), by="api")
        return attachment(found)


class ConsentsView(_PrivacyView):
    @extend_schema(
        operation_id="me_consents_list", tags=["privacy"],
        responses=results_of(StandingSerializer),
    )  # fmt: skip
    def get(self, request: Any) -> Response:
        """Terms and privacy policy: the versions in force and those that you agreed to."""
        return Response({"results": _standing(request)})

    @extend_schema(
        operation_id="me_consents_agree", tags=["privacy"], request=AgreementSerializer,
        responses={201: results_of(StandingSerializer)},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Agree to the versions in force."""
        documents = auth.valid(AgreementSerializer(data=request.data))

        def handle() -> Response:
            consents.agree(
                user_id=request.user.id, documents=documents,
                ip_address=auth.address_of(request), now=clock.now(),
            )  # fmt: skip
            return Response({"results": _standing(request)}, status=201)

        return self.once(request, handle)


def _standing(request: Any) -> Any:
    return StandingSerializer(consents.standing(user_id=request.user.id), many=True).data
