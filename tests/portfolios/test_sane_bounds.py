"""Numbers and files beyond reason are refused, and one that came in all the same stops nobody."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
import time_machine

from exchanges.models import Asset, Price
from portfolios import derivation
from portfolios.importing import imports
from portfolios.ledger import books
from portfolios.models import (
    DailyValuation,
    FileImport,
    Holding,
    PortfolioSnapshot,
    PortfolioState,
)
from portfolios.valuing import snapshots
from tests import factories
from tests.portfolios.bookings import book, buy, day, reward
from tracker import clock, tenancy

HEADER = "time,type,received_quantity,received_asset,sent_quantity,sent_asset\n"
BEYOND = "900000000000000000000000000000"


@pytest.fixture
def api(client_of, alice):
    return client_of(alice)


@pytest.fixture
def account(api):
    return api.post("/manual-accounts", {"label": "paper"}).json()["id"]


@pytest.fixture
def dollar(db):
    return priced("USD", "1")


def priced(code, usd):
    asset = factories.asset(code)
    Price.objects.update_or_create(
        asset=asset,
        defaults={"usd": D(usd), "usd_24h_ago": D(usd), "source": "x", "as_of": clock.now()},
    )
    return asset


def hold(connection, asset, quantity):
    with tenancy.as_user(connection.user_id):
        Holding.objects.create(
            user_id=connection.user_id, connection=connection, wallet="spot", asset=asset,
            exchange_code=asset.code, quantity=D(quantity), changed_at=clock.now(),
            last_confirmed_at=clock.now(),
        )  # fmt: skip
        PortfolioState.objects.get_or_create(user_id=connection.user_id)
        PortfolioState.objects.filter(user_id=connection.user_id).update(
            next_snapshot_at=clock.now()
        )


def newest(user):
    with tenancy.as_user(user.id):
        return PortfolioSnapshot.objects.filter(user=user).latest("taken_at")


def valued(user, scope_id):
    with tenancy.as_user(user.id):
        return DailyValuation.objects.filter(user=user, scope_id=scope_id).order_by("day").last()


# --- numbers ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("trades", {"side": "buy", "base": "BTC", "base_quantity": BEYOND, "quote": "USD",
                    "quote_quantity": "1"}, "base_quantity"),
        ("trades", {"side": "buy", "base": "BTC", "base_quantity": "1", "quote": "USD",
                    "quote_quantity": BEYOND}, "quote_quantity"),
        ("trades", {"side": "buy", "base": "BTC", "base_quantity": "100000000000000000",
                    "quote": "USD", "price": "100000000000000000"}, "price"),
        ("transfers", {"direction": "deposit", "asset": "BTC", "quantity": BEYOND}, "quantity"),
        ("rewards", {"kind": "staking", "asset": "BTC", "quantity": BEYOND}, "quantity"),
        ("adjustments", {"reason": "opening", "asset": "BTC", "quantity": f"-{BEYOND}"},
         "quantity"),
    ],
)  # fmt: skip
def test_an_entry_of_more_than_anybody_has_is_refused(api, account, path, body, field):
    sent = body | {"connection": account, "occurred_at": "2024-01-01T00:00:00Z"}
    answer = api.post(f"/entries/{path}", sent)
    assert answer.status_code == 400
    assert field in {row["field"] for row in answer.json()["details"]["fields"]}


def test_a_price_beyond_reason_is_refused(api, alice):
    body = {"asset": str(factories.asset("BTC").id), "day": "2024-01-01", "price": BEYOND}
    answer = api.put("/prices/manual", body)
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == ["price"]


def test_a_row_of_a_file_beyond_reason_is_refused_with_its_line(api, account):
    content = f"{HEADER}2024-01-01 10:00,deposit,{BEYOND},ZZB,,\n2024-01-01 11:00,deposit,1,BTC,,\n"
    made = api.send_file("/imports", content.encode(), connection=account).json()
    assert (made["rows_booked"], made["rows_refused"]) == (1, 1)
    assert [(row["code"], row["lines"]) for row in made["issues"]] == [("amount_too_large", [2])]


def test_a_sum_of_holdings_beyond_what_can_be_stored_stops_nobodys_snapshot(
    alice, bob, dollar, client_of
):
    coin, other = priced("BTC", "100000"), priced("ETH", "1000")
    hold(factories.connection(alice, label="a"), coin, BEYOND)
    hold(factories.connection(bob, label="b"), other, "2")
    assert snapshots.take_due(now=clock.now()) == 2
    assert (newest(bob).total_value, newest(bob).status) == (D(2000), "partial")
    assert newest(alice).status == "partial"
    (row,) = newest(alice).snapshot_data["holdings"]
    assert (row["value"], row["status"]) == (None, "unpriced")
    shown = client_of(alice).get("/portfolio").json()
    assert (shown["unpriced"], shown["status"], shown["holdings"][0]["value"]) == (
        1, "partial", None,
    )  # fmt: skip


def test_many_values_that_fit_and_whose_sum_does_not_stop_nobodys_snapshot(alice, bob, dollar):
    rich = factories.connection(alice, label="a")
    for number in range(12):
        hold(rich, priced(f"C{number}", "100000000000"), "90000000000000000000000")
    hold(factories.connection(bob, label="b"), priced("ETH", "1000"), "2")
    assert snapshots.take_due(now=clock.now()) == 2
    assert newest(bob).total_value == D(2000)
    assert newest(alice).status == "partial"


@pytest.mark.parametrize(
    "facts",
    [
        [reward(BEYOND, day(0)), buy("1", "100", day(0))],
        [buy(BEYOND, "1", day(0)), buy("1", "100", day(0), base_code="ETH")],
        [buy("1", BEYOND, day(0)), buy("1", "100", day(0), base_code="ETH")],
    ],
    ids=["units", "bought", "paid"],
)
def test_what_an_exchange_reports_beyond_reason_is_unpriced_and_the_rest_is_valued(
    alice, dollar, facts
):
    with time_machine.travel(day(3), tick=False):
        for code in ("BTC", "ETH"):
            priced(code, "100000")
        account = factories.connection(alice)
        book(alice, account, *facts)
        assert derivation.derive(user_id=alice.id, now=clock.now())
        with tenancy.as_user(alice.id):
            assert not books.freshness(user_id=alice.id).updating
            today = valued(alice, alice.id)
            assert today.is_partial
            assert abs(today.value) < 10**16


# --- what cannot be computed --------------------------------------------------------------------
def problems(api, kind):
    return [row for row in api.get("/problems").json()["results"] if row["kind"] == kind]


def test_who_is_behind_for_a_quarter_of_an_hour_is_told_until_it_is_mended(
    client_of, alice, dollar
):
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    with time_machine.travel(now, tick=False) as travel:
        book(alice, factories.connection(alice), buy("1", "100", day(0)))
        derivation.sweep(now=clock.now())
        assert problems(client_of(alice), "not_computed") == []
        travel.shift(timedelta(minutes=16))
        derivation.sweep(now=clock.now())
        (row,) = problems(client_of(alice), "not_computed")
        assert (row["severity"], row["since"]) == ("high", "2026-03-02T12:00:00Z")
        travel.shift(timedelta(minutes=16))
        assert derivation.derive(user_id=alice.id, now=clock.now())
        assert problems(client_of(alice), "not_computed") == []
        book(alice, factories.connection(alice, label="two"), buy("1", "100", day(1)))
        assert problems(client_of(alice), "not_computed") == []


# --- coins nobody knows -------------------------------------------------------------------------
def deposits(codes):
    rows = "".join(f"2024-01-01 10:00,deposit,1,{code},,\n" for code in codes)
    return (HEADER + rows).encode()


def test_a_file_of_hundreds_of_coins_nobody_knows_is_refused(api, account):
    answer = api.send_file(
        "/imports", deposits(f"Q{number}" for number in range(201)), connection=account
    )
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == ["file"]
    assert not Asset.objects.filter(slug__startswith="q").exists()


def bring_in(api, account, codes):
    made = api.send_file("/imports", deposits(codes), connection=account).json()
    api.post(f"/imports/{made['id']}/apply")
    imports.apply(import_id=made["id"], clock=clock.now)
    shown = api.get(f"/imports/{made['id']}").json()
    return shown["state"], shown["error"]


def test_a_person_makes_no_more_than_hundreds_of_new_coins_a_day(api, account, alice):
    outcomes = [
        bring_in(api, account, [f"Q{part}X{number}" for number in range(200)]) for part in range(3)
    ]
    assert outcomes == [("applied", ""), ("applied", ""), ("failed", "too_many_new_assets")]
    assert Asset.objects.filter(slug__startswith="q").count() == 400
    body = {
        "connection": account, "occurred_at": "2024-01-01T00:00:00Z", "kind": "staking",
        "quantity": "1",
    }  # fmt: skip
    assert bring_in(api, account, [f"QZ{number}" for number in range(100)]) == ("applied", "")
    answer = api.post("/entries/rewards", body | {"asset": "QQ"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_new_assets")
    assert api.post("/entries/rewards", body | {"asset": "QZ0"}).status_code == 201


def test_a_coin_that_never_had_a_price_has_no_days_of_its_own_but_counts(alice, dollar):
    with time_machine.travel(day(5), tick=False):
        account = factories.connection(alice)
        book(alice, account, reward("5", day(0), code="NOPE"), buy("1", "100", day(1)))
        assert derivation.derive(user_id=alice.id, now=clock.now())
    nope = factories.asset("NOPE")
    assert valued(alice, nope.id) is None
    assert valued(alice, alice.id).unpriced >= 1


def test_coins_without_a_price_are_named_up_to_fifty_and_the_rest_counted(api, alice):
    account = factories.connection(alice)
    for number in range(60):
        hold(account, factories.asset(f"N{number:02}"), "1")
    assert len(problems(api, "unpriced_asset")) == 50
    (rest,) = problems(api, "unpriced_assets")
    assert (rest["count"], rest["severity"]) == (10, "medium")


# --- files sent again ---------------------------------------------------------------------------
def test_a_file_sent_again_with_its_key_is_one_import(api, account, alice):
    key = {"key": "file-0001"}
    content = deposits(["BTC"])
    first = api.send_file("/imports", content, connection=account, **key)
    again = api.send_file("/imports", content, connection=account, **key)
    assert first.status_code == again.status_code == 201
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    with tenancy.as_user(alice.id):
        assert FileImport.objects.filter(user=alice).count() == 1
    other = api.send_file("/imports", deposits(["ETH"]), connection=account, **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_units_cannot_be_older_than_bitcoin(api, account):
    made = api.post("/entries/transfers", {
        "connection": account, "direction": "deposit", "asset": "BTC", "quantity": "1",
        "occurred_at": "2024-01-01T00:00:00Z",
    }).json()  # fmt: skip
    answer = api.put(
        f"/transfers/{made['id']}/note",
        {"meaning": "own_deposit", "acquired_at": "0001-01-01T00:00:00Z"},
    )
    assert answer.status_code == 400
    assert [row["field"] for row in answer.json()["details"]["fields"]] == ["acquired_at"]
