"""The project's addresses, and what the home screen is compared with."""

from django.urls import path
from rest_framework import generics, serializers

from portfolios.models import Holding
from tracker import tenancy
from tracker.urls import handler400, handler403, handler404, handler500  # noqa: F401
from tracker.urls import urlpatterns as project


class _HoldingRow(serializers.ModelSerializer):
    """Eleven fields of a holding, as stock Django REST Framework would serialize them."""

    code = serializers.CharField(source="asset.code")
    usd = serializers.DecimalField(60, 30, source="asset.price.usd")
    source = serializers.CharField(source="asset.price.source")
    as_of = serializers.DateTimeField(source="asset.price.as_of")

    class Meta:
        model = Holding
        fields = [
            "id", "connection", "wallet", "asset", "quantity", "changed_at",
            "last_confirmed_at", "code", "usd", "source", "as_of",
        ]  # fmt: skip


class StockList(generics.ListAPIView):
    """The same rows through a stock ModelSerializer, with the same authentication."""

    serializer_class = _HoldingRow
    pagination_class = None
    filter_backends = ()
    throttle_classes = ()

    def get(self, request, *args, **kwargs):
        with tenancy.as_user(request.user.id):
            return super().get(request, *args, **kwargs)

    def get_queryset(self):
        return Holding.objects.filter(user_id=self.request.user.id).select_related("asset__price")


urlpatterns = [*project, path("reference/holdings", StockList.as_view())]
