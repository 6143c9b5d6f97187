"""Stripe's messages: verified first, stored once, worked on until what is so stands here."""

import itertools
import json
import random
import time

import pytest

from audit.actions import Action
from audit.models import ActivityLog
from billing import customers, reconciling, standing, tasks, webhooks
from billing.models import BillingAccount, StripeEvent, Subscription
from tests import broker, threads
from tests.billing.conftest import News, signature
from tests.billing.test_subscribing import acts, tier_of
from tracker import clock, tenancy

HOOK = "/api/webhook/stripe"


def rows():
    with tenancy.as_system("test"):
        return list(StripeEvent.objects.order_by("received_at", "id"))


def an_event(**fields):
    return {
        "id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1_790_000_000,
        "api_version": "2026-08-26.dahlia", "livemode": False,
        "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_nobody"}},
        **fields,
    }  # fmt: skip


# --- verified before anything is stored ---------------------------------------------------------
@pytest.mark.parametrize(
    "signed",
    [
        "", "nonsense", "t=1,v1=00", lambda body: f"t={int(time.time())},v1=\u00e9",
        lambda body: signature(body, "whsec_of_somebody_else_000"),
        lambda body: signature(body, age=301),
        lambda body: signature(body + " "),
    ],
)  # fmt: skip
def test_a_bad_stale_or_missing_signature_is_refused_and_nothing_is_written(stripe, client, signed):
    """S34"""
    body = json.dumps(an_event())
    header = signed(body) if callable(signed) else signed
    answer = client.post(
        HOOK, body, content_type="application/json", headers={"Stripe-Signature": header}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")
    assert rows() == []


def test_of_two_secrets_either_counts_during_a_rotation(stripe, news, settings):
    settings.STRIPE_WEBHOOK_SECRETS = [
        "whsec_the_new_one_0000000",
        *settings.STRIPE_WEBHOOK_SECRETS,
    ]
    assert news.post(an_event()).status_code == 200
    assert news.post(an_event(id="evt_2"), secret="whsec_the_new_one_0000000").status_code == 200
    assert len(rows()) == 2


def test_without_a_secret_it_says_so(db, client, settings):
    settings.STRIPE_WEBHOOK_SECRETS = []
    answer = client.post(HOOK, "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (503, "billing_not_configured")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"object": "event"}', b'{"object": "event", "data": {}}',
     json.dumps(an_event(created="x")).encode(), json.dumps(an_event(created=1e40)).encode(),
     json.dumps({**an_event(), "object": "charge"}).encode(), b"\xff\xfe"],
)  # fmt: skip
def test_signed_nonsense_is_400_and_nothing_is_written(stripe, client, body):
    header = signature(body.decode("latin-1"))
    answer = client.post(
        HOOK, body, content_type="application/json", headers={"Stripe-Signature": header}
    )
    assert answer.status_code == 400
    assert rows() == []


def test_only_post_and_nothing_too_large(stripe, client):
    assert client.get(HOOK).status_code == 405
    answer = client.post(HOOK, b"x" * (256 * 1024 + 1), content_type="application/json")
    assert answer.status_code in (400, 413)
    assert rows() == []


# --- what becomes of them -----------------------------------------------------------------------
def test_an_unknown_customer_is_recorded_and_ignored(news):
    assert news.post(an_event()).status_code == 200
    assert webhooks.process(event_id="evt_1", now=clock.now()) == "ignored"
    (row,) = rows()
    assert (row.state, row.reason) == ("ignored", "unknown customer")


@pytest.mark.parametrize("kind", ["payout.paid", "something.new.entirely", ""])
def test_an_unknown_type_is_200_and_recorded(news, kind):
    assert news.post(an_event(type=kind)).status_code == 200
    (row,) = rows()
    assert (row.type, row.state) == (kind, "ignored")


def test_a_message_of_another_api_version_is_worked_on_by_what_is_read(
    alice, stripe, news, subscribed
):
    """What it says is not believed: its customer is read again."""
    subscribed(alice, "pro")
    lie = an_event(
        id="evt_old", type="customer.subscription.deleted", api_version="2017-08-15",
        data={"object": {"id": "sub_x", "object": "subscription", "status": "canceled",
                         "customer": customers.find(alice.id).stripe_customer_id}},
    )  # fmt: skip
    news.post(lie)
    assert webhooks.process(event_id="evt_old", now=clock.now()) == "done"
    assert tier_of(alice) == "pro"


def test_the_same_message_fifty_times_has_one_effect(alice, stripe, news, client_of):
    """S35"""
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    paid = next(event for event in news.fresh() if event["type"] == "invoice.paid")
    for _ in range(50):
        assert news.post(paid).status_code == 200
        webhooks.process(event_id=paid["id"], now=clock.now())
    assert [row.state for row in rows()] == ["done"]
    assert acts(alice) == [Action.SUBSCRIPTION_STARTED, Action.PLAN_CHANGED]


@pytest.mark.django_db(transaction=True)
def test_the_same_message_by_fifty_at_once_has_one_effect(alice, stripe, client_of):
    """S35: received and worked on by fifty threads."""
    news = News(stripe)
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    paid = next(event for event in news.fresh() if event["type"] == "invoice.paid")

    def bring(number: int) -> int:
        status = News(stripe).post(paid).status_code
        webhooks.process(event_id=paid["id"], now=clock.now())
        return status

    assert threads.at_once(50, bring) == [200] * 50
    assert [row.state for row in rows()] == ["done"]
    assert acts(alice) == [Action.SUBSCRIPTION_STARTED, Action.PLAN_CHANGED]


def lifecycle(alice, stripe, api):
    """Five things that happen to a subscription; the messages of the last of each."""
    told = api.post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    with tenancy.as_user(alice.id):
        named = Subscription.objects.get().stripe_id
    stripe.subscription(named, "renew", paid=False)
    stripe.subscription(named, "retry", paid=True)
    stripe.subscription(named, "renew", paid=True)


def five_of(events):
    wanted = ("customer.subscription.created", "invoice.paid", "invoice.payment_failed",
              "customer.subscription.updated", "invoice.payment_succeeded")  # fmt: skip
    newest = {event["type"]: event for event in events}
    return [newest[kind] for kind in wanted]


def test_every_order_of_a_lifecycle_ends_in_the_state_that_stripe_has(
    alice, stripe, news, client_of
):
    """S36: some of the 120 orders, each message three times, some of them worked on late; all of
    them are worked through by ``make bench``."""
    lifecycle(alice, stripe, client_of(alice))
    messages = five_of(news.fresh())
    found = set()
    orders = list(itertools.permutations(messages))
    for number, order in enumerate(random.Random(7).sample(orders, 12)):
        forget(alice)
        late = [event for event in order for _ in range(3)]
        random.Random(number).shuffle(late)
        for event in late[:12]:
            news.post(event)
            webhooks.process(event_id=event["id"], now=clock.now())
        for event in late[12:]:
            news.post(event)
        for event in order:
            webhooks.process(event_id=event["id"], now=clock.now())
        found.add(state_of(alice))
    assert found == {("pro", "subscription", None, "active", None)}


def forget(user):
    """As if nothing but the customer's id were known here."""
    with tenancy.as_system("test"):
        StripeEvent.objects.all().delete()
        Subscription.objects.all().delete()
        BillingAccount.objects.filter(user_id=user.id).update(tier="free", reason="", until=None)


def state_of(user):
    with tenancy.as_user(user.id):
        account, row = BillingAccount.objects.get(), Subscription.objects.get()
    return account.tier, account.reason, account.until, row.status, row.past_due_since


def test_one_that_ends_last_is_over_in_every_order(alice, stripe, news, client_of):
    """S36"""
    lifecycle(alice, stripe, client_of(alice))
    client_of(alice).call("DELETE", "/billing/subscription", {"when": "now"})
    events = news.fresh()
    for seed in range(3):
        forget(alice)
        mixed = list(events)
        random.Random(seed).shuffle(mixed)
        for event in mixed:
            news.post(event)
            webhooks.process(event_id=event["id"], now=clock.now())
        assert state_of(alice)[0] == "free"


# --- bad days -----------------------------------------------------------------------------------
def test_while_stripe_is_down_a_message_waits_and_is_worked_on_later(
    alice, stripe, news, client_of
):
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    paid = next(event for event in news.fresh() if event["type"] == "invoice.paid")
    with stripe.fault(path="customers", kind="status", status=503):
        news.post(paid)
        assert webhooks.process(event_id=paid["id"], now=clock.now()) == "failed"
    (row,) = rows()
    assert (row.state, row.reason, row.attempts) == ("failed", "billing_unavailable", 1)
    assert row.next_attempt_at > clock.now()
    assert webhooks.process(event_id=paid["id"], now=clock.now()) == "claimed"  # not yet
    assert webhooks.enqueue_due(now=row.next_attempt_at) == 1
    assert webhooks.process(event_id=paid["id"], now=row.next_attempt_at) == "done"
    assert tier_of(alice) == "pro"


def test_a_worker_that_dies_after_the_work_has_done_it_once(alice, stripe, news, client_of):
    """S37: the message is worked on again, and changes nothing more."""
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    paid = next(event for event in news.fresh() if event["type"] == "invoice.paid")
    news.post(paid)
    claimed = webhooks._claim(paid["id"], clock.now())
    customers.refresh(user_id=alice.id, now=clock.now())  # … and it is gone
    assert claimed is not None
    later = claimed.next_attempt_at
    assert webhooks.enqueue_due(now=later) == 1
    assert webhooks.process(event_id=paid["id"], now=later) == "done"
    assert acts(alice) == [Action.SUBSCRIPTION_STARTED, Action.PLAN_CHANGED]


def test_what_was_never_delivered_is_repaired_at_night_and_reported(
    alice, bob, stripe, client_of, news
):
    """S37"""
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    assert tier_of(alice) == "free"
    report = reconciling.reconcile(now=clock.now())
    assert (report.read, report.repaired, report.failed, report.strangers) == (1, 1, 0, 0)
    assert tier_of(alice) == "pro"
    assert reconciling.reconcile(now=clock.now()).repaired == 0
    with tenancy.as_system("test"):
        entry = ActivityLog.objects.filter(action=Action.BILLING_RECONCILED).latest("created_at")
    assert entry.details["read"] == 1


def test_customers_of_nobody_here_are_counted(alice, stripe, client_of, subscribed):
    subscribed(alice, "pro")
    with tenancy.as_system("test"):
        BillingAccount.objects.update(stripe_customer_id=None)
    assert reconciling.reconcile(now=clock.now()).strangers == 1


def test_a_message_that_came_is_queued(stripe, news, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        news.post(an_event())
    assert [name for name, _ in broker.waiting()].count(tasks.process_event.name) == 1


def test_an_erased_person_is_an_unknown_customer(alice, stripe, news, subscribed):
    subscribed(alice, "pro")
    customer = customers.find(alice.id).stripe_customer_id
    with tenancy.as_system("test"):
        StripeEvent.objects.all().delete()
        alice.delete()
    news.post(an_event(data={"object": {"object": "invoice", "id": "in_9", "customer": customer}}))
    assert webhooks.process(event_id="evt_1", now=clock.now()) == "ignored"


def test_what_failed_for_good_begins_anew_when_it_is_brought_again(alice, stripe, news, client_of):
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])
    paid = next(event for event in news.fresh() if event["type"] == "invoice.paid")
    news.post(paid)
    with tenancy.as_system("test"):
        StripeEvent.objects.update(state="failed", attempts=12, next_attempt_at=None)
    assert webhooks.process(event_id=paid["id"], now=clock.now()) == "claimed"
    news.post(paid)
    assert webhooks.process(event_id=paid["id"], now=clock.now()) == "done"
    assert tier_of(alice) == "pro"


@pytest.mark.django_db(transaction=True)
def test_grants_and_messages_at_once_do_not_lock_each_other_out(alice, stripe, client_of):
    """Whatever writes a plan takes its turn on the person's own row first."""
    told = client_of(alice).post("/billing/subscription", {"tier": "pro"}).json()
    stripe.pay(told["payment"]["client_secret"])

    def work(number: int) -> None:
        for _ in range(5):
            if number % 2:
                customers.refresh(user_id=alice.id, now=clock.now())
            else:
                with tenancy.as_system("test"):
                    standing.settle(user_id=alice.id, now=clock.now())

    threads.at_once(8, work)
    assert tier_of(alice) == "pro"
