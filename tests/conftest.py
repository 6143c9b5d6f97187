"""The servers and the cast of every test: real PostgreSQL and Valkey, and three people.

Alice owns things. Bob owns things like hers. Charlie must see nothing.
"""

import os
from pathlib import Path

import pytest

from tests.servers import PROJECT

SHARED_DATA = PROJECT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recorded answers and real candles that stand beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """The database of this process is a copy of one that is migrated."""
    from django.conf import settings

    from tests import templates

    name = templates.migrated(os.environ["DATABASE_URL"])
    settings.DATABASES["default"]["TEST"]["TEMPLATE"] = name


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Tests with committed rows empty all tables after themselves; the activity log allows it."""
    from tests import emptying

    with django_db_blocker.unblock():
        emptying.allow()
        emptying.quickly()
    yield
    emptying.close()


@pytest.fixture(scope="session", autouse=True)
def _passwords_hashed_cheaply():
    """Nearly every test makes people, and at its real cost each password takes a quarter second."""
    from django.test import override_settings

    with override_settings(PASSWORD_HASHERS=["tests.hashing.CheapHasher"]):
        yield


@pytest.fixture
def real_hashing(settings):
    """Passwords cost what they cost in production; named before whoever has one."""
    from tracker import settings as written

    settings.PASSWORD_HASHERS = written.PASSWORD_HASHERS


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    import redis

    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()


@pytest.fixture(autouse=True)
def _forget_assets() -> None:
    """A process remembers what codes mean, and tests empty the table they stand in."""
    from exchanges import assets

    assets._resolved.clear()


@pytest.fixture
def alice(db):
    return _person("alice@example.com")


@pytest.fixture
def bob(db):
    return _person("bob@example.com")


@pytest.fixture
def charlie(db):
    return _person("charlie@example.com")


PASSWORD = "correct horse battery staple"


def _person(email: str):
    from accounts.models import User
    from tracker import tenancy

    with tenancy.as_system("test"):
        return User.objects.create_user(email, PASSWORD)


@pytest.fixture
def client_of(db):
    """A JSON API client signed in as somebody; without anybody it is anonymous."""
    from tests.api_client import ApiClient

    return lambda user=None: ApiClient(user)


@pytest.fixture
def queued():
    """What waits in the broker's default queue: names of tasks and their arguments, in order."""
    from tests import broker

    return broker.waiting
