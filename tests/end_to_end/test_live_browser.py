"""Prices that move, in a real browser: from the exchange's stream to the page.

Needs Debian's Chromium (`apt-get install chromium`); without it the test says so and is skipped.
``LIVE_SCREENSHOTS`` names a folder for a picture.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import sync_api as playwright

from accounts.models import User
from tests import browser, factories, processes
from tests import sandbox as sandboxes
from tests.browser import browsing
from tests.conftest import PASSWORD
from tests.exchange_fixtures import UNLIMITED
from tests.portfolios.live.conftest import serving
from tests.portfolios.live.listening import holding
from tracker import tenancy

pytestmark = browser.needed


# The first tick waits for `stream_prices` to start, beside everything else that tests start.
STARTED_MILLISECONDS = 120_000


@pytest.fixture
def moving() -> Iterator[sandboxes.Sandbox]:
    with sandboxes.running(weight_limit=0, accounts=1) as running:
        yield running


@pytest.fixture
def alice(transactional_db) -> User:
    """Somebody with half a bitcoin, on a plan with live prices."""
    with tenancy.as_system("test"):
        user = User.objects.create_user("alice@example.com", PASSWORD)
    factories.put_on_plan(user, "pro")
    holding(user, "BTC", "0.5")
    return user


def test_somebody_signs_in_and_sees_prices_and_their_portfolio_move(
    alice, settings, live_server, moving
):
    environment = {
        "EXCHANGE_BASE_URLS": json.dumps({"binance": moving.url}),
        "EXCHANGE_BUDGETS": json.dumps({"binance": UNLIMITED}),
    }
    with (
        processes.managed("stream_prices", "binance", **environment),
        serving() as server,
        browsing(live_server.url) as page,
    ):
        page.set_default_timeout(STARTED_MILLISECONDS)
        settings.LIVE_URL = f"ws://127.0.0.1:{server.port}"
        page.goto("/live")
        page.get_by_label("E-mail address").fill("alice@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        price = page.locator("tr[data-code=BTC] td").nth(1)
        price.wait_for()
        total = page.locator("#total")
        before = (price.text_content(), total.text_content())
        # Asked from outside: what asks inside the page waits for its frames or timers, which a busy
        # machine may hold back for minutes.
        changes = {"timeout": STARTED_MILLISECONDS}
        playwright.expect(total).not_to_have_text(
            re.compile(f"^(–|{re.escape(before[1])})$"), **changes
        )
        playwright.expect(price).not_to_have_text(before[0], **changes)
        assert page.locator("#currency").text_content() == "USD"
        assert page.get_by_role("status").text_content() == "Connected."
        if folder := os.environ.get("LIVE_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "live.png", full_page=True)
