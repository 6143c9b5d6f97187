"""Row-level security on what 0003 made."""

from django.db import migrations

from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_log_alerts_metrics")]

    operations = [
        tenancy.protect("security_alerts"),
        tenancy.protect("session_activity"),
        tenancy.protect("user_metrics"),
    ]
