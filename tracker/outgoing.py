"""Calling an address that somebody gave us: a webhook must not become a door to our own network.

The name is resolved here, every address that comes out is checked, and the connection is made to
a checked address, so that a name that resolves differently a moment later changes nothing. The
certificate is still that of the name. No redirect is followed, no proxy is asked, and nothing
takes longer than it is given.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, urlsplit

import certifi
from django.conf import settings

SECONDS = 10.0
# Translated to IPv4 on the way.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not for the public internet, though some releases of Python think so.
_SPECIAL = tuple(
    ipaddress.ip_network(block) for block in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48")
)
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


class OutgoingError(Exception):
    """The call could not be made or was not answered. ``code`` is stable and says why."""

    code = "unreachable"


class BadAddress(OutgoingError):
    """Not an https:// address with a host."""

    code = "bad_address"


class PrivateAddress(OutgoingError):
    """The name stands for something that is not on the public internet."""

    code = "private_address"


class TooSlow(OutgoingError):
    """No answer within the time that was given."""

    code = "timed_out"


class BadCertificate(OutgoingError):
    """The certificate is not that of the name."""

    code = "bad_certificate"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an address leads: what to connect to, and as what."""

    host: str
    port: int
    path: str
    tls: bool
    address: str


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def target_of(url: str, *, allow_private: bool | None = None, resolve: Resolve = resolve) -> Target:
    """Where to connect for a URL. Raises BadAddress, PrivateAddress, OutgoingError.

    ``allow_private`` is for development and tests; without it the setting decides.
    """
    lenient = settings.WEBHOOK_ALLOW_PRIVATE if allow_private is None else allow_private
    parts = _parts(url, lenient=lenient)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError):
        raise OutgoingError from None
    if not addresses:
        raise OutgoingError
    # One private address among public ones is enough: nobody has such a name by accident.
    if not lenient and not all(is_public(address) for address in addresses):
        raise PrivateAddress
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port, path, parts.scheme == "https", addresses[0])


def is_public(text: str) -> bool:
    """Whether an address is on the public internet; also what IPv6 wraps around an IPv4 one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return _is_global(address)
    return all(_is_global(part) for part in _wrapped(address))


def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float = SECONDS,
    allow_private: bool | None = None,
    resolve: Resolve = resolve,
) -> int:
    """POST and return the status, whatever it is. Raises OutgoingError and what it stands for."""
    target = target_of(url, allow_private=allow_private, resolve=resolve)
    connection = _Pinned(target, seconds)
    late = threading.Event()
    with _cut_off(connection, late, seconds):
        try:
            connection.request("POST", target.path, body=body, headers=dict(headers))
            status = connection.getresponse().status
        except ssl.SSLError:
            raise (TooSlow if late.is_set() else BadCertificate) from None
        except TimeoutError:
            raise TooSlow from None
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            # The sockets are closed under the call's feet when its time is over.
            raise (TooSlow if late.is_set() else OutgoingError) from None
        finally:
            connection.close()
    if late.is_set():  # what was read may have been cut off in the middle of a line
        raise TooSlow
    return status


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was checked, and asks for the certificate of the name."""

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self.default_port = 443 if target.tls else 80
        self._target = target

    def connect(self) -> None:
        plain = socket.create_connection((self._target.address, self.port), self.timeout)
        self.sock = plain
        if self._target.tls:
            self.sock = _tls().wrap_socket(plain, server_hostname=self._target.host)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


@contextmanager
def _cut_off(connection: _Pinned, late: threading.Event, seconds: float) -> Iterator[None]:
    """End the call when its time is over: a socket's own timeout starts anew with each byte."""

    def cut() -> None:
        late.set()
        sock = connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _parts(url: str, *, lenient: bool) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadAddress from None
    schemes = ("https", "http") if lenient else ("https",)
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise BadAddress
    if parts.username is not None or parts.password is not None:
        raise BadAddress
    if any(character.isspace() or ord(character) < 33 for character in url):
        raise BadAddress
    return parts


def _wrapped(address: ipaddress.IPv6Address) -> list[_Address]:
    """The address and every IPv4 address that it carries."""
    found: list[_Address] = []
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found.extend(address.teredo)
    if address in _NAT64:
        return [*found, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if int(address) >> 32 == 0:  # ::a.b.c.d, long out of use
        found.append(ipaddress.IPv4Address(int(address)))
    return [address, *found]


def _is_global(address: _Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if any(address in block for block in _SPECIAL):
        return False
    return not (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
