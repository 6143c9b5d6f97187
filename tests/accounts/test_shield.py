"""The shield of sign-up and sign-in: it slows strangers down, and it never fails open."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
import time_machine
from django.conf import settings
from django.test import override_settings

from accounts import shield as shields
from accounts.models import User
from tests import factories
from tests.api_client import ApiClient
from tests.conftest import PASSWORD
from tracker import ids, tenancy
from tracker.api import OutOfOrder

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEAD_REDIS = "redis://127.0.0.1:1/0"
NEW = {"email": "new@example.com", "password": PASSWORD}


@pytest.fixture
def shield(settings):
    """Small windows, so that a test need not compute two hundred password hashes."""
    settings.AUTH_SHIELD_RATES = ["6/m", "9/h"]
    settings.AUTH_ACCOUNT_RATES = ["3/m", "5/h"]
    # Where in an hour a window begins depends on its name, and that on the key: always the same.
    settings.SECRET_KEY = "k" * 64
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


def test_an_account_may_be_tried_so_often_from_one_address(shield, db):
    """S28: spelled as they like."""
    spellings = ["a@example.com", "A@example.com ", "a@EXAMPLE.com", "a@example.com"]
    api = from_address("192.0.2.1")
    with at(START):
        answers = [sign_in(api, email) for email in spellings]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


@pytest.mark.parametrize("password", ["wrong", 5])
def test_a_stranger_who_uses_up_every_window_keeps_nobody_out(shield, alice, password):
    """S28: neither with guesses nor with what is refused before it is looked at."""
    stranger_s, right = from_address("192.0.2.1"), {"email": alice.email, "password": PASSWORD}
    with at(START):
        for _ in range(8):
            answer = stranger_s.post("/auth/login", right | {"password": password})
        assert answer.status_code == 429
        assert from_address("192.0.2.2").post("/auth/login", right).status_code == 200


def test_a_stranger_cannot_bar_the_way_back_in(shield, alice):
    """S28: asking for a reset link counts by address alone."""
    asked = {"email": alice.email}
    with at(START):
        stranger_s = from_address("192.0.2.1")
        answers = [stranger_s.post("/auth/password/forgot", asked) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [202] * 6 + [429] * 2
        assert from_address("192.0.2.2").post("/auth/password/forgot", asked).status_code == 202


def test_names_in_windows_cannot_be_found_by_trying_without_the_key(shield, db):
    """Another secret, other names: no digest of an account or an address stands without it."""
    kept = []
    with at(START), redis.Redis.from_url(settings.REDIS_URL) as server:
        for secret in ("a" * 64, "b" * 64):
            server.flushdb()
            with override_settings(SECRET_KEY=secret):
                sign_in(from_address("192.0.2.1"))
            kept.append(set(server.scan_iter()))
    assert kept[0]
    assert kept[1]
    assert kept[0].isdisjoint(kept[1])


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


# --- longer and longer waits ----------------------------------------------------------------------
ALICE = "alice@example.com"
HOME, HOTEL = "192.0.2.1", "203.0.113.9"


class Requests:
    """What the shield reads of a request."""

    def __init__(self, address: str = HOME, **meta: str) -> None:
        self.META = {"REMOTE_ADDR": address} | meta
        self.method = "POST"


@pytest.fixture
def without_windows(settings):
    """Windows so wide that nothing but the ladders can refuse."""
    settings.AUTH_SHIELD_RATES = settings.AUTH_ACCOUNT_RATES = ["100000/m"]
    return settings


def attempt(address: str = HOME, email: str = ALICE, *, group: str = "login", **meta: str) -> int:
    """One wrong attempt: 0, or the seconds that the caller was told to wait."""
    request = Requests(address, **meta)
    try:
        shields.check(request, group=group, email=email)
    except shields.TooManyAttempts as refusal:
        assert refusal.retry_after is not None
        return refusal.retry_after
    shields.failed(request, email)
    return 0


def wrong_code(person: UUID) -> int:
    try:
        shields.check_code(person)
    except shields.TooManyAttempts as refusal:
        assert refusal.retry_after is not None
        return refusal.retry_after
    shields.code_failed(person)
    return 0


def waits(guess: Callable[[], int], count: int) -> list[int]:
    """The wait after each of so many wrong guesses, each made as soon as it is allowed."""
    told, moment = [], START
    for _ in range(count):
        with at(moment):
            assert guess() == 0
            wait = guess()  # refused: counts for nothing
            told.append(wait)
            assert wait == 0 or guess() == wait
        moment += timedelta(seconds=wait)
    return told


DOUBLING = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_from_the_fifth_wrong_password_each_wait_is_twice_the_last_up_to_fifteen_minutes(
    without_windows,
):
    """S28: progressive delay, with an end."""
    with at(START):
        assert [attempt() for _ in range(4)] == [0, 0, 0, 0]
    assert waits(attempt, 13) == DOUBLING


def test_from_the_fifth_wrong_code_each_wait_is_twice_the_last(db):
    """S28: the same for second factors, by person and wherever they guess from."""
    person, other = ids.new_id(), ids.new_id()
    with at(START):
        assert [wrong_code(person) for _ in range(4)] == [0, 0, 0, 0]
    assert waits(lambda: wrong_code(person), 13) == DOUBLING
    assert wrong_code(other) == 0


def test_the_wait_begins_when_the_answer_is_known(without_windows):
    """S28: a slow attempt does not use up its own wait."""
    with at(START):
        for _ in range(4):
            attempt()
        shields.check(Requests(), group="login", email=ALICE)
    with at(START + timedelta(seconds=10)):
        shields.failed(Requests(), ALICE)
        assert attempt() == 1


def test_a_right_password_forgets_the_failures(without_windows):
    """S28"""
    with at(START):
        for _ in range(4):
            attempt()
        shields.check(Requests(), group="login", email=ALICE)
        shields.succeeded(Requests(), ALICE)
        assert [attempt() for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_right_code_forgets_the_failures(db):
    """S28"""
    person = ids.new_id()
    with at(START):
        for _ in range(4):
            wrong_code(person)
        shields.check_code(person)
        shields.code_succeeded(person)
        assert [wrong_code(person) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_day_of_quiet_forgets_the_failures(without_windows):
    """S28: nobody is punished for last week."""
    with at(START):
        for _ in range(5):
            attempt()
        assert attempt() == 1
    with at(START + timedelta(hours=23)):
        assert attempt() == 0
        assert attempt() == 2
    with at(START + timedelta(hours=23 + 25)):
        assert [attempt() for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_signed_in_person_who_is_asked_again_shares_the_ladder(without_windows):
    """S28: a stolen session gets no second set of guesses."""
    with at(START):
        for _ in range(3):
            assert attempt(group="login") == 0
        for _ in range(2):
            assert attempt(group="reauthenticate") == 0
        assert attempt(group="login") == attempt(group="reauthenticate") == 1


def test_signing_up_is_no_guessing(without_windows):
    """S28: attempts to sign up have windows and no ladder, and climb none for signing in."""
    with at(START):
        for _ in range(20):
            shields.check(Requests(), group="register", email=ALICE)
        assert attempt() == 0


def test_of_many_attempts_at_once_no_more_than_five_come_through(without_windows):
    """S28: they are counted as they enter; nobody waits for the first to be found wrong."""
    answers = at_once(lambda: attempt_without_verdict(HOME), 40)
    assert sorted(answers) == [0] * 5 + [1] * 35


def test_of_many_codes_at_once_no_more_than_five_come_through(db):
    """S28"""
    person = ids.new_id()

    def guess() -> int:
        try:
            shields.check_code(person)
        except shields.TooManyAttempts as refusal:
            return refusal.retry_after or -1
        return 0

    assert sorted(at_once(guess, 40)) == [0] * 5 + [1] * 35


def attempt_without_verdict(address: str) -> int:
    try:
        shields.check(Requests(address), group="login", email=ALICE)
    except shields.TooManyAttempts as refusal:
        return refusal.retry_after or -1
    return 0


def at_once(call: Callable[[], int], count: int) -> list[int]:
    barrier = threading.Barrier(count)

    def run(_: int) -> int:
        barrier.wait()
        return call()

    with at(START), ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


# --- nobody is locked out by strangers ------------------------------------------------------------
def stranger(number: int) -> str:
    return f"198.51.{number // 200}.{number % 200}"


def strangers_attack() -> None:
    """Three hundred strangers, each with a few guesses, until the account as a whole is slow."""
    for number in range(300):
        attempt(stranger(number))
    assert attempt(stranger(300)) > 0


def test_a_stranger_s_failures_do_not_slow_another_address(without_windows):
    """S28"""
    with at(START):
        for _ in range(12):
            attempt("198.51.100.1")
        assert attempt("198.51.100.1") > 0
        assert attempt(HOME) == 0


def test_guesses_from_many_addresses_slow_the_account_by_a_minute_at_most(without_windows):
    """S28: much looser than for one address, because strangers can do it to somebody."""
    told, moment = [], START
    for number in range(68):
        with at(moment):
            told.append(attempt(stranger(number)))
        moment += timedelta(seconds=told[-1])
    assert told == [0] * 50 + [1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 60, 0, 60, 0, 60, 0]


def test_who_signed_in_from_an_address_before_is_not_kept_out_by_strangers(settings):
    """S28: the ladder of the account as a whole is not theirs."""
    settings.AUTH_SHIELD_RATES, settings.AUTH_ACCOUNT_RATES = ["100000/m"], ["60/m", "80/h"]
    with at(START):
        shields.succeeded(Requests(HOME), ALICE)
    with at(START + timedelta(days=29)):
        strangers_attack()
        assert attempt(HOTEL) > 0
        assert attempt(HOME) == 0


def test_trust_in_an_address_ends_with_the_longest_session(without_windows):
    """S28"""
    with at(START):
        shields.succeeded(Requests(HOME), ALICE)
    with at(START + timedelta(days=30, seconds=1)):
        strangers_attack()
        assert attempt(HOME) > 0


def test_trust_is_in_one_address_for_one_account(without_windows):
    """S28"""
    with at(START):
        shields.succeeded(Requests(HOME), "bob@example.com")
        strangers_attack()
        assert attempt(HOME) > 0


def test_a_trusted_address_has_a_ladder_too(without_windows):
    """S28: trust spares somebody the failures of others, not their own."""
    with at(START):
        shields.succeeded(Requests(HOME), ALICE)
        assert [attempt(HOME) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_person_s_own_success_does_not_forgive_strangers(without_windows):
    """S28: or each sign-in of hers would give them fifty guesses more."""
    with at(START):
        shields.succeeded(Requests(HOME), ALICE)
        strangers_attack()
        for _ in range(10):
            shields.check(Requests(HOME), group="login", email=ALICE)
            shields.succeeded(Requests(HOME), ALICE)
        assert attempt(HOTEL) > 0


def test_signing_in_on_a_new_device_is_no_failure(without_windows):
    """S28: what was counted as it entered is taken back."""
    with at(START):
        for number in range(200):
            shields.check(Requests(stranger(number)), group="login", email=ALICE)
            shields.succeeded(Requests(stranger(number)), ALICE)
        assert attempt(HOTEL) == 0


def test_an_address_that_is_unknown_is_trusted_by_nobody(without_windows):
    """S29: all callers without an address would share that trust."""
    with at(START):
        shields.succeeded(Requests(""), ALICE)
        strangers_attack()
        assert attempt("") > 0


@pytest.mark.parametrize(
    ("proxies", "forwarded", "apart"),
    [
        (0, lambda n: f"203.0.113.{n}", False),
        (1, lambda n: f"203.0.113.{n}, 198.51.100.7", False),
        (1, lambda n: f"198.51.100.{n}", True),
        (2, lambda n: f"203.0.113.{n}, 198.51.100.7, 10.0.0.1", False),
        (2, lambda n: f"198.51.100.{n}, 10.0.0.1", True),
        (1, lambda n: f"2001:db8::{n:x}", False),
        (1, lambda n: f"2001:db8:0:{n:x}::1", True),
        (1, lambda n: f"::ffff:198.51.100.{n}", True),
        (1, lambda n: "nonsense" * n, False),
    ],
)
def test_a_forged_address_climbs_the_same_ladder(without_windows, proxies, forwarded, apart):
    """S29: no, one and two trusted proxies; IPv6 by its /64."""
    without_windows.TRUSTED_PROXY_COUNT = proxies
    with at(START):
        told = [attempt(HTTP_X_FORWARDED_FOR=forwarded(number)) for number in range(1, 9)]
    assert told == ([0] * 8 if apart else [0] * 5 + [1] * 3)


def test_spelling_an_address_otherwise_is_no_other_account(without_windows):
    """S28"""
    spellings = [
        "alice@example.com",
        "ALICE@example.com",
        " alice@EXAMPLE.com ",
        "ａlice@example.com",
    ]
    with at(START):
        assert [attempt(email=spellings[number % 4]) for number in range(6)] == [0] * 5 + [1]


def test_what_the_shield_keeps_names_neither_person_nor_address(without_windows):
    """Nothing is to be found there after an erasure, either."""
    person = ids.new_id()
    for _ in range(6):
        attempt()
        wrong_code(person)
    shields.succeeded(Requests(), ALICE)
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        kept = b" ".join(key + (server.dump(key) or b"") for key in server.scan_iter())
        lasting = [key for key in server.scan_iter() if server.ttl(key) < 0]
    assert kept
    assert lasting == []
    for word in (ALICE, HOME, str(person), person.hex):
        assert word.encode() not in kept


def test_what_is_known_of_a_person_can_be_forgotten(without_windows):
    """Ladders and trust, for the addresses that are named."""
    person = ids.new_id()
    with at(START):
        shields.succeeded(Requests(HOTEL), ALICE)
        strangers_attack()
        for _ in range(5):
            attempt(HOTEL)
            wrong_code(person)
        assert attempt(HOTEL) == wrong_code(person) == 1
        shields.forget(email=ALICE, user_id=person, addresses=[HOTEL])
        assert attempt(HOTEL) == wrong_code(person) == 0
        strangers_attack()
        assert attempt(HOTEL) > 0


def test_the_wait_is_a_429_that_says_when_to_come_back(without_windows, alice):
    """S32, S13: on the route itself, and the same for somebody who does not exist."""
    for email in (alice.email, "nobody@example.com"):
        with at(START):
            answers = [sign_in(from_address(HOME), email) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert answers[-1].json()["code"] == "too_many_attempts"
        assert answers[-1].headers["Retry-After"] == "1"


def test_switched_off_it_counts_nothing(settings):
    settings.RATELIMIT_ENABLE = False
    with at(START):
        assert [attempt() for _ in range(20)] == [0] * 20
        assert [wrong_code(ids.new_id()) for _ in range(20)] == [0] * 20


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


def test_no_guess_is_looked_at_without_redis(without_redis):
    """S30: passwords and codes alike; forgiving may fail in silence."""
    person = ids.new_id()
    for guess in (
        lambda: shields.check(Requests(), group="login", email=ALICE),
        lambda: shields.check(Requests(), group="register"),
        lambda: shields.failed(Requests(), ALICE),
        lambda: shields.check_code(person),
        lambda: shields.code_failed(person),
    ):
        with pytest.raises(OutOfOrder):
            guess()
    shields.succeeded(Requests(), ALICE)
    shields.code_succeeded(person)


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
