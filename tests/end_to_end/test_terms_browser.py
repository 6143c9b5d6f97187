"""Terms and privacy policy in a real browser: readable on a phone and on a desk, by day and night.

Needs Debian's Chromium (`apt-get install chromium`); without it the test says so and is skipped.
``PAGE_SCREENSHOTS`` names a folder for pictures of each page.
"""

import os
from pathlib import Path

import pytest

from tests import browser
from tests.browser import browsing

pytestmark = browser.needed
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


def picture(page, name: str) -> None:
    folder = os.environ.get("PAGE_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_texts_can_be_read_on_a_phone_and_on_a_desk(live_server, settings, scheme):
    settings.OPERATOR = {
        "name": "Example Ltd", "address": "1 High Street, Dublin", "email": "privacy@example.com",
        "country": "Ireland",
    }  # fmt: skip
    settings.TERMS_VERSION = settings.PRIVACY_VERSION = "2026-11-01"
    with browsing(live_server.url) as page:
        page.emulate_media(color_scheme=scheme)
        for size, device in ((PHONE, "phone"), (DESK, "desk")):
            page.set_viewport_size(size)
            page.goto("/terms")
            assert page.title().startswith("Terms of use")
            assert "Version 2026-11-01" in page.inner_text("main")
            assert "Example Ltd, 1 High Street, Dublin, Ireland" in page.inner_text("main")
            picture(page, f"terms-{device}-{scheme}")
            page.click("main a[href='/privacy']")
            assert page.title().startswith("Privacy policy")
            assert page.locator("main h2").count() >= 8
            assert page.get_attribute("main a[href^='mailto']", "href").endswith("example.com")
            picture(page, f"privacy-{device}-{scheme}")
            # Nothing stands out to the side, where nobody would find it.
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"]
            styled = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (styled == "rgb(255, 255, 255)") == (scheme == "light")
            assert page.context.cookies() == []
