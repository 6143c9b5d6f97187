"""Support's pages of `accounts`."""

from accounts.admin import desk, messages, people, privacy, second_factor

__all__ = ["desk", "messages", "people", "privacy", "second_factor"]
