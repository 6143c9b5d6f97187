"""How gunicorn serves `tracker.wsgi`: a few processes of many threads each.

Threads because connecting an account waits up to ten seconds for an exchange: eight of those must
leave room for everybody else. HTTP stays on WSGI; WebSockets get a process of their own.
"""

import os

# A platform routes to the container's address; on a machine of one's own only nginx should.
_EVERYWHERE = os.environ.get("ENVIRONMENT") == "production"
HOST = os.environ.get("HOST") or ("0.0.0.0" if _EVERYWHERE else "127.0.0.1")  # noqa: S104
bind = f"{HOST}:{os.environ.get('PORT') or '8000'}"
workers = int(os.environ.get("WEB_CONCURRENCY") or "2")
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS") or "16")
timeout = 60
# At a stop or a reload, as long as a request may take; systemd and platforms wait longer.
graceful_timeout = 30
keepalive = 5
# A worker gives its memory back after so many requests, no two at the same moment.
max_requests = int(os.environ.get("WEB_MAX_REQUESTS") or "20000")
max_requests_jitter = max_requests // 10
# Settings give these processes the shorter limit of statements.
raw_env = ["PROCESS_KIND=web"]
limit_request_line = 4094
limit_request_fields = 64
# The structured log has one line a request already.
accesslog = None
errorlog = "-"
loglevel = "warning"
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1"
