"""Support requests among a person's data: in the copy, in erasure, and not for ever."""

import io
import json
import zipfile
from datetime import timedelta

import pytest

from accounts.helpdesk import answering
from accounts.models import SupportMessage, SupportRequest
from accounts.privacy import archive, erasure, retention
from tests import factories
from tracker import clock, tenancy

pytestmark = pytest.mark.usefixtures("private_files", "erasure_log")


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def helper(db):
    return factories.person("helper@example.com", is_staff=True, is_superuser=True)


@pytest.fixture
def helped(alice, helper):
    """A request of Alice's with an answer and a note."""
    row = factories.support_request(alice, subject="Missing trades")
    with tenancy.as_system("test"):
        said = {"request_id": row.id, "actor_id": helper.id, "now": clock.now()}
        answering.answer(text="Look here.", version=1, **said)
        answering.note(text="Was rude.", version=2, **said)
    return row


def count(model) -> int:
    with tenancy.as_system("test"):
        return model.objects.count()


def test_the_copy_holds_the_thread_and_the_notes_without_who_of_staff_wrote_them(
    helped, alice, helper
):
    target = io.BytesIO()
    archive.write(target, user_id=alice.id, now=clock.now(), told=lambda rows: None)
    with zipfile.ZipFile(target) as found:
        requests = found.read("json/support_requests.json").decode()
        messages = found.read("json/support_messages.json").decode()
        assert "json/canned_replies.json" not in found.namelist()
    assert json.loads(requests)[0]["reference"] == helped.reference
    assert [row["text"] for row in json.loads(messages)] == ["How?", "Look here.", "Was rude."]
    for unseen in (str(helper.id), helper.email):
        assert unseen not in requests + messages


def test_erasing_a_person_takes_their_requests_and_nobody_elses(helped, alice, bob):
    factories.support_request(bob)
    erasure.erase(user_id=alice.id, now=clock.now())
    assert (count(SupportRequest), count(SupportMessage)) == (1, 1)


def test_when_staff_are_erased_their_answers_stay_and_name_nobody(helped, helper):
    erasure.erase(user_id=helper.id, now=clock.now())
    with tenancy.as_system("test"):
        assert SupportRequest.objects.get().assigned_to_id is None
        assert {row.author_id for row in SupportMessage.objects.all()} == {None}
        assert SupportMessage.objects.filter(text="Look here.").exists()


def test_three_years_after_it_was_closed_a_request_goes_with_its_thread(helped, alice):
    now = clock.now()
    young = factories.support_request(
        alice, state="closed", closed_at=now - timedelta(days=1094), waiting_since=None
    )
    with tenancy.as_system("test"):
        SupportRequest.objects.filter(id=helped.id).update(
            state="closed", closed_at=now - timedelta(days=1096)
        )
    assert len(list(retention.apply(now=now))) > 5
    with tenancy.as_system("test"):
        assert SupportRequest.objects.get().id == young.id
        assert SupportMessage.objects.get().request_id == young.id
