"""What support was let do or asked for on an account: looking on, and resets that wait.

Staff are named by their ids alone: a row outlives the account of who acted.
"""

from datetime import datetime

from django.db import models

from accounts.models.people import User
from tracker import clock, ids


class SecondFactorReset(models.Model):
    """Staff asked to remove somebody's second factors; done after a day, unless it is cancelled."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        CANCELLED = "cancelled"
        NOT_NEEDED = "not_needed"  # one was shown or added meanwhile, or they are locked out

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        User, models.CASCADE, related_name="second_factor_resets", db_index=False
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=500)
    asked_by = models.UUIDField(help_text="Id of the member of staff.")
    asked_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.UUIDField(
        null=True, blank=True, help_text="Id of the member of staff; empty where it was the person."
    )

    class Meta:
        db_table = "second_factor_resets"
        verbose_name = "second factor reset"
        constraints = [
            # Asked for twice is one; also finds the one that waits.
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(state="waiting"),
                name="second_factor_resets_one",
            ),
            # archive: one person's rows in order
            models.UniqueConstraint(fields=["user", "id"], name="second_factor_resets_owner"),
        ]  # fmt: skip
        indexes = [
            # accounts.tasks.apply_second_factor_resets: which are due
            models.Index(
                fields=["due_at"], condition=models.Q(state="waiting"),
                name="second_factor_resets_due",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"reset of {self.asked_at:%Y-%m-%d %H:%M}"


class SupportAccess(models.Model):
    """A person lets support see what the app shows them, until an instant or until they end it."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="support_accesses", db_index=False)
    given_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "support_accesses"
        verbose_name_plural = "support accesses"
        constraints = [
            # Given anew replaces the one before; also finds the one in force.
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(ended_at=None), name="support_accesses_one"
            ),
            # support_viewings.access points here; archive: one person's rows in order
            models.UniqueConstraint(fields=["user", "id"], name="support_accesses_owner"),
        ]

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d %H:%M}"


class SupportViewing(models.Model):
    """A member of staff looks on: at most half an hour, and no longer than they are let."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="support_viewings", db_index=False)
    access = models.ForeignKey(
        SupportAccess, models.CASCADE, related_name="viewings", db_index=False, db_constraint=False
    )
    actor_id = models.UUIDField(help_text="Id of the member of staff.")
    reason = models.CharField(max_length=500)
    began_at = models.DateTimeField(default=clock.now)
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    pages = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "support_viewings"
        constraints = [
            # Begun twice is one; also finds the one that runs.
            models.UniqueConstraint(
                fields=["user", "actor_id"], condition=models.Q(ended_at=None),
                name="support_viewings_one",
            ),
            # the API's history and archive: one person's rows in order
            models.UniqueConstraint(fields=["user", "id"], name="support_viewings_owner"),
        ]  # fmt: skip
        indexes = [
            # removing an access takes its viewings along
            models.Index(fields=["user", "access"], name="support_viewings_of_access"),
        ]

    def __str__(self) -> str:
        return f"viewing of {self.began_at:%Y-%m-%d %H:%M}"

    @property
    def ended_early_at(self) -> datetime | None:
        """When somebody ended it before its time; one that ran out was ended by nobody."""
        return self.ended_at if self.ended_at and self.ended_at < self.ends_at else None
