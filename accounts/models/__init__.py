"""Tables of `accounts`: people and what belongs to them alone."""

from accounts.models.api_keys import ApiKey
from accounts.models.helpdesk import CannedReply, SupportMessage, SupportRequest
from accounts.models.notifications import (
    Delivery,
    EmailSuppression,
    NotificationChoice,
    NotificationSettings,
    PushDevice,
)
from accounts.models.people import (
    AccountLink,
    BaseCurrency,
    CostBasisMethod,
    CostBasisScope,
    DataKey,
    IdempotencyRecord,
    Session,
    Theme,
    User,
    UserManager,
    normalize_email,
)
from accounts.models.privacy import Consent, DataExport
from accounts.models.second_factor import Passkey, RecoveryCode, TotpDevice
from accounts.models.support import SecondFactorReset, SupportAccess, SupportViewing
from accounts.models.webhooks import WebhookEndpoint

__all__ = [
    "AccountLink",
    "ApiKey",
    "BaseCurrency",
    "CannedReply",
    "Consent",
    "CostBasisMethod",
    "CostBasisScope",
    "DataExport",
    "DataKey",
    "Delivery",
    "EmailSuppression",
    "IdempotencyRecord",
    "NotificationChoice",
    "NotificationSettings",
    "Passkey",
    "PushDevice",
    "RecoveryCode",
    "SecondFactorReset",
    "Session",
    "SupportAccess",
    "SupportMessage",
    "SupportRequest",
    "SupportViewing",
    "Theme",
    "TotpDevice",
    "User",
    "UserManager",
    "WebhookEndpoint",
    "normalize_email",
]
