"""How Binance writes quantities and instants."""

from datetime import UTC, datetime
from decimal import Decimal


def amount(value: Decimal) -> str:
    """A quantity with its 8 decimals."""
    return f"{value:.8f}"


def plain(value: Decimal) -> str:
    """A quantity with only the decimals it has, as the wallet endpoints send it."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(instant: int) -> str:
    """An instant as `2024-05-05 15:38:56`, in UTC."""
    return datetime.fromtimestamp(instant // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
