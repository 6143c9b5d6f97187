"""What happens to somebody's facts while their figures are being computed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from accounts.models import User
from accounts.privacy import erasure
from exchanges import connections
from portfolios import derivation
from portfolios.ledger import books
from portfolios.models import Lot, PortfolioState
from tests import broker, factories, threads
from tests.portfolios.bookings import book, buy, day, gains, marks, open_lots, sell
from tracker import clock, ids, tenancy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice():
    return factories.person("alice@example.com")


@pytest.fixture
def account(alice):
    return factories.connection(alice)


def derive(user) -> bool:
    return derivation.derive(user_id=user.id, now=clock.now())


@contextmanager
def lots_locked() -> Iterator[None]:
    """Nobody can write a lot: whoever computes waits there with all that they have read."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE lots IN SHARE MODE")
        yield


def while_deriving(user: User, happens: Callable[[], object]) -> list[bool]:
    """Have something happen while a worker has read the ledger and written nothing yet.

    Returns what the worker's ``derive`` returned.
    """
    found: list[bool] = []
    worker = threading.Thread(
        target=lambda: found.append(threads.in_a_thread(lambda: derive(user)))
    )
    with lots_locked():
        worker.start()
        threads.await_somebody_waiting()
        other = threading.Thread(target=lambda: threads.in_a_thread(happens))
        other.start()
        other.join(30)
        assert not other.is_alive(), "it waited for the worker"
    worker.join(30)
    return found


def test_what_arrives_while_figures_are_computed_is_not_forgotten(alice, account):
    book(alice, account, buy("1", "100", day(0)), sell("1", "200", day(9)))
    done = while_deriving(alice, lambda: book(alice, account, buy("1", "40", day(0))))
    assert done == [True]
    assert marks(alice) == {"BTC", "USD"}
    with tenancy.as_user(alice.id):
        assert books.freshness(user_id=alice.id).updating
    queued = broker.waiting("derive")
    assert len(queued) == 3  # of both recordings, and of the worker that saw the second
    derive(alice)
    assert marks(alice) == set()
    assert len(open_lots(alice)) == 1


def test_the_same_mark_set_again_is_a_new_one(alice, account):
    """Late data of the very instant that is being computed: the mark looks the same."""
    book(alice, account, buy("1", "100", day(0)))
    while_deriving(alice, lambda: book(alice, account, buy("1", "70", day(0))))
    derive(alice)
    assert sorted(open_lots(alice)) == [("1", "100"), ("1", "70")]


def test_a_worker_whose_lease_was_taken_writes_nothing(alice, account):
    book(alice, account, buy("1", "100", day(0)))

    def taken() -> None:
        with tenancy.as_user(alice.id):
            PortfolioState.objects.filter(user=alice).update(derive_claimed_by=ids.new_id())

    assert while_deriving(alice, taken) == [False]
    assert open_lots(alice) == []
    assert marks(alice) == {"BTC", "USD"}


def test_somebody_who_is_erased_meanwhile_leaves_nothing_behind(alice, account):
    book(alice, account, buy("1", "100", day(0)))
    assert while_deriving(alice, lambda: erasure.close_doors(alice.id, clock.now())) == [False]
    erasure.erase(user_id=alice.id, now=clock.now())
    with tenancy.as_system("test"):
        assert not Lot.objects.exists()


def test_a_connection_that_is_removed_meanwhile_takes_its_lots_with_it(alice, account):
    other = factories.connection(alice, label="other")
    book(alice, account, buy("1", "100", day(0)))
    book(alice, other, buy("2", "60", day(1)), sell("1", "90", day(2)))
    while_deriving(alice, lambda: connections.remove(user_id=alice.id, connection_id=account.id))
    derive(alice)
    assert gains(alice) == [("1", "30", "90", "60")]
    assert open_lots(alice) == [("1", "30")]


def test_two_workers_at_once_compute_once(alice, account):
    book(alice, account, buy("2", "100", day(0)), sell("1", "200", day(9)))
    threads.at_once(4, lambda number: derive(alice))
    assert gains(alice) == [("1", "50", "200", "150")]
    assert open_lots(alice) == [("1", "50")]
