"""An exchange that answers nobody is left alone, but for one account that tries."""

from datetime import timedelta

import pytest

from exchanges import circuits
from exchanges.circuits import Circuit
from exchanges.models import Exchange, ExchangeCircuit
from tests.threads import at_once
from tracker import clock, tenancy

SECOND = timedelta(seconds=1)


@pytest.fixture
def exchange(db):
    with tenancy.as_system("test"):
        row, _ = Exchange.objects.get_or_create(
            id="binance", defaults={"name": "Binance", "ccxt_version": "test"}
        )
    return row.id


@pytest.fixture
def note(exchange):
    def note(now, *, answered=0, unanswered=0):
        with tenancy.as_system("test"):
            circuits.note(
                exchange=exchange, answered=answered, unanswered=unanswered, now=now
            )  # fmt: skip

    return note


def standing(now):
    with tenancy.as_system("test"):
        return circuits.standing(now=now)


def test_it_opens_after_three_accounts_without_an_answer(note):
    now = clock.now()
    note(now, unanswered=2)
    assert standing(now) == {}
    note(now, unanswered=1)
    assert standing(now) == {"binance": Circuit.OPEN}


def test_an_answer_in_between_keeps_it_closed(note):
    now = clock.now()
    note(now, unanswered=2)
    note(now, answered=1, unanswered=7)
    note(now, unanswered=2)
    assert standing(now) == {}


def test_after_its_pause_one_account_tries_and_an_answer_closes_it(note, exchange):
    now = clock.now()
    note(now, unanswered=3)
    later = now + circuits.FIRST_PAUSE
    assert standing(later - SECOND) == {"binance": Circuit.OPEN}
    assert standing(later) == {"binance": Circuit.HALF_OPEN}
    with tenancy.as_system("test"):
        assert circuits.trying(exchange=exchange, now=later)
        assert not circuits.trying(exchange=exchange, now=later)
    note(later, answered=1)
    assert standing(later) == {}


def test_each_failed_try_doubles_the_pause_up_to_ten_minutes(note, exchange):
    now = clock.now()
    note(now, unanswered=3)
    pauses = []
    for _ in range(7):
        with tenancy.as_system("test"):
            open_until = ExchangeCircuit.objects.get().open_until
            assert circuits.trying(exchange=exchange, now=open_until)
        pauses.append(round((open_until - now).total_seconds()))
        now = open_until
        note(now, unanswered=1)
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_time_outs_of_visits_that_had_begun_before_do_not_lengthen_the_pause(note):
    now = clock.now()
    note(now, unanswered=3)
    note(now + SECOND, unanswered=50)
    assert standing(now + circuits.FIRST_PAUSE) == {"binance": Circuit.HALF_OPEN}


def test_a_try_whose_worker_died_is_tried_by_another(note, exchange):
    now = clock.now()
    note(now, unanswered=3)
    later = now + circuits.FIRST_PAUSE
    with tenancy.as_system("test"):
        assert circuits.trying(exchange=exchange, now=later)
        assert circuits.trying(exchange=exchange, now=later + circuits.LONGEST_TRY)


def test_since_when_it_answers_nobody_is_told(note, exchange):
    now = clock.now()
    note(now - SECOND, unanswered=1)
    note(now, unanswered=2)
    with tenancy.as_system("test"):
        assert circuits.unreachable_since([exchange, "kraken"]) == {exchange: now - SECOND}


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_tries(note, exchange):
    now = clock.now()
    note(now, unanswered=3)

    def attempt(number):
        with tenancy.as_system("test"):
            return circuits.trying(exchange=exchange, now=now + circuits.FIRST_PAUSE)

    assert sum(at_once(8, attempt)) == 1
