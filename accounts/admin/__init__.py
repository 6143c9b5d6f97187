"""Support's pages of `accounts`."""

from accounts.admin import messages, people, privacy, second_factor

__all__ = ["messages", "people", "privacy", "second_factor"]
