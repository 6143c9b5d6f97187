"""What can go wrong at Stripe, in our words."""

from tracker.errors import DomainError


class NotConfigured(DomainError):
    code = "billing_not_configured"
    status = 503
    message = "Plans cannot be bought here yet. Everything else works."


class Unavailable(DomainError):
    """Stripe does not answer; what was asked for is asked again under the same key."""

    code = "billing_unavailable"
    status = 503
    message = "Our payment provider does not answer right now. Please try again in a moment."


class CardDeclined(DomainError):
    code = "card_declined"
    status = 402
    message = "The payment was declined. Please use another payment method."


class Refused(DomainError):
    """Stripe understood and refused: wrong in itself, so trying again will not help."""

    code = "billing_refused"
    status = 409
    message = "Our payment provider refused this. Please write to us if it stays so."
