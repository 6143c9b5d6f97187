"""Lots and gains as the app reads them: totals, what they leave out, pages, and the explanation."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from exchanges.models import HistoricPrice
from portfolios.cost import tallies, years
from portfolios.cost.tallies import Group, Tally
from portfolios.models import Disposal, Lot, TransferNote
from tests import factories
from tests.portfolios.journal import Journal
from tracker import bulk, ids, tenancy

JANUARY = datetime(2024, 1, 10, 12, tzinfo=UTC)
JUNE = datetime(2024, 6, 10, 12, tzinfo=UTC)
NEXT_YEAR = datetime(2025, 3, 10, 12, tzinfo=UTC)
EARLIEST, LATEST = (datetime.fromisoformat(day) for day in ("1990-01-01", "2100-01-01"))


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


@pytest.fixture
def journal(alice):
    return Journal(alice)


@pytest.fixture
def api(client_of, alice):
    return client_of(alice)


@pytest.fixture
def traded(journal):
    """Two lots; one and a half of them sold in two years."""
    journal.buy("BTC", 1, 100, JANUARY)
    journal.buy("BTC", 1, 300, JUNE)
    journal.sell("BTC", 1, 250, JUNE + timedelta(days=1))
    journal.sell("BTC", "0.5", 200, NEXT_YEAR)
    journal.derive()
    return journal


def read(api, path: str = "/gains") -> Any:
    answer = api.get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()


def settle(user: User, **changes: Any) -> None:
    """Preferences as they would be, without deriving anything."""
    with tenancy.as_user(user.id):
        User.objects.filter(id=user.id).update(**changes)


# --- lots ---------------------------------------------------------------------------------------
def test_lots_show_what_was_bought_and_what_is_left_of_it(api, traded):
    body = read(api, "/lots")
    rows = [(row["quantity"], row["cost"], row["remaining"], row["remaining_cost"])
            for row in body["results"]]  # fmt: skip
    assert rows == [("1", "300", "0.5", "150"), ("1", "100", "0", "0")]
    assert (body["status"], body["currency"], body["method"]) == ("complete", "USD", "fifo")
    assert {row["source"] for row in body["results"]} == {"paid in USD"}


def test_lots_can_be_narrowed(api, traded):
    asset = traded.asset_id("BTC")
    assert len(read(api, f"/lots?asset={asset}")["results"]) == 2
    assert len(read(api, "/lots?open=true")["results"]) == 1
    assert len(read(api, "/lots?open=false")["results"]) == 1
    assert read(api, f"/lots?asset={ids.new_id()}")["results"] == []
    assert read(api, "/lots?basis=unknown")["results"] == []


def test_dollars_have_no_lots(api, traded):
    assert {row["code"] for row in read(api, "/lots")["results"]} == {"BTC"}


# --- gains --------------------------------------------------------------------------------------
def test_each_piece_names_its_lot_and_what_was_gained(api, traded):
    second, first = read(api)["results"]
    lots = {row["id"]: row for row in read(api, "/lots")["results"]}
    assert (first["proceeds"], first["cost"], first["gain"]) == ("250", "100", "150")
    assert (first["held_days"], first["term"]) == (153, "short")
    assert (second["proceeds"], second["cost"], second["gain"]) == ("200", "150", "50")
    assert lots[first["lot"]]["cost"] == "100"
    assert lots[second["lot"]]["acquired_at"] == second["acquired_at"]


def test_totals_by_year_asset_term_and_kind_add_up_to_the_whole(api, traded):
    body = read(api)
    assert body["totals"]["gain"] == "200"
    assert [(row["year"], row["gain"]) for row in body["by_year"]] == [(2024, "150"), (2025, "50")]
    assert [(row["code"], row["gain"]) for row in body["by_asset"]] == [("BTC", "200")]
    assert [(row["term"], row["gain"]) for row in body["by_term"]] == [("short", "200")]
    assert [(row["kind"], row["gain"]) for row in body["by_kind"]] == [("sale", "200")]
    assert (body["status"], body["totals"]["depends_on"]) == ("complete", [])


def test_a_year_has_its_own_totals_and_pieces(api, traded):
    body = read(api, "/gains?year=2025")
    assert (body["year"], body["totals"]["gain"], len(body["results"])) == (2025, "50", 1)
    assert read(api, "/gains?year=2023")["totals"]["pieces"] == 0


def test_narrowing_pieces_leaves_the_totals_alone(api, traded):
    body = read(api, "/gains?kind=fee")
    assert (body["results"], body["totals"]["gain"]) == ([], "200")
    lot = read(api)["results"][0]["lot"]
    assert [row["lot"] for row in read(api, f"/gains?lot={lot}")["results"]] == [lot]


def test_an_asset_and_a_connection_narrow_totals_too(api, traded):
    traded.buy("ETH", 1, 10, JANUARY)
    traded.sell("ETH", 1, 25, JUNE)
    traded.derive()
    eth = traded.asset_id("ETH")
    assert read(api, f"/gains?asset={eth}")["totals"]["gain"] == "15"
    assert read(api)["totals"]["gain"] == "215"
    assert read(api, f"/gains?connection={traded.connection.id}")["totals"]["gain"] == "215"
    assert read(api, f"/gains?connection={ids.new_id()}")["totals"]["gain"] == "0"


@pytest.mark.parametrize(
    ("zone", "year"), [("Pacific/Auckland", 2025), ("UTC", 2024), ("Pacific/Honolulu", 2024)]
)
def test_a_year_ends_when_it_ends_for_the_person(api, alice, journal, zone, year):
    journal.buy("BTC", 1, 100, JANUARY)
    journal.sell("BTC", 1, 150, datetime(2024, 12, 31, 12, tzinfo=UTC))
    settle(alice, time_zone=zone)
    journal.derive()
    assert [row["year"] for row in read(api)["by_year"]] == [year]
    assert len(read(api, f"/gains?year={year}")["results"]) == 1
    assert read(api, f"/gains?year={year}")["totals"]["gain"] == "50"
    other = {2024: 2025, 2025: 2024}[year]
    assert read(api, f"/gains?year={other}")["results"] == []


# --- what is not known --------------------------------------------------------------------------
def test_a_sale_without_a_purchase_is_of_unknown_basis_and_in_no_sum(api, journal):
    journal.buy("BTC", 1, 100, JANUARY)
    journal.sell("BTC", 3, 600, JUNE)
    journal.derive()
    body = read(api)
    unknown = next(row for row in body["results"] if row["basis"] == "unknown")
    assert (unknown["lot"], unknown["cost"], unknown["gain"], unknown["term"]) == (
        None, None, None, "unknown",
    )  # fmt: skip
    totals = body["totals"]
    assert (totals["proceeds"], totals["cost"], totals["gain"]) == ("200", "100", "100")
    assert (totals["unknown_basis"], totals["unknown_basis_proceeds"]) == (1, "400")
    assert (body["status"], totals["depends_on"]) == ("partial", ["unknown_basis"])


def test_only_totals_that_depend_on_what_is_unknown_are_partial(api, traded):
    traded.sell("ETH", 1, 50, NEXT_YEAR)
    traded.derive()
    body = read(api)
    assert {row["code"]: row["status"] for row in body["by_asset"]} == {
        "BTC": "complete", "ETH": "partial",
    }  # fmt: skip
    assert {row["year"]: row["status"] for row in body["by_year"]} == {
        2024: "complete", 2025: "partial",
    }  # fmt: skip
    assert read(api, "/gains?year=2024")["status"] == "complete"


def test_income_without_a_price_is_counted_and_never_zero(api, journal):
    journal.earn("NOPRICE", 5, JUNE)
    journal.derive()
    body = read(api)
    assert body["income_by_kind"] == [{"kind": "interest", "income": "0", "unpriced_income": 1}]
    assert (body["status"], body["totals"]["depends_on"]) == ("partial", ["unpriced_income"])


def test_an_unexplained_withdrawal_is_no_sale_and_is_said(api, alice, journal):
    journal.buy("BTC", 2, 100, JANUARY)
    journal.withdraw("BTC", 1, JUNE)
    journal.derive()
    totals = read(api)["totals"]
    assert (totals["gain"], totals["without_gain"], totals["without_gain_cost"]) == ("0", 1, "50")
    assert totals["depends_on"] == ["unexplained_withdrawals"]
    with tenancy.as_user(alice.id):
        TransferNote.objects.create(
            user=alice, transfer_id=journal.entries("BTC")[-1].transfer_id,
            meaning="own_withdrawal",
        )  # fmt: skip
    assert read(api)["status"] == "complete"


@pytest.mark.parametrize("meaning", ["gift_given", "donation"])
def test_a_gift_counts_at_its_worth_and_says_what_is_unknown(api, alice, journal, meaning):
    journal.buy("BTC", 1, 100, JANUARY)
    journal.withdraw("BTC", 3, JUNE)
    with tenancy.as_user(alice.id):
        TransferNote.objects.create(
            user=alice, transfer_id=journal.entries("BTC")[-1].transfer_id, meaning=meaning
        )
    hour = JUNE.replace(minute=0, second=0, microsecond=0)
    HistoricPrice.objects.create(
        asset_id=journal.asset_id("BTC"), interval="1h", at=hour, usd=250, source="test"
    )
    journal.derive()
    body = read(api)
    totals = body["totals"]
    assert (totals["proceeds"], totals["cost"], totals["gain"]) == ("250", "100", "150")
    assert (totals["unknown_basis"], totals["unknown_basis_proceeds"]) == (1, "500")
    assert (body["status"], totals["without_gain"]) == ("partial", 0)


def test_figures_that_are_behind_the_ledger_say_so(api, traded):
    traded.buy("BTC", 1, 500, NEXT_YEAR)
    for path in ("/gains", "/lots", f"/explain/{traded.asset_id('BTC')}"):
        assert read(api, path)["status"] == "updating", path
    traded.derive()
    assert read(api)["status"] == "complete"


def test_somebody_without_anything_has_complete_totals_of_nothing(api):
    body = read(api)
    assert (body["status"], body["totals"]["gain"], body["by_year"]) == ("complete", "0", [])
    assert read(api, "/lots")["results"] == []


# --- another method -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "gains"),
    [("fifo", ["50", "150"]), ("lifo", ["150", "-50"]), ("hifo", ["150", "-50"]),
     ("lofo", ["50", "150"]), ("average", ["100", "50"])],
)  # fmt: skip
def test_gains_can_be_counted_by_another_method(api, traded, method, gains):
    body = read(api, f"/gains?method={method}")
    assert body["method"] == method
    assert [row["gain"] for row in body["results"]] == gains
    assert D(body["totals"]["gain"]) == sum(map(D, gains))


def test_comparing_leaves_what_is_stored_as_it_is(api, alice, traded):
    stored = read(api)
    read(api, "/gains?method=lifo")
    assert read(api) == stored
    with tenancy.as_user(alice.id):
        assert Disposal.objects.count() == 2
        assert Lot.objects.count() == 2


def test_comparing_is_refused_for_a_history_that_takes_too_long(api, traded, monkeypatch):
    monkeypatch.setattr("portfolios.cost.gains.MOST_COMPARED", 5)
    answer = api.get("/gains?method=lifo")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_entries_to_compare")
    assert read(api, "/gains?method=fifo")["totals"]["gain"] == "200"  # their own is not computed


# --- wrong input --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "query",
    ["year=abc", "year=1969", "year=9999", "year=2024.5", "asset=btc", "method=best", "kind=x",
     "term=medium", "unheard=1", "entry=1", "lot=1"],
)  # fmt: skip
def test_wrong_parameters_are_refused(api, query):
    answer = api.get(f"/gains?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert answer.json()["details"]["fields"][0]["field"] == query.partition("=")[0]


# --- pages --------------------------------------------------------------------------------------
def test_pages_go_on_within_one_instant(api, alice, journal):
    """One sale may give up more lots than a cursor of DRF's counts by itself."""
    journal.sell("BTC", 1, 100, JUNE)
    entry = journal.entries("BTC")[0]
    pieces = [factories.disposal(entry, ids.new_id(), position=number) for number in range(1_250)]
    with tenancy.as_user(alice.id):
        bulk.insert_new(pieces)
    seen: list[str] = []
    path = "/gains?page_size=500"
    while path:
        body = read(api, path)
        seen += [row["id"] for row in body["results"]]
        path = (body["next"] or "").partition("/api/v1")[2]
    assert len(seen) == len(set(seen)) == 1_250


def test_an_answer_that_has_not_changed_is_not_sent_again(api, traded):
    etag = api.get("/gains").headers["ETag"]
    assert api.get("/gains", **{"If-None-Match": etag}).status_code == 304


def test_the_number_of_queries_does_not_depend_on_the_number_of_pieces(api, alice, traded):
    paths = ("/gains", "/lots", f"/explain/{traded.asset_id('BTC')}")

    def count(path: str) -> int:
        with CaptureQueriesContext(database) as captured:
            read(api, path)
        return len(captured)

    for path in paths:
        read(api, path)  # the first calls of five minutes also count that somebody was there
    few = {path: count(path) for path in paths}
    for number in range(20):
        traded.buy("BTC", 1, 100 + number, NEXT_YEAR + timedelta(days=number))
        traded.sell("BTC", 1, 150, NEXT_YEAR + timedelta(days=number, hours=1))
    traded.derive()
    assert {path: count(path) for path in paths} == few


# --- whose --------------------------------------------------------------------------------------
def test_gains_and_lots_are_their_owners_alone(client_of, bob, traded):
    """S14"""
    stranger = client_of(bob)
    assert read(stranger, "/lots")["results"] == []
    assert read(stranger)["totals"]["pieces"] == 0
    piece = read(client_of(traded.user))["results"][0]
    assert read(stranger, f"/gains?lot={piece['lot']}")["results"] == []
    answer = stranger.get(f"/explain/{traded.asset_id('BTC')}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_derived_rows_are_held_by_the_database(alice, bob, traded):
    """S16: the policies alone, when the wrong id is asked for."""
    with tenancy.as_user(bob.id):
        assert not Lot.objects.filter(user_id=alice.id).exists()
        assert not Disposal.objects.filter(user_id=alice.id).exists()
    with tenancy.as_user(alice.id):
        assert Lot.objects.filter(user_id=alice.id).exists()


# --- explain ------------------------------------------------------------------------------------
def test_the_explanation_goes_from_entries_to_lots_to_gain(api, traded):
    body = read(api, f"/explain/{traded.asset_id('BTC')}")
    assert (body["code"], body["remaining"], body["remaining_cost"]) == ("BTC", "0.5", "150")
    assert body["totals"]["gain"] == "200"
    last, sold, bought_again, bought = body["results"]
    assert [entry["quantity"] for entry in (bought, bought_again, sold, last)] == [
        "1", "1", "-1", "-0.5",
    ]  # fmt: skip
    (lot,) = bought["lots"]
    (piece,) = sold["disposals"]
    assert (lot["cost"], lot["price"], lot["source"]) == ("100", "100", "paid in USD")
    assert (piece["lot"], piece["gain"], piece["price"]) == (lot["id"], "150", "250")
    assert (last["disposals"][0]["lot"], last["disposals_in_all"]) == (
        bought_again["lots"][0]["id"], 1,
    )  # fmt: skip
    assert sold["lots"] == bought["disposals"] == []


def test_the_explanation_shows_the_fact_behind_each_entry(api, journal):
    journal.buy("BTC", 1, 100, JANUARY, fee=1)
    journal.earn("BTC", "0.1", JUNE)
    journal.receive("BTC", 1, NEXT_YEAR)
    journal.derive()
    deposit, reward, trade = read(api, f"/explain/{journal.asset_id('BTC')}")["results"]
    assert {name: trade["fact"][name] for name in ("type", "side", "quote_code", "fee_code")} == {
        "type": "trade", "side": "buy", "quote_code": "USD", "fee_code": "USD",
    }  # fmt: skip
    assert trade["lots"][0]["cost"] == "101"
    assert (reward["fact"]["type"], reward["income"]["kind"]) == ("reward", "interest")
    assert (deposit["fact"]["direction"], deposit["fact"]["pair"], deposit["fact"]["meaning"]) == (
        "deposit", None, None,
    )  # fmt: skip
    assert deposit["lots"][0]["basis"] == "unknown"


def test_a_sale_of_very_many_lots_shows_the_first_and_counts_the_others(api, alice, journal):
    journal.sell("BTC", 1, 100, JUNE)
    entry = journal.entries("BTC")[0]
    with tenancy.as_user(alice.id):
        bulk.insert_new([factories.disposal(entry, ids.new_id(), position=n) for n in range(120)])
    (shown,) = read(api, f"/explain/{journal.asset_id('BTC')}")["results"]
    assert (len(shown["disposals"]), shown["disposals_in_all"]) == (50, 120)
    assert len(read(api, f"/gains?entry={entry.id}&page_size=200")["results"]) == 120


def test_the_explanation_is_paged(api, traded):
    path = f"/explain/{traded.asset_id('BTC')}"
    first = read(api, f"{path}?page_size=3")
    second = read(api, first["next"].partition("/api/v1")[2])
    assert [len(body["results"]) for body in (first, second)] == [3, 1]
    assert api.get(f"{path}?year=2024").status_code == 400


def test_an_asset_that_was_never_had_is_not_found(api, traded):
    assert api.get(f"/explain/{factories.asset('DOGE').id}").status_code == 404
    assert api.get(f"/explain/{ids.new_id()}").status_code == 404


# --- adding up (pure) ---------------------------------------------------------------------------
AMOUNTS = st.decimals(-(10**6), 10**6, places=4, allow_nan=False)
TALLIES = st.builds(
    Tally, pieces=st.integers(0, 9), proceeds=AMOUNTS, cost=AMOUNTS, gain=AMOUNTS, income=AMOUNTS,
    unknown_basis=st.integers(0, 3), unpriced=st.integers(0, 3),
)  # fmt: skip
GROUPS = st.lists(
    st.builds(
        Group, year=st.integers(2020, 2023), asset_id=st.uuids(), kind=st.sampled_from("abc"),
        term=st.sampled_from(["short", "long"]), tally=TALLIES,
    )
)  # fmt: skip


@given(GROUPS, st.sampled_from(["year", "asset_id", "term", "kind"]))
def test_however_groups_are_rolled_up_the_parts_make_the_whole(groups, by):
    whole, again = tallies.total(groups), Tally()
    for part in tallies.rolled_up(groups, lambda group: getattr(group, by)).values():
        again.add(part)
    assert again == whole
    assert whole.status == ("partial" if whole.unknown_basis or whole.unpriced else "complete")


@given(
    st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Pacific/Auckland", "Pacific/Honolulu", "Europe/Berlin", "No/Where"]),
)
def test_every_instant_lies_in_exactly_the_year_that_the_person_reads_on_the_wall(at, zone):
    year = years.of(at, zone)
    since, until = years.bounds(year, zone)
    assert since <= at < until
    assert sum(start <= at for start in years.starts(zone, last=2101)) == year - years.FIRST + 1
