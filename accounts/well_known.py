"""The files by which phones believe that an app belongs to our domain, so that it may use passkeys.

Read by Apple's and Google's servers and by the phones themselves; without apps in the settings
there are none.
"""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

_ANDROID = [
    "delegate_permission/common.handle_all_urls",
    "delegate_permission/common.get_login_creds",
]


@require_safe
def apple(request: HttpRequest) -> JsonResponse:
    """``apple-app-site-association``."""
    if not settings.APPLE_APP_IDS:
        raise Http404
    return JsonResponse({"webcredentials": {"apps": settings.APPLE_APP_IDS}})


@require_safe
def android(request: HttpRequest) -> JsonResponse:
    """``assetlinks.json``."""
    if not settings.ANDROID_APPS:
        raise Http404
    return JsonResponse(
        [_statement(package, prints) for package, prints in settings.ANDROID_APPS.items()],
        safe=False,
    )


def _statement(package: str, prints: list[str]) -> dict[str, Any]:
    target = {
        "namespace": "android_app",
        "package_name": package,
        "sha256_cert_fingerprints": prints,
    }
    return {"relation": _ANDROID, "target": target}
