"""How gunicorn serves `tracker.wsgi`: a few processes of many threads each.

Threads because connecting an account waits up to ten seconds for an exchange: eight of those must
leave room for everybody else. HTTP stays on WSGI; WebSockets get a process of their own.
"""

import os

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "16"))
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 4094
limit_request_fields = 64
# The structured log has one line a request already.
accesslog = None
errorlog = "-"
loglevel = "warning"
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
