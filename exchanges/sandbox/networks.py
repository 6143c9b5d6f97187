"""Blockchains as far as a transfer shows them: a name, addresses, transaction ids, fees."""

from dataclasses import dataclass
from decimal import Decimal

from exchanges.sandbox import assets

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_OWN_CHAIN = {
    "BTC": "1",
    "LTC": "L",
    "DOGE": "D",
    "BCH": "1",
    "XRP": "r",
    "TRX": "T",
    "SOL": "",
    "XLM": "G",
    "ZEC": "t1",
}
_WITHDRAWAL_FEE_USD = Decimal("1.2")


@dataclass(frozen=True, slots=True)
class Network:
    """A chain; `prefix` begins its addresses, and an empty `hexadecimal` means base 58."""

    code: str
    prefix: str
    hexadecimal: bool

    def address(self, number: int) -> str:
        """An address made of a random number."""
        if self.hexadecimal:
            return f"{self.prefix}{number % (1 << 160):040x}"
        return self.prefix + _base58(number)[:33]

    def transaction(self, number: int) -> str:
        """A transaction id made of a random number of 256 bits."""
        return f"{self.prefix if self.hexadecimal else ''}{number:064x}"


_ETHEREUM = Network("ETH", "0x", hexadecimal=True)
_SMART_CHAIN = Network("BSC", "0x", hexadecimal=True)
_TRON = Network("TRX", "T", hexadecimal=False)


def of(code: str) -> Network:
    """The chain on which the sandbox moves an asset."""
    if code in _OWN_CHAIN:
        return Network(code, _OWN_CHAIN[code], hexadecimal=False)
    return {"USDT": _TRON, "BNB": _SMART_CHAIN}.get(code, _ETHEREUM)


def withdrawal_fee(asset: assets.Asset) -> Decimal:
    """What sending an asset away costs: a round amount worth about a dollar."""
    return Decimal(1).scaleb((_WITHDRAWAL_FEE_USD / asset.usd).adjusted())


def _base58(number: int) -> str:
    letters = []
    while number:
        number, rest = divmod(number, len(_BASE58))
        letters.append(_BASE58[rest])
    return "".join(letters)
