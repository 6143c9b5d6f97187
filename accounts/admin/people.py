"""People, their sessions and the roles of staff, for support."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import admin as auth_admin
from django.contrib.auth import forms as auth_forms
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from accounts import support
from accounts.models import Session, User, normalize_email
from audit.admin import AuditedAdmin
from billing import plans
from tracker import clock, touching
from tracker.admin import ReadOnlyAdmin, column, one_of, person_url, staff_id

_PRIVILEGES = ("is_staff", "is_superuser", "groups", "user_permissions")
_CREATED: Any = column(User._meta.get_field("created_at"))
_CONFIRMED: Any = column(User._meta.get_field("email_confirmed_at"))
_CLOSES: Any = column(User._meta.get_field("closes_at"))
_LAST_LOGIN: Any = column(User._meta.get_field("last_login"))


class _EmailSpelling:
    """One spelling per address, as signing up has it."""

    def clean_email(self) -> str:
        return normalize_email(self.cleaned_data["email"])  # type: ignore[attr-defined]


class NewUserForm(_EmailSpelling, auth_forms.AdminUserCreationForm):
    """An e-mail address and a password."""

    class Meta:
        model = User
        fields = ("email",)


class UserForm(_EmailSpelling, auth_forms.UserChangeForm):
    """Everything but the password, of which not even the hash is shown."""

    password = None  # type: ignore[assignment]

    class Meta:
        model = User
        fields = "__all__"


class PasswordForm(auth_forms.AdminPasswordChangeForm):
    """A new password ends every session of the person (S09)."""

    def save(self, commit: bool = True) -> User:
        user = super().save(commit=commit)
        support.password_set(user=user, now=clock.now())
        return user


@admin.register(User)
class UserAdmin(AuditedAdmin, auth_admin.UserAdmin):
    """A person: what they chose, whether they may come in, and everything that is theirs.

    Only a superuser changes what staff may do, or another member of staff at all: otherwise who
    may change users could make themself anything.
    """

    form, add_form, change_password_form = UserForm, NewUserForm, PasswordForm
    list_display = (
        "email", "is_active", "subscription_tier", "is_staff", "currency", "created_at", "page",
    )  # fmt: skip
    list_filter = (
        "is_active", "is_staff", one_of("subscription_tier", plans.table()),
    )  # fmt: skip
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    search_fields = ("email",)
    search_help_text = "E-mail or id"
    readonly_fields = (
        "subscription_tier", "currency", "time_zone", "locale", "theme", "cost_basis_method",
        "cost_basis_scope", "long_term_days",
        _LAST_LOGIN, _CREATED, _CONFIRMED, _CLOSES, "password_link",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("email", "password_link", "is_active", "subscription_tier")}),
        (
            "Preferences",
            {
                "fields": (
                    "currency",
                    "time_zone",
                    "locale",
                    "theme",
                    "cost_basis_method",
                    "cost_basis_scope",
                    "long_term_days",
                )
            },
        ),
        ("Staff", {"fields": _PRIVILEGES}),
        ("Dates", {"fields": (_CREATED, _CONFIRMED, _LAST_LOGIN, _CLOSES)}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "usable_password", "password1", "password2")}),
    )  # fmt: skip
    linked_by = "user"
    actions = ("deactivate_people", "reactivate_people", "end_their_sessions")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, *_PRIVILEGES)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the way to a new password for those who only read."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (
                title,
                {**rest, "fields": [name for name in rest["fields"] if name != "password_link"]},
            )
            for title, rest in fieldsets
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or touching.may_act_on(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody is deleted by a form: erasure is a process of its own."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "email" in form.changed_data:
            support.email_set(user=obj, old=form.initial["email"], now=clock.now())
        if change and "is_active" in form.changed_data:
            self._let_in_or_out(request, obj)

    def _let_in_or_out(self, request: HttpRequest, person: User) -> None:
        if person.is_active:
            support.reactivate(users=[person], actor_id=staff_id(request))
        else:
            support.deactivate(users=[person], actor_id=staff_id(request), now=clock.now())

    @admin.display(description="base currency")
    def currency(self, user: User) -> str:
        return user.base_currency  # the code itself: Django's label of it reads "Usd"

    @admin.display(description="page")
    def page(self, user: User) -> str:
        return format_html('<a href="{}">Page of the person</a>', person_url(user.id))

    @admin.display(description="password")
    def password_link(self, user: User) -> str:
        state = "set" if user.has_usable_password() else "none"
        return format_html('{} (<a href="../password/">set a new one</a>)', state)

    @admin.action(permissions=["change"], description="Deactivate, and end all sessions")
    def deactivate_people(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        keys = self.chosen(request, queryset)
        people = list(User.objects.filter(id__in=keys))
        support.deactivate(users=people, actor_id=staff_id(request), now=clock.now())
        self.tell(request, "Deactivated", done=len(people), skipped=len(keys) - len(people))

    @admin.action(permissions=["change"], description="Let in again")
    def reactivate_people(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        keys = self.chosen(request, queryset)
        people = list(User.objects.filter(id__in=keys))
        support.reactivate(users=people, actor_id=staff_id(request))
        self.tell(request, "Let in again", done=len(people), skipped=len(keys) - len(people))

    @admin.action(permissions=["change"], description="End all sessions")
    def end_their_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        keys = self.chosen(request, queryset)
        people = list(User.objects.filter(id__in=keys))
        ended = support.end_sessions(users=people, actor_id=staff_id(request), now=clock.now())
        text = f"{ended} sessions ended, of people"
        self.tell(request, text, done=len(people), skipped=len(keys) - len(people))


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Signed-in devices."""

    list_display = (
        "user", "device_name", "platform", "created_at", "refreshed_at", "expires_at", "ended_at",
        "end_reason", "ip_address", "user_agent",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(AuditedAdmin, auth_admin.GroupAdmin):
    """Roles of staff."""
