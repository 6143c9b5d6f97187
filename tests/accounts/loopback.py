"""A mail server and a push service of our own, on this machine, for tests."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class MailServer:
    """Speaks enough SMTP to be sent to. ``refuse`` answers RCPT with that code instead."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.recipients: list[str] = []
        self.refuse = 0
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                self.say("220 test")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"RCPT":
                        outer.recipients.append(line.decode().strip())
                        self.say(f"{outer.refuse} no" if outer.refuse else "250 ok")
                    elif verb == b"DATA":
                        self.say("354 go on")
                        outer.received.append(self.message())
                        self.say("250 taken")
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def message(self) -> Any:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line[1:] if line.startswith(b"..") else line)
                return message_from_bytes(b"".join(lines), policy=policy.default)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> "MailServer":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Expo:
    """Expo's two addresses. ``tickets`` and ``receipts`` are what it answers, else all is well."""

    def __init__(self) -> None:
        self.pushed: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.tickets: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.elsewhere = ""
        self.url = ""

    def answer(self, path: str, body: Any) -> Any:
        if path.endswith("/push/getReceipts"):
            return {key: self.receipts[key] for key in body["ids"] if key in self.receipts}
        self.pushed += body
        return [
            self.tickets.get(row["to"], {"status": "ok", "id": f"ticket-{len(self.pushed)}"})
            for row in body
        ]


@contextmanager
def expo_server() -> Iterator[Expo]:
    expo = Expo()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            expo.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = json.dumps({"data": expo.answer(self.path, body)}).encode()
            if expo.status != 200:
                answer = b"out of order"
            self.send_response(expo.status)
            if expo.elsewhere:
                self.send_header("Location", expo.elsewhere)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            expo.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    expo.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield expo
    finally:
        server.shutdown()
        server.server_close()
