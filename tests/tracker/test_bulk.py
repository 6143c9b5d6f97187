"""Bulk inserts: what was new and only that, to the last digit, and never past the policies."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction

from audit.models import ActivityLog
from portfolios.models import Trade
from tests import factories
from tracker import arrays, bulk, ids, tenancy


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def connected(alice):
    return factories.connection(alice)


def insert(user: Any, rows: list[Any]) -> set[Any]:
    with tenancy.as_user(user.id):
        return bulk.insert_new(rows)


def stored(user: Any) -> set[Any]:
    with tenancy.as_user(user.id):
        return set(Trade.objects.values_list("id", flat=True))


def test_nothing_to_insert_asks_nothing():
    """No database mark: a query would fail this test."""
    assert bulk.insert_new([]) == set()


def test_exactly_the_new_ids_come_back(alice, connected):
    """S40"""
    first = [factories.trade(alice, connected, number) for number in range(5)]
    assert insert(alice, first) == {row.id for row in first}
    again = [factories.trade(alice, connected, number) for number in range(3, 8)]
    assert insert(alice, again) == {row.id for row in again if int(row.exchange_id) >= 5}
    assert insert(alice, again) == set()
    assert len(stored(alice)) == 8


def test_of_rows_that_are_twice_in_one_call_the_first_is_kept(alice, connected):
    """S40"""
    rows = [factories.trade(alice, connected, 1, symbol=symbol) for symbol in ("A/B", "C/D")]
    assert insert(alice, rows) == {rows[0].id}
    with tenancy.as_user(alice.id):
        assert Trade.objects.get().symbol == "A/B"


def test_every_kind_of_value_comes_back_as_it_went_in(alice, connected):
    """S46: thirty decimals, microseconds, nulls and awkward text."""
    row = factories.trade(
        alice, connected,
        base_quantity=Decimal("1E-30"),
        quote_quantity=Decimal("9" * 30 + "." + "9" * 30),
        fee_asset=None, fee_quantity=None,
        symbol="{a,\"b\"}\\ '; NULL",
        occurred_at=datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC),
    )  # fmt: skip
    insert(alice, [row])
    with tenancy.as_user(alice.id):
        found = Trade.objects.get()
    for field in Trade._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(row, field.attname), field


def test_json_and_partitioned_tables_are_served_too(alice):
    row = ActivityLog(
        user=alice, action="user.signed_in", details={"a": [1, {"b": None}], "q": '"'}
    )
    assert insert(alice, [row]) == {row.id}
    with tenancy.as_user(alice.id):
        assert ActivityLog.objects.get().details == row.details


def test_ten_thousand_rows_are_one_call(alice, connected, django_assert_num_queries):
    rows = [factories.trade(alice, connected, 1) for _ in range(1)]
    rows += [
        Trade(**{f.attname: getattr(rows[0], f.attname) for f in Trade._meta.concrete_fields}
              | {"id": ids.new_id(), "exchange_id": str(number)})
        for number in range(2, 10_001)
    ]  # fmt: skip
    with tenancy.as_user(alice.id), django_assert_num_queries(1):
        assert len(bulk.insert_new(rows)) == 10_000


def test_rows_of_somebody_else_are_refused_with_all_their_call(alice, connected):
    """S16: the policies hold for this statement as for any other."""
    bob = factories.person("bob@example.com")
    theirs = factories.connection(bob)
    mixed = [factories.trade(alice, connected, 1), factories.trade(bob, theirs, 2)]
    for user in (alice, bob):
        with pytest.raises(ProgrammingError, match="row-level security"):
            insert(user, mixed)
    assert stored(alice) == stored(bob) == set()


def test_without_an_identity_nothing_is_inserted(alice, connected):
    """S20"""
    with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
        bulk.insert_new([factories.trade(alice, connected)])
    assert stored(alice) == set()


def test_a_row_that_points_at_another_users_connection_is_refused(alice, connected):
    """S16: by the composite foreign key, which conflicts do not hide."""
    bob = factories.person("bob@example.com")
    with (  # noqa: PT012  (what is refused at the end of the transaction is refused there)
        pytest.raises(IntegrityError, match="same_owner"),
        tenancy.as_user(bob.id),
    ):
        bulk.insert_new([factories.trade(bob, connected)])
        factories.check_references()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"base_quantity": Decimal(-1)}, IntegrityError),
        ({"side": "hold"}, IntegrityError),
        ({"symbol": None}, IntegrityError),
        ({"symbol": "x" * 65}, DataError),
        ({"base_quantity": Decimal("1E+30")}, DataError),
    ],
)
def test_what_a_constraint_refuses_is_an_error_and_not_left_out(alice, connected, fields, error):
    """S46"""
    with pytest.raises(error):
        insert(
            alice,
            [factories.trade(alice, connected, 1), factories.trade(alice, connected, 2, **fields)],
        )
    assert stored(alice) == set()


# --- past the models ----------------------------------------------------------------------------
NOTED = {
    "id": "uuid", "position": "int8", "at": "timestamptz", "units": "numeric", "kind": "text"
}  # fmt: skip


@pytest.fixture
def noted(db):
    with connection.cursor() as cursor:
        listed = ", ".join(f"{name} {kind}" for name, kind in NOTED.items())
        cursor.execute(f"CREATE TEMPORARY TABLE noted ({listed}, CHECK (position >= 0))")
        yield cursor
        cursor.execute("DROP TABLE IF EXISTS noted")


def note(rows: Any) -> None:
    statement = "INSERT INTO noted SELECT * FROM incoming"
    bulk.insert_from(rows, columns=NOTED, statement=statement, parameters={})


def numbered(count: int) -> list[tuple[Any, ...]]:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    return [(ids.new_id(), n, at + timedelta(seconds=n), str(n), "a") for n in range(count)]


def stored_notes(cursor: Any) -> list[Any]:
    cursor.execute("SELECT * FROM noted ORDER BY position")
    return cursor.fetchall()


def test_plain_rows_of_every_kind_come_back_as_they_went_in(noted):
    """S46: microseconds, years before PostgreSQL's epoch, other zones, nulls, awkward text."""
    east = timezone(timedelta(hours=9))
    rows = [
        (ids.new_id(), 0, datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC), "1E-30", 'é{,"}'),
        (None, 1, None, None, None),
        (ids.new_id(), 2, datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "-0.5", ""),
        (ids.new_id(), 2**62, datetime(2020, 2, 29, 3, tzinfo=east), "9" * 30 + ".1", "NULL"),
    ]
    note(rows)
    assert stored_notes(noted) == [
        (*row[:3], None if row[3] is None else Decimal(row[3]), row[4]) for row in rows
    ]


def test_ids_may_be_the_sixteen_bytes_that_are_read(noted):
    rows = numbered(3)
    note([(key.bytes, *rest) for key, *rest in rows])
    note([])
    assert [row[0] for row in stored_notes(noted)] == [key for key, *_ in rows]
    assert [key for (key,) in bulk.read("SELECT id FROM noted ORDER BY position", {})] == [
        key.bytes for key, *_ in rows
    ]


def test_more_rows_than_are_sent_at_once_all_arrive_in_order(noted):
    rows = numbered(20_000)
    note(row for row in rows)
    assert [row[1] for row in stored_notes(noted)] == list(range(20_000))


@pytest.mark.parametrize("bad", [0, 9_999, 19_999])
def test_what_is_refused_on_the_way_is_raised_and_takes_all_back(noted, bad):
    """S46"""
    rows = numbered(20_000)
    rows[bad] = (rows[bad][0], -1, *rows[bad][2:])
    with pytest.raises(IntegrityError), transaction.atomic():
        note(rows)
    assert stored_notes(noted) == []


def test_an_error_while_rows_are_made_takes_all_back(noted):
    def made():
        yield from numbered(9_000)
        raise ArithmeticError("no such row")

    with pytest.raises(ArithmeticError), transaction.atomic():
        note(made())
    assert stored_notes(noted) == []


def test_many_statements_travel_ahead_of_their_answers_and_in_order(noted):
    with bulk.ahead():
        note(numbered(5_000))
        bulk.insert_from(
            [(1,)], columns={"by": "int8"}, parameters={},
            statement="UPDATE noted SET position = position + incoming.by FROM incoming",
        )  # fmt: skip
    assert [row[1] for row in stored_notes(noted)] == list(range(1, 5_001))


def test_several_queries_are_read_each_by_its_own_function(noted):
    note(numbered(10_000))
    counted, kinds, nothing = bulk.read_each(
        ("SELECT position FROM noted ORDER BY position", lambda rows: [row[0] for row in rows]),
        ("SELECT kind FROM noted LIMIT %(some)s", lambda rows: {kind for (kind,) in rows}),
        ("SELECT 1 WHERE false", list),
        parameters={"some": 7},
    )
    assert (counted, kinds, nothing) == (list(range(10_000)), {"a"}, [])


def test_a_query_that_fails_among_several_is_raised(noted):
    with pytest.raises(DataError), transaction.atomic():
        bulk.read_each(("SELECT 1", list), ("SELECT 1 / 0", list), ("SELECT 2", list),
                       parameters={})  # fmt: skip
    assert bulk.read("SELECT 1", {}) == [(1,)]


def test_a_type_that_nobody_packs_is_an_error():
    with pytest.raises(KeyError):
        arrays.of("inet", ["127.0.0.1"])
