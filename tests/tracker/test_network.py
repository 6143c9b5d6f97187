"""S29: the caller's address is what our own proxies say, and nothing that the caller says."""

from types import SimpleNamespace
from typing import Any

import pytest

from tracker import network


def address(proxies: int, settings: Any, remote: str = "10.0.0.9", **headers: str) -> str:
    settings.TRUSTED_PROXY_COUNT = proxies
    return network.client_address(SimpleNamespace(META={"REMOTE_ADDR": remote} | headers))


CALLER = "198.51.100.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, None, "10.0.0.9"),
        (0, CALLER, "10.0.0.9"),
        (1, CALLER, CALLER),
        (1, f"203.0.113.1, {CALLER}", CALLER),
        (1, f"203.0.113.1,203.0.113.2 ,  {CALLER} ", CALLER),
        (2, f"{CALLER}, 10.0.0.1", CALLER),
        (2, f"203.0.113.1, {CALLER}, 10.0.0.1", CALLER),
        # fewer hops than proxies of ours: the header is not theirs
        (2, CALLER, "10.0.0.9"),
        # a trusted proxy that says nothing
        (1, None, "unknown"),
        (1, "", "unknown"),
        (1, f"{CALLER}, ", "unknown"),
        (1, "nonsense", "unknown"),
        (1, f"{CALLER}:443", "unknown"),
        (1, "x" * 10_000, "unknown"),
    ],
)
def test_the_address_is_the_one_that_the_trusted_proxy_appended(
    settings, proxies, forwarded, found
):
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    assert address(proxies, settings, **headers) == found


@pytest.mark.parametrize(
    ("remote", "found"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("::ffff:198.51.100.7", CALLER),
        ("::1", "::"),
        ("fe80::1%eth0", "fe80::"),
        ("", "unknown"),
    ],
)
def test_an_ipv6_caller_is_its_network_and_a_mapped_one_its_ipv4_address(settings, remote, found):
    assert address(0, settings, remote) == found


def test_other_headers_say_nothing(settings):
    """X-Real-IP, Forwarded and Client-IP are the caller's own words."""
    names = ("HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_CLIENT_IP", "HTTP_TRUE_CLIENT_IP")
    assert address(0, settings, **dict.fromkeys(names, CALLER)) == "10.0.0.9"
    assert address(1, settings, **dict.fromkeys(names, CALLER)) == "unknown"
