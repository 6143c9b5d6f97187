"""Which withdrawal and deposit are one move: pure, and then over the API."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.models import TransferMatch
from portfolios.transfers import matches, matching
from portfolios.transfers.matching import Sent
from tests import factories, threads
from tracker import clock, tenancy

BINANCE, KRAKEN, THIRD = (uuid.UUID(int=number) for number in (1, 2, 3))
ETH, BTC = uuid.UUID(int=10), uuid.UUID(int=11)
NOON = datetime(2024, 5, 5, 12, tzinfo=UTC)


def side(number, account, quantity, at, *, asset=ETH, fee="0", txid=""):
    return Sent(
        uuid.UUID(int=1000 + number), account, asset, Decimal(quantity), Decimal(fee), txid, at
    )


def found(withdrawals, deposits, **more):
    pairs = matching.unambiguous(matching.candidates(withdrawals, deposits, **more))
    return {(pair.withdrawal.id.int - 1000, pair.deposit.id.int - 1000) for pair in pairs}


def test_the_two_moves_recorded_between_binance_and_kraken():
    """2024-05-05: −9 (fee 1) became +9, and on the way back −10 (fee 3) became +10."""
    withdrawals = [
        side(1, BINANCE, "9", datetime(2024, 5, 5, 15, 38, 56, tzinfo=UTC), fee="1"),
        side(2, KRAKEN, "10", datetime(2024, 5, 5, 15, 40, 2, tzinfo=UTC), fee="3"),
    ]
    deposits = [
        side(3, KRAKEN, "9", datetime(2024, 5, 5, 15, 39, 21, tzinfo=UTC)),
        side(4, BINANCE, "10", datetime(2024, 5, 5, 15, 41, 44, tzinfo=UTC)),
    ]
    assert found(withdrawals, deposits) == {(1, 3), (2, 4)}
    assert found(withdrawals[::-1], deposits[::-1]) == {(1, 3), (2, 4)}


@pytest.mark.parametrize(
    ("deposit", "expected"),
    [
        ({"quantity": "10", "at": NOON + timedelta(minutes=5)}, True),
        ({"quantity": "9.9", "at": NOON + timedelta(minutes=5)}, True),  # the network kept some
        ({"quantity": "9", "at": NOON + timedelta(minutes=5)}, True),  # gross: the reported fee
        (
            {"quantity": "9.79", "at": NOON + timedelta(minutes=5)},
            False,
        ),  # too much for a network
        ({"quantity": "10.01", "at": NOON + timedelta(minutes=5)}, False),  # more than was sent
        ({"quantity": "10", "at": NOON - timedelta(minutes=9)}, True),  # clocks differ
        ({"quantity": "10", "at": NOON - timedelta(minutes=11)}, False),
        ({"quantity": "10", "at": NOON + timedelta(hours=24)}, True),
        ({"quantity": "10", "at": NOON + timedelta(hours=25)}, False),
        ({"quantity": "10", "at": NOON, "asset": BTC}, False),
        ({"quantity": "10", "at": NOON, "account": BINANCE}, False),  # the same account
        (
            {"quantity": "10", "at": NOON, "account": BINANCE, "txid": "0xAB:1"},
            True,
        ),
    ],
)
def test_what_can_be_one_move(deposit, expected):
    withdrawal = side(1, BINANCE, "10", NOON, fee="1", txid="ab")
    came = side(2, deposit.pop("account", KRAKEN), deposit.pop("quantity"), deposit.pop("at"),
                **deposit)  # fmt: skip
    assert bool(found([withdrawal], [came])) is expected


@pytest.mark.parametrize(
    ("arrived", "hours", "usual", "expected"),
    [
        ("985", 23, (), False),  # so much may as well be another transfer
        ("985", "0.9", (), True),
        ("985", 23, ("15",), True),  # as much as this account pays elsewhere
        ("985", 23, ("14",), False),
        ("1000", 23, (), True),
    ],
)
def test_what_lacks_something_late_is_left_unless_it_lacks_the_usual(
    arrived, hours, usual, expected
):
    withdrawal = side(1, BINANCE, "1000", NOON)
    deposit = side(2, KRAKEN, arrived, NOON + timedelta(hours=float(hours)))
    fees = {(BINANCE, ETH): {Decimal(fee) for fee in usual}}
    assert bool(found([withdrawal], [deposit], usual_fees=fees)) is expected
    assert len(matching.candidates([withdrawal], [deposit], usual_fees=fees)) == 1


def test_two_deposits_that_fit_alike_are_left_to_the_person():
    withdrawal = side(1, BINANCE, "1", NOON)
    deposits = [
        side(2, KRAKEN, "1", NOON + timedelta(minutes=5)),
        side(3, THIRD, "1", NOON + timedelta(minutes=9)),
    ]
    assert found([withdrawal], deposits) == set()
    assert len(matching.candidates([withdrawal], deposits)) == 2


def test_an_equal_transaction_id_decides_between_them():
    withdrawal = side(1, BINANCE, "1", NOON, txid="0xFEED")
    deposits = [
        side(2, KRAKEN, "1", NOON + timedelta(minutes=5)),
        side(3, THIRD, "1", NOON + timedelta(minutes=9), txid="feed"),
    ]
    assert found([withdrawal], deposits) == {(1, 3)}


def test_the_exact_amount_goes_before_one_within_a_fee_and_frees_the_rest():
    withdrawals = [side(1, BINANCE, "1", NOON), side(2, BINANCE, "1.01", NOON)]
    deposits = [
        side(3, KRAKEN, "1", NOON + timedelta(minutes=5)),
        side(4, KRAKEN, "1.005", NOON + timedelta(minutes=6)),
    ]
    assert found(withdrawals, deposits) == {(1, 3), (2, 4)}


def test_a_pair_taken_apart_is_not_made_again():
    withdrawal, deposit = side(1, BINANCE, "1", NOON), side(2, KRAKEN, "1", NOON)
    refused = {(withdrawal.id, deposit.id)}
    assert found([withdrawal], [deposit], refused=refused) == set()


sides = st.lists(
    st.tuples(
        st.sampled_from([BINANCE, KRAKEN, THIRD]),
        st.sampled_from(["1", "1.001", "2", "5"]),
        st.integers(0, 48 * 60),
    ),
    max_size=8,
)


@given(sides, sides, st.randoms())
def test_each_transfer_is_in_one_pair_at_most_whatever_their_order(out, back, draw):
    withdrawals = [
        side(n, account, quantity, NOON + timedelta(minutes=minute))
        for n, (account, quantity, minute) in enumerate(out)
    ]
    deposits = [
        side(100 + n, account, quantity, NOON + timedelta(minutes=minute))
        for n, (account, quantity, minute) in enumerate(back)
    ]
    pairs = found(withdrawals, deposits)
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    draw.shuffle(withdrawals)
    draw.shuffle(deposits)
    assert found(withdrawals, deposits) == pairs


def _stands_out(pair, pairs):
    """As it is defined: clearly better than each pair that shares a side."""
    rivals = [
        other
        for other in pairs
        if other is not pair
        and (other.withdrawal.id == pair.withdrawal.id or other.deposit.id == pair.deposit.id)
    ]
    return pair.certainty > Decimal("0.5") and all(
        pair.certainty > rival.certainty
        or (
            pair.certainty == rival.certainty
            and abs(rival.seconds) > matching.CLEARLY_NEARER * max(abs(pair.seconds), 60)
        )
        for rival in rivals
    )


@given(sides, sides)
def test_pairs_are_those_that_stand_out_until_none_does(out, back):
    withdrawals, deposits = (
        [
            side(first + n, account, quantity, NOON + timedelta(minutes=minute))
            for n, (account, quantity, minute) in enumerate(rows)
        ]
        for first, rows in ((0, out), (100, back))
    )
    pairs = matching.candidates(withdrawals, deposits)
    expected, left = set(), pairs
    while chosen := [pair for pair in left if _stands_out(pair, left)]:
        expected |= set(chosen)
        used = {each.id for pair in chosen for each in (pair.withdrawal, pair.deposit)}
        left = [pair for pair in left if not used & {pair.withdrawal.id, pair.deposit.id}]
    assert set(matching.unambiguous(pairs)) == expected


def alike(count, minutes=1, txid=""):
    """As many withdrawals as deposits of one amount, all within a day."""
    return (
        [side(n, BINANCE, "100", NOON + timedelta(seconds=n), txid=txid) for n in range(count)],
        [
            side(10_000 + n, KRAKEN, "100", NOON + timedelta(minutes=minutes, seconds=n), txid=txid)
            for n in range(count)
        ],
    )


def test_each_possible_pair_is_looked_at_a_few_times_however_many_fit_alike(monkeypatch):
    """Comparing every pair with every other would take minutes for 150 equal amounts."""
    withdrawals, deposits = alike(60)
    pairs = matching.candidates(withdrawals, deposits)
    assert len(pairs) == 3_600
    looked = []
    seconds = matching.Pair.seconds.fget
    counted = property(lambda pair: looked.append(1) or seconds(pair))
    monkeypatch.setattr(matching.Pair, "seconds", counted)
    assert matching.unambiguous(pairs) == []
    assert len(looked) < 10 * len(pairs)


def test_of_thousands_that_fit_alike_only_transaction_ids_tell():
    withdrawals, deposits = alike(400)
    assert matching.candidates(withdrawals, deposits) == []
    withdrawals[7:8] = [side(7, BINANCE, "100", NOON, txid="0xAB")]
    deposits[9:10] = [side(10_009, KRAKEN, "100", NOON + timedelta(minutes=9), txid="ab")]
    assert found(withdrawals, deposits) == {(7, 10_009)}
    assert matching.candidates(*alike(400, txid="the same")) == []


# --- stored, and decided by the person ----------------------------------------------------------
@pytest.fixture
def moved(alice):
    """A withdrawal at one account of hers and a deposit of as much at another."""
    here, there = (factories.connection(alice, label) for label in ("here", "there"))
    at = factories.EARLIER
    out = factories.transfer(alice, here, "withdrawal", "w", occurred_at=at)
    back = factories.transfer(alice, there, "deposit", "d", occurred_at=at + timedelta(minutes=4))
    return here, there, out, back


def pair_new(user):
    with tenancy.as_user(user.id):
        return matches.pair_new(user_id=user.id, now=clock.now())


def pairs_of(api):
    return api.get("/transfer-matches").json()["results"]


def test_a_pair_is_found_told_and_stays(moved, alice, client_of):
    _, there, out, back = moved
    assert pair_new(alice) == {out.asset_id: out.occurred_at}
    assert pair_new(alice) == {}
    # A twin that arrives late would have made it ambiguous; what was decided stays.
    factories.transfer(
        alice, there, "deposit", "late", occurred_at=out.occurred_at + timedelta(minutes=5)
    )
    assert pair_new(alice) == {}
    (pair,) = pairs_of(client_of(alice))
    assert (pair["withdrawal"], pair["deposit"]) == (str(out.id), str(back.id))
    assert (pair["origin"], pair["confirmed_at"]) == ("automatic", None)
    assert pair["evidence"]["seconds_apart"] == 240


def test_confirming_taking_apart_and_pairing_by_hand(moved, alice, client_of):
    _, _, out, back = moved
    pair_new(alice)
    api = client_of(alice)
    (pair,) = pairs_of(api)
    answer = api.post(f"/transfer-matches/{pair['id']}/confirm")
    assert answer.status_code == 200
    assert answer.json()["confirmed_at"]
    assert api.delete(f"/transfer-matches/{pair['id']}").status_code == 204
    assert pairs_of(api) == []
    assert pair_new(alice) == {}
    assert api.get("/transfer-matches/suggestions").json()["results"] == []
    body = {"withdrawal": str(out.id), "deposit": str(back.id)}
    answer = api.post("/transfer-matches", body)
    assert answer.status_code == 201, answer.json()
    assert answer.json()["origin"] == "person"
    assert len(pairs_of(api)) == 1


def test_a_decision_tells_the_books(moved, alice, client_of):
    from portfolios.models import AssetBasis, PortfolioState

    _, _, out, back = moved
    body = {"withdrawal": str(out.id), "deposit": str(back.id)}
    assert client_of(alice).post("/transfer-matches", body).status_code == 201
    with tenancy.as_user(alice.id):
        assert PortfolioState.objects.get().ledger_revision == 1
        assert AssetBasis.objects.get(asset=out.asset).dirty_from == out.occurred_at


def test_an_ambiguous_pair_is_suggested_and_is_a_problem(moved, alice, client_of):
    _, there, out, _back = moved
    factories.transfer(
        alice, there, "deposit", "twin", occurred_at=out.occurred_at + timedelta(minutes=5)
    )
    assert pair_new(alice) == {}
    api = client_of(alice)
    assert len(api.get("/transfer-matches/suggestions").json()["results"]) == 2
    problems = api.get("/problems").json()["results"]
    problem = next(item for item in problems if item["kind"] == "possible_match")
    answer = api.call(
        problem["remedy"]["method"], problem["remedy"]["path"], problem["remedy"]["body"]
    )
    assert answer.status_code == 201, answer.json()
    assert not [p for p in api.get("/problems").json()["results"] if p["kind"] == "possible_match"]


def test_the_person_wins_over_what_was_found_but_not_over_themselves(moved, alice, client_of):
    _, there, out, back = moved
    pair_new(alice)
    late = factories.transfer(
        alice, there, "deposit", "late", occurred_at=out.occurred_at + timedelta(minutes=9)
    )
    api = client_of(alice)
    mine = {"withdrawal": str(out.id), "deposit": str(late.id)}
    assert api.post("/transfer-matches", mine).status_code == 201
    assert [pair["deposit"] for pair in pairs_of(api)] == [str(late.id)]
    other = {"withdrawal": str(out.id), "deposit": str(back.id)}
    answer = api.post("/transfer-matches", other)
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer_already_matched")


def test_what_cannot_be_one_move_is_refused(moved, alice, client_of):
    _here, there, out, back = moved
    more = factories.transfer(alice, there, "deposit", "more", quantity=Decimal("1.5"))
    api = client_of(alice)
    for withdrawal, deposit in [(back, out), (out, more), (out, out)]:
        body = {"withdrawal": str(withdrawal.id), "deposit": str(deposit.id)}
        answer = api.post("/transfer-matches", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "transfers_do_not_match")


@pytest.mark.parametrize(
    ("quantity", "later", "status"),
    [
        ("0.00001", timedelta(hours=1), 409),
        ("0.5", timedelta(hours=1), 201),
        ("1", timedelta(days=-3_000), 409),
        ("1", timedelta(hours=-12), 201),
        ("1", timedelta(days=80), 201),
        ("1", timedelta(days=100), 409),
    ],
)
def test_what_a_person_pairs_is_near_in_time_and_amount(
    moved, alice, client_of, quantity, later, status
):
    _, there, out, _ = moved
    deposit = factories.transfer(
        alice, there, "deposit", "x", quantity=Decimal(quantity),
        occurred_at=out.occurred_at + later,
    )  # fmt: skip
    body = {"withdrawal": str(out.id), "deposit": str(deposit.id)}
    assert client_of(alice).post("/transfer-matches", body).status_code == status


def late_twin(alice, there, out, **more):
    with tenancy.as_user(alice.id):
        type(out).objects.filter(id=out.id).update(txid="0xAA")
    return factories.transfer(
        alice, there, "deposit", "late", txid="aa",
        occurred_at=out.occurred_at + timedelta(minutes=9), **more,
    )  # fmt: skip


def test_a_transaction_that_is_told_later_wins_over_a_pair_found_without_one(
    moved, alice, client_of
):
    _, there, out, back = moved
    assert pair_new(alice)
    late = late_twin(alice, there, out)
    assert pair_new(alice) == {out.asset_id: out.occurred_at}
    (pair,) = pairs_of(client_of(alice))
    assert (pair["withdrawal"], pair["deposit"]) == (str(out.id), str(late.id))
    assert pair["evidence"]["same_txid"]
    assert pair_new(alice) == {}
    assert str(back.id) not in str(pairs_of(client_of(alice)))


def test_what_lost_its_counterpart_is_paired_with_what_did_as_well(moved, alice, client_of):
    here, there, out, back = moved
    assert pair_new(alice)
    late = late_twin(alice, there, out)
    other = factories.transfer(
        alice, here, "withdrawal", "other", occurred_at=out.occurred_at + timedelta(minutes=3)
    )
    assert pair_new(alice)
    pairs = {(pair["withdrawal"], pair["deposit"]) for pair in pairs_of(client_of(alice))}
    assert pairs == {(str(out.id), str(late.id)), (str(other.id), str(back.id))}


def test_a_pair_that_was_confirmed_stays_whatever_transaction_is_told(moved, alice, client_of):
    _, there, out, back = moved
    assert pair_new(alice)
    (pair,) = pairs_of(client_of(alice))
    assert client_of(alice).post(f"/transfer-matches/{pair['id']}/confirm").status_code == 200
    late_twin(alice, there, out)
    assert pair_new(alice) == {}
    assert [pair["deposit"] for pair in pairs_of(client_of(alice))] == [str(back.id)]


def test_a_fee_that_was_reported_before_makes_a_late_pair_certain(moved, alice):
    here, there, out, _ = moved
    assert pair_new(alice)
    day = out.occurred_at + timedelta(days=5)
    factories.transfer(alice, here, "withdrawal", "w2", occurred_at=day)
    factories.transfer(
        alice, there, "deposit", "d2", quantity=Decimal("0.99"),
        occurred_at=day + timedelta(hours=20),
    )  # fmt: skip
    assert pair_new(alice) == {}
    with tenancy.as_user(alice.id):
        type(out).objects.filter(id=out.id).update(
            fee_asset=out.asset, fee_quantity=Decimal("0.01")
        )
    assert pair_new(alice) == {out.asset_id: day}


@pytest.mark.django_db(transaction=True)
def test_of_six_pairs_asked_for_at_once_one_is_made(client_of):
    alice = factories.person("alice@example.com")
    here, there = (factories.connection(alice, label) for label in ("here", "there"))
    out = factories.transfer(alice, here, "withdrawal", "w")
    deposits = [factories.transfer(alice, there, "deposit", f"d{n}") for n in range(6)]
    apis = [client_of(alice) for _ in deposits]

    def ask(number):
        body = {"withdrawal": str(out.id), "deposit": str(deposits[number].id)}
        return apis[number].post("/transfer-matches", body).status_code

    assert sorted(threads.at_once(6, ask)) == [201, *[409] * 5]


def test_transfers_of_somebody_else_do_not_exist(moved, charlie, alice, client_of):
    _, _, out, back = moved
    pair_new(alice)
    (pair,) = pairs_of(client_of(alice))
    api = client_of(charlie)
    body = {"withdrawal": str(out.id), "deposit": str(back.id)}
    assert api.post("/transfer-matches", body).status_code == 404
    assert api.post(f"/transfer-matches/{pair['id']}/confirm").status_code == 404
    assert api.delete(f"/transfer-matches/{pair['id']}").status_code == 404
    note = {"meaning": "own_withdrawal"}
    assert api.call("PUT", f"/transfers/{out.id}/note", note).status_code == 404
    with tenancy.as_user(alice.id):
        assert TransferMatch.objects.filter(is_pair=True).count() == 1


# --- what a transfer was ------------------------------------------------------------------------
def test_a_deposit_is_said_to_be_a_purchase_with_its_cost(moved, alice, client_of):
    _, _, _, back = moved
    usd = factories.asset("USD")
    api = client_of(alice)
    body = {
        "meaning": "purchase", "cost_asset": str(usd.id), "cost_quantity": "61234.56",
        "acquired_at": "2025-02-03T04:05:06Z", "note": "at the corner shop",
    }  # fmt: skip
    answer = api.call("PUT", f"/transfers/{back.id}/note", body)
    assert answer.status_code == 200, answer.json()
    assert answer.json() == {**body, "transfer": str(back.id), "cost_code": "USD"}
    changed = api.call("PUT", f"/transfers/{back.id}/note", {"meaning": "income"})
    assert (changed.json()["meaning"], changed.json()["cost_quantity"]) == ("income", None)
    assert api.delete(f"/transfers/{back.id}/note").status_code == 204
    assert api.delete(f"/transfers/{back.id}/note").status_code == 404


def test_what_was_explained_otherwise_is_no_half_of_a_pair(moved, alice, client_of):
    _, _, out, _ = moved
    api = client_of(alice)
    answer = api.call("PUT", f"/transfers/{out.id}/note", {"meaning": "gift_given"})
    assert answer.status_code == 200
    assert pair_new(alice) == {}


def test_a_note_and_a_pair_exclude_each_other(moved, alice, client_of):
    _, _, out, _ = moved
    pair_new(alice)
    answer = client_of(alice).call("PUT", f"/transfers/{out.id}/note", {"meaning": "lost"})
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer_already_matched")


@pytest.mark.parametrize(
    ("of", "body", "field"),
    [
        ("deposit", {"meaning": "gift_given"}, "meaning"),
        ("withdrawal", {"meaning": "purchase"}, "meaning"),
        ("withdrawal", {"meaning": "lost", "acquired_at": "2020-01-01T00:00:00Z"}, "acquired_at"),
        ("deposit", {"meaning": "purchase", "cost_quantity": "5"}, "cost_quantity"),
        ("deposit", {"meaning": "purchase", "cost_quantity": "-5"}, "cost_quantity"),
        ("deposit", {"meaning": "purchase", "acquired_at": "2031-01-01T00:00:00Z"}, "acquired_at"),
        ("deposit", {"meaning": "fun"}, "meaning"),
        ("deposit", {"meaning": "income", "more": 1}, "more"),
        (
            "deposit",
            {"meaning": "purchase", "cost_quantity": "5", "cost_asset": str(uuid.UUID(int=5))},
            "cost_asset",
        ),
    ],
)
def test_a_note_that_makes_no_sense_is_refused_by_field(moved, alice, client_of, of, body, field):
    _, _, out, back = moved
    transfer = out if of == "withdrawal" else back
    answer = client_of(alice).call("PUT", f"/transfers/{transfer.id}/note", body)
    assert answer.status_code == 400, answer.json()
    assert field in [row["field"] for row in answer.json()["details"]["fields"]]
