"""Where reports and books differ: since when, how much, and what is missing."""

import random
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from exchanges.models import Coverage
from portfolios.models import (
    Discrepancy,
    Holding,
    HoldingChange,
    LedgerEntry,
    Reward,
    Trade,
    Transfer,
)
from portfolios.reconciling import differences, discrepancies, reconciliation
from portfolios.reconciling.account import (
    Account,
    Fact,
    FeedState,
    Habit,
    OtherSide,
    OwnEntry,
    Rate,
)
from portfolios.reconciling.differences import Difference, Movement, Place, Report
from tests import factories
from tracker import clock, tenancy

DELETIONS = 200
SEED = 20_260_105


class _RollBack(Exception):
    pass


def facts_of(connection):
    """Every fact that has entries: (its kind as causes name it, model, id, feed)."""
    found = []
    with tenancy.as_user(connection.user_id):
        for row in Trade.objects.filter(connection=connection).order_by("feed", "exchange_id"):
            kinds = {"fill": "trade", "conversion": "conversion", "dust": "dust"}
            bought = "purchase" if row.side == "buy" else "sale"
            found.append((kinds.get(row.kind, bought), "trade", row.id, row.feed))
        rows = Transfer.objects.filter(connection=connection, is_settled=True)
        for row in rows.order_by("feed", "exchange_id"):
            kind = row.direction
            if kind == "internal":
                kind = "earn" if "earn" in (row.wallet, row.counter_wallet) else "move"
            found.append((kind, "transfer", row.id, row.feed))
        for row in Reward.objects.filter(connection=connection).order_by("feed", "exchange_id"):
            found.append(("reward", "reward", row.id, row.feed))
    return found


def without(connection, *facts):
    """What the explanation says when these facts had not come: then they are back."""
    found = []
    with tenancy.as_user(connection.user_id):
        try:
            with transaction.atomic():
                for _, column, key, _ in facts:
                    LedgerEntry.objects.filter(**{f"{column}_id": key}).delete()
                    model = {"trade": Trade, "transfer": Transfer, "reward": Reward}[column]
                    model.objects.filter(id=key).delete()
                discrepancies.refresh(user_id=connection.user_id, now=clock.now())
                found = list(Discrepancy.objects.filter(connection=connection))
                raise _RollBack
        except _RollBack:
            return found


def first_causes(found):
    return {row.causes[0]["fact"] for row in found}


@pytest.fixture
def synced(alice, bob, charlie, connect, visit):
    """Three people's accounts, read to their end."""
    connections = [connect(alice, 3), connect(bob, 4), connect(charlie, 5)]
    visit(*connections)
    return connections


def test_nothing_differs_after_a_sync(synced):
    for connection in synced:
        assert without(connection) == []


def test_of_200_deleted_facts_the_first_cause_is_the_right_one(synced):
    draw = random.Random(SEED)
    facts = [(connection, fact) for connection in synced for fact in facts_of(connection)]
    right, seen, wrong = Counter(), Counter(), []
    for connection, fact in draw.sample(facts, min(DELETIONS, len(facts))):
        found = without(connection, fact)
        seen[fact[0]] += 1
        if found and first_causes(found) == {fact[0]}:
            right[fact[0]] += 1
        else:
            wrong.append(
                (fact[0], fact[3], [(str(r.difference), r.causes[0]["code"]) for r in found])
            )
    assert right.total() >= seen.total() * 0.95, wrong


KINDS = ("trade", "conversion", "dust", "deposit", "withdrawal", "reward", "earn", "move")


def test_a_deleted_fact_of_each_kind_is_named_with_its_feed(synced):
    draw = random.Random(SEED)
    facts = [(connection, fact) for connection in synced for fact in facts_of(connection)]
    for kind in KINDS:
        of_kind = [(connection, fact) for connection, fact in facts if fact[0] == kind]
        for connection, fact in draw.sample(of_kind, min(4, len(of_kind))):
            found = without(connection, fact)
            assert found, fact
            for row in found:
                named = [cause for cause in row.causes if cause["fact"] == kind]
                assert named, (fact, row.causes)
                assert fact[3] in named[0]["feeds"]
                assert named[0]["remedies"] == ["fetch_window", "book_adjustment"]


def test_a_purchase_by_card_is_among_the_causes(synced):
    """It leaves the print of a deposit: which of them it was, units alone cannot tell."""
    cards = [
        (connection, fact)
        for connection in synced
        for fact in facts_of(connection)
        if fact[0] == "purchase"
    ]
    assert cards
    for connection, fact in cards:
        (row,) = without(connection, fact)
        assert "purchase" in [cause["fact"] for cause in row.causes]


def test_two_deleted_facts_at_once_are_both_named_mostly(synced):
    """Where their differences overlap one place may hide another; both windows are named."""
    draw = random.Random(SEED)
    named = 0
    connection = synced[0]
    facts = facts_of(connection)
    for _ in range(30):
        one, other = draw.sample(facts, 2)
        found = without(connection, one, other)
        causes = {cause["fact"] for row in found for cause in row.causes}
        named += {one[0], other[0]} <= causes
    assert named >= 24


def test_a_fact_that_the_exchange_hides_is_named(alice, connect, visit, sandbox):
    """As the feed would leave it out: the balances count it, and nothing tells of it."""
    books = sandbox.books(42)["facts"]
    hidden = books["withdrawals"][0]
    sandbox.hide_fact(42, "withdrawals", hidden["id"])
    connection = connect(alice, 42)
    visit(connection)
    (row,) = without(connection)
    assert row.difference == -Decimal(hidden["quantity"]) - Decimal(hidden["fee"])
    assert row.causes[0]["code"] == "missing_withdrawal"


def test_a_feed_that_was_never_read_is_the_cause_of_the_cause(synced):
    connection = synced[0]
    rewards = [fact for fact in facts_of(connection) if fact[3] == "rewards"]
    with tenancy.as_user(connection.user_id):
        Coverage.objects.filter(connection=connection, feed="rewards").delete()
    for row in without(connection, rewards[0]):
        assert row.causes[0]["code"] == "feed_not_fetched"
        assert row.causes[0]["fact"] == "reward"
        assert any("“rewards” was never read" in told for told in row.causes[0]["evidence"])


def test_a_discrepancy_keeps_its_id_and_its_words_while_nothing_changes(synced):
    connection = synced[0]
    fact = facts_of(connection)[0]
    with tenancy.as_user(connection.user_id):
        LedgerEntry.objects.filter(**{f"{fact[1]}_id": fact[2]}).delete()
        discrepancies.refresh(user_id=connection.user_id, now=clock.now())
        before = list(Discrepancy.objects.order_by("id").values())
        later = clock.now() + timedelta(hours=1)
        discrepancies.refresh(user_id=connection.user_id, now=later)
        assert list(Discrepancy.objects.order_by("id").values()) == before


# --- since when (pure) --------------------------------------------------------------------------
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BTC, ETH, BNB, USDT, EUR = (uuid.UUID(int=number) for number in range(1, 6))
SPOT = Place("spot", BTC)


def at(hours):
    return NOON + timedelta(hours=hours)


def reports(*pairs):
    return [Report(at(hours), Decimal(units)) for hours, units in pairs]


def movements(*pairs):
    return [Movement(at(hours), Decimal(units)) for hours, units in pairs]


@pytest.mark.parametrize(
    ("reported", "booked", "expected"),
    [
        ([(0, 1)], [(-1, 1)], None),
        ([(0, 1)], [], (1, None, 0)),
        ([(0, 1), (10, 3)], [(-1, 1)], (2, 0, 10)),
        ([(0, 1), (10, 3), (20, 3)], [(-1, 1)], (2, 0, 10)),
        # it went away again
        ([(0, 1), (10, 3), (20, 1)], [(-1, 1)], None),
        # two steps: since the last report that agreed
        ([(0, 1), (10, 3), (20, 4)], [(-1, 1)], (3, 0, 10)),
        # an entry that came late explains the past as well
        ([(0, 1), (10, 3)], [(-1, 1), (5, 2)], None),
        # never reported, though booked
        ([(0, 0)], [(-1, 1)], (-1, None, 0)),
        # a trade while the balances were being read
        ([(0, 1), (10, 3)], [(-1, 1), (10.05, 2)], None),
        ([(0, 1), (10, 3)], [(-1, 1), (10.1, 2)], (2, 0, 10)),
        ([(0, 1), (10, 1)], [(-1, 1), (5, "0.5")], ("-0.5", 0, 10)),
    ],
)
def test_since_when_books_and_reports_differ(reported, booked, expected):
    found = differences.difference(SPOT, reports(*reported), movements(*booked))
    if expected is None:
        assert found is None
        return
    units, agreed, appeared = expected
    assert found.units == Decimal(units)
    assert found.agreed_at == (None if agreed is None else at(agreed))
    assert found.appeared_at == at(appeared)


def test_an_account_by_hand_differs_since_it_took_too_much():
    found = differences.shortage(SPOT, movements((0, 1), (1, -3), (2, 1)))
    assert (found.units, found.agreed_at, found.appeared_at) == (1, at(0), at(1))
    assert differences.shortage(SPOT, movements((0, 1), (1, -3), (2, 2))) is None


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(-50, 50)), max_size=20),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), min_size=1, max_size=20),
)
def test_a_difference_is_what_was_reported_less_what_was_booked(booked, reported):
    booked, reported = sorted(booked), sorted(dict(reported).items())
    found = differences.difference(SPOT, reports(*reported), movements(*booked))
    last = reported[-1]
    total = sum(units for hours, units in booked if hours <= last[0])
    if found is None:
        assert last[1] == total
        return
    assert found.units == last[1] - total != 0
    assert found.agreed_at is None or found.agreed_at < found.appeared_at <= at(last[0])


# --- why (pure) ---------------------------------------------------------------------------------
def differing(units, asset=BTC, wallet="spot", reported="10", **more):
    units, reported = Decimal(units), Decimal(reported)
    fields = {"reported_at": at(10), "agreed_at": at(0), "appeared_at": at(10)} | more
    return Difference(Place(wallet, asset), reported, reported - units, **fields)


ALL = ("deposits", "withdrawals", "rewards", "trades", "conversions", "dust", "earn_subscriptions")
READ = FeedState(since=at(-1000), until=at(10), launched=at(-2000))
KNOWN = {
    "codes": {BTC: "BTC", ETH: "ETH", BNB: "BNB", USDT: "USDT", EUR: "EUR"},
    "prices": {
        BTC: (Decimal(50_000), Decimal(70_000)), ETH: (Decimal(2_000), Decimal(3_000)),
        BNB: (Decimal(500), Decimal(600)), USDT: (Decimal(1), Decimal(1)),
    },
    "fiat": frozenset({EUR}),
    "booked": frozenset({BTC, ETH, BNB, USDT, EUR}),
    "first_at": at(-900),
    "feeds": dict.fromkeys(ALL, READ),
    "feeds_of": {
        Fact.DEPOSIT: ("deposits",), Fact.WITHDRAWAL: ("withdrawals",), Fact.REWARD: ("rewards",),
        Fact.TRADE: ("trades",), Fact.CONVERSION: ("conversions",), Fact.DUST: ("dust",),
        Fact.EARN: ("earn_subscriptions",), Fact.FEE: ("trades",),
    },
    "markets": {(BTC, USDT): 5, (ETH, USDT): 4},
    "fee_rates": (Decimal("0.001"),),
}  # fmt: skip


def explained(*differences, **more):
    account = Account(**KNOWN | more)
    found = reconciliation.explain(list(differences), account)
    return [found[item.place][0][0] for item in differences]


def first(*differences, **more):
    return {str(cause.code) for cause in explained(*differences, **more)}


def test_two_assets_that_agree_in_value_are_a_trade():
    got, gave = differing("0.09990"), differing("-6000", USDT)
    assert first(got, gave) == {"missing_trade"}
    cause = explained(got, gave)[0]
    assert cause.parts == ((gave.place, gave.units), (got.place, got.units))
    assert cause.sentence == "A trade of 6000 USDT for 0.0999 BTC seems to be missing."


def test_the_evidence_is_worth_what_its_units_cost_when_the_difference_appeared():
    item = differing("0.02")
    rates = {(BTC, item.appeared_at): Rate(Decimal(40_318), item.appeared_at.date())}
    habits = {(Fact.DEPOSIT, "spot"): Habit(3, (9.0,) * 3, (100.0, 300.0, 200.0))}
    (cause,) = explained(item, rates=rates, habits=habits, priced_on=item.appeared_at.date())
    day = item.appeared_at.date()
    assert cause.evidence[:2] == (
        f"It was worth about 806.36 USD at the price of {day}.",
        f"The 3 known of this kind, at the prices of {day}, are worth 200.00 USD in the middle.",
    )
    (silent,) = explained(item)
    assert not any("USD" in told for told in silent.evidence)


def test_a_fee_in_a_third_asset_belongs_to_the_trade():
    parts = differing("0.1"), differing("-6000", USDT), differing("-0.008", BNB)
    causes = explained(*parts)
    assert {str(cause.code) for cause in causes} == {"missing_trade"}
    assert all(len(cause.parts) == 3 for cause in causes)


def test_units_that_fit_no_step_of_the_market_are_a_conversion():
    assert first(differing("0.09876543"), differing("-6000.1234", USDT)) == {"missing_conversion"}


def test_a_dollar_that_became_bnb_is_dust():
    dust = {"dust_targets": frozenset({BNB})}
    assert first(differing("-0.0004999", ETH), differing("0.0021", BNB), **dust) == {"dust"}


def test_assets_that_do_not_agree_in_value_are_two_facts():
    codes = first(differing("0.1"), differing("-3", USDT))
    assert codes == {"missing_deposit", "missing_withdrawal"}


def test_assets_that_differ_since_different_times_are_two_facts():
    early = differing("0.0999", agreed_at=None, appeared_at=at(-5))
    assert "missing_trade" not in first(early, differing("-6000", USDT))


def test_what_left_one_wallet_and_came_to_another_is_a_move():
    spot = differing("-1.5")
    assert first(spot, differing("1.5", wallet="earn")) == {"earn_movement"}
    assert first(spot, differing("1.5", wallet="funding")) == {"wallet_move"}


def test_sizes_tell_a_reward_from_a_deposit():
    habits = {
        (Fact.REWARD, "spot"): Habit(20, tuple(float(n) for n in range(1, 21))),
        (Fact.DEPOSIT, "spot"): Habit(5, (900.0, 1500.0, 2000.0, 3000.0, 4000.0)),
    }
    assert first(differing("0.0002"), habits=habits) == {"missing_reward"}  # 12 USD
    assert first(differing("0.04"), habits=habits) == {"missing_deposit"}  # 2,400 USD


def test_money_that_came_in_was_paid_in():
    feeds = {**KNOWN["feeds"], "fiat_deposits": READ}
    of = {**KNOWN["feeds_of"], Fact.DEPOSIT: ("deposits", "fiat_deposits")}
    (cause,) = explained(differing("500", EUR), feeds=feeds, feeds_of=of)
    assert (cause.code, cause.feeds) == ("missing_deposit", ("fiat_deposits",))


def test_fees_paid_in_a_third_asset():
    habits = {
        (Fact.FEE, "spot"): Habit(50, (0.5,) * 50),
        (Fact.WITHDRAWAL, "spot"): Habit(5, (1000.0, 2000.0, 1500.0, 900.0, 700.0)),
    }
    more = {"habits": habits, "fee_assets": frozenset({BNB})}
    assert first(differing("-0.001", BNB), **more) == {"third_asset_fee"}


def test_less_than_the_smallest_unit_is_rounding():
    assert first(differing("0.000000004")) == {"rounding"}
    assert first(differing("-0.000000004")) == {"rounding"}


def test_an_asset_that_no_entry_names_and_no_market_prices_is_a_fork_or_an_airdrop():
    new = uuid.UUID(int=99)
    codes = {**KNOWN["codes"], new: "NEW"}
    assert first(differing("100", new), codes=codes) == {"fork_or_airdrop"}


def test_an_asset_whose_market_is_closed_and_that_is_gone():
    more = {"delisted": {ETH: "ETHUSDT"}}
    assert first(differing("-3", ETH, reported="0"), **more) == {"delisting"}
    assert first(differing("-3", ETH), **more) == {"missing_withdrawal"}


def other_side(quantity, came_in, hours, fee="0"):
    return OtherSide(
        uuid.UUID(int=7), uuid.UUID(int=8), BTC, came_in, Decimal(quantity), Decimal(fee), at(hours)
    )


def test_a_transfer_that_another_account_knows():
    known = other_side("1.5", came_in=False, hours=5)
    (cause,) = explained(differing("1.5"), other_sides=(known,))
    assert (cause.code, cause.fact, cause.counterpart) == (
        "unmatched_transfer", "deposit", known.id,
    )  # fmt: skip
    for wrong in [
        other_side("1.5", came_in=True, hours=5),
        other_side("1.5", came_in=False, hours=-50),
        other_side("1.5", came_in=False, hours=50),
        other_side("1.8", came_in=False, hours=5),
    ]:
        assert first(differing("1.5"), other_sides=(wrong,)) == {"missing_deposit"}


def own(number, units, hours=5, twin=None, asset=BTC):
    twin_at = None if twin is None else at(twin)
    return OwnEntry(uuid.UUID(int=number), Place("spot", asset), Decimal(units), at(hours), twin_at)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([own(1, 2)], [1]),
        ([own(1, 2), own(2, 2, twin=5)], [2]),  # the one that is there twice
        ([own(1, "0.5", twin=4), own(2, "1.5", twin=6), own(3, 7)], [1, 2]),
        ([own(1, "0.5", twin=4)], [1]),  # not all of it
        ([own(1, -2)], None),  # it made the books less
        ([own(1, "1.9")], None),
        ([own(1, 2, hours=-1)], None),  # a report agreed after it
        ([own(1, 2, hours=20)], None),  # after the last report
        ([own(1, 2, asset=ETH)], None),
    ],
)
def test_entries_of_the_person_s_own_that_are_too_much_come_first(entries, named):
    (cause,) = explained(differing("-2"), own=tuple(entries))
    if named is None:
        assert cause.code == "missing_withdrawal"
        return
    assert (cause.code, [key.int for key in cause.entries]) == ("entered_or_imported", named)
    ranked = reconciliation.explain([differing("-2")], Account(**KNOWN, own=tuple(entries)))
    assert reconciliation.as_rows(ranked[SPOT], Account(**KNOWN))[0]["remedies"] == [
        "delete_entries"
    ]


def test_a_trade_that_is_booked_twice_is_no_missing_trade():
    sold, paid = differing("-0.0999"), differing("6000", USDT)
    entries = (own(1, "0.0999", twin=5), own(1, "-6000", twin=5, asset=USDT))
    assert first(sold, paid) == {"missing_trade"}
    assert first(sold, paid, own=entries) == {"entered_or_imported"}


def test_a_transfer_that_is_pending_and_has_moved_the_balance():
    pending = other_side("1.5", came_in=False, hours=9, fee="0.1")
    assert first(differing("-1.6"), pending=(pending,)) == {"pending_transfer"}


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (FeedState(), "feed_not_fetched"),
        (FeedState(at(-1000), at(10), error="exchange_unreachable"), "feed_not_fetched"),
        (FeedState(at(-1000), at(10), unread=2), "window_missing"),
        (FeedState(at(-1000), at(-100)), "window_missing"),
        (FeedState(at(5) + timedelta(days=2), at(100)), "window_missing"),
        (READ, "missing_deposit"),
    ],
)
def test_what_was_not_read_is_named_before_what_is_missing(state, code):
    feeds = {**KNOWN["feeds"], "deposits": state}
    (cause,) = explained(differing("1.5"), feeds=feeds)
    assert (cause.code, cause.fact) == (code, "deposit")


def test_a_purchase_is_missing_where_an_account_by_hand_gave_too_much():
    (cause,) = explained(differing("2", reported="0"), by_hand=True)
    assert cause.code == "missing_purchase"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([BTC, ETH, BNB, USDT, EUR]),
            st.sampled_from(["spot", "earn"]),
            st.decimals("-1e15", "1e15", places=18).filter(bool),
        ),
        min_size=1, max_size=6, unique_by=lambda item: item[:2],
    )
)  # fmt: skip
def test_every_difference_has_causes_whose_likelihoods_fall_and_add_up(items):
    found = [differing(units, asset, wallet) for asset, wallet, units in items]
    for ranked in reconciliation.explain(found, Account(**KNOWN)).values():
        shares = [share for _, share in ranked]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1.0000001
        assert reconciliation.as_rows(ranked, Account(**KNOWN))


# --- the figure for support ---------------------------------------------------------------------
def test_the_figure_counts_accounts_causes_and_days(alice, bob, db):
    from portfolios.admin.reconciliation import shown

    for person in (alice, alice, bob):
        factories.discrepancy(person)
    with tenancy.as_system("test"):
        Discrepancy.objects.update(
            appeared_at=clock.now(), causes=[{"code": "missing_trade", "sentence": "x"}]
        )
        found = shown(clock.now())
    assert (found["accounts"], found["all_accounts"], found["differences"]) == (3, 3, 3)
    (causes,) = (bars for title, bars, _ in found["tables"] if title == "Likeliest causes")
    assert [(bar.name, bar.value, bar.note) for bar in causes.rows] == [("missing_trade", 3, "3")]
    assert found["appeared"].lines[0].last == 3


def test_the_page_of_the_figure_is_for_staff_who_may_see_it(alice, db):
    from django.contrib import admin
    from django.core.exceptions import PermissionDenied
    from django.test import RequestFactory

    factories.discrepancy(alice)
    request = RequestFactory().get("/")
    request.user = alice
    page = admin.site._registry[Discrepancy].charts
    with tenancy.as_system("test"):
        with pytest.raises(PermissionDenied):
            page(request)
        alice.is_staff = alice.is_superuser = True
        told = page(request).render().content.decode()
    assert "1 of 1 accounts differ" in told
    assert 'role="img"' in told


# --- wallets without a report -------------------------------------------------------------------
def test_a_wallet_in_which_nothing_was_ever_reported_was_empty(alice, db):
    """Everything redeemed, and the feed of redemptions never told: the books still hold it."""
    connection = factories.connection(alice)
    with tenancy.as_user(alice.id):
        moved = factories.transfer(
            alice, connection, "internal", "in", counter_wallet="earn", occurred_at=NOON
        )
        row = {"user": alice, "connection": connection, "asset": moved.asset, "transfer": moved}
        for leg, (wallet, units) in enumerate([("spot", -1), ("earn", 1)]):
            LedgerEntry.objects.create(
                **row, wallet=wallet, kind="transfer", quantity=units, leg=leg, occurred_at=NOON
            )
        reward = {**row, "transfer": None}
        paid = Reward.objects.create(
            user=alice, connection=connection, feed="rewards", exchange_id="r", kind="airdrop",
            asset=moved.asset, quantity=1, wallet="spot", occurred_at=at(-1),
        )  # fmt: skip
        LedgerEntry.objects.create(
            **reward, reward=paid, wallet="spot", kind="reward", quantity=1, leg=0,
            occurred_at=at(-1),
        )  # fmt: skip
        Holding.objects.create(
            user=alice, connection=connection, wallet="spot", asset=moved.asset,
            exchange_code="BTC", quantity=1, changed_at=at(5), last_confirmed_at=at(5),
        )  # fmt: skip
        HoldingChange.objects.create(
            user=alice, connection=connection, wallet="spot", asset=moved.asset,
            exchange_code="BTC", quantity=1, reported_at=at(5),
        )  # fmt: skip
        assert discrepancies.refresh(user_id=alice.id, now=at(6)) == 1  # earn is not known yet
        type(connection).objects.update(last_full_at=at(5))
        assert discrepancies.refresh(user_id=alice.id, now=at(6)) == 2
        found = {row.wallet: row for row in Discrepancy.objects.all()}
    assert (found["earn"].reported, found["earn"].difference) == (0, -1)
    assert {row.causes[0]["code"] for row in found.values()} == {"feed_not_fetched"}
    assert {row.causes[0]["fact"] for row in found.values()} == {"earn"}
