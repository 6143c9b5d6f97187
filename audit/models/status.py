"""What the status page tells: how each part of the service did by the minute and by the day, and
what staff wrote about disturbances. About nobody."""

from django.db import models

from tracker import clock, ids


class Health(models.TextChoices):
    """How a part did in one minute."""

    UP = "up", "works"
    DEGRADED = "degraded", "works in part"
    DOWN = "down", "does not work"


class StatusComponent(models.Model):
    """A part of the service as people know it: the API, one exchange, prices, billing."""

    key = models.CharField(primary_key=True, max_length=48)
    title = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "status_components"

    def __str__(self) -> str:
        return self.title


class ComponentMinute(models.Model):
    """One measured minute of one part. Kept for some days; the days are made of these."""

    pk = models.CompositePrimaryKey("component_id", "minute_at")
    component = models.ForeignKey(
        StatusComponent, models.CASCADE, related_name="minutes", db_index=False
    )
    minute_at = models.DateTimeField()
    health = models.CharField(max_length=8, choices=Health.choices)
    # For the service levels: of so many (requests, accounts, sources) so many were as promised.
    good = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "component_minutes"
        indexes = [
            # audit.measurements: roll up a day, forget old minutes
            models.Index(fields=["minute_at"], name="component_minutes_by_time"),
        ]


class ComponentDay(models.Model):
    """One day (UTC) of one part: in how many measured minutes it was how."""

    id = models.BigAutoField(primary_key=True)
    component = models.ForeignKey(
        StatusComponent, models.CASCADE, related_name="days", db_index=False
    )
    day = models.DateField()
    up = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    down = models.PositiveIntegerField(default=0)
    good = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "component_days"
        constraints = [
            models.UniqueConstraint(fields=["component", "day"], name="component_days_once"),
        ]
        indexes = [
            # the status page and the service levels: the last days of everything
            models.Index(fields=["day"], name="component_days_by_day"),
        ]


class Impact(models.TextChoices):
    """How much of a disturbance people feel."""

    MAINTENANCE = "maintenance", "planned maintenance"
    MINOR = "minor", "minor"
    MAJOR = "major", "major"
    CRITICAL = "critical", "critical"


class IncidentState(models.TextChoices):
    """How far a disturbance is dealt with."""

    INVESTIGATING = "investigating", "investigating"
    IDENTIFIED = "identified", "cause found"
    MONITORING = "monitoring", "repaired, being watched"
    RESOLVED = "resolved", "resolved"


class Incident(models.Model):
    """A disturbance as the status page tells it. Its state is that of its newest update."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    title = models.CharField(max_length=120, help_text="Shown to everybody.")
    impact = models.CharField(max_length=12, choices=Impact.choices, default=Impact.MINOR)
    components = models.ManyToManyField(StatusComponent, blank=True, related_name="+")
    state = models.CharField(
        max_length=14, choices=IncidentState.choices, default=IncidentState.INVESTIGATING,
        editable=False,
    )  # fmt: skip
    started_at = models.DateTimeField(default=clock.now, help_text="UTC.")
    resolved_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "incidents"
        indexes = [
            # the status page: newest first
            models.Index(fields=["-started_at"], name="incidents_newest"),
        ]

    def __str__(self) -> str:
        return self.title


class IncidentUpdate(models.Model):
    """What was said about a disturbance, and when."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="updates")
    state = models.CharField(max_length=14, choices=IncidentState.choices)
    text = models.TextField(
        max_length=2000, help_text="Shown to everybody: no names, no addresses, no amounts."
    )
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "incident_updates"

    def __str__(self) -> str:
        return self.get_state_display()
