"""Which lots a disposition takes, what they cost, and what stays true whatever happens."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.cost import lots
from portfolios.cost.lots import Acquisition, Book, Disposition, Event, Lot, Method, Move

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
HERE, THERE = UUID(int=1), UUID(int=2)
EVERY = list(Method)


def bought(number: int, units: str, cost: str | None, *, day: int | None = None,
           account: UUID = HERE, price: str | None = None) -> Acquisition:  # fmt: skip
    return Acquisition(
        UUID(int=number), BEGINNING + timedelta(days=number if day is None else day), account,
        Decimal(units), None if cost is None else Decimal(cost), "trade",
        price=None if price is None else Decimal(price),
    )  # fmt: skip


def sold(number: int, units: str, proceeds: str | None, *, day: int | None = None,
         account: UUID = HERE) -> Disposition:  # fmt: skip
    return Disposition(
        UUID(int=number), BEGINNING + timedelta(days=number if day is None else day), account,
        Decimal(units), None if proceeds is None else Decimal(proceeds), "sale",
    )  # fmt: skip


def moved(number: int, units: str, *, source: UUID = HERE, target: UUID = THERE) -> Move:
    return Move(
        UUID(int=number), BEGINNING + timedelta(days=number), source, target, Decimal(units)
    )


def book_of(*events: Event, method: Method = Method.FIFO, per_account: bool = False) -> Book:
    book = Book(method=method, per_account=per_account)
    book.apply(lots.in_order(events))
    return book


def taken(book: Book) -> list[tuple[int | None, Decimal, Decimal | None, Decimal | None]]:
    """Each piece: number of its lot, units, cost, gain."""
    return [
        (piece.lot and piece.lot.origin.entry_id.int, piece.quantity, piece.cost, piece.gain)
        for piece in book.pieces
    ]


# --- which lots ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "order"),
    [
        (Method.FIFO, [1, 2, 3]),
        (Method.LIFO, [3, 2, 1]),
        (Method.HIFO, [2, 1, 3]),
        (Method.LOFO, [3, 1, 2]),
        (Method.AVERAGE, [1, 2, 3]),
    ],
)
def test_each_method_takes_lots_in_its_order(method: Method, order: list[int]) -> None:
    book = book_of(
        bought(1, "1", "20"), bought(2, "1", "30"), bought(3, "1", "10"), sold(4, "3", "90"),
        method=method,
    )  # fmt: skip
    assert [number for number, *_ in taken(book)] == order


@pytest.mark.parametrize("method", [Method.HIFO, Method.LOFO])
def test_equal_prices_are_taken_by_age_and_unknown_costs_last(method: Method) -> None:
    book = book_of(
        bought(1, "1", None), bought(2, "2", "20"), bought(3, "1", "10"), sold(4, "4", "40"),
        method=method,
    )  # fmt: skip
    assert [number for number, *_ in taken(book)] == [2, 3, 1]


def test_the_dearest_is_so_by_its_price_before_fees() -> None:
    dear = bought(1, "1", "101", price="101")
    charged = bought(2, "1", "110", price="100")
    book = book_of(dear, charged, sold(3, "1", "120"), method=Method.HIFO)
    assert taken(book) == [(1, 1, 101, 19)]


def test_so_few_units_that_no_column_holds_their_price_are_the_dearest() -> None:
    speck = bought(1, "0.000000000000000001", "1e13")
    book = book_of(speck, bought(2, "1", "1e9"), sold(3, "1", "1e9"), method=Method.HIFO)
    assert [number for number, *_ in taken(book)] == [1, 2]


def test_a_piece_takes_its_share_of_cost_and_the_last_one_the_rest() -> None:
    third = Decimal(100) / 3
    book = book_of(
        bought(1, "3", "100"), sold(2, "1", "40"), sold(3, "1", "40"), sold(4, "1", "40")
    )
    costs = [piece.cost for piece in book.pieces]
    assert costs[0] == third.quantize(lots.QUANTUM)
    assert sum(cost for cost in costs if cost) == 100


def test_proceeds_are_divided_among_pieces_without_a_remainder() -> None:
    book = book_of(
        bought(1, "1", "1"), bought(2, "1", "1"), bought(3, "1", "1"), sold(4, "3", "100")
    )
    proceeds = [piece.proceeds for piece in book.pieces]
    assert proceeds[0] == (Decimal(100) / 3).quantize(lots.QUANTUM)
    assert sum(part for part in proceeds if part) == 100


def test_average_cost_is_that_of_all_units_held_when_they_go() -> None:
    book = book_of(
        bought(1, "1", "100"), bought(2, "3", "500"), sold(3, "2", "400"),
        bought(4, "2", "400"), sold(5, "1", "200"), method=Method.AVERAGE,
    )  # fmt: skip
    assert taken(book) == [(1, 1, 150, 50), (2, 1, 150, 50), (2, 1, 175, 25)]
    assert {lot.remaining_cost / lot.remaining for lot in book.open_lots()} == {175}


def test_held_days_are_counted_by_utc_dates() -> None:
    late = Acquisition(
        UUID(int=1), BEGINNING + timedelta(hours=23, minutes=59), HERE, Decimal(1), Decimal(1), "x"
    )
    book = book_of(late, sold(2, "1", "1", day=1))
    assert book.pieces[0].held_days == 1


def test_units_that_came_with_an_earlier_date_are_older_than_those_here() -> None:
    old = bought(2, "1", "5")._replace(acquired_at=BEGINNING - timedelta(days=900))
    book = book_of(bought(1, "1", "10"), old, sold(3, "1", "20"))
    assert taken(book) == [(2, 1, 5, 15)]
    assert book.pieces[0].held_days == 903


# --- what is not known --------------------------------------------------------------------------
@pytest.mark.parametrize("method", EVERY)
def test_units_that_no_lot_covers_have_no_cost_and_no_gain(method: Method) -> None:
    book = book_of(bought(1, "1", "10"), sold(2, "3", "60"), method=method)
    assert taken(book) == [(1, 1, 10, 10), (None, 2, None, None)]
    assert [piece.proceeds for piece in book.pieces] == [20, 40]
    assert book.pieces[1].acquired_at is None
    assert book.pieces[1].held_days is None


def test_a_sale_before_any_purchase_leaves_that_purchase_alone() -> None:
    book = book_of(sold(1, "1", "10"), bought(2, "1", "5"))
    assert taken(book) == [(None, 1, None, None)]
    assert [lot.remaining for lot in book.open_lots()] == [1]


@pytest.mark.parametrize("method", EVERY)
def test_a_lot_of_unknown_cost_gives_pieces_of_unknown_gain(method: Method) -> None:
    book = book_of(bought(1, "2", None), sold(2, "1", "60"), method=method)
    assert taken(book) == [(1, 1, None, None)]
    assert book.open_lots()[0].remaining_cost is None


def test_average_cost_leaves_units_of_unknown_cost_out() -> None:
    book = book_of(
        bought(1, "1", None), bought(2, "1", "10"), bought(3, "1", "20"), sold(4, "2", "60"),
        method=Method.AVERAGE,
    )  # fmt: skip
    assert taken(book) == [(1, 1, None, None), (2, 1, 15, 15)]


def test_without_proceeds_there_is_a_cost_and_no_gain() -> None:
    book = book_of(bought(1, "2", "10"), sold(2, "1", None))
    assert taken(book) == [(1, 1, 5, None)]


# --- one instant, extreme numbers, emptied and refilled ------------------------------------------
def test_at_one_instant_what_came_in_is_there_for_what_goes() -> None:
    book = book_of(sold(1, "1", "20", day=5), bought(2, "1", "10", day=5))
    assert taken(book) == [(2, 1, 10, 10)]


def test_fills_of_one_instant_are_taken_in_the_order_of_their_entries() -> None:
    fills = [bought(number, "1", str(number), day=5) for number in (3, 1, 2)]
    book = book_of(*fills, sold(4, "3", "30", day=5))
    assert [number for number, *_ in taken(book)] == [1, 2, 3]


@pytest.mark.parametrize("method", EVERY)
def test_eighteen_decimals_and_a_quadrillion_units_lose_nothing(method: Method) -> None:
    units = Decimal("1000000000000000.000000000000000003")
    book = book_of(
        bought(1, str(units), "123456789.000000000000000007"),
        sold(2, "0.000000000000000001", "0.000000000000000001"),
        sold(3, "999999999999999.000000000000000001", "1"),
        method=method,
    )  # fmt: skip
    (lot,) = book.open_lots()
    assert lot.remaining == Decimal("1.000000000000000001")
    costs = sum(piece.cost or 0 for piece in book.pieces)
    assert costs + lot.remaining_cost == Decimal("123456789.000000000000000007")


@pytest.mark.parametrize("method", EVERY)
def test_emptied_and_refilled_it_begins_anew(method: Method) -> None:
    book = book_of(
        bought(1, "1", "10"), sold(2, "1", "15"), bought(3, "1", "20"), sold(4, "1", "30"),
        method=method,
    )  # fmt: skip
    assert taken(book) == [(1, 1, 10, 5), (3, 1, 20, 10)]
    assert book.open_lots() == []


# --- accounts -----------------------------------------------------------------------------------
def test_with_a_pool_per_account_only_its_own_lots_are_taken() -> None:
    events = [
        bought(1, "1", "10", account=THERE), bought(2, "1", "20"), sold(3, "1", "50"),
    ]  # fmt: skip
    assert taken(book_of(*events)) == [(1, 1, 10, 40)]
    assert taken(book_of(*events, per_account=True)) == [(2, 1, 20, 30)]


def test_moved_lots_keep_their_dates_and_cost() -> None:
    book = book_of(
        bought(1, "2", "20"), moved(2, "1"), bought(3, "1", "30", account=THERE),
        sold(4, "1", "50", account=THERE), per_account=True,
    )  # fmt: skip
    (piece,) = book.pieces
    assert (piece.cost, piece.gain, piece.held_days) == (10, 40, 3)
    assert piece.lot
    assert piece.lot.origin.entry_id == UUID(int=1)
    assert piece.lot.account == THERE


def test_a_whole_lot_stays_the_same_lot_when_it_moves() -> None:
    book = book_of(bought(1, "2", "20"), moved(2, "2"), per_account=True)
    (lot,) = book.open_lots()
    assert (lot.key, lot.account, lot.remaining, lot.remaining_cost) == (UUID(int=1), THERE, 2, 20)


def test_a_part_that_moves_becomes_a_lot_with_a_key_that_is_always_the_same() -> None:
    events = [bought(1, "2", "20"), moved(2, "0.5"), moved(3, "0.5")]
    keys = [[lot.key for lot in book_of(*events, per_account=True).opened] for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 3


def test_keys_may_be_sixteen_bytes() -> None:
    events = [bought(1, "2", "20"), moved(2, "1")]
    as_bytes = [event._replace(entry_id=event.entry_id.bytes) for event in events]
    first, second = (book_of(*each, per_account=True) for each in (events, as_bytes))
    assert [lot.key.bytes for lot in first.opened] == [lot.key for lot in second.opened]


def test_what_was_not_there_to_move_arrives_with_an_unknown_cost() -> None:
    book = book_of(bought(1, "1", "10"), moved(2, "3"), per_account=True)
    assert [(lot.remaining, lot.remaining_cost, lot.account) for lot in book.open_lots()] == [
        (1, 10, THERE), (2, None, THERE)
    ]  # fmt: skip


def test_with_one_pool_a_move_changes_nothing() -> None:
    book = book_of(bought(1, "1", "10"), moved(2, "3"))
    assert [lot.account for lot in book.open_lots()] == [HERE]
    assert book.pieces == []


# --- what holds whatever happens ----------------------------------------------------------------
UNITS = st.decimals("0.000000000000000001", "1e15", places=18)
MONEY = st.decimals("0", "1e12", places=10)
ACCOUNTS = st.sampled_from([HERE, THERE])
DAYS = st.integers(0, 8)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Purchases, sales and moves in any order, many of them on the same instant."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, 14))):
        key, at = UUID(int=number + 1), BEGINNING + timedelta(days=draw(DAYS))
        account, units = draw(ACCOUNTS), draw(UNITS)
        kind = draw(st.sampled_from(["bought", "bought", "sold", "moved"]))
        if kind == "bought":
            cost = draw(st.none() | MONEY)
            events.append(Acquisition(key, at, account, units, cost, "trade"))
        elif kind == "sold":
            events.append(Disposition(key, at, account, units, draw(st.none() | MONEY), "sale"))
        else:
            events.append(Move(key, at, account, HERE if account == THERE else THERE, units))
    return lots.in_order(events)


@st.composite
def sold_out(draw: st.DrawFn) -> list[Event]:
    """Everything that was bought, at a known cost, is sold again, and never more than is held."""
    events: list[Event] = []
    held = Decimal(0)
    for number in range(1, draw(st.integers(2, 10))):
        key, at = UUID(int=number), BEGINNING + timedelta(days=number)
        if held and draw(st.booleans()):
            units = held * draw(st.sampled_from([Decimal("0.25"), Decimal("0.5"), Decimal(1)]))
            held -= units
            events.append(Disposition(key, at, HERE, units, draw(MONEY), "sale"))
        else:
            units = draw(UNITS)
            held += units
            events.append(Acquisition(key, at, HERE, units, draw(MONEY), "trade"))
    if held:
        last = BEGINNING + timedelta(days=99)
        events.append(Disposition(UUID(int=99), last, HERE, held, draw(MONEY), "sale"))
    return events


METHODS, SCOPES = st.sampled_from(EVERY), st.booleans()


@given(events=histories(), method=METHODS, per_account=SCOPES)
def test_units_and_costs_are_conserved(
    events: list[Event], method: Method, per_account: bool
) -> None:
    book = book_of(*events, method=method, per_account=per_account)
    came = [event for event in events if isinstance(event, Acquisition)]
    went = [event for event in events if isinstance(event, Disposition)]
    short = sum(piece.quantity for piece in book.pieces if piece.lot is None)
    left = sum(lot.remaining for lot in book.open_lots())
    unsaid = sum(lot.origin.quantity for lot in book.opened if lot.origin.kind == "transfer")
    assert sum(event.quantity for event in came) + unsaid + short == left + sum(
        event.quantity for event in went
    )
    assert sum(event.cost or 0 for event in came) == sum(
        lot.remaining_cost or 0 for lot in book.open_lots()
    ) + sum(piece.cost or 0 for piece in book.pieces)
    for event in went:
        mine = [piece for piece in book.pieces if piece.disposition is event]
        assert sum(piece.quantity for piece in mine) == event.quantity
        if event.proceeds is not None:
            assert sum(piece.proceeds for piece in mine) == event.proceeds


@given(events=histories(), method=st.sampled_from(EVERY[:4]), per_account=SCOPES)
def test_each_lot_accounts_for_its_own_units_and_cost(
    events: list[Event], method: Method, per_account: bool
) -> None:
    book = book_of(*events, method=method, per_account=per_account)
    for lot in book.opened:
        mine = [piece for piece in book.pieces if piece.lot is lot]
        assert lot.origin.quantity == lot.remaining + sum(piece.quantity for piece in mine)
        assert lot.remaining >= 0
        if lot.origin.cost is not None:
            spent = sum(piece.cost for piece in mine)
            assert lot.origin.cost == lot.remaining_cost + spent
    assert len({lot.key for lot in book.opened}) == len(book.opened)
    assert len({(piece.disposition.entry_id, piece.lot) for piece in book.pieces}) == len(
        book.pieces
    )


@given(events=sold_out())
def test_every_method_gives_the_same_total_gain_once_all_is_sold(events: list[Event]) -> None:
    gain = sum(e.proceeds for e in events if isinstance(e, Disposition)) - sum(
        e.cost for e in events if isinstance(e, Acquisition)
    )
    for method in EVERY:
        book = book_of(*events, method=method)
        assert sum(piece.gain for piece in book.pieces) == gain, method
        assert book.open_lots() == []


@given(events=histories(), method=METHODS, per_account=SCOPES, power=st.integers(-6, 6))
def test_money_in_another_unit_gives_the_same_gains_in_that_unit(
    events: list[Event], method: Method, per_account: bool, power: int
) -> None:
    scaled = [
        event if isinstance(event, Move)
        else event._replace(cost=event.cost and event.cost.scaleb(power))
        if isinstance(event, Acquisition)
        else event._replace(proceeds=event.proceeds and event.proceeds.scaleb(power))
        for event in events
    ]  # fmt: skip
    before = book_of(*events, method=method, per_account=per_account)
    after = book_of(*scaled, method=method, per_account=per_account)
    assert len(before.pieces) == len(after.pieces)
    for one, other in zip(before.pieces, after.pieces, strict=True):
        assert (one.quantity, one.acquired_at) == (other.quantity, other.acquired_at)
        assert (one.gain is None) == (other.gain is None)
        if one.gain is not None and other.gain is not None:
            assert abs(one.gain.scaleb(power) - other.gain) < Decimal("1e-20")


@given(events=histories(), method=METHODS, per_account=SCOPES, seed=st.randoms())
def test_the_order_in_which_events_are_told_does_not_matter(
    events: list[Event], method: Method, per_account: bool, seed
) -> None:
    shuffled = list(events)
    seed.shuffle(shuffled)
    before = book_of(*events, method=method, per_account=per_account)
    after = book_of(*shuffled, method=method, per_account=per_account)
    assert rows(before) == rows(after)


@given(events=histories(), method=METHODS, per_account=SCOPES, place=st.integers(0, 14))
def test_a_book_that_goes_on_ends_where_one_from_the_beginning_does(
    events: list[Event], method: Method, per_account: bool, place: int
) -> None:
    whole = book_of(*events, method=method, per_account=per_account)
    first = book_of(*events[:place], method=method, per_account=per_account)
    stored = [copy_of(lot) for lot in first.open_lots()]
    second = Book.resume(
        method=method, per_account=per_account, open_lots=reversed(stored),
        next_position=first.next_position,
    )  # fmt: skip
    second.apply(events[place:])
    assert rows(second)[1] == rows(whole)[1]
    assert rows(first)[0] + rows(second)[0] == rows(whole)[0]
    untouched = {lot.key for lot in stored} - {lot.key for lot in second.changed()}
    before = {lot.key: lot for lot in book_of(
        *events[:place], method=method, per_account=per_account
    ).open_lots()}  # fmt: skip
    now = {lot.key: lot for lot in second.open_lots()}
    for key in untouched:
        assert now[key].remaining == before[key].remaining
        assert now[key].remaining_cost == before[key].remaining_cost
        assert now[key].account == before[key].account


def copy_of(lot: Lot) -> Lot:
    """As a row of a table would give it back."""
    origin = lot.origin._replace(acquired_at=lot.acquired_at, key=lot.key)
    return Lot(origin, lot.position, lot.remaining, lot.remaining_cost)


def rows(book: Book) -> tuple[list, list]:
    """All that is stored of a book."""
    return [
        (piece.disposition, piece.lot and piece.lot.key, *piece[2:]) for piece in book.pieces
    ], [
        (lot.key, lot.account, lot.position, lot.acquired_at, lot.remaining, lot.remaining_cost,
         lot.origin.quantity, lot.origin.cost)
        for lot in book.open_lots()
    ]  # fmt: skip


@pytest.mark.parametrize("method", [Method.FIFO, Method.LIFO, Method.HIFO, Method.LOFO])
def test_as_many_open_lots_as_are_needed_are_enough_to_go_on(method: Method) -> None:
    past = [bought(n, "1", str((7 * n) % 5 + n)) for n in range(1, 9)]
    coming = [sold(20, "1.5", "30"), bought(21, "1", "2"), sold(22, "1", "40")]
    whole = book_of(*past, *coming, method=method)
    order = [piece.lot for piece in book_of(*past, sold(19, "8", "1"), method=method).pieces]
    some = [Lot(lot.origin, lot.position, Decimal(1), lot.origin.cost) for lot in order[:3] if lot]
    book = Book.resume(method=method, open_lots=some, next_position=8)
    book.apply(coming)
    assert rows(book)[0] == rows(whole)[0]


def test_pieces_come_in_the_order_of_their_dispositions() -> None:
    book = book_of(*(bought(n, "1", "1") for n in range(5)), sold(7, "2", "1"), sold(6, "2", "1"))
    assert all(a.disposition.at <= b.disposition.at for a, b in pairwise(book.pieces))
