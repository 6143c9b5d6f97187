"""The support desk in a real browser, light and dark: the front page, search, a person's page.

Needs Debian's Chromium (`apt-get install chromium`); without it the tests say so and are skipped.
``ADMIN_SCREENSHOTS`` names a folder for pictures of each step.
"""

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.urls import reverse

from accounts.models import Delivery, User
from audit import status_copy
from audit.models import (
    ComponentDay,
    ComponentMinute,
    DrillResult,
    SecurityAlert,
    StatusComponent,
    UserMetric,
)
from billing.models import Subscription
from exchanges.models import ExchangeConnection, QuarantinedPage
from portfolios.models import PortfolioSnapshot, SyncRun
from tests import browser, factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, ids, tenancy

pytestmark = browser.needed
TROUBLES = [("binance", "exchange_timeout", 9), ("kraken", "exchange_key_rejected", 4)]


@pytest.fixture
def staff(transactional_db) -> User:
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def alice(staff) -> User:
    """Somebody with something of everything, a value that moved, and troubles at two exchanges."""
    person = factories.person("alice@example.com", subscription_tier="pro")
    factories.something_everywhere(person)
    now = clock.now()
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(user=person).update(
            state="partial", reason="exchange_timeout", failures=2, last_synced_at=now,
            last_complete_at=now - timedelta(days=3), next_sync_at=now,
        )  # fmt: skip
        PortfolioSnapshot.objects.filter(user=person).delete()
        PortfolioSnapshot.objects.bulk_create(
            PortfolioSnapshot(
                id=ids.new_id(), user=person, taken_at=now - timedelta(days=ago),
                total_value=Decimal(10_000 + (ago * 7919) % 1300 - ago * 20), currency="USD",
                status="complete", snapshot_data={},
            )
            for ago in range(min(now.day, 28)) if ago not in (4, 5)
        )  # fmt: skip
        _troubles(person)
    _service()
    return person


def _troubles(person: User) -> None:
    now = clock.now()
    for name, error, times in TROUBLES:
        factories.exchange(name)
        account, _ = ExchangeConnection.objects.get_or_create(
            user=person, exchange_id=name, label="main", defaults={"state": "ok"}
        )
        SyncRun.objects.bulk_create(
            SyncRun(user=person, connection=account, trigger="schedule", state="failed",
                    error=error, finished_at=now) for _ in range(times)
        )  # fmt: skip
        QuarantinedPage.objects.create(
            user=person, connection=account, feed="dust", reason="not_json", payload=b"sealed",
            payload_digest=b"d" * 32,
        )  # fmt: skip
    for number in range(4):
        Delivery.objects.create(
            user=person, event="weekly_summary", channel="email", dedupe_key=f"w{number}",
            state="failed" if number == 3 else "sent", sent_at=now, error="",
        )  # fmt: skip
        SecurityAlert.objects.create(
            user=person, kind="account.guessing", severity="high" if number == 1 else "low",
            dedupe_key=f"a{number}",
        )  # fmt: skip
    Subscription.objects.filter(user=person).update(
        status="active", started_at=now - timedelta(days=12), ended_at=None, currency="usd"
    )
    for ago in range(14):
        UserMetric.objects.get_or_create(
            user=person, date=now.date() - timedelta(days=ago),
            defaults={"daily_active": ago % 4 != 1, "session_duration": timedelta(minutes=4)},
        )  # fmt: skip
    DrillResult.objects.create(
        ran_at=now - timedelta(days=120), ok=True, backup="daily", seconds=12, steps=[]
    )


def _service() -> None:
    now = clock.now()
    for place, (key, title) in enumerate((("api", "API"), ("sync.kraken", "Kraken"))):
        part = StatusComponent.objects.create(key=key, title=title, position=place)
        for ago in range(30):
            ComponentDay.objects.create(
                component=part, day=now.date() - timedelta(days=ago), up=1400,
                degraded=(ago * 5) % 17, down=ago % 3, good=9_996, total=10_000,
            )  # fmt: skip
        ComponentMinute.objects.create(
            component=part, minute_at=now.replace(second=0, microsecond=0),
            health="degraded" if place else "up",
        )  # fmt: skip
    status_copy.publish(now=now)


def picture(page, name: str) -> None:
    folder = os.environ.get("ADMIN_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def cookie_of(staff: User, url: str) -> dict[str, str]:
    """The session of somebody who has shown both factors."""
    name = configured.SESSION_COOKIE_NAME
    return {"name": name, "value": signed_in(staff).cookies[name].value, "url": url}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_desk_is_readable_on_phone_and_desktop(alice, staff, live_server, scheme, width):
    cookie = cookie_of(staff, live_server.url)
    with browser.browsing(
        live_server.url, color_scheme=scheme, viewport={"width": width, "height": 900}
    ) as page:
        page.context.add_cookies([cookie])
        page.goto(reverse("admin:index"))
        page.get_by_role("heading", name="Failed syncs").wait_for()
        fails = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Backups"))
        assert "Act now" in fails.inner_text()
        assert page.get_by_role("img", name="Recurring revenue in US dollars").is_visible()
        _fits(page)
        picture(page, f"20-home-{width}-{scheme}")
        page.get_by_role("searchbox", name="Find a person").fill("ALICE@example.com")
        page.get_by_role("button", name="Find").click()
        page.get_by_role("heading", name="Identity and plan").wait_for()
        assert page.get_by_role("img", name="Portfolio value in USD").is_visible()
        accounts = page.get_by_role("table", name="Connections")
        assert "exchange timeout" in accounts.inner_text()
        _fits(page)
        picture(page, f"21-person-{width}-{scheme}")
        page.get_by_role("searchbox", name="Find a person").fill("nobody@example.com")
        page.get_by_role("button", name="Find").click()
        page.get_by_text("Nobody was found for").wait_for()
        _fits(page)
        picture(page, f"22-find-{width}-{scheme}")
        page.goto(reverse("admin:audit_usermetric_charts"))
        page.get_by_role("img", name="Daily, weekly and monthly active people").wait_for()
        _fits(page)
        picture(page, f"23-metrics-{width}-{scheme}")
        page.goto(reverse("admin:billing_revenue"))
        page.get_by_role("img", name="Monthly recurring revenue by day").wait_for()
        _fits(page)
        picture(page, f"24-revenue-{width}-{scheme}")


def _fits(page) -> None:
    """Nothing makes the page itself wider than the window; wide tables scroll by themselves."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
