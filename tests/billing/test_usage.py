"""Calls are counted once, written once, shown, warned of, billed and stopped where it was said."""

import itertools
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import redis
import time_machine
from django.http import HttpResponse, HttpResponseNotModified, HttpResponseServerError
from django.test import RequestFactory

from accounts.models import Delivery
from audit import log
from billing import counting, entitlements, plans, throttling, usage
from billing.models import BillingAccount, MeterReport, UsageBatch, UsageDay, UsageMonth
from tests import factories, threads
from tests.api_client import ApiClient
from tests.billing.test_subscribing import tier_of
from tracker import clock, tenancy

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
DATA = "/exchanges"
DEAD_REDIS = "redis://127.0.0.1:1/0"


def at(moment):
    return time_machine.travel(moment, tick=False)


def days_of(user):
    with tenancy.as_user(user.id):
        return list(UsageDay.objects.order_by("day", "group").values_list("day", "group", "calls"))


def used(user, calls, now=START):
    """So many calls of this person were answered."""
    with redis_client() as client:
        client.hincrby(counting.PENDING, f"{user.id}|{now.date()}|portfolio", calls)
        client.incrby(counting.month_key(f"user:{user.id}", now), calls)


def paying(email, tier="pro"):
    """Somebody whose plan is paid for."""
    user = factories.person(email, subscription_tier=tier)
    with tenancy.as_system("test"):
        BillingAccount.objects.filter(user_id=user.id).update(reason="subscription", until=None)
    return user


def redis_client():
    import os

    return redis.Redis.from_url(os.environ["REDIS_URL"])


# --- counting -----------------------------------------------------------------------------------
def test_each_data_call_is_counted_once_by_day_and_group(alice):
    with at(START):
        api = ApiClient(alice)
        for path in (DATA, DATA, "/portfolio", "/connections"):
            api.get(path)
    with at(START + timedelta(days=1)):
        ApiClient(alice).get(DATA)
        assert usage.flush(now=clock.now()) == 4
    today, tomorrow = START.date(), START.date() + timedelta(days=1)
    assert days_of(alice) == [
        (today, "connections", 1), (today, "exchanges", 2), (today, "portfolio", 1),
        (tomorrow, "exchanges", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "counts"),
    [("/me", 0), ("/sessions", 0), ("/billing/plans", 0), ("/billing/usage", 0), (DATA, 1),
     ("/nothing-here", 0), ("/connections/01a22cfb-1928-759b-a5eb-a1c63d2b1637", 1)],
)  # fmt: skip
def test_what_is_not_a_data_call_is_not_counted_and_a_wrong_one_is(alice, path, counts):
    ApiClient(alice).get(path)
    assert usage.flush(now=clock.now()) == counts


def test_what_had_not_changed_is_not_counted(alice):
    api = ApiClient(alice)
    etag = api.get("/portfolio").headers["ETag"]
    assert api.get("/portfolio", **{"If-None-Match": etag}).status_code == 304
    usage.flush(now=clock.now())
    assert [calls for *_, calls in days_of(alice)] == [1]


@pytest.mark.parametrize(
    ("answer", "counted"),
    [(HttpResponse(), 1), (HttpResponse(status=404), 1), (HttpResponseNotModified(), 0),
     (HttpResponseServerError(), 0), (HttpResponse(status=503), 0)],
)  # fmt: skip
def test_errors_of_ours_are_not_counted(alice, answer, counted):
    def view(request):
        request.usage = (str(alice.id), START)
        return answer

    throttling.BurstMiddleware(view)(RequestFactory().get("/api/v1/portfolio"))
    assert usage.flush(now=START) == counted


def test_calls_that_the_burst_limit_refused_are_not_counted(alice, settings):
    settings.BURST_LIMITS_ENABLED = True
    with at(START):
        statuses = Counter(ApiClient(alice).get(DATA).status_code for _ in range(55))
        usage.flush(now=clock.now())
    assert statuses == {200: 50, 429: 5}
    assert [calls for *_, calls in days_of(alice)] == [50]


def test_a_call_without_a_person_is_nobodys(db):
    ApiClient().get(DATA)
    assert usage.flush(now=clock.now()) == 0


def test_the_months_meet_at_midnight_utc_and_a_clock_that_is_behind_moves_nothing(alice):
    turn = datetime(2026, 4, 1, tzinfo=UTC)
    with at(turn - timedelta(seconds=1)):
        ApiClient(alice).get(DATA)
    with at(turn):
        ApiClient(alice).get(DATA)
    with at(turn - timedelta(seconds=2)):  # another machine
        ApiClient(alice).get(DATA)
    usage.flush(now=turn)
    with tenancy.as_user(alice.id):
        found = dict(UsageMonth.objects.values_list("month", "calls"))
    assert found == {date(2026, 3, 1): 2, date(2026, 4, 1): 1}


@pytest.mark.django_db(transaction=True)
def test_none_of_a_hundred_calls_in_twenty_threads_is_lost():
    """S28"""
    alice = factories.person("alice@example.com", subscription_tier="pro")
    clients = [ApiClient(alice) for _ in range(20)]

    def call(number: int) -> None:
        for _ in range(5):
            clients[number].get(DATA)
        usage.flush(now=clock.now())  # meanwhile, twenty times

    threads.at_once(20, call)
    usage.flush(now=clock.now())
    assert sum(calls for *_, calls in days_of(alice)) == 100


# --- flushing -----------------------------------------------------------------------------------
def test_a_batch_that_was_written_but_not_forgotten_is_not_written_again(alice):
    """A process that dies between the two."""
    used(alice, 3)
    counting.take("01a22cfb-1928-759b-a5eb-a1c63d2b1637")
    kept = {batch: counting.read(batch) for batch in counting.batches()}
    usage.flush(now=START)
    with redis_client() as client:  # as it stood before the last step
        for batch, rows in kept.items():
            client.sadd(counting.BATCHES, batch)
            for user_id, day, group, calls in rows:
                client.hset(counting.FLUSHING + batch, f"{user_id}|{day}|{group}", calls)
    usage.flush(now=START)
    assert days_of(alice) == [(START.date(), "portfolio", 3)]
    assert counting.batches() == []


def test_a_batch_that_was_put_aside_and_not_written_is_written_by_the_next(alice):
    used(alice, 3)
    counting.take("01a22cfb-1928-759b-a5eb-a1c63d2b1637")
    used(alice, 2)
    usage.flush(now=START)
    assert days_of(alice) == [(START.date(), "portfolio", 5)]


def test_nothing_new_writes_nothing(db):
    assert usage.flush(now=START) == 0
    with tenancy.as_system("test"):
        assert not UsageBatch.objects.exists()


def test_usage_of_somebody_who_is_gone_is_dropped(alice, bob):
    used(alice, 3)
    used(bob, 2)
    with tenancy.as_system("test"):
        alice.delete()
    usage.flush(now=START)
    assert days_of(bob) == [(START.date(), "portfolio", 2)]


def test_what_redis_forgot_comes_back_from_the_database(alice):
    """A loss costs what was not flushed, in the person's favour, and no more."""
    used(alice, 900)
    usage.flush(now=START)
    used(alice, 50)
    with redis_client() as client:
        client.flushdb()
    with at(START):
        assert ApiClient(alice).get(DATA).status_code == 200
        usage.flush(now=START)
        key = counting.month_key(f"user:{alice.id}", START)
    with redis_client() as client:
        assert int(client.get(key)) == 901


def test_old_batches_are_forgotten(alice):
    used(alice, 1)
    usage.flush(now=START)
    assert usage.forget_batches(now=START + timedelta(days=6)) == 0
    assert usage.forget_batches(now=START + timedelta(days=8)) == 1


# --- the month's end of it ----------------------------------------------------------------------
def test_on_the_free_plan_the_thousand_and_first_call_is_refused_with_the_way_out(alice):
    """S32"""
    with at(START):
        used(alice, 999)
        api = ApiClient(alice)
        assert api.get(DATA).status_code == 200
        refused = api.get(DATA)
        assert api.get("/me").status_code == 200
        assert api.get("/billing/usage").status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (429, "monthly_calls_used")
    assert "A larger plan includes more" in refused.json()["message"]
    assert refused.json()["details"] == {
        "plan": "free", "included": 1000, "resets_at": "2026-04-01T00:00:00Z"
    }  # fmt: skip
    until_april = datetime(2026, 4, 1, tzinfo=UTC) - START
    assert int(refused.headers["Retry-After"]) == int(until_april.total_seconds()) + 1
    with at(datetime(2026, 4, 1, tzinfo=UTC)):
        assert ApiClient(alice).get(DATA).status_code == 200


def test_a_paid_plan_goes_on_up_to_its_cap(db):
    pro = paying("pro@example.com")
    usage.set_cap(user_id=pro.id, cap=Decimal("1.00"), now=START)  # 500 calls at 0.002
    with at(START):
        used(pro, 10_499)
        api = ApiClient(pro)
        assert api.get(DATA).status_code == 200
        refused = api.get(DATA)
        assert (refused.status_code, refused.json()["code"]) == (429, "monthly_calls_used")
        assert "spending cap" in refused.json()["message"]
        assert api.patch("/billing/usage", {"spending_cap": "2.00"}).status_code == 200
        assert api.get(DATA).status_code == 200


@pytest.mark.parametrize(
    ("tier", "cap", "most"),
    [
        ("free", None, 1_000), ("free", Decimal(50), 1_000),
        ("pro", None, 10_000 + 9_995), ("pro", Decimal(0), 10_000),
        ("pro", Decimal("0.003"), 10_001), ("enterprise", Decimal(10), 110_000),
    ],
)  # fmt: skip
def test_a_cap_is_so_many_calls(tier, cap, most):
    account = BillingAccount(tier=tier, spending_cap=cap, reason="subscription")
    assert entitlements.of_account(account, now=START).most_calls == most


@pytest.mark.parametrize("cap", ["-1", "x", "1e9", "0.001", True, []])
def test_a_cap_that_is_none_is_refused(client_of, alice, cap):
    answer = client_of(alice).patch("/billing/usage", {"spending_cap": cap})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


def test_usage_is_shown_with_what_it_costs(db):
    pro = paying("pro@example.com")
    with at(START):
        used(pro, 10_250)
        usage.flush(now=START)
        shown = ApiClient(pro).get("/billing/usage").json()
    assert {name: shown[name] for name in (
        "month", "used", "included", "resets_at", "beyond", "call_price", "cost", "spending_cap",
    )} == {
        "month": "2026-03-01", "used": 10_250, "included": 10_000,
        "resets_at": "2026-04-01T00:00:00Z", "beyond": 250, "call_price": "0.002000",
        "cost": "0.500000", "spending_cap": "19.99",
    }  # fmt: skip
    assert shown["days"] == [{"day": "2026-03-10", "calls": 10_250}]
    assert shown["groups"] == [{"group": "portfolio", "calls": 10_250}]


def test_redis_away_lets_reads_through_and_counts_nothing(alice, settings):
    """S30"""
    settings.REDIS_URL = DEAD_REDIS
    assert ApiClient(alice).get(DATA).status_code == 200


# --- warnings -----------------------------------------------------------------------------------
def warned(user):
    with tenancy.as_user(user.id):
        rows = Delivery.objects.filter(event="usage_warning", channel="email")
        return [row.parameters["percent"] for row in rows.order_by("id")]


def work(now):
    usage.flush(now=now)
    usage.warn(now=now)
    log.sweep(now=now + timedelta(days=400))  # what a commit does


def test_eighty_and_a_hundred_percent_are_told_once_each(alice):
    expected = {799: [], 800: [80], 900: [80], 1000: [80, 100], 1500: [80, 100]}
    so_far = 0
    for total, told in expected.items():
        used(alice, total - so_far)
        so_far = total
        work(START)
        assert warned(alice) == told
    used(alice, 850, datetime(2026, 4, 2, tzinfo=UTC))
    work(datetime(2026, 4, 2, tzinfo=UTC))
    assert warned(alice) == [80, 100, 80]


def test_who_jumps_past_both_is_told_of_the_second(alice):
    used(alice, 1200)
    work(START)
    assert warned(alice) == [100]


# --- billing ------------------------------------------------------------------------------------
def bill(now):
    """What the workers do within a minute; how many reports went out."""
    usage.flush(now=now)
    usage.judge(now=now)
    return usage.report(now=now)


def reported(stripe):
    return [int(row["payload"]["value"]) for row in stripe.call("GET", "/meter_events")["data"]]


def test_calls_beyond_the_included_ones_are_told_to_stripe_once(alice, stripe, subscribed):
    subscribed(alice, "pro")
    now = clock.now()
    used(alice, 10_100, now)
    assert bill(now) == 1
    assert bill(now) == 0
    used(alice, 40, now)
    bill(now)
    assert reported(stripe) == [100, 40]


def test_a_report_that_was_lost_on_the_way_counts_once(alice, stripe, subscribed):
    """S38"""
    subscribed(alice, "pro")
    now = clock.now()
    used(alice, 10_100, now)
    with stripe.fault(path="meter_events", kind="answer_lost"):
        assert bill(now) == 0
    assert bill(now) == 1
    assert reported(stripe) == [100]
    with tenancy.as_user(alice.id):
        (row,) = MeterReport.objects.all()
    assert (row.calls, row.attempts, row.sent_at) == (100, 1, now)


def test_nothing_beyond_the_cap_is_billed(alice, stripe, subscribed):
    subscribed(alice, "pro")
    now = clock.now()
    usage.set_cap(user_id=alice.id, cap=Decimal("0.20"), now=now)
    used(alice, 10_500, now)
    bill(now)
    assert reported(stripe) == [100]


def test_a_cap_that_is_lowered_undoes_nothing_of_what_it_let_through(alice, stripe, subscribed):
    subscribed(alice, "pro")
    now = clock.now()
    usage.set_cap(user_id=alice.id, cap=Decimal("100.00"), now=now)
    used(alice, 10_500, now)
    usage.set_cap(user_id=alice.id, cap=Decimal(0), now=now)
    bill(now)
    assert reported(stripe) == [500]


def test_calls_that_were_included_are_not_billed_by_a_smaller_plan_afterwards(
    alice, stripe, subscribed, client_of
):
    subscribed(alice, "enterprise")
    now = clock.now()
    used(alice, 50_000, now)
    usage.flush(now=now)
    assert client_of(alice).patch("/billing/subscription", {"tier": "pro"}).status_code == 200
    assert bill(now) == 0
    used(alice, 7, now)
    bill(now)
    assert reported(stripe) == [7]


def test_a_plan_that_was_granted_goes_no_further_than_it_includes(db):
    pro = factories.person("pro@example.com", subscription_tier="pro")
    usage.set_cap(user_id=pro.id, cap=Decimal("50.00"), now=START)
    with at(START):
        used(pro, 9_999)
        api = ApiClient(pro)
        assert api.get(DATA).status_code == 200
        assert api.get(DATA).json()["code"] == "monthly_calls_used"


def test_a_report_that_is_refused_stands_in_nobodys_way(alice, stripe, subscribed):
    subscribed(alice, "pro")
    now = clock.now()
    with tenancy.as_user(alice.id):
        MeterReport.objects.create(user=alice, month=now.date(), calls=5, attempts=1_000)
    used(alice, 10_100, now)
    assert bill(now) == 1
    assert reported(stripe) == [100]


def test_who_pays_nothing_is_billed_nothing(alice, bob, stripe):
    factories.put_on_plan(bob, "pro")
    used(alice, 5_000)
    used(bob, 50_000)
    assert bill(START) == 0


def test_the_next_invoice_has_the_calls(alice, stripe, news, subscribed, client_of):
    named = subscribed(alice, "pro")
    now = clock.now()
    used(alice, 11_000, now)
    bill(now)
    stripe.subscription(named, "renew", paid=True)
    news.bring()
    newest = client_of(alice).get("/billing/invoices").json()["results"][0]
    assert Decimal(newest["paid"]) == Decimal("19.99") + 1_000 * Decimal("0.002")
    assert tier_of(alice) == "pro"


# --- an ordinary month --------------------------------------------------------------------------
def test_an_ordinary_month_of_the_app_fits_the_free_plan(alice, settings):
    """Thirty days, five looks a day, each the home screen and now and then a list; what has not
    changed costs nothing, and neither hour nor day nor month is ever full."""
    settings.BURST_LIMITS_ENABLED = True
    factories.connection(alice)
    first, refused = datetime(2026, 3, 1, 7, tzinfo=UTC), 0
    for day in range(31):
        for look in range(5):
            with at(first + timedelta(days=day, hours=3 * look)):
                api = ApiClient(alice)
                paths = ["/portfolio", "/portfolio"]
                paths += ["/trades", "/holdings"] if look == 1 else []
                paths += ["/performance", "/allocation"] if look == 3 and day % 2 else []
                refused += sum(api.get(path).status_code == 429 for path in paths)
    with at(first + timedelta(days=31)):
        usage.flush(now=first + timedelta(days=30))
    assert refused == 0
    with tenancy.as_user(alice.id):
        assert 300 < UsageMonth.objects.get(month=date(2026, 3, 1)).calls < 1_000


def test_no_plan_includes_less_than_a_smaller_one():
    rows = list(plans.table().values())
    for smaller, larger in itertools.pairwise(rows):
        assert larger.calls_per_month > smaller.calls_per_month
        assert larger.calls_per_hour > smaller.calls_per_hour
        assert larger.price > smaller.price
