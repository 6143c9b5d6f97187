"""The pages before the admin: password, second factor, enrolment."""

import json
from typing import Any
from uuid import UUID

from django.contrib import auth
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView, RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from django.views import View
from django.views.decorators.cache import never_cache

from accounts import second_factor, shield, support
from accounts.second_factor import changes, passkeys
from accounts.second_factor.changes import SecondFactorExists
from accounts.second_factor.errors import SecondFactorRejected
from accounts.staff import entry
from tracker import api, clock
from tracker.errors import DomainError

# Under this name the session holds which seed of an authenticator app it was shown.
_BEGUN = "staff_totp_begun"


@method_decorator(never_cache, name="dispatch")
class _Page(RedirectURLMixin, View):
    """Renders a template of its own with the admin's frame around it, and remembers ``next``."""

    site: Any = None
    template = title = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """What a page has no answer for is at least said: no key opens what is stored, say."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except DomainError as problem:
            shown = {**self.site.each_context(request), "title": self.title}
            shown["problem"] = problem.text
            return render(request, "admin/staff/base.html", shown, status=problem.status)

    def get_default_redirect_url(self) -> str:
        return reverse("admin:index")

    def show(self, request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
        context = {
            **self.site.each_context(request), "title": self.title, "subtitle": None,
            "next": self.get_redirect_url(), "rp_id": passkeys.rp_id(), **context,
        }  # fmt: skip
        return render(request, self.template, context, status=status)

    def refuse(self, request: HttpRequest, problem: DomainError, **context: Any) -> HttpResponse:
        """The page again, with one sentence about what was wrong."""
        response = self.show(request, status=problem.status, problem=problem.text, **context)
        if problem.retry_after is not None:
            response["Retry-After"] = str(problem.retry_after)
        return response

    def step(self, name: str) -> HttpResponseRedirect:
        wanted = self.get_redirect_url()
        query = f"?{urlencode({'next': wanted})}" if wanted else ""
        return HttpResponseRedirect(reverse(f"admin:{name}") + query)

    def onwards(self, request: HttpRequest) -> HttpResponseRedirect | None:
        """To where somebody belongs who should not be on this page; None when they should."""
        if self.site.has_permission(request):
            return HttpResponseRedirect(self.get_success_url())
        if not self.site.knows_password(request):
            return self.step("login")
        return None


class PasswordPage(_Page):
    """The first step: e-mail and password, or a passkey for both steps at once."""

    template, title = "admin/staff/password.html", "Log in"

    def get(self, request: HttpRequest) -> HttpResponse:
        if self.site.knows_password(request):
            return self.onwards(request) or self.step("second_factor")
        return self.show(request, form=AdminAuthenticationForm(request))

    def post(self, request: HttpRequest) -> HttpResponse:
        email = request.POST.get("username", "")
        form = AdminAuthenticationForm(request, data=request.POST)
        try:
            shield.check(request, group="admin", email=email)
            if "passkey" in request.POST:
                entry.with_passkey(request, _credential(request), clock.now())
                return HttpResponseRedirect(self.get_success_url())
            if form.is_valid():
                entry.password_was_right(request, form.get_user())
                return self.step("second_factor")
            entry.password_was_wrong(request, email)
        except DomainError as problem:
            return self.refuse(request, problem, form=AdminAuthenticationForm(request))
        return self.show(request, form=form)


class SecondStepPage(_Page):
    """The second step: a code of the authenticator app, a recovery code, or a passkey."""

    template, title = "admin/staff/second_factor.html", "Second factor"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._elsewhere(request) or self.show(request, methods=self._methods(request))

    def post(self, request: HttpRequest) -> HttpResponse:
        elsewhere = self._elsewhere(request)
        if elsewhere:
            return elsewhere
        try:
            entry.second_factor_shown(request, _proof(request), clock.now())
        except DomainError as problem:
            return self.refuse(request, problem, methods=self._methods(request))
        return HttpResponseRedirect(self.get_success_url())

    def _elsewhere(self, request: HttpRequest) -> HttpResponse | None:
        onwards = self.onwards(request)
        if onwards is None and not self._methods(request):
            return self.step("enrol")
        return onwards

    def _methods(self, request: HttpRequest) -> list[str]:
        return second_factor.methods(_user_id(request))


class EnrolPage(_Page):
    """For staff who have no second factor yet: the only page that they can reach."""

    template, title = "admin/staff/enrol.html", "Set up your second factor"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._elsewhere(request) or self._offer(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        elsewhere = self._elsewhere(request)
        if elsewhere:
            return elsewhere
        try:
            method, codes = self._add(request)
        except SecondFactorExists:
            return self.step("second_factor")
        except DomainError as problem:
            return self._offer(request, problem)
        entry.let_in(request, method)
        codes_page = {**self.site.each_context(request), "title": "Recovery codes"}
        codes_page |= {"codes": codes, "next": self.get_success_url()}
        return render(request, "admin/staff/recovery_codes.html", codes_page)

    def _add(self, request: HttpRequest) -> tuple[str, list[str]]:
        person: dict[str, Any] = {
            "user_id": _user_id(request), "keep": None, "now": clock.now(), "only_first": True
        }  # fmt: skip
        if "passkey" in request.POST:
            added = changes.add_passkey(credential=_credential(request), name="", **person)
            return second_factor.PASSKEY, added.recovery_codes
        added = changes.confirm_totp(code=_typed(request), **person)
        return second_factor.TOTP, added.recovery_codes

    def _offer(self, request: HttpRequest, problem: DomainError | None = None) -> HttpResponse:
        user: Any = request.user
        known = request.session.get(_BEGUN)
        begun = changes.waiting_totp(
            user_id=user.id, device_id=known and UUID(known), email=user.email, now=clock.now()
        )
        request.session[_BEGUN] = str(begun.device_id)
        # Made by segno from numbers of ours: a path without any text of the person.
        shown: dict[str, Any] = {"secret": begun.secret, "qr": mark_safe(begun.qr_svg)}  # noqa: S308
        return self.refuse(request, problem, **shown) if problem else self.show(request, **shown)

    def _elsewhere(self, request: HttpRequest) -> HttpResponse | None:
        onwards = self.onwards(request)
        if onwards is None and second_factor.methods(_user_id(request)):
            return self.step("second_factor")
        return onwards


class OwnPasswordForm(AdminPasswordChangeForm):
    """A new password ends whatever the old one opened (S09), for staff as for everybody."""

    def save(self, commit: bool = True) -> Any:
        user: Any = super().save(commit=commit)
        support.own_password_set(user=user, now=clock.now())
        return user


class OwnPasswordPage(PasswordChangeView):
    """Staff give themself a new password. Who found the page open has to guess the old one."""

    form_class = OwnPasswordForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user: Any = request.user
        form = self.get_form()
        try:
            shield.check(request, group="admin", email=user.email)
            if "old_password" in form.errors:
                entry.own_password_was_wrong(request)
        except DomainError as problem:
            return self._refused(problem)
        if "old_password" not in form.errors:
            shield.succeeded(request, user.email)
        return self.form_valid(form) if form.is_valid() else self.form_invalid(form)

    def _refused(self, problem: DomainError) -> HttpResponse:
        shown = {**(self.extra_context or {}), "title": self.title, "problem": problem.text}
        response = render(self.request, "admin/staff/base.html", shown, status=problem.status)
        if problem.retry_after is not None:
            response["Retry-After"] = str(problem.retry_after)
        return response


@method_decorator(never_cache, name="dispatch")
class PasskeyOptions(View):
    """What the page's script hands to the authenticator."""

    site: Any = None

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            shield.check(request, group="passkey_options")
            return JsonResponse(self._options(request))
        except DomainError as problem:
            return JsonResponse(api.error_body(problem.code, problem.text), status=problem.status)

    def _options(self, request: HttpRequest) -> dict[str, Any]:
        now, user = clock.now(), request.user
        if not self.site.knows_password(request):
            return passkeys.authentication_options(user_id=None, now=now)
        if second_factor.methods(_user_id(request)):
            return passkeys.authentication_options(user_id=user.pk, now=now)
        return changes.passkey_options(user=user, now=now)  # type: ignore[arg-type]


class StartAgain(View):
    """Back to the first step, as somebody else perhaps."""

    def post(self, request: HttpRequest) -> HttpResponse:
        auth.logout(request)
        return redirect("admin:login")


def _user_id(request: HttpRequest) -> Any:
    return request.user.pk


def _typed(request: HttpRequest) -> str:
    return "".join(request.POST.get("code", "")[:64].split())


def _proof(request: HttpRequest) -> dict[str, Any]:
    if "passkey" in request.POST:
        return {second_factor.PASSKEY: _credential(request)}
    code = _typed(request)
    name = second_factor.TOTP if code.isascii() and code.isdigit() else second_factor.RECOVERY_CODE
    return {name: code}


def _credential(request: HttpRequest) -> Any:
    try:
        return json.loads(request.POST.get("passkey", ""))
    except (ValueError, RecursionError):
        raise SecondFactorRejected from None
