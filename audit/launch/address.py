"""Our public address as strangers meet it, and the settings behind it."""

import re
from typing import Any

import orjson
from django.conf import settings
from django.core.checks import WARNING, run_checks

from audit import status_copy
from tracker import own_address
from tracker.launch import Missing, Occasion
from tracker.own_address import Answer, NoAnswer

_YEAR_SECONDS = 31_536_000


def look_at_settings(occasion: Occasion) -> str:
    """What ``check --deploy`` says. Raises Missing."""
    if settings.DEBUG:
        raise Missing("this is a development environment", remedy="Set ENVIRONMENT=production.")
    found = [message for message in run_checks(include_deployment_checks=True)
             if message.level >= WARNING and not message.is_silenced()]  # fmt: skip
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Missing(f"{found[0].msg}{more}", remedy="See manage.py check --deploy.")
    return "production, and check --deploy finds nothing"


def look_at_tls(occasion: Occasion) -> str:
    """A certificate that everybody trusts, and the order to come by TLS alone. Raises Missing."""
    if not settings.PUBLIC_URL.startswith("https://"):
        raise Missing("PUBLIC_URL is no https:// address", remedy="Set PUBLIC_URL, terminate TLS.")
    answer = _ask("/healthz")
    if answer.status != 200:
        raise Missing(f"/healthz answers {answer.status}", remedy="Start web; look at the proxy.")
    order = answer.headers.get("strict-transport-security", "")
    told = re.search(r"max-age=\"?(\d+)", order)
    if told is None or int(told[1]) < _YEAR_SECONDS:
        remedy = "Let the proxy send X-Forwarded-Proto, and pass Strict-Transport-Security on."
        raise Missing("answers do not order TLS for a year (HSTS)", remedy=remedy)
    return f"certificate trusted; {order}"


def look_at_status(occasion: Occasion) -> str:
    """The public page, with measurements of the last minutes. Raises Missing."""
    answer = _ask("/status.json")
    told = _read(answer)
    if answer.status != 200 or not told:
        raise Missing(f"/status.json answers {answer.status}", remedy="Start beat and a worker.")
    if told.get("late", True):
        raise Missing("it shows old measurements", remedy="Start beat and a worker.")
    if not told.get("measured_until"):
        raise Missing("nothing was measured yet", remedy="Start beat and a worker.")
    if (told.get("overall") or {}).get("state", status_copy.UNKNOWN) == status_copy.UNKNOWN:
        raise Missing(
            f"it does not know how the service does; last measured at {told['measured_until']}",
            remedy="Start beat and a worker.",
        )
    if _ask("/status").status != 200:
        raise Missing("/status does not answer 200", remedy="See the log of web.")
    return f"answers; measured until {told['measured_until']}"


def _read(answer: Answer) -> dict[str, Any]:
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _ask(path: str) -> Answer:
    try:
        return own_address.ask(path)
    except NoAnswer as problem:
        remedy = "See that PUBLIC_URL leads here, with a certificate that is valid."
        raise Missing(f"{settings.PUBLIC_URL}{path}: {problem}", remedy=remedy) from None
