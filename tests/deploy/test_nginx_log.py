"""What the real nginx writes down of a request, by the file that is deployed."""

import http.client
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.deploy import files, nginx
from tests.end_to_end.system import free_port


def test_nginx_logs_no_query_and_no_page_that_led_here(tmp_path):
    """Tokens of links in our e-mails stand in both, and whoever reads a log could use them."""
    plain, tls = free_port(), free_port()
    path, token = "/cancel-second-factor-reset", "c2VjcmV0"
    with nginx.running(
        tmp_path, web=free_port(), live=free_port(), plain=plain, tls=tls
    ) as process:
        for port in (plain, tls):
            _await(port, process)
        for port, host in ((plain, files.DOMAIN), (plain, "evil.example.com"), (tls, files.DOMAIN)):
            _ask(tmp_path, port, host, f"{path}?token={token}", tls=port == tls)
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert sum(f"GET {path} HTTP/1.1" in line for line in lines) == 3, lines
    assert not [line for line in lines if token in line or "?" in line]


def _ask(folder: Path, port: int, host: str, address: str, *, tls: bool) -> None:
    """Whatever comes of it: nobody stands behind this nginx."""
    with (
        suppress(http.client.HTTPException),
        socket.create_connection(("127.0.0.1", port)) as plain,
    ):
        trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        made = trust.wrap_socket(plain, server_hostname=host) if tls else plain
        connection = http.client.HTTPConnection(host)
        connection.sock = made
        seen = {"Host": host, "Referer": f"https://{host}{address}", "Connection": "close"}
        connection.request("GET", address, headers=seen)
        connection.getresponse().read()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")
