"""Who is on which plan and why, what they used, and what Stripe told us.

Users are named by ``settings.AUTH_USER_MODEL``: this room stands below theirs.
"""

from django.conf import settings
from django.db import models

from tracker import clock, ids


class BillingAccount(models.Model):
    """What is in force for one person now: read with every request, written only by ``standing``.

    No row means the default plan. ``until`` is when ``tier`` gives way to ``next_tier`` by itself,
    so that a grant ends on its second although nobody recomputed anything.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    tier = models.CharField(max_length=32)
    until = models.DateTimeField(null=True, blank=True)
    next_tier = models.CharField(max_length=32, default="", blank=True)
    reason = models.CharField(max_length=16, default="", blank=True, help_text="Stable code.")
    stripe_customer_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    # Counts what was read from Stripe: who read before somebody else wrote reads again.
    revision = models.PositiveBigIntegerField(default=0)
    refreshed_at = models.DateTimeField(null=True, blank=True)
    # While a subscription is being begun: no second one is, whatever it would be for.
    begins_until = models.DateTimeField(null=True, blank=True)
    spending_cap = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, help_text="USD a month."
    )
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "billing_accounts"
        verbose_name = "billing account"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(spending_cap__isnull=True) | models.Q(spending_cap__gte=0),
                name="billing_accounts_cap_not_negative",
            ),
        ]
        indexes = [
            # standing.settle_due: whose plan gives way to another
            models.Index(
                fields=["until"], name="billing_accounts_until",
                condition=models.Q(until__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.tier


class Subscription(models.Model):
    """A subscription as Stripe has it, as of ``read_at``."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    stripe_id = models.CharField(max_length=64, unique=True)
    tier = models.CharField(max_length=32)
    status = models.CharField(max_length=24)
    price = models.DecimalField(
        max_digits=12, decimal_places=2, help_text="A month, in its currency."
    )
    currency = models.CharField(max_length=3)
    current_period_start = models.DateTimeField(null=True, blank=True)
    current_period_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    trial_end = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    # Since when payment is owed; the days of grace begin with it.
    past_due_since = models.DateTimeField(null=True, blank=True)
    # Why it gives no plan: its money went back ("refunded", "disputed"), or a trial for which
    # nobody has named a way to pay ("no_card"). Empty as usual.
    withdrawn = models.CharField(max_length=16, default="", blank=True)
    started_at = models.DateTimeField()
    read_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="subscriptions_owner"),
        ]
        permissions = [("view_revenue", "Can see what all subscriptions are worth together")]
        indexes = [
            # admin and revenue: newest first, and what ended when
            models.Index(fields=["-started_at"], name="subscriptions_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.tier} {self.status}"


class Invoice(models.Model):
    """An invoice as Stripe has it; its pages are read from there, not kept."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    stripe_id = models.CharField(max_length=64, unique=True)
    number = models.CharField(max_length=64, default="", blank=True)
    status = models.CharField(max_length=16)
    total = models.DecimalField(max_digits=14, decimal_places=3, help_text="In its currency.")
    paid = models.DecimalField(max_digits=14, decimal_places=3)
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField()
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "invoices"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="invoices_owner"),
        ]
        indexes = [
            # admin and revenue: newest first
            models.Index(fields=["-created_at"], name="invoices_newest"),
        ]

    def __str__(self) -> str:
        return self.number or self.stripe_id


class PlanGrant(models.Model):
    """A plan that staff gave somebody for a time, with a reason."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    tier = models.CharField(max_length=32)
    reason = models.CharField(max_length=200)
    granted_by = models.UUIDField(null=True, blank=True, help_text="Id of the member of staff.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "plan_grants"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="plan_grants_owner"),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="plan_grants_forward"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tier} until {self.ends_at:%Y-%m-%d}"


class StripeRequest(models.Model):
    """A request to Stripe that must have one effect: its row's id is the idempotency key (S38).

    The row is committed before the request is made and closed after it was answered. A second
    attempt at the same thing finds the open row, and Stripe answers it as it did the first.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    purpose = models.CharField(max_length=160, help_text="What is asked for, with its parameters.")
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "stripe_requests"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "purpose"], name="stripe_requests_open_once",
                condition=models.Q(closed_at__isnull=True),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.purpose


class StripeEvent(models.Model):
    """A verified message of Stripe's, and what became of it. What it says is read, not kept."""

    class State(models.TextChoices):
        RECEIVED = "received", "received"
        DONE = "done", "done"
        IGNORED = "ignored", "nothing to do"
        FAILED = "failed", "failed"

    id = models.CharField(primary_key=True, max_length=64, help_text="Stripe's own id.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+",
        db_index=False,
    )  # fmt: skip
    type = models.CharField(max_length=80)
    api_version = models.CharField(max_length=40, default="", blank=True)
    object_id = models.CharField(max_length=80, default="", blank=True)
    customer_id = models.CharField(max_length=64, default="", blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    reason = models.CharField(max_length=200, default="", blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(help_text="When it happened, by Stripe's clock.")
    received_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "stripe_events"
        indexes = [
            # webhooks.enqueue_due: what waits for its next attempt
            models.Index(
                fields=["next_attempt_at"], name="stripe_events_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            # admin: newest first; retention: oldest first
            models.Index(fields=["-received_at"], name="stripe_events_newest"),
            # erasure and export: one person's
            models.Index(fields=["user", "received_at"], name="stripe_events_of_user"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class UsageDay(models.Model):
    """Data calls of one person on one UTC day, by group of endpoints."""

    pk = models.CompositePrimaryKey("user_id", "day", "group")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    day = models.DateField()
    group = models.CharField(max_length=32, db_column="endpoint_group")
    calls = models.PositiveIntegerField()

    class Meta:
        db_table = "usage_days"
        indexes = [
            # retention, and usage charts over everybody
            models.Index(fields=["day"], name="usage_days_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.group} {self.calls}"


class UsageMonth(models.Model):
    """Data calls of one person in one UTC month; what of them was reported to Stripe and warned
    of."""

    pk = models.CompositePrimaryKey("user_id", "month")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    month = models.DateField(help_text="Its first day.")
    calls = models.PositiveIntegerField()
    # Each call is judged once, by the plan in force then: it was included, or it is billed.
    judged = models.PositiveIntegerField(default=0)
    beyond = models.PositiveIntegerField(default=0, help_text="Calls that are billed.")
    reported = models.PositiveIntegerField(default=0, help_text="Of these, told to Stripe.")
    # Calls of the month when the spending cap was lowered: that undoes nothing of them.
    let_through = models.PositiveIntegerField(default=0)
    warned = models.PositiveSmallIntegerField(default=0, help_text="Percent.")

    class Meta:
        db_table = "usage_months"
        indexes = [
            # usage.report_overage: the running month, everybody
            models.Index(fields=["month"], name="usage_months_by_month"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.calls}"


class UsageBatch(models.Model):
    """A flush of counters that was written: what is found in Redis with this id is not again."""

    id = models.UUIDField(primary_key=True)
    flushed_at = models.DateTimeField()

    class Meta:
        db_table = "usage_batches"
        indexes = [models.Index(fields=["flushed_at"], name="usage_batches_by_age")]  # forgetting

    def __str__(self) -> str:
        return f"{self.flushed_at:%Y-%m-%d %H:%M:%S}"


class MeterReport(models.Model):
    """Calls beyond the included ones that are told to Stripe's meter, once: the id tells it."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    month = models.DateField()
    calls = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=clock.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "meter_reports"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="meter_reports_owner"),
        ]
        indexes = [
            # usage.send_reports: what was not told yet
            models.Index(
                fields=["created_at"], name="meter_reports_unsent",
                condition=models.Q(sent_at__isnull=True),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.month:%Y-%m}"
