"""Tables of strategies, their watches and signals, and backtests.

Policies and composite keys in SQL, because the ORM can declare neither.
"""

import django.contrib.postgres.fields
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
        ("portfolios", "0007_sync_timelines"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Strategy",
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
                ("name", models.CharField(max_length=64)),
                (
                    "kind",
                    models.CharField(
                        help_text="A key of the catalogue, or “custom”.", max_length=32
                    ),
                ),
                ("parameters", models.JSONField(default=dict)),
                ("rules", models.JSONField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                ("updated_at", models.DateTimeField(default=tracker.clock.now)),
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
                "verbose_name_plural": "strategies",
                "db_table": "strategies",
            },
        ),
        migrations.CreateModel(
            name="StrategySignal",
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
                ("interval", models.CharField(max_length=4)),
                ("at", models.DateTimeField(help_text="When the candle closed.")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("buy", "Buy"),
                            ("increase", "Increase"),
                            ("reduce", "Reduce"),
                            ("sell", "Sell"),
                        ],
                        max_length=8,
                    ),
                ),
                ("share_before", tracker.money.UnitsField(decimal_places=30, max_digits=60)),
                ("share_wanted", tracker.money.UnitsField(decimal_places=30, max_digits=60)),
                (
                    "price",
                    tracker.money.UnitsField(
                        decimal_places=30,
                        help_text="The close, US dollars for one unit.",
                        max_digits=60,
                    ),
                ),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                (
                    "asset",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="exchanges.asset",
                    ),
                ),
                (
                    "strategy",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="portfolios.strategy",
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
                "db_table": "strategy_signals",
            },
        ),
        migrations.CreateModel(
            name="StrategyWatch",
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
                    "assets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), blank=True, default=list, size=None
                    ),
                ),
                ("interval", models.CharField(max_length=4)),
                ("judged_through", models.DateTimeField(blank=True, null=True)),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("wanted", models.JSONField(default=dict)),
                ("error", models.CharField(blank=True, default="", max_length=48)),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                (
                    "strategy",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="portfolios.strategy",
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
                "verbose_name_plural": "strategy watches",
                "db_table": "strategy_watches",
            },
        ),
        migrations.CreateModel(
            name="Backtest",
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
                    "strategy_id",
                    models.UUIDField(help_text="It may be gone, or be another one by now."),
                ),
                ("strategy_name", models.CharField(max_length=64)),
                (
                    "definition",
                    models.JSONField(help_text="Kind, parameters and rules as they were."),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("run", "one simulation"),
                            ("sweep", "one simulation for each combination of parameters"),
                            (
                                "walk_forward",
                                "parameters chosen on the past, tried on what follows",
                            ),
                            ("look_ahead", "whether any decision depends on the future"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "options",
                    models.JSONField(default=dict, help_text="Of sweeps and walk-forward tests."),
                ),
                (
                    "assets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                ("interval", models.CharField(max_length=4)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                (
                    "cash",
                    tracker.money.ValueField(
                        decimal_places=8, help_text="US dollars at the beginning.", max_digits=28
                    ),
                ),
                (
                    "fee",
                    tracker.money.UnitsField(
                        decimal_places=30, help_text="A share of what is traded.", max_digits=60
                    ),
                ),
                (
                    "fee_source",
                    models.CharField(help_text="given, own_fills or default", max_length=12),
                ),
                (
                    "slippage",
                    tracker.money.UnitsField(
                        decimal_places=30, help_text="A share of the price.", max_digits=60
                    ),
                ),
                (
                    "fills_gaps",
                    models.BooleanField(default=False, help_text="Carry the last price on."),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "for candles, or for a worker"),
                            ("running", "being computed"),
                            ("done", "computed"),
                            ("failed", "could not be computed"),
                            ("cancelled", "stopped by the person"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("cancel_asked", models.BooleanField(default=False)),
                ("done", models.PositiveIntegerField(default=0)),
                ("planned", models.PositiveIntegerField(default=0)),
                ("error", models.CharField(blank=True, default="", max_length=48)),
                ("message", models.CharField(blank=True, default="", max_length=300)),
                (
                    "result",
                    models.JSONField(
                        blank=True, help_text="Figures, comparisons, warnings.", null=True
                    ),
                ),
                ("details", models.JSONField(blank=True, null=True)),
                ("result_hash", models.CharField(blank=True, default="", max_length=64)),
                ("leased_until", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("looked_after", models.DateTimeField(blank=True, null=True)),
                ("awaited_since", models.DateTimeField(blank=True, null=True)),
                ("swept_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
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
                "db_table": "backtests",
                "indexes": [
                    models.Index(fields=["user", "-created_at", "-id"], name="backtests_newest"),
                    models.Index(
                        condition=models.Q(("state__in", ["waiting", "running"])),
                        fields=["created_at"],
                        name="backtests_open",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="strategy",
            constraint=models.UniqueConstraint(fields=("user", "id"), name="strategies_owner"),
        ),
        migrations.AddConstraint(
            model_name="strategy",
            constraint=models.UniqueConstraint(
                fields=("user", "name"), name="strategies_named_once"
            ),
        ),
        migrations.AddIndex(
            model_name="strategysignal",
            index=models.Index(fields=["user", "-at", "-id"], name="strategy_signals_newest"),
        ),
        migrations.AddConstraint(
            model_name="strategysignal",
            constraint=models.UniqueConstraint(
                fields=("user", "strategy", "asset", "interval", "at"), name="strategy_signals_once"
            ),
        ),
        migrations.AddIndex(
            model_name="strategywatch",
            index=models.Index(fields=["next_check_at"], name="strategy_watches_due"),
        ),
        migrations.AddConstraint(
            model_name="strategywatch",
            constraint=models.UniqueConstraint(
                fields=("user", "strategy"), name="strategy_watches_once"
            ),
        ),
        tenancy.protect("strategies"),
        tenancy.protect("strategy_watches"),
        tenancy.protect("strategy_signals"),
        tenancy.protect("backtests"),
        tenancy.same_owner("strategy_watches", "strategy_id", "strategies"),
        tenancy.same_owner("strategy_signals", "strategy_id", "strategies"),
    ]
