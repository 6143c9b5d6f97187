"""Places outside the database, empty and of each test alone."""

from pathlib import Path

import pytest

from tracker import files


@pytest.fixture
def private_files(settings, tmp_path) -> Path:
    """The folder of people's files."""
    folder = tmp_path / "files"
    settings.STORAGES = settings.STORAGES | {files.ALIAS: files.storage_settings(str(folder))}
    return folder


@pytest.fixture
def erasure_log(settings, tmp_path) -> Path:
    """The erasure log; it does not exist yet."""
    path = tmp_path / "safe" / "erasures.jsonl"
    settings.ERASURE_LOG = str(path)
    return path
