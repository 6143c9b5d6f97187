"""Who signed a request: key, clock and HMAC, checked in Binance's order."""

import hmac
from collections.abc import Callable

from exchanges.sandbox import keys, violations, wire
from exchanges.sandbox.binance import errors, parameters

KEY_HEADER = "X-MBX-APIKEY"
_DEFAULT_WINDOW, _LONGEST_WINDOW, _AHEAD = 5_000, 60_000, 1_000


def holder(
    call: wire.Call,
    params: parameters.Parameters,
    *,
    known: Callable[[str], keys.Holder | None],
    now: int,
    any_key: bool,
) -> keys.Holder:
    """Whoever holds the key, if everything about the request is right. Raises BinanceError."""
    given_key = call.header(KEY_HEADER)
    if len(given_key) != keys.LENGTH or not given_key.isalnum():
        raise errors.key_format()
    timestamp, given = params.needed_number("timestamp"), params.needed("signature")
    found = known(given_key)
    if found is None:
        raise errors.key_refused(violations.BAD_KEY)
    _check_clock(timestamp, params.number("recvWindow"), now)
    if not hmac.compare_digest(given.encode(), _signature(call, found.secret)):
        raise errors.signature()
    if not (found.may_read or any_key):
        raise errors.key_refused(violations.NO_PERMISSION)
    return found


def _check_clock(timestamp: int, window: int | None, now: int) -> None:
    window = _DEFAULT_WINDOW if window is None else window
    if window > _LONGEST_WINDOW:
        raise errors.receive_window()
    if timestamp >= now + _AHEAD:
        raise errors.ahead_of_time()
    if now - timestamp > window:
        raise errors.out_of_time()


def _signature(call: wire.Call, secret: str) -> bytes:
    """HMAC-SHA256 over exactly what was sent, query then body, but for the signature itself."""
    signed = _unsigned(call.query) + _unsigned(call.body)
    return hmac.digest(secret.encode(), signed.encode(), "sha256").hex().encode()


def _unsigned(encoded: str) -> str:
    return "&".join(part for part in encoded.split("&") if not part.startswith("signature="))
