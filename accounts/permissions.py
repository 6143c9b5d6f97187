"""Who may do what beyond being signed in."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from rest_framework.permissions import BasePermission

from accounts.models import Session, User
from tracker import clock
from tracker.errors import DomainError

FRESH = timedelta(minutes=15)


class ReauthenticationRequired(DomainError):
    """Long ago signed in: whoever holds the phone now may be somebody else."""

    code = "reauthentication_required"
    status = 403
    message = "Please confirm that it is you, and then try again."


class EmailUnconfirmed(DomainError):
    code = "email_unconfirmed"
    status = 403
    message = "Please confirm your e-mail address first. We have sent you a link."


class FreshlyAuthenticated(BasePermission):
    """For sensitive acts: signed in, or authenticated again, within the last 15 minutes (S12)."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        require_fresh(request.auth, now=clock.now())
        return True


class FreshToTakeAway(BasePermission):
    """People prove themselves again before they have data exported (S12).

    A program's key was made by somebody who had, and names what it may do. Reading and removing
    ask for nothing.
    """

    def has_permission(self, request: Any, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        if request.method == "POST" and isinstance(request.auth, Session):
            require_fresh(request.auth, now=clock.now())
        return True


class EmailConfirmed(BasePermission):
    """Where the setting asks for it, people prove their address before they connect anything."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        require_confirmed(request.user)
        return True


def require_fresh(session: Any, *, now: datetime) -> None:
    """Raises ReauthenticationRequired. An API key is no session, and so never fresh."""
    if not isinstance(session, Session) or now - session.authenticated_at > FRESH:
        raise ReauthenticationRequired


def may_take_away(auth: Any, *, now: datetime) -> bool:
    """Whether data may leave for whoever authenticated so: a fresh person, or a program."""
    return not isinstance(auth, Session) or now - auth.authenticated_at <= FRESH


def require_confirmed(user: User) -> None:
    """Raises EmailUnconfirmed."""
    if settings.EMAIL_CONFIRMATION and user.email_confirmed_at is None:
        raise EmailUnconfirmed
