"""The home screen and the lists: what a person sees, and what is said when something is missing."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
import time_machine
from django.core.cache import cache
from django.db import OperationalError
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from exchanges import prices
from exchanges.models import Asset, ExchangeConnection, Price
from portfolios import serializers
from portfolios.models import Holding, PortfolioSnapshot, PortfolioState
from portfolios.valuing import snapshots
from tests import factories
from tests.end_to_end.system import free_port
from tests.tracker.test_outage import database_gone
from tracker import clock, tenancy


@pytest.fixture
def synced(alice, connect, visit, priced):
    connection = connect(alice, 3)
    assert visit(connection) == {"complete": 1}
    return connection


@pytest.fixture
def api(client_of, alice, exchange):
    return client_of(alice)


def home(api):
    answer = api.get("/portfolio")
    assert answer.status_code == 200
    return answer.json()


def test_an_empty_portfolio_is_complete_and_worth_nothing(api, priced):
    body = home(api)
    assert (body["total_value"], body["status"], body["holdings"]) == ("0", "complete", [])
    assert body["connections"] == []


def test_the_total_is_the_sum_of_units_times_prices(api, synced, sandbox):
    body = home(api)
    assert body["status"] == "complete"
    units = {}
    for (_, code), quantity in sandbox.balances(3).items():
        units[code] = units.get(code, D(0)) + quantity
    assert {row["code"]: D(row["quantity"]) for row in body["holdings"]} == units
    total = sum(D(row["price"]) * D(row["quantity"]) for row in body["holdings"])
    assert D(body["total_value"]) == total.quantize(D("1e-8"))
    assert abs(sum(D(row["share"]) for row in body["holdings"]) - 1) < D("1e-4")
    assert {"value", "percent", "status"} == body["change_24h"].keys()


def test_an_asset_without_a_price_is_unpriced_never_zero(api, synced):
    with tenancy.as_system("test"):
        Price.objects.filter(asset__code="BNB").delete()
    body = home(api)
    row = next(row for row in body["holdings"] if row["code"] == "BNB")
    assert (row["price"], row["value"], row["status"]) == (None, None, "unpriced")
    assert (body["status"], body["unpriced"]) == ("partial", 1)


def test_old_prices_make_it_stale_and_keep_the_last_known_value(api, synced):
    before = home(api)
    with time_machine.travel(clock.now() + timedelta(minutes=14), tick=False):
        assert home(api)["status"] == "complete"
    with tenancy.as_system("test"):
        Price.objects.update(as_of=clock.now() - timedelta(hours=2))
    body = home(api)
    assert body["status"] == "stale"
    assert body["total_value"] == before["total_value"]


def test_a_base_currency_without_a_price_is_said(api, synced):
    with tenancy.as_system("test"):
        Price.objects.filter(asset__code="CHF").delete()
    api.patch("/me", {"base_currency": "CHF"})
    body = home(api)
    assert body["status"] == "partial"
    assert all(row["status"] == "unpriced" for row in body["holdings"])


@pytest.mark.parametrize(
    ("state", "status"),
    [("ok", "complete"), ("partial", "partial"), ("paused", "stale"), ("needs_new_key", "stale")],
)
def test_the_worst_connection_decides(api, synced, alice, state, status):
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(state=state)
    body = home(api)
    assert (body["status"], body["connections"][0]["status"]) == (status, status)


def test_a_connection_that_was_never_synced_is_partial(api, alice, connect, priced):
    connect(alice, 3)
    assert home(api)["status"] == "partial"


def test_two_connections_are_added_up(api, alice, synced, connect, visit, sandbox):
    visit(connect(alice, 4))
    units = {}
    for account in (3, 4):
        for (_, code), quantity in sandbox.balances(account).items():
            units[code] = units.get(code, D(0)) + quantity
    assert {row["code"]: D(row["quantity"]) for row in home(api)["holdings"]} == units


def test_the_number_of_queries_does_not_depend_on_the_number_of_holdings(api, synced, alice):
    def count():
        with CaptureQueriesContext(database) as captured:
            home(api)
        words = ("SAVEPOINT", "set_config", "BEGIN", "COMMIT")
        return sum(
            not any(word in query["sql"] for word in words) for query in captured.captured_queries
        )

    home(api)  # the first call of five minutes also counts that somebody was there
    few = count()
    with tenancy.as_user(alice.id):
        assets = [Asset(slug=f"x{n}", code=f"X{n}") for n in range(100)]
        Asset.objects.bulk_create(assets)
        Holding.objects.bulk_create(
            Holding(user=alice, connection=synced, wallet="spot", asset=asset, quantity=1,
                    exchange_code=asset.code, changed_at=clock.now(),
                    last_confirmed_at=clock.now())
            for asset in assets
        )  # fmt: skip
    assert count() == few <= 4


def test_reads_carry_an_etag_and_answer_304(api, synced):
    for path in ("/portfolio", "/trades", "/holdings", "/me", "/exchanges", "/prices?assets=BTC"):
        first = api.get(path)
        again = api.get(path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert api.get(path, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("path", "serializer"),
    [
        ("/trades", serializers.TradeSerializer),
        ("/transfers", serializers.TransferSerializer),
        ("/ledger", serializers.LedgerEntrySerializer),
        ("/holdings", serializers.HoldingSerializer),
    ],
)
def test_lists_have_the_shape_that_the_schema_declares(api, synced, path, serializer):
    rows = api.get(path).json()["results"]
    assert rows
    for row in rows:
        assert row.keys() == serializer().fields.keys()
        checked = serializer(data=row)
        assert checked.is_valid(), checked.errors


def test_the_home_screen_has_the_shape_that_the_schema_declares(api, synced):
    body = home(api)
    assert body.keys() == serializers.PortfolioSerializer().fields.keys()
    checked = serializers.PortfolioSerializer(data=body)
    assert checked.is_valid(), checked.errors


def test_paging_by_cursor_shows_every_row_once(api, synced):
    seen, path = [], "/trades?page_size=7"
    while path:
        body = api.get(path).json()
        seen += [row["id"] for row in body["results"]]
        path = body["next"] and body["next"].partition("/api/v1")[2]
    everything = [row["id"] for row in api.get("/trades?page_size=500").json()["results"]]
    assert seen == everything
    assert len(set(seen)) == len(seen) > 14


@pytest.mark.parametrize(
    ("query", "keeps"),
    [
        ("side=buy", lambda row: row["side"] == "buy"),
        ("kind=fill", lambda row: row["kind"] == "fill"),
        ("code=btc", lambda row: "BTC" in (row["base_code"], row["quote_code"])),
        ("from=2026-06-01T00:00:00Z", lambda row: row["occurred_at"] >= "2026-06-01"),
        ("to=2026-06-01T00:00:00Z", lambda row: row["occurred_at"] < "2026-06-01"),
    ],
)
def test_filters_of_trades(api, synced, query, keeps):
    every = api.get("/trades?page_size=500").json()["results"]
    found = api.get(f"/trades?page_size=500&{query}").json()["results"]
    assert [row["id"] for row in found] == [row["id"] for row in every if keeps(row)]


@pytest.mark.parametrize(
    "path",
    ["/trades?sied=buy", "/trades?side=up", "/trades?connection=1", "/ledger?from=yesterday",
     "/holdings?color=red", "/trades?cursor=garbage", "/snapshots?interval=year",
     "/snapshots?from=2026-01-01", "/snapshots?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
     "/prices", "/prices?assets=%00"],
)  # fmt: skip
def test_wrong_parameters_are_refused_in_the_one_format(api, path):
    answer = api.get(path)
    assert answer.status_code in (400, 404), answer.content
    assert set(answer.json()) == {"code", "message", "details", "request_id"}


def test_charlie_sees_nothing_of_alice(client_of, charlie, synced):
    """S14"""
    api = client_of(charlie)
    assert home(api)["holdings"] == []
    for path in ("/trades", "/transfers", "/ledger", "/holdings", "/connections", "/snapshots"):
        assert api.get(path).json()["results"] == []
    for method in ("get", "delete"):
        assert getattr(api, method)(f"/connections/{synced.id}").status_code == 404
    assert api.post(f"/connections/{synced.id}/sync").status_code == 404
    assert api.get(f"/connections/{synced.id}/sync-runs").status_code == 404


# --- prices -------------------------------------------------------------------------------------
def test_prices_are_fetched_once_in_five_minutes(exchange, sandbox):
    def asked():
        return sandbox.stats()["requests"].get("/api/v3/ticker/24hr", 0)

    before = asked()
    assert prices.refresh_due(now=clock.now()) > 0
    assert prices.refresh_due(now=clock.now()) == 0
    assert asked() == before + 1


def test_a_fetch_that_stored_nothing_keeps_others_waiting_for_seconds_only(
    transactional_db, exchange
):
    """S41: as one does whose worker died."""
    with database_gone(), pytest.raises(OperationalError):
        prices.refresh_due(now=clock.now())
    assert 0 < cache.ttl("prices:fetched:binance") <= prices.FETCHING_SECONDS
    cache.clear()
    prices.refresh_due(now=clock.now())
    assert cache.ttl("prices:fetched:binance") > prices.FETCHING_SECONDS


def test_a_price_feed_that_is_down_keeps_the_last_known_prices(exchange, settings, priced):
    with tenancy.as_system("test"):
        before = dict(Price.objects.values_list("asset_id", "usd"))
    settings.EXCHANGE_BASE_URLS = {"binance": f"http://127.0.0.1:{free_port()}"}
    assert prices.refresh_due(now=clock.now()) == 0
    with tenancy.as_system("test"):
        assert dict(Price.objects.values_list("asset_id", "usd")) == before


def test_quotes_come_from_redis_and_from_postgresql_when_it_is_gone(api, priced, settings):
    """S30: reads go on."""
    first = api.get("/prices?assets=BTC,ETH,NOSUCHCOIN").json()["results"]
    assert [row["code"] for row in first] == ["BTC", "ETH"]
    settings.CACHES = settings.CACHES | {
        "default": settings.CACHES["default"] | {"LOCATION": f"redis://127.0.0.1:{free_port()}/0"}
    }
    assert api.get("/prices?assets=BTC,ETH").json()["results"] == first


def test_every_base_currency_can_be_priced(api, priced):
    rows = {}
    for currency in ("USD", "EUR", "GBP", "CHF", "JPY", "AUD", "CAD", "BTC", "ETH"):
        api.patch("/me", {"base_currency": currency})
        (row,) = api.get("/prices?assets=BNB").json()["results"]
        assert (row["currency"], row["status"]) == (currency, "complete")
        rows[currency] = D(row["price"])
    assert len(set(rows.values())) == 9


# --- snapshots ----------------------------------------------------------------------------------
def test_a_snapshot_is_what_the_home_screen_showed(api, synced, alice):
    shown = home(api)
    assert snapshots.take_due(now=clock.now()) == 1
    assert snapshots.take_due(now=clock.now()) == 0
    with tenancy.as_user(alice.id):
        row = PortfolioSnapshot.objects.get()
    assert row.total_value == D(shown["total_value"])
    assert (row.currency, row.status) == ("USD", "complete")
    stored = {item["code"]: item["value"] for item in row.snapshot_data["holdings"]}
    assert stored == {item["code"]: item["value"] for item in shown["holdings"]}


def test_snapshots_are_taken_daily_or_hourly_by_plan(synced, alice):
    factories.put_on_plan(alice, "free")
    start = clock.now()
    assert snapshots.take_due(now=start) == 1
    with tenancy.as_system("test"):
        due = PortfolioState.objects.get().next_snapshot_at
        assert (due.hour, due.minute) == (0, 0)
    factories.put_on_plan(alice, "pro")
    assert snapshots.take_due(now=due) == 1
    with tenancy.as_system("test"):
        assert PortfolioState.objects.get().next_snapshot_at == due + timedelta(hours=1)


def test_snapshots_are_thinned_to_one_per_interval(api, alice, exchange):
    start = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=7)
    with tenancy.as_user(alice.id):
        PortfolioSnapshot.objects.bulk_create(
            PortfolioSnapshot(user=alice, taken_at=start - timedelta(hours=n), total_value=n,
                              currency="USD", status="complete", snapshot_data={})
            for n in range(72)
        )  # fmt: skip
    window = f"from={(start - timedelta(days=4)):%Y-%m-%dT%H:%M:%SZ}"
    hours = api.get(f"/snapshots?interval=hour&{window}").json()["results"]
    days = api.get(f"/snapshots?interval=day&{window}").json()["results"]
    assert len(hours) == 72
    assert [row["total_value"] for row in days] == ["49", "25", "1", "0"]
    assert [row["taken_at"] for row in days] == sorted(row["taken_at"] for row in days)
