"""What a person proves themself with beside the password: TOTP, recovery codes, passkeys.

The two device tables are django-otp devices, so that admin and API ask the same rows. What is
secret in them is sealed or hashed.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django_otp.models import Device

from accounts.models.people import User
from tracker import clock, ids


class TotpDevice(Device):
    """An authenticator app: RFC 6238, SHA-1, 30 seconds, six digits. At most one counts."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="totp_devices")
    # Sealed with the user's data key for this row and field (tracker.vault).
    sealed_seed = models.BinaryField(max_length=512)
    # The last time step that was accepted; its code and earlier ones never count again.
    last_step = models.BigIntegerField(default=-1)
    created_at = models.DateTimeField(default=clock.now)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "totp_devices"
        verbose_name = "authenticator app"
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(confirmed=True), name="totp_one_that_counts"
            ),
        ]


class RecoveryCode(models.Model):
    """A single-use code for the day when the phone is lost; only a keyed digest is stored."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="recovery_codes", db_index=False)
    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=clock.now)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "recovery_codes"
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="recovery_codes_unique"),
        ]

    def __str__(self) -> str:
        return "used recovery code" if self.used_at else "recovery code"


class Passkey(Device):
    """A WebAuthn credential, discoverable: second factor, or the whole sign-in."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="passkeys")
    credential_id = models.BinaryField(max_length=1023)
    credential_digest = models.BinaryField(max_length=32)
    public_key = models.BinaryField(max_length=1023)
    sign_count = models.PositiveBigIntegerField(default=0)
    transports = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    aaguid = models.CharField(max_length=36, default="", blank=True)
    backed_up = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "passkeys"
        constraints = [
            models.UniqueConstraint(fields=["user", "credential_digest"], name="passkeys_unique"),
        ]
