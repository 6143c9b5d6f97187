"""To which version of the terms and the privacy policy somebody agreed."""

from datetime import UTC, datetime

import pytest

from accounts import consents
from accounts.models import Consent
from audit.actions import Action
from audit.models import ActivityLog
from tests import factories
from tracker import tenancy

BOTH = {"terms": "2026-11-01", "privacy": "2026-11-01"}


@pytest.fixture(autouse=True)
def versions(settings):
    settings.TERMS_VERSION = settings.PRIVACY_VERSION = "2026-11-01"
    return settings


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


def due(api):
    results = api.get("/me/consents").json()["results"]
    return {row["document"]: row["due"] for row in results}


def test_who_never_agreed_is_to_be_asked_and_is_told_where_to_read(client_of, alice, versions):
    versions.PUBLIC_URL = "https://example.com"
    results = client_of(alice).get("/me/consents").json()["results"]
    assert [row["document"] for row in results] == ["terms", "privacy"]
    assert results[0] == {
        "document": "terms", "version": "2026-11-01", "agreed_version": None, "agreed_at": None,
        "due": True, "url": "https://example.com/terms",
    }  # fmt: skip


def test_agreement_is_recorded_with_version_address_and_time(client_of, alice):
    """S48"""
    api = client_of(alice)
    answer = api.post("/me/consents", BOTH)
    assert answer.status_code == 201
    assert [row["due"] for row in answer.json()["results"]] == [False, False]
    with tenancy.as_user(alice.id):
        rows = {row.document: row for row in Consent.objects.all()}
        logged = ActivityLog.objects.filter(action=Action.CONSENT_GIVEN)
        assert {row.details["document"] for row in logged} == {"terms", "privacy"}
    assert set(rows) == {"terms", "privacy"}
    assert rows["terms"].version == "2026-11-01"
    assert rows["terms"].ip_address == "127.0.0.1"
    assert rows["terms"].agreed_at is not None


def test_agreeing_twice_is_recorded_once(client_of, alice):
    """S57"""
    api = client_of(alice)
    api.post("/me/consents", BOTH)
    before = api.get("/me/consents").json()
    assert api.post("/me/consents", BOTH).status_code == 201
    assert api.get("/me/consents").json() == before
    with tenancy.as_user(alice.id):
        assert Consent.objects.count() == 2
        assert ActivityLog.objects.filter(action=Action.CONSENT_GIVEN).count() == 2


def test_one_document_can_be_agreed_to_alone(client_of, alice):
    api = client_of(alice)
    api.post("/me/consents", {"privacy": "2026-11-01"})
    assert due(api) == {"terms": True, "privacy": False}


def test_a_new_version_asks_again_and_the_old_agreement_stays(client_of, alice, versions):
    api = client_of(alice)
    api.post("/me/consents", BOTH)
    versions.TERMS_VERSION = "2027-01-01"
    assert due(api) == {"terms": True, "privacy": False}
    assert api.get("/me/consents").json()["results"][0]["agreed_version"] == "2026-11-01"
    api.post("/me/consents", {"terms": "2027-01-01"})
    assert due(api) == {"terms": False, "privacy": False}
    with tenancy.as_user(alice.id):
        versions_kept = set(Consent.objects.values_list("document", "version"))
    assert ("terms", "2026-11-01") in versions_kept


@pytest.mark.parametrize("version", ["2025-01-01", "latest", "2026-11-02"])
def test_a_version_that_is_not_in_force_is_refused_and_nothing_is_kept(client_of, alice, version):
    answer = client_of(alice).post("/me/consents", {"terms": version, "privacy": "2026-11-01"})
    assert (answer.status_code, answer.json()["code"]) == (409, "consent_outdated")
    assert answer.json()["details"] == {"in_force": {"terms": "2026-11-01"}}
    with tenancy.as_user(alice.id):
        assert not Consent.objects.exists()


@pytest.mark.parametrize(
    "body", [{}, {"terms": None}, {"terms": 1.5e300}, {"terms": ""}, {"cookies": "1"}, [], "x"]
)
def test_wrong_input_is_told_and_nothing_is_kept(client_of, alice, body):
    answer = client_of(alice).post("/me/consents", body)
    assert answer.status_code in (400, 409)
    with tenancy.as_user(alice.id):
        assert not Consent.objects.exists()


def test_the_agreement_of_one_is_not_that_of_another(client_of, alice, bob):
    client_of(alice).post("/me/consents", BOTH)
    assert due(client_of(bob)) == {"terms": True, "privacy": True}


def test_signing_up_can_agree_in_its_own_transaction(alice):
    """What registration calls: a wrong version undoes everything around it."""
    now = datetime(2026, 11, 2, tzinfo=UTC)
    with tenancy.as_user(alice.id):
        consents.agree(user_id=alice.id, documents=BOTH, ip_address=None, now=now)
        with pytest.raises(consents.ConsentOutdated):
            consents.agree(
                user_id=alice.id, documents={"terms": "1"}, ip_address=None, now=now
            )  # fmt: skip
        assert set(Consent.objects.values_list("agreed_at", flat=True)) == {now}


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["terms", "privacy"])
def test_the_texts_are_pages_with_version_and_operator(client, versions, page):
    versions.OPERATOR = {
        "name": "Example <Ltd>", "address": "1 High Street", "email": "me@example.com",
        "country": "Ireland",
    }  # fmt: skip
    answer = client.get(f"/{page}")
    html = answer.content.decode()
    assert answer.status_code == 200
    for part in ("2026-11-01", "Example &lt;Ltd&gt;", "1 High Street", "me@example.com", "Ireland"):
        assert part in html
    assert "script" not in html
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert client.get(f"/{page}/").status_code == 404
