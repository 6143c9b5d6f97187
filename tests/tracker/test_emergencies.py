"""What operators do when something burns: hold an exchange, drop a queue, sign everybody out."""

import asyncio
from datetime import timedelta
from io import StringIO

import pytest
import redis
from django.contrib.sessions.models import Session as StaffSession
from django.core.management import CommandError, call_command

from accounts.models import Session
from audit import tasks as audit_tasks
from audit.actions import Action
from audit.models import ActivityLog
from exchanges import circuits, tasks
from exchanges.circuits import Circuit
from exchanges.gateway.budget import Budget
from exchanges.models import ExchangeConnection
from portfolios.sync import dispatch
from tests import broker, factories
from tracker import clock, tenancy

pytestmark = pytest.mark.django_db(transaction=True)


def run(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def logged(action: Action) -> list[dict]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).values_list("details", flat=True))


# --- an exchange --------------------------------------------------------------------------------
@pytest.fixture
def due():
    """Alice has an account at Binance and one at Kraken, both due."""
    person = factories.person("alice@example.com")
    for name in ("binance", "kraken"):
        account = factories.connection(person, label=name)
        with tenancy.as_user(person.id):
            account.exchange = factories.exchange(name)
            account.next_sync_at = clock.now() - timedelta(minutes=1)
            account.save()
    return person


def test_an_exchange_that_is_held_is_left_alone_and_one_account_tries_when_that_is_over(due):
    said = run("hold_exchange", "binance", "--minutes", "30")
    assert said.startswith("Nobody asks binance until ")
    assert "binance: 0:29:5" in run("hold_exchange")
    now = clock.now()
    assert dispatched(now) == {"kraken"}
    with tenancy.as_system("test"):
        assert circuits.standing(now=now) == {"binance": Circuit.OPEN}
        assert circuits.standing(now=now + timedelta(minutes=31)) == {"binance": Circuit.HALF_OPEN}
    assert run("hold_exchange", "binance", "--release") == "binance is asked again.\n"
    assert run("hold_exchange", "binance", "--release") == "binance was not held.\n"
    assert run("hold_exchange") == "No exchange is left alone.\n"
    assert dispatched(clock.now() + timedelta(seconds=1)) == {"binance"}
    assert logged(Action.EXCHANGE_HELD) == [{"exchange": "binance", "seconds": 1800}]


def test_nothing_that_was_under_way_cuts_a_hold_short(due, settings):
    run("hold_exchange", "binance", "--minutes", "60")
    now = clock.now()
    asyncio.run(Budget(settings.REDIS_URL, {}).stop("binance", 5))
    with tenancy.as_system("test"):
        circuits.note(exchange="binance", answered=1, unanswered=0, now=now)
        assert circuits.standing(now=now) == {"binance": Circuit.OPEN}
    assert "binance: 0:59:5" in run("hold_exchange")
    assert dispatched(now) == {"kraken"}
    over = now + timedelta(minutes=61)
    with tenancy.as_system("test"):
        assert circuits.standing(now=over) == {"binance": Circuit.HALF_OPEN}
        circuits.note(exchange="binance", answered=1, unanswered=0, now=over)
        assert circuits.standing(now=over) == {}


def test_what_was_told_to_wait_for_the_end_of_a_hold_is_due_when_it_is_released(due):
    run("hold_exchange", "binance", "--minutes", "60")
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(exchange_id="binance").update(
            next_sync_at=clock.now() + timedelta(hours=1), reason="exchange_rate_limited"
        )
    run("hold_exchange", "binance", "--release")
    assert "binance" in dispatched(clock.now() + timedelta(seconds=1))


def test_a_longer_hold_stays_until_it_is_released(due):
    said = run("hold_exchange", "binance", "--minutes", "60")
    assert run("hold_exchange", "binance", "--minutes", "5")[:-10] == said[:-10]
    assert "binance: 0:59:5" in run("hold_exchange")
    run("hold_exchange", "binance", "--release")
    now = clock.now()
    with tenancy.as_system("test"):
        circuits.note(exchange="binance", answered=1, unanswered=0, now=now)
        assert circuits.standing(now=now) == {}


def dispatched(now) -> set[str]:
    with tenancy.as_system("test"):
        before = set(ExchangeConnection.objects.filter(next_sync_at__lte=now))
    dispatch.dispatch_due(now=now)
    with tenancy.as_system("test"):
        after = set(ExchangeConnection.objects.filter(next_sync_at__lte=now))
    return {account.exchange_id for account in before - after}


@pytest.mark.parametrize(
    "arguments", [("pigeons",), ("binance", "--minutes", "0"), ("binance", "--minutes", "20000")]
)
def test_what_cannot_be_held_is_refused(due, arguments):
    with pytest.raises(CommandError):
        run("hold_exchange", *arguments)
    assert run("hold_exchange") == "No exchange is left alone.\n"


# --- a queue ------------------------------------------------------------------------------------
def test_a_queue_is_looked_at_and_dropped_whole_or_of_one_task():
    for number in range(1_500):
        audit_tasks.judge.delay(user_id=str(number), action="x")
        if number % 500 == 0:
            tasks.refresh_prices.delay()
    assert run("drop_queue", "default").split() == [
        "1,500", "audit.tasks.judge", "3", "exchanges.tasks.refresh_prices",
    ]  # fmt: skip
    assert len(broker.waiting()) == 1_503
    assert "1,500 messages were dropped." in run(
        "drop_queue", "default", "--task", "audit.tasks.judge", "--drop"
    )
    assert {name for name, _ in broker.waiting()} == {"exchanges.tasks.refresh_prices"}
    assert "3 messages were dropped." in run("drop_queue", "default", "--drop")
    assert run("drop_queue", "default") == "Nothing waits.\n"
    assert {row["dropped"] for row in logged(Action.QUEUE_DROPPED)} == {1_500, 3}


class _TakenMeanwhile(redis.Redis):
    """Workers take the last message between whatever is asked and renaming the queue."""

    def rename(self, src, dst, **options):
        self.delete(src)
        return super().rename(src, dst, **options)


def test_a_queue_that_workers_empty_while_it_is_dropped_is_no_error(monkeypatch):
    monkeypatch.setattr("tracker.monitoring.dropping.redis.Redis", _TakenMeanwhile)
    audit_tasks.judge.delay(user_id="1", action="x")
    assert "0 messages were dropped." in run("drop_queue", "default", "--drop")


def test_a_queue_that_is_none_is_refused():
    with pytest.raises(CommandError, match="There is no queue pigeons; there are backtests,"):
        run("drop_queue", "pigeons")


# --- sessions -----------------------------------------------------------------------------------
def test_everybody_is_signed_out_staff_too(client_of, alice, bob):
    """S09: at the next call."""
    apps = [client_of(alice), client_of(bob)]
    assert [app.get("/api/v1/me").status_code for app in apps] == [200, 200]
    StaffSession.objects.create(session_key="x", expire_date=clock.now() + timedelta(days=1))
    with pytest.raises(CommandError, match="--everybody"):
        run("end_sessions")
    assert run("end_sessions", "--everybody") == "2 sessions and 1 of staff were ended.\n"
    assert [app.get("/api/v1/me").status_code for app in apps] == [401, 401]
    with tenancy.as_system("test"):
        assert set(Session.objects.values_list("end_reason", flat=True)) == {"ended_by_operators"}
    assert logged(Action.EVERY_SESSION_ENDED) == [{"ended": 2, "staff": 1}]
