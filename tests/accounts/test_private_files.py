"""Where people's files lie: a folder, or a bucket that an address names."""

import io

import pytest

from tracker import files


def test_a_folder_keeps_files_for_its_owner_alone(private_files):
    name = files.save("exports/someone/a.zip", io.BytesIO(b"content"))
    path = private_files / name
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with files.read(name) as found:
        assert found.read() == b"content"
    assert list(files.names("exports/someone")) == [name]
    files.remove(name)
    files.remove(name)
    files.remove("")
    assert not path.exists()
    assert list(files.names("exports/nobody")) == []


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "exports/../../outside"])
def test_a_name_cannot_leave_the_folder(private_files, name):
    with pytest.raises(Exception, match=r"(?i)suspicious|outside|traversal|detected"):
        files.save(name, io.BytesIO(b"x"))


def test_a_bucket_is_named_by_its_address():
    place = "s3://bucket/some/prefix?region_name=eu-west-1&endpoint_url=https%3A%2F%2Fs3.example"
    found = files.storage_settings(place)
    assert found["BACKEND"] == "storages.backends.s3.S3Storage"
    assert found["OPTIONS"]["bucket_name"] == "bucket"
    assert found["OPTIONS"]["location"] == "some/prefix"
    assert found["OPTIONS"]["region_name"] == "eu-west-1"
    assert found["OPTIONS"]["endpoint_url"] == "https://s3.example"
    assert found["OPTIONS"]["querystring_auth"] is True


def test_a_bucket_storage_can_be_made_of_it(settings):
    """The options are those that the library knows; nothing is asked of any bucket."""
    settings.STORAGES = settings.STORAGES | {
        files.ALIAS: files.storage_settings("s3://bucket/prefix?region_name=eu-west-1")
    }
    assert files._storage().bucket_name == "bucket"
    assert files._storage().location == "prefix"
