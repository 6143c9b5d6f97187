"""People, their sessions and keys, and the links that were mailed to them."""

import unicodedata
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower

from tracker import clock, ids


class BaseCurrency(models.TextChoices):
    """In what a person wants to see value. The code is that of an asset."""

    USD = "USD", "USD"
    EUR = "EUR", "EUR"
    GBP = "GBP", "GBP"
    CHF = "CHF", "CHF"
    JPY = "JPY", "JPY"
    AUD = "AUD", "AUD"
    CAD = "CAD", "CAD"
    BTC = "BTC", "BTC"
    ETH = "ETH", "ETH"


class CostBasisMethod(models.TextChoices):
    """Which lot a disposal takes first."""

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"
    LOFO = "lofo"
    AVERAGE = "average"


class CostBasisScope(models.TextChoices):
    """From which accounts a disposal may take its lots."""

    ALL = "all", "all accounts together"
    ACCOUNT = "account", "the account where it happened"


class Theme(models.TextChoices):
    """How the app looks."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


def normalize_email(email: str) -> str:
    """One spelling per address: NFKC, no outer space, lower case throughout.

    The local part is case-sensitive by RFC 5321, but no provider treats it so, and people do not
    remember how they typed it.
    """
    return unicodedata.normalize("NFKC", email).strip().lower()


class UserManager(BaseUserManager["User"]):
    """What Django's commands expect of a user table."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=normalize_email(username or ""))


# The plugin cannot name the managers of django-otp's devices, which have no types.
class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]
    """A person, known by an e-mail address."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    password = models.CharField("password hash", max_length=128, db_column="password_hash")
    # When the person proved that the address is theirs; without it nothing is connected where
    # EMAIL_CONFIRMATION asks for it.
    email_confirmed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    is_active = models.BooleanField(default=True)
    # When everything of this person is to be erased; signing in before that cancels it.
    closes_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_staff = models.BooleanField(default=False)
    # A copy kept by billing for display and filters; entitlements decide.
    subscription_tier = models.CharField(max_length=32, default="free")
    base_currency = models.CharField(
        max_length=3, choices=BaseCurrency.choices, default=BaseCurrency.USD
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    locale = models.CharField(max_length=16, default="en")
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.SYSTEM)
    cost_basis_method = models.CharField(
        max_length=8, choices=CostBasisMethod.choices, default=CostBasisMethod.FIFO
    )
    cost_basis_scope = models.CharField(
        max_length=8, choices=CostBasisScope.choices, default=CostBasisScope.ALL
    )
    long_term_days = models.PositiveSmallIntegerField(
        default=365, help_text="A gain is long-term when units were held for more days than this."
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        db_table = "users"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="users_email_is_lower_case"
            ),
        ]
        indexes = [
            # admin: newest people first
            models.Index(fields=["-created_at"], name="users_newest"),
            # accounts.tasks.erase_closed_accounts: whose days of grace are over
            models.Index(
                fields=["closes_at"],
                name="users_closing",
                condition=models.Q(closes_at__isnull=False),
            ),
        ]
        # What staff may do for a person; who may is said in accounts.staff.roles.
        permissions = [
            ("resend_confirmation", "Can send the confirmation of an address again"),
            ("end_sessions", "Can end the sessions of a person"),
            ("lock_out", "Can lock a person out and let them in again"),
            ("ask_reset_second_factor", "Can ask for the reset of a second factor"),
            ("view_as", "Can see the app as a person who agreed"),
            ("start_export", "Can have a copy of a person's data made"),
            ("start_erasure", "Can close an account, which erases it"),
        ]

    def __str__(self) -> str:
        return self.email


class Session(models.Model):
    """One signed-in device. Tokens name their session; the row decides whether they count.

    Only a digest of the refresh token in force is stored.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sessions")
    refresh_digest = models.BinaryField(max_length=32)
    user_agent = models.CharField(max_length=256, default="", blank=True)
    device_name = models.CharField(max_length=64, default="", blank=True)
    platform = models.CharField(max_length=16, default="", blank=True)
    app_version = models.CharField(max_length=32, default="", blank=True)
    # The address from which the session was started; audit's session activity has the later ones.
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    authenticated_at = models.DateTimeField(default=clock.now)
    refreshed_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=32, default="", blank=True)

    class Meta:
        db_table = "sessions"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="sessions_owner"),
        ]
        indexes = [
            # accounts.retention: sessions that ended or ran out long ago
            models.Index(fields=["expires_at"], name="sessions_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"session of {self.created_at:%Y-%m-%d %H:%M}"


class AccountLink(models.Model):
    """A link that was mailed: single-use, expiring, for one purpose.

    The link itself is a signature over the row's id and user, made when the e-mail is written and
    stored nowhere; this row says whether it still counts.
    """

    class Purpose(models.TextChoices):
        CONFIRM_EMAIL = "confirm_email"
        CHANGE_EMAIL = "change_email"
        RESET_PASSWORD = "reset_password"  # noqa: S105

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="links", db_index=False)
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    # The address that the link confirms, or to which it was sent.
    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "account_links"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="account_links_owner"),
        ]
        indexes = [
            # accounts.retention: links that ran out
            models.Index(fields=["expires_at"], name="account_links_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} of {self.created_at:%Y-%m-%d %H:%M}"


class DataKey(models.Model):
    """A user's data key, wrapped by a master key. Without it everything sealed is unreadable."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="data_key")
    key_id = models.CharField(max_length=16)
    wrapped_key = models.BinaryField(max_length=256)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "user_data_keys"
        indexes = [
            # rotate_encryption_keys: those not yet wrapped by the current master key
            models.Index(fields=["key_id"], name="data_keys_by_master"),
        ]

    def __str__(self) -> str:
        return f"data key under {self.key_id}"


class IdempotencyRecord(models.Model):
    """The answer to a POST that carried an ``Idempotency-Key``, kept for a day.

    The answer is sealed with a key derived from the request itself (key and body), because it
    may hold tokens: who cannot repeat the request cannot read the answer.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+", db_index=False)
    key_digest = models.BinaryField(max_length=32, unique=True)
    body_digest = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(null=True)
    sealed_answer = models.BinaryField(null=True)
    locked_until = models.DateTimeField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "idempotency_records"
        indexes = [
            # accounts.tasks.forget_idempotency_keys
            models.Index(fields=["created_at"], name="idempotency_by_age"),
        ]

    def __str__(self) -> str:
        return f"answer of {self.created_at:%Y-%m-%d %H:%M}"
