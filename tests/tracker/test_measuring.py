"""Each part of the service is measured each minute from what is stored, once."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
import redis
from django.conf import settings
from django.http import HttpResponse
from django.test import override_settings

from audit import measurements
from audit.measurements import Reading
from audit.models import ComponentDay, ComponentMinute, Health
from billing import plans
from billing.models import BillingAccount, StripeEvent
from exchanges import allotment, connections, lateness
from exchanges.connections import Busy
from exchanges.gateway.errors import Malformed, OnMaintenance, TimedOut, WrongKey
from exchanges.models import ExchangeCircuit, ExchangeConnection, Price
from portfolios.models import SyncRun, SyncState
from portfolios.sync import dispatch
from tests import factories
from tests.tracker.test_outage import database_gone, redis_gone
from tracker import api, clock, ids, tenancy
from tracker.monitoring import measuring, requests

NOW = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
MINUTE = datetime(2026, 3, 10, 11, 59, tzinfo=UTC)
STRIPE = {"STRIPE_API_KEY": "sk_test_" + "a" * 24}


@pytest.fixture(autouse=True)
def _nothing_pending():
    """What requests of earlier tests left in memory would be written later."""
    requests.write()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()


def measured(now: datetime = NOW) -> dict[str, ComponentMinute]:
    """What the minute before ``now`` says of each part."""
    measuring.measure(now=now)
    minute = measurements.minute_of(now - timedelta(seconds=5)) - timedelta(minutes=1)
    return {row.component_id: row for row in ComponentMinute.objects.filter(minute_at=minute)}


def asked(total: int, failed: int, at: datetime = MINUTE) -> None:
    """So many requests in a minute, of which so many ended in an error of ours."""
    for number in range(total):
        status = 500 if number < failed else 200
        outcome = requests.FAILED if number < failed else requests.GOOD
        requests._pending.add(group="me", status=status, seconds=0.01, at=at, outcome=outcome)
    requests._pending.write(alive_at=at)


def visit(connection: ExchangeConnection, state: str, at: datetime = NOW, error: str = "") -> None:
    run = SyncRun(
        user_id=connection.user_id, connection=connection, trigger="schedule", state=state,
        requested_at=at, finished_at=at, error=error,
    )  # fmt: skip
    run.id = type(run.id)(int=(int(at.timestamp() * 1000) << 80) | (ids.new_id().int % (1 << 80)))
    with tenancy.as_user(connection.user_id):
        run.save(force_insert=True)


def account(label: str, *, read: timedelta = timedelta(minutes=1), tier: str = "enterprise"):
    """An account of somebody's own, read so long ago."""
    user = factories.person(f"{label}@example.com", subscription_tier=tier)
    made = factories.connection(user, label=label)
    pace = plans.table()[tier].sync_every
    with tenancy.as_user(user.id):
        ExchangeConnection.objects.filter(id=made.id).update(
            last_synced_at=NOW - read, created_at=NOW - timedelta(days=9), next_sync_at=NOW,
            late_after=lateness.after(NOW - read + pace, every=pace),
        )  # fmt: skip
    return made


def price(code: str, source: str, age: timedelta) -> None:
    Price.objects.create(
        asset=factories.asset(code), usd=1, source=f"{source}: {code}/USDT", as_of=NOW - age,
        fetched_at=NOW - age,
    )  # fmt: skip


# --- once ---------------------------------------------------------------------------------------
def test_measuring_twice_in_a_minute_leaves_one_row_per_part_and_the_same_day(db):
    asked(10, 0)
    measured()
    asked(10, 10)
    measured(NOW + timedelta(seconds=20))
    row = ComponentMinute.objects.get()
    assert (row.component_id, row.minute_at, row.good, row.total) == ("api", MINUTE, 10, 10)
    day = ComponentDay.objects.get()
    assert (day.day, day.up, day.down, day.good, day.total) == (date(2026, 3, 10), 1, 0, 10, 10)


def test_old_minutes_go_in_whole_days_and_their_days_stay(db):
    start = datetime(2026, 3, 6, 12, tzinfo=UTC)
    for days in range(5):
        now = start + timedelta(days=days)
        measurements.record([Reading("api", "API", now, Health.DOWN, 1, 2)], now=now)
    kept = sorted(row.minute_at.day for row in ComponentMinute.objects.all())
    assert kept == [8, 9, 10]
    assert [row.down for row in ComponentDay.objects.order_by("day")] == [1] * 5


# --- API ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("total", "failed", "health"),
    [
        (0, 0, Health.UP), (100, 0, Health.UP), (100, 4, Health.UP), (100, 5, Health.DEGRADED),
        (100, 49, Health.DEGRADED), (100, 50, Health.DOWN), (2, 2, Health.UP), (3, 3, Health.DOWN),
    ],
)  # fmt: skip
def test_the_api_is_judged_by_the_share_of_its_errors(db, total, failed, health):
    asked(total, failed)
    row = measured()["api"]
    assert (row.health, row.good, row.total) == (health, total - failed, total)


def test_minutes_without_a_database_are_made_up_for_from_what_was_counted(db):
    asked(10, 0, at=MINUTE - timedelta(hours=20))
    asked(10, 10, at=MINUTE - timedelta(minutes=2))
    asked(1, 0)
    measuring.measure(now=NOW)
    rows = ComponentMinute.objects.order_by("minute_at").values_list("minute_at", "health")
    assert list(rows) == [
        (MINUTE - timedelta(hours=20), Health.UP),
        (MINUTE - timedelta(minutes=2), Health.DOWN),
        (MINUTE, Health.UP),
    ]


def test_a_minute_without_calls_is_good_only_when_a_process_said_that_it_is_alive(db):
    assert "api" not in measured()
    requests._pending.write(alive_at=MINUTE)
    assert (measured()["api"].health, measured()["api"].total) == (Health.UP, 0)


def test_without_redis_nothing_is_said_of_the_api_and_the_minute_is_made_up_for(db):
    with redis_gone():
        asked(4, 4)  # what Redis does not take is written later
        assert "api" not in measured()
    requests.write()
    assert measured()["api"].health == Health.DOWN
    assert requests.totals()["n me 500"] == 4


def test_requests_are_counted_by_group_and_probes_are_not(client, db):
    client.get("/api/v1/nothing-of-this-name")
    for path in ("/healthz", "/readyz", "/metrics", "/status", "/status.json"):
        client.get(path)
    requests.write()
    found = requests.totals()
    assert found["n unmatched 404"] == 1
    assert sum(count for name, count in found.items() if name.startswith("n ")) == 1


def calls_of_the_api() -> tuple[int, int]:
    """All calls of this minute and those that failed."""
    requests.write()
    now = measurements.minute_of(clock.now())
    found = requests.of_minutes([now - timedelta(minutes=1), now])
    return sum(row.total for row in found.values()), sum(row.failed for row in found.values())


def test_only_calls_of_the_api_that_exists_count_for_its_availability(client, db):
    for path in ("/privacy", "/admin/login/", "/status", "/api/v1/of-no-name", "/wp-login.php"):
        client.get(path)
    assert calls_of_the_api() == (0, 0)
    assert client.get("/api/v1/me").status_code == 401
    assert calls_of_the_api() == (1, 0)


@pytest.mark.parametrize(
    ("error", "failed"), [(TimedOut, 0), (OnMaintenance, 0), (Malformed, 0), (Busy, 1)]
)
def test_an_exchange_that_does_not_answer_is_no_error_of_ours(rf, error, failed):
    def answer(request):
        response = api.handle_exception(error(), {"request": request})
        assert response.status_code >= 500
        return response

    requests.CountingMiddleware(answer)(rf.post("/api/v1/connections"))
    assert calls_of_the_api() == (1, failed)


def test_counting_never_fails_a_request(rf, monkeypatch):
    """No thread can be started: where there are too many, and as a process ends."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    pending = requests._Pending()
    monkeypatch.setattr(requests, "_pending", pending)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    counting = requests.CountingMiddleware(lambda request: HttpResponse())
    assert counting(rf.get("/api/v1/me")).status_code == 200
    monkeypatch.undo()
    pending.write()
    assert requests.totals()["n unmatched 200"] == 1


def test_a_database_that_is_gone_counts_as_an_error_of_ours(client, transactional_db):
    with database_gone():
        status = client.post("/api/v1/auth/login", {"email": "a@example.com", "password": "x" * 12},
                             content_type="application/json").status_code  # fmt: skip
    assert status == 503
    assert calls_of_the_api() == (1, 1)


# --- exchanges ----------------------------------------------------------------------------------
def test_an_account_is_late_after_one_and_a_half_times_its_plans_interval(db):
    account("early", read=timedelta(minutes=7))
    account("late", read=timedelta(minutes=8))
    account("daily", read=timedelta(hours=35), tier="free")
    row = measured()["sync.binance"]
    assert (row.good, row.total, row.health) == (2, 3, Health.UP)


def test_accounts_that_are_paused_or_beyond_the_plan_are_not_late(db):
    paused = account("paused", read=timedelta(days=5))
    first = account("first", read=timedelta(hours=35), tier="free")
    surplus = factories.connection(first.user, label="surplus")
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=surplus.id).update(
            next_sync_at=NOW, position=1, created_at=NOW - timedelta(days=9)
        )
        connections.pause(user_id=paused.user_id, connection_id=paused.id, reason="by_person")
    dispatch.dispatch_due(now=NOW)
    row = measured(NOW + timedelta(minutes=5))["sync.binance"]
    assert (row.good, row.total) == (1, 1)


def test_a_larger_plan_makes_nothing_late_at_once_but_when_it_is_not_kept(db):
    """Daily becomes every five minutes: the account is due now, and late two and a half later."""
    made = account("grown", read=timedelta(hours=20), tier="free")
    recent = account("recent", read=timedelta(minutes=1), tier="free")
    tomorrow = NOW + timedelta(hours=23)
    with tenancy.as_system("test"):
        BillingAccount.objects.update_or_create(user_id=made.user_id, defaults={"tier": "pro"})
        BillingAccount.objects.update_or_create(user_id=recent.user_id, defaults={"tier": "pro"})
        ExchangeConnection.objects.update(next_sync_at=tomorrow)
    for person in (made.user_id, recent.user_id):
        with tenancy.as_user(person):
            allotment.look_now(user_id=person, now=NOW)
    with tenancy.as_system("test"):
        due = [ExchangeConnection.objects.get(id=row.id).next_sync_at for row in (made, recent)]
        assert due == [NOW, NOW + timedelta(minutes=4)]
        assert late(NOW) == 0
        assert late(NOW + timedelta(minutes=2)) == 0
        assert late(NOW + timedelta(minutes=3)) == 1
        assert late(NOW + timedelta(minutes=7)) == 2


def test_what_is_resumed_is_late_when_it_is_not_read_after_that(db):
    made = account("away", read=timedelta(days=5))
    with tenancy.as_system("test"):
        connections.pause(user_id=made.user_id, connection_id=made.id, reason="by_person")
        connections.resume(user_id=made.user_id, connection_id=made.id, now=NOW)
        assert late(NOW) == 0
        assert late(NOW + timedelta(minutes=3)) == 1


def test_dispatching_what_nobody_reads_keeps_nothing_from_being_late(db):
    """Each tick moves when it is due again, and no worker lives."""
    account("waiting", read=timedelta(minutes=5))
    for seconds in range(0, 300, 60):
        dispatch.dispatch_due(now=NOW + timedelta(seconds=seconds))
    with tenancy.as_system("test"):
        assert late(NOW) == 0
        assert late(NOW + timedelta(minutes=5)) == 1


def late(now: datetime) -> int:
    return sum(row.accounts - row.in_time for row in lateness.counts(now=now))


def test_an_exchange_with_many_late_accounts_works_in_part(db):
    for number in range(3):
        account(f"late{number}", read=timedelta(hours=1))
    assert measured()["sync.binance"].health == Health.DEGRADED


@pytest.mark.parametrize(
    ("failed", "health"), [(2, Health.UP), (3, Health.DEGRADED), (10, Health.DOWN)]
)
def test_an_exchange_is_judged_by_the_visits_that_failed_lately(db, failed, health):
    connection = account("one")
    for number in range(20):
        visit(connection, SyncState.FAILED if number < failed else SyncState.COMPLETE)
    for _ in range(9):
        visit(connection, SyncState.FAILED, at=NOW - timedelta(minutes=6))
    assert measured()["sync.binance"].health == health


def test_a_key_that_is_refused_says_nothing_of_its_exchange(db):
    connection = account("one")
    for _ in range(9):
        visit(connection, SyncState.FAILED, error=WrongKey.code)
    assert measured()["sync.binance"].health == Health.UP


@pytest.mark.parametrize(
    ("until", "health"), [(timedelta(minutes=1), Health.DOWN), (timedelta(0), Health.DEGRADED)]
)
def test_an_exchange_whose_circuit_is_open_does_not_work(db, until, health):
    account("one")
    ExchangeCircuit.objects.create(
        exchange=factories.exchange(), failures=3, openings=1, open_until=NOW + until
    )
    assert measured()["sync.binance"].health == health


# --- prices and billing -------------------------------------------------------------------------
@override_settings(PRICE_EXCHANGES=["binance", "kraken"])
@pytest.mark.parametrize(
    ("minutes", "health", "good"),
    [((1, 1), Health.UP, 2), ((1, 16), Health.DEGRADED, 1), ((20, 16), Health.DOWN, 0)],
)
def test_prices_are_judged_by_their_freshest_of_each_source(db, minutes, health, good):
    price("BTC", "binance", timedelta(minutes=minutes[0]))
    price("ETH", "binance", timedelta(hours=9))
    price("XMR", "kraken", timedelta(minutes=minutes[1]))
    price("DOGE", "elsewhere", timedelta(minutes=1))
    row = measured()["prices"]
    assert (row.health, row.good, row.total) == (health, good, 2)


def test_where_there_was_never_a_price_nothing_is_said_of_prices(db):
    assert "prices" not in measured()


@override_settings(**STRIPE)
@pytest.mark.parametrize(
    ("age", "health"),
    [(9, Health.UP), (11, Health.DEGRADED), (121, Health.DOWN)],
)
def test_payments_are_judged_by_the_oldest_message_that_waits(db, age, health):
    from audit import log
    from audit.actions import Action
    from audit.models import ActivityLog

    with tenancy.as_system("test"):
        log.record(Action.BILLING_RECONCILED, user_id=None, read=0, repaired=0, failed=0,
                   strangers=0)  # fmt: skip
        at = ActivityLog.objects.get(action=Action.BILLING_RECONCILED).created_at
        StripeEvent.objects.create(
            id="evt_1", type="invoice.paid", created_at=at, next_attempt_at=at,
            received_at=at - timedelta(minutes=age),
        )  # fmt: skip
        (reading,) = measuring.billing(at, at)
        assert reading.health == health
        (later,) = measuring.billing(at, at + timedelta(hours=4))
        assert later.health != Health.UP  # nobody compared with Stripe for three hours


def test_where_nothing_is_sold_nothing_is_said_of_payments(db):
    assert not settings.STRIPE_API_KEY
    assert "billing" not in measured()
