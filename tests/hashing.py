"""How much work a call does, and what its answer looks like from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bcrypt
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher
from django.db import connection
from django.test.utils import CaptureQueriesContext


class CheapHasher(BCryptSHA256PasswordHasher):
    """The lowest cost there is: for tests, and what might have been in force years ago."""

    rounds = 4


@dataclass
class Work:
    """Passwords hashed, and statements sent to the database, by their first words."""

    hashes: int = 0
    statements: list[str] = field(default_factory=list)


@contextmanager
def work_done() -> Iterator[Work]:
    """Counts what happens inside, at bcrypt itself and at the database."""
    done, real = Work(), bcrypt.hashpw

    def counted(*arguments: Any) -> bytes:
        done.hashes += 1
        return real(*arguments)

    bcrypt.hashpw = counted  # the library's function: ours are not touched
    try:
        with CaptureQueriesContext(connection) as captured:
            yield done
    finally:
        bcrypt.hashpw = real
    done.statements = [row["sql"] for row in captured.captured_queries]


def shape(answer: Any) -> str:
    """Status, body and headers, without the ids that every request has of its own."""
    body = answer.json()
    if isinstance(body, dict):
        body.pop("request_id", None)
    headers = {name: text for name, text in answer.headers.items() if name != "X-Request-ID"}
    return repr((answer.status_code, body, sorted(headers.items())))
