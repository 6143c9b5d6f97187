"""What each act is called when it is shown to the person whom it concerns."""

from collections.abc import Mapping

from audit.actions import Action

SENTENCES: Mapping[Action, str] = {
    Action.USER_REGISTERED: "The account was created.",
    Action.USER_SIGNED_IN: "A device signed in.",
    Action.USER_SIGN_IN_FAILED: "Signing in failed.",
    Action.USER_SIGNED_OUT: "A device signed out.",
    Action.USER_PREFERENCES_CHANGED: "Preferences were changed.",
    Action.USER_CLOSING: "The account was told to close.",
    Action.USER_CLOSING_CANCELLED: "The account stays open after all.",
    Action.USER_ERASED: "An account was erased.",
    Action.USER_DEACTIVATED: "The account was deactivated.",
    Action.USER_REACTIVATED: "The account was activated again.",
    Action.EMAIL_CONFIRMED: "The e-mail address was confirmed.",
    Action.EMAIL_CONFIRMATION_SENT: "A link to confirm the e-mail address was sent.",
    Action.EMAIL_CHANGE_REQUESTED: "A change of the e-mail address was asked for.",
    Action.EMAIL_CHANGED: "The e-mail address was changed.",
    Action.REGISTRATION_REPEATED: "Somebody tried to register with this e-mail address.",
    Action.PASSWORD_CHANGED: "The password was changed.",
    Action.PASSWORD_RESET_REQUESTED: "A link to set a new password was asked for.",
    Action.PASSWORD_RESET: "A new password was set by a link.",
    Action.REAUTHENTICATED: "The password was confirmed for something sensitive.",
    Action.REAUTHENTICATION_FAILED: "Confirming the password failed.",
    Action.SECOND_FACTOR_FAILED: "The second factor was wrong.",
    Action.TOTP_ENROLLED: "An authenticator app was added.",
    Action.TOTP_REMOVED: "The authenticator app was removed.",
    Action.RECOVERY_CODES_MADE: "New recovery codes were made.",
    Action.RECOVERY_CODE_USED: "A recovery code was used.",
    Action.PASSKEY_ADDED: "A passkey was added.",
    Action.PASSKEY_REMOVED: "A passkey was removed.",
    Action.SESSION_REPLAYED: "A used token came back, so its device was signed out.",
    Action.SESSION_ENDED: "A device was signed out from another one.",
    Action.SESSIONS_ENDED: "Devices were signed out.",
    Action.API_KEY_CREATED: "An API key was created.",
    Action.API_KEY_REVOKED: "An API key was revoked.",
    Action.API_KEY_REFUSED: "An API key was refused.",
    Action.API_KEY_MOVED: "An API key was used from a new address.",
    Action.DEVICE_REGISTERED: "A device was registered for notifications.",
    Action.DEVICE_REMOVED: "A device was removed from notifications.",
    Action.NOTIFICATIONS_CHANGED: "The choice of notifications was changed.",
    Action.CONSENT_GIVEN: "Terms or the privacy policy were agreed to.",
    Action.EXPORT_REQUESTED: "An export of all data was asked for.",
    Action.EXPORT_READY: "An export of all data was made.",
    Action.EXPORT_FAILED: "An export of all data failed.",
    Action.EXPORT_DOWNLOADED: "An export of all data was downloaded.",
    Action.ACTIVITY_ERASED: "What the log said about a person was emptied.",
    Action.RETENTION_APPLIED: "Data that had outlived its purpose was deleted.",
    Action.ALERT_RAISED: "Something unusual was noticed.",
    Action.ALERT_ACKNOWLEDGED: "A security alert was marked as seen.",
    Action.ALERT_RESOLVED: "A security alert was resolved.",
    Action.SECURITY_EVENT_RECEIVED: "A security message came in.",
    Action.WEBHOOK_REDELIVERED: "A message to operators was sent again.",
    Action.DIGEST_SENT: "The weekly digest went to operators.",
    Action.CONNECTION_CREATED: "An exchange was connected.",
    Action.CONNECTION_REFUSED: "Connecting an exchange was refused.",
    Action.CONNECTION_TESTED: "A connection to an exchange was tested.",
    Action.CONNECTION_CHANGED: "A connection to an exchange was changed.",
    Action.CONNECTION_REMOVED: "A connection to an exchange was removed.",
    Action.CONNECTION_PAUSED: "A connection to an exchange was paused.",
    Action.CONNECTION_PRIVILEGES_CHANGED: "What an exchange key may do has changed.",
    Action.CONNECTION_RESUMED: "A connection to an exchange goes on.",
    Action.KEYS_ROTATED: "Encryption keys were exchanged.",
    Action.SYNC_REQUESTED: "A sync was asked for.",
    Action.SYNC_FINISHED: "A sync brought news.",
    Action.STAFF_ACTED: "Support changed something.",
}

# What anybody can do to an account without being signed in to it: it may have been somebody else.
BY_ANYBODY = frozenset({
    Action.USER_SIGN_IN_FAILED,
    Action.REGISTRATION_REPEATED,
    Action.PASSWORD_RESET_REQUESTED,
    Action.EMAIL_CONFIRMATION_SENT,
    Action.SECOND_FACTOR_FAILED,
    Action.SESSION_REPLAYED,
    Action.API_KEY_REFUSED,
})  # fmt: skip

# What the program finds by itself while it serves somebody's request.
BY_SYSTEM = frozenset({
    Action.ALERT_RAISED,
    Action.API_KEY_MOVED,
    Action.CONNECTION_PRIVILEGES_CHANGED,
})  # fmt: skip


def sentence(action: str) -> str:
    """One sentence for an act; older names, which are in nobody's list any more, as they are."""
    return SENTENCES.get(action, f"{action}.")  # type: ignore[call-overload]
