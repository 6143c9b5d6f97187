"""What a detector says."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

Severity = Literal["low", "medium", "high", "critical"]


class Kind(StrEnum):
    """What an alert of ours is about. What comes in by the webhook is ``external.<type>``."""

    PASSWORD_GUESSING = "account.password_guessing"  # noqa: S105
    CREDENTIAL_STUFFING = "address.credential_stuffing"
    STRANGE_SIGN_IN = "account.strange_sign_in"
    IMPOSSIBLE_JOURNEY = "account.impossible_journey"
    SESSION_REPLAYED = "session.refresh_replayed"
    API_KEY_ELSEWHERE = "api_key.used_elsewhere"
    EXCHANGE_KEY_CHANGED = "exchange.key_changed"
    UNUSUAL_TRADING = "trading.unusual"
    UNEXPECTED_WITHDRAWAL = "trading.unexpected_withdrawal"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to raise an alert about.

    ``evidence`` is shown to the person: numbers, names and addresses, nothing secret. ``dedupe``
    is the same for what is the same incident.
    """

    kind: Kind
    severity: Severity
    evidence: Mapping[str, Any]
    dedupe: str
