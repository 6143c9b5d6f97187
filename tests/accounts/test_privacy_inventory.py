"""The inventory says what every field is, and the record of Art. 30 is made of it."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import models

from accounts.privacy import archive, inventory
from accounts.privacy.inventory import TABLES, Erasure


def without(label: str, name: str) -> dict[str, inventory.Table]:
    """The inventory as it would be had somebody forgotten one field."""
    table = TABLES[label]
    fields = {kind: tuple(n for n in names if n != name) for kind, names in table.fields.items()}
    return {**TABLES, label: replace(table, fields=fields)}


def with_more(label: str, name: str) -> dict[str, inventory.Table]:
    table = TABLES[label]
    fields = {**table.fields, "personal": (*table.fields["personal"], name)}
    return {**TABLES, label: replace(table, fields=fields)}


def test_every_field_of_every_table_is_classified_and_nothing_else_is_named():
    """S48: ours and third-party's; a new field without a class fails here."""
    assert inventory.problems() == []


def test_a_field_without_a_class_a_table_without_an_entry_and_stale_names_are_noticed():
    """S48: the check itself."""
    assert inventory.problems(without("accounts.User", "email")) == [
        "accounts.User.email is not classified"
    ]
    rest = {label: table for label, table in TABLES.items() if label != "sessions.Session"}
    assert inventory.problems(rest) == ["sessions.Session is not in the inventory"]
    assert inventory.problems(with_more("accounts.User", "shoe_size")) == [
        "accounts.User.shoe_size does not exist"
    ]
    twice = inventory.problems(with_more("accounts.User", "password"))
    assert set(twice) == {"accounts.User.password is classified twice"}
    assert "accounts.Gone does not exist" in inventory.problems(
        TABLES | {"accounts.Gone": TABLES["accounts.User"]}
    )


def test_every_table_with_a_user_is_exported_and_erased():
    """S48, S49: a table whose rows have a user has an owner here."""
    for label in inventory.labels():
        columns = {field.column for field in inventory.model(label)._meta.concrete_fields}
        if label == "accounts.User" or "user_id" in columns:
            assert TABLES[label].owner, label
            assert TABLES[label].erasure in (Erasure.DELETE, Erasure.ANONYMISE), label
            assert label in inventory.owned()


def test_rows_that_refer_to_others_go_before_them():
    order = inventory.owned()
    assert order[-1] == "accounts.User"
    for early, late in [
        ("portfolios.LedgerEntry", "portfolios.Trade"),
        ("portfolios.Trade", "exchanges.ExchangeConnection"),
        ("exchanges.ExchangeCredential", "exchanges.ExchangeConnection"),
        ("audit.WebhookDelivery", "audit.SecurityAlert"),
    ]:
        assert order.index(early) < order.index(late)


def test_whatever_is_sealed_hashed_or_digested_is_secret():
    """S48: bytes are never given out, but for those that the archive opens."""
    for label, table in TABLES.items():
        if table.erasure == Erasure.NOBODY:
            continue
        for field in inventory.model(label)._meta.concrete_fields:
            opened = field.name in archive._SEALED.get(label, ())
            if isinstance(field, models.BinaryField) and not opened:
                assert field.name in table.fields["secret"], f"{label}.{field.name}"
    assert "password" in TABLES["accounts.User"].fields["secret"]


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_the_record_says_purposes_categories_recipients_retention_and_measures(form, settings):
    """S48: what Art. 30 asks for, in each format."""
    settings.OPERATOR = settings.OPERATOR | {"name": "Example Ltd"}
    out = StringIO()
    call_command("privacy_inventory", format=form, stdout=out)
    text = " ".join(out.getvalue().split())
    for part in ("Example Ltd", "Hosting provider", "AES-256", "Backups"):
        assert part in text
    for label, table in TABLES.items():
        if table.erasure != Erasure.NOBODY:
            assert inventory.model(label)._meta.db_table[:8] in text
    if form == "json":
        record = json.loads(out.getvalue())
        users = next(row for row in record["activities"] if row["table"] == "users")
        assert "email" in users["categories"]["personal"]
        assert users["on_erasure"] == "delete"
        assert all(users[name] for name in ("legal_basis", "retention", "why"))


def test_what_is_said_of_process_logs_is_what_a_request_writes(client_of, db, caplog):
    """S48: whoever asks is told that their address stands there."""
    caplog.set_level("INFO")
    client_of().get("/assets")
    assert "client_address" in caplog.text
    assert "client addresses" in inventory.STORES["Process logs"]
