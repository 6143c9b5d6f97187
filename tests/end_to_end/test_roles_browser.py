"""Each role of staff at its work in a real browser: what it sees, does, and is refused.

Needs Debian's Chromium (`apt-get install chromium`); without it the tests say so and are skipped.
``ADMIN_SCREENSHOTS`` names a folder for pictures of each step.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts.models import SupportRequest, TotpDevice, User
from accounts.staff import roles
from audit.models import SecurityAlert
from exchanges.models import ExchangeConnection
from tests import browser, factories
from tests.admin_client import signed_in
from tracker import tenancy

pytestmark = [browser.needed, pytest.mark.usefixtures("groups")]
QUESTION = "A deposit is missing"


@pytest.fixture
def groups(transactional_db):
    """As after migrating: an earlier test with committed rows has emptied the tables."""
    roles.sync()


@pytest.fixture
def alice(groups) -> User:
    """Somebody with something of everything, who has asked support."""
    person = factories.person("alice@example.com", subscription_tier="pro")
    factories.something_everywhere(person)
    factories.support_request(person, subject=QUESTION)
    with tenancy.as_system("test"):
        TotpDevice.objects.filter(user=person).update(confirmed=True)
        ExchangeConnection.objects.filter(user=person).update(state="ok", reason="")
        SecurityAlert.objects.filter(user=person).update(state="open", severity="high")
    return person


def member_of(role: str) -> User:
    user = factories.person(f"{role.lower().replace(' ', '-')}@example.com", is_staff=True)
    with tenancy.as_system("test"):
        user.groups.set([Group.objects.get(name=role)])
    return user


@dataclass(frozen=True, slots=True)
class Desk:
    """A browser in which somebody of a role sits."""

    page: Any
    role: str

    def open(self, name: str, *args: Any, query: str = "") -> int:
        """Go to a page of the admin; the status of the answer."""
        answer = self.page.goto(reverse(f"admin:{name}", args=args) + query)
        return int(answer.status)

    def picture(self, name: str) -> None:
        if folder := os.environ.get("ADMIN_SCREENSHOTS"):
            path = Path(folder) / f"30-{self.role.lower().replace(' ', '-')}-{name}.png"
            self.page.screenshot(path=path, full_page=True)

    def tiles(self) -> list[str]:
        return self.page.locator("li.tile h3").all_inner_texts()

    def offered(self) -> list[str]:
        """The acts that are offered on the page of a person."""
        return self.page.locator("aside a.button").all_inner_texts()


@pytest.fixture
def sitting(live_server):
    """Opens a browser for a member of a role; closed when the test ends."""
    name = configured.SESSION_COOKIE_NAME
    with ExitStack() as stack:

        def sit(role: str) -> Desk:
            cookie = signed_in(member_of(role)).cookies[name].value
            page = stack.enter_context(
                browser.browsing(live_server.url, viewport={"width": 1280, "height": 900})
            )
            page.context.add_cookies([{"name": name, "value": cookie, "url": live_server.url}])
            return Desk(page, role)

        yield sit


def do(desk: Desk, act: str, **fields: str) -> None:
    """Press a button of a person's page, fill in its form, and send it."""
    desk.page.get_by_role("link", name=act, exact=True).click()
    for label, value in fields.items():
        desk.page.get_by_label(label.capitalize()).fill(value)
    desk.picture(act.lower().replace(" ", "-"))
    desk.page.get_by_role("button", name=act, exact=True).click()
    desk.page.locator(".messagelist .success").wait_for()


def test_support_answers_and_signs_somebody_out(alice, sitting):
    with tenancy.as_system("test"):
        asked = SupportRequest.objects.get(user=alice, subject=QUESTION)
    desk = sitting(roles.SUPPORT)
    desk.open("index")
    assert "Support requests" in desk.tiles()
    assert not {"Revenue", "Stripe's messages"} & set(desk.tiles())
    desk.picture("home")
    desk.open("person", alice.id)
    assert "End all sessions" in desk.offered()
    assert not {"Reset second factor", "Lock out", "Close the account"} & set(desk.offered())
    desk.picture("person")
    do(desk, "End all sessions")
    desk.open("accounts_supportrequest_change", asked.id)
    desk.page.get_by_label("Text").fill("It takes a day.")
    desk.page.get_by_role("button", name="Send answer").click()
    desk.page.get_by_text("The person is told").wait_for()
    desk.picture("request")
    assert desk.open("accounts_user_add") == 403
    assert desk.open("billing_stripeevent_changelist") == 403


def test_the_lead_has_a_second_factor_reset(alice, sitting):
    desk = sitting(roles.LEAD)
    desk.open("person", alice.id)
    assert {"Reset second factor", "Lock out", "Close the account"} <= set(desk.offered())
    do(desk, "Reset second factor", reason="#17, by video")
    desk.picture("person-afterwards")
    assert "Cancel the reset of the second factor" in desk.offered()
    assert desk.open("auth_group_changelist") == 403


def test_finance_grants_a_plan_and_sees_no_portfolio(alice, sitting):
    desk = sitting(roles.FINANCE)
    desk.open("index")
    assert "Revenue" in desk.tiles()
    desk.picture("home")
    desk.open("person", alice.id)
    body = desk.page.content()
    assert "Billing" in body
    assert "Portfolio value" not in body
    desk.picture("person")
    do(desk, "Grant a plan", days="30", reason="#4, our fault")
    assert desk.open("portfolios_holding_changelist") == 403
    assert desk.open("billing_invoice_changelist") == 200


def test_operations_pauses_a_connection_and_sees_no_money(alice, sitting):
    desk = sitting(roles.OPERATIONS)
    desk.open("index")
    assert "Queues" in desk.tiles()
    assert "Revenue" not in desk.tiles()
    desk.picture("home")
    desk.open("exchanges_exchangeconnection_changelist")
    desk.page.locator("input.action-select").first.check()
    desk.page.locator("select[name=action]").select_option("pause")
    desk.page.get_by_role("button", name="Go").click()
    desk.page.get_by_text("Paused: 1.").wait_for()
    desk.picture("paused")
    assert desk.open("billing_invoice_changelist") == 403
    assert desk.open("portfolios_trade_changelist") == 403


def test_an_auditor_reads_everything_and_can_do_nothing(alice, sitting):
    desk = sitting(roles.AUDITOR)
    desk.open("index")
    assert {"Service", "Revenue", "Queues", "Security alerts"} <= set(desk.tiles())
    desk.picture("home")
    desk.open("person", alice.id)
    assert desk.offered() == []
    desk.picture("person")
    assert desk.open("audit_activitylog_changelist") == 200
    assert desk.page.locator("select[name=action]").count() == 0
    assert desk.open("billing_plangrant_add") == 403
