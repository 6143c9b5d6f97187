"""Data keys: one per person, and master keys that can be exchanged under a running system."""

import os
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from accounts import datakeys
from accounts.models import DataKey
from audit.actions import Action
from audit.models import ActivityLog
from exchanges import credentials
from exchanges.models import ExchangeCredential
from tests import factories, threads
from tracker import tenancy, vault
from tracker.vault import Keyring, UnknownKey

OLD, NEW = os.urandom(32), os.urandom(32)
BEFORE, DURING, AFTER = Keyring((OLD,)), Keyring((NEW, OLD)), Keyring((NEW,))
PEOPLE = 7


@pytest.fixture
def people(db, settings) -> list[Any]:
    """People with a data key under the old master key."""
    return _people(settings)


def _people(settings: Any) -> list[Any]:
    settings.ENCRYPTION_KEYRING = BEFORE
    made = [factories.person(f"person{number}@example.com") for number in range(PEOPLE)]
    for user in made:
        with tenancy.as_user(user.id):
            datakeys.obtain(user.id)
    return made


def opened(users: list[Any]) -> list[bytes]:
    """The data keys in the clear, as the settings in force open them."""
    found = []
    for user in users:
        with tenancy.as_user(user.id):
            found.append(datakeys.obtain(user.id))
    return found


def stored() -> list[tuple[Any, ...]]:
    with tenancy.as_system("test"):
        rows = DataKey.objects.order_by("user_id").values_list("user_id", "key_id", "wrapped_key")
        return [(user_id, key_id, bytes(wrapped)) for user_id, key_id, wrapped in rows]


def key_ids() -> list[str]:
    return [key_id for _, key_id, _ in stored()]


# --- one per person -----------------------------------------------------------------------------
def test_a_data_key_is_made_once_and_differs_between_people(people):
    """S21"""
    first = opened(people)
    assert opened(people) == first
    assert len(set(first)) == PEOPLE
    assert {len(key) for key in first} == {32}


def test_a_data_key_is_stored_only_wrapped(people):
    """S21"""
    clear = opened(people)
    assert not any(key in wrapped for key in clear for _, _, wrapped in stored())


@pytest.mark.django_db(transaction=True)
def test_two_at_once_get_the_same_data_key():
    """S21: or what one of them seals could never be opened."""
    user = factories.person("alice@example.com")

    def obtain(number: int) -> bytes:
        with tenancy.as_user(user.id):
            return datakeys.obtain(user.id)

    found = threads.at_once(8, obtain)
    assert len(set(found)) == 1


def test_the_data_key_of_another_person_does_not_open_a_credential(people):
    """S21: a row copied to another person, past the fences, stays closed."""
    alice, bob = people[:2]
    connected = factories.connection(alice)
    with tenancy.as_system("test"):
        row = ExchangeCredential.objects.get(connection=connected)
    key_of_alice, key_of_bob = opened([alice, bob])
    place = {"row_id": row.id, "field": "api_secret"}
    sealed = bytes(row.api_secret)
    assert (
        vault.unseal(sealed, data_key=key_of_alice, user_id=alice.id, **place)
        == factories.API_KEY.api_secret
    )
    for data_key, user in ((key_of_bob, bob), (key_of_alice, bob), (key_of_bob, alice)):
        with pytest.raises(vault.Tampered):
            vault.unseal(sealed, data_key=data_key, user_id=user.id, **place)


def test_fields_of_a_credential_cannot_be_exchanged(people):
    """S21: the public half in the place of the secret one."""
    alice = people[0]
    factories.connection(alice)
    with tenancy.as_system("test"):
        row = ExchangeCredential.objects.get()
    (data_key,) = opened([alice])
    place = {"data_key": data_key, "user_id": alice.id, "row_id": row.id}
    for field in credentials.FIELDS:
        for other in credentials.FIELDS:
            sealed = bytes(getattr(row, other))
            if field == other:
                expected = getattr(factories.API_KEY, field)
                assert vault.unseal(sealed, **place, field=field) == expected
            else:
                with pytest.raises(vault.Tampered):
                    vault.unseal(sealed, **place, field=field)


# --- rotation -----------------------------------------------------------------------------------
def test_rotation_wraps_every_data_key_with_the_current_key(people, settings, capsys):
    """S22: and says how many."""
    clear = opened(people)
    settings.ENCRYPTION_KEYRING = DURING
    call_command("rotate_encryption_keys")
    assert set(key_ids()) == {AFTER.current_id}
    assert f"{PEOPLE} data keys are now wrapped by the current key." in capsys.readouterr().out
    settings.ENCRYPTION_KEYRING = AFTER
    assert opened(people) == clear


def test_afterwards_the_retired_key_alone_opens_nothing(people, settings):
    """S22"""
    settings.ENCRYPTION_KEYRING = DURING
    call_command("rotate_encryption_keys")
    settings.ENCRYPTION_KEYRING = BEFORE
    for user in people:
        with pytest.raises(UnknownKey):
            opened([user])
    for user_id, _, wrapped in stored():
        forged = vault.WrappedKey(BEFORE.current_id, wrapped)
        with pytest.raises(vault.Tampered):
            BEFORE.unwrap(forged, user_id=user_id)


def test_what_was_sealed_before_opens_after(people, settings):
    """S22: rotation touches data keys, never what they sealed."""
    connected = factories.connection(people[0])
    with tenancy.as_system("test"):
        before = ExchangeCredential.objects.values().get(connection=connected)
    settings.ENCRYPTION_KEYRING = DURING
    call_command("rotate_encryption_keys")
    settings.ENCRYPTION_KEYRING = AFTER
    with tenancy.as_system("test"):
        row = ExchangeCredential.objects.values().get(connection=connected)
    assert row == before
    opened_secret = vault.unseal(
        bytes(row["api_secret"]), data_key=opened(people[:1])[0], user_id=people[0].id,
        row_id=row["id"], field="api_secret",
    )  # fmt: skip
    assert opened_secret == factories.API_KEY.api_secret


def test_rotation_that_was_killed_midway_is_finished_by_running_it_again(people, settings, capsys):
    """S22: meanwhile everything opens, and rows already done are left alone."""
    clear = opened(people)
    settings.ENCRYPTION_KEYRING = DURING
    progress = datakeys.rotate(batch_size=2)
    assert [next(progress).done for _ in range(3)] == [0, 2, 4]
    progress.close()
    midway = stored()
    assert sorted(key_ids()) == sorted([DURING.current_id] * 4 + [BEFORE.current_id] * 3)
    assert opened(people) == clear
    call_command("rotate_encryption_keys")
    assert "3 data keys are now wrapped" in capsys.readouterr().out
    done = {row for row in midway if row[1] == DURING.current_id}
    assert done <= set(stored())
    settings.ENCRYPTION_KEYRING = AFTER
    assert opened(people) == clear


def test_progress_names_what_is_done_and_what_there_is_to_do(people, settings):
    """S22"""
    settings.ENCRYPTION_KEYRING = DURING
    told = [(state.done, state.total) for state in datakeys.rotate(batch_size=3)]
    assert told == [(0, 7), (3, 7), (6, 7), (7, 7)]
    assert [(state.done, state.total) for state in datakeys.rotate()] == [(0, 0)]


def test_rotating_twice_changes_nothing(people, settings, capsys):
    """S22"""
    settings.ENCRYPTION_KEYRING = DURING
    call_command("rotate_encryption_keys")
    before = stored()
    call_command("rotate_encryption_keys")
    assert stored() == before
    assert "0 data keys" in capsys.readouterr().out


def test_without_the_old_key_rotation_fails_in_one_sentence_and_changes_nothing(people, settings):
    """S22"""
    before = stored()
    settings.ENCRYPTION_KEYRING = AFTER
    with pytest.raises(CommandError) as failure:
        call_command("rotate_encryption_keys")
    text = str(failure.value)
    assert BEFORE.current_id in text
    assert "\n" not in text
    assert (text.count(". "), text[-1]) == (0, ".")
    assert stored() == before
    assert not [row for row in _log() if row.action == Action.KEYS_ROTATED]


def test_rotation_is_in_the_activity_log(people, settings):
    settings.ENCRYPTION_KEYRING = DURING
    call_command("rotate_encryption_keys")
    (entry,) = [row for row in _log() if row.action == Action.KEYS_ROTATED]
    assert entry.details == {"count": PEOPLE}


def _log() -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.all())


@pytest.mark.django_db(transaction=True)
def test_rotation_says_so_when_rows_in_other_hands_were_left_over(settings):
    """S22: otherwise somebody takes a key away that is still needed."""
    people = _people(settings)
    settings.ENCRYPTION_KEYRING = DURING
    held = connections.create_connection("default")
    held.set_autocommit(False)
    with held.cursor() as cursor:
        cursor.execute("SELECT set_config('app.system', 'test', true)")
        cursor.execute("SELECT 1 FROM user_data_keys WHERE user_id = %s FOR UPDATE", [people[0].id])
    try:
        with pytest.raises(CommandError, match="6 of 7 data keys"):
            call_command("rotate_encryption_keys")
        assert sorted(key_ids()) == sorted([DURING.current_id] * 6 + [BEFORE.current_id])
    finally:
        held.rollback()
        held.close()
    call_command("rotate_encryption_keys")
    assert set(key_ids()) == {DURING.current_id}


@pytest.mark.django_db(transaction=True)
def test_a_batch_is_wrapped_wholly_or_not_at_all(settings):
    """S22: one row that cannot be opened keeps its batch as it was, and is named."""
    people = _people(settings)
    stranger = Keyring((os.urandom(32),))
    with tenancy.as_system("test"), transaction.atomic():
        DataKey.objects.filter(user_id=people[2].id).update(key_id=stranger.current_id)
    before = stored()
    settings.ENCRYPTION_KEYRING = DURING
    with pytest.raises(CommandError, match=stranger.current_id):
        call_command("rotate_encryption_keys")
    assert stored() == before
