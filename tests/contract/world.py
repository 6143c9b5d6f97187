"""Somebody who has something everywhere, for as long as the tests of the contract run.

It is made once; every call of these tests is undone after it was answered. No call leaves this
machine: exchanges are asked at a port where nobody listens, and no name is looked up.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.test import override_settings

from accounts.models import DataExport
from tests import factories
from tests.api_client import ApiClient
from tests.tracker.routes import Route
from tests.tracker.test_routes import FACTORIES, kind_of
from tracker import tenancy

# Nothing outside is asked, and no limit hides what stands behind it.
SETTINGS = {
    "EXCHANGE_BASE_URLS": {"binance": "http://127.0.0.1:9"},
    "BURST_LIMITS_ENABLED": False,
    "RATELIMIT_ENABLE": False,
}
# What is there once, so that another cannot be made.
_EXISTING = {"me/export": lambda user: DataExport.objects.get(user_id=user.id)}


@dataclass(frozen=True)
class World:
    """A person, how they are signed in, an id of theirs for each kind of address (by what stands
    before it), and ids by the names under which bodies and queries ask for them."""

    headers: Mapping[str, str]
    ids: Mapping[str, str]
    named: Mapping[str, str]

    def id_for(self, route: Route) -> str:
        """An id of theirs that fits into the route's address."""
        kind = kind_of(route)
        return self.named["asset"] if kind == "prices" else self.ids[kind]


@contextmanager
def built() -> Iterator[World]:
    """Everything in one transaction that is rolled back at the end."""
    with ExitStack() as stack:
        for each in (
            override_settings(**SETTINGS),
            _one_database_connection(),
            _no_names(),
            undone(),
        ):
            stack.enter_context(each)
        yield _made()


def _made() -> World:
    user = factories.person("contract@example.com")
    connected = factories.something_everywhere(user)
    factories.put_on_plan(user, "enterprise")
    named = {"connection": str(connected.id), "asset": str(factories.asset().id)}
    out, back = (factories.transfer(user, connected, way, f"open-{way}")
                 for way in ("withdrawal", "deposit"))  # fmt: skip
    named |= {"withdrawal": str(out.id), "deposit": str(back.id)}
    ids = {kind: str(_own(kind, user).id) for kind in FACTORIES}
    factories.put_on_plan(user, "enterprise")
    return World(ApiClient(user).headers, ids, named | {"strategy": ids["strategies"]})


def _own(kind: str, user: Any) -> Any:
    if kind in _EXISTING:
        with tenancy.as_user(user.id):
            return _EXISTING[kind](user)
    return FACTORIES[kind](user)


@contextmanager
def undone() -> Iterator[None]:
    """What is written within is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def _one_database_connection() -> Iterator[None]:
    """Requests neither open nor close it, as with Django's own test client."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@contextmanager
def _no_names() -> Iterator[None]:
    """Only what is on this machine has an address."""
    look_up = socket.getaddrinfo

    def local(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(f"{host} is not looked up in tests")
        return look_up(host, *args, **kwargs)

    with mock.patch.object(socket, "getaddrinfo", local):
        yield
