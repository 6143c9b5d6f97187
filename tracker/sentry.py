"""Sentry: errors and a tenth of the traces, rebuilt from a list of what may leave.

An event says what failed and where in our code, for which request, task and person (ids). It says
no text of an exception, because texts quote what somebody sent, except for the stable codes of our
own errors; no local variables, no body, headers, cookies, address or query of a request, no SQL,
no breadcrumbs, and of a log message only the name that our code gave it.
"""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from tracker.errors import DomainError
from tracker.logs import REDACTED

TRACES = 0.1

_EVENT = (
    "event_id", "timestamp", "start_timestamp", "level", "platform", "environment", "release",
    "type",
)  # fmt: skip
_TRACE = ("trace_id", "span_id", "parent_span_id", "op", "status", "origin")
_SPAN = (*_TRACE, "timestamp", "start_timestamp", "same_process_as_parent")
_FRAME = ("filename", "function", "module", "lineno", "colno", "in_app")
_UNNAMED = "(no route)"
_ROOMS = ("tracker", "audit", "billing", "accounts", "exchanges", "portfolios")
_LOGGED = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40})+")  # as "outbox.delivery_failed"
_KIND = re.compile(r"[A-Za-z_]{1,48}")  # the type of an error, or its code


def start(*, dsn: str, environment: str) -> None:
    """Report errors and traces to Sentry; without a DSN nothing is loaded and nothing leaves."""
    if not dsn:
        return
    import sentry_sdk
    from sentry_sdk.integrations.logging import ignore_logger

    ignore_logger("tracker.middleware")  # what it logs as failed is told by Django's signal
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        traces_sample_rate=TRACES,
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        trace_propagation_targets=[],  # exchanges and Stripe are told nothing of our traces
        before_send=keep_harmless,
        before_send_transaction=keep_harmless,
        before_breadcrumb=lambda crumb, hint: None,
    )


def apart(application: Callable[..., Any]) -> Callable[..., Any]:
    """A WSGI application whose requests stand for themselves.

    A caller cannot have every request of theirs traced, nor put words into what is sent, by the
    headers that continue a trace of their own. And what a request is answered with before it has
    an id, such as a static file, is not told under the id and person of the thread's last request.
    """

    def begin(environ: dict[str, Any], start_response: Any) -> Any:
        for name in ("HTTP_SENTRY_TRACE", "HTTP_BAGGAGE", "HTTP_TRACEPARENT"):
            environ.pop(name, None)
        structlog.contextvars.clear_contextvars()
        return application(environ, start_response)

    return begin


def keep_harmless(event: Any, hint: Any) -> Any:
    """Build an event anew from what is on the list; everything else stays here."""
    kept = _only(event, _EVENT) | _named(event)
    contexts = event.get("contexts") or {}
    kept["contexts"] = {
        "trace": _only(contexts.get("trace"), _TRACE),
        "runtime": _only(contexts.get("runtime"), ("name", "version", "build")),
    }
    logged = _logged(hint)
    kept |= _said(hint, logged)
    if logged.get("exc_info") and sys.exc_info()[0]:
        kept["exception"] = _being_handled()
    elif "exception" in event:
        codes = _codes(hint)
        found = (event["exception"] or {}).get("values") or ()
        kept["exception"] = {"values": [_without_text(value, codes) for value in found]}
    if isinstance(event.get("spans"), list):
        kept["spans"] = [_only(span, _SPAN) for span in event["spans"]]
    kept["request"] = _only(event.get("request"), ("method",))
    kept |= _identified(kept)
    if _KIND.fullmatch(str(logged.get("error", ""))):
        kept["tags"]["error"] = logged["error"]
    return kept


def _logged(hint: Any) -> dict[str, Any]:
    """What our own code logged, as a mapping; nothing for the messages of others."""
    record = (hint or {}).get("log_record")
    named = getattr(record, "name", "").split(".")[0] in _ROOMS
    message = getattr(record, "msg", None)
    return message if named and isinstance(message, dict) else {}


def _said(hint: Any, logged: dict[str, Any]) -> dict[str, Any]:
    """Without a name an event that was only logged would be one of many that say nothing."""
    if not _LOGGED.fullmatch(str(logged.get("event", ""))):
        return {}
    return {"logger": hint["log_record"].name, "logentry": {"message": logged["event"]}}


def _being_handled() -> dict[str, Any]:
    """The exception with which a line was logged: structlog hands it on in its own way."""
    from sentry_sdk import get_client
    from sentry_sdk.utils import exceptions_from_error_tuple

    raised = sys.exc_info()
    found = exceptions_from_error_tuple(raised, client_options=get_client().options)
    codes = _codes({"exc_info": raised})
    return {"values": [_without_text(value, codes) for value in found]}


def _named(event: Any) -> dict[str, Any]:
    """The route or the task. A name that was taken from an address as it came stays here."""
    source = (event.get("transaction_info") or {}).get("source")
    if "transaction" not in event:
        return {}
    trusted = source in ("route", "task", "component", "custom")
    name = event["transaction"] if trusted else _UNNAMED
    return {"transaction": name, "transaction_info": {"source": source if trusted else "custom"}}


def _identified(kept: dict[str, Any]) -> dict[str, Any]:
    """Request, task and person, by their ids, as they are bound to the log lines."""
    bound = structlog.contextvars.get_contextvars()
    tags = {"request_id": str(bound["request_id"])} if "request_id" in bound else {}
    if (kept.get("transaction_info") or {}).get("source") == "task":
        tags["task"] = kept["transaction"]
    person = {"user": {"id": str(bound["user_id"])}} if bound.get("user_id") else {}
    return {"tags": tags, **person}


def _codes(hint: Any) -> dict[str, str]:
    """The codes of our own errors in a chain of exceptions, by the names of their types."""
    raised = (hint or {}).get("exc_info") or (None, None, None)
    return {
        f"{type(error).__module__}.{type(error).__name__}": str(type(error).code)
        for error in _chain(raised[1])
        if isinstance(error, DomainError)
    }


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _without_text(value: Any, codes: dict[str, str]) -> dict[str, Any]:
    kept = _only(value, ("type", "module", "thread_id"))
    kept["value"] = codes.get(f"{value.get('module')}.{value.get('type')}", REDACTED)
    kept["mechanism"] = _only(value.get("mechanism"), ("type", "handled"))
    frames = (value.get("stacktrace") or {}).get("frames") or ()
    kept["stacktrace"] = {"frames": [_only(frame, _FRAME) for frame in frames]}
    return kept


def _only(mapping: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: mapping[name] for name in names if name in (mapping or {})}
