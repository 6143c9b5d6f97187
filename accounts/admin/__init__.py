"""Support's pages of `accounts`."""

from accounts.admin import (
    acts,
    helpdesk,
    messages,
    people,
    privacy,
    second_factor,
    support_access,
)

__all__ = [
    "acts",
    "helpdesk",
    "messages",
    "people",
    "privacy",
    "second_factor",
    "support_access",
]
