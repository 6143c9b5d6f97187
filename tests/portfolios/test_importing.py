"""Files of entries: every row accounted for, twice the same as once, and no file is ever a 500."""

import csv
import io
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.models import Coverage, ExchangeConnection
from exchanges.reports import AccountReport, Covered, Trade
from portfolios import tasks
from portfolios.importing import cells, imports, plan, table
from portfolios.importing.cells import RowRefused
from portfolios.ledger import legs
from portfolios.models import FileImport, LedgerEntry
from portfolios.sync import recording
from tests import broker, factories
from tracker import clock, ids, leases, tenancy

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FILES = Path(__file__).parents[1] / "recordings" / "imports"
SAMPLES = ["kraken_ledgers", "coinbase", "koinly", "cointracking", "own"]


# --- reading, without a database ----------------------------------------------------------------
def planned(content: bytes, zone: str = "UTC", **options: Any) -> plan.Plan:
    layout = plan.lay_out(table.decode(content), **options)
    return plan.interpret(layout, zone=ZoneInfo(zone), now=NOW)


def units(read: plan.Plan) -> dict[str, Decimal]:
    """What the facts of a file add up to, coin by coin."""
    total: dict[str, Decimal] = defaultdict(Decimal)
    for item in read.found:
        for leg in legs.legs(item.fact):
            total[leg.code] += leg.quantity
    return {code: quantity for code, quantity in total.items() if quantity}


def accounted(read: plan.Plan) -> list[int]:
    """The lines of all facts and remarks, sorted."""
    found = [line for item in (*read.found, *read.remarks) for line in item.lines]
    return sorted(found)


def names(read: plan.Plan) -> set[str]:
    return {item.fact.exchange_id for item in read.found}


@pytest.fixture
def statement(shared_data):
    return (shared_data / "exchanges" / "binance" / "statement.csv").read_bytes()


def test_every_row_of_the_real_statement_is_in_one_fact_or_refused(statement):
    read = planned(statement)
    assert read.layout.format.name == "binance_statement"
    assert accounted(read) == list(range(2, read.total + 2))
    refused = {remark.lines: remark.code for remark in read.remarks}
    assert refused == {
        (5,): "time_missing", (6,): "asset_missing", (42,): "operation_unknown",
    }  # fmt: skip


def test_the_real_statement_adds_up_coin_by_coin(statement):
    """Each balance moves by what the file's own lines say, whatever they were grouped into."""
    read = planned(statement)
    left_out = {line for remark in read.remarks for line in remark.lines}
    one_sided = ("subscription", "purchase", "redemption")  # moves into earn stay in the account
    told: dict[str, Decimal] = defaultdict(Decimal)
    for number, row in enumerate(csv.DictReader(io.StringIO(statement.decode())), start=2):
        inside = any(word in row["Operation"].lower() for word in one_sided)
        if number not in left_out and not inside:
            told[row["Coin"]] += Decimal(row["Change"])
    assert units(read) == {code: quantity for code, quantity in told.items() if quantity}


def test_fills_of_one_second_are_told_apart_by_their_prices(statement):
    trades = [item.fact for item in planned(statement).found if isinstance(item.fact, Trade)]

    def of(second: str) -> list[tuple[str, str, Decimal]]:
        at = datetime.fromisoformat(second).replace(tzinfo=UTC)
        return [(t.symbol, t.side, t.base_quantity) for t in trades if t.occurred_at == at]

    # 31 fills of one order, each with the fee that is a thousandth of it
    many = [t for t in trades if t.symbol == "HIGH/BTC"]
    assert len(many) == 31
    assert all(
        t.fee_quantity * 1000 == pytest.approx(t.base_quantity, rel=Decimal("0.01")) for t in many
    )
    # two coins bought for euros in one second
    assert of("2025-10-29 18:36:00") == [
        ("BTC/EUR", "buy", Decimal("0.00007")), ("ETH/EUR", "buy", Decimal("0.0015")),
        ("ETH/EUR", "buy", Decimal("0.0015")),
    ]  # fmt: skip
    # two fills that are alike in everything
    assert of("2025-11-10 18:36:00") == [("ZRX/ETH", "buy", Decimal(30))] * 2


def test_the_order_of_a_statements_lines_does_not_matter(statement):
    head, *lines = statement.decode().splitlines(keepends=True)
    lines[-1] += "\n"
    shuffled = head + "".join(random.Random(5).sample(lines, len(lines)))
    assert names(planned(shuffled.encode())) == names(planned(statement))
    assert units(planned(shuffled.encode())) == units(planned(statement))


def test_a_later_statement_that_holds_more_names_the_old_facts_as_before(statement):
    head, *lines = statement.decode().splitlines(keepends=True)
    half = head + "".join(line for line in lines if line[2:6] in ("2020", "2021"))
    assert names(planned(half.encode())) < names(planned(statement))


EXPECTED: dict[str, tuple[dict[str, str], list[tuple[int, str]]]] = {
    "kraken_ledgers": (
        {"EUR": "709.2", "BTC": "0.016955", "DOT": "0.01"},
        [(2, "pending"), (12, "mirror"), (15, "operation_unknown")],
    ),
    "coinbase": (
        {"BTC": "0.004", "ETH": "0.01112", "USDC": "192.13", "EUR": "0"},
        [(12, "operation_unknown")],
    ),
    "koinly": (
        {"USD": "-5", "BTC": "0.028"}, [(9, "amount_missing"), (10, "amount_negative")],
    ),
    "cointracking": (
        {"EUR": "600", "BTC": "0.0041"}, [(8, "operation_unknown")],
    ),
    "own": ({"USD": "1391.4", "BTC": "0.1899", "XMR": "5"}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_is_known_by_its_header_and_adds_up(name):
    read = planned((FILES / f"{name}.csv").read_bytes())
    expected, remarks = EXPECTED[name]
    assert read.layout.format.name == name
    assert {(line, r.code) for r in read.remarks for line in r.lines} == set(remarks)
    assert units(read) == {k: Decimal(v) for k, v in expected.items() if Decimal(v)}
    lines = [row.line for row in read.layout.rows]
    assert accounted(read) == lines


def test_a_balance_of_krakens_file_is_what_its_entries_add_up_to():
    content = (FILES / "kraken_ledgers.csv").read_bytes()
    told = {
        row["asset"]: Decimal(row["balance"])
        for row in csv.DictReader(io.StringIO(content.decode()))
        if row["balance"] and row["wallet"] != "earn / flexible" and row["type"] != "nfttrade"
    }
    spot: dict[str, Decimal] = defaultdict(Decimal)
    for item in planned(content).found:
        for leg in legs.legs(item.fact):
            spot[leg.code] += leg.quantity if leg.wallet == "spot" else 0
    assert (spot["EUR"], spot["BTC"]) == (told["ZEUR"], told["XXBT"])


def test_two_identical_rows_are_two_facts_where_the_file_gives_them_no_name():
    read = planned((FILES / "koinly.csv").read_bytes())
    twins = [item for item in read.found if item.lines in ((3,), (4,))]
    assert len({item.fact.exchange_id for item in twins}) == 2


def test_a_row_whose_own_name_stands_twice_is_one_fact():
    content = (FILES / "kraken_ledgers.csv").read_text()
    deposit = content.splitlines()[2]
    read = planned(f"{content}{deposit}\n".encode())
    assert names(read) == names(planned(content.encode()))
    assert ("repeated", (16,)) in {(remark.code, remark.lines) for remark in read.remarks}


def as_(encoding: str, text: str) -> bytes:
    return text.encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends_make_no_difference(encoding, delimiter, ending):
    text = (FILES / "own.csv").read_text()
    changed = text.replace(",", delimiter).replace("\n", ending)
    if encoding == "utf-16-le-bom":
        content = b"\xff\xfe" + changed.encode("utf-16-le")
    else:
        content = changed.encode(encoding)
    assert names(planned(content)) == names(planned(text.encode()))


def test_a_line_number_is_the_files_own_even_with_line_breaks_in_cells():
    text = "time,received_quantity,received_asset,sent_quantity,sent_asset,note\n"
    text += '2024-01-01T00:00:00Z,1,BTC,,,"two\nlines"\n\n2024-01-01T00:00:00Z,x,BTC,,,\n'
    read = planned(text.encode())
    assert [remark.lines for remark in read.remarks] == [(5,)]


@pytest.mark.parametrize(
    ("written", "number"),
    [("1234.5", "1234.5"), ("1,234.5", "1234.5"), ("1.234,5", "1234.5"), ("1,5", "1.5"),
     ("1,234,567", "1234567"), ("4.615E-06", "0.000004615"), ("-.5", "-0.5"), ("0,123", "0.123"),
     ("1 234,50", "1234.5"), ("−3", "-3"), ("1e15", "1000000000000000"), ("+2", "2")],
)  # fmt: skip
def test_numbers_that_can_be_read_in_one_way_are(written, number):
    assert cells.number(written) == Decimal(number)


@pytest.mark.parametrize(
    ("written", "code"),
    [("1,234", "amount_ambiguous"), ("-12,345", "amount_ambiguous"), ("abc", "amount_unreadable"),
     ("1.2.3", "amount_unreadable"), ("NaN", "amount_unreadable"), ("٣", "amount_unreadable"),
     ("Infinity", "amount_unreadable"), ("1e999", "amount_too_long"), ("1e-31", "amount_too_long"),
     ("0x10", "amount_unreadable"), ("1,23,4", "amount_unreadable"),
     ("9" * 61, "amount_unreadable")],
)  # fmt: skip
def test_numbers_that_cannot_are_refused(written, code):
    with pytest.raises(RowRefused) as problem:
        cells.number(written)
    assert problem.value.code == code


@pytest.mark.parametrize(
    ("written", "instant"),
    [("2024-03-01T10:00:00Z", "2024-03-01T10:00:00"),
     ("2024-03-01 10:00:00 UTC", "2024-03-01T10:00:00"),
     ("2024-03-01T10:00:00+02:00", "2024-03-01T08:00:00"),
     ("2024-03-01 10:00:00", "2024-02-29T21:00:00"),  # in Auckland
     ("2024-03-01", "2024-02-29T11:00:00"),
     ("01.03.2024 9:30", "2024-02-29T20:30:00"),
     ("24-03-01 10:00:00", "2024-02-29T21:00:00")],
)  # fmt: skip
def test_a_time_without_a_zone_is_in_the_one_that_was_said(written, instant):
    found = cells.instant(written, zone=ZoneInfo("Pacific/Auckland"), now=NOW)
    assert found == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "code"),
    [("", "time_missing"), ("soon", "time_unreadable"), ("2024-13-01", "time_unreadable"),
     ("03/04/2024", "time_ambiguous"), ("2008-01-01", "time_before_2009"),
     ("2999-01-01", "time_in_future"), ("0001-01-01T00:00:00+14:00", "time_out_of_range"),
     ("31.02.2024 10:00", "time_unreadable"), ("1.1.2024 ٣:00", "time_unreadable")],
)  # fmt: skip
def test_times_that_cannot_be_read_are_refused(written, code):
    with pytest.raises(RowRefused) as problem:
        cells.instant(written, zone=UTC, now=NOW)
    assert problem.value.code == code


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_are_they_are_read_or_refused_with_a_sentence(content):
    try:
        read = planned(content)
    except table.FileUnreadable as problem:
        assert problem.text.endswith(".")
    else:
        assert len(accounted(read)) == (0 if read.layout.missing else read.total)


CELL = st.one_of(
    st.sampled_from(["", "1", "-1", "0", "BTC", "EUR", "2024-01-01 00:00:00", "Buy", "Fee", "trade",
                     "deposit", "1,234", "1e-30", "1e29", "=1", "spot", "earn", "Convert"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8),
)  # fmt: skip


@pytest.mark.parametrize("name", [*SAMPLES, "binance_statement"])
@given(rows=st.lists(st.lists(CELL, min_size=1, max_size=12), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_the_cells_are_each_row_is_accounted_for_once(name, rows):
    headers = {"binance_statement": "UTC_Time,Account,Operation,Coin,Change,Remark"}
    sample = FILES / f"{name}.csv"
    header = headers.get(name) or next(
        line for line in sample.read_text().splitlines() if line.count(",") > 5
    )
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    read = planned(f"{header}\n{text.getvalue()}".encode(errors="replace"))
    assert Counter(accounted(read)) == Counter(row.line for row in read.layout.rows)


# --- sending, looking, booking ------------------------------------------------------------------
@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def api(client_of, alice):
    return client_of(alice)


@pytest.fixture
def account(api):
    return api.post("/manual-accounts", {"label": "files"}).json()["id"]


def sent(api: Any, account: str, content: bytes, **fields: str) -> dict[str, Any]:
    answer = api.send_file("/imports", content, connection=account, **fields)
    assert answer.status_code == 201, answer.content
    return answer.json()


def booked(api: Any, account: str, content: bytes, **fields: str) -> dict[str, Any]:
    """Send a file, have it booked and wait for the worker."""
    made = sent(api, account, content, **fields)
    assert api.post(f"/imports/{made['id']}/apply").status_code == 202
    imports.apply(import_id=made["id"], clock=clock.now)
    return api.get(f"/imports/{made['id']}").json()


def ledger_of(user: Any) -> Counter:
    with tenancy.as_user(user.id):
        rows = LedgerEntry.objects.filter(user=user)
        return Counter(rows.values_list("occurred_at", "kind", "asset__code", "wallet", "quantity"))


def counts(shown: dict[str, Any]) -> tuple[int, ...]:
    told = ("total", "booked", "known", "skipped", "refused")
    return tuple(shown[f"rows_{name}"] for name in told)


def test_the_real_statement_is_booked_as_it_was_shown_and_twice_is_once(
    api, alice, account, statement
):
    shown = sent(api, account, statement)
    assert counts(shown) == (230, 227, 0, 0, 3)
    assert ledger_of(alice) == Counter()
    assert [issue["lines"] for issue in shown["issues"]] == [[6], [42], [5]]
    done = booked(api, account, statement)
    assert (done["state"], counts(done)) == ("applied", (230, 227, 0, 0, 3))
    before = ledger_of(alice)
    again = booked(api, account, statement)
    assert (again["state"], counts(again)) == ("applied", (230, 0, 227, 0, 3))
    assert ledger_of(alice) == before


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_is_booked_and_the_same_file_changes_nothing(api, alice, account, name):
    content = (FILES / f"{name}.csv").read_bytes()
    first = booked(api, account, content)
    assert first["state"] == "applied"
    assert first["rows_booked"] > 0
    assert sum(counts(first)[1:]) == first["rows_total"]
    before = ledger_of(alice)
    second = booked(api, account, content)
    assert (second["rows_booked"], second["rows_known"]) == (0, first["rows_booked"])
    assert ledger_of(alice) == before


def test_two_identical_fills_of_one_file_both_stay(api, account):
    booked(api, account, (FILES / "own.csv").read_bytes())
    fills = [row for row in api.get("/trades").json()["results"] if row["kind"] == "fill"]
    assert [row["base_quantity"] for row in fills] == ["0.1", "0.1"]


def test_holdings_of_the_account_follow_what_was_booked(api, account):
    booked(api, account, (FILES / "own.csv").read_bytes())
    rows = api.get("/holdings").json()["results"]
    assert {(row["wallet"], row["code"]): row["quantity"] for row in rows} == {
        ("spot", "USD"): "1391.4", ("spot", "BTC"): "0.1398", ("earn", "BTC"): "0.0501",
        ("spot", "XMR"): "5",
    }  # fmt: skip


def test_the_first_entries_are_shown_before_anything_is_booked(api, account):
    shown = sent(api, account, (FILES / "koinly.csv").read_bytes())
    assert shown["sample"][1]["lines"] == [3]
    entry = shown["sample"][1]["entry"]
    assert (entry["type"], entry["symbol"], entry["fee_quantity"]) == ("trade", "BTC/USD", "2.5")
    assert api.get(f"/imports/{shown['id']}").json()["sample"] == shown["sample"]


def test_a_file_of_no_known_format_is_mapped_by_the_person(api, account):
    content = (FILES / "bank.csv").read_bytes()
    shown = sent(api, account, content, time_zone="Europe/Vienna")
    assert (shown["format"], shown["missing_columns"]) == ("own", ["time"])
    assert shown["columns"] == ["Buchungstag", "Betrag", "Währung", "Zweck"]
    early = api.post(f"/imports/{shown['id']}/apply")
    assert (early.status_code, early.json()["code"]) == (409, "import_unmapped")
    mapping = {"Buchungstag": "time", "Betrag": "quantity", "Währung": "asset", "Zweck": "note"}
    mapped = api.patch(f"/imports/{shown['id']}", {"mapping": mapping}).json()
    assert counts(mapped) == (3, 2, 0, 0, 1)
    assert mapped["issues"][0]["code"] == "amount_ambiguous"
    first, second = (row["entry"] for row in mapped["sample"])
    assert (first["occurred_at"], first["quantity"]) == ("2023-12-30T23:00:00Z", "1234.5")
    assert (second["direction"], second["quantity"]) == ("withdrawal", "0.5")


@pytest.mark.parametrize(
    "mapping",
    [{"Nothing": "time"}, {"Betrag": "nothing"}, {"Betrag": "time", "Zweck": "time"}, [], "x",
     {"Betrag": {"a": 1}}, {"Betrag": "x" * 200}],
)  # fmt: skip
def test_a_mapping_that_makes_no_sense_is_refused(api, account, mapping):
    shown = sent(api, account, (FILES / "bank.csv").read_bytes())
    answer = api.patch(f"/imports/{shown['id']}", {"mapping": mapping})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n,,\n", b"\x00\x01\x02\x03", b"%PDF-1.7 \n\xe2\xe3", b"PK\x03\x04\x14\x00\x08",
     "Währung;Betrag\n".encode("latin-1"), b"\xff\xfe\x00", b'a,b\n"open'],
    ids=["empty", "commas", "zeros", "pdf", "zip", "latin-1", "half of utf-16", "open quote"],
)  # fmt: skip
def test_what_is_no_file_of_rows_is_refused_with_a_sentence(api, account, content):
    answer = api.send_file("/imports", content, connection=account)
    if answer.status_code == 201:  # a lone header: shown, and nothing in it can be booked
        assert answer.json()["rows_booked"] == 0
        return
    assert (answer.status_code, answer.json()["code"]) == (400, "import_file_unreadable")
    assert answer.json()["message"].endswith(".")


def test_a_file_beyond_the_limit_is_refused(api, account, settings):
    settings.IMPORT_MAX_BYTES = 1000
    assert api.send_file("/imports", b"x" * 1001, connection=account).status_code == 413
    assert api.send_file("/imports", b"x" * 200_000, connection=account).status_code == 413


def test_the_form_names_an_account_a_format_and_a_zone_or_is_refused(api, account, client_of):
    content = (FILES / "own.csv").read_bytes()
    for fields in ({}, {"connection": "x"}, {"connection": account, "time_zone": "Mars/Olympus"},
                   {"connection": account, "format": "xls"}, {"connection": account, "more": "1"},
                   {"connection": account, "mapping": "{"}):  # fmt: skip
        assert api.send_file("/imports", content, **fields).status_code == 400, fields
    bob = client_of(factories.person("bob@example.com"))
    assert bob.send_file("/imports", content, connection=account).status_code == 404
    assert api.post("/imports", {"connection": account}).status_code == 400


def test_only_so_many_files_wait_at_once(api, account):
    made = [sent(api, account, factories.FILE) for _ in range(imports.MOST_WAITING)]
    full = api.send_file("/imports", factories.FILE, connection=account)
    assert (full.status_code, full.json()["code"]) == (409, "imports_full")
    assert api.delete(f"/imports/{made[0]['id']}").status_code == 204
    assert len(api.get("/imports").json()["results"]) == imports.MOST_WAITING - 1
    sent(api, account, factories.FILE)


# --- into an account at an exchange -------------------------------------------------------------
def test_what_the_exchange_has_told_itself_is_skipped(api, alice):
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        for feed in ("deposits", "fiat_deposits"):
            Coverage.objects.create(
                user=alice, connection=connected, feed=feed, since=NOW - timedelta(days=2000),
                until=datetime(2024, 3, 1, tzinfo=UTC),
            )  # fmt: skip
        Coverage.objects.create(
            user=alice, connection=connected, feed="trades", scope="ETHUSD",
            since=NOW - timedelta(days=2000), until=NOW,
        )  # fmt: skip
    shown = sent(api, str(connected.id), (FILES / "own.csv").read_bytes())
    (issue,) = shown["issues"]
    assert (issue["code"], issue["lines"]) == ("covered", [2])
    assert counts(shown) == (7, 6, 0, 1, 0)


# --- the work itself ----------------------------------------------------------------------------
def row_of(made: dict[str, Any]) -> FileImport:
    with tenancy.as_system("test"):
        return FileImport.objects.get(id=made["id"])


def test_the_file_is_sealed_while_it_waits_and_gone_once_it_is_booked(api, account):
    made = sent(api, account, factories.FILE)
    assert b"BTC" not in bytes(row_of(made).content)
    api.post(f"/imports/{made['id']}/apply")
    imports.apply(import_id=made["id"], clock=clock.now)
    assert row_of(made).content is None
    changed = api.patch(f"/imports/{made['id']}", {"time_zone": "Europe/Vienna"})
    assert changed.json()["code"] == "import_started"


def test_a_file_that_nobody_has_booked_is_forgotten_after_a_week(api, account):
    made = sent(api, account, factories.FILE)
    assert imports.forget_files(now=clock.now() + timedelta(days=6)) == 0
    assert imports.forget_files(now=clock.now() + timedelta(days=8)) == 1
    late = api.post(f"/imports/{made['id']}/apply")
    assert (late.status_code, late.json()["code"]) == (409, "import_forgotten")
    assert api.get(f"/imports/{made['id']}").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_worker_books_what_was_confirmed_and_asked_twice_it_is_booked_once(
    client_of, transactional_db
):
    alice = factories.person("alice@example.com")
    api = client_of(alice)
    account = api.post("/manual-accounts", {"label": "files"}).json()["id"]
    made = sent(api, account, factories.FILE)
    for _ in range(2):
        assert api.post(f"/imports/{made['id']}/apply").json()["state"] == "queued"
    assert broker.work_off(tasks.apply_import, "exports") == 1
    assert api.post(f"/imports/{made['id']}/apply").json()["state"] == "applied"
    assert sum(ledger_of(alice).values()) == 1


def test_what_a_dead_worker_left_is_taken_up_and_counted_once(api, alice, account):
    """The first one died between two batches; the second one books the rest."""
    content = (FILES / "own.csv").read_bytes()
    made = sent(api, account, content)
    api.post(f"/imports/{made['id']}/apply")
    dead = imports._claim(made["id"], clock.now())
    layout = plan.lay_out(content.decode(), format=dead.format, mapping=dead.mapping)
    found = plan.interpret(layout, zone=UTC, now=clock.now()).found
    imports._book(dead, layout, found[:3], clock.now())
    assert imports.apply(import_id=made["id"], clock=clock.now) is False  # still in other hands
    later = clock.now() + timedelta(minutes=5)
    assert imports.sweep(now=later) == 1
    assert imports.apply(import_id=made["id"], clock=lambda: later) is True
    with pytest.raises(leases.Lost):  # the one thought dead comes back
        imports._book(dead, layout, found[3:], clock.now())
    assert counts(api.get(f"/imports/{made['id']}").json()) == (7, 7, 0, 0, 0)
    assert len(api.get("/entries").json()["results"]) == 7


def test_a_file_that_cannot_be_opened_is_given_up_and_said(api, account):
    made = sent(api, account, factories.FILE)
    api.post(f"/imports/{made['id']}/apply")
    with tenancy.as_system("test"):
        FileImport.objects.filter(id=made["id"]).update(content=b"broken")
    for _ in range(imports.MOST_ATTEMPTS):
        assert imports.apply(import_id=made["id"], clock=clock.now) is False
    assert api.get(f"/imports/{made['id']}").json()["state"] == "failed"


# --- our own format, out and in -----------------------------------------------------------------
def exported(api: Any) -> str:
    return b"".join(api.get("/ledger/export").streaming_content).decode()


def test_what_is_exported_is_read_back_to_the_digit(api, client_of, alice, account):
    booked(api, account, (FILES / "own.csv").read_bytes())
    booked(api, account, (FILES / "koinly.csv").read_bytes())
    booked(api, account, (FILES / "kraken_ledgers.csv").read_bytes())
    content = exported(api).encode()
    bob = factories.person("bob@example.com")
    theirs = client_of(bob)
    other = theirs.post("/manual-accounts", {"label": "moved"}).json()["id"]
    done = booked(theirs, other, content)
    assert (done["rows_refused"], done["rows_skipped"]) == (0, 0)
    assert ledger_of(bob) == ledger_of(alice)


def test_ones_own_export_changes_nothing_in_any_account(api, alice, account):
    booked(api, account, (FILES / "own.csv").read_bytes())
    second = api.post("/manual-accounts", {"label": "second"}).json()["id"]
    before = ledger_of(alice)
    done = booked(api, second, exported(api).encode())
    assert counts(done) == (7, 0, 7, 0, 0)
    assert ledger_of(alice) == before


def test_no_cell_of_the_export_is_run_by_a_spreadsheet(api, alice, account):
    note = '=HYPERLINK("http://x")'
    api.post("/entries/adjustments", {
        "connection": account, "reason": "opening", "asset": "XMR", "quantity": "1",
        "occurred_at": "2026-01-05T12:00:00Z", "note": note,
    })  # fmt: skip
    api.patch(f"/connections/{account}", {"label": "x"})
    (row,) = csv.DictReader(io.StringIO(exported(api)))
    assert row["note"] == f"'{note}"
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())


def test_a_long_history_is_sent_page_by_page(api, alice, account, monkeypatch):
    head = "time,type,received_quantity,received_asset\n"
    rows = "".join(f"2024-01-01T00:00:0{n % 3}Z,deposit,{n + 1},BTC\n" for n in range(2005))
    booked(api, account, (head + rows).encode(), format="own")
    found = list(csv.DictReader(io.StringIO(exported(api))))
    assert len(found) == len({row["id"] for row in found}) == 2005
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)


def test_a_time_in_the_future_is_so_for_its_own_zone(client_of, alice):
    with time_machine.travel(datetime(2026, 3, 1, 0, 30, tzinfo=UTC), tick=False):
        api = client_of(alice)
        account = api.post("/manual-accounts", {"label": "files"}).json()["id"]
        file = b"time,type,received_quantity,received_asset\n2026-03-01 13:00:00,deposit,1,BTC\n"
        assert sent(api, account, file, format="own")["rows_refused"] == 1
        zone = {"time_zone": "Pacific/Auckland"}
        assert sent(api, account, file, format="own", **zone)["rows_booked"] == 1


# --- what fresh eyes found ----------------------------------------------------------------------
STATEMENT = "UTC_Time,Account,Operation,Coin,Change,Remark\n"


def fills_of_one_second(number: int) -> bytes:
    rows = (
        f"2024-01-01 00:00:00,Spot,Buy,BTC,0.{i + 10000},\n"
        f"2024-01-01 00:00:00,Spot,Transaction Related,USDT,-{(i + 10000) * 4},\n"
        "2024-01-01 00:00:00,Spot,Fee,BNB,-0.0001,\n"
        for i in range(number)
    )
    return (STATEMENT + "".join(rows)).encode()


def test_a_key_of_a_busy_second_is_short_whatever_happened_in_it():
    found = planned(fills_of_one_second(300)).found
    assert len(found) == 300
    assert max(len(item.key) for item in found) < 100


def test_a_second_with_more_lines_than_can_be_told_apart_is_refused_with_a_reason():
    read = planned(fills_of_one_second(1_001))
    assert {remark.code for remark in read.remarks} == {"trades_mixed"}
    assert len(accounted(read)) == read.total


def test_each_fee_of_a_second_goes_to_the_largest_fill_of_its_coin():
    rows = "".join(
        f"2024-01-01 00:00:00,Spot,{operation},{coin},{change},\n"
        for operation, coin, change in (
            ("Buy", "BTC", "2"), ("Buy", "BTC", "1"), ("Transaction Related", "USDT", "-200"),
            ("Transaction Related", "USDT", "-100"), ("Fee", "BTC", "-0.001"),
            ("Fee", "BTC", "-0.002"), ("Fee", "BTC", "-0.0005"),
        )
    )  # fmt: skip
    found = planned((STATEMENT + rows).encode()).found
    fees = {str(t.fact.base_quantity): str(t.fact.fee_quantity) for t in found}
    assert fees == {"2": "0.0025", "1": "0.001"}


KRAKEN = "txid,refid,time,type,subtype,aclass,asset,amount,fee,balance\n"


def test_what_comes_back_from_krakens_futures_is_in_the_spot_wallet_again():
    rows = (
        "L1,R1,2024-01-01 00:00:00,deposit,,currency,ZUSD,1000,0,1000\n"
        "L2,R2,2024-01-02 00:00:00,transfer,spottofutures,currency,ZUSD,-500,0,500\n"
        "L3,R3,2024-01-03 00:00:00,transfer,spotfromfutures,currency,ZUSD,700,0,1200\n"
    )
    found = planned((KRAKEN + rows).encode()).found
    booked = [leg for item in found for leg in legs.legs(item.fact)]
    assert sum(leg.quantity for leg in booked if leg.wallet == "spot") == 1200


def test_coins_swept_into_one_are_refused_as_what_they_are():
    rows = "".join(
        f"L{i},R1,2024-01-01 00:00:00,{kind},dustsweeping,currency,{code},{amount},0,0\n"
        for i, (kind, code, amount) in enumerate(
            (("spend", "XXRP", "-1"), ("spend", "DOT", "-2"), ("receive", "ZEUR", "3"))
        )
    )
    (remark,) = planned((KRAKEN + rows).encode()).remarks
    assert (remark.code, remark.lines) == ("trades_mixed", (2, 3, 4))


COINBASE = (
    "Timestamp,Transaction Type,Asset,Quantity Transacted,Price Currency,Subtotal,"
    "Total (inclusive of fees and/or spread),Fees and/or Spread,Notes\n"
)


def coinbase(*rows: str) -> plan.Plan:
    lines = "".join(f"2023-05-0{n} 10:00:00 UTC,{row}\n" for n, row in enumerate(rows, start=1))
    return planned((COINBASE + lines).encode())


def test_in_a_file_with_signs_what_came_back_goes_the_other_way():
    read = coinbase("Send,BTC,-1,EUR,,,,", "Receive,BTC,-0.5,EUR,,,,", "Withdrawal,EUR,100,EUR,,,,")
    assert units(read) == {"BTC": Decimal("-1.5"), "EUR": Decimal(100)}


def test_a_lone_minus_in_a_file_without_signs_is_refused():
    read = coinbase("Send,BTC,1,EUR,,,,", "Receive,BTC,-0.5,EUR,,,,")
    assert [(r.code, r.lines) for r in read.remarks] == [("sign_unexpected", (3,))]


@pytest.mark.parametrize(
    ("note", "units_came"),
    [("Converted 0.5 ETH to 1,005 USDC", "1005"), ("Converted 0.5 ETH to 1005.25 USDC", "1005.25"),
     ("Converted 0,5 ETH to 1,005 USDC", "1.005"), ("Converted 0,5 ETH to 1.005,5 USDC", "1005.5")],
)  # fmt: skip
def test_an_amount_of_a_note_is_read_by_what_stands_beside_it(note, units_came):
    read = coinbase(f'Convert,ETH,-0.5,EUR,,,,"{note}"')
    assert units(read) == {"ETH": Decimal("-0.5"), "USDC": Decimal(units_came)}


@pytest.mark.parametrize("note", ["Converted 0.5 ETH to 1,2,3 USDC", "Converted , ETH to 1 USDC"])
def test_an_amount_of_a_note_that_is_none_is_refused(note):
    (remark,) = coinbase(f'Convert,ETH,-0.5,EUR,,,,"{note}"').remarks
    assert remark.code == "amount_unreadable"


def test_eth2_was_given_for_as_much_eth():
    read = coinbase(
        "Retail Eth2 Deprecation,ETH2,-2,EUR,,,,", "Retail Eth2 Deprecation,ETH,2,EUR,,,,",
        "Retail Eth2 Deprecation,ETH,1,EUR,,,,",
    )  # fmt: skip
    assert units(read) == {"ETH2": Decimal(-2), "ETH": Decimal(2)}
    assert [(r.code, r.lines) for r in read.remarks] == [("counterpart_missing", (4,))]


def test_an_advanced_trade_is_paid_in_the_coin_that_its_note_names():
    dollars = coinbase(
        "Advanced Trade Buy,SOL,2,USD,40,40.2,0.2,Bought 2 SOL for 40.2 USDC on SOL-USDC"
    )
    assert units(dollars) == {"SOL": Decimal(2), "USDC": Decimal("-40.2")}
    euros = coinbase(
        "Advanced Trade Sell,SOL,-2,EUR,37,36.8,0.2,Sold 2 SOL for 39.8 USDC on SOL-USDC"
    )
    assert units(euros) == {"SOL": Decimal(-2), "USDC": Decimal("39.8")}


def test_a_fee_in_a_third_coin_is_booked_whatever_it_was_for():
    head = "Type,Buy,Cur.,Sell,Cur.,Fee,Cur.,Exchange,Group,Comment,Date\n"
    rows = (
        "Staking,1,ETH,,,0.1,BNB,,,,01.03.2021 09:00:00\n"
        "Lost,,,1,BTC,0.2,BNB,,,,02.03.2021 09:00:00\n"
        "Gift,,,1,XRP,0.1,XRP,,,,03.03.2021 09:00:00\n"
    )
    assert units(planned((head + rows).encode())) == {
        "ETH": Decimal(1), "BTC": Decimal(-1), "XRP": Decimal(-1), "BNB": Decimal("-0.3"),
    }  # fmt: skip


def test_a_point_may_be_thousands_where_other_decimals_follow_a_comma():
    head = "time;quantity;asset\n"
    doubtful = head + "2024-01-01;1.500;EUR\n2024-01-02;1.500,25;EUR\n"
    read = planned(doubtful.encode(), format="own")
    assert [(r.code, r.lines) for r in read.remarks] == [("amount_ambiguous", (2,))]
    plain = head + "2024-01-01;1.500;EUR\n2024-01-02;1500.25;EUR\n"
    assert units(planned(plain.encode(), format="own")) == {"EUR": Decimal("1501.75")}


BARE = b"time,quantity,asset\n2024-01-01 10:00:00,1,BTC\n2024-01-02 10:00:00,2,BTC\n"


def test_a_booked_file_read_in_another_way_is_not_booked_again(api, alice, account):
    booked(api, account, BARE, format="own")
    other = sent(api, account, BARE, format="own", time_zone="Europe/Vienna")
    answer = api.post(f"/imports/{other['id']}/apply")
    assert (answer.status_code, answer.json()["code"]) == (409, "import_already_booked")
    same = booked(api, account, BARE, format="own")
    assert (same["state"], same["rows_known"]) == ("applied", 2)
    assert sum(ledger_of(alice).values()) == 2


def test_a_report_with_ids_and_one_without_are_the_same_entries(api, alice, account):
    content = (FILES / "coinbase.csv").read_bytes()
    lines = content.decode().splitlines(keepends=True)
    without = "".join(line.split(",", 1)[1] if line[:2] in ("ID", "64") else line for line in lines)
    first = booked(api, account, content)
    before = ledger_of(alice)
    second = booked(api, account, without.encode())
    assert (second["rows_booked"], second["rows_known"]) == (0, first["rows_booked"])
    assert ledger_of(alice) == before


def test_a_file_waits_until_its_account_has_been_read_once(api, alice):
    connected = factories.connection(alice)
    made = sent(api, str(connected.id), factories.FILE, format="own")
    answer = api.post(f"/imports/{made['id']}/apply")
    assert (answer.status_code, answer.json()["code"]) == (409, "account_not_read_yet")


def test_what_was_read_between_confirming_and_booking_is_left_to_the_exchange(api, alice):
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(last_synced_at=NOW)
    made = sent(api, str(connected.id), factories.FILE, format="own")
    api.post(f"/imports/{made['id']}/apply")
    row = imports._claim(made["id"], clock.now())
    layout = plan.lay_out(factories.FILE.decode(), format="own")
    found = plan.interpret(layout, zone=UTC, now=clock.now()).found
    with tenancy.as_user(alice.id):
        Coverage.objects.create(
            user=alice, connection=connected, feed="ledger", since=NOW - timedelta(days=2000),
            until=NOW,
        )  # fmt: skip
    imports._book(row, layout, found, clock.now())
    assert ledger_of(alice) == Counter()


def test_what_a_file_told_gives_way_when_the_exchange_tells_that_time_itself(api, alice):
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(last_synced_at=NOW)
    booked(api, str(connected.id), BARE, format="own")
    assert sum(ledger_of(alice).values()) == 2
    claim = recording.Claim(
        connection_id=connected.id, user_id=alice.id, exchange="binance", token=ids.new_id(),
        sync_every=timedelta(hours=1),
    )  # fmt: skip
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.update(claimed_by=claim.token)
    covered = [
        Covered(feed, "", datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
        for feed in ("deposits", "fiat_deposits")
    ]
    report = AccountReport(
        connection_id=connected.id, read_at=NOW, wallets=frozenset(), balances=(), facts=(),
        covered=tuple(covered), failures=(), quarantined=(), complete_history=False,
    )  # fmt: skip
    recording.record(claim=claim, report=report, now=clock.now())
    assert [row[0].day for row in ledger_of(alice)] == [2]  # the second day was not read
