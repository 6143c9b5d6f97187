"""Columns and constraints that the tables of `portfolios` have in common.

Every table has its user first in each unique constraint and index, because every read is one
user's, and the policies compare that column.
"""

from django.conf import settings
from django.db import models

from exchanges.models import Asset, ExchangeConnection


def user_of() -> models.ForeignKey:
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )


def connection_of() -> models.ForeignKey:
    return of_the_same_owner(ExchangeConnection)


def of_the_same_owner(target: type[models.Model], *, null: bool = False) -> models.ForeignKey:
    """A row of the same person. The constraint is the composite one (``tenancy.same_owner``).

    Django's own would be checked by the column alone, for which there is no index: with it,
    deleting a row reads the whole table of everybody's.
    """
    return models.ForeignKey(
        target, models.CASCADE, null=null, related_name="+", db_index=False, db_constraint=False
    )


def asset_of(*, null: bool = False) -> models.ForeignKey:
    return models.ForeignKey(Asset, models.PROTECT, related_name="+", db_index=False, null=null)


def once(name: str) -> models.UniqueConstraint:
    """Facts are unique per connection, feed and exchange id: a page seen twice changes nothing."""
    return models.UniqueConstraint(
        fields=["user", "connection", "feed", "exchange_id"], name=f"{name}_once"
    )


def owner_key(name: str) -> models.UniqueConstraint:
    """What composite foreign keys (user, id) refer to."""
    return models.UniqueConstraint(fields=["user", "id"], name=f"{name}_owner")


def derived_of() -> models.ForeignKey:
    """The person of a derived row, without a constraint in the database.

    Checking it took 3 µs a row, a third of what a row costs in all. ``derivation`` writes under a
    lock on the person's own row instead, which whoever erases them takes first.
    """
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False,
        db_constraint=False,
    )  # fmt: skip


def derived_from(target: type[models.Model], *, null: bool = False) -> models.ForeignKey:
    """A row that a derived one was computed from, without a constraint in the database.

    Derived rows are thrown away and computed anew whenever what they came from changes, and
    checking 100,000 of them one by one costs more than computing them.
    """
    return models.ForeignKey(
        target, models.DO_NOTHING, null=null, related_name="+", db_index=False,
        db_constraint=False,
    )  # fmt: skip
