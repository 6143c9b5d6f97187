"""Complete since when, and except for what: feed by feed, and in every report of gains."""

import io
from datetime import UTC, datetime, timedelta

import openpyxl
import pytest

from exchanges import coverage, feeds
from exchanges.coverage import Read
from exchanges.feeds import Declared
from exchanges.models import Coverage, Exchange
from portfolios.sync import completeness
from tests import factories
from tracker import clock, tenancy

LAUNCH = datetime(2017, 7, 14, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
QUARTER = timedelta(days=90)
TRADES = Declared("trades", LAUNCH)
BILLS = Declared("bills", LAUNCH, QUARTER)
ALL_KINDS = [Declared(kind, LAUNCH) for kind in feeds.KINDS]


def told(declared, found, failed=None):
    return coverage.told(declared=declared, found=found, failed=failed or {}, read_at=NOW)


def reasons(answer):
    return [(item["feed"] or item["kind"], item["reason"]) for item in answer["exceptions"]]


def whole(since=LAUNCH, until=NOW, scopes=1, closed=()):
    return Read(since, until, scopes, closed)


def test_what_was_read_from_its_beginning_has_no_exception():
    answer = told(ALL_KINDS, {feed.name: whole() for feed in ALL_KINDS})
    assert (answer["complete_since"], answer["exceptions"]) == (LAUNCH, [])
    assert answer["not_covered"] == []


def test_a_feed_that_answers_a_quarter_back_makes_all_complete_since_then():
    begins = NOW - QUARTER
    answer = told([TRADES, BILLS], {"trades": whole(), "bills": whole(since=begins)})
    assert answer["complete_since"] == begins
    assert ("bills", "horizon") in reasons(answer)
    assert answer["feeds"][1]["horizon_days"] == 90


@pytest.mark.parametrize(
    ("found", "failed", "expected"),
    [
        (None, {}, ("trades", "not_read")),
        (whole(until=NOW - timedelta(days=9)), {}, ("trades", "behind")),
        (whole(), {"trades": "exchange_timeout"}, ("trades", "failed")),
        (whole(closed=("ABCUSDT",)), {}, ("trades", "closed")),
    ],
    ids=["never read", "read long ago", "failed lately", "market closed"],
)
def test_each_doubt_is_named(found, failed, expected):
    answer = told([TRADES], {"trades": found} if found else {}, failed)
    assert expected in reasons(answer)


def test_kinds_that_an_exchange_has_no_feed_for_are_named():
    answer = told([TRADES], {"trades": whole()})
    assert answer["not_covered"] == ["deposits", "withdrawals", "conversions", "dust", "rewards"]
    assert ("dust", "not_offered") in reasons(answer)
    assert told([BILLS], {"bills": whole()})["not_covered"] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("trades", "trades"), ("conversions", "conversions"), ("fiat_deposits", "deposits"),
        ("earn_rewards", "rewards"), ("ledgers", "ledger"), ("dust", "dust"),
        ("transfers_to_funding", "other"),
    ],
)  # fmt: skip
def test_a_feeds_name_tells_what_it_is_of(name, kind):
    assert feeds.kind_of(name) == kind


# --- over the API -------------------------------------------------------------------------------
def test_a_synced_account_says_feed_by_feed_what_was_read(alice, connect, visit, client_of):
    connection = connect(alice, 3)
    visit(connection)
    answer = client_of(alice).get(f"/connections/{connection.id}/coverage").json()
    assert answer["plan"] is None
    assert answer["not_covered"] == []
    assert answer["exceptions"] == []
    states = {feed["name"]: feed["state"] for feed in answer["feeds"]}
    assert states["withdrawals"] == states["trades"] == "complete"
    trades = next(feed for feed in answer["feeds"] if feed["name"] == "trades")
    assert trades["scopes"] > 5


def test_a_first_import_that_goes_on_has_its_price(alice, connect, settings, client_of):
    settings.EXCHANGE_BUDGETS = {"binance": {"ip": 0, "sapi": 0, "uid": 40_000}}
    connection = connect(alice, 3)
    from portfolios.sync import visiting

    visiting.visit_batch(exchange="binance", connection_ids=[connection.id], now=clock.now())
    answer = client_of(alice).get(f"/connections/{connection.id}/coverage").json()
    assert answer["plan"]["state"] == "queued"
    assert answer["plan"]["calls_done"] > 100
    assert ("withdrawals", "behind") in reasons(answer) or ("withdrawals", "not_read") in reasons(
        answer
    )


def test_nobody_sees_the_coverage_of_another(alice, charlie, connect, client_of):
    """S14"""
    connection = connect(alice, 3)
    answer = client_of(charlie).get(f"/connections/{connection.id}/coverage")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_account_kept_by_hand_has_no_exchange_that_could_tell(alice, client_of):
    api = client_of(alice)
    account = api.post("/manual-accounts", {"label": "Paper"}).json()
    answer = api.get(f"/connections/{account['id']}/coverage")
    assert (answer.status_code, answer.json()["code"]) == (409, "account_kept_by_hand")


def test_gains_and_their_reports_say_since_when_they_are_complete(alice, connect, visit, client_of):
    connection = connect(alice, 3)
    visit(connection)
    with tenancy.as_user(alice.id):
        Coverage.objects.filter(feed="withdrawals").delete()
    api = client_of(alice)
    found = api.get("/gains").json()["coverage"]
    assert found["complete_since"]
    (lacking,) = found["exceptions"]
    assert (lacking["feed"], lacking["reason"]) == ("withdrawals", "not_read")
    file = b"".join(api.get("/gains/report?format=xlsx&form=generic"))
    sheet = openpyxl.load_workbook(io.BytesIO(file)).active
    report = " ".join(str(cell.value) for row in sheet.iter_rows(max_row=8) for cell in row)
    assert "complete since 20" in report
    assert "“withdrawals” has not been read yet." in report


def test_exchanges_without_a_dialect_declare_their_feeds_in_the_catalogue(db):
    with tenancy.as_system("test"):
        Exchange.objects.create(
            id="smallex", name="Small", ccxt_version="test",
            feeds=[{"name": "trades", "launched": LAUNCH.isoformat(), "horizon_days": 30}],
        )  # fmt: skip
    assert feeds.declared("smallex") == (Declared("trades", LAUNCH, timedelta(days=30)),)


def test_without_any_account_the_sentence_says_so(alice):
    with tenancy.as_user(alice.id):
        told = completeness.of_person(user_id=alice.id)
    assert told["complete_since"] is None
    assert completeness.sentence(told) == "No account has been read from an exchange."


def test_an_account_of_the_factory_was_never_read(alice):
    factories.connection(alice)
    with tenancy.as_user(alice.id):
        told = completeness.of_person(user_id=alice.id)
    assert {item["reason"] for item in told["exceptions"]} == {"not_read"}
