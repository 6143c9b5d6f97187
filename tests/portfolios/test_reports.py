"""Reports of gains: which rows, how they are rounded, and files that open and do no harm."""

import csv
import io
import re
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from portfolios.reports import csv_file, pdf_file, tables, xlsx_file
from portfolios.reports.tables import Column, Kind, Line, Table
from tests import factories
from tests.portfolios.journal import Journal
from tracker import bulk, ids, tenancy

BOUGHT = datetime(2022, 1, 10, 12, tzinfo=UTC)
LATE_BOUGHT = datetime(2024, 2, 10, 12, tzinfo=UTC)
SOLD = datetime(2024, 6, 10, 12, tzinfo=UTC)


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
def year(journal):
    """A long-term and a short-term gain, one without a known cost, income and a withdrawal."""
    journal.buy("BTC", 1, "100.005", BOUGHT)
    journal.buy("ETH", 2, 300, LATE_BOUGHT)
    journal.sell("BTC", 1, "250.125", SOLD)
    journal.sell("ETH", 1, 100, SOLD + timedelta(days=1))
    journal.sell("DOGE", 1000, 70, SOLD + timedelta(days=2))
    journal.earn("ETH", 1, SOLD + timedelta(days=3))
    journal.withdraw("ETH", "0.5", SOLD + timedelta(days=4))
    journal.derive()
    return journal


def download(api, query: str) -> bytes:
    answer = api.get(f"/gains/report?{query}")
    content = b"".join(answer)
    assert answer.status_code == 200, content
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store, private"
    return content


def lines_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def sheet_of(content: bytes) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]


def refused(api, query: str, status: int, code: str) -> Any:
    answer = api.get(f"/gains/report?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    return answer.json()["details"]


# --- Form 8949 ----------------------------------------------------------------------------------
def test_the_form_has_its_columns_parts_and_totals(api, year):
    heading, *lines = lines_of(download(api, "format=csv&year=2024"))
    assert [title[:3] for title in heading] == [
        "Par", "(a)", "(b)", "(c)", "(d)", "(e)", "(f)", "(g)", "(h)",
    ]  # fmt: skip
    assert lines[:4] == [
        ["I", "1 ETH", "02/10/2024", "06/11/2024", "100.00", "150.00", "", "", "-50.00"],
        ["I", "Total", "", "", "100.00", "150.00", "", "", "-50.00"],
        ["II", "1 BTC", "01/10/2022", "06/10/2024", "250.12", "100.00", "", "", "150.12"],
        ["II", "Total", "", "", "250.12", "100.00", "", "", "150.12"],
    ]


def test_proceeds_less_cost_is_the_gain_on_every_line_and_total(api, journal):
    """Half cents: 10.005 and 5.015 are 10.00 and 5.02; their exact difference would be 4.99."""
    journal.buy("BTC", 1, "5.015", datetime(2024, 1, 10, 12, tzinfo=UTC))
    journal.sell("BTC", 1, "10.005", datetime(2024, 6, 10, 12, tzinfo=UTC))
    journal.derive()
    _, line, total, *_ = lines_of(download(api, "format=csv&year=2024"))
    assert line[4:] == total[4:] == ["10.00", "5.02", "", "", "4.98"]


def test_an_unknown_cost_is_marked_and_never_zero(api, year):
    lines = lines_of(download(api, "format=csv&year=2024"))
    assert ["unknown", "1000 DOGE", "unknown", "06/12/2024", "70.00", "unknown", "", "",
            "unknown"] in lines  # fmt: skip


def test_what_is_no_sale_is_not_on_the_form_and_that_is_said(api, year):
    lines = lines_of(download(api, "format=csv&year=2024"))
    assert lines[-1] == ["Not on this form: 1 × withdrawal."]
    assert not any("0.5 ETH" in cell for line in lines for cell in line)


def test_dates_are_the_persons_own(api, alice, journal):
    journal.buy("BTC", 1, 100, datetime(2023, 12, 31, 11, tzinfo=UTC))
    journal.sell("BTC", 1, 200, datetime(2024, 12, 31, 11, tzinfo=UTC))
    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(time_zone="Pacific/Auckland")
    journal.derive()
    lines = lines_of(download(api, "format=csv&year=2025"))
    assert [line[2:4] for line in lines if line[1] == "1 BTC"] == [["01/01/2024", "01/01/2025"]]


def test_the_form_is_for_one_year(api, year):
    details = refused(api, "format=csv", 400, "invalid_input")
    assert details["fields"][0]["field"] == "year"


@pytest.mark.parametrize(("query", "field"), [
    ("year=2024", "format"), ("format=doc&year=2024", "format"),
    ("format=csv&form=1040&year=2024", "form"), ("format=csv&year=2024&kind=sale", "kind"),
    ("format=csv&year=x", "year"), ("format=csv&method=best&year=2024", "method"),
])  # fmt: skip
def test_wrong_parameters_are_refused_as_json(api, query, field):
    details = refused(api, query, 400, "invalid_input")
    assert field in [row["field"] for row in details["fields"]]


def test_totals_are_those_of_the_app(api, year):
    totals = api.get("/gains?year=2024").json()["totals"]
    lines = lines_of(download(api, "format=csv&year=2024"))
    sums = [D(line[-1]) for line in lines if line[1:2] == ["Total"]]
    assert abs(sum(sums) - D(totals["gain"])) < D("0.01")


def test_a_report_can_be_counted_by_another_method(api, journal):
    journal.buy("BTC", 1, 100, BOUGHT)
    journal.buy("BTC", 1, 200, LATE_BOUGHT)
    journal.sell("BTC", 1, 250, SOLD)
    journal.derive()
    for method, gain in (("fifo", "150.00"), ("lifo", "50.00")):
        lines = lines_of(download(api, f"format=csv&year=2024&method={method}"))
        assert gain in {line[-1] for line in lines if line[1] == "1 BTC"}, method


# --- the generic one ----------------------------------------------------------------------------
def test_the_generic_report_holds_every_piece_and_every_income(api, year):
    heading, *lines = lines_of(download(api, "format=csv&form=generic"))
    rows = [dict(zip(heading, line, strict=True)) for line in lines]
    assert [row["Kind"] for row in rows] == [
        "sale", "sale", "sale", "withdrawal", "income: interest",
    ]  # fmt: skip
    sale, _, unknown, withdrawal, income = rows
    assert (sale["Gain (USD)"], sale["Days held"], sale["Term"]) == ("150.12", "882", "long")
    assert sale["Disposed or received"] == "2024-06-10T12:00:00+00:00"
    assert (unknown["Cost (USD)"], unknown["Gain (USD)"]) == ("unknown", "unknown")
    assert (withdrawal["Gain (USD)"], withdrawal["Cost (USD)"]) == ("", "75.00")
    assert income["Proceeds or income (USD)"] == "unknown"  # nobody knows a price
    pieces = {row["id"] for row in api.get("/gains").json()["results"]}
    assert {row["Id"] for row in rows[:4]} == pieces


# --- spreadsheets and paper ---------------------------------------------------------------------
def test_a_spreadsheet_opens_with_numbers_in_it(api, year):
    rows = sheet_of(download(api, "format=xlsx&year=2024"))
    assert rows[0][0] == "Form 8949, 2024"
    bitcoin = next(row for row in rows if row[1] == "1 BTC")
    assert bitcoin[4:] == [250.12, 100, None, None, 150.12]
    assert any("Incomplete: 1 pieces sold whose cost is unknown" in str(row[0]) for row in rows)
    dogecoin = next(row for row in rows if row[1] == "1000 DOGE")
    assert dogecoin[5] == dogecoin[8] == "unknown"


@pytest.mark.parametrize("form", ["8949", "generic"])
def test_paper_has_numbered_pages_and_a_title(api, year, form):
    content = download(api, f"format=pdf&year=2024&form={form}")
    assert content.startswith(b"%PDF-")
    assert re.search(rb"/Count 1\b", content)
    name = {"8949": "Form 8949, 2024", "generic": "Gains and income, 2024"}[form]
    assert (
        name.encode("utf-16-be").hex().upper() in content.hex().upper() or name.encode() in content
    )


def test_a_report_with_too_many_lines_for_its_format_is_refused(api, alice, year):
    entry = year.entries("BTC")[-1]
    pieces = [factories.disposal(entry, ids.new_id(), position=n) for n in range(9, 2_010)]
    with tenancy.as_user(alice.id):
        bulk.insert_new(pieces)
    details = refused(api, "format=pdf&year=2024", 409, "report_too_long")
    assert details["most"] == pdf_file.MOST_LINES < details["lines"]
    assert len(lines_of(download(api, "format=csv&year=2024"))) > len(pieces)


def test_a_year_of_nothing_is_a_report_of_nothing(api):
    lines = lines_of(download(api, "format=csv&year=2023"))
    assert [line[1] for line in lines[1:]] == ["Total", "Total"]
    assert {line[-1] for line in lines[1:]} == {"0.00"}
    for kind in ("xlsx", "pdf"):
        assert download(api, f"format={kind}&year=2023&form=generic")


def test_reports_hold_nothing_of_anybody_else(client_of, bob, year):
    """S14"""
    content = download(client_of(bob), "format=csv&form=generic")
    assert len(lines_of(content)) == 1


# --- files, without a database ------------------------------------------------------------------
def table(*cells: Any) -> Table:
    columns = [Column("Text", 40), Column("Amount", 40, is_money=True)]
    lines = iter([Line(Kind.SECTION, ["Part"]), Line(Kind.ROW, cells), Line(Kind.NOTE, ["End"])])
    return Table("Gains", ["by somebody"], columns, lines, decimals=2)


def written(module: Any, *cells: Any) -> bytes:
    out = io.BytesIO()
    module.write(table(*cells), out)
    return out.getvalue()


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1+1", '=HYPERLINK("x")']
)
def test_no_text_is_taken_for_a_formula(text):
    """A coin or an account may be called anything."""
    (_, (first, _), _) = lines_of(written(csv_file, text, D("-1.50")))
    assert first == f"'{text}"
    book = openpyxl.load_workbook(io.BytesIO(written(xlsx_file, text, D("-1.50"))))
    cells = [cell for row in book.worksheets[0].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    assert f"'{text}" in {cell.value for cell in cells}


def test_amounts_below_zero_stay_numbers():
    assert lines_of(written(csv_file, "loss", D("-1.50")))[1] == ["loss", "-1.50"]
    assert ["loss", -1.5] in sheet_of(written(xlsx_file, "loss", D("-1.50")))


@given(st.text(max_size=40))
def test_any_text_goes_through_csv_and_back(text):
    (_, cells, _) = lines_of(written(csv_file, text, D(1)))
    kept = "".join(char for char in text if char.isprintable() or char in "\t\n")
    assert cells[0].removeprefix("'") == kept.removeprefix("'")


@pytest.mark.parametrize(
    "text", ["币安人生", "Ελλάδα Жуков", "🦄", "a\x00b\x1f", "W" * 300, "\ufffe"]
)
def test_every_text_can_be_printed_and_put_into_a_sheet(text):
    assert written(pdf_file, text, D(1)).startswith(b"%PDF-")
    assert sheet_of(written(xlsx_file, text, D(1)))


def test_signs_that_the_font_lacks_are_told_by_number():
    assert pdf_file.legible("币 Ж €") == "[U+5E01] Ж €"


def test_paper_uses_as_many_pages_as_it_needs():
    lines = iter([Line(Kind.ROW, [f"{number}", D(number)]) for number in range(100)])
    out = io.BytesIO()
    pdf_file.write(Table("Long", [], [Column("A", 40), Column("B", 40)], lines, 2), out)
    assert re.search(rb"/Count 3\b", out.getvalue())
    streams = re.findall(rb"stream\n(.*?)\nendstream", out.getvalue(), re.DOTALL)
    assert any(b"BT" in zlib.decompress(part) for part in streams if part[:1] == b"x")


@pytest.mark.parametrize(("currency", "amount", "shown"), [
    ("USD", "0.125", "0.12"), ("USD", "0.135", "0.14"), ("USD", "-0.004", "0.00"),
    ("JPY", "0.5", "0"), ("JPY", "1.5", "2"), ("BTC", "0.000000015", "0.00000002"),
])  # fmt: skip
def test_amounts_are_rounded_half_to_even_to_the_smallest_unit(currency, amount, shown):
    assert f"{tables.rounded(D(amount), tables.decimals_of(currency)):f}" == shown
