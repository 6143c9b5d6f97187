"""What Kraken calls coins, currencies, pairs and entries, and how it writes numbers."""

import base64
import hashlib
from decimal import Decimal

import orjson

from exchanges.sandbox import assets, symbols

# Code -> Kraken's id and alternative name, where they differ from the code.
_LEGACY = {
    "BTC": ("XXBT", "XBT"),
    "DOGE": ("XXDG", "XDG"),
    **{code: (f"X{code}", code) for code in ("ETH", "LTC", "ETC", "XLM", "XRP", "ZEC")},
    **{code: (f"Z{code}", code) for code in ("EUR", "USD", "GBP", "CAD", "AUD", "JPY")},
}
_MONEY = Decimal("0.0001")
_ID_BYTES = 10


def asset_id(code: str) -> str:
    """A coin's id in balances and ledgers: XXBT, ZEUR, SOL."""
    return _LEGACY.get(code, (code, code))[0]


def altname(code: str) -> str:
    """A coin's alternative name: XBT, EUR, SOL."""
    return _LEGACY.get(code, (code, code))[1]


def flexible_id(code: str) -> str:
    """The id of a coin, or a currency, while it earns and can leave at any time."""
    known = assets.KNOWN.get(code)
    return f"{altname(code)}.{'M' if known and known.fiat else 'F'}"


def bonded_id(code: str, days: int) -> str:
    """The id of a coin while it is locked for so many days: SOL14.S, and ETH2.S of old."""
    if code == "ETH":
        return "ETH2.S"
    return f"{altname(code)}{days:02}.S" if days < 100 else f"{altname(code)}.S"


def pair_id_of(base: str, quote: str) -> str:
    """XXBTZEUR where both sides have ids of old, else SOLEUR."""
    if base in _LEGACY and quote in _LEGACY:
        return asset_id(base) + asset_id(quote)
    return altname(base) + altname(quote)


def pair_id(symbol: symbols.Symbol) -> str:
    """The id of a pair, by which answers name it."""
    return pair_id_of(symbol.base, symbol.quote)


def pair_names(symbol: symbols.Symbol) -> tuple[str, str, str]:
    """All names by which a pair may be asked for."""
    return pair_id(symbol), pair_altname(symbol), pair_wsname(symbol)


def pair_altname(symbol: symbols.Symbol) -> str:
    """XBTEUR."""
    return altname(symbol.base) + altname(symbol.quote)


def pair_wsname(symbol: symbols.Symbol) -> str:
    """XBT/EUR."""
    return f"{altname(symbol.base)}/{altname(symbol.quote)}"


def made(letter: str, *parts: object) -> str:
    """An id like LGBRJU-SQZ4L-5HLS3C: always the same for the same parts."""
    material = "\0".join(str(part) for part in parts).encode()
    digest = hashlib.blake2b(material, digest_size=_ID_BYTES).digest()
    letters = base64.b32encode(digest).decode()
    return f"{letter}{letters[:5]}-{letters[5:10]}-{letters[10:]}"


def amount(code: str, value: Decimal) -> str:
    """Ten decimals; four for money, unless it has more."""
    known = assets.KNOWN.get(code)
    if known and known.fiat and value == value.quantize(_MONEY):
        return f"{value:.4f}"
    return f"{value:.10f}"


def price(value: Decimal) -> str:
    """A price or cost."""
    return f"{value:.8f}"


def seconds(instant: int, ten_thousandths: int = 0) -> orjson.Fragment:
    """An instant in seconds with a fraction, as a JSON number that loses no digit."""
    whole, milliseconds = divmod(instant, 1000)
    return orjson.Fragment(f"{whole}.{milliseconds * 10 + ten_thousandths:04}")
