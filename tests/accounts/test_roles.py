"""What each role of staff may do, row by row of the table and page by page of the admin."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from accounts.models import User
from accounts.staff import roles
from audit.models import Incident
from tests import factories
from tests.admin_client import signed_in
from tests.servers import PROJECT
from tracker import desk, tenancy

MODELS = {model._meta.label: model for model in admin.site._registry}
PLAIN = ("view", "add", "change", "delete")


@pytest.fixture
def alice(db):
    """A person with a row in every table."""
    user = factories.person("alice@example.com")
    factories.something_everywhere(user)
    Incident.objects.create(title="an incident")
    return user


def member_of(role: str) -> User:
    user = factories.person(f"{role.lower().replace(' ', '-')}@example.com", is_staff=True)
    with tenancy.as_system("test"):
        user.groups.set([Group.objects.get(name=role)])
    return user


def rights_of(role: str) -> set[str]:
    rows = Permission.objects.filter(group__name=role).select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


# --- the table ----------------------------------------------------------------------------------
def test_every_model_of_the_admin_has_a_row_and_every_row_a_model():
    rows = {apps.get_model(label)._meta.label for label in roles.TABLE}
    on_another_page = {"audit.IncidentUpdate"}
    assert rows == set(roles.TABLE)
    assert set(MODELS) == rows - on_another_page


def test_every_permission_of_the_table_exists(db):
    existing = {
        f"{row.content_type.app_label}.{row.codename}"
        for row in Permission.objects.select_related("content_type")
    }
    for role in roles.ROLES:
        assert roles.permissions_of(role) <= existing, role


def test_every_act_can_be_done_by_a_role_and_no_permission_of_an_act_by_an_auditor():
    offered = {act.permission for act in desk._desk.acts.values()}
    given = {role: roles.permissions_of(role) for role in roles.ROLES}
    assert len(desk._desk.acts) >= 13
    assert offered <= frozenset().union(*given.values())
    assert not offered & given[roles.AUDITOR]
    assert not offered & given[roles.OPERATIONS]


def test_least_privilege_is_as_promised():
    """What the names of the roles promise, said apart from the table."""
    given = {role: roles.permissions_of(role) for role in roles.ROLES}
    assert all(".view_" in name for name in given[roles.AUDITOR])
    assert "audit.view_activitylog" in given[roles.AUDITOR]
    assert given[roles.SUPPORT] < given[roles.LEAD]
    finance = {name.split(".")[0] for name in given[roles.FINANCE]}
    assert finance == {"billing", "djstripe", "accounts"}
    figures = ("trade", "holding", "lot", "portfoliosnapshot", "dailyvaluation", "ledgerentry")
    for role in (roles.FINANCE, roles.OPERATIONS):
        assert not {f"portfolios.view_{name}" for name in figures} & given[role]
    assert not {name for name in given[roles.OPERATIONS] if name.startswith("billing.")}
    of_the_lead = {"ask_reset_second_factor", "view_as", "start_export", "start_erasure"}
    for role in roles.ROLES:
        held = {name.split(".")[1] for name in given[role]} & of_the_lead
        assert held == (of_the_lead if role == roles.LEAD else set()), role
        assert not {"accounts.change_user", "accounts.add_user", "auth.change_group"} & given[role]
        deletes = {name for name in given[role] if ".delete_" in name}
        assert deletes <= {"accounts.delete_cannedreply"}


# --- the groups ---------------------------------------------------------------------------------
def test_after_migrating_each_group_holds_what_the_table_says(db):
    for role in roles.ROLES:
        assert rights_of(role) == roles.permissions_of(role)


def test_what_was_added_or_taken_by_hand_is_put_right_and_other_groups_are_left_alone(db):
    support = Group.objects.get(name=roles.SUPPORT)
    own = Group.objects.create(name="our own")
    surplus = Permission.objects.get(codename="change_user")
    support.permissions.add(surplus)
    own.permissions.add(surplus)
    support.permissions.remove(
        Permission.objects.get(codename="view_session", content_type__app_label="accounts")
    )
    Group.objects.get(name=roles.FINANCE).delete()
    roles.sync()
    roles.sync()
    for role in roles.ROLES:
        assert rights_of(role) == roles.permissions_of(role)
    assert rights_of("our own") == {"accounts.change_user"}


# --- the pages ----------------------------------------------------------------------------------
def page(model, name: str, *args) -> str:
    opts = model._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{name}", args=args)


def a_row(model):
    with tenancy.as_system("test"):
        rows = model._default_manager.order_by("pk")
        return (rows.filter(is_staff=False) if model is User else rows).first()


def allowed_by_the_class(model, action: str) -> bool:
    """Whether anybody at all may, as a superuser would be answered."""
    site = admin.site._registry[model]
    names = {"add": "has_add_permission", "delete": "has_delete_permission"}
    request = type("Request", (), {"user": _Anybody(), "resolver_match": None})()
    return action == "view" or bool(getattr(site, names[action])(request))


class _Anybody:
    is_superuser = is_staff = is_active = True
    pk = None

    def has_perm(self, name: str, obj=None) -> bool:
        return True


@pytest.mark.parametrize("role", roles.ROLES)
def test_the_admin_answers_each_role_as_its_row_says(alice, role):
    """Every model × list, page, form for adding, page for deleting, and actions."""
    client = signed_in(member_of(role))
    for label, model in MODELS.items():
        may = roles.TABLE[label].of(role)
        row = a_row(model)
        answers = {"list": client.get(page(model, "changelist")).status_code}
        if row is not None:
            for name in ("change", "delete"):
                answers[name] = client.get(page(model, name, quote(row.pk))).status_code
        answers["add"] = client.get(page(model, "add")).status_code
        seen = 200 if {"view", "change"} & may else 403
        assert answers["list"] == seen, label
        assert answers.get("change", seen) == seen, label
        added = "add" in may and allowed_by_the_class(model, "add")
        assert answers["add"] == (200 if added else 403), label
        assert answers.get("delete", 403) == 403, label


@pytest.mark.parametrize("role", roles.ROLES)
def test_actions_and_saving_need_the_right_to_change(alice, role):
    """Each action of each list, posted: refused ones leave the list as it is, with no word."""
    client = signed_in(member_of(role))
    for label, model in MODELS.items():
        site, may = admin.site._registry[model], roles.TABLE[label].of(role)
        row = a_row(model)
        if row is None or not {"view", "change"} & may:
            continue
        listed = client.get(page(model, "changelist")).content.decode()
        for action in site.actions or ():
            can = "change" in may or (label == "billing.PlanGrant" and "add" in may)
            offered = f'value="{action}"' in listed
            assert offered == can, (label, action)
        if "change" not in may:
            saved = client.post(page(model, "change", quote(row.pk)), {"_save": "Save"})
            assert saved.status_code == 403, label


@pytest.mark.parametrize("role", roles.ROLES)
def test_each_act_on_a_person_is_open_to_its_roles_alone(alice, role):
    client, given = signed_in(member_of(role)), roles.permissions_of(role)
    for slug, act in desk._desk.acts.items():
        address = reverse("admin:person_act", args=[alice.id, slug])
        expected = 200 if act.permission in given else 403
        assert client.get(address).status_code == expected, slug
        if expected == 403:
            assert client.post(address, {"reason": "x"}).status_code == 403, slug


# --- what operators read ------------------------------------------------------------------------
def test_the_table_of_the_docs_is_that_of_the_code():
    text = (PROJECT / "docs" / "operations.md").read_text()
    for label in roles.TABLE:
        cells = [", ".join(sorted(roles.TABLE[label].of(role))) or "–" for role in roles.ROLES]
        assert f"| {label} | {' | '.join(cells)} |" in text, label
