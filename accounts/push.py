"""Push messages to phones, through Expo: a ticket when it takes one, a receipt some time later."""

from collections.abc import Mapping, Sequence
from typing import Any

import requests
from django.conf import settings
from exponent_server_sdk import (
    DeviceNotRegisteredError,
    PushClient,
    PushMessage,
    PushServerError,
    PushTicket,
    PushTicketError,
)

TIMEOUT_SECONDS = 10
RECEIPTS_AT_ONCE = 1000
_NOT_REGISTERED = "DeviceNotRegistered"
# The last three: an answer of another shape than the library expects.
_FAILURES = (
    PushTicketError, PushServerError, requests.RequestException,
    ValueError, AttributeError, TypeError, KeyError,
)  # fmt: skip


class PushFailed(Exception):
    """Expo did not take the message; it is worth trying again. ``code`` names why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class DeviceGone(Exception):
    """The app is no longer on the phone."""


def send(*, token: str, title: str, body: str, data: dict[str, Any]) -> str:
    """Hand one message to Expo; returns its ticket. Raises DeviceGone, PushFailed."""
    message = PushMessage(
        to=token, title=title, body=body, data=data, sound="default", priority="high"
    )
    try:
        with _session() as session:
            ticket = _client(session).publish(message)
            ticket.validate_response()
    except DeviceNotRegisteredError:
        raise DeviceGone from None
    except _FAILURES as error:
        raise PushFailed(_code(error)) from None
    return str(ticket.id)[:64]


def receipts(tickets: Sequence[str]) -> Mapping[str, Exception | None]:
    """What became of messages: None, DeviceGone or PushFailed; not yet known ones are left out.

    Raises PushFailed when Expo does not answer.
    """
    asked = [PushTicket(None, PushTicket.SUCCESS_STATUS, "", None, ticket) for ticket in tickets]
    try:
        with _session() as session:
            found = _client(session).check_receipts_multiple(asked)
            return {receipt.id: _outcome(receipt) for receipt in found}
    except _FAILURES as error:
        raise PushFailed(_code(error)) from None


def _outcome(receipt: Any) -> Exception | None:
    if receipt.is_success():
        return None
    code = str((receipt.details or {}).get("error", "unknown"))
    return DeviceGone() if code == _NOT_REGISTERED else PushFailed(f"Receipt {code}"[:64])


def _client(session: requests.Session) -> PushClient:
    return PushClient(host=settings.EXPO_URL, session=session, timeout=TIMEOUT_SECONDS)


def _session() -> requests.Session:
    session = requests.Session()
    session.max_redirects = 0  # a token of ours goes nowhere else
    session.headers.update({"accept": "application/json", "content-type": "application/json"})
    if settings.EXPO_ACCESS_TOKEN:
        session.headers["authorization"] = f"Bearer {settings.EXPO_ACCESS_TOKEN}"
    return session


def _code(error: Exception) -> str:
    """What may be stored of a failure: its class, and the status of the answer if there was one."""
    status = getattr(getattr(error, "response", None), "status_code", "")
    return f"{type(error).__name__} {status}".strip()
