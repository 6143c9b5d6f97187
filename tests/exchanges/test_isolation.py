"""Connections and keys belong to one person: asked for by somebody else, they do not exist."""

from typing import Any

import pytest
from django.db import DatabaseError

from exchanges import connections, credentials, querysets
from exchanges.models import (
    ConnectionState,
    Coverage,
    ExchangeConnection,
    ExchangeCredential,
    QuarantinedPage,
)
from tests import factories
from tests.api_client import ApiClient
from tracker import clock, tenancy
from tracker.errors import NotFound
from tracker.tenancy import TenancyError

NOW = factories.EARLIER


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def charlie(db):
    return factories.person("charlie@example.com")


@pytest.fixture
def connected(alice):
    return factories.something_everywhere(alice)


def everything() -> list[Any]:
    with tenancy.as_system("test"):
        return [
            list(model.objects.order_by("id").values())
            for model in (ExchangeConnection, ExchangeCredential, Coverage, QuarantinedPage)
        ]


ACTS = {
    "find": lambda who, what: connections.find(user_id=who, connection_id=what),
    "find and lock": lambda who, what: connections.find(user_id=who, connection_id=what, lock=True),
    "rename": lambda who, what: connections.change(
        user_id=who, connection_id=what, label="mine", now=NOW
    ),
    "pause": lambda who, what: connections.change(
        user_id=who, connection_id=what, paused=True, now=NOW
    ),
    "give a new key": lambda who, what: connections.change(
        user_id=who, connection_id=what, credential=factories.API_KEY, now=NOW
    ),
    "test": lambda who, what: connections.test(user_id=who, connection_id=what, now=clock.now()),
    "remove": lambda who, what: connections.remove(user_id=who, connection_id=what),
}


@pytest.mark.parametrize("act", ACTS)
def test_no_act_finds_the_connection_of_somebody_else(connected, charlie, act):
    """S14: below the views, too; nothing is changed and no exchange is asked."""
    before = everything()
    with pytest.raises(NotFound):
        ACTS[act](charlie.id, connected.id)
    assert everything() == before


@pytest.mark.parametrize("act", ACTS)
def test_nobody_can_act_for_another_user_inside_their_own_context(alice, connected, charlie, act):
    """S17: naming the owner's id under one's own identity finds nothing either."""
    before = everything()
    with pytest.raises((TenancyError, NotFound)), tenancy.as_user(charlie.id):
        ACTS[act](alice.id, connected.id)
    assert everything() == before


@pytest.mark.parametrize("act", [connections.pause, connections.resume])
def test_pausing_and_resuming_pass_by_what_is_not_ones_own(alice, connected, charlie, act):
    """S16"""
    before = everything()
    extra = {"reason": "x"} if act is connections.pause else {"now": NOW}
    with tenancy.as_user(charlie.id):
        act(user_id=charlie.id, connection_id=connected.id, **extra)
        act(user_id=alice.id, connection_id=connected.id, **extra)
    assert everything() == before


def test_sealed_keys_are_loaded_for_their_owner_alone(alice, connected, charlie):
    """S16: even by connection id."""
    with tenancy.as_user(charlie.id):
        assert credentials.load([connected.id]) == {}
        assert list(querysets.connections_of(alice.id)) == []
    assert credentials.load([connected.id]) == {}
    with tenancy.as_user(alice.id):
        assert set(credentials.load([connected.id])) == {connected.id}


def test_a_key_cannot_be_stored_into_another_users_connection(connected, charlie):
    """S16: by the composite foreign key, at the latest."""
    before = everything()
    with (  # noqa: PT012  (what is refused at the end of the transaction is refused there)
        pytest.raises(DatabaseError, match=r"same_owner|duplicate key|row-level security"),
        tenancy.as_user(charlie.id),
    ):
        credentials.store(
            user_id=charlie.id, connection_id=connected.id, credential=factories.API_KEY
        )
        factories.check_references()
    assert everything() == before


def test_two_people_may_use_one_label_and_removing_one_leaves_the_other(alice, charlie):
    """S14: uniqueness is per user, so it does not tell what others have."""
    mine = factories.connection(charlie, label="everything")
    theirs = factories.something_everywhere(alice)
    assert ApiClient(charlie).delete(f"/connections/{mine.id}").status_code == 204
    assert ApiClient(charlie).get("/connections").json() == {"results": []}
    assert ApiClient(alice).get(f"/connections/{theirs.id}").status_code == 200
    with tenancy.as_user(alice.id):
        assert ExchangeCredential.objects.count() == 1


def test_removing_a_connection_removes_its_key_and_all_that_was_read_through_it(alice, connected):
    assert ApiClient(alice).delete(f"/connections/{connected.id}").status_code == 204
    assert everything() == [[], [], [], []]


def test_an_idempotency_key_answers_for_its_own_user_alone(alice, charlie):
    """S57, S14: the same key and body of another person are another request."""
    key = {"Idempotency-Key": "0f0e0d0c-shared"}
    mine = factories.connection(alice)
    first = ApiClient(alice).post(f"/connections/{mine.id}/sync", **key)
    second = ApiClient(charlie).post(f"/connections/{mine.id}/sync", **key)
    assert (first.status_code, second.status_code) == (202, 404)


def test_an_etag_of_one_person_saves_another_nothing(alice, connected, charlie):
    """S14: 304 would say that two lists are alike."""
    tag = ApiClient(alice).get("/connections").headers["ETag"]
    assert ApiClient(alice).get("/connections", **{"If-None-Match": tag}).status_code == 304
    assert ApiClient(charlie).get("/connections", **{"If-None-Match": tag}).status_code == 200


def test_answers_are_not_for_shared_caches(alice, connected):
    """S50"""
    for path in ("/connections", f"/connections/{connected.id}", "/portfolio", "/trades", "/me"):
        control = ApiClient(alice).get(path).headers["Cache-Control"]
        assert "private" in control or "no-store" in control, path


def test_key_material_is_in_no_answer(alice, connected):
    """S25: of any route that shows or changes a connection."""
    api = ApiClient(alice)
    answers = [
        api.get("/connections"),
        api.get(f"/connections/{connected.id}"),
        api.patch(f"/connections/{connected.id}", {"label": "renamed"}),
        api.get(f"/connections/{connected.id}/sync-runs"),
        api.get("/portfolio"),
    ]
    with tenancy.as_user(alice.id):
        row = ExchangeCredential.objects.get()
    for answer in answers:
        assert answer.status_code == 200
        for name in credentials.FIELDS:
            assert name not in answer.content.decode()
            assert bytes(getattr(row, name)).hex() not in answer.content.decode()
        assert factories.API_KEY.api_key not in answer.content.decode()


def test_the_system_sees_every_connection_when_it_says_why(alice, connected, charlie):
    """S20: the fleet's tasks; the positive half of the tests above."""
    factories.connection(charlie)
    with tenancy.as_system("test"):
        assert ExchangeConnection.objects.count() == 2
        due = ExchangeConnection.objects.filter(state=ConnectionState.PENDING, user=charlie)
        assert due.update(next_sync_at=clock.now()) == 1
