"""What the e-mail provider says of messages afterwards: refused for good, or a nuisance.

django-anymail reads each provider's own webhook and checks its secret; what it makes of them is
the same for all. Nothing is mounted unless a provider and a secret are set.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from anymail.exceptions import AnymailError, AnymailWebhookValidationFailure
from anymail.signals import EventType, RejectReason, tracking
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from accounts import events, notifications, suppressions
from accounts.events import Event
from accounts.models import User, normalize_email
from accounts.models.notifications import Channel
from tracker import clock, tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
PATH = "api/webhook/email"
_REFUSED = {EventType.BOUNCED, EventType.REJECTED}
_FOR_GOOD = {RejectReason.BOUNCED, RejectReason.INVALID}
_NUISANCE = {EventType.COMPLAINED, EventType.UNSUBSCRIBED}


def urls(*, provider: str, secret: str) -> Sequence[URLPattern]:
    """The provider's webhook, if there is a provider that has one and a secret to know it by."""
    from anymail.urls import urlpatterns  # every provider's views, which only this needs

    wanted = f"{provider.lower()}_tracking_webhook"
    views = [found.callback for found in urlpatterns if found.name == wanted]
    return [path(PATH, _guarded(view), name="email_webhook") for view in views if secret]


def _guarded(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Strangers, and providers that say what cannot be read, are told so and fail nothing."""

    @csrf_exempt
    @wraps(view)
    def webhook(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except AnymailWebhookValidationFailure:
            log.warning("email.webhook_refused")
            return HttpResponse(status=403)
        except (AnymailError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("email.webhook_unreadable", error=type(error).__name__)
            return HttpResponse(status=400)

    return webhook


def subscribe() -> None:
    """Called once as the app is ready."""
    tracking.connect(_receive, dispatch_uid="accounts.bounces")


def _receive(*, event: Any, **_: Any) -> None:
    take(
        kind=str(event.event_type), reason=str(event.reject_reason or ""),
        address=str(event.recipient or ""), now=clock.now(),
    )  # fmt: skip


def take(*, kind: str, reason: str, address: str, now: datetime) -> bool:
    """Follow what a provider says of an address; returns whether anything followed.

    Temporary trouble, delivery and opening change nothing, nor do addresses that nobody has.
    """
    is_nuisance = kind in _NUISANCE or (kind in _REFUSED and reason == RejectReason.SPAM)
    if not is_nuisance and not (kind in _REFUSED and reason in _FOR_GOOD):
        return False
    with tenancy.as_system("news of an e-mail address"):
        user = User.objects.filter(email=normalize_email(address)).first()
    if user is None:
        log.info("email.news_of_nobody", kind=kind)
        return False
    return _leave_alone(user) if is_nuisance else _suppress(user, f"{kind} {reason}", now)


def _leave_alone(user: User) -> bool:
    """A complaint turns off everything that can be; what must be said is still sent."""
    off = {
        (event, Channel.EMAIL): False
        for event in Event
        if events.can_be_switched_off(event, Channel.EMAIL)
    }
    notifications.choose(user_id=user.id, wanted=off, reason="complaint")
    return True


def _suppress(user: User, reason: str, now: datetime) -> bool:
    with tenancy.as_user(user.id):
        return suppressions.note(user_id=user.id, address=user.email, reason=reason, now=now)
