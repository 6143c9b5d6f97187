"""The activity log cannot be changed unnoticed.

The triggers refuse; who owns the tables can switch triggers off, and is found out by the seals.
Each kind of tampering is done here as that owner.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from psycopg import errors

from audit import log, sealing, verification
from audit.actions import Action
from audit.models import ActivityLog, ActivitySeal, UnsealedActivity
from audit.verification import Report
from tests import emptying, factories
from tracker import clock, ids, partitions, tenancy
from tracker.vault import Keyring

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TRIGGERS = {
    "activity_logs": ("note", "only_erasure", "refuse_delete"),
    "activity_seals": ("refuse_change",),
    "activity_unsealed": ("refuse_change",),
}


@pytest.fixture
def ann(db):
    return factories.person("ann@example.com")


@pytest.fixture
def system(db) -> Iterator[None]:
    with tenancy.as_system("test"):
        yield


def write(user: Any, count: int = 1, **given: Any) -> list[UUID]:
    """So many acts of a person, and their ids."""
    rows = [
        ActivityLog(
            user_id=user.id, action=Action.USER_SIGNED_IN, details={"number": number},
            ip_address="203.0.113.7", session_id=ids.new_id(), request_id="r" * 8, **given,
        )
        for number in range(count)
    ]  # fmt: skip
    with tenancy.as_user(user.id):
        ActivityLog.objects.bulk_create(rows)
    return [row.id for row in rows]


def sealed(user: Any, *sizes: int) -> list[UUID]:
    """Acts under one seal per size."""
    written = []
    for number, size in enumerate(sizes):
        written += write(user, size)
        assert sealing.seal_all(now=clock.now() + timedelta(minutes=number)) == size
    return written


def execute(statement: str, *parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.rowcount


@contextmanager
def tampering() -> Iterator[None]:
    """As the owner of the tables, with the triggers off."""

    def switch(verb: str) -> None:
        for table, names in TRIGGERS.items():
            for name in names:
                execute(f"ALTER TABLE {table} {verb} TRIGGER {name}")

    with tenancy.as_system("tampering"):
        switch("DISABLE")
        yield
        switch("ENABLE")


def kinds(report: Report) -> list[str]:
    return [finding.kind for finding in report.findings]


# --- what the triggers refuse -------------------------------------------------------------------
@pytest.mark.parametrize("statement", [
    "UPDATE activity_logs SET action = 'user.signed_out'",
    "UPDATE activity_logs SET created_at = created_at - interval '1 second'",
    "UPDATE activity_logs SET erased_at = now(), salt = NULL, details = '{}'",
    "DELETE FROM activity_logs",
    "TRUNCATE activity_logs",
    "TRUNCATE activity_logs_other",
    "UPDATE activity_seals SET mac = digest",
    "DELETE FROM activity_seals",
    "TRUNCATE activity_seals",
    "UPDATE activity_unsealed SET commitment = sha256('')",
    "TRUNCATE activity_unsealed",
])  # fmt: skip
@pytest.mark.parametrize("who", ["the person", "the system"])
def test_the_log_takes_rows_and_gives_none_back(ann, statement, who):
    """S54: append-only, for the person as for the system."""
    sealed(ann, 1)
    write(ann)
    emptying.refuse()
    me = tenancy.as_user(ann.id) if who == "the person" else tenancy.as_system("test")
    with pytest.raises(DatabaseError, match="append-only") as refusal, me, transaction.atomic():
        execute(statement)
    assert isinstance(refusal.value.__cause__, errors.InsufficientPrivilege)
    assert kinds(verification.verify()) == []


def test_partitions_made_later_refuse_as_well(ann, system):
    """S54: TRUNCATE needs a trigger on each, which PostgreSQL does not hand down."""
    emptying.refuse()
    partitions.ensure("activity_logs", first=date(2099, 1, 1), last=date(2099, 1, 31))
    for statement in ("TRUNCATE {}", "DELETE FROM activity_logs", "UPDATE activity_logs SET id=id"):
        ActivityLog.objects.bulk_create(
            [ActivityLog(action="x", created_at=datetime(2099, 1, 2, tzinfo=UTC))]
        )
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute(statement.format("activity_logs_209901"))


ERASING = {
    "keeps an address": "details='{}', session_id=NULL, request_id='', user_id=NULL",
    "keeps what it was about": "ip_address=NULL, session_id=NULL, request_id='', user_id=NULL",
    "writes something": "details='{\"a\": 1}', ip_address=NULL, session_id=NULL, request_id='', "
    "user_id=NULL",
    "keeps the person": "details='{}', ip_address=NULL, session_id=NULL, request_id=''",
    "changes the act": "details='{}', ip_address=NULL, session_id=NULL, request_id='', "
    "user_id=NULL, action='user.signed_out'",
    "changes the outcome": "details='{}', ip_address=NULL, session_id=NULL, request_id='', "
    "user_id=NULL, outcome='refused'",
}


@pytest.mark.parametrize("what", ERASING)
def test_erasing_may_empty_and_nothing_else(ann, system, what):
    """S54: the one exception is as narrow as it can be."""
    write_as_system(ann)
    execute("SELECT set_config('app.erasing', %s, true)", str(ann.id))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        execute(f"UPDATE activity_logs SET {ERASING[what]}, salt=NULL, erased_at=now()")


def test_erasing_one_person_cannot_empty_another(ann, system):
    """S54"""
    bob = User_of("bob@example.com")
    write_as_system(ann)
    execute("SELECT set_config('app.erasing', %s, true)", str(bob.id))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        execute(
            "UPDATE activity_logs SET details='{}', ip_address=NULL, session_id=NULL, "
            "request_id='', user_id=NULL, salt=NULL, erased_at=now()"
        )


def write_as_system(user: Any) -> None:
    ActivityLog.objects.bulk_create(
        [
            ActivityLog(
                user_id=user.id, action=Action.USER_SIGNED_IN, ip_address="203.0.113.7",
                details={"what": "it was about"},
            )
        ]
    )  # fmt: skip


def User_of(email: str) -> Any:  # noqa: N802
    return factories.User(id=ids.new_id(), email=email)


# --- sealing ------------------------------------------------------------------------------------
def test_every_row_is_sealed_once_and_the_seals_hang_together(ann):
    """S54"""
    written = sealed(ann, 3, 1, 2)
    first, second, third = ActivitySeal.objects.order_by("number")
    assert [first.number, second.number, third.number] == [1, 2, 3]
    assert bytes(first.previous) == bytes(32)
    assert (bytes(second.previous), bytes(third.previous)) == (first.digest, second.digest)
    members = b"".join(bytes(seal.members) for seal in (first, second, third))
    assert [UUID(bytes=members[n : n + 16]) for n in range(0, len(members), 56)] == sorted(written)
    assert not UnsealedActivity.objects.exists()
    report = verification.verify()
    assert (report.rows, report.seals, report.findings) == (6, 3, [])


def test_without_news_there_is_no_seal(ann):
    assert sealing.seal_all(now=NOW) == 0
    sealed(ann, 1)
    assert sealing.seal_all(now=NOW) == 0
    assert ActivitySeal.objects.count() == 1


def test_what_is_rolled_back_is_not_sealed(ann):
    with transaction.atomic():
        write(ann)
        transaction.set_rollback(True)
    assert sealing.seal_all(now=NOW) == 0


def test_a_long_wait_becomes_several_seals(ann, monkeypatch):
    monkeypatch.setattr(sealing, "MOST_ROWS", 4)
    write(ann, 10)
    assert sealing.seal_all(now=NOW) == 10
    assert [len(seal.members) // 56 for seal in ActivitySeal.objects.order_by("number")] == [
        4,
        4,
        2,
    ]
    assert kinds(verification.verify()) == []


def test_the_newest_digest_goes_to_the_structured_log(ann, caplog):
    """S54: an anchor outside the database."""
    sealed(ann, 1)
    assert sealing.head().digest.hex() in caplog.text


def test_the_commitment_hides_behind_its_salt(ann):
    """S54: the same act twice looks different, so that nobody can guess what was erased."""
    at = clock.now()
    write(ann, 1, created_at=at)
    write(ann, 1, created_at=at)
    first, second = UnsealedActivity.objects.all()
    assert bytes(first.commitment) != bytes(second.commitment)
    assert ActivityLog.objects.exclude(salt=None).count() in (0, 2)


def test_the_commitment_is_the_same_in_every_time_zone(ann, system):
    """S54: no setting of a connection makes a row look changed."""
    found = set()
    for zone in ("UTC", "Asia/Kathmandu"):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL TimeZone = '{zone}'")
            cursor.execute(
                "SELECT activity_commitment(NULL, NULL, timestamptz '2026-03-01 12:00+00', NULL, "
                "NULL, 'x', 'ok', '{}', '::1', NULL, '')"
            )
            found.add(bytes(cursor.fetchone()[0]))
    assert len(found) == 1


@pytest.mark.django_db(transaction=True)
def test_sealers_and_writers_at_once_make_one_chain_of_everything():
    """S54: concurrency is not serialised, and nothing is left out or sealed twice."""
    people = [factories.person(f"p{number}@example.com") for number in range(4)]

    def writer(user: Any) -> None:
        for _ in range(15):
            with tenancy.as_user(user.id):
                log.record(Action.USER_SIGNED_IN, user_id=user.id)

    def sealer() -> None:
        for _ in range(15):
            sealing.seal_all(now=clock.now())

    failed = in_threads([*(lambda user=user: writer(user) for user in people), sealer, sealer])
    sealing.seal_all(now=clock.now())
    report = verification.verify()
    assert (failed, report.rows, report.findings, report.unsealed) == ([], 60, [], 0)
    numbers = list(ActivitySeal.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.django_db(transaction=True)
def test_a_writer_does_not_wait_for_the_sealer():
    """S54: a row can be written while a seal is being made."""
    ann = factories.person("ann@example.com")
    write(ann)
    with tenancy.as_system("test"):
        execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", sealing._LOCK)
        execute("DELETE FROM activity_unsealed")
        failed = in_threads([lambda: write(ann)], each=lambda: execute("SET lock_timeout = '1s'"))
        transaction.set_rollback(True)
    assert failed == []
    assert sealing.seal_all(now=clock.now()) == 2


def in_threads(jobs: list[Callable[[], Any]], each: Callable[[], Any] = lambda: None) -> list[str]:
    failed: list[str] = []

    def run(job: Callable[[], Any]) -> None:
        try:
            each()
            job()
        except Exception as error:
            failed.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def test_rows_from_before_there_were_seals_are_sealed_too(ann):
    """S54: the migration gives each a salt of its own and notes it."""
    migration = import_module("audit.migrations.0005_append_only")
    with tampering():
        ActivityLog.objects.bulk_create(
            [ActivityLog(action="old.act", salt=UUID(int=1)) for _ in range(3)]
        )
        assert not UnsealedActivity.objects.exists()
        for statement in migration.BACKFILL:
            execute(statement)
        assert len(set(ActivityLog.objects.values_list("salt", flat=True))) == 3
    assert sealing.seal_all(now=NOW) == 3
    assert kinds(verification.verify()) == []


# --- finding what was done ----------------------------------------------------------------------
CHANGES = {
    "action": "action = 'user.signed_out'",
    "outcome": "outcome = 'refused'",
    "person": "user_id = gen_random_uuid()",
    "actor": "actor_id = gen_random_uuid()",
    "details": "details = details || '{\"number\": 7}'",
    "address": "ip_address = '198.51.100.1'",
    "no address": "ip_address = NULL",
    "session": "session_id = gen_random_uuid()",
    "request": "request_id = 'other'",
    "salt": "salt = gen_random_uuid()",
    "taken for erased": "erased_at = now(), salt = NULL",
}


@pytest.mark.parametrize("column", CHANGES)
@pytest.mark.parametrize("waiting", [False, True], ids=["sealed", "waiting"])
def test_a_changed_row_is_named(ann, column, waiting):
    """S54: each column, whether its seal was made already or not."""
    _, victim, _ = write(ann, 3) if waiting else sealed(ann, 3)
    with tampering():
        execute(f"UPDATE activity_logs SET {CHANGES[column]} WHERE id = %s", victim)
    (finding,) = verification.verify().findings
    assert (finding.kind, finding.log_id) == ("row_changed", victim)


@pytest.mark.parametrize("waiting", [False, True], ids=["sealed", "waiting"])
def test_a_missing_row_is_named(ann, waiting):
    """S54"""
    _, victim, _ = write(ann, 3) if waiting else sealed(ann, 3)
    with tampering():
        execute("DELETE FROM activity_logs WHERE id = %s", victim)
    (finding,) = verification.verify().findings
    assert (finding.kind, finding.log_id) == ("row_missing", victim)


def test_rows_that_changed_places_are_named(ann):
    """S54: reordered in time."""
    first, _, third = sealed(ann, 3)
    with tampering():
        times = dict(ActivityLog.objects.values_list("id", "created_at"))
        execute("UPDATE activity_logs SET created_at = %s WHERE id = %s",
                times[third] + timedelta(seconds=1), first)  # fmt: skip
    (finding,) = verification.verify().findings
    assert (finding.kind, finding.log_id) == ("row_moved", first)


def test_rows_that_exchanged_what_they_say_are_named(ann):
    first, second = sealed(ann, 2)
    with tampering():
        execute("UPDATE activity_logs SET details = jsonb_build_object('number', "
                "1 - (details->>'number')::int)")  # fmt: skip
    report = verification.verify()
    assert [(f.kind, f.log_id) for f in report.findings] == [
        ("row_changed", first), ("row_changed", second)
    ]  # fmt: skip


def test_a_row_that_was_slipped_in_is_named(ann):
    """S54: past the trigger, and into the past."""
    sealed(ann, 2)
    stranger = ActivityLog(action="user.signed_in", created_at=NOW - timedelta(days=1))
    with tampering():
        ActivityLog.objects.bulk_create([stranger])
    (finding,) = verification.verify().findings
    assert (finding.kind, finding.log_id) == ("row_unsealed", stranger.id)


def test_who_takes_a_row_off_the_waiting_list_is_found(ann):
    (victim,) = write(ann)
    with tampering():
        execute("DELETE FROM activity_unsealed")
    assert [(f.kind, f.log_id) for f in verification.verify().findings] == [
        ("row_unsealed", victim)
    ]


def forge(number: int, **changes: Any) -> None:
    """Change a seal and make its digest, but not its code, right again."""
    seal = ActivitySeal.objects.get(number=number)
    for name, value in changes.items():
        setattr(seal, name, value)
    seal.digest = sealing.digest_of(seal)
    execute(
        "UPDATE activity_seals SET sealed_at = %s, members = %s, previous = %s, digest = %s, "
        "key_id = %s WHERE number = %s",
        seal.sealed_at, bytes(seal.members), bytes(seal.previous), seal.digest, seal.key_id, number,
    )  # fmt: skip


def test_a_row_taken_out_together_with_its_seal_breaks_the_chain(ann):
    """S54: rewriting a seal needs the key, and each later seal too."""
    victim, *_ = sealed(ann, 1, 1, 1)
    with tampering():
        execute("DELETE FROM activity_logs WHERE id = %s", victim)
        forge(1, members=b"")
    assert kinds(verification.verify()) == ["seal_forged", "chain_broken"]
    with tampering():  # the whole chain after it as well
        for number in (2, 3):
            before = ActivitySeal.objects.get(number=number - 1)
            forge(number, previous=bytes(before.digest))
    assert kinds(verification.verify()) == ["seal_forged"] * 3


def test_a_forger_who_names_an_unknown_key_gains_nothing(ann):
    """S54: the newest seal must be of a key that we have."""
    sealed(ann, 1, 1)
    with tampering():
        forge(2, key_id="0" * 16)
    assert kinds(verification.verify()) == ["key_unknown"]


def test_a_seal_whose_members_were_exchanged_is_named(ann):
    sealed(ann, 2)
    with tampering():
        seal = ActivitySeal.objects.get()
        members = bytes(seal.members)
        execute("UPDATE activity_seals SET members = %s", members[56:] + members[:56])
    (finding,) = verification.verify().findings
    assert (finding.kind, finding.seal) == ("seal_changed", 1)


@pytest.mark.parametrize("number", [1, 2])
def test_a_seal_taken_out_is_named_with_the_rows_it_covered(ann, number):
    """S54"""
    written = sealed(ann, 1, 1, 1)
    with tampering():
        execute("DELETE FROM activity_seals WHERE number = %s", number)
    found = verification.verify().findings
    assert [finding.kind for finding in found] == ["seal_missing", "row_unsealed"]
    assert (found[0].seal, found[1].log_id) == (number, written[number - 1])


def test_seals_in_another_order_break_the_chain(ann):
    sealed(ann, 1, 1, 1)
    with tampering():
        for old, new in ((2, 9), (3, 2), (9, 3)):
            execute("UPDATE activity_seals SET number = %s WHERE number = %s", new, old)
    assert set(kinds(verification.verify())) == {"chain_broken", "seal_changed"}


def test_a_chain_cut_short_is_found_by_the_line_kept_outside(ann):
    """S54: rows and seals of the end are gone; only the anchor knows."""
    sealed(ann, 1, 1)
    anchor = f"2:{sealing.head().digest.hex()}"
    assert kinds(verification.verify(head=anchor)) == []
    with tampering():
        execute("DELETE FROM activity_seals WHERE number = 2")
        execute("DELETE FROM activity_logs WHERE details->>'number' = '0' AND id = (SELECT max(id::"
                "text)::uuid FROM activity_logs)")  # fmt: skip
    assert kinds(verification.verify()) == []
    assert kinds(verification.verify(head=anchor)) == ["head_differs"]


def test_a_rotated_key_takes_nothing_away(ann, settings):
    """S54: later seals vouch for earlier ones, so an old key may go."""
    written = sealed(ann, 1, 1)
    settings.ENCRYPTION_KEYRING = Keyring((hashlib.sha256(b"the next").digest(),))
    assert kinds(verification.verify()) == ["key_unknown"]
    write(ann)
    sealing.seal_all(now=clock.now())
    assert kinds(verification.verify()) == []
    with tampering():
        execute("DELETE FROM activity_logs WHERE id = %s", written[0])
        forge(1, members=b"")
    assert kinds(verification.verify()) == ["chain_broken"]


def test_verifying_from_a_day_on_looks_at_what_came_later(ann):
    before = write(ann, 1, created_at=NOW - timedelta(days=9))
    sealing.seal_all(now=NOW - timedelta(days=9))
    after = write(ann, 1, created_at=NOW)
    sealing.seal_all(now=NOW)
    since = NOW - timedelta(days=1)
    assert verification.count(since) == verification.verify(since=since).rows == 1
    with tampering():
        execute("UPDATE activity_logs SET outcome = 'x'")
    assert [f.log_id for f in verification.verify(since=since).findings] == after
    assert [f.log_id for f in verification.verify().findings] == before + after


# --- the sanctioned exceptions ------------------------------------------------------------------
def test_erasure_empties_a_persons_rows_and_the_chain_holds(ann):
    """S54, S49: what is left names nobody and counts as erased, not as changed."""
    bob = factories.person("bob@example.com")
    sealed(ann, 2)
    theirs = sealed(bob, 1)
    write(ann)  # one more that waits for its seal
    assert log.erase(ann.id) == 3
    report = verification.verify()
    assert (report.findings, report.erased) == ([], 3)
    assert sealing.seal_all(now=clock.now()) == 2  # the one, and the marker
    report = verification.verify()
    assert (report.findings, report.erased) == ([], 3)
    assert log.erase(ann.id) == 0
    with tenancy.as_system("test"):
        kept = ActivityLog.objects.get(user_id=bob.id)
        emptied = list(ActivityLog.objects.exclude(id=kept.id).exclude(erased_at=None))
        text = str(list(ActivityLog.objects.exclude(id=kept.id).values()))
    assert ([kept.id], kept.details) == (theirs, {"number": 0})
    for row in emptied:
        assert (row.user_id, row.ip_address, row.session_id, row.salt) == (None,) * 4
        assert (row.details, row.request_id, row.action) == ({}, "", Action.USER_SIGNED_IN)
    assert str(ann.id) not in text


def test_erasing_somebody_of_staff_leaves_no_name_on_what_they_did_for_others(ann):
    """S49: the person whom it concerned still sees that it happened."""
    staff = factories.person("staff@example.com", is_staff=True)
    with tenancy.as_system("test"):
        log.record(Action.STAFF_ACTED, user_id=ann.id, actor_id=staff.id, did="change")
    assert log.erase(staff.id) == 1
    with tenancy.as_user(ann.id):
        row = ActivityLog.objects.get()
    assert (row.user_id, row.actor_id, row.details) == (ann.id, None, {})
    assert kinds(verification.verify()) == []


def test_who_is_erased_after_the_staff_that_helped_them_leaves_no_name_either(ann):
    """S49: the row was empty already, and still named them."""
    staff = factories.person("staff@example.com", is_staff=True)
    with tenancy.as_system("test"):
        log.record(Action.STAFF_ACTED, user_id=ann.id, actor_id=staff.id, did="change")
    log.erase(staff.id)
    log.erase(ann.id)
    with tenancy.as_system("test"):
        rows = ActivityLog.objects.filter(action=Action.STAFF_ACTED)
        assert list(rows.values_list("user_id", "actor_id")) == [(None, None)]
    assert kinds(verification.verify()) == []


def test_an_erased_row_that_says_something_again_is_named(ann):
    (victim,) = sealed(ann, 1)
    log.erase(ann.id)
    with tampering():
        execute("UPDATE activity_logs SET details = '{\"lie\": 1}' WHERE id = %s", victim)
    assert [(f.kind, f.log_id) for f in verification.verify().findings] == [("row_changed", victim)]


def emptied_one_by_one(person: Any, row: UUID, at: str = "clock_timestamp()") -> None:
    """What the application's own role can do past ``log.erase``: the trigger lets it through."""
    with tenancy.as_system("test"):
        execute("SELECT set_config('app.erasing', %s, true)", str(person.id))
        execute(
            "UPDATE activity_logs SET user_id = nullif(user_id, %s), "
            "actor_id = nullif(actor_id, %s), details = '{}', ip_address = NULL, "
            f"session_id = NULL, request_id = '', salt = NULL, erased_at = {at} WHERE id = %s",
            person.id, person.id, row,
        )  # fmt: skip


def unmarked() -> list[UUID | None]:
    found = verification.verify().findings
    assert {finding.kind for finding in found} <= {"row_erased_without_marker"}
    return [finding.log_id for finding in found]


@pytest.mark.parametrize("waiting", [False, True], ids=["sealed", "waiting"])
def test_a_row_emptied_without_an_erasure_is_named(ann, waiting):
    """S54: one act taken out of the log by the way that is open for erasure."""
    _, victim, _ = write(ann, 3) if waiting else sealed(ann, 3)
    emptied_one_by_one(ann, victim)
    assert unmarked() == [victim]
    sealing.seal_all(now=clock.now())
    assert unmarked() == [victim]


def test_an_act_of_staff_emptied_without_an_erasure_is_named(ann):
    """S54: what somebody of staff did to others does not vanish by emptying who it was."""
    staff = factories.person("staff@example.com", is_staff=True)
    (victim,) = write(ann, 1, actor_id=staff.id)
    sealing.seal_all(now=NOW)
    emptied_one_by_one(staff, victim)
    assert unmarked() == [victim]


def test_a_row_slipped_into_a_true_erasure_is_noticed(ann):
    """S54: the moment of an erasure vouches for its own rows alone."""
    bob = factories.person("bob@example.com")
    (victim,) = sealed(ann, 1)
    (theirs,) = write(bob)
    assert log.erase(bob.id) == 1
    assert unmarked() == []
    at = "(SELECT max(erased_at) FROM activity_logs)"
    emptied_one_by_one(ann, victim, at)
    assert set(unmarked()) == {victim, theirs}


@pytest.mark.parametrize("details", [
    {}, {"months": 1}, {"erased_at": 1, "months": []}, {"erased_at": "x", "months": {"2026-03": 1}},
])  # fmt: skip
def test_a_marker_that_says_nothing_vouches_for_nothing(ann, details):
    (victim,) = sealed(ann, 1)
    emptied_one_by_one(ann, victim)
    with tenancy.as_system("test"):
        log.record(Action.ACTIVITY_ERASED, user_id=None, **details)
    assert unmarked() == [victim]


def test_the_marker_names_nobody_and_goes_with_the_erasure(ann):
    """S49, S54: written in the same transaction, or not at all."""
    write(ann, 2)
    with tenancy.as_system("test"):
        with transaction.atomic():
            log.erase(ann.id)
            transaction.set_rollback(True)
        assert ActivityLog.objects.filter(action=Action.ACTIVITY_ERASED).count() == 0
        log.erase(ann.id)
        log.erase(ann.id)  # nothing left to empty, nothing to say
        marker = ActivityLog.objects.get(action=Action.ACTIVITY_ERASED)
    assert (marker.user_id, marker.actor_id, marker.ip_address) == (None,) * 3
    assert set(marker.details) == {"rows", "erased_at", "months"}
    assert str(ann.id) not in str(marker.details)


def test_the_marker_of_an_erasure_holds_when_its_oldest_month_is_retired(ann):
    """S54: retention drops part of what one erasure emptied."""
    with tenancy.as_system("test"):
        partitions.ensure("activity_logs", first=date(2024, 1, 1), last=date(2024, 3, 1))
    for month in (1, 3):
        write(ann, 2, created_at=datetime(2024, month, 9, tzinfo=UTC))
    sealing.seal_all(now=NOW)
    assert log.erase(ann.id) == 4
    assert log.retire(before=datetime(2024, 2, 20, tzinfo=UTC)) == 1
    report = verification.verify()
    assert (report.findings, report.retired, report.erased) == ([], 2, 2)


def test_retired_months_are_known_by_their_marker(ann):
    """S54: whole months go, the rest and the chain stay."""
    with tenancy.as_system("test"):
        partitions.ensure("activity_logs", first=date(2024, 1, 1), last=date(2024, 3, 1))
    for month in (1, 2, 3):
        write(ann, 2, created_at=datetime(2024, month, 9, tzinfo=UTC))
    sealing.seal_all(now=NOW)
    before = datetime(2024, 3, 20, tzinfo=UTC)
    assert log.retire(before=before, dry_run=True) == 2
    assert log.retire(before=before) == 2
    assert log.retire(before=before) == 0
    sealing.seal_all(now=NOW)
    report = verification.verify()
    assert (report.findings, report.retired) == ([], 4)
    with tenancy.as_user(ann.id):
        assert {row.created_at.month for row in ActivityLog.objects.all()} == {3}
    with tampering():  # what was not retired is missed
        execute("DELETE FROM activity_logs WHERE created_at < '2024-04-01'")
    assert kinds(verification.verify()) == ["row_missing"] * 2


# --- the command --------------------------------------------------------------------------------
def test_the_command_says_that_all_is_well(ann, capsys):
    sealed(ann, 2)
    call_command("verify_activity_log")
    said = capsys.readouterr().out
    assert "2 rows under 1 seals" in said
    assert "is what was sealed" in said
    head = re.search(r"Newest seal: (\S+)", said)[1]
    call_command("verify_activity_log", head=head, since="2020-01-01")


def test_the_command_names_what_it_found_and_fails(ann, capsys):
    """S54: exit code 1, for a scheduler."""
    victim, _ = sealed(ann, 2)
    with tampering():
        execute("DELETE FROM activity_logs WHERE id = %s", victim)
    with pytest.raises(CommandError, match="1 findings") as failure:
        call_command("verify_activity_log")
    assert failure.value.returncode == 1
    assert f"row_missing: Row {victim}" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"since": "soon"}, {"head": "1"}, {"head": "x:" + "0" * 64}])
def test_the_command_refuses_what_it_cannot_read(db, wrong):
    with pytest.raises(CommandError, match="is a"):
        call_command("verify_activity_log", **wrong)
