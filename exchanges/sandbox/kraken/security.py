"""Who signed a request: key, signature and nonce; and what a key's role may do."""

import base64
import hashlib
import hmac

from exchanges.sandbox import books, keys, wire
from exchanges.sandbox.kraken import errors, parameters

KEY_HEADER, SIGNATURE_HEADER = "API-Key", "API-Sign"

_READING = ("query-funds", "query-open-trades", "query-closed-trades", "query-ledger")
PERMISSIONS = {
    "read": _READING,
    "trade": (*_READING, "modify-trades", "close-trades"),
    "withdraw": (*_READING, "add-funds", "withdraw-funds"),
    "restricted": ("query-open-trades",),
}


class Nonces:
    """The last nonce of every key: each must be above the one before."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def last(self, api_key: str) -> int:
        """The highest so far; 0 for a key that was never used."""
        return self._last.get(api_key, 0)

    def use(self, api_key: str, nonce: str) -> None:
        """Take a nonce. Raises KrakenError where it is no number, or not above the last."""
        if not (nonce.isascii() and nonce.isdigit()) or int(nonce) <= self.last(api_key):
            raise errors.nonce()
        self._last[api_key] = int(nonce)


def holder(
    call: wire.Call, params: parameters.Parameters, *, kept: books.Books, nonces: Nonces
) -> keys.Holder:
    """Whoever holds the key, if everything about the request is right. Raises KrakenError."""
    api_key = call.header(KEY_HEADER)
    found = kept.holder(api_key)
    if found is None:
        raise errors.key()
    given = call.header(SIGNATURE_HEADER)
    if not hmac.compare_digest(given.encode(), _signature(call, params, found.secret)):
        raise errors.signature()
    nonces.use(api_key, params.text("nonce"))
    return found


def _signature(call: wire.Call, params: parameters.Parameters, secret: str) -> bytes:
    """HMAC-SHA512 over the path and the SHA-256 of nonce and body, exactly as sent."""
    digest = hashlib.sha256((params.text("nonce") + call.body).encode()).digest()
    signed = hmac.digest(base64.b64decode(secret), call.path.encode() + digest, "sha512")
    return base64.b64encode(signed)
