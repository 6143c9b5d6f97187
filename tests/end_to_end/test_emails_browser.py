"""Every e-mail in a real browser: on a phone and on a desk, by day and by night.

Needs Debian's Chromium (`apt-get install chromium`); without it the tests say so and are skipped.
Pictures of each are in the test's own folder; ``PAGES_SCREENSHOTS`` names another one.
"""

import base64
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from accounts import charts, limits, messages
from accounts.events import Event
from accounts.models import Delivery, User
from accounts.notifications import notify
from tests import browser, factories
from tracker import ids, tenancy

pytestmark = browser.needed
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LONG = "Unbroken" * 30
WEEK = {
    "week_from": "2026-11-23", "week_until": "2026-11-30", "total": "12,345.67 USD",
    "total_before": "11,900.00 USD", "change": "+445.67 USD", "change_percent": "+3.75 %",
    "twr": "+3.61 %", "gains": "+120.00 USD", "partial": True, "stale": False, "problems": 2,
    "movers": [{"code": "BTC", "change": "+5.20 %"}, {"code": "ETH", "change": "−3.10 %"}],
    "days": [
        {"day": f"2026-11-{day}", "value": str(value), "shown": f"{value:,}.00 USD",
         "partial": day == 29}
        for day, value in zip(range(23, 31), (11900, 11850, 12010, 12100, 12020, 12200, 12180,
                                              12346), strict=True)
    ],
}  # fmt: skip
SHORT: dict[str, Any] = WEEK | {
    "new_masked": "n…w@example.com", "what": "totp_added", "kind": "account.strange_sign_in",
    "severity": "medium", "closes_at": NOW, "ends_at": NOW, "expires_at": NOW, "at": NOW,
    "name": "script", "title": "BTC is above 100,000 USD", "value": "100,012.50 USD",
    "note": "Sell half of it?", "strategy": "Crossing", "code": "BTC", "action": "buy",
    "price": "100,012.50 USD", "contents": "trades of 2026", "format": "csv", "rows": 1200,
    "reason": "The disk is full.", "outcome": "done", "total_return": "+12.30 %",
    "host": "hooks.example.com", "exchange": "Kraken", "label": "Savings", "plan": "Pro",
    "before": "Free", "grew": True, "why": "refunded", "percent": 80, "calls": "8,000",
    "reference": "SR-7F3K2M", "subject": "Trades are missing", "category": "the app",
    "closed_by": "time", "silent_days": 14, "reopening_days": 14,
    "included": "10,000", "goes_on": True, "export_id": "01a22dd5-9f39-74cb-9e3f-9a0b135d916a",
}  # fmt: skip
PERSONAL = ("subject", "name", "title", "note", "strategy", "label", "reason", "value", "contents",
            "host", "exchange")  # fmt: skip
LENGTHY = SHORT | dict.fromkeys(PERSONAL, LONG)
# Texts whose contrast with what is behind them is less than WCAG 2.2 asks for (1.4.3, level AA).
FAINT = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const rgb = channels(getComputedStyle(e).backgroundColor);
      if (rgb.length === 3 || rgb[3] > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || element.closest("style")) continue;
    const own = channels(getComputedStyle(element).color);
    const [a, b] = [luminance(own), luminance(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (ratio < 4.5 || size < 12) found.push([text, ratio, size]);
  }
  return found;
}"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", time_zone="Europe/Zurich")


def shown(message: messages.Message) -> str:
    """The HTML with its pictures in place, as a mail program shows it."""
    html = message.html
    for name, png in message.images.items():
        html = html.replace(
            f"cid:{name}", "data:image/png;base64," + base64.b64encode(png).decode()
        )
    return html


def written(user: User, facts: dict[str, Any]) -> dict[str, str]:
    """Each event's e-mail, and one that stands for several."""
    found = {}
    facts = facts | {"export_id": str(factories.ready_file(user).id)}
    answer = factories.support_answer(user, f"Hello,\n\nlike {facts['name']}.\nGood luck!")
    facts["support_message_id"] = str(answer.id)
    with tenancy.as_user(user.id):
        for event in Event:
            given = {k: v for k, v in facts.items() if k != "link"}
            row = Delivery(user=user, event=event, channel="email")
            row.parameters = {
                k: v.isoformat() if isinstance(v, datetime) else v for k, v in given.items()
            }
            message = messages.write(row, now=NOW)
            if "link" not in facts and event.value in ("confirm_email", "password_reset"):
                link = f"https://example.com/confirm?token={LONG}"
                message = messages.render(event, user=user, facts=facts | {"link": link})
            found[event.value] = shown(message)
        found["gathered"] = shown(gathered(user, facts))
    return found


def gathered(user: User, facts: dict[str, Any]) -> messages.Message:
    most = limits.MOST[limits.Urgency.ALERT]["email"]
    for number in range(most + 7):
        notify(
            user_id=user.id, event=Event.PRICE_ALERT, dedupe=f"{ids.new_id()}", now=NOW,
            title=f"{number} {facts['title']}", value="1 USD",
        )  # fmt: skip
    rows = Delivery.objects.filter(channel="email", state="waiting").select_related("user")
    [row] = [row for row in rows if limits.is_gathering(row)]
    return messages.write(row, now=NOW)


@pytest.mark.parametrize("facts", [SHORT, LENGTHY], ids=["as_usual", "as_long_as_it_gets"])
@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (360, "dark"), (1000, "light"), (1000, "dark")]
)
def test_every_email_fits_and_can_be_read(alice, tmp_path, width, scheme, facts):
    mails = written(alice, facts)
    folder = Path(os.environ.get("PAGES_SCREENSHOTS") or tmp_path)
    kind = "long" if facts is LENGTHY else "short"
    problems = {}
    with browser.browsing(
        "about:", color_scheme=scheme, viewport={"width": width, "height": 700}
    ) as page:
        for name, html in mails.items():
            page.set_content(html)
            found = [page.evaluate(WIDER) or None, page.evaluate(FAINT) or None]
            if any(found):
                problems[name] = found
            page.screenshot(path=folder / f"{name}-{kind}-{width}-{scheme}.png", full_page=True)
    assert not problems
    assert len(list(folder.glob(f"*-{kind}-{width}-{scheme}.png"))) == len(Event) + 1


def test_the_check_notices_what_is_too_wide_and_what_is_faint(db):
    with browser.browsing("about:", viewport={"width": 360, "height": 700}) as page:
        page.set_content("<body style='background:#fff'><p style='width:500px;color:#999'>x</p>")
        assert page.evaluate(WIDER) > 100
        [[text, ratio, _]] = page.evaluate(FAINT)
    assert (text, round(ratio, 2)) == ("x", 2.85)


def test_the_picture_of_the_week_is_seen(alice, tmp_path):
    with tenancy.as_user(alice.id):
        row = Delivery(user=alice, event=Event.WEEKLY_SUMMARY, channel="email", parameters=WEEK)
        html = shown(messages.write(row, now=NOW))
    with browser.browsing("about:", viewport={"width": 360, "height": 700}) as page:
        page.set_content(html)
        image = page.get_by_role("img")
        assert image.evaluate("i => i.complete && i.naturalWidth") == charts.WIDTH
        assert "Mon 11,900.00 USD" in image.get_attribute("alt")
        assert image.bounding_box()["width"] <= 360
