"""What every answer is made of: objects, errors, identifiers, lists."""

import secrets
import string
import time
from collections.abc import Iterable, Mapping
from typing import Any

API_VERSION = "2026-08-26.dahlia"

_ALPHABET = string.ascii_letters + string.digits
_PAGE = 10
_LONGEST_PAGE = 100

Object = dict[str, Any]


class StripeError(Exception):
    """An error as Stripe words it."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.more = status, kind, message, more

    def body(self) -> Object:
        """The JSON of the answer."""
        told = {name: value for name, value in self.more.items() if value is not None}
        return {"error": {"type": self.kind, "message": self.message, **told}}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """A request that cannot be understood."""
    return StripeError(400, "invalid_request_error", message, param=param, code=code)


def missing(noun: str, named: str, *, param: str | None = None) -> StripeError:
    """No such object: 404 where the path names it, 400 where a parameter does."""
    return StripeError(
        400 if param else 404,
        "invalid_request_error",
        f"No such {noun}: '{named}'",
        param=param or "id",
        code="resource_missing",
    )


def now() -> int:
    """Seconds, as all of Stripe's times are."""
    return int(time.time())


def token(prefix: str, length: int = 24) -> str:
    """A new identifier or secret."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def a_list(data: list[Object], url: str, *, has_more: bool = False) -> Object:
    """A list object with these in it."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def page(newest_first: Iterable[Object], asked: Mapping[str, Any], url: str) -> Object:
    """The part of a list that was asked for, after or before an object of it."""
    found = [one for one in newest_first if _in_time(one, asked.get("created"))]
    limit = asked.get("limit", _PAGE)
    if not 1 <= limit <= _LONGEST_PAGE:
        raise invalid(f"Invalid limit: must be 1 to {_LONGEST_PAGE}", param="limit")
    if ending := asked.get("ending_before"):
        before = found[: _place(found, ending, "ending_before")]
        return a_list(before[-limit:], url, has_more=len(before) > limit)
    if starting := asked.get("starting_after"):
        found = found[_place(found, starting, "starting_after") + 1 :]
    return a_list(found[:limit], url, has_more=len(found) > limit)


def _place(found: list[Object], named: str, param: str) -> int:
    for place, one in enumerate(found):
        if one["id"] == named:
            return place
    raise missing("object", named, param=param)


def _in_time(one: Object, asked: Any) -> bool:
    if asked is None:
        return True
    if not isinstance(asked, dict):
        return bool(one["created"] == int(asked))
    created = one["created"]
    return (
        asked.get("gt", created - 1) < created < asked.get("lt", created + 1)
        and asked.get("gte", created) <= created <= asked.get("lte", created)
    )  # fmt: skip


def metadata(kept: Mapping[str, str], sent: Any) -> dict[str, str]:
    """Metadata after an update: an empty value removes its key, an empty whole removes all."""
    if sent == "":
        return {}
    merged = {**kept, **(sent or {})}
    return {key: value for key, value in merged.items() if value != ""}
