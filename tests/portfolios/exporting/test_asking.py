"""Asking for files, looking at them, and fetching them: whose they are and how much is too much."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import time_machine

from accounts import api_keys, messages
from accounts.messages import Outdated
from accounts.models import Delivery, Session, User
from accounts.notifications import Event
from audit.actions import Action
from audit.models import ActivityLog
from portfolios import tasks
from portfolios.exporting import asking, links
from portfolios.models import FileExport
from tests import factories
from tests.conftest import PASSWORD
from tests.portfolios.exporting.made import Exports, fetched, opened, rows_of
from tracker import clock, ids, tenancy


@pytest.fixture
def ready(transactional_db, alice, exports):
    """A finished file of Alice's, as she sees it."""
    factories.something_everywhere(alice)
    return exports(alice).made("trades")


def code(answer):
    return answer.status_code, answer.json()["code"]


# --- wrong input --------------------------------------------------------------------------------
FIT = {"contents": ["trades"], "format": "csv"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contents": ["passwords"]}, "contents.0"),
        ({"contents": []}, "contents"),
        ({"contents": "trades"}, "contents"),
        ({"contents": ["trades"] * 9}, "contents"),
        ({"contents": [["trades"]]}, "contents.0"),
        ({"contents": None}, "contents"),
        ({"format": "pdf"}, "format"),
        ({"format": {"csv": 1}}, "format"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"until": "2026-01-01"}, "until"),
        ({"since": "yesterday"}, "since"),
        ({"since": "9999-12-31T23:59:59-14:00"}, "since"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "until"),
        ({"since": 1e300}, "since"),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"since": "2026-01-01T01:00:00+01:00", "until": "2025-12-31T23:00:00Z"}, "until"),
        ({"user": "somebody"}, "user"),
        ({"state": "ready"}, "state"),
        ({"file_name": "exports/other.zip"}, "file_name"),
    ],
    ids=str,
)
def test_wrong_input_is_named_and_nothing_is_begun(client_of, alice, change, field):
    answer = client_of(alice).post("/exports", FIT | change)
    assert code(answer) == (400, "invalid_input")
    names = [row["field"] for row in answer.json()["details"]["fields"]]
    assert names[0].startswith(field.removesuffix(".0"))
    with tenancy.as_user(alice.id):
        assert not FileExport.objects.exists()


def test_what_is_missing_is_named(client_of, alice):
    fields = client_of(alice).post("/exports", {}).json()["details"]["fields"]
    assert {row["field"] for row in fields} == {"contents", "format"}


def test_everything_beside_others_is_everything_and_twice_is_once(alice, exports):
    hers = exports(alice)
    assert hers.asked("trades", "everything")["contents"] == ["everything"]
    assert hers.asked("ledger", "trades", "ledger")["contents"] == ["trades", "ledger"]


def test_sent_again_with_its_key_it_is_asked_for_once(client_of, alice):
    """S57"""
    api = client_of(alice)
    first, again = (api.post("/exports", FIT, **{"Idempotency-Key": "a" * 8}) for _ in range(2))
    assert (first.status_code, first.json()) == (202, again.json())
    with tenancy.as_user(alice.id):
        assert FileExport.objects.count() == 1


def test_nobody_has_more_than_a_few_made_at_a_time(client_of, alice, exports):
    hers = exports(alice)
    asked = [hers.asked("trades") for _ in range(asking.MOST_OPEN)]
    assert code(hers.api.post("/exports", FIT)) == (409, "too_many_files_open")
    hers.api.post(f"/exports/{asked[0]['id']}/cancel")
    assert hers.api.post("/exports", FIT).status_code == 202


def test_nobody_keeps_more_than_so_many(client_of, alice, exports):
    later = clock.now() + timedelta(days=1)
    for _ in range(asking.MOST_KEPT):
        row = factories.file_export(alice, state="ready", expires_at=later)
    hers = exports(alice)
    assert code(hers.api.post("/exports", FIT)) == (409, "too_many_files_kept")
    assert hers.api.delete(f"/exports/{row.id}").status_code == 204
    assert hers.api.post("/exports", FIT).status_code == 202


# --- looking ------------------------------------------------------------------------------------
def test_the_list_is_newest_first_and_paged(client_of, alice):
    now = clock.now()
    rows = [
        factories.file_export(alice, state="failed", requested_at=now + timedelta(seconds=number))
        for number in range(3)
    ]
    api = client_of(alice)
    first = api.get("/exports?page_size=2").json()
    assert [row["id"] for row in first["results"]] == [str(rows[2].id), str(rows[1].id)]
    parts = urlsplit(first["next"])
    rest = api.get(f"{parts.path}?{parts.query}").json()
    assert [row["id"] for row in rest["results"]] == [str(rows[0].id)]
    assert code(api.get("/exports?state=ready")) == (400, "invalid_input")
    assert code(api.get("/exports?cursor=nonsense"))[0] == 404


def test_asking_how_far_it_is_does_not_count_and_asking_for_one_does(client_of, alice, settings):
    api = client_of(alice)
    asked = api.post("/exports", FIT)
    assert "RateLimit" in asked.headers
    for path in ("/exports", f"/exports/{asked.json()['id']}"):
        assert "RateLimit" not in api.get(path).headers


def test_what_did_not_change_is_not_sent_again(client_of, alice, ready):
    later = (clock.now() + timedelta(hours=1)).replace(minute=5)
    with time_machine.travel(later, tick=False):
        api = client_of(alice)
        answer = api.get(f"/exports/{ready['id']}")
    with time_machine.travel(later + timedelta(minutes=10), tick=False):
        again = api.get(f"/exports/{ready['id']}", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


# --- whose they are -----------------------------------------------------------------------------
def test_charlie_sees_nothing_and_bob_gets_his_own(alice, bob, charlie, ready, exports, client_of):
    """S14"""
    factories.connection(bob, label="his")
    factories.something_everywhere(bob)
    his, hers = exports(bob).zip("everything"), opened(fetched(ready["url"]))
    assert exports(charlie).rows("trades") == []
    assert client_of(charlie).get(f"/exports/{ready['id']}").status_code == 404
    assert client_of(bob).delete(f"/exports/{ready['id']}").status_code == 404
    assert [row["id"] for row in client_of(charlie).get("/exports").json()["results"]
            if row["id"] == ready["id"]] == []  # fmt: skip
    mine = {row["id"] for row in rows_of(hers, "trades", "csv")}
    assert mine
    assert not mine & {row["id"] for row in rows_of(his, "trades", "csv")}
    assert str(alice.id).encode() not in b"".join(his.read(name) for name in his.namelist())


def test_the_link_of_one_does_not_open_the_file_of_another(alice, bob, ready, exports):
    """S14: a link names its person, and both are signed."""
    theirs = exports(bob).made("trades")
    until = clock.now() + timedelta(hours=1)
    crossed = links.url(user_id=bob.id, export_id=UUID(ready["id"]), until=until)
    assert fetched(crossed).status_code == 404
    assert opened(fetched(theirs["url"])).namelist()


# --- the link -----------------------------------------------------------------------------------
def token_of(url):
    return parse_qs(urlsplit(url).query)["token"][0]


def test_a_link_opens_the_file_without_signing_in_and_is_logged(alice, ready):
    answer = fetched(ready["url"])
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Cache-Control"] == "no-store, private"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert ready["file_name"] in answer.headers["Content-Disposition"]
    assert ready["file_name"].startswith("trades-")
    assert len(b"".join(answer.streaming_content)) == ready["bytes"]
    with tenancy.as_user(alice.id):
        act = ActivityLog.objects.get(action=Action.FILE_DOWNLOADED)
    assert act.details == {"export_id": ready["id"]}


def test_a_token_of_which_a_letter_was_changed_opens_nothing(ready):
    token = token_of(ready["url"])
    for place in (0, 10, 40, 66, 74, len(token) - 3):
        letter = "a" if token[place] != "a" else "b"
        changed = token[:place] + letter + token[place + 1 :]
        assert fetched(f"/files?token={changed}").status_code == 404, place


@pytest.mark.parametrize("token", ["", ".", "x" * 5000, "%00", "ü", "a.b.c", "0" * 74 + ".sig"])
def test_a_token_that_is_none_opens_nothing(db, token):
    assert fetched(f"/files?token={token}").status_code == 404


def test_a_link_ends_before_the_file_does_and_the_app_gets_another(alice, ready, exports):
    with time_machine.travel(clock.now() + timedelta(hours=3)):
        assert fetched(ready["url"]).status_code == 410
        again = exports(alice).told(ready["id"])
        assert again["url"] != ready["url"]
        assert opened(fetched(again["url"]))


def test_a_link_is_void_once_its_person_is_deactivated(alice, ready):
    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(is_active=False)
    assert fetched(ready["url"]).status_code == 404


def test_a_link_is_void_once_the_file_is_removed(alice, ready, client_of, private_files):
    assert client_of(alice).delete(f"/exports/{ready['id']}").status_code == 204
    assert fetched(ready["url"]).status_code == 404
    assert not [path for path in private_files.rglob("*") if path.is_file()]
    assert client_of(alice).get(f"/exports/{ready['id']}").status_code == 404


def test_a_file_that_is_gone_from_the_storage_is_over(ready, private_files):
    (found,) = (path for path in private_files.rglob("*") if path.is_file())
    found.unlink()
    assert fetched(ready["url"]).status_code == 410


def test_the_e_mail_holds_a_link_as_long_as_the_file_is_kept(alice, ready):
    with tenancy.as_user(alice.id):
        delivery = Delivery.objects.get(event=Event.FILE_EXPORT_READY, channel="email")
        text = messages.write(delivery, now=clock.now()).text
    link = next(word for word in text.split() if "/files?token=" in word)
    assert "trades" in text
    with time_machine.travel(clock.now() + timedelta(days=6)):
        assert opened(fetched(link))
    with tenancy.as_user(alice.id):
        FileExport.objects.all().delete()
        with pytest.raises(Outdated):
            messages.write(delivery, now=clock.now())


# --- programs -----------------------------------------------------------------------------------
def test_a_key_with_the_scope_makes_and_reads_and_another_does_not(transactional_db, client_of):
    user = factories.person("program@example.com", subscription_tier="enterprise")
    answers = {}
    for scope in ("export", "read_trades"):
        key = api_keys.create(
            user=user, name=scope, scopes=[scope], days=1, session_id=None, now=clock.now()
        )
        api = client_of()
        api.headers["Authorization"] = f"Bearer {key.text}"
        answers[scope] = Exports(api, user), api.post("/exports", FIT)
    assert code(answers["read_trades"][1]) == (403, "scope_missing")
    theirs, asked = answers["export"]
    tasks.make_file_export(export_id=asked.json()["id"])
    assert opened(fetched(theirs.told(asked.json()["id"])["url"]))


def test_somebody_without_a_token_is_refused(client_of, db):
    assert client_of().post("/exports", FIT).status_code == 401
    assert client_of().get(f"/exports/{ids.new_id()}").status_code == 401


# --- proving oneself again ----------------------------------------------------------------------
def test_who_signed_in_long_ago_proves_themselves_before_data_leaves(alice, client_of):
    """S12"""
    factories.put_on_plan(alice, "enterprise")
    with tenancy.as_user(alice.id):
        alice.set_password(PASSWORD)
        alice.save(update_fields=["password"])
    api, key = client_of(alice), api_keys.create(
        user=alice, name="nightly", scopes=["export"], days=1, session_id=None, now=clock.now()
    )  # fmt: skip
    with tenancy.as_user(alice.id):
        Session.objects.filter(user=alice).update(
            authenticated_at=clock.now() - timedelta(minutes=16)
        )
    assert code(api.post("/exports", FIT)) == (403, "reauthentication_required")
    assert api.get("/exports").status_code == 200
    answer = api.post("/auth/reauthenticate", {"password": PASSWORD})
    assert answer.status_code in (200, 204), answer.content
    assert api.post("/exports", FIT).status_code == 202
    program = client_of()
    program.headers["Authorization"] = f"Bearer {key.text}"
    assert program.post("/exports", FIT).status_code == 202


def test_the_address_of_a_file_is_shown_to_who_proved_themselves(ready, alice, client_of):
    """S12: a stolen token of long ago sees that there is a file, and no way to it."""
    api = client_of(alice)
    assert api.get(f"/exports/{ready['id']}").json()["url"]
    with tenancy.as_user(alice.id):
        Session.objects.filter(user=alice).update(
            authenticated_at=clock.now() - timedelta(minutes=16)
        )
    shown = [api.get(f"/exports/{ready['id']}").json(), api.get("/exports").json()["results"][0]]
    assert [(one["state"], one["url"], one["url_expires_at"]) for one in shown] == [
        ("ready", None, None), ("ready", None, None),
    ]  # fmt: skip
