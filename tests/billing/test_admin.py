"""Plans and payments in the admin: read everywhere, given and worked on again by those who may."""

import json
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import User
from accounts.staff import roles
from audit.actions import Action
from audit.models import ActivityLog
from billing import figures
from billing.models import Invoice, PlanGrant, StripeEvent, Subscription
from tests import broker, factories
from tests.admin_client import signed_in
from tests.billing.test_subscribing import tier_of
from tests.conftest import PASSWORD
from tracker import clock, tenancy

PAGES = (
    "billing_billingaccount", "billing_subscription", "billing_invoice", "billing_plangrant",
    "billing_stripeevent", "billing_meterreport", "djstripe_product", "djstripe_price",
    "djstripe_customer", "djstripe_subscription",
)  # fmt: skip


def staff(*codenames, **fields):
    with tenancy.as_system("test"):
        user = User.objects.create_user("staff@example.com", PASSWORD, is_staff=True, **fields)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return signed_in(user)


@pytest.fixture
def boss(db):
    return staff(is_superuser=True)


def written(action):
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).order_by("id"))


@pytest.mark.parametrize("page", PAGES)
def test_every_list_and_page_is_readable_and_found_by_email_or_id(boss, alice, page):
    factories.billed(alice)
    listed = boss.get(reverse(f"admin:{page}_changelist"))
    assert listed.status_code == 200
    (shown,) = listed.context["cl"].result_list[:1]
    found = boss.get(reverse(f"admin:{page}_changelist"), {"q": alice.email})
    if page not in ("djstripe_product", "djstripe_price", "djstripe_subscription"):
        assert len(found.context["cl"].result_list) == 1
        assert not boss.get(
            reverse(f"admin:{page}_changelist"), {"q": "nobody@example.com"}
        ).context["cl"].result_list  # fmt: skip
    assert boss.get(reverse(f"admin:{page}_change", args=[shown.pk])).status_code == 200


def test_no_page_of_dj_stripe_shows_or_asks_for_a_key(boss):
    assert "djstripe/apikey" not in boss.get(reverse("admin:index")).content.decode()
    assert boss.get("/admin/djstripe/apikey/").status_code == 404
    assert boss.get("/admin/djstripe/webhookendpoint/").status_code == 404


# --- grants -------------------------------------------------------------------------------------
def give(client, **fields):
    form = {"email": "alice@example.com", "tier": "pro", "days": "30", "reason": "an outage"}
    return client.post(reverse("admin:billing_plangrant_add"), form | fields, follow=True)


def test_a_grant_is_in_force_at_once_and_stands_in_the_log(boss, alice):
    assert give(boss).status_code == 200
    assert tier_of(alice) == "pro"
    with tenancy.as_user(alice.id):
        (row,) = PlanGrant.objects.all()
    assert row.ends_at - row.starts_at == timedelta(days=30)
    (entry,) = written(Action.PLAN_GRANTED)
    assert (entry.user_id, entry.details["tier"]) == (alice.id, "pro")
    assert entry.actor_id == row.granted_by


@pytest.mark.parametrize(
    "wrong",
    [{"email": "nobody@example.com"}, {"tier": "free"}, {"tier": "x"}, {"days": "0"},
     {"days": "400"}, {"reason": ""}],
)  # fmt: skip
def test_a_grant_that_is_none_is_refused_by_the_form(boss, alice, wrong):
    assert "errorlist" in give(boss, **wrong).content.decode()
    assert tier_of(alice) == "free"


def test_a_grant_is_taken_back_by_an_action_and_never_changed(boss, alice):
    give(boss)
    with tenancy.as_user(alice.id):
        (row,) = PlanGrant.objects.all()
    page = reverse("admin:billing_plangrant_change", args=[row.id])
    assert boss.post(page, {"tier": "enterprise"}).status_code == 403
    chosen = {"action": "take_back", "_selected_action": [str(row.id)]}
    said = boss.post(reverse("admin:billing_plangrant_changelist"), chosen, follow=True)
    assert "Taken back: 1." in said.content.decode()
    assert tier_of(alice) == "free"
    assert len(written(Action.PLAN_GRANT_REVOKED)) == 1


def test_who_may_only_look_gives_nothing(alice):
    client = staff("view_plangrant")
    assert client.get(reverse("admin:billing_plangrant_changelist")).status_code == 200
    assert give(client).status_code == 403
    assert tier_of(alice) == "free"


# --- messages -----------------------------------------------------------------------------------
def failed_event(alice):
    factories.billed(alice)
    with tenancy.as_system("test"):
        StripeEvent.objects.update(state="failed", reason="billing_unavailable", attempts=12)
        return StripeEvent.objects.get()


def again(client, event):
    chosen = {"action": "work_again", "_selected_action": [event.pk]}
    return client.post(reverse("admin:billing_stripeevent_changelist"), chosen, follow=True)


def test_a_message_is_worked_on_again(boss, alice, django_capture_on_commit_callbacks):
    event = failed_event(alice)
    with django_capture_on_commit_callbacks(execute=True):
        assert "Queued: 1." in again(boss, event).content.decode()
    with tenancy.as_system("test"):
        event.refresh_from_db()
    assert event.state == "received"
    assert broker.waiting()[-1][1] == {"event_id": event.id}
    (entry,) = written(Action.STRIPE_EVENT_REDELIVERED)
    assert entry.user_id == alice.id


def test_who_may_only_look_cannot(alice):
    event = failed_event(alice)
    again(staff("view_stripeevent"), event)
    with tenancy.as_system("test"):
        event.refresh_from_db()
    assert event.state == "failed"


# --- revenue ------------------------------------------------------------------------------------
def bought(user, started, ended=None, **fields):
    now = clock.now()
    usual = {"tier": "pro", "status": "active", "price": Decimal("19.99"), "currency": "usd"}
    with tenancy.as_system("test"):
        return Subscription.objects.create(
            user=user, stripe_id=f"sub_{Subscription.objects.count()}", read_at=now,
            started_at=now - timedelta(days=started),
            ended_at=None if ended is None else now - timedelta(days=ended), **(usual | fields),
        )  # fmt: skip


def recurring(days):
    today = clock.now().date()
    with tenancy.as_system("test"):
        return figures.recurring(today - timedelta(days=days - 1), today)


def test_recurring_revenue_is_what_runs_on_each_day(alice, bob, charlie):
    bought(alice, 5)
    bought(bob, 4, ended=2, tier="enterprise", price=Decimal("99.99"))
    bought(charlie, 3, status="incomplete")
    bought(charlie, 3, withdrawn="refunded")
    bought(charlie, 3, currency="eur")
    bought(charlie, 3, trial_end=clock.now() - timedelta(days=1))
    one, both = Decimal("19.99"), Decimal("119.98")
    assert recurring(7) == [0, one, both, both, one, 2 * one, 2 * one]


def test_a_trial_that_ended_before_it_was_paid_was_worth_nothing(alice):
    bought(alice, 20, ended=10, trial_end=clock.now() - timedelta(days=6))
    assert set(recurring(30)) == {0}


def test_churn_is_of_those_that_ran_at_the_months_beginning(alice, bob):
    today = clock.now()
    begun = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (today - begun).days + 1
    bought(alice, before + 40)
    bought(bob, before + 40, ended=0)
    with tenancy.as_system("test"):
        *_, last = figures.churn(today.date(), months=2)
    assert (last.of, last.part) == (2, 1)


def test_conversion_is_who_has_ever_paid(alice, bob):
    now = clock.now()
    with tenancy.as_system("test"):
        Invoice.objects.create(
            user=alice, stripe_id="in_1", status="paid", total=1, paid=1, currency="usd",
            created_at=now,
        )  # fmt: skip
        *_, week = figures.conversion(now.date(), weeks=2)
    assert (week.of, week.part) == (2, 1)


def test_the_page_shows_all_of_it_and_only_to_who_may_see_subscriptions(boss, alice):
    factories.billed(alice)
    page = boss.get(reverse("admin:billing_revenue")).content.decode()
    for heading in ("Monthly recurring revenue", "Churn by month", "Conversion by week",
                    "People on each plan", "Data calls", "Calls by group"):  # fmt: skip
        assert heading in page


def test_revenue_is_for_who_may_see_it_and_not_for_who_sees_subscriptions(db, alice):
    factories.billed(alice)
    listed = reverse("admin:billing_subscription_changelist")
    support = staff("view_subscription", "view_invoice", "view_billingaccount")
    assert support.get(reverse("admin:billing_revenue")).status_code == 403
    assert reverse("admin:billing_revenue") not in support.get(listed).content.decode()
    assert "recurring revenue" not in support.get(reverse("admin:index")).content.decode()


def test_finance_and_auditors_see_revenue_and_support_does_not(db):
    having = {role for role in roles.ROLES if "billing.view_revenue" in roles.permissions_of(role)}
    assert having == {roles.FINANCE, roles.AUDITOR}
    finance = staff("view_subscription", "view_revenue")
    assert finance.get(reverse("admin:billing_revenue")).status_code == 200
    listed = reverse("admin:billing_subscription_changelist")
    assert reverse("admin:billing_revenue") in finance.get(listed).content.decode()
    assert "recurring revenue" in finance.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable_in_a_browser(transactional_db, live_server, settings, scheme):
    from tests import browser

    if not browser.CHROMIUM.exists():
        pytest.skip("needs Chromium: apt-get install chromium")
    settings.PUBLIC_URL = live_server.url
    with tenancy.as_system("test"):
        people = [User.objects.create_user(f"p{n}@example.com", PASSWORD) for n in range(3)]
        boss = User.objects.create_superuser("boss@example.com", PASSWORD)
    for number, person in enumerate(people):
        bought(person, 40 - 10 * number)
        factories.billed(person)
    cookies = signed_in(boss).cookies
    with browser.browsing(live_server.url, color_scheme=scheme) as page:
        page.context.add_cookies([
            {"name": morsel.key, "value": morsel.value, "url": live_server.url}
            for morsel in cookies.values()
        ])  # fmt: skip
        page.goto(reverse("admin:billing_subscription_changelist"))
        page.get_by_role("link", name="Revenue and usage").click()
        page.get_by_role("heading", name="Monthly recurring revenue").wait_for()
        assert page.get_by_role("img", name="Monthly recurring revenue by day").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if folder := os.environ.get("ADMIN_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"20-revenue-{scheme}.png", full_page=True)


def test_messages_hold_no_word_of_what_they_said(boss, alice):
    """Only ids and states are kept of a message."""
    event = failed_event(alice)
    page = boss.get(reverse("admin:billing_stripeevent_change", args=[event.pk]))
    assert json.dumps(alice.email) not in page.content.decode()
