"""A support request in a real browser: read, answered with a canned reply, and the figures.

Needs Debian's Chromium (`apt-get install chromium`); without it the test says so and is skipped.
``ADMIN_SCREENSHOTS`` names a folder for pictures of each step.
"""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as project
from django.urls import reverse

from accounts.models import CannedReply, SupportMessage, SupportRequest, User
from tests import browser, factories
from tests.admin_client import signed_in
from tests.browser import browsing
from tests.conftest import PASSWORD
from tracker import clock, tenancy

pytestmark = browser.needed
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def asked(transactional_db) -> SupportRequest:
    """A request with a thread, diagnostics and some history of the desk around it."""
    alice, now = factories.person("alice@example.com"), clock.now()
    for week in range(6):
        opened = now - timedelta(weeks=week, hours=30)
        factories.support_request(
            alice, opened_at=opened, waiting_since=None, state="answered", answered_at=opened,
            first_answered_at=opened + timedelta(hours=3 + 4 * week), rating=3 + week % 3,
        )  # fmt: skip
    row = factories.support_request(
        alice, subject="Trades of March are missing", category="connection",
        diagnostics={"app_version": "2.4.1", "platform": "ios"}, consented_at=now,
        snapshot={"taken_at": now.isoformat(), "connection": {"state": "partial"}},
        waiting_since=now - timedelta(hours=30), opened_at=now - timedelta(hours=30),
    )  # fmt: skip
    with tenancy.as_system("test"):
        for kind, text in (("note", "Same as last week?"), ("person", "Un" + "broken" * 60)):
            SupportMessage.objects.create(user=alice, request=row, kind=kind, text=text)
        CannedReply.objects.create(title="Sync again", text="About {reference}:\n\nSync again.")
    return row


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_support_reads_answers_and_looks_at_the_figures(asked, live_server, scheme):
    with tenancy.as_system("test"):
        staff = User.objects.create_superuser("staff@example.com", PASSWORD)
    cookie = signed_in(staff).cookies[project.SESSION_COOKIE_NAME].value
    with browsing(live_server.url, color_scheme=scheme) as page:
        page.context.add_cookies(
            [{"name": project.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
        )
        page.goto(reverse("admin:accounts_supportrequest_changelist") + "?waiting=yes")
        page.get_by_text("1 d 6 h (overdue)").wait_for()
        picture(page, f"support-1-list-{scheme}")
        page.get_by_role("link", name=asked.reference).click()
        page.get_by_role("button", name="Insert").click()
        assert page.get_by_label("Text").input_value().startswith(f"About {asked.reference}:")
        assert page.evaluate(WIDER) == 0
        picture(page, f"support-2-request-{scheme}")
        page.get_by_role("button", name="Send answer").click()
        page.get_by_text("Answered. The person is told").wait_for()
        assert "Sync again." in page.get_by_role("list", name="Thread").inner_text()
        page.goto(reverse("admin:accounts_support_figures"))
        page.get_by_role("img", name="Hours to the first answer").wait_for()
        picture(page, f"support-3-figures-{scheme}")
    with tenancy.as_system("test"):
        assert SupportRequest.objects.get(id=asked.id).state == "answered"


def picture(page, name: str) -> None:
    if folder := os.environ.get("ADMIN_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
