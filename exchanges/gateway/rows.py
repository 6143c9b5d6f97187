"""Reading the rows of an answer: every field is checked, and what cannot be read says why.

Numbers arrive as text (``clients`` parses JSON that way), so no digit is lost; a row that fails
is quarantined with a payload from which everything that looks like a credential was taken out.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, InvalidOperation, localcontext
from typing import Any

EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)  # no coin is older than the first block
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_EXPONENT = 40
_WORKING_DIGITS = 120
_FINEST = Decimal("1e-30")  # columns of units hold no more
_COIN_DECIMALS = Decimal("1e-18")
_CODE = re.compile(r"[^\s/%$#&?\"'<>\\]{1,64}")
_SECRET_FIELD = re.compile(r"key|secret|sign|token|passphrase|password|auth|cookie|jwt", re.I)
_SECRET_QUERY = re.compile(r"(signature|api_?key|token|secret)=[^&\s\"]+", re.IGNORECASE)
_WRITTEN = (str, int, Decimal)
_MAX_PAYLOAD = 20_000
REDACTED = "…"

NOTHING = frozenset({None, "", "0", "0.0", "0.00", "0.00000000"})

Row = Mapping[str, Any]


class BadRow(ValueError):
    """A row that cannot be understood; the text names the field and never its value."""


def quantity(row: Row, *fields: str) -> Decimal:
    """The finite decimal of the first of ``fields`` that is there. Raises BadRow."""
    for field in fields:
        value = row.get(field)
        if value is not None and value != "":
            return number(value, field=field)
    raise BadRow(f"{fields[0]} is missing")


def quantity_or_zero(row: Row, *fields: str) -> Decimal:
    """Like ``quantity``, but an absent field is 0."""
    present = any(row.get(field) not in (None, "") for field in fields)
    return quantity(row, *fields) if present else Decimal()


def number(value: Any, *, field: str) -> Decimal:
    """A finite Decimal of a sane size. Raises BadRow."""
    if type(value) not in _WRITTEN:  # not float, which has lost digits; not bool
        raise BadRow(f"{field} is not a number")
    try:
        parsed = Decimal(value)
    except InvalidOperation:
        raise BadRow(f"{field} is not a number") from None
    if not parsed.is_finite() or abs(parsed.adjusted()) > _LARGEST_EXPONENT:
        raise BadRow(f"{field} is not a finite number")
    return parsed


def positive(value: Decimal, *, field: str) -> Decimal:
    """The value, when above 0. Raises BadRow."""
    if value <= 0:
        raise BadRow(f"{field} is not above 0")
    return value


def product(amount: Decimal, price: Decimal) -> Decimal:
    """What an amount is worth at a price, to as many decimals as can be kept."""
    with localcontext(prec=_WORKING_DIGITS):
        worth = amount * price
        finer = worth.as_tuple().exponent < _FINEST.as_tuple().exponent  # type: ignore[operator]
        return worth.quantize(_FINEST) if finer else worth


def quotient(whole: Decimal, part: Decimal) -> Decimal:
    """How often ``part`` goes into ``whole``: units that an exchange leaves us to compute, with
    as many decimals as coins have, cut off as exchanges do."""
    with localcontext(prec=_WORKING_DIGITS):
        return (whole / part).quantize(_COIN_DECIMALS, ROUND_DOWN)


def fee(code: str | None, amount: Decimal) -> tuple[str | None, Decimal | None]:
    """Fee code and quantity as facts carry them: both None when there is none."""
    return (code, amount) if amount and code else (None, None)


def text(row: Row, *fields: str) -> str:
    """The first of ``fields`` that is there, as text, or an empty string."""
    for field in fields:
        value = row.get(field)
        if value is not None and value != "":
            return str(value)
    return ""


def code(row: Row, *fields: str) -> str:
    """A coin's code, in the exchange's spelling. Raises BadRow."""
    found = text(row, *fields).strip()
    if not _CODE.fullmatch(found):
        raise BadRow(f"{fields[0]} is not a code")
    return found


def milliseconds(row: Row, *fields: str) -> datetime:
    """The instant that one of ``fields`` gives in milliseconds. Raises BadRow."""
    return _sane(quantity(row, *fields) * 1000, fields[0])


def seconds(row: Row, *fields: str) -> datetime:
    """The instant that one of ``fields`` gives in seconds, fractions allowed. Raises BadRow."""
    return _sane(quantity(row, *fields) * 1_000_000, fields[0])


def moment(row: Row, *fields: str) -> datetime:
    """The instant that one of ``fields`` gives as text, UTC where it names no zone."""
    try:
        parsed = datetime.fromisoformat(_padded(text(row, *fields)))
    except ValueError:
        raise BadRow(f"{fields[0]} is not a time") from None
    return _bounded(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC), fields[0])


def millis(instant: datetime) -> int:
    """An instant as milliseconds since 1970."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def digest(row: Row, fields: Collection[str]) -> str:
    """A stable name for a row without id: a hash of the fields that never change."""
    chosen = [str(row.get(field)) for field in fields]
    return "h" + hashlib.sha256("\0".join(chosen).encode()).hexdigest()[:24]


def payload(row: Any, *, secrets: Collection[str] = ()) -> tuple[str, bool]:
    """A row as JSON for the quarantine, without anything that looks like a credential, and
    whether that is the whole of it. The order of fields is kept: names may be made of it."""
    written = json.dumps(_redacted(row), default=str)
    written = _SECRET_QUERY.sub(rf"\1={REDACTED}", written)
    for secret in filter(None, secrets):
        written = written.replace(secret, REDACTED)
    return written[:_MAX_PAYLOAD], len(written) <= _MAX_PAYLOAD


def reread(written: str) -> Any:
    """What ``payload`` wrote, with its numbers as ``clients`` reads them. Raises ValueError."""
    return json.loads(written, parse_float=str, parse_constant=str)


def _redacted(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            k: REDACTED if _SECRET_FIELD.search(str(k)) else _redacted(v) for k, v in part.items()
        }
    if isinstance(part, Sequence) and not isinstance(part, (str, bytes)):
        return [_redacted(value) for value in part]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _padded(moment_text: str) -> str:
    """Some exchanges write an hour with one digit, or more digits than microseconds have."""
    written = re.sub(r"([ T])(\d):", r"\g<1>0\2:", moment_text.strip())
    return re.sub(r"(\.\d{6})\d+", r"\1", written)


def _sane(microseconds: Decimal, field: str) -> datetime:
    try:
        return _bounded(_EPOCH + timedelta(microseconds=int(microseconds)), field)
    except OverflowError:
        raise BadRow(f"{field} is not a sane time") from None


def _bounded(instant: datetime, field: str) -> datetime:
    if not EARLIEST <= instant < LATEST:
        raise BadRow(f"{field} is not a sane time")
    return instant.astimezone(UTC)
