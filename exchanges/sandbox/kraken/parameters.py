"""Reading request parameters as Kraken does."""

from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

import orjson

from exchanges.sandbox.kraken import errors

_LONGEST_NUMBER = 20


class Parameters:
    """The parameters of one request; readers raise KrakenError on what is not allowed."""

    def __init__(self, query: str, body: str) -> None:
        self._given = dict(parse_qsl(query, keep_blank_values=True)) | _sent(body)

    def text(self, name: str) -> str:
        """A text, or an empty one."""
        return self._given.get(name, "")

    def texts(self, name: str) -> list[str]:
        """A list separated by commas."""
        return [part.strip() for part in self.text(name).split(",") if part.strip()]

    def number(self, name: str) -> int | None:
        """A whole number, if sent."""
        text = self.text(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
            raise errors.arguments(name)
        return int(text)

    def instant(self, name: str) -> int | None:
        """Milliseconds of an instant sent in seconds, fractions allowed; None if not sent."""
        text = self.text(name)
        if not text:
            return None
        try:
            return int(Decimal(text) * 1000)
        except (InvalidOperation, ValueError, OverflowError):
            raise errors.arguments(name) from None


def _sent(body: str) -> dict[str, str]:
    if not body.startswith("{"):
        return dict(parse_qsl(body, keep_blank_values=True))
    try:
        return {name: str(value) for name, value in orjson.loads(body).items()}
    except orjson.JSONDecodeError:
        raise errors.arguments("body") from None
