"""A person reads what was done with their account, and nothing of anybody else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from audit import activity, log
from audit.actions import Action
from audit.models import ActivityLog
from audit.sentences import SENTENCES
from tests import factories
from tracker import ids, tenancy

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_request() -> None:
    """What the thread's last request left would name its address."""
    structlog.contextvars.clear_contextvars()


def listed(api: Any, path: str = "/me/activity") -> list[dict[str, Any]]:
    """What is shown besides the signing in of the test's own client."""
    rows = api.get(path).json()["results"]
    return [row for row in rows if row["action"] != Action.USER_SIGNED_IN]


@pytest.fixture
def ann(db):
    return factories.person("ann@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


def acts(user: Any, count: int) -> list[str]:
    """So many acts, one a minute; their ids, newest first."""
    rows = [
        ActivityLog(
            user_id=user.id, action=Action.SYNC_REQUESTED, created_at=NOON + timedelta(minutes=n),
            ip_address="203.0.113.7", details={"secret": "not for the app"},
        )
        for n in range(count)
    ]  # fmt: skip
    with tenancy.as_user(user.id):
        ActivityLog.objects.bulk_create(rows)
    return [str(row.id) for row in reversed(rows)]


def test_every_act_has_a_sentence():
    assert set(SENTENCES) == set(Action)
    assert all(text[0].isupper() and text.endswith(".") for text in SENTENCES.values())


def test_an_act_is_shown_with_its_sentence_and_its_place(client_of, ann):
    session = ids.new_id()
    with tenancy.as_user(ann.id):
        log.record(
            Action.PASSWORD_CHANGED, user_id=ann.id, ip_address="203.0.113.7", session_id=session
        )
    (shown,) = listed(client_of(ann))
    with tenancy.as_user(ann.id):
        assert ActivityLog.objects.filter(id=shown.pop("id")).exists()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "action": "user.password_changed", "text": "The password was changed.", "outcome": "ok",
        "by": "you", "ip_address": "203.0.113.7", "session_id": str(session),
    }  # fmt: skip


def test_nobody_sees_the_activity_of_another_person(client_of, ann, bob):
    """S14: neither theirs nor the system's."""
    acts(ann, 3)
    with tenancy.as_system("test"):
        log.record(Action.KEYS_ROTATED, user_id=None)
    assert listed(client_of(bob)) == []
    assert client_of().get("/me/activity").status_code == 401


def test_support_is_named_as_support_and_no_further(client_of, ann, bob):
    with tenancy.as_system("test"):
        log.record(
            Action.STAFF_ACTED, user_id=ann.id, actor_id=bob.id, ip_address="198.51.100.9",
            session_id=bob.id,
        )  # fmt: skip
    api = client_of(ann)
    (shown,) = listed(api)
    answer = api.get("/me/activity")
    assert (shown["by"], shown["ip_address"], shown["session_id"]) == ("support", None, None)
    assert str(bob.id) not in answer.content.decode()
    assert "198.51.100.9" not in answer.content.decode()


@pytest.mark.parametrize(("action", "address", "by"), [
    (Action.SYNC_FINISHED, None, "system"),
    (Action.SYNC_FINISHED, "203.0.113.7", "you"),
    (Action.ALERT_RAISED, "203.0.113.7", "system"),
    (Action.USER_SIGN_IN_FAILED, "203.0.113.7", "unknown"),
    (Action.PASSWORD_CHANGED, "203.0.113.7", "you"),
])  # fmt: skip
def test_who_it_was(ann, action, address, by):
    with tenancy.as_user(ann.id):
        log.record(action, user_id=ann.id, ip_address=address)
        (act,) = activity.acts_of(ann.id)
    assert activity.shown(act)["by"] == by


def test_pages_follow_each_other_newest_first(client_of, ann):
    expected = acts(ann, 5)
    api = client_of(ann)
    answer = api.get("/me/activity?page_size=2").json()
    seen = [row["id"] for row in answer["results"]]
    while answer["next"]:
        answer = api.get(answer["next"].replace("http://testserver", "")).json()
        seen += [row["id"] for row in answer["results"]]
    assert seen[1:] == expected  # the newest is the signing in of the client
    assert "not for the app" not in str(answer)


def test_an_unchanged_list_is_not_sent_again(client_of, ann):
    acts(ann, 1)
    api = client_of(ann)
    etag = api.get("/me/activity").headers["ETag"]
    again = api.get("/me/activity", **{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("query", ["?cursor=x", "?cursor=cD0yMDI2LTAyLTMw", "?page_size=x"])
def test_wrong_paging_is_no_server_error(client_of, ann, query):
    acts(ann, 2)
    assert client_of(ann).get(f"/me/activity{query}").status_code in (200, 400, 404)


def test_a_name_of_another_time_is_shown_as_it_is(client_of, ann):
    with tenancy.as_user(ann.id):
        ActivityLog.objects.bulk_create([ActivityLog(user_id=ann.id, action="old.name")])
    assert [row["text"] for row in listed(client_of(ann))] == ["old.name."]
