"""What stands in files: every content in every format, equal to what the API shows."""

import hashlib
import io
import json
from datetime import datetime, timedelta
from decimal import Decimal

import openpyxl
import pytest

from portfolios.models import LedgerEntry, PortfolioSnapshot, Trade
from tests import factories
from tests.portfolios.exporting.made import FORMATS, plain, rows_of
from tracker import tenancy

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (
    "trades", "transfers", "ledger", "lots", "disposals", "incomes", "snapshots", "backtests",
    "backtest_trades",
)  # fmt: skip
LONG = Decimal("123456789012345678.123456789012345678901234567891")
RESULT = {
    "metrics": {"cagr": "-0.12", "trades": 2, "worst": None}, "hash": "abc", "warnings": ["=1+1"],
    "note": "=cmd()",
}  # fmt: skip
SIMULATED = [
    {"at": "2026-01-06T00:00:00Z", "side": "buy", "price": "90000.5", "fee": {"paid": "1.25"}},
    {"at": "2026-01-07T00:00:00Z", "side": "sell", "price": "-1"},
]
# Names in the API where they differ from those in files.
RENAMED = {
    "base_asset_id": "base_asset", "base_asset_code": "base_code",
    "quote_asset_id": "quote_asset", "quote_asset_code": "quote_code",
    "fee_asset_id": "fee_asset", "fee_asset_code": "fee_code", "asset_id": "asset",
    "asset_code": "code", "connection_id": "connection", "exchange_trade_id": "exchange_id",
    "exchange_transfer_id": "exchange_id", "trade_id": "trade", "transfer_id": "transfer",
    "reward_id": "reward", "entry_id": "entry", "lot_id": "lot", "price_source": "source",
    "base_id": "base_asset", "base_code": "base_code", "quote_id": "quote_asset",
    "quote_code": "quote_code", "fee_id": "fee_asset", "fee_code": "fee_code",
}  # fmt: skip
LISTED = {
    "trades": "/trades", "transfers": "/transfers", "ledger": "/ledger", "lots": "/lots",
    "disposals": "/gains", "snapshots": "/snapshots?from=2025-12-01T00:00:00Z&interval=hour",
}  # fmt: skip


@pytest.fixture
def full(alice):
    """Alice with a row in every table, one of them with all the digits there are."""
    connected = factories.something_everywhere(alice)
    factories.backtest(alice, result=RESULT, details={"trades": SIMULATED}, state="done")
    with tenancy.as_user(alice.id):
        PortfolioSnapshot.objects.update(taken_at=factories.EARLIER)
        entry = LedgerEntry.objects.filter(kind="trade").first()
        LedgerEntry.objects.filter(id=entry.id).update(quantity=-LONG)
        factories.trade(
            alice, connected, 2, base_quantity=LONG, fee_asset=factories.asset("BNB"),
            fee_quantity=Decimal("-0.000000000000000001"),
        ).save(force_insert=True)  # fmt: skip
    return connected


@pytest.mark.parametrize("format", FORMATS)
def test_every_table_reads_back_as_the_api_shows_it(full, alice, exports, client_of, format):
    found = exports(alice).zip("everything", format=format)
    names = {f"{table}.{format}" for table in TABLES}
    assert set(found.namelist()) == names | {"manifest.json", "README.txt"}
    assert found.testzip() is None
    for table, address in LISTED.items():
        listed = {row["id"]: row for row in client_of(alice).get(address).json()["results"]}
        rows = {row["id"]: row for row in rows_of(found, table, format)}
        assert rows.keys() == listed.keys(), table
        for key, row in rows.items():
            told = {RENAMED.get(name, name): plain(value) for name, value in row.items()}
            shown = {name: plain(value) for name, value in listed[key].items()}
            alike = told.keys() & shown.keys()
            assert {name: told[name] for name in alike} == {name: shown[name] for name in alike}
            missing = shown.keys() - told.keys()
            assert not missing, (table, missing)


def test_no_digit_is_lost(full, alice, exports):
    for format in FORMATS:
        rows = exports(alice).rows("trades", format=format)
        row = next(row for row in rows if row["exchange_trade_id"] == "2")
        assert row["base_quantity"] == str(LONG)  # text in every format
        assert plain(row["fee_quantity"]) == "-0.000000000000000001"
        assert plain(row["price"]) == "60000"


def test_short_decimals_are_numbers_in_a_spreadsheet_and_long_ones_text(full, alice, exports):
    rows = exports(alice).rows("trades", format="xlsx")
    assert {type(row["price"]) for row in rows} == {int}
    assert {type(row["base_quantity"]) for row in rows} == {int, str}


def test_units_are_strings_and_money_is_decimal128_in_parquet(full, alice, exports):
    found = exports(alice).zip("everything", format="parquet")
    (snapshot,) = rows_of(found, "snapshots", "parquet")
    assert isinstance(snapshot["total_value"], Decimal)
    assert isinstance(snapshot["taken_at"], datetime)
    (transfer, *_) = rows_of(found, "transfers", "parquet")
    assert transfer["is_settled"] is True
    assert isinstance(transfer["quantity"], str)


def test_gains_hold_disposals_and_income(full, alice, exports):
    for format in FORMATS:
        found = exports(alice).zip("gains", format=format)
        disposals, incomes = (rows_of(found, name, format) for name in ("disposals", "incomes"))
        assert plain(disposals[0]["gain"]) == "50"
        assert disposals[0]["asset_code"] == incomes[0]["asset_code"] == "BTC"
        assert incomes[0]["connection_label"] == "everything"
        assert incomes[0]["exchange"] == "binance"


def test_what_backtests_came_to_is_taken_apart_once(full, alice, exports):
    for format in FORMATS:
        found = exports(alice).zip("backtests", format=format)
        rows = rows_of(found, "backtests", format)
        assert len(rows) == 2
        done = next(row for row in rows if row["state"] == "done")
        assert plain(done["result.metrics.cagr"]) == "-0.12"
        assert plain(done["result.metrics.trades"]) == "2"
        assert done["result.hash"] == "abc"
        definition = done["definition"]
        definition = definition if format == "jsonl" else json.loads(definition)
        assert definition == {"kind": "sma_crossover", "parameters": {}}
        trades = rows_of(found, "backtest_trades", format)
        assert [plain(row["trade.price"]) for row in trades] == ["90000.5", "-1"]
        assert [plain(row["trade.fee.paid"]) for row in trades] == ["1.25", None]
        assert [plain(row["number"]) for row in trades] == ["1", "2"]


def test_more_names_than_a_table_can_have_columns_stay_one_json(alice, exports):
    result = {f"name{number}": number for number in range(201)}
    factories.backtest(alice, result=result)
    (row,) = exports(alice).rows("backtests", format="jsonl")
    assert row["result"] == result


def test_names_that_look_alike_when_taken_apart_stay_two_columns(alice, exports):
    factories.backtest(alice, result={"a": {"b": 1}, "a.b": 2})
    (row,) = exports(alice).rows("backtests", format="jsonl")
    assert sorted(value for name, value in row.items() if name.startswith("result.a.b")) == [1, 2]


def test_nothing_to_export_is_a_file_with_columns_and_no_rows(alice, exports):
    for format in FORMATS:
        found = exports(alice).zip("ledger", format=format)
        assert rows_of(found, "ledger", format) == []
        if format == "csv":
            assert found.read("ledger.csv").startswith(b"id,occurred_at,exchange,")
        manifest = json.loads(found.read("manifest.json"))
        assert (manifest["rows"], manifest["files"][0]["rows"]) == (0, 0)
        assert "There was nothing to export" in found.read("README.txt").decode()


def test_the_manifest_names_columns_and_proves_every_file(full, alice, exports):
    since, until = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
    asked = {"since": since, "until": until}
    told = exports(alice).made("ledger", "lots", **asked)
    found = exports(alice).zip("ledger", "lots", **asked)
    manifest = json.loads(found.read("manifest.json"))
    assert [item["name"] for item in manifest["files"]] == ["ledger.csv", "lots.csv"]
    for item in manifest["files"]:
        data = found.read(item["name"])
        assert (item["bytes"], item["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        names = [column["name"] for column in item["columns"]]
        assert data.decode().splitlines()[0] == ",".join(names)
        assert item["rows"] == len(data.splitlines()) - 1
    assert (manifest["since"], manifest["until"]) == (since, until)
    assert manifest["files"][1]["range_by"] == "acquired_at"
    assert manifest["figures"]["currency"] == "USD"
    assert manifest["rows"] == told["rows_total"] == told["rows_done"]
    readme = found.read("README.txt").decode()
    assert "acquired_at" in readme
    assert "fifo" in readme


# --- ranges -------------------------------------------------------------------------------------
def test_a_range_has_its_beginning_and_not_its_end(alice, exports):
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        Trade.objects.bulk_create(factories.trade(alice, connected, n) for n in range(5))
    at = [(factories.EARLIER + timedelta(seconds=n)).isoformat() for n in range(5)]
    hers = exports(alice)

    def ids(**within):
        return [row["exchange_trade_id"] for row in hers.rows("trades", **within)]

    assert ids(since=at[1], until=at[3]) == ["1", "2"]
    assert ids(since=at[3]) == ["3", "4"]
    assert ids(until=at[1]) == ["0"]
    assert ids(since="2000-01-01T00:00:00+14:00", until="9999-12-31T00:00:00Z") == list("01234")
    assert ids(since="2030-01-01T00:00:00Z") == []


def test_each_table_is_narrowed_by_its_own_instant(full, alice, exports):
    later = (factories.EARLIER + timedelta(days=400)).isoformat()
    found = exports(alice).zip("everything", until=factories.EARLIER.isoformat())
    assert {name: rows_of(found, name, "csv") for name in TABLES} == {name: [] for name in TABLES}
    found = exports(alice).zip("everything", since=factories.EARLIER.isoformat(), until=later)
    assert all(rows_of(found, name, "csv") for name in TABLES)


# --- formulas -----------------------------------------------------------------------------------
RUN = ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(A1)", "\tx", " =1", "\r=1", "＝1", "-"]


def test_text_that_a_spreadsheet_would_run_is_quoted_and_whole_elsewhere(alice, exports):
    connected = factories.connection(alice, label=RUN[0])
    with tenancy.as_user(alice.id):
        Trade.objects.bulk_create(
            factories.trade(alice, connected, number, symbol=text)
            for number, text in enumerate(RUN)
        )
    found = {format: exports(alice).rows("trades", format=format) for format in FORMATS}
    assert [row["symbol"] for row in found["csv"]] == [f"'{text}" for text in RUN]
    assert {row["connection_label"] for row in found["csv"]} == {f"'{RUN[0]}"}
    assert {row["symbol"][0] for row in found["xlsx"]} <= {"'", " "}
    for format in ("jsonl", "parquet"):
        assert [row["symbol"] for row in found[format]] == RUN
        assert {row["connection_label"] for row in found[format]} == {RUN[0]}


def test_no_cell_of_a_spreadsheet_is_a_formula(full, alice, exports):
    with tenancy.as_user(alice.id):
        Trade.objects.update(symbol="=1+1", order_id="=2")
    data = exports(alice).zip("everything", format="xlsx").read("trades.xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    kinds = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds


def test_numbers_below_zero_stay_numbers_wherever_they_stand(full, alice, exports):
    hers = exports(alice)
    assert str(-LONG) in {row["quantity"] for row in hers.rows("ledger")}
    done = next(row for row in hers.rows("backtests") if row["state"] == "done")
    assert done["result.metrics.cagr"] == "-0.12"
    assert done["result.note"] == "'=cmd()"
    assert done["result.warnings"] == '["=1+1"]'


def test_line_breaks_quotes_and_letters_of_all_kinds_come_back(alice, exports):
    text = 'say "hi",\nline two; ü 日本 🙂 \\N \\.'
    connected = factories.connection(alice, label="x")
    with tenancy.as_user(alice.id):
        factories.trade(alice, connected, symbol=text).save(force_insert=True)
    for format in FORMATS:
        assert exports(alice).rows("trades", format=format)[0]["symbol"] == text


def test_a_text_longer_than_a_cell_is_cut_and_says_so(alice, exports):
    rules = {"text": "x" * 40_000}
    factories.backtest(alice, definition=rules)
    (row,) = exports(alice).rows("backtests", format="xlsx")
    assert len(row["definition"]) < 32_767
    assert row["definition"].endswith("(cut: a cell holds no more)")
    (row,) = exports(alice).rows("backtests", format="csv")
    assert json.loads(row["definition"]) == rules
