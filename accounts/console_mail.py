"""E-mail while developing: printed as a person reads it, and kept as a file.

The file is there because links are easier to copy from it than from a scrolling terminal: the
newest one in ``var/mail`` (``DATA_DIR`` moves it). Django's own console backend would print the
encoded message, in which links are broken over lines.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from tracker import clock


class EmailBackend(BaseEmailBackend):
    """Sends nothing anywhere."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Print each message and write it to a file of its own."""
        for message in email_messages:
            text = _readable(message)
            print(text, file=sys.stdout, flush=True)  # noqa: T201  (this is what it is for)
            _keep(message, text)
        return len(email_messages)


def _readable(message: EmailMessage) -> str:
    lines = [
        f"From: {message.from_email}",
        f"To: {', '.join(message.to)}",
        f"Subject: {message.subject}",
        "",
        str(message.body).rstrip(),
    ]
    rule = "-" * 72
    return "\n".join([rule, *lines, rule])


def _keep(message: Any, text: str) -> None:
    folder = settings.EMAIL_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    event = re.sub(r"[^a-z_]", "", message.extra_headers.get("X-Event", "mail"))
    name = f"{clock.now():%Y%m%d-%H%M%S-%f}-{event}"
    (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    for content, kind in getattr(message, "alternatives", ()):
        if kind == "text/html":
            (folder / f"{name}.html").write_text(str(content), encoding="utf-8")
