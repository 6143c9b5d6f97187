"""Support's pages of `accounts`."""

from accounts.admin import (
    acts,
    desk,
    helpdesk,
    messages,
    people,
    privacy,
    second_factor,
    support_access,
)

__all__ = [
    "acts",
    "desk",
    "helpdesk",
    "messages",
    "people",
    "privacy",
    "second_factor",
    "support_access",
]
