"""Support in a real browser: sign in, find a connection, pause it, see that it is paused.

Needs Debian's Chromium (`apt-get install chromium`); without it the test says so and is skipped.
``ADMIN_SCREENSHOTS`` names a folder for pictures of each step.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.urls import reverse

from accounts.models import User
from audit.actions import Action
from audit.models import ActivityLog
from exchanges.models import ConnectionState, Exchange, ExchangeConnection, QuarantinedPage
from portfolios.models import SyncRun
from tests.conftest import PASSWORD
from tracker import clock, tenancy

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="needs Chromium: apt-get install chromium"
)


@contextmanager
def browsing(url: str) -> Iterator:
    """A page of a fresh browser. Errors in its scripts and missing files fail the test.

    Inside, the ORM is out of bounds: Playwright runs an event loop in this thread.
    """
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(base_url=url)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        yield page
        browser.close()
    assert not problems


@pytest.fixture
def connection(transactional_db) -> ExchangeConnection:
    """Alice's connection, with a run and a page that could not be read; and a member of staff."""
    Exchange.objects.create(id="binance", name="Binance", ccxt_version="1")
    with tenancy.as_system("test"):
        User.objects.create_superuser("staff@example.com", PASSWORD)
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


def sign_in(page) -> None:
    page.goto(reverse("admin:index"))
    page.get_by_label("Email").fill("staff@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Support desk").wait_for()
    picture(page, "1-home")


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


def test_support_pauses_a_connection(connection, live_server):
    with browsing(live_server.url) as page:
        sign_in(page)
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
        staff = User.objects.get(email="staff@example.com")
    assert (entry.actor_id, entry.user_id) == (staff.id, connection.user_id)


def read_connection(page) -> None:
    page.get_by_role("heading", name="binance savings").wait_for()
    assert "not_json" in page.get_by_role("table", name="Quarantined pages").inner_text()
    assert page.get_by_role("button", name="Save").count() == 0
    picture(page, "4-connection")
    page.get_by_role("link", name="All sync runs").click()
    assert "7" in page.get_by_role("row").filter(has_text="schedule").inner_text()
    picture(page, "5-sync-runs")


def test_the_page_of_a_person_is_readable_and_leads_on(connection, live_server):
    with browsing(live_server.url) as page:
        sign_in(page)
        page.goto(reverse("admin:accounts_user_change", args=[connection.user_id]))
        assert page.get_by_label("Email").input_value() == "alice@example.com"
        picture(page, "6-person")
        page.get_by_role("link", name="Exchange connections").last.click()
        page.get_by_role("row").filter(has_text="savings").wait_for()
