"""Partitions are shown to the system when addressed directly, as a dump does."""

from django.db import migrations

from tracker import partitions


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_drill_results")]

    operations = [partitions.shown_to_system("activity_logs")]
