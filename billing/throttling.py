"""Burst limits per hour and day: a moving window, exact under concurrency, kept in Redis.

``limits`` counts atomically and over a sliding window, so no hour anywhere holds more calls than
the plan allows. Redis down lets data calls through (reads go on); sign-in has a shield of its own
that does not.

Callers without a token are counted by address in the middleware: DRF refuses them before it asks
its throttles, so their calls would never count.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, WindowStats
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from rest_framework.throttling import BaseThrottle

from billing import entitlements
from tracker import api, clock, network
from tracker.logs import get_logger

log = get_logger(__name__)


@cache
def _limiter(url: str) -> MovingWindowRateLimiter:
    storage = RedisStorage(
        url, socket_connect_timeout=1, socket_timeout=1, wrap_exceptions=False, key_prefix="burst"
    )
    return MovingWindowRateLimiter(storage)


class BurstThrottle(BaseThrottle):
    """Counts a data call when it enters. Views that do not count set ``throttle_classes = []``."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Any, view: Any) -> bool:
        return self.allow(request._request, request.user)

    def allow(self, request: HttpRequest, user: Any) -> bool:
        """Count a call of this user, or of this address when the user is anonymous."""
        if not settings.BURST_LIMITS_ENABLED:
            return True
        try:
            return self._count(request, user)
        except (redis.RedisError, OSError):
            log.warning("throttle.redis_unavailable")
            return True

    def wait(self) -> float | None:
        """Seconds until the window has room again; becomes ``Retry-After``."""
        return self._wait

    def _count(self, request: HttpRequest, user: Any) -> bool:
        """Count one call in every window, or in none when one of them is full."""
        limiter, windows, key = _limiter(settings.REDIS_URL), _windows(user), _key(request, user)
        stats = {name: limiter.get_window_stats(item, key) for name, item in windows.items()}
        # `all` stops at the first window that refuses, so a refused call uses up no longer one.
        allowed = all(found.remaining > 0 for found in stats.values()) and all(
            limiter.hit(item, key) for item in windows.values()
        )
        if not allowed:  # read anew: another caller may have taken the last place meanwhile
            stats = {name: limiter.get_window_stats(item, key) for name, item in windows.items()}
            full = [found.reset_time for found in stats.values() if found.remaining <= 0]
            self._wait = max(1.0, max(full, default=0.0) - clock.now().timestamp())
        request.rate_limit_fields = _fields(windows, stats, used=allowed)  # type: ignore[attr-defined]
        return allowed


def _key(request: HttpRequest, user: Any) -> str:
    if user.is_authenticated:
        return f"user:{user.pk}"
    return f"address:{network.client_address(request)}"


def _windows(user: Any) -> dict[str, RateLimitItem]:
    plan = entitlements.for_user(user)
    return {
        "hour": RateLimitItemPerHour(plan.calls_per_hour),
        "day": RateLimitItemPerDay(plan.calls_per_day),
    }


def _fields(
    windows: dict[str, RateLimitItem], stats: dict[str, WindowStats], *, used: bool
) -> dict[str, str]:
    """The ``RateLimit`` header fields (draft-ietf-httpapi-ratelimit-headers): q calls in w
    seconds; r of them remain, and t seconds from now the oldest call leaves the window."""
    now = clock.now().timestamp()
    return {
        "RateLimit-Policy": ", ".join(
            f'"{name}";q={item.amount};w={item.get_expiry()}' for name, item in windows.items()
        ),
        "RateLimit": ", ".join(
            f'"{name}";r={max(0, found.remaining - used)};t={max(1, round(found.reset_time - now))}'
            for name, found in stats.items()
        ),
    }


class BurstMiddleware:
    """Counts calls that carry no token by their address, and tells every counted caller, in the
    ``RateLimit`` header fields, what is left."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in getattr(request, "rate_limit_fields", {}).items():
            response[name] = value
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if "Authorization" in request.headers or not _counts(view):
            return None
        throttle = BurstThrottle()
        if throttle.allow(request, AnonymousUser()):
            return None
        wait = str(int((throttle.wait() or 0) + 0.999))
        body = api.error_body("throttled", "Too many calls. Please wait a moment.")
        return JsonResponse(body, status=429, headers={"Retry-After": wait})


def _counts(view: Any) -> bool:
    by_class = getattr(getattr(view, "cls", None), "throttle_classes", ())
    return BurstThrottle in getattr(view, "initkwargs", {}).get("throttle_classes", by_class)
