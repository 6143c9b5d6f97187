"""The shield of sign-up and sign-in: it slows strangers down, and it never fails open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import override_settings

from accounts.models import User
from tests import factories
from tests.api_client import ApiClient
from tests.conftest import PASSWORD
from tracker import tenancy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEAD_REDIS = "redis://127.0.0.1:1/0"
NEW = {"email": "new@example.com", "password": PASSWORD}


@pytest.fixture
def shield(settings):
    """Small windows, so that a test need not compute two hundred password hashes."""
    settings.AUTH_SHIELD_RATES = ["6/m", "9/h"]
    settings.AUTH_ACCOUNT_RATES = ["3/m", "5/h"]
    return settings


@contextmanager
def redis_gone() -> Iterator[None]:
    """Every cache and limit points at a port where nobody listens."""
    moved = {name: row | {"LOCATION": DEAD_REDIS} for name, row in settings.CACHES.items()}
    with override_settings(REDIS_URL=DEAD_REDIS, CACHES=moved):
        yield


@pytest.fixture
def without_redis() -> Iterator[None]:
    with redis_gone():
        yield


def at(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=False)


def from_address(address: str) -> ApiClient:
    api = ApiClient()
    api.django.defaults["REMOTE_ADDR"] = address
    return api


def sign_in(api: ApiClient, email: str = "somebody@example.com") -> Any:
    return api.post("/auth/login", {"email": email, "password": "wrong"})


def sign_up(api: ApiClient, email: str, **headers: str) -> Any:
    # A password that is refused before it is hashed: an attempt without the cost of one.
    return api.post("/auth/register", {"email": email, "password": "short"}, **headers)


def statuses(api: ApiClient, emails: list[str]) -> Counter:
    return Counter(sign_up(api, email).status_code for email in emails)


MANY = [f"person{number}@example.com" for number in range(8)]


def test_an_address_may_try_so_often_a_minute_and_so_often_an_hour(shield, db):
    """S28: several windows, whatever account is tried."""
    api = from_address("192.0.2.1")
    with at(START):
        assert statuses(api, MANY) == {400: 6, 429: 2}
    with at(START + timedelta(minutes=2)):
        assert statuses(api, MANY[:5]) == {400: 3, 429: 2}
        assert sign_up(from_address("192.0.2.2"), MANY[0]).status_code == 400


def test_an_account_may_be_tried_so_often_from_wherever(shield, db):
    """S28: many addresses against one account, spelled as they like."""
    spellings = ["a@example.com", "A@example.com ", "a@EXAMPLE.com", "a@example.com"]
    with at(START):
        answers = [
            sign_in(from_address(f"192.0.2.{number}"), email)
            for number, email in enumerate(spellings)
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


def test_a_refusal_says_when_to_come_back(shield, db):
    """S32"""
    with at(START):
        for _ in range(3):
            sign_in(ApiClient())
        answer = sign_in(ApiClient())
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_nobody_is_locked_out_for_long(shield, alice):
    """S28: the right password works again when the window is over."""
    right = {"email": alice.email, "password": PASSWORD}
    with at(START):
        for _ in range(4):
            sign_in(ApiClient(), alice.email)
        assert ApiClient().post("/auth/login", right).status_code == 429
    with at(START + timedelta(minutes=61)):
        assert ApiClient().post("/auth/login", right).status_code == 200


def test_registration_is_shielded_on_its_own(shield, db):
    """S28: by address, before anything is created; signing in is not used up by it."""
    api = from_address("192.0.2.1")
    with at(START):
        assert statuses(api, MANY) == {400: 6, 429: 2}
        assert sign_in(api).status_code == 401


@pytest.mark.parametrize(
    ("proxies", "forwarded", "tried"),
    [
        (0, lambda n: f"203.0.113.{n}", 6),
        (1, lambda n: f"203.0.113.{n}, 198.51.100.7", 6),
        (1, lambda n: f"198.51.100.{n}", 8),
        (2, lambda n: f"203.0.113.{n}, 198.51.100.7, 10.0.0.1", 6),
        (2, lambda n: f"198.51.100.{n}, 10.0.0.1", 8),
        (1, lambda n: f"2001:db8::{n:x}", 6),
    ],
)
def test_a_forged_address_changes_nothing(shield, db, proxies, forwarded, tried):
    """S29"""
    shield.TRUSTED_PROXY_COUNT = proxies
    with at(START):
        answers = [
            sign_up(from_address("192.0.2.1"), email, **{"X-Forwarded-For": forwarded(number)})
            for number, email in enumerate(MANY)
        ]
    assert Counter(answer.status_code for answer in answers)[400] == tried


@pytest.mark.parametrize(
    "email", [None, [], {}, True, "", "x" * 5000, "\x00", "\ud800", "a\ud800@b.c"]
)
def test_an_address_that_is_none_is_a_400_and_never_a_500(client_of, db, email):
    """S31: the shield looks at it before it is checked."""
    for path in ("/auth/login", "/auth/register"):
        answer = client_of().post(path, {"email": email, "password": PASSWORD})
        assert answer.status_code == 400, path
        assert set(answer.json()) == {"code", "message", "details", "request_id"}


# --- Redis gone ---------------------------------------------------------------------------------
def test_signing_in_and_up_answer_503_without_redis_and_change_nothing(without_redis, alice):
    """S30: never unlimited."""
    for path, body in (
        ("/auth/login", {"email": alice.email, "password": PASSWORD}),
        ("/auth/register", NEW),
    ):
        answer = ApiClient().post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable"), path
    with tenancy.as_system("test"):
        assert not User.objects.filter(email=NEW["email"]).exists()


def test_reads_go_on_without_redis(without_redis, db):
    """S30"""
    alice = factories.person("alice@example.com")
    factories.something_everywhere(alice)
    api = ApiClient(alice)
    for path in ("/me", "/portfolio", "/holdings", "/trades", "/transfers", "/ledger",
                 "/connections", "/exchanges", "/prices?assets=BTC"):  # fmt: skip
        assert api.get(path).status_code == 200, path
    changed = api.patch("/me", {"base_currency": "CHF"})
    assert changed.status_code == 200
    refreshed = api.post("/auth/refresh", {"refresh": api.refresh_token})
    assert refreshed.status_code == 200


def test_signing_in_works_again_as_soon_as_redis_is_back(alice):
    """S30: no process needs a restart."""
    right = {"email": alice.email, "password": PASSWORD}
    with redis_gone():
        assert ApiClient().post("/auth/login", right).status_code == 503
    assert ApiClient().post("/auth/login", right).status_code == 200
