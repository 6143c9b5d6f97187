"""What one cell of a file says: a number, an instant, a code. Pure.

Nothing is guessed: a cell that can be read in two ways refuses its row with a sentence, and the
person sees the line.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from tracker import money

GENESIS = datetime(2009, 1, 3, tzinfo=UTC)  # Bitcoin's first block: nothing here is older
_AHEAD = timedelta(minutes=5)  # clocks differ
_CODE = re.compile(r"[^\W_][\w.+*@-]{0,31}")
_PLAIN = re.compile(r"[+-]?\d{1,60}(\.\d{0,60})?([eE][+-]?\d{1,3})?|[+-]?\.\d{1,60}")
_SIMPLE = re.compile(r"-?\d+(\.\d+)?")  # what nearly all cells hold, and
_SHORT = 30  # in so few letters always fits
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d{0,60})?")
_EUROPEAN = re.compile(r"[+-]?\d{1,3}(\.\d{3})*(,\d{0,60})|[+-]?\d{1,60},\d{0,60}")
_DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_POINTED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?")
_CURRENCY = re.compile(r"^([+-]?)\s*[^\d\s+\-.,]{1,4}\s*|\s*[^\d\s.,]{1,4}$")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})[ T,]+(.+)|(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SHORT_YEAR = re.compile(r"(\d{2})-(\d{2})-(\d{2}) (\d{1,2}:\d{2}:\d{2})")
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z)$", re.I)
_HOUR = re.compile(r"(?<=[ T])(\d)(?=:)")


class RowRefused(Exception):
    """A row that cannot be understood; ``code`` is stable, the text is for the person."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        super().__init__(sentence)


class RowSkipped(Exception):
    """A row that is understood, and of which there is nothing to book."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        super().__init__(sentence)


def text(cells: Mapping[str, str], column: str) -> str:
    """The text of a cell without the spaces around it; empty when it is not there."""
    return cells.get(column, "").strip()


def code(cells: Mapping[str, str], column: str) -> str:
    """A coin's code, in capitals. Raises RowRefused."""
    found = text(cells, column)
    if not found:
        raise RowRefused("asset_missing", "The asset is missing.")
    if not _CODE.fullmatch(found):
        raise RowRefused("asset_unreadable", "The asset is not a code such as BTC.")
    return found.upper()


def amount(cells: Mapping[str, str], column: str) -> Decimal:
    """A number that may be below zero. Raises RowRefused."""
    found = text(cells, column)
    if not found:
        raise RowRefused("amount_missing", "The amount is missing.")
    return number(found)


def positive(cells: Mapping[str, str], column: str) -> Decimal:
    """A number above zero. Raises RowRefused."""
    found = amount(cells, column)
    if found < 0:
        raise RowRefused("amount_negative", "This amount may not be below zero.")
    return some(found)


def some(found: Decimal) -> Decimal:
    """The number, unless it is zero. Raises RowRefused."""
    if not found:
        raise RowRefused("amount_zero", "The amount is zero.")
    return found


def optional(cells: Mapping[str, str], column: str) -> Decimal:
    """A number, zero when the cell is empty. Raises RowRefused."""
    return number(found) if (found := text(cells, column)) else Decimal(0)


def fee(
    cells: Mapping[str, str], column: str, code_column: str, otherwise: str = ""
) -> tuple[str | None, Decimal | None]:
    """Code and amount of a fee, or nothing twice. Raises RowRefused, below zero too."""
    charged = optional(cells, column)
    if charged < 0:
        raise RowRefused("amount_negative", "The fee may not be below zero.")
    if not charged:
        return None, None
    if otherwise and not text(cells, code_column):
        return otherwise, charged
    return code(cells, code_column), charged


def number(written: str) -> Decimal:
    """An exact number. ``1,234.5``, ``1.234,5`` and ``1,5`` can be read in one way only;
    ``1,234`` cannot, and is refused. Raises RowRefused."""
    if len(written) <= _SHORT and written.isascii() and _SIMPLE.fullmatch(written):
        return _possible(Decimal(written))
    plain = written.replace(" ", "").replace("\u00a0", "").replace("\u202f", "").replace("−", "-")
    if not plain.isascii():
        raise RowRefused("amount_unreadable", "The amount is not a number.")
    if _DOUBTFUL.fullmatch(plain):
        raise RowRefused(
            "amount_ambiguous",
            "This mark may separate thousands or decimals. Please write 1234.5 or 0.125 instead.",
        )
    if _GROUPED.fullmatch(plain):
        plain = plain.replace(",", "")
    elif _EUROPEAN.fullmatch(plain):
        plain = plain.replace(".", "").replace(",", ".")
    if not _PLAIN.fullmatch(plain):
        raise RowRefused("amount_unreadable", "The amount is not a number.")
    found = Decimal(plain)
    if not money.fits_units(found):
        raise RowRefused("amount_too_long", "The amount has more digits than can be kept.")
    return _possible(found)


def _possible(found: Decimal) -> Decimal:
    if abs(found) >= money.MOST_UNITS:
        raise RowRefused("amount_too_large", "The amount is larger than anybody can have.")
    return found


def has_comma_decimals(written: str) -> bool:
    """Whether this cell is a number whose decimals plainly follow a comma."""
    plain = without_currency(written).replace(" ", "")
    doubtful = _DOUBTFUL.fullmatch(plain) or _GROUPED.fullmatch(plain)
    return "," in plain and not doubtful and bool(_EUROPEAN.fullmatch(plain))


def doubted(written: str) -> str:
    """A cell of a file with comma decimals: its ``1.500`` may be either, and reads as such."""
    plain = without_currency(written)
    return plain.replace(".", ",") if _POINTED.fullmatch(plain) else written


def ungrouped(written: str) -> str:
    """An amount whose commas are known to group thousands, without them."""
    return written.replace(",", "") if _GROUPED.fullmatch(written) else written


def keepable_price(price: Decimal) -> Decimal:
    """The price, unless what it makes of units could not be stored. Raises RowRefused."""
    if price >= money.MOST_UNITS:
        raise RowRefused("price_too_long", "The price of this trade cannot be kept.")
    return price


def without_currency(written: str) -> str:
    """An amount of money without its sign of currency: ``€1,234.50`` → ``1,234.50``."""
    return _CURRENCY.sub(r"\1", written.strip()).strip()


def instant(written: str, *, zone: tzinfo, now: datetime) -> datetime:
    """An instant in UTC; one without a zone is in ``zone``. Raises RowRefused.

    ISO 8601 (with a space or a T, ``UTC`` or an offset behind it) and ``31.12.2023 14:30``.
    Dates with slashes are refused, because nothing tells whether day or month stands first.
    """
    if not written:
        raise RowRefused("time_missing", "The time is missing.")
    found = _parsed(written)
    try:
        found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (OverflowError, ValueError):
        raise RowRefused("time_out_of_range", "This date cannot be used.") from None
    return sensible(found, now=now)


def sensible(found: datetime, *, now: datetime) -> datetime:
    """The instant, unless it lies in the future or before there were any coins."""
    if found < GENESIS:
        raise RowRefused("time_before_2009", "This lies before 3 January 2009, the first Bitcoin.")
    if found > now + _AHEAD:
        raise RowRefused("time_in_future", "This lies in the future.")
    return found


def _parsed(written: str) -> datetime:
    """Aware when the text names a zone, naive otherwise."""
    stamp, utc = written.strip(), False
    if stamp.isascii() and _STAMP.fullmatch(stamp):
        return _iso(stamp)
    if "/" in stamp:
        raise RowRefused(
            "time_ambiguous",
            "Day and month cannot be told apart here. Please write dates as 2024-12-31.",
        )
    if named := _ZONE.search(stamp):
        stamp, utc = stamp[: named.start()], True
    if day := _DAY_FIRST.fullmatch(stamp):
        d, m, y, clock = day[1] or day[5], day[2] or day[6], day[3] or day[7], day[4] or "00:00"
        stamp = f"{y}-{int(m):02}-{int(d):02} {clock}"
    if short := _SHORT_YEAR.fullmatch(stamp):
        stamp = f"20{short[1]}-{short[2]}-{short[3]} {short[4]}"
    stamp = _HOUR.sub(r"0\1", stamp.replace("  ", " ")).replace(" +", "+")
    found = _iso(stamp)
    return found.replace(tzinfo=UTC) if utc and not found.tzinfo else found


def _iso(stamp: str) -> datetime:
    try:
        if not stamp.isascii() or not stamp[:4].isdigit():
            raise ValueError(stamp)
        return datetime.fromisoformat(stamp)
    except ValueError:
        raise RowRefused("time_unreadable", "This is not a date and time.") from None
