"""The second factor: authenticator app, recovery codes, the second step of signing in."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.forms import model_to_dict

from accounts import second_factor
from accounts.models import Delivery, Passkey, RecoveryCode, Session, TotpDevice, User
from accounts.second_factor import changes, recovery
from accounts.second_factor.errors import CodeRejected, SecondFactorRejected, SecondFactorUnreadable
from accounts.shield import TooManyAttempts
from audit.actions import Action
from audit.models import ActivityLog
from tests.api_client import ApiClient
from tests.authenticator import Authenticator
from tests.conftest import PASSWORD
from tests.second_factors import Phone, add_passkey, enrol, make_stale, password_step
from tests.threads import await_somebody_waiting, in_a_thread
from tests.tracker.test_outage import redis_gone
from tracker import clock, tenancy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=30)
SECOND_STEP = "/auth/login/second-factor"


@pytest.fixture(autouse=True)
def the_time():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def enrolled(alice):
    """Alice's phone and recovery codes, enrolled a minute ago."""
    return enrol(alice, START - timedelta(minutes=1))


@pytest.fixture
def phone(enrolled) -> Phone:
    return enrolled[0]


@pytest.fixture
def codes(enrolled) -> list[str]:
    return enrolled[1]


def accepted(user: User, proof: dict[str, Any], at: datetime = START) -> bool:
    try:
        return bool(second_factor.verify(user_id=user.id, proof=proof, now=at))
    except SecondFactorRejected:
        return False


def rows(model: Any, user: User) -> list[Any]:
    with tenancy.as_system("test"):
        return list(model.objects.filter(user=user).order_by("id"))


def acts(user: User, action: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(user=user, action=action).order_by("id"))


def announced(user: User) -> list[str]:
    """What the person was told by e-mail about their second factor."""
    found = [row for row in rows(Delivery, user) if row.event == "second_factor_changed"]
    return [row.parameters["what"] for row in found if row.channel == "email"]


# --- setting up an authenticator app ------------------------------------------------------------
def test_an_app_is_set_up_confirmed_and_then_asked_for(alice, client_of):
    api = client_of(alice)
    begun = api.post("/me/second-factor/totp").json()
    phone = Phone(begun["secret"])
    assert f"secret={phone.secret}" in begun["otpauth_uri"]
    assert begun["otpauth_uri"].startswith("otpauth://totp/Portfolio%20tracker%3Aalice%40example")
    assert begun["qr_svg"].startswith("<svg")
    assert len(base64.b32decode(phone.secret)) * 8 >= 160
    confirmed = api.post("/me/second-factor/totp/confirm", {"code": phone.code(START)})
    assert confirmed.status_code == 200
    assert len(confirmed.json()["recovery_codes"]) == 10
    state = api.get("/me/second-factor").json()
    assert state["methods"] == ["totp", "recovery_code"]
    assert state["recovery_codes_left"] == 10
    assert phone.secret not in str(state)


def test_an_app_that_was_not_confirmed_does_not_count(alice, client_of):
    begun = client_of(alice).post("/me/second-factor/totp").json()
    assert second_factor.methods(alice.id) == []
    assert not accepted(alice, {"totp": Phone(begun["secret"]).code(START)})
    signed_in = client_of().post("/auth/login", {"email": alice.email, "password": PASSWORD})
    assert signed_in.status_code == 200


def test_a_wrong_code_confirms_nothing(alice, client_of):
    api = client_of(alice)
    phone = Phone(api.post("/me/second-factor/totp").json()["secret"])
    wrong = phone.code(START + timedelta(hours=1))
    answer = api.post("/me/second-factor/totp/confirm", {"code": wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "totp_rejected")
    assert second_factor.methods(alice.id) == []
    assert len(acts(alice, Action.SECOND_FACTOR_FAILED)) == 1


def test_the_old_app_counts_until_the_new_one_is_confirmed(alice, phone, client_of):
    api = client_of(alice)
    new = Phone(api.post("/me/second-factor/totp").json()["secret"])
    assert accepted(alice, {"totp": phone.code(START)})
    answer = api.post("/me/second-factor/totp/confirm", {"code": new.code(START)})
    assert answer.json()["recovery_codes"] == []  # those of the first app still work
    later = START + 5 * STEP
    assert not accepted(alice, {"totp": phone.code(later)}, later)
    assert accepted(alice, {"totp": new.code(later)}, later)


def test_the_code_that_confirmed_does_not_sign_in(alice):
    """S10"""
    phone, _ = enrol(alice, START)
    assert not accepted(alice, {"totp": phone.code(START)})


# --- codes of the app ---------------------------------------------------------------------------
def test_a_code_works_once_and_earlier_ones_never_again(alice, phone):
    """S10"""
    assert accepted(alice, {"totp": phone.code(START)})
    assert not accepted(alice, {"totp": phone.code(START)})
    assert not accepted(alice, {"totp": phone.code(START - STEP)})
    assert accepted(alice, {"totp": phone.code(START + STEP)})


def in_twelve_threads(work: Any) -> list[Any]:
    """What each of twelve callers got who all came at once."""
    barrier, results = threading.Barrier(12), []

    def run() -> None:
        connection.ensure_connection()
        barrier.wait()
        results.append(work())
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    return results


@pytest.mark.django_db(transaction=True)
def test_of_twelve_callers_with_one_code_one_is_let_in(transactional_db, alice, settings):
    """S10: with the waits after wrong codes off, so that nothing but the row decides."""
    settings.RATELIMIT_ENABLE = False
    phone, _ = enrol(alice, START - timedelta(hours=1))
    for number in range(5):
        at = START + number * 10 * STEP
        proof = {"totp": phone.code(at)}
        assert in_twelve_threads(lambda p=proof, t=at: accepted(alice, p, t)).count(True) == 1


@pytest.mark.parametrize("seconds", [-60, -31, 0, 31, 60])
def test_a_clock_that_is_up_to_60_seconds_off_is_no_obstacle(alice, seconds):
    """A bad day: the phone's clock is wrong, by more than a step."""
    phone, _ = enrol(alice, START - timedelta(hours=1))
    for moment in (START, START + timedelta(seconds=29)):
        shown = phone.code(moment + timedelta(seconds=seconds))
        assert accepted(alice, {"totp": shown}, moment)
        with tenancy.as_system("test"):
            TotpDevice.objects.update(last_step=-1)


@pytest.mark.parametrize("steps", [-3, 3])
def test_a_code_of_three_steps_away_is_refused(alice, steps):
    phone, _ = enrol(alice, START - timedelta(hours=1))
    assert not accepted(alice, {"totp": phone.code(START + steps * STEP)})


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "１２３４５６", "12 456", "-12345"]
)
def test_what_is_no_code_is_refused_like_a_wrong_one(alice, phone, client_of, code):
    assert not accepted(alice, {"totp": code})
    details = password_step(client_of(), alice)
    answer = client_of().post(SECOND_STEP, {"challenge": details["challenge"], "totp": code})
    assert answer.status_code == 400


def test_guessing_is_slowed_down(alice, phone):
    """The waits belong to the person, and a code that is right ends them."""
    for _ in range(5):
        assert not accepted(alice, {"totp": "000000"})
    with pytest.raises(TooManyAttempts) as wait:
        accepted(alice, {"totp": phone.code(START)})
    assert wait.value.retry_after == 1
    with time_machine.travel(START + timedelta(seconds=2), tick=False):
        assert accepted(alice, {"totp": phone.code(START)})
        assert not accepted(alice, {"totp": "000000"})
        assert not accepted(alice, {"totp": "000000"})


def test_without_redis_no_code_is_looked_at(alice, phone, client_of):
    """S30"""
    details = password_step(client_of(), alice)
    body = {"challenge": details["challenge"], "totp": phone.code(START)}
    with redis_gone():
        answer = client_of().post(SECOND_STEP, body)
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert client_of().post("/auth/passkey", {"passkey": {}}).status_code == 503
    assert client_of().post(SECOND_STEP, body).status_code == 200


# --- how the seed is kept -----------------------------------------------------------------------
def everything_stored() -> str:
    """The whole database as text, bytes in hex."""
    with tenancy.as_system("test"), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        text = []
        for table in tables:
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')
            text += [row for (row,) in cursor.fetchall()]
    return "\n".join(text)


def test_seed_and_recovery_codes_are_not_in_the_database(alice, phone, codes):
    """S11, S21"""
    dump = everything_stored()
    assert alice.email in dump  # the dump does hold what is stored
    raw = base64.b32decode(phone.secret)
    plain = [phone.secret, *codes, *(code.replace("-", "") for code in codes)]
    for text in plain:
        assert text not in dump
        assert text.encode().hex() not in dump
    for secret in (raw, *(base64.b32decode(code.replace("-", "")) for code in codes)):
        assert secret.hex() not in dump


def test_a_seed_that_was_tampered_with_is_an_honest_error(alice, phone, client_of):
    """S21"""
    details = password_step(client_of(), alice)
    with tenancy.as_system("test"):
        device = TotpDevice.objects.get(user=alice)
        sealed = bytearray(device.sealed_seed)
        sealed[-1] ^= 1
        TotpDevice.objects.update(sealed_seed=bytes(sealed))
    body = {"challenge": details["challenge"], "totp": phone.code(START)}
    answer = client_of().post(SECOND_STEP, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "second_factor_unreadable")


def test_a_seed_of_somebody_else_does_not_open(alice, bob, phone):
    """S21: bound to person and row."""
    enrol(bob, START - timedelta(hours=1))
    with tenancy.as_system("test"):
        sealed = bytes(TotpDevice.objects.get(user=alice).sealed_seed)
        TotpDevice.objects.filter(user=bob).update(sealed_seed=sealed)
    with pytest.raises(SecondFactorUnreadable):
        accepted(bob, {"totp": phone.code(START)})


# --- recovery codes -----------------------------------------------------------------------------
def test_a_recovery_code_signs_in_once(alice, codes, client_of):
    """S11"""
    for expected in (200, 401):
        details = password_step(client_of(), alice)
        body = {"challenge": details["challenge"], "recovery_code": codes[0]}
        assert client_of().post(SECOND_STEP, body).status_code == expected
    assert [entry.details["left"] for entry in acts(alice, Action.RECOVERY_CODE_USED)] == [9]


@pytest.mark.django_db(transaction=True)
def test_of_twelve_callers_with_one_recovery_code_one_is_let_in(transactional_db, alice, settings):
    """S11"""
    settings.RATELIMIT_ENABLE = False
    _, codes = enrol(alice, START - timedelta(hours=1))
    for code in codes[:3]:
        proof = {"recovery_code": code}
        assert in_twelve_threads(lambda p=proof: accepted(alice, p)).count(True) == 1


def test_recovery_codes_are_long_random_and_all_different(alice, codes):
    """S11: 80 bits each."""
    assert len(set(codes)) == recovery.COUNT == 10
    assert {len(base64.b32decode(code.replace("-", ""))) * 8 for code in codes} == {80}


def test_a_recovery_code_may_be_typed_as_people_type(alice, codes):
    assert accepted(alice, {"recovery_code": f" {codes[0].lower().replace('-', ' ')} "})
    assert accepted(alice, {"recovery_code": codes[1].replace("-", "").replace("O", "0")})


def test_recovery_codes_of_somebody_else_are_nothing(alice, bob, codes):
    """S11: the digest depends on the person, so a row that is moved opens nothing."""
    enrol(bob, START - timedelta(hours=1))
    assert not accepted(bob, {"recovery_code": codes[0]})
    with tenancy.as_system("test"):
        RecoveryCode.objects.filter(user=bob).delete()
        RecoveryCode.objects.filter(user=alice).update(user=bob)
    assert not accepted(bob, {"recovery_code": codes[0]})


def test_fresh_recovery_codes_void_the_old(alice, codes, client_of):
    """S11"""
    fresh = client_of(alice).post("/me/second-factor/recovery-codes")
    assert fresh.status_code == 201
    new = fresh.json()["recovery_codes"]
    assert not set(new) & set(codes)
    assert not accepted(alice, {"recovery_code": codes[0]})
    assert accepted(alice, {"recovery_code": new[0]})


def test_recovery_codes_alone_are_no_second_factor(alice, phone, client_of):
    api = client_of(alice)
    assert api.delete("/me/second-factor/totp").status_code == 204
    assert second_factor.methods(alice.id) == []
    assert rows(RecoveryCode, alice) == []
    refused = api.post("/me/second-factor/recovery-codes")
    assert (refused.status_code, refused.json()["code"]) == (409, "second_factor_missing")


# --- the second step of signing in --------------------------------------------------------------
def test_signing_in_asks_for_the_second_factor(alice, phone, client_of):
    """The password alone gives no token; with the code it does, for the device that began."""
    device = {"device_name": "Alice's phone", "platform": "ios", "app_version": "1.2"}
    login = {"email": alice.email, "password": PASSWORD, "device": device}
    first = client_of().post("/auth/login", login)
    assert (first.status_code, first.json()["code"]) == (401, "second_factor_required")
    assert "access" not in first.content.decode()
    details = first.json()["details"]
    assert details["methods"] == ["totp", "recovery_code"]
    body = {"challenge": details["challenge"], "totp": phone.code(START)}
    done = client_of().post(SECOND_STEP, body)
    assert done.status_code == 200
    assert done.json()["user"]["email"] == alice.email
    api = client_of()
    api.headers["Authorization"] = f"Bearer {done.json()['access']}"
    assert api.get("/me").status_code == 200
    (entry,) = acts(alice, Action.USER_SIGNED_IN)
    assert (entry.details["method"], entry.details["device_name"]) == ("totp", "Alice's phone")


def test_a_wrong_code_can_be_corrected_a_right_one_not_repeated(alice, phone, client_of):
    challenge = password_step(client_of(), alice)["challenge"]
    wrong = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "second_factor_rejected")
    right = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": phone.code(START)})
    assert right.status_code == 200
    again = {"challenge": challenge, "totp": phone.code(START + STEP)}
    refused = client_of().post(SECOND_STEP, again)
    assert (refused.status_code, refused.json()["code"]) == (401, "challenge_rejected")
    assert len(acts(alice, Action.SECOND_FACTOR_FAILED)) == 1


def test_a_challenge_lasts_five_minutes(alice, phone, client_of, the_time):
    challenge = password_step(client_of(), alice)["challenge"]
    at = START + timedelta(minutes=5)
    the_time.move_to(at)
    answer = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": phone.code(at)})
    assert (answer.status_code, answer.json()["code"]) == (401, "challenge_rejected")
    the_time.move_to(at - timedelta(seconds=1))
    answer = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": phone.code(at)})
    assert answer.status_code == 200


def test_a_challenge_dies_with_the_password(alice, phone, client_of):
    challenge = password_step(client_of(), alice)["challenge"]
    with tenancy.as_system("test"):
        alice.set_password("another horse battery staple")
        alice.save()
    answer = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": phone.code(START)})
    assert answer.json()["code"] == "challenge_rejected"


def test_a_challenge_is_good_for_one_person(alice, bob, phone, client_of):
    """Bob's code does not help with Alice's challenge, and a changed one is no challenge."""
    bobs, _ = enrol(bob, START - timedelta(minutes=5))
    challenge = password_step(client_of(), alice)["challenge"]
    answer = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": bobs.code(START)})
    assert answer.json()["code"] == "second_factor_rejected"
    for forged in (challenge[:-1], f"x{challenge}", challenge.upper(), "a.b.c", "é"):
        body = {"challenge": forged, "totp": phone.code(START)}
        assert client_of().post(SECOND_STEP, body).json()["code"] == "challenge_rejected"


def test_a_person_who_is_deactivated_meanwhile_does_not_come_in(alice, phone, client_of):
    """S09"""
    challenge = password_step(client_of(), alice)["challenge"]
    with tenancy.as_system("test"):
        User.objects.filter(id=alice.id).update(is_active=False)
    answer = client_of().post(SECOND_STEP, {"challenge": challenge, "totp": phone.code(START)})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "proof",
    [{}, {"totp": "123456", "recovery_code": "A"}, {"totp": 1.5}, {"passkey": "x"}, {"pin": "1"}],
)
def test_exactly_one_proof_is_expected(alice, phone, client_of, proof):
    challenge = password_step(client_of(), alice)["challenge"]
    answer = client_of().post(SECOND_STEP, {"challenge": challenge, **proof})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


# --- what a change needs, and what it does ------------------------------------------------------
CHANGES = {
    "begin": lambda api, phone, key: api.post("/me/second-factor/totp"),
    "confirm": lambda api, phone, key: _confirm(api),
    "remove": lambda api, phone, key: api.delete("/me/second-factor/totp"),
    "recovery": lambda api, phone, key: api.post("/me/second-factor/recovery-codes"),
    "passkey options": lambda api, phone, key: api.post("/me/passkeys/options"),
    "passkey": lambda api, phone, key: _add_passkey(api),
    "passkey removed": lambda api, phone, key: api.delete(f"/me/passkeys/{key}"),
}
WHAT = {
    "confirm": "totp_added", "remove": "totp_removed", "recovery": "recovery_codes_made",
    "passkey": "passkey_added", "passkey removed": "passkey_removed",
}  # fmt: skip


def _confirm(api: ApiClient) -> Any:
    begun = api.post("/me/second-factor/totp").json()
    code = Phone(begun["secret"]).code(START) if "secret" in begun else "123456"
    return api.post("/me/second-factor/totp/confirm", {"code": code})


def _add_passkey(api: ApiClient) -> Any:
    options = api.post("/me/passkeys/options").json()
    made = Authenticator().create(options) if "user" in options else {}
    return api.post("/me/passkeys", {"name": "key", "passkey": made})


def what_there_is(user: User) -> list[Any]:
    return [
        [model_to_dict(row) for row in rows(model, user)]
        for model in (TotpDevice, Passkey, RecoveryCode)
    ]


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_needs_a_fresh_authentication(alice, phone, client_of, name):
    """S12"""
    _, key = add_passkey(alice)
    api = client_of(alice)
    make_stale(alice, START - timedelta(minutes=15, seconds=1))
    before = what_there_is(alice)
    answer = CHANGES[name](api, phone, key)
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    assert what_there_is(alice) == before
    make_stale(alice, START - timedelta(minutes=14))
    assert CHANGES[name](api, phone, key).status_code in (200, 201, 204)


@pytest.mark.parametrize("name", WHAT)
def test_every_change_ends_the_other_sessions_and_is_announced(alice, phone, client_of, name):
    """S09"""
    _, key = add_passkey(alice)
    api, other = client_of(alice), client_of(alice)
    told = announced(alice)
    assert CHANGES[name](api, phone, key).status_code in (200, 201, 204)
    assert api.get("/me").status_code == 200
    assert other.get("/me").status_code == 401
    assert client_of().post("/auth/refresh", {"refresh": other.refresh_token}).status_code == 401
    assert sorted(announced(alice)) == sorted([*told, WHAT[name]])


def test_reading_needs_no_fresh_authentication(alice, phone, client_of):
    """S12"""
    api = client_of(alice)
    make_stale(alice, START - timedelta(hours=1))
    assert api.get("/me/second-factor").status_code == 200
    assert api.get("/me/passkeys").status_code == 200


def test_removing_what_is_not_there_is_not_found(alice, client_of):
    assert client_of(alice).delete("/me/second-factor/totp").status_code == 404


# --- operators ----------------------------------------------------------------------------------
def test_an_operator_resets_who_lost_everything(alice, bob, phone, client_of, capsys):
    """S09: all sessions end; the reset is announced and stands in the log."""
    add_passkey(alice)
    enrol(bob, START)
    api = client_of(alice)
    call_command("reset_second_factor", "Alice@Example.com")
    assert "1 totp, 1 passkeys, 10 recovery codes" in capsys.readouterr().out
    assert second_factor.methods(alice.id) == []
    assert [rows(model, alice) for model in (TotpDevice, Passkey, RecoveryCode)] == [[], [], []]
    assert api.get("/me").status_code == 401
    assert announced(alice)[-1] == "reset"
    (entry,) = acts(alice, Action.STAFF_ACTED)
    assert entry.details["did"] == "reset_second_factor"
    assert second_factor.methods(bob.id) == ["totp", "recovery_code"]


def test_resetting_nobody_is_said(db):
    with pytest.raises(CommandError, match="nobody"):
        call_command("reset_second_factor", "nobody@example.com")


def test_two_changes_at_once_leave_one_app(alice, client_of):
    """The person's row is locked, so that the second finds what the first has left."""
    for _ in range(2):
        begun = changes.begin_totp(user_id=alice.id, email=alice.email, now=START)
    changes.confirm_totp(
        user_id=alice.id, code=Phone(begun.secret).code(START), now=START, keep=None
    )
    assert len(rows(TotpDevice, alice)) == 1


def test_a_secret_that_was_begun_waits_fifteen_minutes_for_its_code(alice):
    """What was shown and left lying counts for nobody who finds it."""
    begun = changes.begin_totp(user_id=alice.id, email=alice.email, now=START)
    phone, person = Phone(begun.secret), {"user_id": alice.id, "keep": None}
    late, in_time = START + timedelta(minutes=15), START + timedelta(minutes=14, seconds=59)
    with pytest.raises(CodeRejected):
        changes.confirm_totp(code=phone.code(late), now=late, **person)
    assert second_factor.methods(alice.id) == []
    assert changes.confirm_totp(code=phone.code(in_time), now=in_time, **person).recovery_codes


@pytest.mark.django_db(transaction=True)
def test_a_password_alone_does_not_slip_in_while_a_second_factor_is_enrolled(alice):
    """S10: asked for under the lock that enrolment holds, not before it."""
    login = {"email": alice.email, "password": PASSWORD}
    with ThreadPoolExecutor(1) as pool:
        with tenancy.as_user(alice.id):
            enrol(alice, clock.now())
            slower = pool.submit(in_a_thread, lambda: ApiClient().post("/auth/login", login))
            await_somebody_waiting()
        answer = slower.result()
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    assert answer.json()["details"]["methods"] == ["totp", "recovery_code"]
    with tenancy.as_system("test"):
        assert not Session.objects.filter(user=alice, ended_at=None).exists()
