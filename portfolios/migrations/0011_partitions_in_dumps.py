"""Partitions are shown to the system when addressed directly, as a dump does."""

from django.db import migrations

from tracker import partitions


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0010_file_exports")]

    operations = [partitions.shown_to_system("portfolio_snapshots")]
