"""The project's settings, with the reference views beside its own."""

import os

from tracker.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.urls"
# Only bench_metering has them on; elsewhere they would stop the benchmark.
BURST_LIMITS_ENABLED = os.environ.get("BENCH_BURST_LIMITS") == "on"
RATELIMIT_ENABLE = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
# As in production: with it on, Django keeps every query it ran.
DEBUG = False
LOGGING = LOGGING | {"root": {"handlers": ["console"], "level": "WARNING"}}  # noqa: F405
# The bare reference stands before nothing but Django's own handler.
if os.environ.get("BENCH_MIDDLEWARE") == "off":
    MIDDLEWARE = ["tracker.health.ProbeMiddleware"]
