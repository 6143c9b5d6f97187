"""Support's pages of `audit`."""

from audit.admin import activity
from audit.admin.base import AuditedAdmin

__all__ = ["AuditedAdmin", "activity"]
