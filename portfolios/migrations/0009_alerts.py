"""Tables of alerts and what they told.

Policies and composite keys in SQL, because the ORM can declare neither.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import tracker.clock
import tracker.ids
import tracker.money
from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [
        ("exchanges", "0008_position"),
        ("portfolios", "0008_strategies"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceAlert",
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
                    "kind",
                    models.CharField(
                        choices=[
                            ("price_above", "the price is above a threshold"),
                            ("price_below", "the price is below a threshold"),
                            ("price_change", "the price moved by a percentage within a window"),
                            ("value_above", "the portfolio is worth more than a threshold"),
                            ("value_below", "the portfolio is worth less than a threshold"),
                            (
                                "drawdown",
                                "the portfolio fell by a percentage below its highest worth in a window",
                            ),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "threshold",
                    tracker.money.UnitsField(
                        decimal_places=30,
                        help_text="A price or worth in the currency, or a percentage.",
                        max_digits=60,
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                (
                    "direction",
                    models.CharField(
                        blank=True,
                        choices=[("up", "Up"), ("down", "Down"), ("any", "Any")],
                        default="",
                        help_text="Of changes.",
                        max_length=4,
                    ),
                ),
                (
                    "window",
                    models.DurationField(
                        blank=True, help_text="Of changes and drawdowns.", null=True
                    ),
                ),
                ("repeats", models.BooleanField(default=False)),
                (
                    "hysteresis",
                    tracker.money.UnitsField(
                        decimal_places=30,
                        default=0,
                        help_text="Percent of the threshold.",
                        max_digits=60,
                    ),
                ),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("paused", "Paused"),
                            ("triggered", "told once, and over"),
                            ("impossible", "no market quotes the asset any more"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("armed", models.BooleanField(default=True)),
                ("judged_at", models.DateTimeField(default=tracker.clock.now)),
                ("told_count", models.PositiveIntegerField(default=0)),
                ("told_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                ("updated_at", models.DateTimeField(default=tracker.clock.now)),
                (
                    "asset",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="exchanges.asset",
                    ),
                ),
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
                "db_table": "price_alerts",
            },
        ),
        migrations.CreateModel(
            name="AlertFiring",
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
                ("at", models.DateTimeField()),
                (
                    "value",
                    tracker.money.UnitsField(
                        decimal_places=30,
                        help_text="The watched figure in the alert's unit.",
                        max_digits=60,
                    ),
                ),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="portfolios.pricealert",
                    ),
                ),
            ],
            options={
                "db_table": "alert_firings",
            },
        ),
        migrations.CreateModel(
            name="PriceRange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("currency", models.CharField(max_length=3)),
                ("step", models.DurationField()),
                ("at", models.DateTimeField(help_text="The first instant of the step.")),
                ("low", tracker.money.UnitsField(decimal_places=30, max_digits=60)),
                ("high", tracker.money.UnitsField(decimal_places=30, max_digits=60)),
                (
                    "asset",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="exchanges.asset",
                    ),
                ),
            ],
            options={
                "db_table": "price_ranges",
            },
        ),
        migrations.AddIndex(
            model_name="pricerange",
            index=models.Index(fields=["step", "at"], name="price_ranges_oldest"),
        ),
        migrations.AddConstraint(
            model_name="pricerange",
            constraint=models.UniqueConstraint(
                fields=("asset", "currency", "step", "at"), name="price_ranges_once"
            ),
        ),
        migrations.AddIndex(
            model_name="pricealert",
            index=models.Index(
                condition=models.Q(("armed", True), ("state", "active")),
                fields=["kind", "asset", "currency", "threshold"],
                name="price_alerts_armed",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricealert",
            constraint=models.CheckConstraint(
                condition=models.Q(("hysteresis__gte", 0), ("threshold__gt", 0)),
                name="price_alerts_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricealert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("asset__isnull", False), ("kind__startswith", "price_")),
                    models.Q(
                        models.Q(("kind__startswith", "price_"), _negated=True),
                        ("asset__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="price_alerts_asset",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricealert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ["price_change", "drawdown"]), ("window__isnull", False)),
                    models.Q(
                        models.Q(("kind__in", ["price_change", "drawdown"]), _negated=True),
                        ("window__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="price_alerts_window",
            ),
        ),
        migrations.AddIndex(
            model_name="pricealert",
            index=models.Index(fields=["user", "-created_at", "-id"], name="price_alerts_by_user"),
        ),
        migrations.AddIndex(
            model_name="pricealert",
            index=models.Index(fields=["updated_at"], name="price_alerts_changed"),
        ),
        migrations.AddConstraint(
            model_name="pricealert",
            constraint=models.UniqueConstraint(fields=("user", "id"), name="price_alerts_owner"),
        ),
        migrations.AddIndex(
            model_name="alertfiring",
            index=models.Index(fields=["user", "alert", "-at"], name="alert_firings_newest"),
        ),
        tenancy.protect("price_alerts"),
        tenancy.protect("alert_firings"),
        tenancy.same_owner("alert_firings", "alert_id", "price_alerts"),
    ]
