"""A forwarding HTTP proxy on loopback that leaves by an address of its own."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def leaving_by(address: str) -> Iterator[str]:
    """The URL of a running proxy whose requests come from ``address``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            self._forward()

        def _forward(self) -> None:
            target = urlsplit(self.path)
            onward = http.client.HTTPConnection(
                target.hostname or "", target.port, source_address=(address, 0), timeout=20
            )
            path = f"{target.path}?{target.query}" if target.query else target.path
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            kept = {n: v for n, v in self.headers.items() if n.lower() != "proxy-connection"}
            onward.request(self.command, path, body=body, headers=kept)
            answer = onward.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            onward.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
