"""Faults switched on from outside: refused, hanging and dropped requests, lost answers."""

import re
from dataclasses import dataclass

from billing.sandbox.wire import Object, StripeError, invalid

KINDS = ("status", "hang", "drop", "answer_lost")


@dataclass
class Fault:
    """What happens to requests whose path matches, so many times or until removed."""

    path: re.Pattern[str]
    kind: str
    method: str | None
    status: int
    times: int | None


class Faults:
    """The faults that are on."""

    def __init__(self) -> None:
        self._on: list[Fault] = []

    def add(self, sent: Object) -> None:
        """Switch one on. Raises StripeError."""
        kind = sent.get("kind", "status")
        if kind not in KINDS:
            raise invalid(f"kind is one of {', '.join(KINDS)}", param="kind")
        try:
            path = re.compile(sent.get("path", ""))
        except re.error as error:
            raise invalid(str(error), param="path") from None
        self._on.append(
            Fault(path, kind, sent.get("method"), sent.get("status", 503), sent.get("times"))
        )

    def clear(self) -> None:
        """Switch all off."""
        self._on.clear()

    def taken(self, method: str, path: str) -> Fault | None:
        """The first that meets a request, used once by it."""
        for fault in self._on:
            if fault.method in (None, method) and fault.path.search(path) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None


def refusal(status: int) -> StripeError:
    """The error of a status, as Stripe words such."""
    if status == 429:
        message = "Request rate limit exceeded."
        return StripeError(status, "invalid_request_error", message, code="rate_limit")
    return StripeError(status, "api_error", "Something went wrong on Stripe's end.")
