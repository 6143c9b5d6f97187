"""A live server in a process of its own, and people who may listen."""

from collections.abc import Callable, Iterator

import pytest

from accounts.models import User
from tests import processes
from tests.portfolios.live import listening
from tests.portfolios.live.listening import Listener, eventually
from tracker import tenancy

SETTINGS = "tests.portfolios.live.settings"


@pytest.fixture
def server(transactional_db) -> Iterator[processes.Managed]:
    """``manage.py serve_stream``, once it listens; it knows what a dollar is worth."""
    arguments = ["serve_stream", "--port", "0"]
    with processes.managed(*arguments, DJANGO_SETTINGS_MODULE=SETTINGS) as process:
        line = "Live connections on port "
        eventually(lambda: line in process.output(), "the server's port")
        process.port = int(process.output().partition(line)[2].split()[0])
        listening.tick("USD", 1)
        yield process


@pytest.fixture
def url(server) -> str:
    return f"ws://127.0.0.1:{server.port}/ws/v1/stream"


@pytest.fixture
def listen(url) -> Iterator[Callable[..., Listener]]:
    """`listen(alice)`: a connection that has authenticated as her."""
    opened: list[Listener] = []

    def listen(user: User, token: str = "", **options) -> Listener:
        listener = listening.opened(url, **options)
        opened.append(listener)
        listener.send("authenticate", token=token or listening.sign_in(user).access)
        assert listener.any()["type"] == "authenticated"
        return listener

    yield listen
    for listener in opened:
        listener.socket.close()


def _on_plan(email: str, tier: str) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_user(email, "correct horse battery staple",
                                        subscription_tier=tier)  # fmt: skip


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
