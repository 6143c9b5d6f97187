"""What facts do to each asset: cost, proceeds, income, and what is said to be unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.cost import booking
from portfolios.cost.booking import Booked, Booking, Entry, FactBook, Given, Note
from portfolios.cost.lots import Acquisition, Book, Disposition, Method, Move

NOON = datetime(2024, 5, 5, 12, tzinfo=UTC)
USD, EUR, BTC, ETH, BNB, USDT = (UUID(int=number) for number in range(1, 7))
HERE, THERE = UUID(int=10), UUID(int=11)
FACT, OTHER = UUID(int=20), UUID(int=21)
MARKET = {EUR: "1.1", BTC: "60000", ETH: "3000", BNB: "500", USDT: "1"}


@dataclass
class Market:
    """One price for each asset, whenever it is asked for."""

    prices: Mapping[UUID, str] = field(default_factory=lambda: MARKET)

    def at(self, asset_id: UUID, instant: datetime) -> Any:
        assert instant.tzinfo
        price = self.prices.get(asset_id)
        return price and SimpleNamespace(price=Decimal(price), source="a market")


def legs(*rows: tuple[UUID, str, str], at: datetime = NOON, account: UUID = HERE, first: int = 100,
         **of: UUID) -> list[Entry]:  # fmt: skip
    """The legs of one fact: asset, kind, units."""
    return [
        Entry(UUID(int=first + number), at, asset, account, kind, Decimal(units), number, **of)
        for number, (asset, kind, units) in enumerate(rows)
    ]


def book(entries: list[Entry], *, prices: Mapping[UUID, str] | None = None, base: UUID = USD,
         **facts: Any) -> Booking:  # fmt: skip
    return booking.events(
        entries, facts=FactBook(**facts), prices=Market(MARKET if prices is None else prices),
        base_asset_id=base, currency="USD", fiat={USD, EUR},
    )  # fmt: skip


def trade(*rows: tuple[UUID, str, str], **more: Any) -> Booking:
    return book(legs(*rows, trade=FACT), **more)


def came(booked: Booking, asset: UUID) -> list[tuple[Decimal, Decimal | None]]:
    """Units and cost of what was acquired."""
    return [
        (event.quantity, event.cost)
        for event in booked.events.get(asset, [])
        if isinstance(event, Acquisition)
    ]


def went(booked: Booking, asset: UUID) -> list[tuple[str, Decimal, Decimal | None]]:
    """Kind, units and proceeds of what was disposed of."""
    return [
        (event.kind, event.quantity, event.proceeds)
        for event in booked.events.get(asset, [])
        if isinstance(event, Disposition)
    ]


# --- trades -------------------------------------------------------------------------------------
def test_what_is_bought_costs_what_was_paid_and_the_fee() -> None:
    booked = trade((BTC, "trade", "2"), (USD, "trade", "-100"), (USD, "fee", "-1"))
    assert came(booked, BTC) == [(2, 101)]
    (event,) = booked.events[BTC]
    assert isinstance(event, Acquisition)
    assert (event.source, event.price) == ("paid in USD", 50)
    assert set(booked.events) == {BTC}


@st.composite
def trades_with_money(draw: Any) -> list[Entry]:
    """Two sides, one of them in dollars or none; up to two fees or rebates; perhaps a card."""
    kind = draw(st.sampled_from(["trade", "conversion"]))
    units = st.decimals("0.01", "1000", places=2)
    came, went = draw(st.permutations([USD, BTC, ETH, EUR]))[:2]
    rows = [(came, kind, str(draw(units))), (went, kind, str(-draw(units)))]
    if draw(st.booleans()):
        rows.reverse()
    for asset in draw(st.lists(st.sampled_from([USD, BTC, BNB, EUR]), max_size=2)):
        rows.append((asset, "fee", str(draw(st.sampled_from([-1, 1])) * draw(units))))
    if draw(st.booleans()):
        rows.append((USD, "deposit", str(draw(units))))
    return legs(*rows, trade=FACT)


@given(trades_with_money())
def test_money_told_in_the_place_of_its_legs_books_the_same(entries: list[Entry]) -> None:
    money = [
        leg for leg in entries
        if leg.asset == USD and (leg.kind in ("trade", "conversion")
                                 or (leg.kind == "fee" and leg.quantity < 0))
    ]  # fmt: skip
    sides = [abs(leg.quantity) for leg in money if leg.kind != "fee"]
    fees = sum((-leg.quantity for leg in money if leg.kind == "fee"), Decimal(0))
    told = booking.events(
        [leg for leg in entries if leg not in money], facts=FactBook(), prices=Market(),
        base_asset_id=USD, currency="USD", fiat={USD, EUR},
        moneys={FACT: (sides[0] if sides else None, fees)},
    )  # fmt: skip
    assert told == book(entries)


def test_what_is_sold_brings_what_was_paid_less_the_fee() -> None:
    booked = trade((BTC, "trade", "-2"), (USD, "trade", "100"), (USD, "fee", "-1"))
    assert went(booked, BTC) == [("sale", 2, 99)]


def test_crypto_for_crypto_disposes_and_acquires_at_the_value_of_the_quote() -> None:
    booked = trade((ETH, "trade", "20"), (BTC, "trade", "-1"))
    assert came(booked, ETH) == [(20, 60_000)]
    assert went(booked, BTC) == [("sale", 1, 60_000)]


def test_without_a_price_of_the_quote_the_base_is_asked() -> None:
    booked = trade((ETH, "trade", "20"), (BTC, "trade", "-1"), prices={ETH: "3100"})
    assert came(booked, ETH) == [(20, 62_000)]
    assert booked.unpriced == {(BTC, NOON)}


def test_without_any_price_cost_and_proceeds_are_unknown() -> None:
    booked = trade((ETH, "trade", "20"), (BTC, "trade", "-1"), prices={})
    assert came(booked, ETH) == [(20, None)]
    assert went(booked, BTC) == [("sale", 1, None)]
    assert booked.unpriced == {(BTC, NOON), (ETH, NOON)}
    assert booked.events[ETH][0].source == "no price"  # type: ignore[union-attr]


def test_another_fiat_currency_is_valued_and_has_no_lots() -> None:
    booked = trade((BTC, "trade", "1"), (EUR, "trade", "-1000"), (EUR, "fee", "-10"))
    assert came(booked, BTC) == [(1, Decimal("1111.0"))]
    assert set(booked.events) == {BTC}


def test_the_base_currency_may_be_a_coin() -> None:
    booked = trade((ETH, "trade", "20"), (BTC, "trade", "-1"), base=BTC)
    assert came(booked, ETH) == [(20, 1)]
    assert set(booked.events) == {ETH}


def test_units_traded_for_nothing_cost_nothing() -> None:
    booked = trade((BTC, "trade", "0.00000001"))
    assert came(booked, BTC) == [(Decimal("0.00000001"), 0)]


def test_an_amount_that_no_column_holds_is_not_booked() -> None:
    booked = trade((ETH, "trade", "1e27"), (BTC, "trade", "-1e27"))
    assert came(booked, ETH) == [(Decimal("1e27"), None)]
    assert booked.events[ETH][0].source == "no price"  # type: ignore[union-attr]


# --- fees ---------------------------------------------------------------------------------------
def test_a_fee_in_a_third_asset_raises_the_cost_and_is_disposed_of() -> None:
    booked = trade((BTC, "trade", "1"), (USDT, "trade", "-60000"), (BNB, "fee", "-0.1"))
    assert came(booked, BTC) == [(1, 60_050)]
    assert went(booked, BNB) == [("fee", Decimal("0.1"), 50)]
    assert went(booked, USDT) == [("sale", 60_000, 60_000)]


def test_a_fee_in_what_is_bought_is_acquired_first_and_then_disposed_of() -> None:
    booked = trade((BTC, "trade", "1"), (USD, "trade", "-1000"), (BTC, "fee", "-0.01"))
    assert came(booked, BTC) == [(1, 1010)]
    assert went(booked, BTC) == [("fee", Decimal("0.01"), 10)]


def test_a_fee_in_what_is_sold_goes_with_it_for_the_same_money() -> None:
    booked = trade((BTC, "trade", "-1"), (USD, "trade", "1010"), (BTC, "fee", "-0.01"))
    assert went(booked, BTC) == [("sale", 1, 1000), ("fee", Decimal("0.01"), 10)]


def test_a_conversion_takes_its_fee_off_what_was_given() -> None:
    booked = trade((BNB, "conversion", "1"), (ETH, "conversion", "-0.2"), (BNB, "fee", "-0.02"))
    assert came(booked, BNB) == [(1, 600)]
    assert went(booked, ETH) == [("sale", Decimal("0.2"), 588)]
    assert went(booked, BNB) == [("fee", Decimal("0.02"), 12)]


def test_a_fee_on_money_that_was_sold_raises_the_cost_of_what_came_for_it() -> None:
    booked = trade((EUR, "trade", "-100"), (USDT, "trade", "110"), (EUR, "fee", "-1"))
    assert came(booked, USDT) == [(110, Decimal("111.1"))]


def test_a_fee_without_a_price_changes_nothing_and_is_said() -> None:
    booked = trade((BTC, "trade", "1"), (USD, "trade", "-1000"), (BNB, "fee", "-0.1"), prices={})
    assert came(booked, BTC) == [(1, 1000)]
    assert went(booked, BNB) == [("fee", Decimal("0.1"), None)]
    assert booked.unpriced == {(BNB, NOON)}
    assert booked.events[BTC][0].source == "paid in USD; fee without a price"  # type: ignore[union-attr]


def test_a_rebate_is_income_and_leaves_the_trade_alone() -> None:
    booked = trade((BTC, "trade", "1"), (USD, "trade", "-1000"), (BNB, "fee", "0.1"))
    assert came(booked, BTC) == [(1, 1000)]
    assert came(booked, BNB) == [(Decimal("0.1"), 50)]
    assert [(row.kind, row.value) for row in booked.receipts] == [("rebate", 50)]


def test_a_card_payment_brings_its_money_from_outside() -> None:
    booked = trade(
        (BTC, "trade", "1"), (EUR, "trade", "-1000"), (EUR, "fee", "-20"), (EUR, "deposit", "1020")
    )
    assert came(booked, BTC) == [(1, 1122)]
    assert set(booked.events) == {BTC}


# --- rewards and adjustments --------------------------------------------------------------------
def test_a_reward_is_acquired_at_market_value_which_is_income() -> None:
    booked = book(legs((ETH, "reward", "2"), reward=FACT), rewards={FACT: "staking"})
    assert came(booked, ETH) == [(2, 6000)]
    assert [(row.kind, row.quantity, row.value) for row in booked.receipts] == [
        ("staking", 2, 6000)
    ]


def test_interest_on_money_is_income_without_a_lot() -> None:
    booked = book(legs((EUR, "reward", "10"), reward=FACT), rewards={FACT: "interest"})
    assert [row.value for row in booked.receipts] == [11]
    assert booked.events == {}


@pytest.mark.parametrize(
    ("kind", "units", "expected"),
    [
        ("rollover", "-1", ("fee", 1, 3000)),
        ("adjustment", "-1", ("adjustment", 1, None)),
    ],
)
def test_units_taken_without_a_counterpart_go(
    kind: str, units: str, expected: tuple[str, int, int | None]
) -> None:
    booked = book(legs((ETH, "reward", units), reward=FACT), rewards={FACT: kind})
    assert went(booked, ETH) == [expected]
    assert booked.receipts == []


def test_an_exchanges_adjustment_comes_at_an_unknown_cost() -> None:
    booked = book(legs((ETH, "reward", "1"), reward=FACT), rewards={FACT: "adjustment"})
    assert came(booked, ETH) == [(1, None)]
    assert booked.receipts == []


@pytest.mark.parametrize(
    ("reason", "cost", "expected", "income"),
    [
        ("opening", Given(USD, Decimal(70)), 70, []),
        ("opening", Given(EUR, Decimal(100)), 110, []),
        ("opening", None, None, []),
        ("gift", None, None, []),
        ("gift", Given(USD, Decimal(5)), 5, []),
        ("correction", None, None, []),
        ("airdrop", None, 3000, [3000]),
        ("fork", None, 3000, [3000]),
    ],
)
def test_units_booked_by_hand_cost_what_is_given(
    reason: str, cost: Given | None, expected: int | None, income: list[int]
) -> None:
    entries = legs((ETH, "adjustment", "1"), adjustment=FACT)
    booked = book(entries, adjustments={FACT: Booked(reason, cost)})
    assert came(booked, ETH) == [(1, expected)]
    assert [row.value for row in booked.receipts] == income


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("lost", ("lost", 1, 0)),
        ("gift", ("gift", 1, 3000)),
        ("correction", ("adjustment", 1, None)),
    ],
)
def test_units_taken_out_by_hand_go_as_their_reason_says(
    reason: str, expected: tuple[str, int, int | None]
) -> None:
    entries = legs((ETH, "adjustment", "-1"), adjustment=FACT)
    assert went(book(entries, adjustments={FACT: Booked(reason)}), ETH) == [expected]


# --- transfers ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("note", "cost", "income"),
    [
        (None, None, 0),
        (Note("purchase", Given(USD, Decimal(900))), 900, 0),
        (Note("purchase", Given(EUR, Decimal(1000))), 1100, 0),
        (Note("own_deposit", Given(USD, Decimal(10)), NOON - timedelta(days=400)), 10, 0),
        (Note("own_deposit"), None, 0),
        (Note("gift_received"), None, 0),
        (Note("income"), 3000, 1),
        (Note("income", Given(USD, Decimal(2900))), 2900, 1),
    ],
)
def test_a_deposit_costs_what_its_note_says(
    note: Note | None, cost: int | None, income: int
) -> None:
    entries = legs((ETH, "deposit", "1"), transfer=FACT)
    booked = book(entries, notes={FACT: note} if note else {})
    assert came(booked, ETH) == [(1, cost)]
    assert len(booked.receipts) == income


def test_a_note_gives_the_date_of_acquisition_which_is_never_after_the_deposit() -> None:
    entries = legs((ETH, "deposit", "1"), transfer=FACT)
    for told, expected in ((-400, -400), (3, 0)):
        note = Note("own_deposit", acquired_at=NOON + timedelta(days=told))
        (event,) = book(entries, notes={FACT: note}).events[ETH]
        assert isinstance(event, Acquisition)
        assert event.acquired_at == NOON + timedelta(days=expected)


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        ("", ("withdrawal", 1, None)),
        ("own_withdrawal", ("withdrawal", 1, None)),
        ("gift_given", ("gift", 1, 3000)),
        ("donation", ("donation", 1, 3000)),
        ("payment", ("payment", 1, 3000)),
        ("lost", ("lost", 1, 0)),
    ],
)
def test_a_withdrawal_goes_as_its_note_says_and_its_fee_is_a_disposal(
    meaning: str, expected: tuple[str, int, int | None]
) -> None:
    entries = legs((ETH, "withdrawal", "-1"), (ETH, "fee", "-0.1"), transfer=FACT)
    booked = book(entries, notes={FACT: Note(meaning)} if meaning else {})
    assert went(booked, ETH) == [expected, ("fee", Decimal("0.1"), 300)]


def pair(sent: str, fee: str, arrived: str, *, later: int = 60, fee_asset: UUID = ETH) -> Booking:
    gone = legs((ETH, "withdrawal", sent), (fee_asset, "fee", fee), transfer=FACT)
    come = legs(
        (ETH, "deposit", arrived), transfer=OTHER, account=THERE, first=200,
        at=NOON + timedelta(seconds=later),
    )  # fmt: skip
    return book([leg for leg in gone if leg.quantity] + come, pairs={FACT: OTHER})


@pytest.mark.parametrize(
    ("sent", "fee", "arrived", "lost"),
    [
        ("-9", "-1", "9", ["1"]),  # the fee on top, as reported
        ("-9", "0", "8.5", ["0.5"]),  # what did not arrive
        ("-9", "-1", "8.5", ["1", "0.5"]),  # both
        ("-9", "-1", "10", []),  # a fee that the exchange did not take
        ("-9", "-1", "9.5", ["0.5"]),
        ("-9", "0", "9", []),
    ],
)
def test_a_pair_is_one_move_and_its_fee(sent: str, fee: str, arrived: str, lost: list[str]) -> None:
    booked = pair(sent, fee, arrived)
    moves = [event for event in booked.events[ETH] if isinstance(event, Move)]
    assert [(move.account, move.to_account, move.quantity) for move in moves] == [
        (HERE, THERE, Decimal(arrived))
    ]
    fees = {(units, proceeds) for _, units, proceeds in went(booked, ETH)}
    assert fees == {(Decimal(units), Decimal(units) * 3000) for units in lost}
    assert came(booked, ETH) == []


def test_a_network_fee_in_another_asset_is_a_disposal_of_that_one() -> None:
    booked = pair("-9", "-0.2", "9", fee_asset=BNB)
    assert went(booked, BNB) == [("fee", Decimal("0.2"), 100)]
    assert went(booked, ETH) == []


def test_where_clocks_differ_the_lots_are_there_before_they_are_sold() -> None:
    booked = pair("-9", "0", "9", later=-90)
    assert booked.events[ETH][0].at == NOON - timedelta(seconds=90)


def test_more_than_was_sent_is_no_move() -> None:
    booked = pair("-9", "0", "9.5")
    assert went(booked, ETH) == [("withdrawal", 9, None)]
    assert came(booked, ETH) == [(Decimal("9.5"), None)]


def test_half_a_pair_is_booked_for_itself() -> None:
    entries = legs((ETH, "withdrawal", "-1"), transfer=FACT)
    assert went(book(entries, pairs={FACT: OTHER}), ETH) == [("withdrawal", 1, None)]


def test_a_move_between_wallets_of_one_account_changes_nothing() -> None:
    booked = book(legs((ETH, "transfer", "-1"), (ETH, "transfer", "1"), transfer=FACT))
    assert booked.events == {}


def test_money_that_comes_and_goes_has_no_lots() -> None:
    entries = legs((USD, "deposit", "100"), transfer=FACT)
    entries += legs((EUR, "withdrawal", "-50"), (EUR, "fee", "-1"), transfer=OTHER, first=200)
    booked = book(entries)
    assert (booked.events, booked.receipts) == ({}, [])


# --- whatever happens ---------------------------------------------------------------------------
AMOUNT = st.decimals("0.000000000000000001", "1e15", places=18)
ASSETS = st.sampled_from([BTC, ETH, BNB, USDT])


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(draw(st.integers(1, 8))):
        fact, at = UUID(int=1000 + number), NOON + timedelta(seconds=draw(st.integers(0, 3)))
        asset, units = draw(ASSETS), draw(AMOUNT)
        kind = draw(st.sampled_from(["trade", "conversion", "deposit", "withdrawal", "reward"]))
        sign = draw(st.sampled_from([-1, 1]))
        place: dict[str, Any] = {"at": at, "first": 2000 + 10 * number}
        if kind in ("trade", "conversion"):
            quote = draw(st.sampled_from([USD, EUR, *({BTC, ETH} - {asset})]))
            fee = draw(st.sampled_from([USD, BNB, asset, quote]))
            entries += legs(
                (asset, kind, str(sign * units)), (quote, kind, str(-sign * draw(AMOUNT))),
                (fee, "fee", str(-draw(AMOUNT))), trade=fact, **place,
            )  # fmt: skip
        elif kind == "reward":
            entries += legs((asset, "reward", str(sign * units)), reward=fact, **place)
        else:
            sign = 1 if kind == "deposit" else -1
            entries += legs((asset, kind, str(sign * units)), transfer=fact, **place)
    return entries


@given(entries=ledgers(), order=st.randoms())
def test_units_of_events_are_those_of_the_legs_in_any_order(entries: list[Entry], order) -> None:
    booked = book(entries)
    for asset in (BTC, ETH, BNB, USDT):
        change = sum(
            event.quantity if isinstance(event, Acquisition) else -event.quantity
            for event in booked.events.get(asset, [])
        )
        assert change == sum(leg.quantity for leg in entries if leg.asset == asset)
    shuffled = list(entries)
    order.shuffle(shuffled)
    again = book(shuffled)
    assert again.events == booked.events
    assert sorted(again.receipts) == sorted(booked.receipts)


@given(units=AMOUNT, value=AMOUNT, fee=AMOUNT)
def test_a_fee_in_the_asset_sold_leaves_the_proceeds_in_all_what_was_paid(
    units: Decimal, value: Decimal, fee: Decimal
) -> None:
    booked = trade((BTC, "trade", str(-units)), (USD, "trade", str(value)), (BTC, "fee", str(-fee)))
    assert sum(row[2] or 0 for row in went(booked, BTC)) == value


@given(units=AMOUNT, paid=AMOUNT, brought=AMOUNT, fee=AMOUNT)
def test_fees_lower_the_gain_by_what_they_are_worth(
    units: Decimal, paid: Decimal, brought: Decimal, fee: Decimal
) -> None:
    entries = legs(
        (BTC, "trade", str(units)), (USD, "trade", str(-paid)), (USD, "fee", str(-fee)), trade=FACT
    )
    entries += legs(
        (BTC, "trade", str(-units)), (USD, "trade", str(brought)), (USD, "fee", str(-fee)),
        trade=OTHER, first=200, at=NOON + timedelta(days=1),
    )  # fmt: skip
    matched = Book(method=Method.FIFO)
    matched.apply(book(entries).events[BTC])
    assert sum(piece.gain for piece in matched.pieces) == brought - paid - 2 * fee
