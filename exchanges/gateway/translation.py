"""From ccxt's exceptions to ours. Nothing of their text is kept: it can carry keys.

The order of ``_CLASSES`` matters, because ccxt's hierarchy hides traps: InvalidNonce,
RateLimitExceeded and DDoSProtection are all NetworkErrors, and PermissionDenied is an
AuthenticationError. What an exchange says by its own codes goes first (``dialect_errors``).
"""

import asyncio
import binascii
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from exchanges.gateway import errors
from exchanges.gateway.errors import GatewayError

ErrorCodes = Mapping[str, type[GatewayError]]

_CLASSES: tuple[tuple[str, type[GatewayError]], ...] = (
    ("InvalidNonce", errors.WrongClock),
    ("RateLimitExceeded", errors.RateLimited),
    ("DDoSProtection", errors.RateLimited),
    ("OnMaintenance", errors.OnMaintenance),
    ("RequestTimeout", errors.TimedOut),
    ("PermissionDenied", errors.MissingPermission),
    ("AuthenticationError", errors.WrongKey),
    ("ArgumentsRequired", errors.WrongKey),
    ("BadSymbol", errors.SymbolUnknown),
    ("NotSupported", errors.Unsupported),
    ("BadResponse", errors.Malformed),
    ("ExchangeNotAvailable", errors.Unreachable),
    ("NetworkError", errors.Unreachable),
    ("OperationFailed", errors.Unreachable),
    ("BaseError", GatewayError),
)
_CODE_FIELDS = ("error", "code", "errorCode", "err-code", "reason", "retCode", "label")
_ADDRESS = re.compile(r"\bip\b|whitelist|address", re.IGNORECASE)
_SIGNING = (binascii.Error, ValueError, TypeError, IndexError, AttributeError)


def translate(error: BaseException, *, client: Any, codes: ErrorCodes) -> GatewayError:
    """Our error for one of ccxt's, from its class and from what ``client`` got last.

    ``codes`` are the dialect's own error codes as they stand in the body. The result carries
    ``retry_after`` (seconds) when the exchange sent such a header.
    """
    kind = _by_code(client.last_http_response, codes) or _by_class(error, client)
    return kind(retry_after=retry_after(client))


def retry_after(client: Any) -> int | None:
    """Seconds of the Retry-After header of the last answer, if it had one."""
    headers = client.last_response_headers or {}
    for name, value in headers.items():
        if name.lower() == "retry-after" and str(value).strip().isdigit():
            return int(value)
    return None


def _by_code(body: Any, codes: ErrorCodes) -> type[GatewayError] | None:
    for code in _codes_in(body):
        for known, kind in codes.items():
            if code == known or (not known.lstrip("-").isdigit() and code.startswith(known)):
                return kind
    return None


def _codes_in(body: Any) -> list[str]:
    """The codes of an error body, ``{"code": …}``, ``{"error": [...]}`` or ``["error", …]``."""
    try:
        answer = json.loads(body)
    except (TypeError, ValueError):
        return []
    if isinstance(answer, list) and answer[:1] == ["error"]:
        answer = {"error": answer[1:]}
    if not isinstance(answer, dict):
        return []
    found = [answer.get(field) or [] for field in _CODE_FIELDS]
    return [str(code) for part in found for code in (part if isinstance(part, list) else [part])]


def _by_class(error: BaseException, client: Any) -> type[GatewayError]:
    if isinstance(error, asyncio.TimeoutError):
        return errors.TimedOut
    for ccxt_class, ours in _classes():
        if isinstance(error, ccxt_class):
            return _refined(ours, client)
    if client.last_http_response is None and isinstance(error, _SIGNING):
        return errors.WrongKey  # the secret could not even sign: not base64, not a PEM key …
    return errors.Malformed


def _refined(ours: type[GatewayError], client: Any) -> type[GatewayError]:
    """What the class alone does not tell: ccxt calls any refusal by status "not available"."""
    body, status = client.last_http_response, client.last_status or 0
    if ours is errors.MissingPermission and isinstance(body, str) and _ADDRESS.search(body):
        return errors.AddressNotAllowed  # some say so in the words of a missing permission
    if ours is errors.Unreachable and 400 <= status < 500:
        return GatewayError
    return ours


@cache
def _classes() -> tuple[tuple[type[BaseException], type[GatewayError]], ...]:
    import ccxt

    return tuple((getattr(ccxt, name), ours) for name, ours in _CLASSES)
