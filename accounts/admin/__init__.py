"""Support's pages of `accounts`."""

from accounts.admin import people

__all__ = ["people"]
