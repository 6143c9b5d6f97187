"""Support's pages of `audit`."""

from audit.admin import activity, alerts, desk, drills, metrics, status
from audit.admin.base import AuditedAdmin

__all__ = ["AuditedAdmin", "activity", "alerts", "desk", "drills", "metrics", "status"]
