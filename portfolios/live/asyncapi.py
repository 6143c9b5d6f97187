"""The AsyncAPI description of live connections, made of the definitions that the server uses."""

from collections.abc import Iterable, Mapping
from typing import Any

from portfolios.live import messages
from portfolios.live.messages import Message


def document(*, url: str) -> dict[str, Any]:
    """AsyncAPI 3.0 for a server that is reached at ``url``, such as ``wss://host``."""
    scheme, _, host = url.partition("://")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Portfolio tracker live",
            "version": "1",
            "description": _description(),
        },
        "defaultContentType": "application/json",
        "servers": {"live": {"host": host.partition("/")[0], "protocol": scheme}},
        "channels": {
            "stream": {
                "address": messages.PATH,
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in _everything()
                },
            }
        },
        "operations": {
            "send": _operation("receive", messages.FROM_APP),
            "receive": _operation("send", messages.FROM_SERVER),
        },
        "components": {"messages": {k: _message(v) for k, v in _everything().items()}},
    }


def _everything() -> Mapping[str, Message]:
    return {**messages.FROM_APP, **messages.FROM_SERVER}


def _message(message: Message) -> dict[str, Any]:
    return {"name": message.type, "summary": message.summary, "payload": message.schema}


def _operation(action: str, names: Iterable[str]) -> dict[str, Any]:
    """What the application that is described does: it receives what the app sends."""
    references = [{"$ref": f"#/channels/stream/messages/{name}"} for name in names]
    return {"action": action, "channel": {"$ref": "#/channels/stream"}, "messages": references}


def _description() -> str:
    closes = "\n".join(f"- `{code}`: {text}" for code, text in messages.CLOSE_CODES.items())
    errors = "\n".join(f"- `{code}`: {text}" for code, text in messages.ERRORS.items())
    return (
        "JSON in text messages. The first is `authenticate`, within 10 seconds. Decimals are "
        f"strings, instants are UTC.\n\nClose codes:\n{closes}\n\nError codes:\n{errors}"
    )
