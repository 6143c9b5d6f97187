"""Staff write about disturbances in the admin; what they save is public at once, and logged."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission

from accounts.models import User
from audit import status_copy
from audit.actions import Action
from audit.models import ActivityLog, Incident
from tests import admin_client
from tests.conftest import PASSWORD
from tracker import clock, tenancy

DAY = (clock.now() - timedelta(days=1)).date().isoformat()
ADD = "/admin/audit/incident/add/"


def staff(*codenames: str) -> User:
    with tenancy.as_system("test"):
        user = User.objects.create_user("staff@example.com", PASSWORD, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


EVERYTHING = ("add_incident", "change_incident", "view_incident", "add_incidentupdate",
              "change_incidentupdate", "view_incidentupdate")  # fmt: skip


def form(title: str, *updates: tuple[str, str], known: tuple = (), incident: object = "") -> dict:
    rows = [("", *update) for update in updates]
    rows = [(str(row.id), row.state, row.text) for row in known] + rows
    body = {
        "title": title, "impact": "major", "started_at_0": DAY, "started_at_1": "12:00:00",
        "updates-TOTAL_FORMS": len(rows), "updates-INITIAL_FORMS": len(known),
        "updates-MIN_NUM_FORMS": 0, "updates-MAX_NUM_FORMS": 1000,
    }  # fmt: skip
    for number, (key, state, text) in enumerate(rows):
        body |= {
            f"updates-{number}-id": key, f"updates-{number}-incident": str(incident),
            f"updates-{number}-state": state, f"updates-{number}-text": text,
            f"updates-{number}-created_at_0": DAY,
            f"updates-{number}-created_at_1": f"13:{number:02}:00",
        }  # fmt: skip
    return body


def test_an_incident_is_public_when_it_is_saved_and_stands_in_the_log(transactional_db):
    author = staff(*EVERYTHING)
    answer = admin_client.signed_in(author).post(ADD, form("No prices", ("identified", "Found.")))
    assert answer.status_code == 302
    row = Incident.objects.get()
    assert (row.state, row.resolved_at) == ("identified", None)
    (told,) = status_copy.read()["incidents"]
    assert (told["title"], told["updates"][0]["text"]) == ("No prices", "Found.")
    with tenancy.as_system("test"):
        logged = ActivityLog.objects.get(action=Action.STAFF_ACTED)
    assert logged.actor_id == author.id
    assert logged.details["model"] == "audit.incident"


def test_the_newest_update_says_how_far_it_is(transactional_db):
    browser = admin_client.signed_in(staff(*EVERYTHING))
    browser.post(ADD, form("No prices", ("investigating", "We look.")))
    row = Incident.objects.get()
    body = form("No prices", ("resolved", "Over."), known=tuple(row.updates.all()), incident=row.id)
    assert browser.post(f"/admin/audit/incident/{row.id}/change/", body).status_code == 302
    row.refresh_from_db()
    assert row.state == "resolved"
    assert row.resolved_at == max(update.created_at for update in row.updates.all())
    (told,) = status_copy.read()["incidents"]
    assert told["state"] == "resolved"


@pytest.mark.parametrize("held", [(), ("view_incident",), ("add_incidentupdate",)])
def test_who_may_not_write_does_not(transactional_db, held):
    answer = admin_client.signed_in(staff(*held)).post(ADD, form("No prices"))
    assert answer.status_code == 403
    assert not Incident.objects.exists()


def test_service_levels_are_shown_to_who_may_see_the_days(transactional_db):
    page = "/admin/audit/componentday/levels/"
    browser = admin_client.signed_in(staff("view_componentday"))
    answer = browser.get(page)
    assert answer.status_code == 200
    assert "99.9 %" in answer.content.decode()
    assert browser.get("/admin/audit/componentday/").status_code == 200
    with tenancy.as_system("test"):
        User.objects.get().user_permissions.clear()
    assert browser.get(page).status_code == 403
