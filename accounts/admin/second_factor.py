"""Second factors as support sees them: that they exist, and when they were used."""

from django.contrib import admin

from accounts.models import Passkey, RecoveryCode, TotpDevice
from tracker.admin import ReadOnlyAdmin


class _DeviceAdmin(ReadOnlyAdmin):
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"


@admin.register(TotpDevice)
class TotpDeviceAdmin(_DeviceAdmin):
    """Authenticator apps; the seed is sealed and hidden."""

    list_display = ("user", "confirmed", "created_at", "confirmed_at", "last_used_at")
    hidden = ("last_step",)


@admin.register(Passkey)
class PasskeyAdmin(_DeviceAdmin):
    """Passkeys, without their keys."""

    list_display = ("user", "name", "created_at", "last_used_at", "backed_up")


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(_DeviceAdmin):
    """Recovery codes: how many, and when they were used."""

    list_display = ("user", "created_at", "used_at")
