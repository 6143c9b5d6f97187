"""Support's pages of `accounts`."""

from accounts.admin import helpdesk, messages, people, privacy, second_factor

__all__ = ["helpdesk", "messages", "people", "privacy", "second_factor"]
