"""The project's settings for a live server under test: prices grow old within seconds."""

from datetime import timedelta

from tracker.settings import *  # noqa: F403

PRICE_STALE_AFTER = timedelta(seconds=6)
LIVE_PATIENCE_SECONDS = 8
LIVE_MAX_CONNECTIONS = 40
