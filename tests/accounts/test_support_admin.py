"""Staff answer support requests in the admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.admin import helpdesk
from accounts.models import CannedReply, SupportMessage, SupportRequest, User
from audit.models import ActivityLog
from tests import factories, mail
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, desk, tenancy
from tracker.desk import Level

LIST = "admin:accounts_supportrequest_changelist"
READS = ("view_supportrequest",)
ANSWERS = (*READS, "answer_supportrequest")
LEADS = (*ANSWERS, "assign_supportrequest")


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com", subscription_tier="pro", locale="de-CH")


@pytest.fixture
def asked(alice):
    return factories.support_request(alice, subject="Total looks wrong", category="figures")


def staff(*codenames: str, email: str = "staff@example.com") -> User:
    with tenancy.as_system("test"):
        user = User.objects.create_user(email, PASSWORD, is_staff=True)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


def page_of(row: SupportRequest) -> str:
    return reverse("admin:accounts_supportrequest_change", args=[row.id])


def now_of(row: SupportRequest) -> SupportRequest:
    with tenancy.as_system("test"):
        return SupportRequest.objects.select_related("assigned_to").get(id=row.id)


def press(client: Any, row: SupportRequest, act: str, **fields: Any) -> Any:
    data = {"act": act, "version": now_of(row).version} | fields
    return client.post(page_of(row), data, follow=True)


def texts(row: SupportRequest) -> list[tuple[str, str]]:
    with tenancy.as_system("test"):
        rows = SupportMessage.objects.filter(request=row).order_by("id")
        return list(rows.values_list("kind", "text"))


def logged(action: str) -> Any:
    with tenancy.as_system("test"):
        return ActivityLog.objects.get(action=action)


def ago(**span: float) -> Any:
    return clock.now() - timedelta(**span)


# --- one request --------------------------------------------------------------------------------
def test_an_answer_goes_out_is_logged_and_makes_the_request_theirs(alice, asked):
    user = staff(*ANSWERS)
    page = press(signed_in(user), asked, "answer", text="Hello,\r\n\r\nplease sync again.")
    assert "Answered. The person is told" in page.content.decode()
    assert texts(asked)[1:] == [("answer", "Hello,\n\nplease sync again.")]
    row = now_of(asked)
    assert (row.state, row.waiting_since, row.assigned_to) == ("answered", None, user)
    assert row.first_answered_at == row.answered_at
    assert mail.written_to(alice) == [("support_answered", "")]
    entry = logged("support.request.answered")
    assert (entry.user_id, entry.actor_id) == (alice.id, user.id)
    assert "sync again" not in str(entry.details)


def test_the_first_response_is_that_of_the_first_answer(asked):
    client = signed_in(staff(*ANSWERS))
    press(client, asked, "answer", text="One.")
    first = now_of(asked).first_answered_at
    press(client, asked, "answer", text="Two.")
    assert now_of(asked).first_answered_at == first < now_of(asked).answered_at


def test_two_answers_at_once_are_one_and_the_other_text_is_not_lost(asked):
    seen = now_of(asked).version
    press(signed_in(staff(*ANSWERS, email="first@example.com")), asked, "answer", text="Mine.")
    page = press(
        signed_in(staff(*ANSWERS)), asked, "answer", text="Mine <too>.", version=seen
    )  # fmt: skip
    shown = page.content.decode()
    assert "Somebody wrote or closed this meanwhile" in shown
    assert "Mine &lt;too&gt;.</textarea>" in shown
    assert [text for kind, text in texts(asked) if kind == "answer"] == ["Mine."]
    assert "Answer by first@example.com" in shown


def test_what_the_person_wrote_meanwhile_stops_an_answer_too(client_of, alice, asked):
    seen = now_of(asked).version
    client_of(alice).post(f"/support/requests/{asked.id}/messages", {"text": "Solved!"})
    press(signed_in(staff(*ANSWERS)), asked, "answer", text="Try this.", version=seen)
    assert texts(asked)[-1] == ("person", "Solved!")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": ""}, "Please write something."),
        ({"text": " \u200b "}, "Please write something."),
        ({"text": "x" * 10_001}, "at most 10,000 characters"),
        ({"text": "x", "version": ""}, "meanwhile"), ({"text": "x", "version": "-1"}, "meanwhile"),
        ({"text": "x", "version": "9" * 30}, "meanwhile"),
        ({"text": "x", "version": "\u0661"}, "meanwhile"),
        ({"text": "x", "version": "\x00"}, "meanwhile"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused_on_the_page(alice, asked, fields, said):
    page = press(signed_in(staff(*ANSWERS)), asked, "answer", **fields)
    assert page.status_code == 200
    assert said in page.content.decode()
    assert len(texts(asked)) == 1
    assert mail.written_to(alice) == []


def test_a_note_is_for_staff_alone(client_of, alice, asked):
    page = press(signed_in(staff(*ANSWERS)), asked, "note", text="Looks like a bug.")
    assert "not shown to the person" in page.content.decode()
    assert (now_of(asked).state, mail.written_to(alice)) == ("open", [])
    api = client_of(alice)
    assert "bug" not in api.get(f"/support/requests/{asked.id}").content.decode()
    assert "bug" not in api.get("/notifications").content.decode()


def test_staff_close_and_the_person_is_told_and_may_write_again(client_of, alice, asked):
    client = signed_in(staff(*ANSWERS))
    press(client, asked, "close")
    again = press(client, asked, "close")
    assert "closed already" in again.content.decode()
    assert (now_of(asked).state, now_of(asked).closed_by) == ("closed", "support")
    assert mail.written_to(alice) == [("support_closed", "")]
    api = client_of(alice)
    api.post(f"/support/requests/{asked.id}/messages", {"text": "No!"})
    assert now_of(asked).state == "open"


def test_the_category_is_corrected(asked):
    client = signed_in(staff(*ANSWERS))
    press(client, asked, "sort", category="billing")
    assert now_of(asked).category == "billing"
    assert logged("support.request.sorted").details["before"] == "figures"
    assert "no such category" in press(client, asked, "sort", category="x").content.decode()


def test_a_canned_reply_is_inserted_filled_in_and_sent_only_when_told_to(asked):
    with tenancy.as_system("test"):
        rows = {
            name: CannedReply.objects.create(title=name, language=language, category=category,
                                             text=text)
            for name, language, category, text in [
                ("Sync", "en", "figures", "About {reference} ({category}): {subject} {other}"),
                ("Hallo", "de", "", "Hallo."), ("Card", "en", "billing", "Pay."),
            ]
        }  # fmt: skip
    client = signed_in(staff(*ANSWERS))
    shown = client.get(page_of(asked))
    assert [reply.title for reply in shown.context["canned"]] == ["Hallo", "Sync"]
    page = press(client, asked, "insert", canned=rows["Sync"].id, text="Dear you,")
    filled = f"About {asked.reference} (figures that look wrong): Total looks wrong {{other}}"
    assert page.context["typed"] == f"Dear you,\n\n{filled}"
    assert len(texts(asked)) == 1
    for other in (rows["Card"].id, "x", ""):
        page = press(client, asked, "insert", canned=other, text="Kept")
        assert page.context["typed"] == "Kept"


def test_what_somebody_wrote_into_their_subject_is_not_filled_in(alice):
    tricky = factories.support_request(alice, subject="{reference} {category}")
    with tenancy.as_system("test"):
        reply = CannedReply.objects.create(title="a", text="{subject}")
    page = press(signed_in(staff(*ANSWERS)), tricky, "insert", canned=reply.id)
    assert page.context["typed"] == "{reference} {category}"


def test_a_canned_reply_with_braces_that_nobody_fills_is_refused(db):
    user = staff("add_cannedreply", "view_cannedreply")
    data = {"title": "a", "language": "en", "category": "", "text": "Dear {first_name}"}
    add = reverse("admin:accounts_cannedreply_add")
    page = signed_in(user).post(add, data)
    assert "{first_name} would not be filled in" in page.content.decode()
    assert signed_in(user).post(add, data | {"text": "Dear you"}).status_code == 302


# --- whose it is --------------------------------------------------------------------------------
def test_staff_take_a_request_and_a_lead_gives_it_to_others(asked):
    user, lead = staff(*ANSWERS), staff(*LEADS, email="lead@example.com")
    press(signed_in(user), asked, "take")
    assert now_of(asked).assigned_to == user
    press(signed_in(lead), asked, "assign", assigned_to=lead.id)
    assert now_of(asked).assigned_to == lead
    press(signed_in(lead), asked, "assign", assigned_to="")
    assert now_of(asked).assigned_to is None


def test_a_request_is_given_to_nobody_who_may_not_answer_it(alice, asked):
    lead, reader = staff(*LEADS), staff(*READS, email="reader@example.com")
    for to in (alice.id, reader.id, "x", "\x00"):
        page = press(signed_in(lead), asked, "assign", assigned_to=to)
        assert "only to active staff" in page.content.decode()
    assert now_of(asked).assigned_to is None


ALL = ("answer", "note", "close", "insert", "take", "assign", "sort", "", "delete", "\x00")


@pytest.mark.parametrize("act", ALL)
def test_who_may_only_read_presses_nothing(asked, act):
    client = signed_in(staff(*READS))
    shown = client.get(page_of(asked)).content.decode()
    assert "Total looks wrong" in shown
    assert 'name="act"' not in shown
    fields = {"text": "x", "category": "app", "assigned_to": ""}
    assert press(client, asked, act, **fields).status_code == 403
    assert now_of(asked).version == asked.version


def test_who_may_answer_does_not_assign_others(asked):
    user = staff(*ANSWERS)
    client = signed_in(user)
    assert 'name="assigned_to"' not in client.get(page_of(asked)).content.decode()
    assert press(client, asked, "assign", assigned_to=user.id).status_code == 403


def test_who_may_see_nothing_sees_nothing(asked):
    client = signed_in(staff("answer_supportrequest"))
    for path in (reverse(LIST), page_of(asked), reverse("admin:accounts_support_figures")):
        assert client.get(path).status_code == 403
    assert press(client, asked, "answer", text="x").status_code == 403


def test_nobody_adds_changes_or_deletes_a_request_by_hand(asked):
    rights = [f"{verb}_supportrequest" for verb in ("add", "change", "delete", "view")]
    client = signed_in(staff(*rights))
    assert client.get(reverse("admin:accounts_supportrequest_add")).status_code == 403
    assert client.post(page_of(asked), {"state": "closed"}).status_code == 403
    assert now_of(asked).state == "open"


# --- the list -----------------------------------------------------------------------------------
def listed(client: Any, **query: str) -> list[str]:
    return [row.subject for row in client.get(reverse(LIST), query).context["cl"].result_list]


def test_the_list_is_narrowed_and_those_who_wait_longest_come_first(alice, bob):
    user = staff(*ANSWERS)
    for subject, fields in {
        "new": {"waiting_since": ago(hours=1)},
        "late": {"waiting_since": ago(hours=25)},
        "mine": {"waiting_since": ago(hours=2), "assigned_to_id": user.id},
        "done": {"state": "closed", "closed_at": ago(days=1), "waiting_since": None,
                 "category": "billing"},
    }.items():  # fmt: skip
        factories.support_request(alice, subject=subject, **fields)
    other = factories.support_request(bob, subject="bob's", waiting_since=ago(minutes=5))
    client = signed_in(user)
    assert listed(client, waiting="yes") == ["late", "mine", "new", "bob's"]
    assert listed(client, waiting="overdue") == ["late"]
    assert listed(client, whose="mine") == ["mine"]
    assert set(listed(client, whose="nobody")) == {"new", "late", "done", "bob's"}
    assert listed(client, state="closed") == listed(client, category="billing") == ["done"]
    assert listed(client, q="bob@example.com") == ["bob's"]
    for typed in (other.reference, other.reference.lower(), other.reference.replace("-", "")):
        assert listed(client, q=typed) == ["bob's"]
    text = client.get(reverse(LIST)).content.decode()
    assert "1 d 1 h (overdue)" in text
    assert "pro" in text


def test_the_list_takes_few_queries_however_long_it_is(alice, django_assert_max_num_queries):
    for _ in range(30):
        factories.support_request(alice)
    client = signed_in(staff(*ANSWERS))
    client.get(reverse(LIST))
    with django_assert_max_num_queries(14):
        client.get(reverse(LIST))


# --- figures ------------------------------------------------------------------------------------
def figures_page() -> Any:
    return signed_in(staff(*READS)).get(reverse("admin:accounts_support_figures"))


def test_figures_are_computed_from_the_rows(alice):
    monday = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=monday.weekday() + 7)
    for hours in (1, 2, 3, 4, 20):
        factories.support_request(
            alice, opened_at=monday, first_answered_at=monday + timedelta(hours=hours),
            waiting_since=None, state="answered", answered_at=monday, rating=min(hours, 5),
        )  # fmt: skip
    factories.support_request(alice, opened_at=monday, waiting_since=ago(hours=30))
    factories.support_request(alice, opened_at=monday - timedelta(weeks=30))
    page = figures_page()
    week, median, p90 = page.context["weeks"][-2]
    assert (week.since, week.opened, week.answered) == (monday.date(), 6, 5)
    assert (median, p90) == ("3 h 0 min", "13 h 36 min")
    assert page.context["weeks"][-1][1:] == ("–", "–")
    ages = {bar.name: bar.value for bar in page.context["ages"].rows}
    assert (ages["1 to 3 days"], ages["up to 4 hours"]) == (1, 1)
    assert [bar.value for bar in page.context["ratings"].rows] == [1, 1, 1, 1, 1]


def test_the_chart_has_parts_of_hours_and_a_gap_where_nothing_was_answered(alice):
    """A median of 20 minutes is not none at all, and no week vanishes from the axis."""
    monday = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=monday.weekday())
    for back, minutes in ((9, 90), (8, 30), (1, 20)):
        opened = monday - timedelta(weeks=back)
        factories.support_request(
            alice, opened_at=opened, first_answered_at=opened + timedelta(minutes=minutes),
            waiting_since=None, state="answered", answered_at=opened,
        )  # fmt: skip
    factories.support_request(alice, opened_at=monday - timedelta(weeks=5))
    drawn = figures_page().context["chart"]
    assert [hours for _, (hours, _) in drawn.rows] == [
        None, None, 1.5, 0.5, None, None, None, None, None, None, 0.3, None,
    ]  # fmt: skip


def test_without_requests_the_figures_say_so(db):
    text = figures_page().content.decode()
    assert "Nothing was answered yet." in text
    assert "Nothing was rated yet." in text


def test_the_front_page_and_the_page_of_a_person_are_told(alice, bob, rf):
    late = factories.support_request(alice, waiting_since=ago(hours=49))
    factories.support_request(bob)
    with tenancy.as_system("test"):
        told = helpdesk.tile(now=clock.now())
        section = helpdesk.of_person(person_id=alice.id, now=clock.now())
    assert (told.number, told.level) == ("2", Level.BAD)
    assert "the longest since 2 d 1 h; 1 longer than 24 hours, 2 nobody's." in told.says
    assert dict(told.values) == {"up to 4 hours": 1, "1 to 3 days": 1}
    assert section["requests"] == [late]
    request = rf.get("/")
    request.user = staff(*READS)
    with tenancy.as_system("test"):
        assert "Support requests" in [tile.title for tile in desk.figures(request)]
        assert "Support requests" in [part.title for part in desk.sections(request)]


def test_of_a_person_one_query_is_asked(alice, django_assert_num_queries):
    for _ in range(3):
        factories.support_request(alice)
    with tenancy.as_system("test"), django_assert_num_queries(1):
        helpdesk.of_person(person_id=alice.id, now=clock.now())
