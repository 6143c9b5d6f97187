"""Only superusers act on staff, and nobody acts on themself: every action and button of the admin.

S19. The acts of a person's page are held to the same in test_staff_acts.
"""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.admin import helpdesk
from accounts.models import SupportRequest, User
from audit.models import ActivityLog, WebhookDelivery
from billing.models import PlanGrant
from exchanges.models import ExchangeConnection, QuarantinedPage
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import tenancy, touching

OF_NOBODY = {WebhookDelivery}  # an operator's address, and no person's row
ACTIONS = [
    (model, name)
    for model, page in admin.site._registry.items() for name in page.actions
    if model not in OF_NOBODY
]  # fmt: skip


@pytest.fixture
def clerk(db) -> User:
    """Somebody with every permission there is, who is no superuser."""
    with tenancy.as_system("test"):
        user = User.objects.create_user("clerk@example.com", PASSWORD, is_staff=True)
        user.user_permissions.set(Permission.objects.all())
    return with_rows(user)


@pytest.fixture
def root(db) -> User:
    with tenancy.as_system("test"):
        user = User.objects.create_superuser("root@example.com", PASSWORD)
    return with_rows(user)


@pytest.fixture
def other(db) -> User:
    """Another member of staff."""
    with tenancy.as_system("test"):
        user = User.objects.create_user("other@example.com", PASSWORD, is_staff=True)
    return with_rows(user)


def with_rows(user: User) -> User:
    factories.something_everywhere(user)
    return user


def rows_of(model: Any, person: User) -> list[dict[str, Any]]:
    whose = {"pk": person.pk} if model is User else {"user": person}
    with tenancy.as_system("test"):
        rows = list(model.objects.filter(**whose).order_by("pk").values())
    return [{name: row[name] for name in row if name != "last_login"} for row in rows]


def act(reader: User, model: Any, name: str, person: User) -> str:
    """What the list says after the action on all rows of the person."""
    opts = model._meta
    listed = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    keys = [str(row[opts.pk.attname]) for row in rows_of(model, person)]
    assert keys, "nothing to act on"
    data = {"action": name, "_selected_action": keys}
    answer = signed_in(reader).post(listed, data, follow=True)
    assert answer.redirect_chain, "the action is not offered"
    return " ".join(str(message) for message in answer.context["messages"])


def traces(actor: User) -> int:
    with tenancy.as_system("test"):
        return ActivityLog.objects.filter(actor_id=actor.id).count()


def test_every_action_is_on_rows_of_a_person_or_known_to_be_of_nobody():
    assert len(ACTIONS) >= 11
    for model, _ in ACTIONS:
        assert model is User or any(f.attname == "user_id" for f in model._meta.concrete_fields)


@pytest.mark.parametrize(
    ("reader", "person"), [("clerk", "clerk"), ("clerk", "other"), ("clerk", "root"), ("root",) * 2]
)
def test_no_action_reaches_rows_of_oneself_or_of_staff(request, reader, person):
    reader, person = request.getfixturevalue(reader), request.getfixturevalue(person)
    for model, name in ACTIONS:
        before, said = rows_of(model, person), traces(reader)
        assert touching.REFUSED in act(reader, model, name, person), name
        assert rows_of(model, person) == before, name
        assert traces(reader) == said, name


@pytest.mark.parametrize(("reader", "person"), [("clerk", "alice"), ("root", "other")])
def test_every_action_reaches_rows_of_people_and_a_superuser_those_of_staff(
    request, reader, person
):
    reader, person = request.getfixturevalue(reader), request.getfixturevalue(person)
    if not rows_of(ExchangeConnection, person):
        with_rows(person)
    for model, name in ACTIONS:
        assert touching.REFUSED not in act(reader, model, name, person), name


def test_rows_that_may_be_acted_on_are_not_held_up_by_those_beside_them(clerk, alice):
    with_rows(alice)
    listed = reverse("admin:exchanges_exchangeconnection_changelist")
    keys = [
        str(row["id"]) for person in (clerk, alice) for row in rows_of(ExchangeConnection, person)
    ]
    data = {"action": "pause", "_selected_action": keys}
    answer = signed_in(clerk).post(listed, data, follow=True)
    said = " ".join(str(message) for message in answer.context["messages"])
    assert f"{touching.REFUSED}; left out: 1." in said
    assert [row["state"] for row in rows_of(ExchangeConnection, alice)] == ["paused"]
    assert [row["state"] for row in rows_of(ExchangeConnection, clerk)] != ["paused"]


# --- what is not an action ----------------------------------------------------------------------
@pytest.mark.parametrize("button", sorted(helpdesk._ACTS))
def test_no_button_of_a_support_request_works_on_ones_own_or_on_that_of_staff(
    clerk, other, root, button
):
    for reader, person in ((clerk, clerk), (clerk, other), (root, root)):
        [row] = rows_of(SupportRequest, person)
        page = reverse("admin:accounts_supportrequest_change", args=[row["id"]])
        data = {"act": button, "text": "So it is.", "version": row["version"], "category": "app"}
        client = signed_in(reader)
        assert client.post(page, data).status_code == 403
        shown = client.get(page).content.decode()
        assert ("Send answer" in shown, 'value="assign"' in shown) == (False, False)
        assert rows_of(SupportRequest, person) == [row]


def test_no_quarantine_of_oneself_or_of_staff_is_replayed(clerk, other, root, alice):
    with_rows(alice)

    def replay(reader: User, person: User) -> int:
        [page] = rows_of(QuarantinedPage, person)
        name = "admin:exchanges_exchangeconnection_replay"
        return signed_in(reader).post(reverse(name, args=[page["connection_id"]])).status_code

    for reader, person in ((clerk, clerk), (clerk, other), (clerk, root), (root, root)):
        assert replay(reader, person) == 403
    assert (replay(clerk, alice), replay(root, other)) == (302, 302)


def test_no_plan_is_given_to_oneself_or_to_staff(clerk, other, root, alice):
    def give(reader: User, person: User) -> tuple[int, int]:
        had = len(rows_of(PlanGrant, person))
        data = {"email": person.email, "tier": "pro", "days": "3", "reason": "ticket 7"}
        answer = signed_in(reader).post(reverse("admin:billing_plangrant_add"), data)
        return answer.status_code, len(rows_of(PlanGrant, person)) - had

    for reader, person in ((clerk, clerk), (clerk, other), (clerk, root), (root, root)):
        assert give(reader, person) == (403, 0)
    assert (give(clerk, alice), give(root, other)) == ((302, 1), (302, 1))


def test_no_form_changes_oneself_or_staff(clerk, other, root, alice):
    def change(reader: User, person: User) -> str:
        page = reverse("admin:accounts_user_change", args=[person.id])
        signed_in(reader).post(page, {"email": f"new-{person.email}"})
        password = reverse("admin:auth_user_password_change", args=[person.id])
        assert signed_in(reader).get(password).status_code == (200 if person == alice else 403)
        return rows_of(User, person)[0]["email"]

    for reader, person in ((clerk, clerk), (clerk, other), (clerk, root), (root, root)):
        assert change(reader, person) == person.email
    assert change(clerk, alice) == f"new-{alice.email}"
