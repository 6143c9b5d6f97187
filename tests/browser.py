"""Debian's Chromium, driven by Playwright. Tests that need it skip visibly where it is absent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
LEFT = "net::ERR_ABORTED"  # what was still on its way when the page was left
needed = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="needs Chromium: apt-get install chromium"
)


@contextmanager
def browsing(url: str, **context: Any) -> Iterator:
    """A page of a fresh browser, with Playwright's options for its context.

    Errors in its scripts, missing files, errors of ours and calls to anybody else fail the test.
    Inside, the ORM is out of bounds: Playwright runs an event loop in this thread.
    """
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_context(base_url=url, **context).new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend(_foreign(request, url)))
        page.on("requestfailed", lambda request: problems.extend(_failed(request)))
        page.on("response", lambda answer: problems.extend(_missing(answer)))
        yield page
        browser.close()
    assert not problems


def _foreign(request: Any, url: str) -> list[str]:
    return [] if request.url.startswith((url, "data:", "blob:")) else [request.url]


def _failed(request: Any) -> list[str]:
    return [] if request.failure == LEFT else [f"{request.url}: {request.failure}"]


def _missing(answer: Any) -> list[str]:
    """Errors of ours, and files of a page that are not there; forms may be refused."""
    file = answer.request.resource_type in ("stylesheet", "script", "image", "font")
    bad = answer.status >= (400 if file else 500) and not answer.url.endswith("/favicon.ico")
    return [f"{answer.url}: {answer.status}"] if bad else []
