"""Support requests as the app sees them: asking, reading, writing back, closing, rating."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts import messages
from accounts.helpdesk import answering, limits, references
from accounts.models import Delivery, SupportMessage, SupportRequest
from accounts.tasks import close_silent_requests
from audit.models import ActivityLog
from tests import factories, mail
from tracker import clock, tenancy

ASKED = {"category": "figures", "subject": "Total looks wrong", "text": "It says 0.\nWhy?"}
NOBODYS = "01900000-0000-7000-8000-000000000000"  # the same in every process of a parallel run
PATH = "/support/requests"


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def helper(db):
    return factories.person("helper@example.com", is_staff=True, is_superuser=True)


def opened(api: Any, **more: Any) -> dict[str, Any]:
    answer = api.post(PATH, ASKED | more)
    assert answer.status_code == 201, answer.content
    return answer.json()


def answered(staff: Any, key: str, text: str = "Try again.") -> SupportMessage:
    with tenancy.as_system("test"):
        version = SupportRequest.objects.get(id=key).version
        return answering.answer(
            request_id=key, text=text, version=version, actor_id=staff.id, now=clock.now()
        )


def changed(key: str, **fields: Any) -> None:
    with tenancy.as_system("test"):
        SupportRequest.objects.filter(id=key).update(**fields)


def ago(**span: float) -> Any:
    return clock.now() - timedelta(**span)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- asking -------------------------------------------------------------------------------------
def test_a_request_is_kept_with_its_reference_and_confirmed_by_e_mail(client_of, alice):
    made = opened(client_of(alice))
    assert re.fullmatch(r"SR-[2-9A-HJKMNP-Z]{6}", made["reference"])
    assert (made["state"], made["category"], made["subject"]) == (
        "open", "figures", "Total looks wrong")  # fmt: skip
    [message] = made["messages"]
    assert (message["by"], message["text"]) == ("you", "It says 0.\nWhy?")
    assert client_of(alice).get(f"{PATH}/{made['id']}").json() == made
    assert mail.written_to(alice) == [("support_opened", "")]
    with tenancy.as_user(alice.id):
        written = messages.write(Delivery.objects.get(), now=clock.now())
        assert ActivityLog.objects.filter(action="support.request.opened").count() == 1
    assert made["reference"] in written.subject
    assert "replies are not read" in written.text
    assert "Total looks wrong" in written.html


def test_asked_twice_with_one_key_is_one_request(client_of, alice):
    api, key = client_of(alice), {"Idempotency-Key": "0f0e0d0c-0b0a"}
    first, second = api.post(PATH, ASKED, **key), api.post(PATH, ASKED, **key)
    assert first.json() == second.json()
    assert len(api.get(PATH).json()["results"]) == 1


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("category", "weather", "invalid_choice"), ("category", None, "null"),
        ("subject", "", "blank"), ("subject", " \n\t ", "blank"),
        ("subject", "x" * 121, "max_length"),
        ("subject", "\u200b\u2060", "blank"), ("subject", ["x"], "invalid"),
        ("text", "", "blank"), ("text", "  \r\n ", "blank"), ("text", "\u202e\u200d", "blank"),
        ("text", "x" * 10_001, "max_length"), ("text", "x" * 100_000, "max_length"),
        ("text", {"a": 1}, "invalid"), ("connection_id", "x", "invalid"),
        ("connection_id", NOBODYS, "does_not_exist"),
        ("diagnostics", "x", "invalid"), ("diagnostics_consent", "perhaps", "invalid"),
        ("attachment", "x", "unknown_field"), ("state", "closed", "unknown_field"),
        ("assigned_to", NOBODYS, "unknown_field"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said_by_field(client_of, alice, field, value, code):
    answer = client_of(alice).post(PATH, ASKED | {field: value})
    assert refused(answer) == (400, "invalid_input")
    [row] = answer.json()["details"]["fields"]
    assert (row["field"], row["code"]) == (field, code)
    assert mail.written_to(alice) == []


def test_half_characters_and_nul_are_no_text(client_of, alice):
    for text in ("\\u0000", "\\ud800"):
        body = f'{{"category": "app", "subject": "x", "text": "{text}"}}'
        assert refused(client_of(alice).post(PATH, body)) == (400, "parse_error")


def test_what_turns_or_hides_text_is_not_kept(client_of, alice):
    subject = "Bill\u202egpj.exe\x07\r\nBcc: x"
    made = opened(client_of(alice), subject=subject, text="a\r\nb\x1b[31m👩\u200d💻\u2066c")
    assert made["subject"] == "Billgpj.exe Bcc: x"
    assert made["messages"][0]["text"] == "a\nb[31m👩\u200d💻c"


def test_the_connection_of_somebody_else_is_none(client_of, alice, bob):
    theirs = factories.connection(bob)
    answer = client_of(alice).post(PATH, ASKED | {"connection_id": str(theirs.id)})
    assert answer.json()["details"]["fields"][0]["code"] == "does_not_exist"
    mine = factories.connection(alice)
    assert opened(client_of(alice), connection_id=str(mine.id))["connection_id"] == str(mine.id)


def test_a_reference_that_is_taken_is_drawn_again_also_when_it_is_somebody_elses(
    client_of, alice, bob, monkeypatch
):
    drawn = iter([3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4])
    monkeypatch.setattr(
        references.secrets, "choice", lambda letters: letters[next(drawn)]
    )  # fmt: skip
    first, second = opened(client_of(alice)), opened(client_of(bob))
    assert (first["reference"], second["reference"]) == ("SR-555555", "SR-666666")


# --- limits -------------------------------------------------------------------------------------
def test_ten_may_be_open_and_closing_one_makes_room(client_of, alice, bob):
    api = client_of(alice)
    for _ in range(limits.MOST_OPEN):
        made = opened(api)
    assert refused(api.post(PATH, ASKED)) == (409, "too_many_support_requests")
    opened(client_of(bob))
    api.post(f"{PATH}/{made['id']}/close")
    opened(api)
    again = api.post(f"{PATH}/{made['id']}/messages", {"text": "Still."})
    assert refused(again) == (409, "too_many_support_requests")


def test_twenty_messages_an_hour_and_then_a_time_to_wait(client_of, alice):
    api = client_of(alice)
    made = opened(api)
    path = f"{PATH}/{made['id']}/messages"
    for _ in range(limits.MOST_AN_HOUR - 1):
        assert api.post(path, {"text": "more"}).status_code == 201
    for target, body in ((path, {"text": "more"}), (PATH, ASKED)):
        answer = api.post(target, body)
        assert refused(answer) == (429, "too_many_support_messages")
        assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    with tenancy.as_system("test"):
        SupportMessage.objects.update(created_at=ago(minutes=61))
    assert api.post(path, {"text": "more"}).status_code == 201


def test_a_thread_does_not_grow_without_end(client_of, alice):
    api = client_of(alice)
    made = opened(api)
    with tenancy.as_user(alice.id):
        row = {"user": alice, "request_id": made["id"], "text": "x", "kind": "person"}
        SupportMessage.objects.bulk_create([
            SupportMessage(**row, created_at=ago(days=1))
            for _ in range(limits.MOST_IN_THREAD - 1)
        ])  # fmt: skip
    answer = api.post(f"{PATH}/{made['id']}/messages", {"text": "more"})
    assert refused(answer) == (409, "support_thread_full")
    assert len(api.get(f"{PATH}/{made['id']}").json()["messages"]) == limits.MOST_IN_THREAD


# --- reading ------------------------------------------------------------------------------------
def test_the_list_comes_by_the_last_message_page_by_page_and_by_state(client_of, alice, helper):
    api = client_of(alice)
    first, second, third = (opened(api, subject=name)["id"] for name in ("a", "b", "c"))
    answered(helper, first)
    api.post(f"{PATH}/{second}/close")
    page = api.get(f"{PATH}?page_size=2").json()
    assert [row["subject"] for row in page["results"]] == ["a", "c"]
    assert "messages" not in page["results"][0]
    rest = api.get(page["next"].partition("testserver")[2]).json()
    assert [row["id"] for row in rest["results"]] == [second]
    for state, key in (("open", third), ("answered", first), ("closed", second)):
        [row] = api.get(f"{PATH}?state={state}").json()["results"]
        assert row["id"] == key


@pytest.mark.parametrize(
    "query", ["state=lost", "state=", "category=app", "cursor=x", "state=%00", "page=2"]
)
def test_a_question_that_is_none_is_refused(client_of, alice, query):
    assert client_of(alice).get(f"{PATH}?{query}").status_code in (400, 404)


def test_nobody_reads_or_touches_what_is_somebody_elses(client_of, alice, charlie):
    key, stranger = opened(client_of(alice))["id"], client_of(charlie)
    calls = [
        stranger.get(f"{PATH}/{key}"),
        stranger.post(f"{PATH}/{key}/messages", {"text": "x"}),
        stranger.post(f"{PATH}/{key}/close"),
        stranger.post(f"{PATH}/{key}/rating", {"rating": 1}),
    ]
    assert {refused(answer) for answer in calls} == {(404, "not_found")}
    assert stranger.get(PATH).json()["results"] == []
    assert client_of(alice).get(f"{PATH}/{key}").json()["state"] == "open"


def test_a_reference_opens_nothing_in_the_api(client_of, alice):
    made = opened(client_of(alice))
    assert client_of(alice).get(f"{PATH}/{made['reference']}").status_code == 404


def test_notes_of_staff_and_who_they_are_stay_with_them(client_of, alice, helper):
    api = client_of(alice)
    key = opened(api)["id"]
    with tenancy.as_system("test"):
        answering.note(
            request_id=key, text="Has asked before.", version=1, actor_id=helper.id,
            now=clock.now(),
        )  # fmt: skip
    answered(helper, key)
    body = api.get(f"{PATH}/{key}").content.decode()
    assert [row["by"] for row in api.get(f"{PATH}/{key}").json()["messages"]] == ["you", "support"]
    for unseen in ("asked before", helper.email, str(helper.id), "assigned"):
        assert unseen not in body


# --- answers ------------------------------------------------------------------------------------
def test_each_answer_comes_by_e_mail_and_as_a_notice(client_of, alice, helper, settings):
    api = client_of(alice)
    made = opened(api)
    answered(helper, made["id"], "First line.\n\n<b>Second</b> line.")
    answered(helper, made["id"], "One more thing.")
    assert [event for event, _ in mail.written_to(alice)] == [
        "support_opened", "support_answered", "support_answered"]  # fmt: skip
    with tenancy.as_user(alice.id):
        row = Delivery.objects.filter(channel="email", event="support_answered").earliest("id")
        assert "line" not in str(row.parameters)
        settings.APP_URL = "https://app.example.com"
        written = messages.write(row, now=clock.now())
    assert "First line.\n\n<b>Second</b> line.\n" in written.text
    assert "First line.<br><br>&lt;b&gt;Second&lt;/b&gt; line." in written.html
    assert f"https://app.example.com/support/requests/{made['id']}" in written.text
    assert "within 14 days" in written.text
    assert "replies are not read" in written.text
    assert helper.email not in written.text + written.html
    [newest, _] = api.get("/notifications").json()["results"]
    assert newest["data"]["support_request_id"] == made["id"]
    assert newest["title"] == f"Answer to your request {made['reference']}"
    now = api.get(f"{PATH}/{made['id']}").json()
    assert (now["state"], now["closes_at"] > now["last_message_at"]) == ("answered", True)


def test_an_answer_that_is_gone_is_not_mailed(client_of, alice, helper):
    answered(helper, opened(client_of(alice))["id"])
    with tenancy.as_user(alice.id):
        SupportMessage.objects.all().delete()
        row = Delivery.objects.get(channel="email", event="support_answered")
        with pytest.raises(messages.Outdated):
            messages.write(row, now=clock.now())


def test_writing_back_makes_it_wait_for_us_again_since_the_first_of_several(
    client_of, alice, helper
):
    api = client_of(alice)
    key = opened(api)["id"]
    answered(helper, key)
    assert api.post(f"{PATH}/{key}/messages", {"text": "No."}).json()["state"] == "open"
    changed(key, waiting_since=ago(hours=3))
    api.post(f"{PATH}/{key}/messages", {"text": "Hello?"})
    with tenancy.as_system("test"):
        waiting = SupportRequest.objects.get(id=key).waiting_since
    assert waiting < ago(hours=2)


# --- closing ------------------------------------------------------------------------------------
def test_closing_is_said_once_and_a_message_within_14_days_opens_it_again(client_of, alice):
    api = client_of(alice)
    key = opened(api)["id"]
    first, second = (api.post(f"{PATH}/{key}/close") for _ in range(2))
    assert (first.status_code, first.json()["closed_by"]) == (200, "person")
    assert first.json() == second.json()
    with tenancy.as_user(alice.id):
        assert ActivityLog.objects.filter(action="support.request.closed").count() == 1
    changed(key, closed_at=ago(days=13.9))
    again = api.post(f"{PATH}/{key}/messages", {"text": "It is back."})
    assert (again.status_code, again.json()["state"], again.json()["closed_at"]) == (
        201, "open", None)  # fmt: skip


def test_what_was_closed_long_ago_stays_closed(client_of, alice):
    api = client_of(alice)
    key = opened(api)["id"]
    api.post(f"{PATH}/{key}/close")
    changed(key, closed_at=ago(days=14.1))
    answer = api.post(f"{PATH}/{key}/messages", {"text": "It is back."})
    assert refused(answer) == (409, "support_request_closed")
    assert "open a new one" in answer.json()["message"]


def test_an_answer_without_an_echo_is_closed_after_14_days_and_that_is_told(
    client_of, alice, helper
):
    api = client_of(alice)
    silent, fresh, waiting = (opened(api)["id"] for _ in range(3))
    answered(helper, silent)
    answered(helper, fresh)
    changed(silent, answered_at=ago(days=14.1))
    changed(fresh, answered_at=ago(days=13.9))
    changed(waiting, opened_at=ago(days=90), waiting_since=ago(days=90))
    for _ in range(2):
        close_silent_requests()
    found = {row["id"]: row for row in api.get(PATH).json()["results"]}
    assert (found[silent]["state"], found[silent]["closed_by"]) == ("closed", "time")
    assert [found[key]["state"] for key in (fresh, waiting)] == ["answered", "open"]
    assert [event for event, _ in mail.written_to(alice)].count("support_closed") == 1


def test_one_request_that_cannot_be_closed_holds_up_no_other(client_of, alice, helper):
    broken, fine = (opened(client_of(alice))["id"] for _ in range(2))
    for key, days in ((broken, 15), (fine, 14.1)):
        answered(helper, key)
        changed(key, answered_at=ago(days=days))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'refused'; END $$;
            """
            f"CREATE TRIGGER refuse_one BEFORE UPDATE ON support_requests FOR EACH ROW "
            f"WHEN (NEW.id = '{broken}') EXECUTE FUNCTION refuse_one()"
        )
    close_silent_requests()
    found = {row["id"]: row["state"] for row in client_of(alice).get(PATH).json()["results"]}
    assert found == {broken: "answered", fine: "closed"}


# --- rating -------------------------------------------------------------------------------------
def test_help_is_rated_once_there_was_some_and_may_be_rated_anew_for_14_days(
    client_of, alice, helper
):
    api = client_of(alice)
    key = opened(api)["id"]
    path = f"{PATH}/{key}/rating"
    assert refused(api.post(path, {"rating": 5})) == (409, "support_request_not_answered")
    answered(helper, key)
    assert api.post(path, {"rating": 2, "comment": "Slow."}).json()["rating"] == 2
    rated = api.post(path, {"rating": 5}).json()
    assert (rated["rating"], rated["rating_comment"]) == (5, "")
    changed(key, rated_at=ago(days=14.1))
    assert refused(api.post(path, {"rating": 1})) == (409, "support_rating_final")
    assert api.get(f"{PATH}/{key}").json()["rating"] == 5


@pytest.mark.parametrize(
    "rating", [0, 6, -1, 4.5, "five", None, True, [], 10**30, {"a": 1}]
)  # fmt: skip
def test_a_rating_is_a_whole_number_from_1_to_5(client_of, alice, rating):
    api = client_of(alice)
    key = opened(api)["id"]
    api.post(f"{PATH}/{key}/close")
    answer = api.post(f"{PATH}/{key}/rating", {"rating": rating})
    assert refused(answer) == (400, "invalid_input")
    assert (
        api.post(f"{PATH}/{key}/rating", {"rating": 4, "comment": "x" * 2_001}).status_code == 400
    )
