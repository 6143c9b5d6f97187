"""S18: what is not writable is refused and never written, whichever name it has."""

from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from exchanges.models import ExchangeConnection, ExchangeCredential
from tests import factories
from tracker import ids, tenancy

SETTABLE = {
    "base_currency",
    "time_zone",
    "locale",
    "theme",
    "cost_basis_method",
    "cost_basis_scope",
    "long_term_days",
}
CONNECTION_CHANGES = {"label", "paused", "position", "api_key", "api_secret", "passphrase"}


def names_of(*models: Any) -> set[str]:
    """Every name under which a field of these tables might be sent."""
    return {
        name
        for model in models
        for field in model._meta.get_fields()
        for name in (field.name, getattr(field, "attname", ""), getattr(field, "column", ""))
        if name
    }


def dump(table: str) -> list[str]:
    with tenancy.as_system("test"), connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1")
        return [text for (text,) in cursor.fetchall()]


VALUES = [True, 1, "x", None, {}, [], "2030-01-01T00:00:00Z", str(ids.new_id())]


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


def assert_refused(answer: Any, name: str) -> None:
    assert answer.status_code == 400, name
    fields = {row["field"]: row["code"] for row in answer.json()["details"]["fields"]}
    assert fields.get(name) == "unknown_field", name


@pytest.mark.parametrize("name", sorted(names_of(User) - SETTABLE))
def test_no_other_field_of_a_person_can_be_changed(client_of, alice, name):
    """S18"""
    api, before = client_of(alice), dump("users")
    for value in VALUES:
        assert_refused(api.patch("/me", {name: value, "base_currency": "CHF"}), name)
    assert dump("users") == before


@pytest.mark.parametrize(
    "name", sorted(names_of(User) - SETTABLE - {"email", "password", "consents"})
)
def test_no_other_field_of_a_person_can_be_given_at_registration(client_of, name, db):
    """S18"""
    body = {"email": "new@example.com", "password": "correct horse battery staple"}
    for value in VALUES[:3]:
        assert_refused(client_of().post("/auth/register", body | {name: value}), name)
    assert dump("users") == []


@pytest.mark.parametrize(
    "name", sorted(names_of(ExchangeConnection, ExchangeCredential) - CONNECTION_CHANGES)
)
def test_no_other_field_of_a_connection_can_be_given_or_changed(client_of, alice, name):
    """S18"""
    connected = factories.connection(alice)
    api = client_of(alice)
    before = dump("exchange_connections") + dump("exchange_credentials")
    new = {"exchange": "binance", "label": "b", "api_key": "a" * 64, "api_secret": "b" * 64}
    for value in VALUES:
        changed = api.patch(f"/connections/{connected.id}", {"label": "a", name: value})
        assert_refused(changed, name)
        if name != "exchange":
            assert_refused(api.post("/connections", new | {name: value}), name)
    assert dump("exchange_connections") + dump("exchange_credentials") == before


def test_the_names_that_matter_are_among_those_tried():
    """So that a change in how the names are found does not empty the tests above."""
    assert {"is_staff", "is_superuser", "password_hash", "subscription_tier"} <= names_of(User)
    assert {"user", "user_id", "state", "lease_until"} <= names_of(ExchangeConnection)
