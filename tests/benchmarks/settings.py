"""The project's settings, with the reference views beside its own."""

from tracker.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.urls"
BURST_LIMITS_ENABLED = False
RATELIMIT_ENABLE = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
LOGGING["root"]["level"] = "ERROR"  # noqa: F405
