"""The plan's limits on calls, named in settings: DRF's throttle, and the middleware around it.

A data call is counted in the windows of the hour and the day as it enters, and in the month's
usage as it leaves (not when nothing had changed, 304, and not for errors of ours). Redis down lets
data calls through (reads go on); sign-in has a shield of its own that does not.

Callers without a token are counted by address in the middleware: DRF refuses them before it asks
its throttles, so their calls would never count.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.throttling import BaseThrottle

from billing import counting, entitlements
from billing.counting import Entered, Window
from billing.entitlements import Entitlements
from tracker import api, clock, network
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)
HOUR, DAY = 3600, 86_400
PAYMENTS_AN_HOUR, PAYMENTS_A_DAY = 60, 300
_AWAY = (redis.RedisError, OSError)


class IncludedCallsUsed(DomainError):
    """The month's calls are used up, those beyond the included ones as far as they are allowed."""

    code = "monthly_calls_used"
    status = 429
    message = "The calls of this month are used up."


class BurstThrottle(BaseThrottle):
    """Counts a data call when it enters. Views that do not count set ``throttle_classes = []``."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Any, view: Any) -> bool:
        return self.allow(request._request, request.user)

    def allow(self, request: HttpRequest, user: Any) -> bool:
        """Count a call of this user, or of this address when the user is anonymous.

        Raises IncludedCallsUsed.
        """
        granted, now = entitlements.for_user(user), clock.now()
        known = getattr(user, "is_authenticated", False)
        request.usage = (str(user.pk), now) if known else None  # type: ignore[attr-defined]
        try:
            entered = counting.enter(
                key=_key(request, user), windows=_windows(granted), now=now,
                month_most=granted.most_calls if known else None,
            )  # fmt: skip
        except _AWAY:
            log.warning("throttle.redis_unavailable")
            return True
        if settings.BURST_LIMITS_ENABLED:
            request.rate_limit_fields = _fields(entered, now)  # type: ignore[attr-defined]
        if entered.month_is_full:
            request.usage = None  # type: ignore[attr-defined]
            raise _used_up(granted, now)
        if entered.allowed or not settings.BURST_LIMITS_ENABLED:
            return True
        request.usage = None  # type: ignore[attr-defined]
        full = [seen.changes_at for seen in entered.seen if seen.calls >= seen.window.most]
        self._wait = max(1.0, max(full) - now.timestamp())
        return False

    def wait(self) -> float | None:
        """Seconds until the window has room again; becomes ``Retry-After``."""
        return self._wait


def _used_up(granted: Entitlements, now: datetime) -> IncludedCallsUsed:
    """The sentence says the way out: another plan, or a higher cap."""
    included, next_month = granted.plan.calls_per_month, start_of_next_month(now)
    way_out = (
        "A larger plan includes more, or wait for the next month."
        if granted.call_price is None
        else "Raise your spending cap, or wait for the next month."
    )
    return IncludedCallsUsed(
        f"The {included:,} calls of this month that your plan includes are used up"
        f"{'' if granted.call_price is None else ', and so is your spending cap'}. {way_out}",
        details={"plan": granted.tier, "included": included, "resets_at": next_month},
        retry_after=int((next_month - now).total_seconds()) + 1,
    )


def start_of_next_month(now: datetime) -> datetime:
    """When the month's usage begins anew: the next UTC calendar month."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _key(request: HttpRequest, user: Any) -> str:
    if getattr(user, "is_authenticated", False):
        return f"user:{user.pk}"
    return f"address:{network.client_address(request)}"


def _windows(granted: Entitlements) -> tuple[Window, Window]:
    plan = granted.plan
    if not settings.BURST_LIMITS_ENABLED:
        return Window("hour", HOUR, 2**31), Window("day", DAY, 2**31)
    return Window("hour", HOUR, plan.calls_per_hour), Window("day", DAY, plan.calls_per_day)


def _fields(entered: Entered, now: datetime) -> dict[str, str]:
    """The ``RateLimit`` header fields (draft-ietf-httpapi-ratelimit-headers): q calls in w
    seconds; r of them remain, and t seconds from now the oldest call leaves the window."""
    at = now.timestamp()
    return {
        "RateLimit-Policy": ", ".join(
            f'"{seen.window.name}";q={seen.window.most};w={seen.window.seconds}'
            for seen in entered.seen
        ),
        "RateLimit": ", ".join(
            f'"{seen.window.name}";r={max(0, seen.window.most - seen.calls)}'
            f";t={max(1, round((seen.changes_at or at + seen.window.seconds) - at))}"
            for seen in entered.seen
        ),
    }


class PaymentThrottle(BaseThrottle):
    """What makes us ask Stripe: so many times an hour and a day by each person, on every plan.

    Stripe limits all of us together, so one person must not use that up.
    """

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Any, view: Any) -> bool:
        if not settings.BURST_LIMITS_ENABLED:
            return True
        now = clock.now()
        windows = (Window("hour", HOUR, PAYMENTS_AN_HOUR), Window("day", DAY, PAYMENTS_A_DAY))
        try:
            entered = counting.enter(
                key=f"payments:{request.user.pk}", windows=windows, month_most=None, now=now
            )
        except _AWAY:
            log.warning("throttle.redis_unavailable")
            return True
        full = [seen.changes_at for seen in entered.seen if seen.calls >= seen.window.most]
        self._wait = None if entered.allowed else max(1.0, max(full) - now.timestamp())
        return entered.allowed

    def wait(self) -> float | None:
        """Seconds until there is room again."""
        return self._wait


class BurstMiddleware:
    """Counts calls that carry no token by their address, tells every counted caller, in the
    ``RateLimit`` header fields, what is left, and counts usage as an answer leaves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in getattr(request, "rate_limit_fields", {}).items():
            response[name] = value
        if (usage := getattr(request, "usage", None)) and _is_used(response):
            _count(usage[0], group_of(request), usage[1])
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if "Authorization" in request.headers or not counts(view):
            return None
        if not settings.BURST_LIMITS_ENABLED:
            return None
        throttle = BurstThrottle()
        if throttle.allow(request, AnonymousUser()):
            return None
        wait = str(int((throttle.wait() or 0) + 0.999))
        body = api.error_body("throttled", "Too many calls. Please wait a moment.")
        return JsonResponse(body, status=429, headers={"Retry-After": wait})


def _is_used(response: HttpResponse) -> bool:
    return response.status_code != 304 and response.status_code < 500


def _count(user_id: str, group: str, now: datetime) -> None:
    try:
        counting.leave(user_id=user_id, group=group, now=now)
    except _AWAY:
        log.warning("usage.redis_unavailable")


def group_of(request: HttpRequest) -> str:
    """The group of an endpoint, under which its calls are shown: the first word of its path."""
    parts = request.path.removeprefix("/api/v1/").split("/")
    return parts[0][:32]


def counts(view: Any) -> bool:
    """Whether calls of a view are data calls."""
    by_class = getattr(getattr(view, "cls", None), "throttle_classes", ())
    return BurstThrottle in getattr(view, "initkwargs", {}).get("throttle_classes", by_class)
