"""Performance, series, attribution and allocation as the app reads them."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
import time_machine

from exchanges.models import HistoricPrice, Price
from portfolios import derivation
from portfolios.ledger import books
from portfolios.models import DailyValuation, Holding, HoldingChange, PortfolioSnapshot
from portfolios.serializers import performance as shapes
from tests import factories
from tests.portfolios.bookings import book, buy, day, reward, sell, transfer
from tracker import clock, tenancy

UNTIL = "to=2024-01-09"  # the days from 0 to 8: nothing depends on the clock


@pytest.fixture
def account(alice):
    return factories.connection(alice, label="first")


@pytest.fixture
def closes(db):
    def closes(**series):
        for code, prices in series.items():
            asset = factories.asset(code)
            HistoricPrice.objects.bulk_create(
                HistoricPrice(asset=asset, interval="1d", usd=D(price), source="test",
                              at=day(number).replace(hour=0))
                for number, price in enumerate(prices)
            )  # fmt: skip

    return closes


@pytest.fixture
def api(client_of, alice):
    """Alice's app; `api("/series", "range=1M")` is the answer's body."""
    client = client_of(alice)

    def get(path, query="", status=200):
        answer = client.get(f"{path}?{query}")
        assert answer.status_code == status, answer.content
        return answer.json()

    return get


def derive(user, now):
    assert derivation.derive(user_id=user.id, now=now)


@pytest.fixture
def traded(alice, account, closes):
    """A thousand dollars, coins bought and half of them sold, interest, a withdrawal."""
    closes(BTC=[100, 110, 120, 90, 90, 100, 130, 120, 125, 140], ETH=[10] * 10)
    book(
        alice, account, transfer("deposit", "1000", day(0), "USD"), buy("4", "420", day(1)),
        sell("2", "230", day(2)), reward("0.5", day(4)), transfer("withdrawal", "1", day(6)),
    )  # fmt: skip
    derive(alice, day(9))
    return account


PARTS = set(shapes.PartsSerializer().fields)


# --- performance --------------------------------------------------------------------------------
def test_performance_is_the_days_linked_and_summed(api, traded):
    body = api("/performance", UNTIL)
    assert body["value"] == {"opening": "0", "closing": str(810 + D("1.5") * 125)[:5]}
    assert body["flows"]["deposits"] == "1000"
    assert (body["flows"]["withdrawals"], body["profit"]["income"]) == ("130", "45")
    profit = D(body["value"]["closing"]) - 1000 + 130
    assert D(body["profit"]["total"]) == profit
    assert D(body["profit"]["realized"]) == 230 - 210  # half of what cost 420
    assert D(body["returns"]["twr"]) > 0
    assert D(body["risk"]["max_drawdown"]["depth"]) < 0
    assert body["risk"]["max_drawdown"]["trough"] == "2024-01-04"
    assert (body["status"], body["updating"], body["unpriced"]) == ("complete", False, 0)
    assert body["complete_through"] == "2024-01-09"


def test_the_return_of_a_portfolio_without_flows_is_its_plain_return(api, alice, account, closes):
    closes(BTC=[100, 80, 120, 150])
    book(alice, account, transfer("deposit", "2", day(0)))
    derive(alice, day(4))
    body = api("/performance", "from=2024-01-02&to=2024-01-04&benchmark=btc")
    assert D(body["returns"]["twr"]) == D("0.5")
    assert body["value"] == {"opening": "200", "closing": "300"}
    # it held nothing else than what it is compared with
    assert body["benchmarks"] == {"btc": {"return": "0.5", "excess": "0"}}


def test_had_you_only_held_leaves_the_trades_out(api, alice, account, closes):
    closes(BTC=[100, 110, 50, 40])
    book(alice, account, transfer("deposit", "1", day(0)), sell("1", "110", day(1)))
    derive(alice, day(4))
    body = api("/performance", "to=2024-01-04&benchmark=held")
    assert body["benchmarks"] == {"held": {"value": "40", "difference": "70"}}


def test_an_emptied_and_refilled_portfolio_keeps_its_return(api, alice, account, closes):
    closes(BTC=[100, 200, 200, 50, 100])
    book(alice, account, transfer("deposit", "1", day(0)), transfer("withdrawal", "1", day(2)),
         transfer("deposit", "10", day(3)))  # fmt: skip
    derive(alice, day(5))
    body = api("/performance", "to=2024-01-05")
    assert D(body["returns"]["twr"]) == 3  # doubled, nothing, doubled


def test_without_a_change_of_sign_there_is_no_xirr_and_it_is_said(api, alice):
    body = api("/performance")
    assert body["returns"] == {
        "twr": None, "twr_annualised": None, "xirr": None, "xirr_code": "no_sign_change",
    }  # fmt: skip
    assert (body["risk"], body["status"], body["benchmarks"]) == (None, "complete", {})


def test_cost_that_nobody_knows_is_no_gain(api, alice, account, closes):
    closes(BTC=[100, 100, 400])
    book(alice, account, transfer("deposit", "1", day(0)), buy("1", "100", day(1)),
         transfer("deposit", "100", day(0), "USD"))  # fmt: skip
    derive(alice, day(3))
    profit = api("/performance", "to=2024-01-03")["profit"]
    assert (profit["unrealized"], profit["value_without_cost"]) == ("300", "400")


def test_an_asset_and_a_connection_have_their_own_figures(api, traded):
    coin = factories.asset("BTC").id
    body = api("/performance", f"{UNTIL}&asset={coin}")
    assert body["scope"] == {"kind": "asset", "id": str(coin)}
    assert D(body["flows"]["traded"]) == 420 - 230
    assert "held" not in body["benchmarks"]
    one = api("/performance", f"{UNTIL}&connection={traded.id}")
    whole = api("/performance", UNTIL)
    assert one["value"] == whole["value"]
    assert one["returns"] == whole["returns"]


def test_figures_that_are_behind_the_ledger_say_so(api, alice, traded):
    book(alice, traded, transfer("deposit", "5", day(8)))
    body = api("/performance", UNTIL)
    assert body["updating"] is True
    derive(alice, day(9))
    assert api("/performance", UNTIL)["updating"] is False


def test_a_missing_price_makes_it_partial_and_says_since_when(api, alice, traded):
    book(alice, traded, transfer("deposit", "7", day(5), "NOPE"))
    derive(alice, day(9))
    body = api("/performance", UNTIL)
    assert (body["status"], body["unpriced"]) == ("partial", 1)
    assert body["complete_through"] == "2024-01-05"


def test_now_is_what_the_home_screen_shows(client_of, alice, connect, visit, priced):
    connection = connect(alice, 3)
    visit(connection)
    derive(alice, clock.now())
    app = client_of(alice)
    total = app.get("/portfolio").json()["total_value"]
    for query in ("", "?range=1D", "?range=1Y", f"?connection={connection.id}"):
        assert app.get(f"/performance{query}").json()["value"]["closing"] == total
    body = app.get("/attribution?range=ALL").json()
    assert sum(D(part) for part in body["parts"].values()) == D(total)


@pytest.mark.parametrize(
    ("zone", "since"),
    [("Pacific/Auckland", "2024-12-31T00:00:00Z"), ("Pacific/Honolulu", "2025-01-01T00:00:00Z")],
)
def test_a_year_begins_where_the_person_lives(client_of, alice, account, closes, zone, since):
    closes(BTC=[100] * 10)
    book(alice, account, transfer("deposit", "1", day(0)))
    now = day(366 + 100)
    derive(alice, now)
    with time_machine.travel(now, tick=False):
        app = client_of(alice)
        app.patch("/me", {"time_zone": zone})
        body = app.get("/performance?range=YTD").json()
    assert (body["range"]["from"], body["range"]["since"]) == ("2025-01-01", since)


def test_money_is_told_to_eight_decimals(client_of, alice, account, closes):
    closes(BTC=[100] * 3)
    price("BTC", "99.123456789")
    now = clock.now()
    book(alice, account, transfer("deposit", "0.7", day(0)), buy("0.3", "29.99", day(1)))
    derive(alice, clock.now())
    report(alice, account, "1", at=now)
    price("BTC", "123.456789012345")
    profit = client_of(alice).get("/performance").json()["profit"]
    assert all(len(amount.partition(".")[2]) <= 8 for amount in profit.values())


def price(code, usd):
    """What a market says now."""
    now = clock.now()
    Price.objects.update_or_create(
        asset=factories.asset(code),
        defaults={"usd": D(usd), "usd_24h_ago": D(usd), "source": "test", "as_of": now,
                  "fetched_at": now},
    )  # fmt: skip


def report(user, connected, units, code="BTC", at=None):
    """What an exchange says is there now."""
    at = at or clock.now()
    what = {
        "user": user, "connection": connected, "wallet": "spot", "exchange_code": code,
        "asset": factories.asset(code), "quantity": D(units),
    }  # fmt: skip
    with tenancy.as_user(user.id):
        Holding.objects.create(**what, changed_at=at, last_confirmed_at=at)
        HoldingChange.objects.create(**what, reported_at=at)


def test_a_first_price_since_the_last_computation_is_no_gain(client_of, alice, account, closes):
    """A hundred dollars, and ten coins that nobody quoted until a moment ago."""
    now = clock.now()
    book(alice, account, transfer("deposit", "100", now - timedelta(days=2), "USD"),
         transfer("deposit", "10", now - timedelta(days=2), "COIN"))  # fmt: skip
    price("USD", 1)
    report(alice, account, "100", "USD")
    report(alice, account, "10", "COIN")
    derive(alice, clock.now())
    app = client_of(alice)
    for scope in ("", f"&connection={account.id}", f"&asset={factories.asset('COIN').id}"):
        before = app.get(f"/performance?range=ALL{scope}").json()
        assert before["profit"]["total"] == "0"
    price("COIN", 7)
    for scope, closing in (("", "170"), (f"&connection={account.id}", "170"),
                           (f"&asset={factories.asset('COIN').id}", "70")):  # fmt: skip
        body = app.get(f"/performance?range=ALL{scope}").json()
        assert body["value"]["closing"] == closing
        assert (body["profit"]["total"], body["flows"]["corrections"]) == ("0", "70")
        assert body["returns"]["twr"] in ("0", None)
        assert body["profit"]["unrealized"] == "0"


def test_a_price_lost_since_the_last_computation_is_no_loss(client_of, alice, account, closes):
    now = clock.now()
    book(alice, account, transfer("deposit", "100", now - timedelta(days=2), "USD"),
         transfer("deposit", "10", now - timedelta(days=2), "COIN"))  # fmt: skip
    price("USD", 1)
    price("COIN", 7)
    report(alice, account, "100", "USD")
    report(alice, account, "10", "COIN")
    derive(alice, clock.now())
    app = client_of(alice)
    before = app.get("/performance?range=1D").json()
    assert (before["value"]["closing"], before["flows"]["corrections"]) == ("170", "70")
    Price.objects.filter(asset__code="COIN").delete()
    body = app.get("/performance?range=1D").json()
    assert body["value"]["closing"] == "100"
    assert (body["profit"]["total"], body["flows"]["corrections"]) == ("0", "0")
    assert body["status"] == "partial"


def test_figures_of_the_former_base_currency_are_named_by_it(client_of, alice, traded, closes):
    closes(EUR=[2] * 10)
    app = client_of(alice)
    before = app.get(f"/performance?{UNTIL}").json()
    assert app.patch("/me", {"base_currency": "EUR"}).status_code == 200
    for path in ("/performance", "/series", "/attribution"):
        body = app.get(f"{path}?{UNTIL}").json()
        assert (body["currency"], body["updating"]) == ("USD", True)
    assert app.get(f"/performance?{UNTIL}").json()["benchmarks"] == before["benchmarks"]
    with tenancy.as_user(alice.id):
        books.everything_changed(user_id=alice.id, now=day(9))
    derive(alice, day(9))
    body = app.get(f"/performance?{UNTIL}").json()
    assert (body["currency"], body["updating"]) == ("EUR", False)
    assert D(body["value"]["closing"]) == D(before["value"]["closing"]) / 2


# --- series -------------------------------------------------------------------------------------
def test_a_series_has_every_day_and_the_return_so_far(api, traded):
    body = api("/series", UNTIL)
    days = [point["day"] for point in body["results"]]
    assert (days[0], days[-1], len(days)) == ("2023-12-31", "2024-01-09", 10)
    assert body["results"][1]["net_flows"] == "1000"
    performance = api("/performance", UNTIL)
    assert body["results"][-1]["value"] == performance["value"]["closing"]
    assert body["results"][-1]["twr"] == performance["returns"]["twr"]


def test_a_thinned_series_keeps_the_highest_and_the_lowest_day(api, alice, account, closes):
    closes(
        BTC=[
            100 + (500 if number == 33 else -90 if number == 71 else number)
            for number in range(100)
        ]
    )
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(100))
    body = api("/series", "from=2024-01-02&to=2024-04-09&points=10")
    found = {point["value"] for point in body["results"]}
    assert len(body["results"]) <= 10
    assert {"600", "10", "100", "199"} <= found


# --- attribution --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "query", [UNTIL, "from=2024-01-03&to=2024-01-07", "from=2024-01-05&to=2024-01-05"]
)
def test_the_parts_add_up_to_the_change(api, traded, query):
    body = api("/attribution", query)
    assert set(body["parts"]) == PARTS
    change = D(body["closing"]) - D(body["opening"])
    assert sum(D(part) for part in body["parts"].values()) == D(body["change"]) == change
    of_coin = api("/attribution", f"{query}&asset={factories.asset('BTC').id}")
    assert sum(D(part) for part in of_coin["parts"].values()) == D(of_coin["change"])


def test_late_data_is_apart_from_what_happened_since(api, alice, traded):
    at = day(5).replace(hour=0, minute=0, second=3)  # the close of day 4
    shown = factories.snapshot(alice, at)
    with tenancy.as_user(alice.id):
        known = DailyValuation.objects.get(user=alice, scope_id=alice.id, day=day(4).date()).value
        # the factory shows 1; what was really shown then is what was known then
        PortfolioSnapshot.objects.filter(id=shown).update(total_value=known)
    book(alice, traded, transfer("deposit", "1", day(2)))
    derive(alice, day(9.5))
    body = api("/attribution", "from=2024-01-06&to=2024-01-09")
    assert D(body["shown"]["value"]) == known
    assert D(body["parts"]["late_data"]) == D(body["opening"]) - known == 90
    assert sum(D(part) for part in body["parts"].values()) == D(body["change"])
    assert D(body["change"]) == D(body["closing"]) - known
    assert body["restated_at"] is not None


def test_days_that_do_not_add_up_are_told_to_us(api, alice, traded, caplog):
    api("/attribution", UNTIL)
    assert "do_not_add_up" not in caplog.text
    with tenancy.as_user(alice.id):
        DailyValuation.objects.filter(user=alice, day=day(3).date()).update(price_effect=99)
    body = api("/attribution", UNTIL)
    assert sum(D(part) for part in body["parts"].values()) == D(body["change"])
    assert "do_not_add_up" in caplog.text


# --- allocation ---------------------------------------------------------------------------------
def test_allocation_adds_up_to_one(client_of, alice, connect, visit, priced):
    visit(connect(alice, 3))
    app = client_of(alice)
    body = app.get("/allocation").json()
    assert body["total_value"] == app.get("/portfolio").json()["total_value"]
    assert abs(sum(D(item["share"]) for item in body["assets"]) - 1) < D("1e-6")
    assert [D(item["share"]) for item in body["connections"]] == [1]
    shares = [D(item["share"]) for item in body["assets"]]
    assert D(body["concentration"]["hhi"]) == pytest.approx(sum(share**2 for share in shares))
    assert shares == sorted(shares, reverse=True)


def test_allocation_is_the_same_sum_as_the_home_screen(client_of, alice):
    """Rounded asset by asset, or account by account, these would come to 0.00000002 or to 0."""
    for name in ("first", "second"):
        account = factories.connection(alice, label=name)
        report(alice, account, "0.000000003", "C0")
        report(alice, account, "0.000000003", "C1")
    for code in ("C0", "C1"):
        price(code, 1)
    price("USD", 1)
    app = client_of(alice)
    home, body = app.get("/portfolio").json(), app.get("/allocation").json()
    assert body["total_value"] == home["total_value"] == "0.00000001"
    shown = {item["asset"]: item["value"] for item in home["holdings"]}
    assert {item["asset"]: item["value"] for item in body["assets"]} == shown


def test_an_empty_portfolio_is_allocated_to_nothing(api):
    body = api("/allocation")
    assert (body["assets"], body["connections"], body["total_value"]) == ([], [], "0")
    assert body["concentration"] == {"hhi": None, "effective_assets": None}


# --- wrong input, and others --------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/performance", "/series", "/attribution"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("range=2W", "range"), ("from=yesterday", "from"), ("to=2024-02-30", "to"),
        ("from=2024-02-01&to=2024-01-01", "from"), ("from=2999-01-01", "from"),
        ("range=1M&from=2024-01-01", "from"), ("connection=nothing", "connection"),
        ("to=9999-12-31", "to"), ("colour=red", "colour"), ("asset=%00", "asset"),
    ],
)  # fmt: skip
def test_wrong_input_names_its_field(api, path, query, field):
    body = api(path, query, status=400)
    assert [item["field"] for item in body["details"]["fields"]] == [field]


@pytest.mark.parametrize("points", ["9", "2001", "-5", "1e2", "²"])
def test_a_series_of_too_few_or_too_many_points_is_refused(api, points):
    body = api("/series", f"points={points}", status=400)
    assert [item["field"] for item in body["details"]["fields"]] == ["points"]


def test_an_unknown_benchmark_is_refused(api):
    api("/performance", "benchmark=gold", status=400)


def test_nobody_reads_the_connection_of_another(client_of, bob, charlie, traded):
    for path in ("/performance", "/series", "/attribution"):
        answer = client_of(charlie).get(f"{path}?connection={traded.id}")
        assert answer.status_code == 404
        coin = factories.asset("BTC").id
        empty = client_of(charlie).get(f"{path}?asset={coin}").json()
        assert (empty.get("results") or [], empty["complete_through"]) == ([], None)


@pytest.mark.parametrize("path", ["/performance", "/series", "/attribution", "/allocation"])
def test_what_has_not_changed_is_not_sent_again(client_of, alice, path):
    with time_machine.travel(clock.now(), tick=False):
        app = client_of(alice)
        etag = app.get(path).headers["ETag"]
        assert app.get(path, **{"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/performance", shapes.PerformanceSerializer), ("/series", shapes.SeriesSerializer),
        ("/attribution", shapes.AttributionSerializer),
        ("/allocation", shapes.AllocationSerializer),
    ],
)  # fmt: skip
def test_the_declared_shape_is_what_is_sent(api, traded, path, shape):
    query = "" if path == "/allocation" else UNTIL
    assert_shape(shape(), api(path, query))


def assert_shape(serializer, body):
    optional = {name for name, field in serializer.fields.items() if not field.required}
    assert set(body) - optional == set(serializer.fields) - optional
    for name, field in serializer.fields.items():
        value = body.get(name)
        if isinstance(value, dict):
            assert_shape(field, value)
        elif isinstance(value, list) and value:
            assert_shape(field.child, value[0])
