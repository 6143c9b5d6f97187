"""Burst limits per hour and day: a moving window, exact under concurrency, kept in Redis.

``limits`` counts atomically and over a sliding window, so no hour anywhere holds more calls than
the plan allows. Redis down lets data calls through (reads go on); sign-in has a shield of its own
that does not.
"""

from functools import cache
from typing import Any

import redis
from django.conf import settings
from limits import RateLimitItemPerDay, RateLimitItemPerHour
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from rest_framework.throttling import BaseThrottle

from billing import entitlements
from tracker import clock, network
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
        if not settings.BURST_LIMITS_ENABLED:
            return True
        try:
            return self._hit(request)
        except (redis.RedisError, OSError):
            log.warning("throttle.redis_unavailable")
            return True

    def wait(self) -> float | None:
        """Seconds until the window has room again; becomes ``Retry-After``."""
        return self._wait

    def _hit(self, request: Any) -> bool:
        limiter, key = _limiter(settings.REDIS_URL), _key(request)
        plan = entitlements.for_user(request.user)
        windows = (
            RateLimitItemPerHour(plan.calls_per_hour),
            RateLimitItemPerDay(plan.calls_per_day),
        )
        refused = [window for window in windows if not limiter.test(window, key)]
        if not refused:
            refused = [window for window in windows if not limiter.hit(window, key)]
        if not refused:
            return True
        reset = max(limiter.get_window_stats(window, key).reset_time for window in refused)
        self._wait = max(1.0, reset - clock.now().timestamp())
        return False


def _key(request: Any) -> str:
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{network.client_address(request)}"
