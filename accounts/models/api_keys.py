"""Keys for programmatic access."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models.people import User
from tracker import clock, ids


class ApiKey(models.Model):
    """Shown once, stored as a digest; found by its prefix."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys", db_index=False)
    name = models.CharField(max_length=64)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=32))
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.GenericIPAddressField(null=True, blank=True)
    # From where it was used, the last ones of all; a new one is worth a look.
    known_addresses = ArrayField(models.GenericIPAddressField(), default=list, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "api_keys"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="api_keys_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
