"""Row-level security, and monthly partitions of the activity log.

SQL because the ORM knows neither policies nor partitions. The plain table that 0001 made is
empty at this point and is replaced by a partitioned one of the same columns.
"""

from datetime import timedelta

from django.db import migrations

from tracker import clock, partitions, tenancy

_TODAY = clock.now().date()


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql=[
                "CREATE TABLE activity_logs_by_month (LIKE activity_logs INCLUDING DEFAULTS) "
                "PARTITION BY RANGE (created_at)",
                "DROP TABLE activity_logs",
                "ALTER TABLE activity_logs_by_month RENAME TO activity_logs",
                "ALTER TABLE activity_logs ADD PRIMARY KEY (id, created_at)",
                "CREATE INDEX activity_by_user ON activity_logs (user_id, created_at DESC)",
                "CREATE INDEX activity_by_action ON activity_logs (action, created_at DESC)",
                "CREATE TABLE activity_logs_other PARTITION OF activity_logs DEFAULT",
                "ALTER TABLE activity_logs_other ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE activity_logs_other FORCE ROW LEVEL SECURITY",
            ],
            # 0001's reverse drops the table whatever its shape
            reverse_sql=migrations.RunSQL.noop,
        ),
        partitions.initial(
            "activity_logs",
            first=_TODAY,
            last=_TODAY + timedelta(days=31 * partitions.MONTHS_AHEAD),
        ),
        tenancy.protect("activity_logs"),
        tenancy.protect("outbox"),
    ]
