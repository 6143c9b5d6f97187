"""What people ask support, what is answered, and answers that are written once for many."""

from django.conf import settings
from django.db import models

from accounts.models.people import User
from tracker import clock, ids

LONGEST_SUBJECT, LONGEST_TEXT, LONGEST_COMMENT = 120, 10_000, 2_000


def _staff(related_name: str = "+") -> models.ForeignKey:
    """A member of staff, without a constraint in the database: erasing one empties it."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True,
        related_name=related_name, db_constraint=False, db_index=False,
    )  # fmt: skip


class SupportCategory(models.TextChoices):
    """What a request is about, as the person chooses; staff may correct it."""

    CONNECTION = "connection", "an exchange connection"
    FIGURES = "figures", "figures that look wrong"
    BILLING = "billing", "plan and payments"
    SIGN_IN = "sign_in", "signing in"
    SECURITY = "security", "security"
    PRIVACY = "privacy", "my data"
    APP = "app", "the app"
    OTHER = "other", "something else"


class SupportRequest(models.Model):
    """One matter of one person, from opening it to closing it."""

    class State(models.TextChoices):
        OPEN = "open"  # waits for us
        ANSWERED = "answered"  # waits for the person
        CLOSED = "closed"

    class ClosedBy(models.TextChoices):
        PERSON = "person"
        SUPPORT = "support"
        TIME = "time"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="support_requests", db_index=False)
    # For people to say and write; the API knows the id alone.
    reference = models.CharField(max_length=16)
    category = models.CharField(max_length=16, choices=SupportCategory.choices)
    subject = models.CharField(max_length=LONGEST_SUBJECT)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    # Which exchange connection it is about; no foreign key, because connections are removed.
    connection_id = models.UUIDField(null=True, blank=True)
    # What the app sent and what we found ourselves, both with the person's consent only.
    diagnostics = models.JSONField(default=dict, blank=True)
    snapshot = models.JSONField(default=dict, blank=True)
    consented_at = models.DateTimeField(null=True, blank=True)
    assigned_to = _staff("assigned_support_requests")
    opened_at = models.DateTimeField(default=clock.now)
    # Since when the person waits for an answer; unset while they do not.
    waiting_since = models.DateTimeField(default=clock.now, null=True, blank=True)
    first_answered_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True, help_text="The newest answer.")
    last_message_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=8, choices=ClosedBy.choices, default="", blank=True)
    rating = models.PositiveSmallIntegerField(null=True, blank=True)
    rating_comment = models.CharField(max_length=LONGEST_COMMENT, default="", blank=True)
    rated_at = models.DateTimeField(null=True, blank=True, help_text="The first rating.")
    # Grows with each message and change of state, so that nobody answers what they have not seen.
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "support_requests"
        permissions = [
            ("answer_supportrequest", "Can answer, annotate and close support requests"),
            ("assign_supportrequest", "Can assign support requests to other staff"),
        ]
        constraints = [
            # accounts.helpdesk.references, admin: somebody reads it out on the telephone, so it
            # names one request among everybody's
            models.UniqueConstraint(fields=["reference"], name="support_requests_reference"),
            models.UniqueConstraint(fields=["user", "id"], name="support_requests_owner"),
            models.CheckConstraint(
                condition=models.Q(rating=None) | models.Q(rating__range=(1, 5)),
                name="support_requests_rating",
            ),
            models.CheckConstraint(
                condition=models.Q(state="closed", closed_at__isnull=False)
                | (~models.Q(state="closed") & models.Q(closed_at=None)),
                name="support_requests_closed",
            ),
        ]
        indexes = [
            # GET /support/requests: a person's, the last touched first
            models.Index(fields=["user", "-last_message_at", "-id"], name="support_requests_list"),
            # admin and its front page: who waits, the longest first
            models.Index(
                fields=["waiting_since"], name="support_requests_waiting",
                condition=models.Q(waiting_since__isnull=False),
            ),
            # accounts.helpdesk.closing: what was answered long ago and is silent since
            models.Index(
                fields=["answered_at"], name="support_requests_silent",
                condition=models.Q(state="answered"),
            ),
            # admin: newest first; accounts.helpdesk.figures: by week of opening
            models.Index(fields=["-opened_at"], name="support_requests_newest"),
            # admin: what a member of staff has to do
            models.Index(
                fields=["assigned_to", "waiting_since"], name="support_requests_assigned",
                condition=models.Q(assigned_to__isnull=False),
            ),
            # accounts.privacy.retention: what was closed long ago
            models.Index(
                fields=["closed_at"], name="support_requests_over",
                condition=models.Q(closed_at__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.reference


class SupportMessage(models.Model):
    """A line of the thread: the person's, an answer, or a note that staff leave each other."""

    class Kind(models.TextChoices):
        PERSON = "person"
        ANSWER = "answer"
        NOTE = "note"  # never shown to the person; their copy of their data has it

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="support_messages", db_index=False)
    # The constraint is the composite one, which also deletes them with the request.
    request = models.ForeignKey(
        SupportRequest, models.CASCADE, related_name="messages", db_index=False,
        db_constraint=False,
    )  # fmt: skip
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # Who of staff wrote it. People read "Support", never a name or an address.
    author = _staff()
    text = models.TextField(max_length=LONGEST_TEXT)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "support_messages"
        indexes = [
            # GET /support/requests/{id}, admin: one thread in its order
            models.Index(
                fields=["user", "request", "id"], name="support_messages_thread"
            ),
            # accounts.helpdesk.limits: what a person wrote within the hour
            models.Index(
                fields=["user", "created_at"], name="support_messages_of_late",
                condition=models.Q(kind="person"),
            ),
            # accounts.privacy.erasure: what a member of staff wrote
            models.Index(
                fields=["author"], name="support_messages_author",
                condition=models.Q(author__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.kind} of {self.created_at:%Y-%m-%d %H:%M}"


class CannedReply(models.Model):
    """An answer that is written once for many; staff change it before it goes out."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    title = models.CharField(max_length=80)
    language = models.CharField(max_length=16, default="en", help_text="Such as en or de.")
    category = models.CharField(
        max_length=16, choices=SupportCategory.choices, default="", blank=True,
        help_text="Offered for requests of this category; empty: for all.",
    )  # fmt: skip
    text = models.TextField(
        max_length=LONGEST_TEXT,
        help_text="{reference}, {subject} and {category} are filled in as it is inserted.",
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        db_table = "canned_replies"
        verbose_name_plural = "canned replies"
        constraints = [
            models.UniqueConstraint(fields=["language", "title"], name="canned_replies_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.language})"
