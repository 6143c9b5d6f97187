"""The HTTP entry point: ``gunicorn tracker.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")
application = get_wsgi_application()

from tracker import checks  # noqa: E402  (after Django is set up)

checks.refuse_bad_settings()
