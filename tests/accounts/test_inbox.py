"""Notices in the app: what people were told, to be read later."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Delivery, User
from accounts.notifications import Event, notify
from tests import factories
from tracker import clock, ids, tenancy

NOW = clock.now().replace(microsecond=0)
PRICE = {
    "alert_id": ids.new_id(), "title": "BTC is above 100,000 USD", "value": "100,012.50 USD",
    "code": "BTC", "note": "sell <half>\nof it",
}  # fmt: skip


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", time_zone="Europe/Zurich")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


def told(user: User, event: Event = Event.PRICE_ALERT, *, at: Any = NOW, **more: Any) -> str:
    """The id of the notice that follows."""
    with tenancy.as_user(user.id):
        dedupe = str(ids.new_id())
        notify(user_id=user.id, event=event, dedupe=dedupe, now=at, **(PRICE | more))
        row = Delivery.objects.get(channel="live", dedupe_key=f"{event}:{dedupe}")
        return str(row.id)


def listed(api: Any, path: str = "/notifications") -> Any:
    answer = api.get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_notice_says_what_happened_and_what_it_is_about(client_of, alice):
    key = told(alice)
    assert listed(client_of(alice)) == {
        "next": None, "previous": None, "unread": 1,
        "results": [{
            "id": key, "event": "price_alert", "title": "BTC is above 100,000 USD",
            "text": "Now: 100,012.50 USD. Your note: sell <half> of it",
            "at": NOW.isoformat().replace("+00:00", "Z"), "read_at": None,
            "data": {"alert_id": str(PRICE["alert_id"])},
        }],
    }  # fmt: skip


@pytest.mark.parametrize("event", [e for e in Event if e.value not in (
    "confirm_email", "already_registered", "welcome", "confirm_new_email", "password_reset",
    "account_closed", "support_opened")])  # fmt: skip
def test_every_event_that_is_shown_in_the_app_has_a_title_and_a_sentence(client_of, alice, event):
    facts = {"kind": "account.strange_sign_in", "what": "totp_added", "days": [],
             "closes_at": NOW, "ends_at": NOW, "expires_at": NOW, "at": NOW, "name": "script",
             "reason": "It did not answer.", "strategy": "Crossing", "contents": "trades",
             "new_masked": "n…w@example.com", "host": "example.com", "price": "1 USD",
             "reference": "SR-7F3K2M", "subject": "A question", "reopening_days": 14}  # fmt: skip
    told(alice, event, **facts)
    [notice] = listed(client_of(alice))["results"]
    assert notice["title"]
    assert len(notice["text"]) > 5
    assert "{" not in notice["title"] + notice["text"]


def test_links_and_lost_passwords_are_no_notices(client_of, alice):
    with tenancy.as_user(alice.id):
        notify(user_id=alice.id, event=Event.PASSWORD_RESET, dedupe="a", now=NOW, link_id="x")
    assert listed(client_of(alice))["results"] == []


def test_notices_come_newest_first_page_by_page_also_while_new_ones_arrive(client_of, alice):
    keys = [told(alice, at=NOW - timedelta(minutes=minutes)) for minutes in (5, 4, 4, 1)]
    first = listed(client_of(alice), "/notifications?page_size=2")
    told(alice)
    cursor = first["next"].partition("?")[2]
    second = listed(client_of(alice), f"/notifications?{cursor}")
    assert [row["id"] for row in first["results"] + second["results"]] == keys[::-1]
    assert (first["unread"], second["unread"], second["next"]) == (4, 5, None)


def test_what_was_read_stays_read_and_keeps_its_time(client_of, alice):
    api = client_of(alice)
    one, other = told(alice), told(alice)
    assert api.post("/notifications/read", {"ids": [one]}).json() == {"unread": 1}
    before = {row["id"]: row["read_at"] for row in listed(api)["results"]}
    assert before[one] is not None
    assert before[other] is None
    assert api.post("/notifications/read", {"ids": [one, other]}).json() == {"unread": 0}
    assert {row["id"]: row["read_at"] for row in listed(api)["results"]}[one] == before[one]


def test_everything_up_to_an_instant_can_be_read_at_once(client_of, alice):
    told(alice, at=NOW - timedelta(hours=2)), told(alice, at=NOW - timedelta(hours=1))
    newest = told(alice)
    until = (NOW - timedelta(hours=1)).isoformat()
    api = client_of(alice)
    assert api.post("/notifications/read", {"until": until}).json() == {"unread": 1}
    assert [row["id"] for row in listed(api)["results"] if not row["read_at"]] == [newest]


def test_a_notice_is_of_one_person_alone(client_of, alice, bob):
    key = told(alice)
    assert listed(client_of(bob)) == {"next": None, "previous": None, "unread": 0, "results": []}
    assert client_of(bob).post("/notifications/read", {"ids": [key]}).json() == {"unread": 0}
    assert listed(client_of(alice))["unread"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["x"]},
        {"ids": "all"},
        {"until": "yesterday"},
        {"until": None},
        {"ids": [str(ids.new_id())], "until": "2026-01-01T00:00:00Z"},
        {"ids": [str(ids.new_id())] * 201},
        {"ids": [str(ids.new_id())], "user": "x"},
    ],
)
def test_what_cannot_be_read_is_refused(client_of, alice, body):
    """S18"""
    answer = client_of(alice).post("/notifications/read", body)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"]


@pytest.mark.parametrize("query", ["page=2", "cursor=nonsense", "event=price_alert"])
def test_a_list_that_does_not_exist_is_refused(client_of, alice, query):
    assert client_of(alice).get(f"/notifications?{query}").status_code in (400, 404)


def test_who_is_not_signed_in_reads_nothing(client_of, alice):
    assert client_of().get("/notifications").status_code == 401
    assert client_of().post("/notifications/read", {"ids": [told(alice)]}).status_code == 401
