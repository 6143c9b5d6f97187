"""Asking our own public address, as anybody outside would, and no other.

No redirect is followed. Certificates are checked against the system's authorities.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from django.conf import settings

_TIMEOUT = 10.0
_MOST_BYTES = 1 << 20


class NoAnswer(Exception):
    """Our own address did not answer, or not with a certificate that counts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(path: str, *, method: str = "GET") -> Answer:
    """What ``PUBLIC_URL`` answers at a path; at most the first megabyte. Raises NoAnswer."""
    connection = _connection()
    try:
        connection.request(method, path, headers={"User-Agent": "launch-checklist"})
        got = connection.getresponse()
        headers = {name.lower(): value for name, value in got.getheaders()}
        return Answer(got.status, headers, got.read(_MOST_BYTES))
    except ssl.SSLError as error:
        raise NoAnswer(f"TLS failed ({error.reason or type(error).__name__})") from None
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"no answer ({type(error).__name__})") from None
    finally:
        connection.close()


def _connection() -> HTTPConnection:
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme != "https":
        return HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    trusted = ssl.create_default_context()
    return HTTPSConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT, context=trusted)
