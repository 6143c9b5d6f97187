"""People with something to export, a folder for their files, and a way to have one made.

Files are read on a connection of their own, so tests that have one made commit what they write.
"""

from pathlib import Path

import pytest

from tests import factories
from tests.portfolios.exporting.made import Exports
from tracker import files


@pytest.fixture(autouse=True)
def private_files(settings, tmp_path) -> Path:
    """The folder of people's files."""
    folder = tmp_path / "files"
    settings.STORAGES = settings.STORAGES | {files.ALIAS: files.storage_settings(str(folder))}
    return folder


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


@pytest.fixture
def charlie(db):
    return factories.person("charlie@example.com")


@pytest.fixture
def exports(client_of):
    """`exports(alice)`: her files, through the API and the task."""
    return lambda user: Exports(client_of(user), user)
