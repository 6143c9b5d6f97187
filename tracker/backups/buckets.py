"""Large files in a bucket, in constant memory.

django-storages reads a file that it opens wholly into memory, and leaves the size of parts to a
default that ends at 80 GB. Here a file goes up in parts of one size and comes back range by range,
each a request of its own: who reads slowly holds no connection open, and nothing stands under the
file's name before its last part was accepted.
"""

from collections.abc import Iterator
from typing import IO, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from storages.backends.s3 import S3Storage

from tracker.backups.sealed import Pieces

# A bucket takes 10,000 parts: files up to 320 GB.
PART = 32 << 20
RANGE = 8 << 20
_GONE = ("404", "NoSuchKey", "NotFound")


def save(storage: S3Storage, path: str, content: IO[bytes]) -> None:
    """Upload in this thread, part by part; one that fails is given up at the bucket."""
    config = TransferConfig(
        multipart_threshold=RANGE, multipart_chunksize=PART, use_threads=False, max_concurrency=1
    )
    _object(storage, path).upload_fileobj(content, Config=config)


def read(storage: S3Storage, path: str) -> IO[bytes]:
    """A file to be read in pieces. Raises FileNotFoundError."""
    found = _object(storage, path)
    try:
        found.load()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _GONE:
            raise FileNotFoundError(path) from None
        raise
    return Pieces(_ranges(found))  # type: ignore[return-value]


def _ranges(found: Any) -> Iterator[bytes]:
    size, mark = found.content_length, found.e_tag
    for begin in range(0, size, RANGE):
        end = min(begin + RANGE, size) - 1
        yield found.get(Range=f"bytes={begin}-{end}", IfMatch=mark)["Body"].read()


def _object(storage: Any, path: str) -> Any:
    return storage.bucket.Object(storage._normalize_name(path))
