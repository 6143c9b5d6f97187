"""Reading request parameters as strictly as Binance does."""

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

import orjson

from exchanges.sandbox.binance import errors

DAY = 86_400_000
_LONGEST_NUMBER = 20

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Window:
    """Instants from `start` to `end`, both included."""

    start: int
    end: int

    def holds(self, instant: int) -> bool:
        """Whether an instant is in it."""
        return self.start <= instant <= self.end


@dataclass(frozen=True, slots=True)
class Page:
    """Which page, and how many rows it holds."""

    number: int
    size: int

    def of(self, rows: list[Row]) -> list[Row]:
        """The rows on the page."""
        first = (self.number - 1) * self.size
        return rows[first : first + self.size]


class Parameters:
    """The parameters of one request; every reader raises BinanceError on what is not allowed."""

    def __init__(self, *encoded: str) -> None:
        self._given = {
            name: value
            for part in encoded
            for name, value in parse_qsl(part, keep_blank_values=True)
        }

    def has(self, name: str) -> bool:
        """Whether it was sent."""
        return name in self._given

    def text(self, name: str, default: str = "") -> str:
        """A text, or the default."""
        return self._given.get(name, default)

    def needed(self, name: str) -> str:
        """A text that must be there."""
        if not self._given.get(name):
            raise errors.missing(name)
        return self._given[name]

    def number(self, name: str) -> int | None:
        """A whole number, if sent."""
        if name not in self._given:
            return None
        text = self._given[name]
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
            raise errors.malformed(name)
        return int(text)

    def needed_number(self, name: str) -> int:
        """A whole number that must be there."""
        self.needed(name)
        number = self.number(name)
        return number or 0

    def texts(self, name: str) -> list[str]:
        """A JSON array of texts, as `symbols` is sent."""
        try:
            found = orjson.loads(self.needed(name))
        except orjson.JSONDecodeError:
            raise errors.malformed(name) from None
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise errors.malformed(name)
        return found

    def flag(self, name: str) -> bool:
        """A boolean; not sent means false."""
        return self.text(name).lower() == "true"

    def limit(self, *, default: int, most: int, name: str = "limit") -> int:
        """How many rows; more than allowed is refused."""
        limit = self.number(name)
        if limit is None:
            return default
        if limit > most or limit < 1:
            raise errors.page_too_large(name)
        return limit

    def page(
        self, *, default: int = 10, most: int = 100, number: str = "current", size: str = "size"
    ) -> Page:
        """Which page; the first is 1."""
        rows = self.limit(default=default, most=most, name=size)
        return Page(max(self.number(number) or 1, 1), rows)

    def window(
        self,
        *,
        now: int,
        default: int,
        longest: int | None = None,
        open_span: int | None = None,
        start: str = "startTime",
        end: str = "endTime",
    ) -> Window:
        """The window asked for.

        Nothing sent means the `default` time before now. Only a start means until now, or for
        `open_span` where the endpoint says so; only an end, the same backwards.
        """
        first, last = self.number(start), self.number(end)
        if first is None:
            last = now if last is None else last
            first = last - default
        elif last is None:
            last = now if open_span is None else first + open_span
        if first > last:
            raise errors.turned_window()
        if longest is not None and last - first > longest:
            raise errors.window_too_long()
        return Window(first, last)
