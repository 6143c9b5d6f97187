"""API keys of accounts, derived from the seed: the same after every restart, stored nowhere."""

import hashlib
from dataclasses import dataclass

ROLES = ("read", "trade", "withdraw", "restricted")
LENGTH = 64

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


def api_key(seed: int, account: int, role: str) -> str:
    """The public half: 64 letters and digits."""
    return _derived(seed, account, role, "key")


def api_secret(seed: int, account: int, role: str) -> str:
    """The secret half: 64 letters and digits."""
    return _derived(seed, account, role, "secret")


def ring(seed: int, accounts: int) -> dict[str, Holder]:
    """Who holds each key of the first accounts."""
    return {
        api_key(seed, account, role): Holder(account, role, api_secret(seed, account, role))
        for account in range(accounts)
        for role in ROLES
    }


def _derived(seed: int, account: int, role: str, half: str) -> str:
    material = f"sandbox {seed} {account} {role} {half}".encode()
    return hashlib.shake_256(material).digest(LENGTH).translate(_LETTERS).decode()
