"""All addresses. API paths have no trailing slash."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts import bounces
from audit import views_security
from billing import views as billing
from portfolios.live import pages
from portfolios.views import exports
from tracker import described
from tracker.monitoring import desk as _desk  # noqa: F401  (brings the queues to the admin)
from tracker.monitoring import metrics
from tracker.monitoring import pages as monitoring_pages

urlpatterns = [
    # /healthz and /readyz: tracker.health.ProbeMiddleware.
    path("metrics", metrics.metrics),
    path("status", monitoring_pages.status, name="status"),
    path("status.json", monitoring_pages.status_json),
    path("", include("accounts.pages_urls")),
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("audit.urls")),
    path("api/v1/", include("billing.urls")),
    path("api/v1/", include("portfolios.urls")),
    path("api/v1/", include("exchanges.urls")),
    path("api/webhook/security", views_security.security_webhook),
    path("api/webhook/stripe", billing.stripe_webhook),
    *bounces.urls(provider=settings.EMAIL_PROVIDER, secret=settings.EMAIL_WEBHOOK_SECRET),
    path("billing/done", billing.done),
    path("api/schema", described.SchemaView.as_view(), name="schema"),
    path("api/docs", described.DocsView.as_view(), name="docs"),
    path("api/live-schema", pages.description),
    path("live", pages.sample),
    path("files", exports.fetch_file),
    path(settings.ADMIN_PATH, RedirectView.as_view(pattern_name="admin:index")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
    path("", described.front),
]
handler400 = "tracker.api.bad_request"
handler403 = "tracker.api.forbidden"
handler404 = "tracker.api.not_found"
handler500 = "tracker.api.server_error"
