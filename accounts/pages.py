"""Pages that links in e-mails open: plain HTML, no script, nothing from elsewhere.

Opening one changes nothing, because mail scanners and previews open links too; the button does.
The token stands in the address once. It reaches no log (query strings are not logged), no other
site (``Referrer-Policy``) and no cache.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import addresses, confirmation, links, passwords, shield, unsubscribing
from accounts.events import TITLES
from accounts.models import AccountLink
from accounts.second_factor import resets
from tracker import clock
from tracker.api import InvalidInput, OutOfOrder
from tracker.errors import DomainError

Purpose = AccountLink.Purpose
View = Callable[[HttpRequest], HttpResponse]

_CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def public_page(view: View) -> View:
    """A page for people: errors as sentences, no script, no framing."""

    @wraps(view)
    @require_http_methods(["GET", "HEAD", "POST"])
    def page(request: HttpRequest) -> HttpResponse:
        try:
            response = view(request)
        except DomainError as problem:
            response = failed(request, problem)
        response["Content-Security-Policy"] = _CONTENT_POLICY
        return response

    return page


def _link_page(view: View) -> View:
    """A public page whose address holds a token."""

    @wraps(view)
    @public_page
    def page(request: HttpRequest) -> HttpResponse:
        try:
            shield.check(request, group="pages")
            response = view(request)
        except DomainError as problem:
            response = failed(request, problem)
        return _unkept(response)

    return page


def _unkept(response: HttpResponse) -> HttpResponse:
    """The token stays out of caches and of what other sites are told."""
    response["Cache-Control"] = "no-store"
    # Not "no-referrer": browsers would then send "Origin: null" with the form, and the check
    # against forged requests refuse it. The origin alone holds no token.
    response["Referrer-Policy"] = "strict-origin"
    return response


@_link_page
def confirm_email(request: HttpRequest) -> HttpResponse:
    """``/confirm-email``: sign-up."""
    now = clock.now()
    if request.method == "POST":
        user = confirmation.confirm(token=_token(request), now=now)
        return done(request, "Thank you", f"{user.email} is confirmed. You can go on in the app.")
    confirmation.check(token=_token(request), now=now)
    return _ask(
        request, Purpose.CONFIRM_EMAIL, now, title="Confirm your e-mail address",
        text="Is this your address, and did you sign up with it?", button="Confirm address",
    )  # fmt: skip


@_link_page
def confirm_new_email(request: HttpRequest) -> HttpResponse:
    """``/confirm-new-email``: change of address."""
    if request.method == "POST":
        user = addresses.confirm_change(token=_token(request), now=clock.now())
        return done(
            request, "Address changed", f"From now on you sign in with {user.email}."
        )  # fmt: skip
    return _ask(
        request, Purpose.CHANGE_EMAIL, clock.now(), title="Confirm your new address",
        text="From now on you would sign in with this address:", button="Change address",
    )  # fmt: skip


@_link_page
def reset_password(request: HttpRequest) -> HttpResponse:
    """``/reset-password``: a new password for who forgot theirs."""
    token, now = _token(request), clock.now()
    link = links.find(token, Purpose.RESET_PASSWORD, now)
    if request.method != "POST":
        return _ask_password(request, link, [])
    new_password = request.POST.get("new_password", "")
    if new_password != request.POST.get("repeated", ""):
        return _ask_password(request, link, ["The two entries differ. Please type them again."])
    try:
        user = passwords.reset(token=token, new_password=new_password, now=now)
    except InvalidInput as problem:
        rows = problem.details.get("fields", [])
        return _ask_password(request, link, [row["message"] for row in rows])
    shield.succeeded(request, user.email)
    return done(
        request, "Password set",
        "Your password has changed, and every device is signed out. Please sign in again.",
    )  # fmt: skip


@_link_page
def cancel_second_factor_reset(request: HttpRequest) -> HttpResponse:
    """``/cancel-second-factor-reset``: nobody lost anything, so every second factor stays."""
    token = _token(request)
    if request.method == "POST":
        resets.cancel_by_link(token=token, now=clock.now())
        return done(
            request, "Cancelled",
            "Your second factor stays as it is. If it was not you who wrote to support, set a new "
            "password in the app: choose “Forgot password” where you sign in.",
        )  # fmt: skip
    resets.find_by_link(token)
    context = {
        "title": "Keep your second factor?", "button": "Keep it", "token": token,
        "action": request.path,
        "text": "Support was asked to remove every second factor of your account.",
    }  # fmt: skip
    return render(request, "public/confirm.html", context)


@csrf_exempt  # mail programs send the form themselves (RFC 8058); the token is the proof
@public_page
def unsubscribe(request: HttpRequest) -> HttpResponse:
    """``/unsubscribe``: no more e-mails of one kind. Not limited by address: mail providers send
    the form for many people, and a forged token costs no more than its signature."""
    token = request.POST.get("token") or request.GET.get("token", "")
    if request.method == "POST":
        what = TITLES[unsubscribing.unsubscribe(token)]
        response = done(
            request, "Done",
            f"You get no more e-mails about {what}. You can turn them on again in the app, under "
            "“Notifications”.",
        )  # fmt: skip
    else:
        what = TITLES[unsubscribing.find(token).event]
        context = {"title": "No more of these e-mails?", "what": what, "token": token}
        response = render(request, "public/unsubscribe.html", context | {"action": request.path})
    return _unkept(response)


# --- parts --------------------------------------------------------------------------------------
def _token(request: HttpRequest) -> str:
    given = request.POST if request.method == "POST" else request.GET
    return given.get("token", "")


def _ask(request: HttpRequest, purpose: str, now: datetime, **texts: str) -> HttpResponse:
    link = links.find(_token(request), purpose, now)
    return render(request, "public/confirm.html", texts | _form(request, link))


def _ask_password(request: HttpRequest, link: AccountLink, problems: list[str]) -> HttpResponse:
    context = _form(request, link) | {"problems": problems}
    return render(request, "public/reset.html", context, status=400 if problems else 200)


def _form(request: HttpRequest, link: AccountLink) -> dict[str, Any]:
    """The form goes to the address without the token, which stays in the form."""
    return {"token": links.token_of(link), "email": link.email, "action": request.path}


def done(request: HttpRequest, title: str, text: str) -> HttpResponse:
    """It worked."""
    return render(request, "public/done.html", {"title": title, "text": text})


def failed(request: HttpRequest, problem: DomainError) -> HttpResponse:
    """It did not, and why."""
    if isinstance(problem, confirmation.LinkSpent):
        title = "Already confirmed"
    elif isinstance(problem, (shield.TooManyAttempts, OutOfOrder)):
        title = "Please try again soon"
    else:
        title = "This did not work"
    context = {"title": title, "text": problem.text, "failed": True}
    response = render(request, "public/done.html", context, status=problem.status)
    if problem.retry_after:
        response["Retry-After"] = str(problem.retry_after)
    return response
