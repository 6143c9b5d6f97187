"""S47: copies in a bucket, in parts and in constant memory."""

import tracemalloc
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from django.core.files.storage import storages
from django.test.utils import override_settings

from tests.tracker.backups import bucket as buckets_of_tests
from tracker import files
from tracker.backups import buckets, manifest, store
from tracker.backups.errors import BackupError, NothingThere

MIB = 1 << 20
NAME = store.new_name(datetime(2026, 12, 1, tzinfo=UTC))


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with buckets_of_tests.served(tmp_path / "s3") as found, _in(found):
        yield found


@contextmanager
def _in(bucket):
    place = f"s3://vault/tracker?region_name=us-east-1&endpoint_url={bucket.url}"
    place += "&addressing_style=path"
    kinds = storages.backends | {"backups": files.storage_settings(place)}
    with override_settings(BACKUPS=place, STORAGES=kinds):
        yield


def pieces(mib: int):
    return (bytes([number % 251]) * MIB for number in range(mib))


def test_a_large_copy_goes_up_and_comes_back_in_parts_and_constant_memory(bucket):
    """S47: neither the whole file nor a growing share of it is ever held."""
    tracemalloc.start()
    try:
        part = manifest.write_part(NAME, manifest.DATABASE, pieces(200))
        back = sum(len(piece) for piece in manifest.read_part(
            NAME, manifest.DATABASE, digest=part.digest
        ))  # fmt: skip
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert back == 200 * MIB
    assert len(bucket.puts) == 7
    assert max(bucket.puts) == buckets.PART
    assert sum(bucket.puts) == part.size
    assert max(bucket.gets) == buckets.RANGE
    assert peak < 150 * MIB


def test_a_small_part_is_written_and_listed(bucket):
    """S47"""
    manifest.write_part(NAME, manifest.KEYS, iter([b"{}\n"]))
    assert store.key_copies() == [NAME]
    assert b"".join(manifest.read_part(NAME, manifest.KEYS)) == b"{}\n"
    with pytest.raises(BackupError, match="there already"):
        manifest.write_part(NAME, manifest.KEYS, iter([b"{}\n"]))
    store.remove_keys(NAME)
    assert bucket.names() == []


def test_an_upload_that_fails_leaves_nothing_under_the_name(bucket):
    """S47: and the parts that had come are given up, so that nobody pays for them."""
    bucket.refused_part = 2
    with pytest.raises(ClientError):
        manifest.write_part(NAME, manifest.DATABASE, pieces(80))
    assert bucket.names() == []
    assert bucket.given_up == 1


def test_a_dump_that_fails_midway_leaves_nothing_under_the_name(bucket):
    """S47"""

    def broken():
        yield from pieces(70)
        raise BackupError("in the middle")

    with pytest.raises(BackupError, match="in the middle"):
        manifest.write_part(NAME, manifest.DATABASE, broken())
    assert bucket.names() == []
    assert bucket.given_up == 1


def test_what_is_not_in_the_bucket_is_said_to_be_missing(bucket):
    """S47"""
    with pytest.raises(NothingThere):
        list(manifest.read_part(NAME, manifest.DATABASE))
