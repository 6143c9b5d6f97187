from django.urls import include, path
from rest_framework.routers import SimpleRouter

from exchanges import views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("connections", views.ConnectionViewSet, basename="connection")

urlpatterns = [
    path("exchanges", views.ExchangeView.as_view()),
    path("prices", views.PriceView.as_view()),
    path("prices/<uuid:asset>/candles", views.CandleView.as_view()),
    path("", include(router.urls)),
]
