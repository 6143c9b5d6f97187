"""Who a transaction acts for: contexts open, nest and end, and leave nothing behind."""

import itertools
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections, transaction

from accounts.models import User
from tests import factories
from tracker import ids, tenancy
from tracker.tenancy import Identity, TenancyError

BLOCKS, THREADS, POOLED = 10_000, 8, 2


def settings_in_force() -> tuple[str | None, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nullif(current_setting(%s, true), ''), nullif(current_setting(%s, true), ''), "
            "nullif(current_setting(%s, true), '')",
            [tenancy.USER, tenancy.SYSTEM, tenancy.LOOKUP_EMAIL],
        )
        return cursor.fetchone()


def nobody_is_in_force() -> bool:
    return settings_in_force() == (None, None, None) and tenancy.current() == Identity()


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


CONTEXTS = {
    "user": lambda user: tenancy.as_user(user.id),
    "system": lambda user: tenancy.as_system("test"),
    "lookup": lambda user: tenancy.as_lookup(email=user.email),
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_context_sets_its_own_identity_and_no_other(alice, name):
    """S17"""
    with CONTEXTS[name](alice):
        assert settings_in_force() == {
            "user": (str(alice.id), None, None),
            "system": (None, "test", None),
            "lookup": (None, None, alice.email),
        }[name]  # fmt: skip
    assert nobody_is_in_force()


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_same_identity_may_be_nested_and_stays_until_the_outer_block_ends(alice, name):
    """S17"""
    with CONTEXTS[name](alice):
        before = settings_in_force()
        with CONTEXTS[name](alice):
            assert settings_in_force() == before
        assert settings_in_force() == before
    assert nobody_is_in_force()


@pytest.mark.parametrize(
    ("outer", "inner"),
    [pair for pair in itertools.product(CONTEXTS, repeat=2) if pair != ("system", "system")],
)
def test_another_identity_cannot_be_nested(alice, bob, outer, inner):
    """S17: nor one of another kind, and the outer one stays as it was."""
    with CONTEXTS[outer](alice):
        before = settings_in_force()
        with pytest.raises(TenancyError), CONTEXTS[inner](bob):
            raise AssertionError("must not be reached")
        assert settings_in_force() == before


def test_acting_as_the_system_needs_a_reason(db):
    with pytest.raises(TenancyError), tenancy.as_system(""):
        raise AssertionError("must not be reached")
    assert nobody_is_in_force()


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_identity_is_gone_after_an_exception(alice, name):
    """S17"""
    with pytest.raises(ZeroDivisionError), CONTEXTS[name](alice):
        _ = 1 / 0
    assert nobody_is_in_force()


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_identity_is_gone_after_the_block_in_an_outer_transaction(alice, name):
    """S17: a released savepoint would keep the setting, an aborted one takes it back."""
    with transaction.atomic():
        with CONTEXTS[name](alice):
            pass
        assert nobody_is_in_force()
        with pytest.raises(ZeroDivisionError), CONTEXTS[name](alice):
            _ = 1 / 0
        assert nobody_is_in_force()
        assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CONTEXTS)
def test_the_identity_ends_with_its_own_transaction(name):
    """S17: committed and rolled back for real, in autocommit before and after."""
    alice = factories.person("alice@example.com")
    for ends_badly in (False, True):
        try:
            with CONTEXTS[name](alice):
                assert not connection.get_autocommit()
                if ends_badly:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert ends_badly
        assert connection.get_autocommit()
        assert nobody_is_in_force()


@pytest.mark.django_db(transaction=True)
def test_a_failed_statement_leaves_no_identity_behind():
    """S17: the database aborts the transaction by itself."""
    alice = factories.person("alice@example.com")
    with pytest.raises(Exception, match="does not exist"), tenancy.as_user(alice.id):
        connection.cursor().execute("SELECT * FROM no_such_table")
    assert nobody_is_in_force()


# --- a pool -------------------------------------------------------------------------------------
@contextmanager
def pool() -> Iterator["queue.Queue[Any]"]:
    """Two database connections that threads take from and give back to, as a pooler lends them."""
    ready: queue.Queue[Any] = queue.Queue()
    made = [connections.create_connection("default") for _ in range(POOLED)]
    for lent in made:
        lent.inc_thread_sharing()
        ready.put(lent)
    yield ready
    for lent in made:
        lent.close()


@pytest.mark.django_db(transaction=True)
def test_ten_thousand_blocks_of_many_users_on_two_connections_never_leak():
    """S17"""
    people = [factories.person(f"person{number}@example.com") for number in range(THREADS)]
    leaks: list[object] = []

    def work(person: Any, lender: "queue.Queue[Any]") -> None:
        for number in range(BLOCKS // THREADS):
            lent = lender.get()
            connections["default"] = lent
            try:
                leaks.extend(_one_block(person, fails=number % 5 == 0))
            finally:
                del connections["default"]
                lender.put(lent)

    with pool() as lender:
        threads = [threading.Thread(target=work, args=(person, lender)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert leaks == []


def _one_block(person: Any, *, fails: bool) -> list[object]:
    """What one request reads, before, during and after it has an identity."""
    seen: list[object] = []
    try:
        with tenancy.as_user(person.id), connection.cursor() as cursor:
            cursor.execute("SELECT id FROM users")
            seen += [row for row in cursor.fetchall() if row != (person.id,)]
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM users")
            seen += cursor.fetchall()
    return seen


# --- without an identity ------------------------------------------------------------------------
def owned_models() -> list[Any]:
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model is User or any(field.column == "user_id" for field in model._meta.concrete_fields)
    ]


def test_the_orm_sees_nothing_and_changes_nothing_without_an_identity(alice):
    """S20: a task that forgets `as_user`."""
    factories.something_everywhere(alice)
    for model in owned_models():
        assert model._default_manager.count() == 0, model
        assert model._default_manager.all()._raw_delete("default") == 0, model
    assert User.objects.update(is_staff=True) == 0
    with tenancy.as_user(alice.id):
        assert all(model._default_manager.exists() for model in owned_models())


def test_a_part_of_a_task_sees_only_the_person_it_is_for(alice, bob):
    """S20"""
    factories.something_everywhere(alice)
    factories.something_everywhere(bob)
    for person in (alice, bob):
        with tenancy.as_user(person.id):
            for model in owned_models():
                owner = "id" if model is User else "user_id"
                assert set(model._default_manager.values_list(owner, flat=True)) == {person.id}


def test_an_identity_of_nobody_sees_nothing(alice):
    with tenancy.as_user(ids.new_id()):
        assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_read_in_one_message_sees_its_user_only_and_leaves_no_identity(alice, charlie):
    """S17: outside any transaction, as requests make it."""
    query = "SELECT id FROM users WHERE id = %(wanted)s"
    wanted = {"wanted": alice.id}
    assert tenancy.read_as_user(alice.id, query, wanted) == [(alice.id,)]
    assert tenancy.read_as_user(charlie.id, query, wanted) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT nullif(current_setting('app.user_id', true), '')")
        assert cursor.fetchone() == (None,)
        cursor.execute("SELECT count(*) FROM users")
        assert cursor.fetchone() == (0,)
