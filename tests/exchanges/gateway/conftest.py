"""Fixtures of the gateway's tests: a replay server, visits, and the shared recordings."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings

if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
    settings.configure(EXCHANGE_BASE_URLS={}, EXCHANGE_BUDGETS={}, REDIS_URL="")

from exchanges import gateway
from exchanges.reports import AccountReport, Credential, Visit
from tests.exchanges.gateway.replay import ReplayServer

SHARED = Path(__file__).parents[4] / "shared" / "data"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recordings beside the project; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED


@pytest.fixture(scope="session")
def recorded(shared_data: Path) -> Callable[[str], Any]:
    """Reads one recorded JSON file below ``exchanges``; fractions keep their digits as text."""

    def read(name: str) -> Any:
        return json.loads((shared_data / "exchanges" / name).read_text())

    return read


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as running:
        yield running


@pytest.fixture(autouse=True)
def gateway_settings(monkeypatch: pytest.MonkeyPatch, server: ReplayServer) -> dict[str, str]:
    """Every exchange is reached at the replay server, without budget and without Redis."""
    urls = _Everywhere(server.url)
    monkeypatch.setattr(settings, "EXCHANGE_BASE_URLS", urls, raising=False)
    monkeypatch.setattr(settings, "EXCHANGE_BUDGETS", _Unlimited(), raising=False)
    monkeypatch.setattr(settings, "REDIS_URL", "", raising=False)
    return urls


class _Everywhere(dict[str, str]):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, self.url)


class _Unlimited(dict[str, dict[str, float]]):
    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        return _NoLimit()

    def __repr__(self) -> str:
        return f"unlimited-{id(self)}"


class _NoLimit(dict[str, float]):
    def get(self, key: str, default: Any = None) -> Any:
        return 0


@pytest.fixture
def visit() -> Callable[..., Visit]:
    """Builds a first visit of everything, unless told otherwise."""

    def build(exchange: str = "binance", **changes: Any) -> Visit:
        first: dict[str, Any] = {
            "connection_id": uuid4(),
            "exchange": exchange,
            "credential": Credential("key-of-the-test", "secret-of-the-test"),
            "now": NOW,
            "known": {},
            "held": {},
            "codes": frozenset(),
            "everything": True,
        }
        return Visit(**first | changes)

    return build


@pytest.fixture
def read(visit: Callable[..., Visit]) -> Callable[..., AccountReport]:
    """Visits one account and returns its report; an error of the visit is raised."""

    def run(exchange: str = "binance", **changes: Any) -> AccountReport:
        made = visit(exchange, **changes)
        (result,) = gateway.visit_accounts([made], deadline_seconds=changes.pop("deadline", 60))
        if isinstance(result, tuple):
            assert isinstance(result[0], UUID)
            raise result[1]
        return result

    return run
