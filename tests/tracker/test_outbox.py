"""The activity log and the one door upwards: an act and its telling exist together or not at all,
and what could not be told is told later, once."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, transaction

from audit import log
from audit.actions import Action
from audit.log import Happening
from audit.models import ActivityLog, OutboxEntry
from tests import factories
from tracker import clock, tenancy

ACT = Action.USER_SIGNED_OUT  # nobody above listens to it
OTHER = Action.REAUTHENTICATED


class Subscriber:
    """Listens; fails as long as it is told to."""

    def __init__(self) -> None:
        self.heard: list[Happening] = []
        self.asked = 0
        self.broken = False

    def __call__(self, happening: Happening) -> None:
        self.asked += 1
        if self.broken:
            raise RuntimeError("the room above is on fire")
        self.heard.append(happening)


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    """Somebody above who subscribed as its app became ready, for the length of one test."""
    before = {action: list(found) for action, found in log._subscribers.items()}
    listening = Subscriber()
    log.subscribe(ACT, listening)
    yield listening
    log._subscribers.clear()
    log._subscribers.update(defaultdict(list, before))


@pytest.fixture
def alice(transactional_db):
    return factories.person("alice@example.com")


def act(user: Any, **details: Any) -> None:
    with tenancy.as_user(user.id):
        log.record(ACT, user_id=user.id, **details)


def entries() -> list[OutboxEntry]:
    with tenancy.as_system("test"):
        return list(OutboxEntry.objects.all())


def acts() -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.order_by("created_at"))


def sweep(after: timedelta = log.SWEEP_AFTER + timedelta(seconds=1)) -> int:
    return log.sweep(now=clock.now() + after)


def test_a_subscriber_is_told_after_the_commit_and_the_row_goes(alice, subscriber):
    with tenancy.as_user(alice.id):
        log.record(ACT, user_id=alice.id, thing="x")
        assert subscriber.heard == []
    (told,) = subscriber.heard
    assert (told.action, told.user_id, told.details) == (ACT, alice.id, {"thing": "x"})
    assert entries() == []
    assert [(row.action, row.details) for row in acts()] == [(ACT, {"thing": "x"})]


def test_an_act_that_nobody_listens_to_leaves_no_row(alice, subscriber):
    with tenancy.as_user(alice.id):
        log.record(OTHER, user_id=alice.id)
        assert not OutboxEntry.objects.exists()
    assert [row.action for row in acts()] == [OTHER]
    assert subscriber.asked == 0


def test_an_act_in_a_transaction_that_is_rolled_back_leaves_nothing(alice, subscriber):
    """Neither a log row, nor an outbox row, nor a call."""
    with contextlib.suppress(ZeroDivisionError), tenancy.as_user(alice.id):
        log.record(ACT, user_id=alice.id)
        _ = 1 / 0
    with tenancy.as_user(alice.id):
        log.record(ACT, user_id=alice.id)
        transaction.set_rollback(True)
    assert (acts(), entries(), subscriber.asked) == ([], [], 0)
    assert sweep() == 0


def test_a_subscriber_that_fails_does_not_undo_the_act_and_leaves_the_row(alice, subscriber):
    subscriber.broken = True
    act(alice)
    assert len(acts()) == 1
    (left,) = entries()
    assert (left.action, left.user_id, left.attempts) == (ACT, alice.id, 1)


def test_what_failed_is_delivered_later_and_once(alice, subscriber):
    """S41: the sweeper finds it, and does not find it again."""
    subscriber.broken = True
    act(alice, thing="x")
    assert sweep() == 0
    assert entries()[0].attempts == 2
    subscriber.broken = False
    assert sweep() == 1
    assert sweep() == 0
    assert [told.details for told in subscriber.heard] == [{"thing": "x"}]
    assert entries() == []


def test_what_a_dead_process_left_behind_is_delivered(alice, subscriber):
    """S41: committed, and killed before anybody was told."""
    with tenancy.as_user(alice.id):
        OutboxEntry.objects.create(user=alice, action=ACT, details={"thing": "x"})
    assert sweep() == 1
    assert [told.details for told in subscriber.heard] == [{"thing": "x"}]
    assert entries() == []


def test_a_fresh_row_is_left_to_the_process_that_wrote_it(alice, subscriber):
    with tenancy.as_user(alice.id):
        OutboxEntry.objects.create(user=alice, action=ACT)
    assert sweep(after=timedelta(seconds=1)) == 0
    assert subscriber.asked == 0
    assert len(entries()) == 1


def test_one_broken_delivery_does_not_stop_the_others(alice, subscriber):
    """S41: an act of a name that nobody knows any more, before one that is known."""
    with tenancy.as_user(alice.id):
        OutboxEntry.objects.create(user=alice, action="name.of.another.time")
        OutboxEntry.objects.create(user=alice, action=ACT)
    assert sweep() == 1
    assert len(subscriber.heard) == 1
    assert [row.action for row in entries()] == ["name.of.another.time"]


def test_many_broken_rows_do_not_keep_a_good_one_waiting_for_ever(alice, subscriber):
    """S41: those that failed most often come last."""
    with tenancy.as_user(alice.id):
        OutboxEntry.objects.bulk_create(
            [OutboxEntry(user=alice, action="name.of.another.time") for _ in range(500)]
        )
        OutboxEntry.objects.create(user=alice, action=ACT)
    assert [sweep(), sweep()] == [0, 1]
    assert len(subscriber.heard) == 1


def test_a_row_can_fail_for_years(alice, subscriber):
    """S41: its count stops at what the column holds and the sweep goes on."""
    subscriber.broken = True
    with tenancy.as_user(alice.id):
        OutboxEntry.objects.create(user=alice, action=ACT, attempts=32_767)
    assert sweep() == 0
    assert entries()[0].attempts == 32_767


def test_a_delivery_runs_under_no_identity_of_the_act(alice, subscriber):
    """S20: a subscriber says itself for whom it acts."""
    seen: list[Any] = []
    log.subscribe(ACT, lambda happening: seen.append(tenancy.current()))
    act(alice)
    sweep()
    assert seen == [tenancy.Identity()]


def test_nobody_can_write_an_act_of_somebody_else(alice):
    """S16"""
    bob = factories.person("bob@example.com")
    with pytest.raises(ProgrammingError, match="row-level security"), tenancy.as_user(bob.id):
        log.record(ACT, user_id=alice.id)
    with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
        log.record(ACT, user_id=alice.id)
    assert acts() == []
