"""What support was let see, when it looked, and resets that it was asked for; for reading."""

from django.contrib import admin

from accounts.models import SecondFactorReset, SupportAccess, SupportViewing
from tracker.admin import ReadOnlyAdmin, one_of


class _OfAPerson(ReadOnlyAdmin):
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"


@admin.register(SecondFactorReset)
class SecondFactorResetAdmin(_OfAPerson):
    """Removals of second factors; done a day after they were asked for."""

    list_display = ("user", "state", "asked_at", "due_at", "ended_at", "asked_by", "reason")
    list_filter = (one_of("state", SecondFactorReset.State.values),)


@admin.register(SupportAccess)
class SupportAccessAdmin(_OfAPerson):
    """Who let support see their app, and until when."""

    list_display = ("user", "given_at", "until", "ended_at")


@admin.register(SupportViewing)
class SupportViewingAdmin(_OfAPerson):
    """Each time that somebody of support looked."""

    list_display = ("user", "actor_id", "began_at", "ends_at", "ended_at", "pages", "reason")
