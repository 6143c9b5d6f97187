"""The project's settings, with the reference views beside its own."""

from tracker.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.urls"
BURST_LIMITS_ENABLED = False
RATELIMIT_ENABLE = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
# As in production: with it on, Django keeps every query it ran.
DEBUG = False
LOGGING = LOGGING | {"root": {"handlers": ["console"], "level": "WARNING"}}  # noqa: F405
