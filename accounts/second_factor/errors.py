"""What a person can be told about their second factor."""

from tracker.errors import DomainError


class SecondFactorRequired(DomainError):
    """``details`` hold the ``challenge`` for the next call and the ``methods`` to choose from."""

    code = "second_factor_required"
    status = 401
    message = "Please confirm that it is you with your second factor."


class SecondFactorRejected(DomainError):
    """Deliberately the same for wrong, used, old and unknown."""

    code = "second_factor_rejected"
    status = 401
    message = "This code or passkey was not accepted. Please try again."


class ChallengeRejected(DomainError):
    code = "challenge_rejected"
    status = 401
    message = "This sign-in took too long or was already used. Please start again."


class SecondFactorMissing(DomainError):
    code = "second_factor_missing"
    status = 409
    message = "Please set up an authenticator app or a passkey first."


class SecondFactorUnreadable(DomainError):
    """The sealed seed does not open: it was changed, moved, or its key is gone."""

    code = "second_factor_unreadable"
    status = 409
    message = "Your authenticator app cannot be checked. Please use another way or ask support."


class CodeRejected(DomainError):
    code = "totp_rejected"
    status = 400
    message = "This code does not match. Please check the clock of your phone and try the next one."


class PasskeyRejected(DomainError):
    code = "passkey_rejected"
    status = 400
    message = "This passkey could not be added. Please try again."


class PasskeyKnown(DomainError):
    code = "passkey_known"
    status = 409
    message = "This passkey is already in your account."


class TooManyPasskeys(DomainError):
    code = "passkeys_full"
    status = 409
    message = "There are already as many passkeys as an account can hold. Please remove one first."
