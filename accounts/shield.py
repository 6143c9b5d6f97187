"""The blunt shield of sign-up and sign-in: django-ratelimit in several fixed windows.

By client address and, where an e-mail is given, by account. Redis down means 503, never
unlimited. It slows strangers down and locks nobody out: windows are short.
"""

import hashlib
from typing import Any

import redis
from django.conf import settings
from django_ratelimit.core import get_usage
from django_redis.exceptions import ConnectionInterrupted

from accounts.models import normalize_email
from tracker import network
from tracker.api import OutOfOrder
from tracker.errors import DomainError


class TooManyAttempts(DomainError):
    code = "too_many_attempts"
    status = 429
    message = "Too many attempts. Please wait a moment and try again."


def check(request: Any, *, group: str, email: object = None) -> None:
    """Count this attempt; raises TooManyAttempts, or OutOfOrder when limits cannot be kept."""
    if not settings.RATELIMIT_ENABLE:
        return
    address = network.client_address(request)
    for rate in settings.AUTH_SHIELD_RATES:
        _count(request, f"{group}.address", address, rate)
    if isinstance(email, str) and email:
        account = hashlib.sha256(normalize_email(email).encode()).hexdigest()
        for rate in settings.AUTH_ACCOUNT_RATES:
            _count(request, f"{group}.account", account, rate)


def _count(request: Any, group: str, key: str, rate: str) -> None:
    try:
        usage = get_usage(
            request._request, group=group, key=lambda *_: key, rate=rate, increment=True
        )
    except (redis.RedisError, ConnectionInterrupted, OSError):
        raise OutOfOrder from None
    if usage and usage["should_limit"]:
        raise TooManyAttempts(retry_after=usage["time_left"])
