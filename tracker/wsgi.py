"""The HTTP entry point: ``gunicorn tracker.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")
_django = get_wsgi_application()

from tracker import checks, sentry  # noqa: E402  (after Django is set up)

application = sentry.apart(_django)
checks.refuse_bad_settings()
