"""Candles, partitioned by month, and stretches of them beside those of closes.

SQL because the ORM cannot declare partitions: the plain table that is made first is empty and is
replaced by a partitioned one of the same columns. Further months are made as they are needed.
"""

from datetime import timedelta

import django.db.models.deletion
from django.db import migrations, models

import tracker.clock
import tracker.money
from tracker import clock, partitions

_TODAY = clock.now().date()


class Migration(migrations.Migration):
    dependencies = [
        ("exchanges", "0004_history_and_manual_accounts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Candle",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "asset_id",
                        "interval",
                        "at",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "asset",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="exchanges.asset",
                    ),
                ),
                (
                    "interval",
                    models.CharField(
                        choices=[
                            ("5m", "five minutes"),
                            ("15m", "fifteen minutes"),
                            ("1h", "an hour"),
                            ("1d", "a UTC day"),
                        ],
                        max_length=3,
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "open",
                    tracker.money.UnitsField(
                        decimal_places=30, help_text="US dollars for one unit.", max_digits=60
                    ),
                ),
                (
                    "high",
                    tracker.money.UnitsField(
                        decimal_places=30,
                        help_text="Certainly reached; see bars.py.",
                        max_digits=60,
                    ),
                ),
                ("low", tracker.money.UnitsField(decimal_places=30, max_digits=60)),
                ("close", tracker.money.UnitsField(decimal_places=30, max_digits=60)),
                (
                    "volume",
                    tracker.money.UnitsField(
                        blank=True,
                        decimal_places=30,
                        help_text="Units; null where no market tells.",
                        max_digits=60,
                        null=True,
                    ),
                ),
                (
                    "source",
                    models.CharField(help_text="Exchange and the markets crossed.", max_length=96),
                ),
                (
                    "closed",
                    models.BooleanField(
                        help_text="Over when it was fetched, so that it stays as it is."
                    ),
                ),
                ("fetched_at", models.DateTimeField(default=tracker.clock.now)),
            ],
            options={
                "db_table": "candles",
            },
        ),
        migrations.RemoveConstraint(
            model_name="priceneed",
            name="price_needs_once",
        ),
        migrations.AddField(
            model_name="priceneed",
            name="asked_at",
            field=models.DateTimeField(
                blank=True, help_text="When markets last told all they had so far.", null=True
            ),
        ),
        migrations.AddField(
            model_name="priceneed",
            name="kind",
            field=models.CharField(
                choices=[("close", "closes, for the books"), ("candle", "candles, for charts")],
                default="close",
                max_length=6,
            ),
        ),
        migrations.AlterField(
            model_name="priceneed",
            name="interval",
            field=models.CharField(
                choices=[
                    ("5m", "five minutes"),
                    ("15m", "fifteen minutes"),
                    ("1h", "an hour"),
                    ("1d", "a UTC day"),
                ],
                max_length=3,
            ),
        ),
        migrations.AddConstraint(
            model_name="priceneed",
            constraint=models.UniqueConstraint(
                fields=("asset", "kind", "interval", "since"), name="price_needs_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="candle",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("high__gte", models.F("open")),
                    ("low__gt", 0),
                    ("low__lte", models.F("open")),
                    ("high__gte", models.F("close")),
                    ("low__lte", models.F("close")),
                ),
                name="candles_in_order",
            ),
        ),
        migrations.RunSQL(
            sql=[
                "CREATE TABLE candles_by_month "
                "(LIKE candles INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (at)",
                "DROP TABLE candles",
                "ALTER TABLE candles_by_month RENAME TO candles",
                # Also how a chart is read: one asset's intervals in order.
                "ALTER TABLE candles ADD PRIMARY KEY (asset_id, interval, at)",
            ],
            # the reverse of what is above drops the table whatever its shape
            reverse_sql=migrations.RunSQL.noop,
        ),
        partitions.initial(
            "candles",
            first=_TODAY,
            last=_TODAY + timedelta(days=31 * partitions.MONTHS_AHEAD),
            protected=False,
        ),
    ]
