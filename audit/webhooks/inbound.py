"""Security events from the outside: verified first, stored once, each an alert."""

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from rest_framework.exceptions import ParseError

from audit import alerts, log
from audit.actions import Action
from audit.models import SecurityEvent
from audit.models.alerts import Severity
from audit.webhooks import signatures
from tracker import bulk, tenancy
from tracker.api import InvalidInput, StrictJSONParser
from tracker.errors import DomainError

LARGEST_BODY = 64 * 1024
_FIELDS = {"type", "severity", "data", "user", "source", "timestamp"}
_SEVERITIES = {str(value): value for value in Severity} | {
    "info": Severity.LOW, "notice": Severity.LOW, "warning": Severity.MEDIUM,
    "error": Severity.HIGH, "fatal": Severity.CRITICAL, "emergency": Severity.CRITICAL,
}  # fmt: skip
# By the beginning of the type, for events that do not say how grave they are.
_BY_TYPE = {
    "waf.blocked": Severity.LOW, "waf.": Severity.MEDIUM, "host.intrusion": Severity.CRITICAL,
    "host.": Severity.HIGH, "relay.": Severity.HIGH,
}  # fmt: skip


class WebhookNotConfigured(DomainError):
    code = "webhook_not_configured"
    status = 503
    message = "No secret is configured for the security webhook, so nothing can be accepted."


class BadSignature(DomainError):
    code = "signature_rejected"
    status = 400
    message = "The signature of this message is missing, wrong or too old."


def receive(*, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Take a message; False when it was here before, and nothing is done again.

    Raises WebhookNotConfigured, BadSignature, InvalidInput, before anything is written.
    """
    if not settings.SECURITY_WEBHOOK_SECRETS:
        raise WebhookNotConfigured
    message_id = signatures.verified_id(
        settings.SECURITY_WEBHOOK_SECRETS, headers=headers, body=body, now=now
    )
    if message_id is None:
        raise BadSignature
    event = _read(body)
    with tenancy.as_system("security webhook"):
        return _store(message_id, event, now)


def _store(message_id: str, event: Mapping[str, Any], now: datetime) -> bool:
    row = SecurityEvent(
        message_id=message_id, kind=event["type"], source=event["source"], payload=event["data"],
        received_at=now,
    )  # fmt: skip
    if not bulk.insert_new([row]):
        return False
    user_id = _person(event["user"])
    log.record(
        Action.SECURITY_EVENT_RECEIVED, user_id=user_id, event_id=str(row.id), type=row.kind,
        source=row.source,
    )  # fmt: skip
    alert = alerts.raise_alert(
        kind=f"external.{row.kind}"[:48], severity=_severity(event), user_id=user_id,
        # The person may read this; what came with the event is for staff alone.
        evidence={"type": row.kind, "source": row.source, "person_known": user_id is not None},
        dedupe=message_id, now=now,
    )  # fmt: skip
    SecurityEvent.objects.filter(id=row.id).update(alert=alert)
    return True


def _read(body: bytes) -> dict[str, Any]:
    """The event, checked. Raises InvalidInput."""
    try:
        found = StrictJSONParser().parse(io.BytesIO(body))
    except ParseError as problem:
        raise InvalidInput(str(problem.detail)) from None
    unknown = sorted(set(found) - _FIELDS)
    if unknown:
        raise InvalidInput.of(
            unknown[0][:64], "This field is not known here.", code="unknown_field"
        )
    kind, severity = found.get("type"), found.get("severity")
    if not isinstance(kind, str) or not 0 < len(kind) <= 64 or not kind.isprintable():
        raise InvalidInput.of("type", "Name the type in 1 to 64 characters.")
    if severity is not None and str(severity).lower() not in _SEVERITIES:
        raise InvalidInput.of("severity", "Use low, medium, high or critical.")
    data = found.get("data", {})
    if not isinstance(data, dict):
        raise InvalidInput.of("data", "This must be a JSON object.")
    for name, longest in (("user", 254), ("source", 64), ("timestamp", 64)):
        value = found.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > longest):
            raise InvalidInput.of(name, f"Use text of at most {longest} characters.")
    return {
        "type": kind, "severity": severity, "data": _plain(data), "user": found.get("user") or "",
        "source": found.get("source") or "",
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Decimals of the parser as text, so that the column takes them without a loss."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _severity(event: Mapping[str, Any]) -> Severity:
    if event["severity"] is not None:
        return _SEVERITIES[str(event["severity"]).lower()]
    fitting = (value for start, value in _BY_TYPE.items() if event["type"].startswith(start))
    return next(fitting, Severity.MEDIUM)


def _person(named: str) -> UUID | None:
    """Whom the sender means, by id or e-mail address; None when we do not know them."""
    people = get_user_model().objects.all()
    try:
        return people.filter(id=UUID(named)).values_list("id", flat=True).first()
    except ValueError:
        pass
    if not named:
        return None
    return people.filter(email=named.strip().lower()).values_list("id", flat=True).first()
