"""Where a request really comes from."""

import ipaddress
from typing import Any

from django.conf import settings

UNKNOWN = "unknown"


def client_address(request: Any) -> str:
    """The caller's address as our own proxies report it; an IPv6 caller counts as its /64.

    Each trusted proxy appends the address it saw to X-Forwarded-For, so the caller is the n-th
    from the right and everything further left is the caller's own claim, which is ignored.
    """
    address = _address(request)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def _address(request: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    count = settings.TRUSTED_PROXY_COUNT
    text = hops[-count] if 0 < count <= len(hops) else request.META.get("REMOTE_ADDR", "")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
