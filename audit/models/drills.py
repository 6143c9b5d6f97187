"""What came of restoring a backup to see whether that works."""

from django.db import models

from tracker import clock, ids


class DrillResult(models.Model):
    """One restore drill, with everything that was looked at. About nobody."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    ran_at = models.DateTimeField(default=clock.now)
    # The copy's name; empty when there was none.
    backup = models.CharField(max_length=48, default="", blank=True)
    backup_made_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField()
    # From an empty database to the first query that was verified; null when it came to none.
    seconds = models.FloatField("seconds to the first verified query", null=True, blank=True)
    # [{"name", "ok", "said", "seconds"}, …] in the order in which they were looked at.
    steps = models.JSONField(default=list)

    class Meta:
        db_table = "drill_results"
        indexes = [
            # audit.drills.standing and the admin: the newest
            models.Index(fields=["-ran_at"], name="drill_results_newest"),
        ]

    def __str__(self) -> str:
        return f"drill of {self.ran_at:%Y-%m-%d %H:%M}"
