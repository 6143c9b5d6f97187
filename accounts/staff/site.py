"""The admin site: nothing of it is reachable without a verified second factor (S52)."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from accounts.staff.verified import is_verified


class StaffSite(admin.AdminSite):
    """Django's admin site behind password and second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return self.knows_password(request) and is_verified(request.user)

    def knows_password(self, request: HttpRequest) -> bool:
        """Active staff, signed in by password; enough for the second step alone."""
        return super().has_permission(request)

    def get_urls(self) -> list[Any]:
        from accounts.staff import (  # models may be imported by now
            acting,
            finding,
            pages,
            person,
            viewing,
        )

        act, screen = acting.PersonActPage.as_view(), viewing.ScreenPage.as_view()
        own = [
            path(
                "people/<uuid:person_id>/do/<slug:slug>/", self.admin_view(act), name="person_act"
            ),
            path("people/<uuid:person_id>/as/", self.admin_view(screen), name="person_viewing"),
            path(
                "people/<uuid:person_id>/as/<slug:slug>/",
                self.admin_view(screen),
                name="person_screen",
            ),
            path("second-factor/", pages.SecondStepPage.as_view(site=self), name="second_factor"),
            path("enrol/", pages.EnrolPage.as_view(site=self), name="enrol"),
            path(
                "passkey-options/", pages.PasskeyOptions.as_view(site=self), name="passkey_options"
            ),
            path("start-again/", pages.StartAgain.as_view(), name="start_again"),
            path("people/<uuid:key>/", self.admin_view(person.PersonPage.as_view(site=self)),
                 name="person"),
            path("find/", self.admin_view(finding.FindPage.as_view(site=self)), name="find"),
        ]  # fmt: skip
        return own + super().get_urls()

    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The front page: tiles that answer whether anything is wrong, above Django's list."""
        from accounts.staff import home

        return super().index(request, {**home.shown(request), **(extra_context or {})})

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        from accounts.staff import pages

        return pages.PasswordPage.as_view(site=self)(request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        from accounts.staff import pages

        request.current_app = self.name
        context = {**self.each_context(request), **(extra_context or {})}
        done = reverse("admin:password_change_done", current_app=self.name)
        view = pages.OwnPasswordPage.as_view(success_url=done, extra_context=context)
        return view(request)

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        from accounts.staff import entry

        entry.record_leaving(request)
        return super().logout(request, extra_context)
