"""The same key gives the same answer."""

import json
from dataclasses import dataclass
from typing import Any

from billing.sandbox.wire import Object, StripeError

# Answers to requests that never began are not kept: the caller may mend and send them again.
_NOT_KEPT = (400, 401, 403, 404, 409, 429)


@dataclass(frozen=True)
class Answer:
    """What was answered, and to what."""

    asked: str
    status: int
    body: Object


class Answers:
    """Answers by key."""

    def __init__(self) -> None:
        self._kept: dict[str, Answer] = {}

    def before(self, key: str | None, path: str, sent: Any) -> Answer | None:
        """What was answered to the same request. Raises StripeError if it was another one."""
        answer = self._kept.get(key) if key else None
        if answer and answer.asked != _asked(path, sent):
            message = (
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}'."
            )
            raise StripeError(400, "idempotency_error", message)
        return answer

    def keep(self, key: str | None, path: str, sent: Any, status: int, body: Object) -> None:
        """Give this answer again for the same key."""
        if key and status not in _NOT_KEPT:
            self._kept[key] = Answer(_asked(path, sent), status, body)

    def clear(self) -> None:
        """Forget all keys."""
        self._kept.clear()


def _asked(path: str, sent: Any) -> str:
    return f"{path} {json.dumps(sent, sort_keys=True)}"
