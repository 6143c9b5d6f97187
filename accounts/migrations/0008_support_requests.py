"""Support requests with their threads, answers written once for many, and who may see them."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import tracker.clock
import tracker.ids
from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="CannedReply",
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
                ("title", models.CharField(max_length=80)),
                (
                    "language",
                    models.CharField(default="en", help_text="Such as en or de.", max_length=16),
                ),
                (
                    "category",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("connection", "an exchange connection"),
                            ("figures", "figures that look wrong"),
                            ("billing", "plan and payments"),
                            ("sign_in", "signing in"),
                            ("security", "security"),
                            ("privacy", "my data"),
                            ("app", "the app"),
                            ("other", "something else"),
                        ],
                        default="",
                        help_text="Offered for requests of this category; empty: for all.",
                        max_length=16,
                    ),
                ),
                (
                    "text",
                    models.TextField(
                        help_text="{reference}, {subject} and {category} are filled in as it is inserted.",
                        max_length=10000,
                    ),
                ),
                ("created_at", models.DateTimeField(default=tracker.clock.now, editable=False)),
            ],
            options={
                "verbose_name_plural": "canned replies",
                "db_table": "canned_replies",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("language", "title"), name="canned_replies_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SupportRequest",
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
                ("reference", models.CharField(max_length=16)),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("connection", "an exchange connection"),
                            ("figures", "figures that look wrong"),
                            ("billing", "plan and payments"),
                            ("sign_in", "signing in"),
                            ("security", "security"),
                            ("privacy", "my data"),
                            ("app", "the app"),
                            ("other", "something else"),
                        ],
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(max_length=120)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("answered", "Answered"), ("closed", "Closed")],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("connection_id", models.UUIDField(blank=True, null=True)),
                ("diagnostics", models.JSONField(blank=True, default=dict)),
                ("snapshot", models.JSONField(blank=True, default=dict)),
                ("consented_at", models.DateTimeField(blank=True, null=True)),
                ("opened_at", models.DateTimeField(default=tracker.clock.now)),
                (
                    "waiting_since",
                    models.DateTimeField(blank=True, default=tracker.clock.now, null=True),
                ),
                ("first_answered_at", models.DateTimeField(blank=True, null=True)),
                (
                    "answered_at",
                    models.DateTimeField(blank=True, help_text="The newest answer.", null=True),
                ),
                ("last_message_at", models.DateTimeField(default=tracker.clock.now)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "closed_by",
                    models.CharField(
                        blank=True,
                        choices=[("person", "Person"), ("support", "Support"), ("time", "Time")],
                        default="",
                        max_length=8,
                    ),
                ),
                ("rating", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("rating_comment", models.CharField(blank=True, default="", max_length=2000)),
                (
                    "rated_at",
                    models.DateTimeField(blank=True, help_text="The first rating.", null=True),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "assigned_to",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="assigned_support_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="support_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "support_requests",
                "permissions": [
                    ("answer_supportrequest", "Can answer, annotate and close support requests"),
                    ("assign_supportrequest", "Can assign support requests to other staff"),
                ],
            },
        ),
        migrations.CreateModel(
            name="SupportMessage",
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
                        choices=[("person", "Person"), ("answer", "Answer"), ("note", "Note")],
                        max_length=8,
                    ),
                ),
                ("text", models.TextField(max_length=10000)),
                ("created_at", models.DateTimeField(default=tracker.clock.now)),
                (
                    "author",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="support_messages",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="messages",
                        to="accounts.supportrequest",
                    ),
                ),
            ],
            options={
                "db_table": "support_messages",
            },
        ),
        migrations.AddIndex(
            model_name="supportrequest",
            index=models.Index(
                fields=["user", "-last_message_at", "-id"], name="support_requests_list"
            ),
        ),
        migrations.AddIndex(
            model_name="supportrequest",
            index=models.Index(
                condition=models.Q(("waiting_since__isnull", False)),
                fields=["waiting_since"],
                name="support_requests_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="supportrequest",
            index=models.Index(
                condition=models.Q(("state", "answered")),
                fields=["answered_at"],
                name="support_requests_silent",
            ),
        ),
        migrations.AddIndex(
            model_name="supportrequest",
            index=models.Index(fields=["-opened_at"], name="support_requests_newest"),
        ),
        migrations.AddIndex(
            model_name="supportrequest",
            index=models.Index(
                condition=models.Q(("assigned_to__isnull", False)),
                fields=["assigned_to", "waiting_since"],
                name="support_requests_assigned",
            ),
        ),
        migrations.AddIndex(
            model_name="supportrequest",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", False)),
                fields=["closed_at"],
                name="support_requests_over",
            ),
        ),
        migrations.AddConstraint(
            model_name="supportrequest",
            constraint=models.UniqueConstraint(
                fields=("reference",), name="support_requests_reference"
            ),
        ),
        migrations.AddConstraint(
            model_name="supportrequest",
            constraint=models.UniqueConstraint(
                fields=("user", "id"), name="support_requests_owner"
            ),
        ),
        migrations.AddConstraint(
            model_name="supportrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("rating", None), ("rating__range", (1, 5)), _connector="OR"),
                name="support_requests_rating",
            ),
        ),
        migrations.AddConstraint(
            model_name="supportrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at__isnull", False), ("state", "closed")),
                    models.Q(models.Q(("state", "closed"), _negated=True), ("closed_at", None)),
                    _connector="OR",
                ),
                name="support_requests_closed",
            ),
        ),
        migrations.AddIndex(
            model_name="supportmessage",
            index=models.Index(fields=["user", "request", "id"], name="support_messages_thread"),
        ),
        migrations.AddIndex(
            model_name="supportmessage",
            index=models.Index(
                condition=models.Q(("kind", "person")),
                fields=["user", "created_at"],
                name="support_messages_of_late",
            ),
        ),
        migrations.AddIndex(
            model_name="supportmessage",
            index=models.Index(
                condition=models.Q(("author__isnull", False)),
                fields=["author"],
                name="support_messages_author",
            ),
        ),
        tenancy.protect("support_requests"),
        tenancy.protect("support_messages"),
        # Messages go with their request, also where retention deletes it by SQL alone.
        tenancy.same_owner("support_messages", "request_id", "support_requests"),
    ]
