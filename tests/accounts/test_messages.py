"""What rooms above and people themselves put into messages."""

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts import messages
from accounts.events import Event
from accounts.models import Delivery, User
from tracker import ids, tenancy

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
FILE = {"export_id": "e-1", "contents": "trades", "format": "csv", "rows": 3,
        "expires_at": "2026-12-07T12:00:00+00:00"}  # fmt: skip
ALERT = {"alert_id": "a-1", "title": "BTC is above 1 USD", "value": "2 USD", "code": "BTC",
         "note": ""}  # fmt: skip


@pytest.fixture
def makers(monkeypatch):
    """The registry of links, empty, as it is before a room above has said anything."""
    monkeypatch.setattr(messages, "_link_makers", {})


def written(event: Event, parameters: dict[str, Any]) -> messages.Message:
    user = User(email="alice@example.com", time_zone="Europe/Zurich")
    row = Delivery(id=ids.new_id(), user=user, event=event, parameters=parameters)
    with tenancy.as_user(user.id):
        return messages.write(row, now=NOW)


def test_a_room_above_makes_the_links_of_its_event_as_the_text_is_written(db, makers):
    asked = []

    def link(**facts: Any) -> str:
        asked.append(facts)
        return "https://api.example.com/files?token=a.b"

    messages.link_maker(Event.FILE_EXPORT_READY, link)
    message = written(Event.FILE_EXPORT_READY, FILE)
    assert "\n    https://api.example.com/files?token=a.b\n" in message.text
    assert 'href="https://api.example.com/files?token=a.b"' in message.html
    [facts] = asked
    assert (facts["parameters"]["export_id"], facts["now"]) == ("e-1", NOW)
    assert "/files" not in written(Event.FILE_EXPORT_FAILED, FILE | {"reason": "x"}).text


def test_without_one_the_text_says_to_open_the_app(db, makers):
    message = written(Event.FILE_EXPORT_READY, FILE)
    assert "Open the app and choose “Exports”" in message.text
    assert "7 December 2026, 13:00 (Europe/Zurich)" in message.text
    assert 'href=""' not in message.html


def test_a_link_that_leads_nowhere_any_more_is_not_mailed(db, makers):
    def gone(**_: Any) -> str:
        raise messages.Outdated

    messages.link_maker(Event.FILE_EXPORT_READY, gone)
    with pytest.raises(messages.Outdated):
        written(Event.FILE_EXPORT_READY, FILE)


def test_what_people_wrote_cannot_add_lines_headers_or_markup(db):
    evil = "x\r\nBcc: everybody@example.com\n\n<script>alert(1)</script>\u2028\x07"
    message = written(Event.PRICE_ALERT, ALERT | {"title": evil, "note": evil})
    assert message.subject == "x Bcc: everybody@example.com <script>alert(1)</script>"
    assert "\nBcc:" not in message.text
    assert "<script" not in message.html
    assert "&lt;script&gt;" in message.html


def test_what_people_wrote_is_cut_where_it_is_long(db):
    message = written(Event.PRICE_ALERT, ALERT | {"note": "n" * 10_000})
    assert len(message.text) < 1_500
    assert "n" * 299 + "…" in message.text
