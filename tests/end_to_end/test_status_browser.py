"""The status page in a real browser, without scripts: phone and desktop, light and dark.

Needs Debian's Chromium (`apt-get install chromium`); without it the tests say so and are skipped.
``STATUS_SCREENSHOTS`` names a folder for pictures.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit import incidents, status_copy
from audit.models import ComponentDay, ComponentMinute, Incident, IncidentUpdate, StatusComponent
from tests import browser
from tracker import clock
from tracker.monitoring import pages

pytestmark = browser.needed
PARTS = [
    ("api", "API", 0), ("prices", "Prices", 10), ("billing", "Payments", 20),
    ("sync.binance", "Binance", 30), ("sync.kraken", "Kraken", 30),
]  # fmt: skip


@pytest.fixture
def troubled(transactional_db):
    """Ninety days of five parts, with bad days, an open and a past incident."""
    now = clock.now()
    for number, (key, title, position) in enumerate(PARTS):
        StatusComponent.objects.create(key=key, title=title, position=position)
        for ago in range(80 if key == "billing" else 90):
            bad = 17 if (ago + number * 7) % 31 == 5 else 0
            worse = 4 if (ago + number) % 43 == 11 else 0
            gap = 300 if ago % 29 == 12 else 0
            ComponentDay.objects.create(
                component_id=key, day=now.date() - timedelta(days=ago), up=1440 - bad - worse - gap,
                degraded=bad, down=worse, good=9_995, total=10_000,
            )  # fmt: skip
        ComponentMinute.objects.create(
            component_id=key, minute_at=now.replace(second=0, microsecond=0),
            health="down" if key == "sync.kraken" else "up",
        )  # fmt: skip
    _incident("Kraken answers nobody", "major", now - timedelta(hours=2), "identified")
    _incident("Prices came late", "minor", now - timedelta(days=3), "resolved")
    Incident.objects.create(
        title="Larger machines", impact="maintenance", started_at=now + timedelta(days=2)
    )
    status_copy.publish(now=now)
    pages.forget()
    yield
    pages.forget()


def _incident(title: str, impact: str, began: datetime, state: str) -> None:
    row = Incident.objects.create(title=title, impact=impact, started_at=began.astimezone(UTC))
    row.components.set(StatusComponent.objects.filter(key="sync.kraken"))
    for after, said, text in (
        (10, "investigating", "We look into it. Your data is safe; it is only not read anew."),
        (40, state, "The exchange has announced maintenance that lasts longer than planned."),
    ):
        IncidentUpdate.objects.create(
            incident=row, state=said, text=text, created_at=began + timedelta(minutes=after)
        )
    incidents.settle(incident_id=row.id, now=began)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_status_page_is_read_on_phone_and_desktop(troubled, live_server, scheme, width):
    with browser.browsing(
        live_server.url, java_script_enabled=False, color_scheme=scheme,
        viewport={"width": width, "height": 800},
    ) as page:  # fmt: skip
        page.goto("/status")
        page.get_by_role("heading", name="Status", exact=True).wait_for()
        assert page.get_by_text("Some parts do not work. We know of it; see below.").is_visible()
        assert page.get_by_role("img", name="Kraken, last 90 days").is_visible()
        assert page.get_by_text("Does not work", exact=True).is_visible()
        assert page.get_by_role("heading", name="Kraken answers nobody").is_visible()
        planned = page.get_by_role("region", name="What is planned")
        assert planned.get_by_role("heading", name="Larger machines").is_visible()
        api = page.get_by_role("article", name="API", exact=True)
        api.get_by_text("Days with disturbances or gaps").click()
        gaps = api.get_by_role("listitem").filter(has_text="works, 300 min not measured")
        assert gaps.first.is_visible()
        # JavaScript is off on the page; the driver may still measure it.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        folder = os.environ.get("STATUS_SCREENSHOTS")
        if folder:
            page.screenshot(path=Path(folder) / f"status-{width}-{scheme}.png", full_page=True)
