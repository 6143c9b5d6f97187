"""What goes along with a support request: with consent only, and never a key."""

import secrets
import string
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.helpdesk import diagnostics
from accounts.models import SupportRequest
from portfolios.models import SyncRun
from tests import factories
from tracker import clock, ids, tenancy

ASKED = {"category": "connection", "subject": "It stopped", "text": "Since today."}
PATH = "/support/requests"
TOLD = {
    "app_version": "2.4.1", "platform": "ios", "os_version": "18.1", "device_model": "iPhone15,2",
    "time_zone": "America/Argentina/Buenos_Aires", "locale": "de-CH", "network_type": "wifi",
    "last_error_codes": ["connection_limit_reached", "net::ERR_CONNECTION_REFUSED"],
    "last_request_ids": [str(ids.new_id())], "screen": "portfolio/connections.list",
}  # fmt: skip


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


def test_diagnostics_without_consent_are_refused_and_nothing_is_kept(client_of, alice):
    for consent in ({}, {"diagnostics_consent": False}):
        answer = client_of(alice).post(PATH, ASKED | {"diagnostics": TOLD} | consent)
        [row] = answer.json()["details"]["fields"]
        assert (answer.status_code, row["code"]) == (400, "consent_required")
    assert client_of(alice).get(PATH).json()["results"] == []


def test_what_the_app_tells_is_kept_as_it_is_where_it_is_harmless(client_of, alice):
    body = ASKED | {"diagnostics_consent": True, "diagnostics": TOLD}
    made = client_of(alice).post(PATH, body).json()
    assert made["diagnostics"] == TOLD
    with tenancy.as_user(alice.id):
        assert SupportRequest.objects.get().consented_at is not None


def test_without_consent_nothing_is_looked_up_and_with_it_the_connection_is(client_of, alice):
    connected = factories.connection(alice, label="Secret savings")
    with tenancy.as_user(alice.id):
        SyncRun.objects.create(
            user=alice, connection=connected, trigger="schedule", state="failed",
            error="exchange_timeout", finished_at=clock.now(),
        )  # fmt: skip
    body = ASKED | {"connection_id": str(connected.id)}
    assert client_of(alice).post(PATH, body).json()["snapshot"] == {}
    made = client_of(alice).post(PATH, body | {"diagnostics_consent": True}).json()
    assert made["snapshot"]["connection"]["exchange"] == connected.exchange_id
    assert made["snapshot"]["last_sync"]["error"] == "exchange_timeout"
    assert "Secret savings" not in str(made["snapshot"])


def test_the_snapshot_is_of_the_moment_and_does_not_change(client_of, alice):
    connected = factories.connection(alice)
    body = ASKED | {"connection_id": str(connected.id), "diagnostics_consent": True}
    made = client_of(alice).post(PATH, body).json()
    client_of(alice).delete(f"/connections/{connected.id}")
    again = client_of(alice).get(f"{PATH}/{made['id']}").json()
    assert again["snapshot"] == made["snapshot"]
    assert again["connection_id"] == str(connected.id)


@pytest.mark.parametrize(
    "told",
    [
        {"api_key": "x"}, {"app_version": {"a": 1}}, {"app_version": "x" * 65},
        {"last_error_codes": ["x"] * 21}, {"last_error_codes": [["x"]]},
        {"last_error_codes": "x"}, {"last_error_codes": ["x" * 65]}, {"locale": ["de"]},
        {"last_request_ids": {"a": "b"}}, [], "x", 1,
    ],
    ids=str,
)  # fmt: skip
def test_only_known_fields_of_known_size_are_taken(client_of, alice, told):
    body = ASKED | {"diagnostics_consent": True, "diagnostics": told}
    answer = client_of(alice).post(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert answer.json()["details"]["fields"][0]["field"].startswith("diagnostics")


def test_a_key_in_any_field_does_not_reach_the_database(client_of, alice):
    key = secrets.token_hex(32)
    told = dict.fromkeys(("app_version", "os_version", "screen"), f"a {key}"[:64])
    told |= {"last_error_codes": [f"refused {key}"[:64], "fine"]}
    body = ASKED | {"diagnostics_consent": True, "diagnostics": told}
    made = client_of(alice).post(PATH, body).json()
    assert key[:20] not in str(made)
    assert made["diagnostics"]["last_error_codes"] == ["refused [redacted]", "fine"]


# --- the shape of secrets -----------------------------------------------------------------------
FRAMES = ["{}", "key={}", "Authorization: Bearer {}", "({})", "/path/{}", "{}.", '"{}"', "a {} b"]
ALPHABETS = {
    "hexadecimal": "0123456789abcdef", "upper hexadecimal": "0123456789ABCDEF",
    "base64": string.ascii_letters + string.digits + "+/", "lower base32": "abcdefghijkl234567",
    "url-safe": string.ascii_letters + string.digits + "-_",
}  # fmt: skip


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@given(data=st.data(), frame=st.sampled_from(FRAMES))
def test_a_long_run_of_letters_and_digits_is_never_kept(alphabet, data, frame):
    """From 24 characters on, with a digit among them: what exchanges' keys look like."""
    key = data.draw(st.text(alphabet, min_size=24, max_size=88))
    key = key[:12].strip("-_/+") + "7Q" + key[12:]
    kept = diagnostics.redacted(frame.format(key))
    assert diagnostics.REDACTED in kept
    assert key not in kept


@pytest.mark.parametrize(
    "key",
    [
        "5f2b9c1e-8a4d-4c3b-9f1e-2d7a6b5c4e3f",  # KuCoin's secrets are such
        "abcdefab-abcd-4bcd-abcd-abcdefabcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
        "organizations/01a22dd5-9f39-74cb-9e3f-9a0b135d916a/apiKeys/x",
        "ExponentPushToken[abcdefghijABCDEFGHIJ12]",
        "A" * 20,
    ],
)
def test_these_are_taken_for_secrets(key):
    kept = diagnostics.redacted(f"failed with {key}")
    assert diagnostics.REDACTED in kept
    assert key not in kept


@pytest.mark.parametrize(
    "text",
    [
        "exchange_timeout", "connection_limit_reached", "ERR_CONNECTION_TIMED_OUT",
        "com.example.portfolio.app", "SM-S918B/DS",
        "Europe/Zurich", "iPhone15,2", "2.4.1+build.388", "wifi", "",
    ],
)  # fmt: skip
def test_these_are_not(text):
    assert diagnostics.redacted(text) == text


def test_no_time_zone_is_taken_for_a_key():
    assert [zone for zone in available_timezones() if diagnostics.redacted(zone) != zone] == []


@given(st.text(max_size=64))
def test_whatever_is_told_is_redacted_without_an_end_of_it(text):
    once = diagnostics.redacted(text)
    assert diagnostics.redacted(once) == once


def test_our_own_ids_stay_and_what_hangs_on_them_does_not():
    own = str(ids.new_id())
    assert diagnostics.redacted(f"{own}, {own}.") == f"{own}, {own}."
    assert own not in diagnostics.redacted(f"{own}{'a1' * 12}")
