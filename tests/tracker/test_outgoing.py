"""Calling addresses that somebody gave us: never into our own network, never further than asked."""

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tracker import outgoing
from tracker.outgoing import BadAddress, OutgoingError, PrivateAddress, TooSlow

PUBLIC = "93.184.215.14"


def to(*addresses: str) -> outgoing.Resolve:
    """A resolver that knows these addresses for every name."""
    return lambda host, port: list(addresses)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0",  # noqa: S104
        "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1",
        "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "nonsense",
    ],
)  # fmt: skip
def test_a_name_that_stands_for_a_private_address_is_refused(address):
    """S33"""
    assert not outgoing.is_public(address)
    with pytest.raises(PrivateAddress):
        outgoing.target_of("https://hooks.example/x", allow_private=False, resolve=to(address))


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "::ffff:93.184.215.14"])
def test_a_name_with_a_public_address_is_connected_at_that_address(address):
    """S33"""
    target = outgoing.target_of(
        "https://hooks.example:8443/a/b?c=d", allow_private=False, resolve=to(address)
    )
    assert (target.host, target.port, target.path) == ("hooks.example", 8443, "/a/b?c=d")
    assert (target.address, target.tls) == (address, True)


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    """S33"""
    with pytest.raises(PrivateAddress):
        outgoing.target_of(
            "https://hooks.example/", allow_private=False, resolve=to(PUBLIC, "10.0.0.1")
        )


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]",
     "localhost", "0"],
)  # fmt: skip
def test_no_spelling_of_this_machine_gets_through_the_real_resolver(host):
    """S33: decimal, octal, hexadecimal, short and IPv6 forms."""
    with pytest.raises((PrivateAddress, OutgoingError)):
        outgoing.target_of(f"https://{host}/", allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/", "ftp://hooks.example/", "file:///etc/passwd", "gopher://x/",
        "https://", "https:///x", "hooks.example", "", "https://user@hooks.example/",
        "https://a:b@hooks.example/", "https://hooks.example:0/", "https://hooks.example:99999/",
        "https://hooks.example/a b", "https://hooks.example/\r\nX: y", "https://[::1/",
    ],
)  # fmt: skip
def test_anything_but_a_plain_https_address_is_refused(url):
    """S33"""
    with pytest.raises(BadAddress):
        outgoing.target_of(url, allow_private=False, resolve=to(PUBLIC))


def test_a_name_that_cannot_be_resolved_is_unreachable():
    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror

    for resolver in (fails, to()):
        with pytest.raises(OutgoingError) as raised:
            outgoing.target_of("https://hooks.example/", allow_private=False, resolve=resolver)
        assert raised.value.code == "unreachable"


# --- with a real server -------------------------------------------------------------------------
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, bytes, str | None]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, body, self.headers["Host"]))
        if self.path == "/slow":
            self.wfile.write(b"HTTP/1.1 200")  # and the rest never comes
            self.wfile.flush()
            self.server.released.wait(30)
            return
        self.send_response(302 if self.path == "/redirect" else 204)
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.released.set()
    running.shutdown()
    running.server_close()


def post(url: str, **given: Any) -> int:
    return outgoing.post(url, body=b"{}", headers={"X-Test": "1"}, **given)


def test_the_connection_goes_to_the_address_that_was_checked(server):
    """S33: whatever the name stands for a moment later, it is not asked again."""
    asked: list[str] = []

    def once(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["203.0.113.1"]

    url = f"http://hooks.example:{server.server_port}/x"
    assert post(url, allow_private=True, resolve=once) == 204
    assert asked == ["hooks.example"]
    assert server.asked == [("/x", b"{}", f"hooks.example:{server.server_port}")]


def test_a_redirect_is_answered_with_its_status_and_not_followed(server):
    """S33"""
    assert post(f"{server.url}/redirect", allow_private=True) == 302
    assert [path for path, *_ in server.asked] == ["/redirect"]


def test_who_never_ends_an_answer_is_cut_off(server):
    with pytest.raises(TooSlow):
        post(f"{server.url}/slow", allow_private=True, seconds=0.3)


def test_a_server_of_this_machine_is_never_asked_by_default(server, settings):
    """S33"""
    settings.WEBHOOK_ALLOW_PRIVATE = False
    with pytest.raises(BadAddress):
        post(f"{server.url}/x")
    with pytest.raises(PrivateAddress):
        post(f"https://127.0.0.1:{server.server_port}/x")
    assert server.asked == []


def test_nobody_there_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OutgoingError) as raised:
        post(f"http://127.0.0.1:{port}/", allow_private=True)
    assert raised.value.code == "unreachable"


def test_no_proxy_of_the_environment_is_asked(server, monkeypatch):
    """S33: it would be asked for the name, past the check."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert post(f"{server.url}/x", allow_private=True) == 204
