"""API keys of accounts, derived from the seed: the same after every restart, stored nowhere."""

import base64
import hashlib
from dataclasses import dataclass

ROLES = ("read", "trade", "withdraw", "restricted")
LENGTH = 64
BINANCE = "binance"

_KRAKEN_KEY_BYTES, _KRAKEN_SECRET_BYTES = 42, 64

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LETTERS = bytes(_ALPHABET[number % len(_ALPHABET)] for number in range(256))


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose key it is, what it may do, and the secret that signs for it."""

    account: int
    role: str
    secret: str

    @property
    def may_read(self) -> bool:
        """Whether private data may be asked for at all."""
        return self.role != "restricted"

    @property
    def may_trade(self) -> bool:
        """Whether the key could place orders."""
        return self.role == "trade"

    @property
    def may_withdraw(self) -> bool:
        """Whether the key could send coins away."""
        return self.role == "withdraw"


def api_key(seed: int, account: int, role: str, house: str = BINANCE) -> str:
    """The public half: 64 letters and digits at Binance, 56 characters of base 64 at Kraken."""
    if house == BINANCE:
        return _letters(f"{seed} {account} {role} key")
    return _base64(f"{house} {seed} {account} {role} key", _KRAKEN_KEY_BYTES)


def api_secret(seed: int, account: int, role: str, house: str = BINANCE) -> str:
    """The secret half: 64 letters and digits at Binance, 64 bytes in base 64 at Kraken."""
    if house == BINANCE:
        return _letters(f"{seed} {account} {role} secret")
    return _base64(f"{house} {seed} {account} {role} secret", _KRAKEN_SECRET_BYTES)


def ring(seed: int, accounts: int, house: str = BINANCE) -> dict[str, Holder]:
    """Who holds each key of the first accounts of a house."""
    return {
        api_key(seed, account, role, house): Holder(
            account, role, api_secret(seed, account, role, house)
        )
        for account in range(accounts)
        for role in ROLES
    }


def _letters(material: str) -> str:
    return _bytes(material, LENGTH).translate(_LETTERS).decode()


def _base64(material: str, length: int) -> str:
    return base64.b64encode(_bytes(material, length)).decode()


def _bytes(material: str, length: int) -> bytes:
    return hashlib.shake_256(f"sandbox {material}".encode()).digest(length)
