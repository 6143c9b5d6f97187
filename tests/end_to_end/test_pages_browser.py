"""Links from e-mails in a real browser, with scripts switched off: confirming and resetting.

Needs Debian's Chromium (`apt-get install chromium`); without it the tests say so and are skipped.
``PAGES_SCREENSHOTS`` names a folder for pictures of each step.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from accounts import links, registration, tasks
from tests import browser
from tests.conftest import PASSWORD
from tests.mail import find, newest_link, reread
from tracker import clock

NEW = "another horse battery staple"
pytestmark = browser.needed


def browsing(url: str, *, scheme: str = "light", width: int = 800):
    """A page of a browser without scripts."""
    return browser.browsing(
        url, java_script_enabled=False, color_scheme=scheme,
        viewport={"width": width, "height": 700},
    )  # fmt: skip


def picture(page, name: str) -> None:
    folder = os.environ.get("PAGES_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def path_of(user, purpose: str) -> str:
    """What follows the host in the link of the newest e-mail."""
    parts = urlsplit(links.url(newest_link(user, purpose)))
    return f"{parts.path}?{parts.query}"


@pytest.fixture
def newcomer(transactional_db):
    registration.register(email="new@example.com", password=PASSWORD, now=clock.now())
    return find("new@example.com")


def test_somebody_new_confirms_their_address(newcomer, live_server):
    path = path_of(newcomer, "confirm_email")
    with browsing(live_server.url, width=390) as page:
        page.goto(path)
        page.get_by_role("heading", name="Confirm your e-mail address").wait_for()
        assert page.get_by_text("new@example.com").is_visible()
        picture(page, "1-confirm")
        page.get_by_role("button", name="Confirm address").click()
        page.get_by_role("heading", name="Thank you").wait_for()
        assert "token" not in page.url
        picture(page, "2-confirmed")
        page.goto(path)
        page.get_by_role("heading", name="Already confirmed").wait_for()
        picture(page, "3-already-confirmed")
        assert page.get_by_role("link", name="Terms").get_attribute("href") == "/terms"
    assert reread(newcomer).email_confirmed_at is not None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_somebody_who_forgot_their_password_sets_a_new_one(newcomer, live_server, scheme):
    tasks.mail_reset_link(user_id=str(newcomer.id))
    path = path_of(newcomer, "reset_password")
    with browsing(live_server.url, scheme=scheme) as page:
        page.goto(path)
        page.get_by_role("heading", name="Set a new password").wait_for()
        picture(page, f"4-reset-{scheme}")
        page.get_by_label("New password").fill("passwordpassword")
        page.get_by_label("The same again").fill("something else entirely")
        page.get_by_role("button", name="Set password").click()
        page.get_by_role("alert").get_by_text("differ").wait_for()
        picture(page, f"5-refused-{scheme}")
        page.get_by_label("New password").fill(NEW)
        page.get_by_label("The same again").fill(NEW)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Password set").wait_for()
        picture(page, f"6-set-{scheme}")
        page.goto(path)
        page.get_by_text("This link is not valid any more.").wait_for()
        picture(page, f"7-spent-{scheme}")
    assert reread(newcomer).check_password(NEW)
