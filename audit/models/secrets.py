"""Since when each secret is in force, so that an old one is noticed."""

from django.db import models

from tracker import clock


class SecretInUse(models.Model):
    """A secret of the environment, by a digest that tells nothing about it. About nobody."""

    name = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=32)
    first_seen_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "secrets_in_use"
        constraints = [
            # audit.secrets_in_use reads all of them: a few rows per rotation
            models.UniqueConstraint(fields=["name", "fingerprint"], name="secrets_in_use_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} since {self.first_seen_at:%Y-%m-%d}"
