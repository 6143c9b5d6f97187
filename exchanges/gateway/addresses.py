"""Where an exchange is reached: EXCHANGE_BASE_URLS, for sandbox, tests and proxies."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

_ORIGIN = re.compile(r"^(https?|wss?)://[^/]*")
_FOR_PEOPLE = {"logo", "www", "doc", "fees", "referral", "api_management"}


def base_url(exchange: str) -> str | None:
    """The configured base URL of an exchange, or None for its real addresses."""
    return (getattr(settings, "EXCHANGE_BASE_URLS", None) or {}).get(exchange) or None


def redirect(client: Any, base: str) -> None:
    """Replace scheme and host of all REST and WebSocket URLs of a ccxt instance by ``base``.

    Paths stay as they are, behind the path of ``base`` where it has one.
    """
    client.urls = {
        name: part if name in _FOR_PEOPLE else moved(part, base)
        for name, part in client.urls.items()
    }
    if "hostnames" in client.urls:
        client.urls["hostnames"] = dict.fromkeys(client.urls["hostnames"], urlsplit(base).netloc)
    client.hostname = urlsplit(base).netloc


def moved(part: Any, base: str) -> Any:
    """A copy of a nested structure with the origin of every URL in it replaced."""
    if isinstance(part, dict):
        return {name: moved(value, base) for name, value in part.items()}
    if isinstance(part, list):
        return [moved(value, base) for value in part]
    return _moved_url(part, base) if isinstance(part, str) else part


def _moved_url(url: str, base: str) -> str:
    found = _ORIGIN.match(url)
    if not found:
        return url
    target = urlsplit(base)
    web_socket = found[1].startswith("ws")
    scheme = target.scheme.replace("http", "ws") if web_socket else target.scheme
    return f"{scheme}://{target.netloc}{target.path.rstrip('/')}{url[found.end() :]}"
