"""What can go wrong at an exchange, in our words.

``permanent`` says what to do next: a permanent error pauses the connection until the person acts,
any other is tried again later. No text of ccxt or of the exchange is kept: both have been seen to
carry keys and signatures.
"""

from typing import ClassVar

from exchanges.reports import Timeline
from tracker.errors import DomainError


class GatewayError(DomainError):
    """Base of all errors that leave the gateway."""

    code = "exchange_error"
    status = 502
    message = "The exchange answered in a way we could not use. Please try again later."
    ours: ClassVar[bool] = False
    permanent: ClassVar[bool] = False
    timeline: Timeline = Timeline()  # what a visit that ended so had asked


class WrongKey(GatewayError):
    code = "exchange_key_rejected"
    status = 400
    message = "The exchange does not accept this API key and secret."
    permanent = True


class MissingPermission(GatewayError):
    code = "exchange_permission_missing"
    status = 400
    message = "This API key may not read the account. Enable reading for it at the exchange."
    permanent = True


class KeyTooPowerful(GatewayError):
    code = "exchange_key_too_powerful"
    status = 400
    message = (
        "This API key may trade or withdraw. Please create a key that may only read, and connect "
        "that one."
    )
    permanent = True


class AddressNotAllowed(GatewayError):
    code = "exchange_address_not_allowed"
    status = 400
    message = "The exchange refuses this API key from our address. Lift its address restriction."
    permanent = True


class Unreachable(GatewayError):
    code = "exchange_unreachable"
    status = 502
    message = "The exchange cannot be reached right now. Please try again in a few minutes."


class TimedOut(Unreachable):
    code = "exchange_timeout"
    status = 504
    message = "The exchange did not answer in time. Please try again in a few minutes."


class OnMaintenance(Unreachable):
    code = "exchange_maintenance"
    status = 503
    message = "The exchange is under maintenance. Please try again later."


class WrongClock(GatewayError):
    code = "exchange_clock_skew"
    status = 502
    message = "The exchange's clock and ours disagree, so it refused the request. Try again soon."


class RateLimited(GatewayError):
    code = "exchange_rate_limited"
    status = 503
    message = "The exchange asks us to slow down. Please try again in a few minutes."


class Unsupported(GatewayError):
    code = "exchange_feed_unsupported"
    status = 400
    message = "The exchange does not offer this."
    permanent = True


class UnknownExchange(GatewayError):
    code = "exchange_unknown"
    status = 400
    message = "We do not know this exchange."
    permanent = True


class Malformed(GatewayError):
    code = "exchange_answer_malformed"
    status = 502
    message = "The exchange sent something that we could not read. We kept it for a closer look."


class SymbolUnknown(GatewayError):
    """A market that the exchange no longer answers for; its older trades are out of reach."""

    code = "exchange_symbol_unknown"
    status = 400
    message = "The exchange no longer answers for this market."
    permanent = True


class CredentialUnreadable(GatewayError):
    """The stored key does not open: the master key is gone, or the row was changed."""

    code = "exchange_credential_unreadable"
    status = 409
    message = "The stored API key cannot be read any more. Please enter it again."
    permanent = True
