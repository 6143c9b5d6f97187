"""Whether the person of an admin session has shown their second factor."""

from typing import Any
from uuid import UUID

from django_otp.middleware import OTPMiddleware

from accounts.models import Passkey, TotpDevice


class VerifiedMiddleware(OTPMiddleware):
    """django-otp's middleware for devices whose ids are UUIDs: it reads ids as numbers.

    The session names the device. Once that is removed the session is unverified at once.
    """

    def _device_from_persistent_id(self, persistent_id: str) -> Any:
        label, _, key = persistent_id.partition("/")
        for model in (TotpDevice, Passkey):
            if model.model_label() == label:
                return model.objects.filter(id=_uuid(key)).first()
        return None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def is_verified(user: Any) -> bool:
    """False as well for whoever came past the middleware."""
    return getattr(user, "otp_device", None) is not None
