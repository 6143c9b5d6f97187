"""Register, connect, sync, read: through the running processes, on real candles and symbols."""

import signal
import subprocess
import time
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal

import psutil
import pytest

from tests.conftest import SHARED_DATA
from tests.end_to_end import system as systems

pytestmark = [pytest.mark.xdist_group("end_to_end"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    data = {}
    if SHARED_DATA.is_dir():
        data = {
            "SANDBOX_MARKET_DATA": str(SHARED_DATA / "market"),
            "SANDBOX_EXCHANGE_INFO": str(SHARED_DATA / "exchanges/binance/exchangeInfo.json"),
        }
    with systems.running(tmp_path_factory.mktemp("main"), **data) as running:
        yield running


@pytest.fixture(scope="module")
def connection(system):
    """The reader's own path: sign up, try a wrong key, connect the printed one."""
    system.sign_up("reader@example.com")
    key = {"api_key": system.printed("API key:"), "api_secret": system.printed("API secret:")}
    status, answer = system.call(
        "POST", "/connections", {"exchange": "binance", **key, "api_secret": "wrong"}
    )
    assert (status, answer["code"]) == (400, "exchange_key_rejected")
    assert system.call("GET", "/connections")[1]["results"] == []
    status, answer = system.call("POST", "/connections", {"exchange": "binance", **key})
    assert status == 201, answer
    run = system.await_sync(answer["id"])
    assert run["state"] == "complete", run
    return answer


@pytest.fixture(scope="module")
def books(system, connection, shared_data):
    return system.sandbox("accounts/1/books")


def everything(system, path):
    rows, url = [], f"{path}?page_size=500"
    while url:
        status, answer = system.call("GET", url)
        assert status == 200, answer
        rows += answer["results"]
        url = answer["next"].partition("/api/v1")[2] if answer["next"] else None
    return rows


def test_every_holding_equals_the_books(system, books):
    ours = {
        (row["wallet"], row["code"]): Decimal(row["quantity"])
        for row in everything(system, "/holdings")
    }
    theirs = {
        (wallet, code): Decimal(quantity)
        for wallet, held in books["balances"].items()
        for code, quantity in held.items()
        if Decimal(quantity)
    }
    assert ours == theirs


def test_every_trade_equals_the_books(system, books):
    ours = sorted(
        (
            row["side"], row["base_code"], row["quote_code"], Decimal(row["base_quantity"]),
            Decimal(row["quote_quantity"]), Decimal(row["price"]), row["fee_code"],
            Decimal(row["fee_quantity"] or 0),
        )
        for row in everything(system, "/trades")
        if row["kind"] == "fill"
    )  # fmt: skip
    theirs = sorted(
        (
            fact["side"], fact["base"], fact["quote"], Decimal(fact["quantity"]),
            Decimal(fact["quote_quantity"]), Decimal(fact["price"]), fact["commission_asset"],
            Decimal(fact["commission"]),
        )
        for fact in books["facts"]["trades"]
    )  # fmt: skip
    assert ours == theirs
    assert len(ours) > 50


def test_the_ledger_adds_up_to_the_holdings(system, books):
    sums = defaultdict(Decimal)
    for row in everything(system, "/ledger"):
        sums[row["wallet"], row["code"]] += Decimal(row["quantity"])
    held = {
        (row["wallet"], row["code"]): Decimal(row["quantity"])
        for row in everything(system, "/holdings")
    }
    assert {place: total for place, total in sums.items() if total} == held


def test_the_total_is_units_times_prices_to_the_last_digit(system, books):
    """S46"""
    status, portfolio = system.call("GET", "/portfolio")
    assert status == 200
    assert (portfolio["status"], portfolio["currency"]) == ("complete", "USD")
    units = defaultdict(Decimal)
    for held in books["balances"].values():
        for code, quantity in held.items():
            units[code] += Decimal(quantity)
    assert {row["code"] for row in portfolio["holdings"]} == {c for c in units if units[c]}
    total = Decimal(0)
    for row in portfolio["holdings"]:
        assert Decimal(row["quantity"]) == units[row["code"]]
        value = units[row["code"]] * Decimal(row["price"])
        assert value.quantize(Decimal("1e-8"), ROUND_HALF_UP) == Decimal(row["value"])
        total += value
    assert total.quantize(Decimal("1e-8"), ROUND_HALF_UP) == Decimal(portfolio["total_value"])


def test_the_price_of_bitcoin_is_the_market_data_s(system, books):
    _, answer = system.call("GET", "/prices?assets=BTC")
    (row,) = answer["results"]
    assert row["status"] == "complete"
    url = f"http://127.0.0.1:{system.sandbox_port}/api/v3/ticker/price?symbol=BTCUSDT"
    _, ticker = systems._http(url, "GET", None, {})
    drift = abs(Decimal(row["price"]) / Decimal(ticker["price"]) - 1)
    assert drift < Decimal("0.05")  # the price moves between the fetch and now


@pytest.mark.parametrize("currency", ["EUR", "GBP", "CHF", "JPY", "AUD", "CAD", "BTC", "ETH"])
def test_the_total_in_every_base_currency(system, connection, currency):
    _, before = system.call("GET", "/portfolio")
    system.call("PATCH", "/me", {"base_currency": currency})
    _, after = system.call("GET", "/portfolio")
    system.call("PATCH", "/me", {"base_currency": "USD"})
    assert (after["currency"], after["status"]) == (currency, "complete")
    assert Decimal(after["total_value"]) > 0
    assert after["total_value"] != before["total_value"]


def test_sync_now_is_answered_202_and_finds_what_is_new(system, connection):
    added = system.sandbox(
        "accounts/1/facts", "POST", {"feed": "deposits", "asset": "BTC", "quantity": "0.25"}
    )
    assert "fact" in added, added
    status, run = system.call("POST", f"/connections/{connection['id']}/sync")
    assert status == 202
    done = system.await_sync(connection["id"])
    assert (done["id"], done["state"], done["new_transfers"]) == (run["id"], "complete", 1)


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(system, connection):
    """S41: kill -9 while it waits for the exchange; the lease lapses and the sync is finished."""
    fault = {"kind": "delay", "path": "/api/v3/myTrades", "seconds": 1}
    system.sandbox("faults", "POST", fault)
    added = {"feed": "deposits", "asset": "ETH", "quantity": "1.5"}
    system.sandbox("accounts/1/facts", "POST", added)
    _, run = system.call("POST", f"/connections/{connection['id']}/sync")
    deadline = time.monotonic() + 30
    while system.sandbox("faults")["faults"] and time.monotonic() < deadline:
        _, answer = system.call("GET", f"/connections/{connection['id']}/sync-runs")
        if answer["results"][0]["state"] == "running":
            break
    workers = [p for p in system.processes("-m celery -A tracker worker") if "python" in p.name()]
    children = [p for p in workers if p.parent() in workers]
    assert len(children) == 2
    for child in children:
        child.send_signal(signal.SIGKILL)
    system.sandbox("faults", "DELETE")
    done = system.await_sync(connection["id"], seconds=150)
    assert (done["id"], done["state"]) == (run["id"], "complete")
    books = system.sandbox("accounts/1/books")
    deposits = [f for f in books["facts"]["deposits"] if f["asset"] == "ETH"]
    rows = everything(system, "/transfers")
    ours = [r for r in rows if (r["direction"], r["code"]) == ("deposit", "ETH")]
    assert len(ours) == len(deposits)
    sums = defaultdict(Decimal)
    for row in everything(system, "/ledger"):
        sums[row["wallet"], row["code"]] += Decimal(row["quantity"])
    held = {
        (r["wallet"], r["code"]): Decimal(r["quantity"]) for r in everything(system, "/holdings")
    }
    assert {place: total for place, total in sums.items() if total} == held


def test_no_key_is_found_in_the_output_the_database_or_redis(system, connection):
    """S26, for the running system."""
    key, secret = system.printed("API key:"), system.printed("API secret:")
    printed = system.output.read_text()
    assert printed.count(key) == printed.count(secret) == 1  # where `make run` prints them
    data = system.output.parent / "data"
    for needle in (key, secret):
        found = subprocess.run(
            ["grep", "-rl", "--binary-files=text", needle, str(data)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert found.stdout == ""


def test_the_sandbox_counted_no_violation_but_the_wrong_key(system, connection):
    """S45"""
    counted = system.sandbox("violations")["by_kind"]
    assert set(counted) <= {"bad_signature"}


def test_ctrl_c_ends_every_process_and_a_second_start_keeps_the_data(tmp_path):
    with systems.running(tmp_path) as first:
        family = psutil.Process(first.process.pid).children(recursive=True)
        family += [p for p in psutil.process_iter(["cmdline"])
                   if str(tmp_path) in " ".join(p.info["cmdline"] or [])]  # fmt: skip
        first.sign_up("kept@example.com")
        first.stop()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    with systems.running(tmp_path) as second:
        status, _ = second.call(
            "POST", "/auth/login",
            {"email": "kept@example.com", "password": "correct horse battery staple"},
        )  # fmt: skip
        assert status == 200
