"""What this room looks at before a launch: our address, reports of errors, what stands recorded."""

from audit.launch import address, records, reports
from tracker import launch


def register() -> None:
    """Take part in the checklist."""
    launch.add("settings", "Settings are safe", address.look_at_settings, rank=10)
    launch.add("tls", "TLS and HSTS", address.look_at_tls, rank=11)
    launch.add("status", "Status page", address.look_at_status, rank=12)
    launch.add("backups", "Backups fresh", records.look_at_backups, rank=20)
    launch.add("drill", "Backups drilled", records.look_at_drills, rank=21)
    launch.add("log", "Activity log verified", records.look_at_log, rank=22)
    launch.add("sentry", "Errors reported", reports.look_at_sentry, rank=30)
    launch.add("keys", "Keys rotated within a year", records.look_at_keys, rank=80)
    launch.add("dependencies", "Dependencies audited", records.look_at_dependencies, rank=81)
