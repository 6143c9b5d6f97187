"""What of this room's settings would fail at the wrong moment, found as a process starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from audit.detectors.thresholds import BadThresholds, Thresholds
from audit.webhooks import signatures
from tracker.checks import TAG


@register(TAG)
def alerts_are_configured_soundly(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Thresholds, secrets and addresses; no secret is repeated."""
    return [Error(text, id=f"audit.E{number:03}") for number, text in enumerate(_problems(), 1)]


def _problems() -> Iterator[str]:
    try:
        Thresholds.of(settings.ALERT_THRESHOLDS)
    except BadThresholds as problem:
        yield f"{problem}."
    if len(settings.SECURITY_WEBHOOK_SECRETS) > 2:
        yield "SECURITY_WEBHOOK_SECRETS holds more than two secrets."
    for secret in settings.SECURITY_WEBHOOK_SECRETS:
        yield from _secret(secret, "SECURITY_WEBHOOK_SECRETS")
    for name, endpoint in settings.ALERT_WEBHOOKS.items():
        yield from _endpoint(name, endpoint)
    if settings.GEOIP_PATH and not Path(settings.GEOIP_PATH).is_file():
        yield "GEOIP_PATH names no file."


def _secret(secret: Any, where: str) -> Iterator[str]:
    try:
        signatures.key_of(str(secret))
    except signatures.BadSecret as problem:
        yield f"{where} holds something that is no secret: {problem}."


def _endpoint(name: str, endpoint: Any) -> Iterator[str]:
    where = f"ALERT_WEBHOOKS[{name[:64]!r}]"
    if not isinstance(endpoint, dict) or set(endpoint) != {"url", "secret"} or len(name) > 64:
        yield f"{where} is not an object with url and secret."
        return
    yield from _secret(endpoint["secret"], where)
    scheme = urlsplit(str(endpoint["url"])).scheme
    if scheme != "https" and not (scheme == "http" and settings.WEBHOOK_ALLOW_PRIVATE):
        yield f"{where} has no https:// address."
