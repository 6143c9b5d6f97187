"""From which address an exchange is asked: ``EXCHANGE_PROXIES``.

An exchange limits each address that asks it. Where several outgoing addresses are configured,
each has a budget of its own, and an account always goes by the same one: some people allow their
key for certain addresses only. Accounts are spread by rendezvous hashing, so that a proxy which
is added or taken out moves only the accounts that it gets or had.
"""

import hashlib
from uuid import UUID

from django.conf import settings

DIRECT = ""  # without a proxy, from this machine's own address


def of_exchange(exchange: str) -> tuple[str, ...]:
    """The proxies of an exchange, in their order; ``DIRECT`` alone where none is set."""
    found = (getattr(settings, "EXCHANGE_PROXIES", None) or {}).get(exchange) or ["direct"]
    return tuple(DIRECT if url == "direct" else url for url in found)


def of_account(exchange: str, account: UUID | None) -> str:
    """The proxy by which an account goes; the first for what belongs to no account."""
    found = of_exchange(exchange)
    if account is None or len(found) == 1:
        return found[0]
    return max(found, key=lambda proxy: _weight(account, proxy))


def label(proxy: str) -> str:
    """A short name of a proxy that gives nothing away: its URL may hold a password."""
    if proxy == DIRECT:
        return ""
    return hashlib.blake2b(proxy.encode(), digest_size=4).hexdigest()


def _weight(account: UUID, proxy: str) -> bytes:
    return hashlib.blake2b(proxy.encode(), key=account.bytes, digest_size=8).digest()
