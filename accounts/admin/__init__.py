"""Support's pages of `accounts`."""

from accounts.admin import acts, messages, people, privacy, second_factor, support_access

__all__ = ["acts", "messages", "people", "privacy", "second_factor", "support_access"]
