"""Tables of files of exports.

Policies and composite keys in SQL, because the ORM can declare neither.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import tracker.clock
import tracker.ids
from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [
        ("exchanges", "0008_position"),
        ("portfolios", "0009_alerts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FileExport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tracker.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "contents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=16),
                        help_text="trades, ledger, lots, …",
                        size=None,
                    ),
                ),
                ("format", models.CharField(help_text="csv, xlsx, jsonl or parquet", max_length=8)),
                ("since", models.DateTimeField(blank=True, null=True)),
                ("until", models.DateTimeField(blank=True, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("ready", "Ready"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("expired", "Expired"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("cancel_asked", models.BooleanField(default=False)),
                ("rows_done", models.PositiveBigIntegerField(default=0)),
                ("rows_total", models.PositiveBigIntegerField(default=0)),
                ("file_name", models.CharField(blank=True, default="", max_length=255)),
                ("bytes", models.PositiveBigIntegerField(default=0)),
                (
                    "digest",
                    models.CharField(blank=True, default="", help_text="SHA-256.", max_length=64),
                ),
                ("error", models.CharField(blank=True, default="", max_length=48)),
                ("leased_until", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("requested_at", models.DateTimeField(default=tracker.clock.now)),
                ("ready_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "file_exports",
                "indexes": [
                    models.Index(
                        fields=["user", "-requested_at", "-id"], name="file_exports_newest"
                    ),
                    models.Index(
                        condition=models.Q(("state__in", ["waiting", "running"])),
                        fields=["requested_at"],
                        name="file_exports_open",
                    ),
                    models.Index(
                        condition=models.Q(("state", "ready")),
                        fields=["expires_at"],
                        name="file_exports_expiring",
                    ),
                ],
            },
        ),
        tenancy.protect("file_exports"),
    ]
