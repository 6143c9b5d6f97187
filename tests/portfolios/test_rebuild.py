"""`manage.py rebuild_portfolio`: everything derived again, the same to the digit."""

from decimal import Decimal as D

import pytest
from django.core.management import CommandError, call_command

from portfolios import derivation
from portfolios.models import AssetBasis, DailyValuation, Disposal, Income, Lot
from tests import factories
from tests.portfolios.bookings import book, buy, day, derived, reward, sell, transfer
from tracker import clock, tenancy


@pytest.fixture
def history(alice):
    """Trades with fees, a move between two accounts, rewards, and one entry that came late."""
    one, two = (factories.connection(alice, label=name) for name in ("one", "two"))
    fee = {"fee_code": "BTC", "fee_quantity": D("0.0003333")}
    book(alice, one, buy("3", "100", day(0), **fee), buy("0.7", "33.33", day(1)))
    book(alice, one, transfer("withdrawal", "1", day(2)), sell("0.31", "17.7", day(3), **fee))
    derivation.derive(user_id=alice.id, now=clock.now())
    book(alice, two, transfer("deposit", "1", day(2.01)), reward("0.01", day(4)))
    derivation.derive(user_id=alice.id, now=clock.now())
    book(alice, two, sell("0.5", "61", day(5)), buy("0.2", "9", day(0.5)))
    derivation.derive(user_id=alice.id, now=clock.now())


def valuations(user):
    with tenancy.as_user(user.id):
        return list(
            DailyValuation.objects.filter(user=user).order_by("scope_id", "day")
            .values_list("scope_id", "day", "value", "cost", "realized", "restated_at")
        )  # fmt: skip


@pytest.mark.usefixtures("history")
def test_the_result_is_the_same_to_the_digit(alice, capsys):
    before, days = derived(alice), valuations(alice)
    assert before["Disposal"]
    call_command("rebuild_portfolio", alice.email)
    assert derived(alice) == before
    assert valuations(alice) == days


@pytest.mark.usefixtures("history")
def test_what_was_lost_or_altered_comes_back(alice):
    before = derived(alice)
    with tenancy.as_user(alice.id):
        Lot.objects.filter(position=0).delete()
        Disposal.objects.update(gain=D(7), cost=None)
        Income.objects.all().delete()
        AssetBasis.objects.all().delete()
    call_command("rebuild_portfolio")
    assert derived(alice) == before


def test_lots_that_nothing_in_the_ledger_accounts_for_go(alice):
    factories.books(alice, factories.connection(alice))
    with tenancy.as_user(alice.id):
        Lot.objects.update(asset=factories.asset("GONE"))
    call_command("rebuild_portfolio", alice.email)
    with tenancy.as_user(alice.id):
        assert not Lot.objects.filter(asset__code="GONE").exists()


def test_only_those_who_are_named_are_computed(alice, bob):
    for user in (alice, bob):
        book(user, factories.connection(user), buy("1", "100", day(0)))
    call_command("rebuild_portfolio", bob.email)
    assert derived(bob)["Lot"]
    assert not derived(alice)["Lot"]


def test_an_unknown_address_is_refused_before_anything_is_done(alice):
    book(alice, factories.connection(alice), buy("1", "100", day(0)))
    with pytest.raises(CommandError, match="nobody"):
        call_command("rebuild_portfolio", alice.email, "nobody@example.com")
    assert not derived(alice)["Lot"]
