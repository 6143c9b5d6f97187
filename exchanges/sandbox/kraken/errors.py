"""Kraken's errors: sentences in a list, most of them with status 200."""

from exchanges.sandbox import violations


class KrakenError(Exception):
    """A refusal as Kraken words it; `violation` is what it counts as, if anything."""

    def __init__(self, message: str, *, status: int = 200, violation: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.violation = violation

    @property
    def body(self) -> dict[str, object]:
        """The error's JSON."""
        return {"error": [self.message]}


def key() -> KrakenError:
    """No key, or one that nobody holds."""
    return KrakenError("EAPI:Invalid key", violation=violations.BAD_KEY)


def signature() -> KrakenError:
    """The signature does not fit what was sent."""
    return KrakenError("EAPI:Invalid signature", violation=violations.BAD_SIGNATURE)


def nonce() -> KrakenError:
    """A nonce that is missing, or not above the key's last one."""
    return KrakenError("EAPI:Invalid nonce", violation=violations.INVALID_NONCE)


def permission() -> KrakenError:
    """The key may not do this."""
    return KrakenError("EGeneral:Permission denied", violation=violations.NO_PERMISSION)


def counter_full(*, carried_on: bool) -> KrakenError:
    """The key's call counter is at its maximum."""
    kind = violations.OVER_LIMIT_AFTER_429 if carried_on else violations.OVER_LIMIT
    return KrakenError("EAPI:Rate limit exceeded", violation=kind)


def too_many_requests() -> KrakenError:
    """More requests than an address may send, as the front of the exchange answers them."""
    return KrakenError("EGeneral:Too many requests", status=429, violation=violations.OVER_LIMIT)


def lockout() -> KrakenError:
    """Shut out for carrying on over the limit."""
    return KrakenError("EGeneral:Temporary lockout", violation=violations.REQUEST_DURING_BAN)


def pair() -> KrakenError:
    """No such pair."""
    return KrakenError("EQuery:Unknown asset pair", violation=violations.UNKNOWN_SYMBOL)


def asset() -> KrakenError:
    """No such asset."""
    return KrakenError("EQuery:Unknown asset", violation=violations.UNKNOWN_SYMBOL)


def arguments(name: str) -> KrakenError:
    """A parameter of the wrong form, or missing."""
    message = f"EGeneral:Invalid arguments:{name}"
    return KrakenError(message, violation=violations.MALFORMED_PARAMETER)


def method() -> KrakenError:
    """No such path."""
    return KrakenError("EGeneral:Unknown method", violation=violations.UNKNOWN_ENDPOINT)
