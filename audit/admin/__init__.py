"""Support's pages of `audit`."""

from audit.admin import activity, alerts, drills, metrics, status
from audit.admin.base import AuditedAdmin

__all__ = ["AuditedAdmin", "activity", "alerts", "drills", "metrics", "status"]
