"""A bucket on loopback: as much of S3's protocol as backups use, bodies on the disk."""

import hashlib
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Bucket:
    """What it was asked for: ``puts`` are sizes of bodies, ``gets`` sizes of answers."""

    def __init__(self, root: Path) -> None:
        self.root, self.url = root, ""
        self.puts: list[int] = []
        self.gets: list[int] = []
        self.given_up = 0
        self.refused_part = 0  # the number of the part that is answered with an error

    def names(self) -> list[str]:
        objects = self.root / "objects"
        return sorted(str(p.relative_to(objects)) for p in objects.rglob("*") if p.is_file())


@contextmanager
def served(root: Path):
    bucket = Bucket(root)
    (root / "objects").mkdir(parents=True)
    (root / "parts").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Answers,), {"bucket": bucket}))
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Answers(BaseHTTPRequestHandler):
    bucket: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        """Not into the output of tests."""

    @property
    def asked(self):
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    @property
    def object(self) -> Path:
        _, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        return self.bucket.root / "objects" / key

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        size = headers.pop("size", str(len(body)))
        self.send_header("Content-Length", size)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def take(self, path: Path) -> int:
        left = size = int(self.headers.get("Content-Length", 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while left and (piece := self.rfile.read(min(left, 1 << 16))):
                file.write(piece)
                left -= len(piece)
        return size

    def do_HEAD(self) -> None:
        if not self.object.is_file():
            return self.answer(404)
        size = self.object.stat().st_size
        return self.answer(200, size=str(size), ETag=_mark(self.object))

    def do_GET(self) -> None:
        if not urlsplit(self.path).path.strip("/").count("/"):
            return self.answer(200, self._listing())
        if not self.object.is_file():
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.headers.get("If-Match") not in (None, _mark(self.object)):
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        with self.object.open("rb") as file:
            file.seek(int(first))
            body = file.read(int(last) + 1 - int(first) if last else -1)
        self.bucket.gets.append(len(body))
        return self.answer(206, body, ETag=_mark(self.object))

    def _listing(self) -> bytes:
        prefix = self.asked.get("prefix", [""])[0]
        found = "".join(
            f"<Contents><Key>{name}</Key></Contents>"
            for name in self.bucket.names()
            if name.startswith(prefix)
        )
        return (
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
        )

    def do_PUT(self) -> None:
        number = int(self.asked.get("partNumber", ["0"])[0])
        path = self.bucket.root / "parts" / f"{number:05}" if number else self.object
        self.bucket.puts.append(self.take(path))
        if number and number == self.bucket.refused_part:
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return self.answer(200, ETag='"part"')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in self.asked:
            return self.answer(200, b"<R><UploadId>one</UploadId></R>")
        self.object.parent.mkdir(parents=True, exist_ok=True)
        with self.object.open("wb") as whole:
            for part in sorted((self.bucket.root / "parts").iterdir()):
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole)
                part.unlink()
        return self.answer(200, b"<R><ETag>whole</ETag></R>")

    def do_DELETE(self) -> None:
        if "uploadId" in self.asked:
            self.bucket.given_up += 1
            for part in (self.bucket.root / "parts").iterdir():
                part.unlink()
        else:
            self.object.unlink(missing_ok=True)
        return self.answer(204)


def _mark(path: Path) -> str:
    return f'"{hashlib.sha256(f"{path.name}{path.stat().st_mtime_ns}".encode()).hexdigest()[:16]}"'
