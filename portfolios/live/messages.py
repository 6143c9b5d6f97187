"""What is spoken on a live connection: every message, error and close code, defined once.

Received messages are checked against these definitions, and the AsyncAPI description is made of
them. Pure; amounts are decimal strings, instants RFC 3339 in UTC, as everywhere in the API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import orjson
from jsonschema import Draft202012Validator

Schema = Mapping[str, Any]
PATH = "/ws/v1/stream"
MOST_BYTES = 128 * 1024  # of one message from the app
OWN = "own"


class Channel(StrEnum):
    """What can be subscribed to."""

    PRICES = "prices"
    PORTFOLIO = "portfolio"
    SYNC = "sync"
    NOTICES = "notices"
    JOBS = "jobs"


PRICED = frozenset({Channel.PRICES, Channel.PORTFOLIO})  # what not every plan includes


# --- how a connection ends ----------------------------------------------------------------------
class Close:
    """Close codes that the server chooses; 1009, a message that is too long, is the library's."""

    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    TOO_MANY_MISTAKES = 4400
    UNAUTHENTICATED = 4401
    SESSION_ENDED = 4403
    TOKEN_EXPIRED = 4407
    TOO_LATE = 4408
    TOO_SLOW = 4413
    TOO_MANY_CONNECTIONS = 4429


CLOSE_CODES: Mapping[int, str] = {
    Close.GOING_AWAY: "The server restarts. Connect again, after a random wait of a few seconds.",
    Close.TRY_AGAIN_LATER: "Too busy just now. Connect again after a while.",
    1009: f"A message was longer than {MOST_BYTES} bytes.",
    Close.TOO_MANY_MISTAKES: "Too many messages could not be understood. Do not connect again.",
    Close.UNAUTHENTICATED: "The access token was refused. Refresh it, then connect again.",
    Close.SESSION_ENDED: "The session has ended: signed out here or elsewhere. Sign in again.",
    Close.TOKEN_EXPIRED: "The access token expired and no fresh one was sent. Refresh, connect.",
    Close.TOO_LATE: "No `authenticate` came within 10 seconds.",
    Close.TOO_SLOW: "Nothing was read for too long. Connect again.",
    Close.TOO_MANY_CONNECTIONS: "The plan allows no further connection at the same time.",
}


# --- what can be refused ------------------------------------------------------------------------
ERRORS: Mapping[str, str] = {
    "message_malformed": "This is not a JSON object in a text message.",
    "message_unknown": "There is no message of this type.",
    "message_invalid": "This message has a field that is unknown, missing or of the wrong form.",
    "not_authenticated": "Please send `authenticate` first.",
    "token_invalid": "Please sign in again.",
    "other_person": "This token belongs to somebody else. Open a connection of its own for it.",
    "live_prices_not_in_plan": (
        "Your plan has no live prices. Please read GET /api/v1/portfolio or GET /api/v1/prices "
        "from time to time instead."
    ),
    "too_many_assets": "Your plan does not allow to watch so many prices at once.",
    "asset_unknown": "There is no asset with this id.",
    "not_subscribed": "There is no such subscription.",
    "too_many_connections": "Your plan does not allow a further connection at the same time.",
    "unavailable": "This cannot be done right now. Please try again in a moment.",
}


class Refused(Exception):
    """A message that is answered with an ``error``; the connection goes on."""

    def __init__(self, code: str, *, request: str | None = None, detail: str = "") -> None:
        self.code, self.request, self.detail = code, request, detail
        super().__init__(code)


# --- the forms of fields ------------------------------------------------------------------------
_ID: Schema = {
    "type": "string", "maxLength": 36, "format": "uuid",
    "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}  # fmt: skip
_DECIMAL: Schema = {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
_MAYBE_DECIMAL: Schema = {"type": ["string", "null"], "pattern": _DECIMAL["pattern"]}
_INSTANT: Schema = {"type": "string", "format": "date-time", "pattern": "Z$"}
_MAYBE_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time", "pattern": "Z$"}
_CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_WORD: Schema = {"type": "string", "maxLength": 64}
_MAYBE_WORD: Schema = {"type": ["string", "null"], "maxLength": 64}
_CHANNEL: Schema = {"type": "string", "enum": [str(channel) for channel in Channel]}
_REQUEST: Schema = {
    "type": "string", "maxLength": 64,
    "description": "Chosen by the app; the answer carries it again.",
}  # fmt: skip
_ASSETS: Schema = {
    "description": 'Ids of assets, or "own" (the default): what the person owns, also later on.',
    "anyOf": [
        {"type": "array", "items": _ID, "minItems": 1, "maxItems": 2000},
        {"const": OWN},
    ],
}  # fmt: skip


def _object(properties: Mapping[str, Schema], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object", "properties": dict(properties), "required": required,
        "additionalProperties": False,
    }  # fmt: skip


_PRICE_ROW: Mapping[str, Schema] = {
    "asset": _ID,
    "code": _WORD,
    "currency": _CURRENCY,
    "price": _MAYBE_DECIMAL,
    "change_24h_percent": _MAYBE_DECIMAL,
    "status": {"type": "string", "enum": ["complete", "stale", "unpriced"]},
    "source": {"type": ["string", "null"]},
    "as_of": _MAYBE_INSTANT,
}
SYNC_FIELDS: Mapping[str, Schema] = {
    "connection": _ID,
    "state": _WORD,
    "done": _MAYBE_COUNT,
    "planned": _MAYBE_COUNT,
    "phase": _MAYBE_WORD,
    "seconds_left": _MAYBE_COUNT,
}
JOB_FIELDS: Mapping[str, Schema] = {
    "kind": {"type": "string", "enum": ["backtest", "export"]},
    "id": _ID,
    "state": _WORD,
    "done": _COUNT,
    "total": _COUNT,
}


_IDS: Schema = {
    "type": "object", "additionalProperties": {"type": "string"},
    "description": "What it is about, such as `alert_id`, so that the app can open it.",
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One kind of message: who sends it, what it is for, and its fields."""

    type: str
    summary: str
    fields: Mapping[str, Schema]
    optional: frozenset[str] = field(default=frozenset())

    @cached_property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema, type included."""
        required = ["type", *(name for name in self.fields if name not in self.optional)]
        return _object({"type": {"const": self.type}, **self.fields}, required)

    @cached_property
    def validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.schema)


def _table(*messages: Message) -> Mapping[str, Message]:
    return {message.type: message for message in messages}


FROM_APP = _table(
    Message(
        "authenticate",
        "The first message, and again with a fresh access token before the last one expires.",
        {"token": {"type": "string", "maxLength": 4096}, "id": _REQUEST},
        frozenset({"id"}),
    ),
    Message(
        "subscribe",
        "Watch a channel. Assets belong to `prices` and add to those that are watched already.",
        {"channel": _CHANNEL, "assets": _ASSETS, "id": _REQUEST},
        frozenset({"assets", "id"}),
    ),
    Message(
        "unsubscribe",
        "Watch a channel no longer; of `prices` some assets, or all when none are named.",
        {"channel": _CHANNEL, "assets": _ASSETS, "id": _REQUEST},
        frozenset({"assets", "id"}),
    ),
)
FROM_SERVER = _table(
    Message(
        "authenticated",
        "The token was accepted. Send a fresh one before `expires_at`.",
        {"expires_at": _INSTANT, "id": _REQUEST},
        frozenset({"id"}),
    ),
    Message(
        "subscribed",
        "The channel is watched. Of `prices`: all assets that are watched now.",
        {"channel": _CHANNEL, "assets": {"type": "array", "items": _ID}, "id": _REQUEST},
        frozenset({"assets", "id"}),
    ),
    Message(
        "unsubscribed",
        "The channel is not watched any more. Of `prices`: the assets that still are.",
        {"channel": _CHANNEL, "assets": {"type": "array", "items": _ID}, "id": _REQUEST},
        frozenset({"assets", "id"}),
    ),
    Message(
        "price",
        "Latest prices: all of them after subscribing, then those that moved, each at most once "
        "a second. Fields are those of GET /prices.",
        {"prices": {"type": "array", "items": _object(_PRICE_ROW, list(_PRICE_ROW))}},
    ),
    Message(
        "portfolio",
        "What the portfolio is worth at the latest prices, at most once a second. Fields are "
        "those of GET /portfolio; holdings are read there.",
        {
            "total_value": _DECIMAL, "currency": _CURRENCY,
            "status": {"type": "string", "enum": ["complete", "stale", "partial"]},
            "unpriced": _COUNT, "as_of": _MAYBE_INSTANT,
        },
    ),
    Message("sync", "How the sync of a connection goes on.", SYNC_FIELDS),
    Message(
        "notice",
        "A new notice, which `GET /notifications` lists from now on.",
        {
            "delivery": _ID, "event": _WORD, "title": {"type": "string"},
            "text": {"type": "string"}, "at": _INSTANT, "data": _IDS,
        },
    ),
    Message("job", "How far a backtest or a file is, and how it ended.", JOB_FIELDS),
    Message("heartbeat", "Every 20 seconds: the server is there.", {"at": _INSTANT}),
    Message(
        "error",
        "A message was refused; the connection goes on unless it is closed next.",
        {
            "code": {"type": "string", "enum": list(ERRORS)},
            "message": {"type": "string"}, "id": _REQUEST,
        },
        frozenset({"id"}),
    ),
)  # fmt: skip


def read(raw: str | bytes) -> dict[str, Any]:
    """A message of the app that has the form of its kind. Raises Refused."""
    try:
        sent = orjson.loads(raw) if isinstance(raw, str) else None
    except orjson.JSONDecodeError:
        sent = None
    if not isinstance(sent, dict):
        raise Refused("message_malformed")
    request = _request_of(sent)
    kind = sent.get("type")
    if not isinstance(kind, str) or kind not in FROM_APP:
        raise Refused("message_unknown", request=request)
    problem = next(FROM_APP[kind].validator.iter_errors(sent), None)
    if problem is not None or ("assets" in sent and sent["channel"] != Channel.PRICES):
        raise Refused("message_invalid", request=request)
    return sent


def _request_of(sent: Mapping[str, Any]) -> str | None:
    request = sent.get("id")
    return request if isinstance(request, str) and len(request) <= 64 else None


def write(kind: str, /, *, request: str | None = None, **fields: Any) -> bytes:
    """A message of the server; absent fields are given as None only where null may stand."""
    body = {"type": kind, **fields}
    if request is not None:
        body["id"] = request
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


def write_error(refused: Refused) -> bytes:
    """The answer to a message that was refused."""
    return write("error", code=refused.code, message=ERRORS[refused.code], request=refused.request)
