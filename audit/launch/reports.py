"""Whether errors are heard of: a report is sent the way that all are, and its taking is seen."""

from typing import Any

import urllib3
from django.conf import settings
from sentry_sdk.consts import EndpointType
from sentry_sdk.envelope import Envelope
from sentry_sdk.utils import BadDsn, Dsn

from tracker import ids
from tracker.launch import Missing, Occasion

_NAME = "launch-checklist/1"
_TIMEOUT = 10.0


def look_at_sentry(occasion: Occasion) -> str:
    """A DSN is set; with ``send`` Sentry takes an event. Raises Missing."""
    if not settings.SENTRY_DSN:
        raise Missing("no SENTRY_DSN", remedy="Make a project at Sentry and set SENTRY_DSN.")
    try:
        dsn = Dsn(settings.SENTRY_DSN)
    except BadDsn:
        raise Missing("SENTRY_DSN cannot be read", remedy="Copy it anew from Sentry.") from None
    if not occasion.send:
        return "a DSN is set; not tried (--send tries it)"
    return f"Sentry took the event {_send(dsn, occasion)}"


def _send(dsn: Dsn, occasion: Occasion) -> str:
    """The library would swallow a refusal, so the envelope is sent by hand."""
    event_id = ids.new_id().hex
    event: Any = {
        "event_id": event_id, "timestamp": occasion.now.isoformat(), "level": "info",
        "platform": "python", "environment": settings.ENVIRONMENT, "message": "Launch checklist",
    }  # fmt: skip
    envelope = Envelope({"event_id": event_id})
    envelope.add_event(event)
    auth = dsn.to_auth(_NAME)
    headers = {
        "Content-Type": "application/x-sentry-envelope", "X-Sentry-Auth": auth.to_header(),
    }  # fmt: skip
    try:
        answer = urllib3.PoolManager(retries=False, timeout=_TIMEOUT).request(
            "POST", auth.get_api_url(EndpointType.ENVELOPE), body=envelope.serialize(),
            headers=headers,
        )  # fmt: skip
    except urllib3.exceptions.HTTPError as error:
        said = f"Sentry does not answer ({type(error).__name__})"
        raise Missing(said, remedy="Let this machine reach Sentry's address.") from None
    if answer.status != 200:
        said = f"Sentry refused the event ({answer.status})"
        raise Missing(said, remedy="Check the DSN and the project's quota.")
    return event_id
