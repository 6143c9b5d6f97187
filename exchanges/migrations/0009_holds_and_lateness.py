"""Until when an exchange is held by hand, and from when on an account is late.

Of accounts that are there, what is expected is half as much again as the interval that they were
given last, as after a visit; half a day where that was long.
"""

from django.db import migrations, models

_TELL = """
    UPDATE exchange_connections
    SET late_after = next_sync_at + greatest(
        least((next_sync_at - coalesce(last_synced_at, next_sync_at)) / 2, interval '12 hours'),
        interval '150 seconds'
    )
    WHERE next_sync_at IS NOT NULL AND kind = 'exchange'
"""


class Migration(migrations.Migration):
    dependencies = [("exchanges", "0008_position")]

    operations = [
        migrations.AddField(
            model_name="exchangecircuit",
            name="held_until",
            field=models.DateTimeField(blank=True, help_text="Left alone by hand.", null=True),
        ),
        migrations.AddField(
            model_name="exchangeconnection",
            name="late_after",
            field=models.DateTimeField(
                blank=True,
                help_text="Not up to date from then on, unless it is read before "
                "(exchanges.lateness).",
                null=True,
            ),
        ),
        migrations.RunSQL(sql=_TELL, reverse_sql=migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="exchangeconnection",
            index=models.Index(
                condition=models.Q(("late_after__isnull", False), ("next_sync_at__isnull", False)),
                fields=["exchange", "late_after"],
                include=["user"],
                name="connections_late",
            ),
        ),
    ]
