"""Support in a real browser: sign in with code or passkey, find a connection, pause it.

Needs Debian's Chromium (`apt-get install chromium`); without it the test says so and is skipped.
``ADMIN_SCREENSHOTS`` names a folder for pictures of each step.
"""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse

from accounts.models import User
from audit.actions import Action
from audit.models import ActivityLog
from exchanges.models import (
    ConnectionState,
    Coverage,
    Exchange,
    ExchangeConnection,
    QuarantinedPage,
)
from portfolios.models import SyncRun
from tests import browser
from tests.browser import browsing
from tests.conftest import PASSWORD
from tests.second_factors import Phone, enrol
from tracker import clock, tenancy

pytestmark = browser.needed


@pytest.fixture
def staff(transactional_db, settings, live_server) -> User:
    """A member of staff who knows a password and has no second factor yet."""
    settings.PUBLIC_URL = live_server.url  # passkeys are made for an address
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def phone(staff) -> Phone:
    """The authenticator app of staff."""
    return enrol(staff, clock.now() - timedelta(minutes=10))[0]


@pytest.fixture
def connection(staff) -> ExchangeConnection:
    """Alice's connection, with a run and a page that could not be read."""
    Exchange.objects.create(id="binance", name="Binance", ccxt_version="1")
    with tenancy.as_system("test"):
        alice = User.objects.create_user("alice@example.com", PASSWORD)
        made = ExchangeConnection.objects.create(
            user=alice, exchange_id="binance", label="savings", state=ConnectionState.PARTIAL,
            reason="feeds_failed", next_sync_at=clock.now(),
        )  # fmt: skip
        owner = {"user": alice, "connection": made}
        SyncRun.objects.create(
            **owner, trigger="schedule", state="partial", finished_at=clock.now(), new_trades=7
        )
        QuarantinedPage.objects.create(
            **owner, feed="dust", reason="not_json", payload=b"sealed", payload_digest=b"d" * 32
        )
    return made


def picture(page, name: str) -> None:
    folder = os.environ.get("ADMIN_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def give_password(page) -> None:
    page.goto(reverse("admin:index"))
    page.get_by_label("Email").fill("staff@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def give_code(page, code: str) -> None:
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Continue").click()


def see_home(page) -> None:
    page.get_by_role("heading", name="Support desk").wait_for()


def sign_in(page, phone: Phone) -> None:
    give_password(page)
    give_code(page, phone.code(clock.now()))
    see_home(page)
    picture(page, "1-home")


def sign_out(page) -> None:
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in again").click()


def find_connection(page):
    page.get_by_role("link", name="Exchange connections").first.click()
    page.get_by_role("textbox", name="Search").fill("alice@example.com")
    page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row").filter(has_text="savings")
    row.get_by_text("something could not be read").wait_for()
    picture(page, "2-connections")
    return row


def run_action(page, row, name: str) -> None:
    row.get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option(label=name)
    page.get_by_role("button", name="Go").click()


def test_support_pauses_a_connection(connection, staff, phone, live_server):
    with browsing(live_server.url) as page:
        sign_in(page, phone)
        row = find_connection(page)
        run_action(page, row, "Pause")
        page.get_by_text("Paused: 1.").wait_for()
        assert "paused_by_staff" in row.inner_text()
        picture(page, "3-paused")
        row.get_by_role("link", name="savings").click()
        read_connection(page)
    with tenancy.as_system("test"):
        assert ExchangeConnection.objects.get().state == ConnectionState.PAUSED
        entry = ActivityLog.objects.get(action=Action.CONNECTION_PAUSED)
    assert (entry.actor_id, entry.user_id) == (staff.id, connection.user_id)


def read_connection(page) -> None:
    page.get_by_role("heading", name="binance savings").wait_for()
    assert "not_json" in page.get_by_role("table", name="Quarantined pages").inner_text()
    assert page.get_by_role("button", name="Save").count() == 0
    picture(page, "4-connection")
    page.get_by_role("link", name="All sync runs").click()
    assert "7" in page.get_by_role("row").filter(has_text="schedule").inner_text()
    picture(page, "5-sync-runs")


def test_the_page_of_a_person_is_readable_and_leads_on(connection, phone, live_server):
    with browsing(live_server.url) as page:
        sign_in(page, phone)
        page.goto(reverse("admin:accounts_user_change", args=[connection.user_id]))
        assert page.get_by_label("Email").input_value() == "alice@example.com"
        picture(page, "6-person")
        page.get_by_role("link", name="Exchange connections").last.click()
        page.get_by_role("row").filter(has_text="savings").wait_for()


@pytest.fixture
def ailing(connection) -> ExchangeConnection:
    """The connection with a past: what was read so far, and a visit that was cut short."""
    now = clock.now()
    owner = {"user": connection.user, "connection": connection}
    calls = [
        [60 * n, "privateGetMyTrades", 20, "ip", 15 * (n % 4), 30 + n % 20, 200, n % 7, ""]
        for n in range(40)
    ]
    failed = [2500, "sapiGetCapitalDepositHisrec", 1, "sapi:deposits", 900, 10_000, 0, -1,
              "exchange_timeout"]  # fmt: skip
    with tenancy.as_system("test"):
        for feed, since, until in (("deposits", 900, 12), ("withdrawals", 900, 0), ("dust", 90, 0)):
            Coverage.objects.create(
                **owner, feed=feed, since=now - timedelta(days=since),
                until=now - timedelta(days=until),
            )  # fmt: skip
        for symbol, days in (("BTCUSDT", 0), ("ETHUSDT", 200)):
            Coverage.objects.create(
                **owner, feed="trades", scope=symbol, since=now - timedelta(days=1200),
                until=now - timedelta(days=days), cursor="7",
            )  # fmt: skip
        SyncRun.objects.create(
            **owner, trigger="manual", state="partial", finished_at=now, quarantined=3,
            problems=[{"feed": "deposits", "scope": "", "code": "exchange_timeout"}],
            timeline={"first": calls, "last": [failed], "left_out": 512},
        )  # fmt: skip
        ExchangeConnection.objects.update(
            reason="exchange_timeout", last_synced_at=now, last_complete_at=now, failures=2
        )
    return connection


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_doctor_of_a_connection_is_readable(ailing, phone, live_server, scheme):
    with browsing(live_server.url) as page:
        page.emulate_media(color_scheme=scheme)
        sign_in(page, phone)
        find_connection(page).get_by_role("link", name="savings").click()
        page.get_by_role("link", name="Doctor").click()
        page.get_by_role("heading", name="Doctor: binance savings").wait_for()
        coverage = page.get_by_role("row").filter(has_text="ends 12 days before the last visit")
        assert "deposits" in coverage.inner_text()
        visit = page.get_by_role("region", name="Calls of the visit").first
        assert "exchange_timeout" in visit.inner_text()
        assert "512 calls left out" in visit.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        picture(page, f"13-doctor-{scheme}")
        page.get_by_role("button", name="Replay 1 row").click()
        page.get_by_text("Rows to be read again by a worker: 1.").wait_for()
        page.goto(reverse("admin:exchanges_quarantinedpage_counts"))
        page.get_by_role("row").filter(has_text="not_json").wait_for()
        picture(page, f"14-quarantine-counts-{scheme}")
    with tenancy.as_system("test"):
        asked = ActivityLog.objects.get(action=Action.REPLAY_REQUESTED)
    assert asked.user_id == ailing.user_id


# --- the second factor --------------------------------------------------------------------------
def test_the_first_login_leads_through_enrolment_and_the_next_asks_for_a_code(staff, live_server):
    """S52"""
    with browsing(live_server.url) as page:
        give_password(page)
        page.get_by_role("heading", name="Set up your second factor").wait_for()
        picture(page, "7-enrolment")
        phone = Phone(page.locator("#totp-secret").inner_text())
        page.get_by_label("Code from the app").fill("000000")
        page.get_by_role("button", name="Confirm").click()
        page.get_by_text("This code does not match.").wait_for()
        page.get_by_label("Code from the app").fill(phone.code(clock.now()))
        page.get_by_role("button", name="Confirm").click()
        page.get_by_role("heading", name="Recovery codes").wait_for()
        picture(page, "8-recovery-codes")
        codes = page.locator(".recovery-codes code").all_inner_texts()
        assert len(codes) == 10
        page.get_by_role("link", name="continue").click()
        see_home(page)
        sign_out(page)
        give_password(page)
        page.get_by_role("heading", name="Second factor").wait_for()
        picture(page, "9-second-factor")
        give_code(page, codes[0])
        see_home(page)
        sign_out(page)
        give_password(page)
        give_code(page, phone.code(clock.now() + timedelta(seconds=30)))
        see_home(page)


def plug_in_authenticator(page) -> None:
    """Chromium's virtual authenticator: it verifies its user and keeps discoverable passkeys."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }  # fmt: skip
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_set_up_and_then_opens_the_admin_without_a_password(staff, live_server):
    """S52"""
    with browsing(live_server.url) as page:
        plug_in_authenticator(page)
        give_password(page)
        page.get_by_role("button", name="Set up a passkey instead").click()
        page.get_by_role("heading", name="Recovery codes").wait_for()
        page.get_by_role("link", name="continue").click()
        see_home(page)
        sign_out(page)
        picture(page, "10-login-with-passkey")
        page.get_by_role("button", name="Sign in with a passkey").click()
        see_home(page)
        sign_out(page)
        give_password(page)
        page.get_by_role("heading", name="Second factor").wait_for()
        picture(page, "11-second-factor-passkey")
        page.get_by_role("button", name="Use a passkey").click()
        see_home(page)
    with tenancy.as_system("test"):
        entries = ActivityLog.objects.filter(action=Action.USER_SIGNED_IN, user=staff)
        assert {entry.details["second_factor"] for entry in entries} == {"passkey"}
        assert entries.count() == 3


def test_a_browser_without_a_passkey_says_so(staff, live_server):
    """The button stands there; what the authenticator answers is told in words."""
    with browsing(live_server.url) as page:
        plug_in_authenticator(page)
        page.goto(reverse("admin:login"))
        page.get_by_role("button", name="Sign in with a passkey").click()
        page.get_by_role("alert").filter(has_text="No passkey was used").wait_for()
        picture(page, "12-no-passkey")
