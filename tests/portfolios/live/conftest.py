"""A live server in a process of its own, and people who may listen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from accounts.models import User
from tests import factories, processes
from tests.portfolios.live import listening
from tests.portfolios.live.listening import Listener, eventually
from tracker import tenancy

SETTINGS = "tests.portfolios.live.settings"


@contextmanager
def serving() -> Iterator[processes.Managed]:
    """``manage.py serve_stream``, once it listens."""
    arguments = ["serve_stream", "--port", "0"]
    with processes.managed(*arguments, DJANGO_SETTINGS_MODULE=SETTINGS) as process:
        line = "Live connections on port "
        eventually(lambda: line in process.output(), "the server's port", seconds=150)
        process.port = int(process.output().partition(line)[2].split()[0])
        yield process


@pytest.fixture(scope="session")
def shared_server(django_db_setup, django_db_blocker) -> Iterator[processes.Managed]:
    with django_db_blocker.unblock(), serving() as process:
        yield process


@pytest.fixture
def server(transactional_db, shared_server) -> processes.Managed:
    """One process for all tests, which leave it as they found it; a dollar is worth one."""
    listening.tick("USD", 1)
    return shared_server


@pytest.fixture
def own_server(transactional_db) -> Iterator[processes.Managed]:
    """A process that the test may end or starve."""
    listening.tick("USD", 1)
    with serving() as process:
        yield process


def url_of(server: processes.Managed) -> str:
    return f"ws://127.0.0.1:{server.port}/ws/v1/stream"


@pytest.fixture
def url(server) -> str:
    return url_of(server)


@pytest.fixture
def listen(url) -> Iterator[Callable[..., Listener]]:
    """`listen(alice)`: a connection that has authenticated as her."""
    opened: list[Listener] = []

    def listen(user: User, token: str = "", at: str = url, **options) -> Listener:
        listener = listening.opened(at, **options)
        opened.append(listener)
        listener.send("authenticate", token=token or listening.sign_in(user).access)
        assert listener.any()["type"] == "authenticated"
        return listener

    yield listen
    for listener in opened:
        listener.socket.close()


def _on_plan(email: str, tier: str) -> User:
    with tenancy.as_system("test"):
        user = User.objects.create_user(email, "correct horse battery staple")
    factories.put_on_plan(user, tier)
    return user


@pytest.fixture
def alice(transactional_db) -> User:
    return _on_plan("alice@example.com", "pro")


@pytest.fixture
def bob(transactional_db) -> User:
    return _on_plan("bob@example.com", "pro")


@pytest.fixture
def charlie(transactional_db) -> User:
    """On the free plan."""
    return _on_plan("charlie@example.com", "free")
