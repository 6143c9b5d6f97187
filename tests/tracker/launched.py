"""A system that is ready for its launch, on loopback: its address with TLS, and a mail server."""

import datetime as dt
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.wsgi import get_wsgi_application
from django.db import connections


def certificate(folder: Path) -> Path:
    """A certificate for localhost with its key, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "localhost.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing."""


@contextmanager
def address(pem: Path) -> Iterator["Address"]:
    """Our pages behind TLS, as nginx would put them there."""
    server = WSGIServer(("127.0.0.1", 0), _Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Address(server.server_port)
    server.set_app(found)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Address:
    """The WSGI application behind the certificate; ``hides`` takes headers away, as proxies do."""

    def __init__(self, port: int) -> None:
        self.url = f"https://localhost:{port}"
        self.hides = ""
        self.broken: dict[str, str] = {}  # path -> status line
        self._ours: Any = None

    def __call__(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        if status := self.broken.get(environ["PATH_INFO"]):
            start(status, [])
            return [b""]
        self._ours = self._ours or get_wsgi_application()
        environ |= {"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "https"}

        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start(status, [pair for pair in headers if pair[0].lower() != self.hides], *rest)

        answer = self._ours(environ, begin)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()
            connections.close_all()


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as taking one letter needs."""

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                self._say("354 go on")
                self.server.letters.append(self._letter())
            refused = word in self.server.refuses
            self._say("554 no" if refused else "221 bye" if word == "QUIT" else "250 fine")

    def _letter(self) -> str:
        lines: list[str] = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        return "".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[Any]:
    """Takes letters into ``letters``; ``refuses`` holds the commands that it declines."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.letters, server.refuses, server.port = [], set(), server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
