"""What a person owns is read by that person alone: lists, totals, pages and history."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError

from portfolios import querysets
from portfolios.cost import gains
from portfolios.models import LedgerEntry, SyncRun, Trade
from portfolios.sync import requests
from portfolios.valuing import valuation
from tests import factories
from tests.api_client import ApiClient
from tracker import bulk, clock, tenancy
from tracker.errors import NotFound

LISTS = ("/trades", "/transfers", "/ledger", "/holdings")
COMPUTED = ("/lots", "/gains")


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


@pytest.fixture
def charlie(db):
    return factories.person("charlie@example.com")


@pytest.fixture
def connected(alice):
    return factories.something_everywhere(alice)


@pytest.mark.parametrize("path", LISTS + COMPUTED)
def test_each_sees_their_own_rows_and_nobody_elses(alice, connected, bob, charlie, path):
    """S14"""
    theirs = factories.something_everywhere(bob)
    seen = {
        user.email: {row["connection"] for row in ApiClient(user).get(path).json()["results"]}
        for user in (alice, bob, charlie)
    }
    assert seen == {
        alice.email: {str(connected.id)}, bob.email: {str(theirs.id)}, charlie.email: set(),
    }  # fmt: skip


def test_the_home_screen_of_somebody_without_anything_is_empty(alice, connected, charlie):
    """S14"""
    home = ApiClient(charlie).get("/portfolio").json()
    assert (home["holdings"], home["connections"]) == ([], [])
    assert ApiClient(alice).get("/portfolio").json()["connections"] != []


@pytest.mark.parametrize(
    "read",
    [
        querysets.trades_of, querysets.transfers_of, querysets.ledger_of, querysets.holdings_of,
        querysets.snapshots_of, querysets.sync_runs_of, gains.lots_of, gains.disposals_of,
    ],
)  # fmt: skip
def test_each_read_starts_from_one_user_and_is_held_by_the_database(
    alice, connected, charlie, read
):
    """S16, S20: the two fences one by one."""
    with tenancy.as_system("only the first fence stands"):
        assert not read(charlie.id).exists()
        assert read(alice.id).exists()
    with tenancy.as_user(charlie.id):  # only the second fence stands
        assert not read(alice.id).exists()
    assert not read(alice.id).exists()
    with tenancy.as_user(alice.id):
        assert read(alice.id).exists()


def test_the_home_screens_own_sql_is_held_by_the_database(alice, connected, charlie):
    """S16: raw SQL, so nothing but the policies stands when the wrong id is given."""
    asked = valuation.freshness(clock.now()) | {"user_id": alice.id, "currency": "USD"}
    seen = {}
    for person in (alice, charlie):
        ((body, *_),) = tenancy.read_as_user(person.id, valuation._HOME, asked)
        seen[person] = str(connected.id) in body
    assert seen == {alice: True, charlie: False}


@pytest.mark.parametrize("path", LISTS + COMPUTED)
def test_the_cursor_of_somebody_else_shows_nothing_of_theirs(alice, connected, charlie, path):
    """S14: a cursor is a place in time, not a permission."""
    with tenancy.as_user(alice.id):
        bulk.insert_new([factories.trade(alice, connected, number) for number in range(5, 9)])
    cursor = ApiClient(alice).get("/trades?page_size=2").json()["next"].partition("cursor=")[2]
    answer = ApiClient(charlie).get(f"{path}?cursor={cursor}")
    assert answer.status_code in (200, 400, 404)
    assert answer.status_code != 200 or answer.json()["results"] == []


def test_asking_to_sync_another_users_connection_starts_nothing(alice, connected, charlie):
    """S14"""
    with pytest.raises(NotFound):
        requests.request(user=charlie, connection_id=connected.id, now=clock.now())
    with tenancy.as_system("test"):
        assert SyncRun.objects.filter(connection=connected).count() == 1


def test_a_fact_cannot_be_hung_on_another_users_fact(alice, connected, bob):
    """S16: a ledger entry of bob's that names a trade of alice's."""
    theirs = factories.connection(bob)
    with tenancy.as_user(alice.id):
        foreign = Trade.objects.get()
    entry = LedgerEntry(
        user=bob, connection=theirs, asset=factories.asset(), wallet="spot", kind="trade",
        quantity=1, occurred_at=factories.EARLIER, trade_id=foreign.id, leg=0,
    )  # fmt: skip
    with (  # noqa: PT012  (what is refused at the end of the transaction is refused there)
        pytest.raises(IntegrityError, match="same_owner"),
        tenancy.as_user(bob.id),
    ):
        entry.save(force_insert=True)
        factories.check_references()


def test_removing_a_connection_leaves_the_facts_of_others(alice, connected, bob):
    """S16: the cascade of the database follows the composite keys, past the policies."""
    factories.something_everywhere(bob)
    assert ApiClient(alice).delete(f"/connections/{connected.id}").status_code == 204
    assert _counts(alice) == dict.fromkeys(LISTS, 0)
    assert min(_counts(bob).values()) >= 1


def _counts(user: Any) -> dict[str, int]:
    api = ApiClient(user)
    return {path: len(api.get(path).json()["results"]) for path in LISTS}


def test_snapshots_of_every_month_are_their_owners(alice, bob):
    """S15: across partitions."""
    for month in range(6):
        factories.snapshot(alice, factories.EARLIER + timedelta(days=31 * month))
    factories.snapshot(bob)
    with tenancy.as_user(alice.id):
        assert querysets.snapshots_of(alice.id).count() == 6
    with tenancy.as_user(bob.id):
        assert querysets.snapshots_of(bob.id).count() == 1
