"""The inbox of problems, differences over the API, and their remedies."""

from datetime import timedelta
from decimal import Decimal

import pytest

from exchanges.models import Coverage, ExchangeConnection, QuarantinedPage
from portfolios import derivation
from portfolios.by_hand import entries
from portfolios.ledger import accounts_by_hand
from portfolios.models import (
    Adjustment,
    LedgerEntry,
    ProblemDismissal,
    SyncRun,
    Transfer,
)
from portfolios.reconciling import discrepancies
from tests import factories
from tracker import clock, tenancy


def lose(connection, model, **which):
    """Have a fact of an account never come; returns what it was."""
    with tenancy.as_user(connection.user_id):
        row = model.objects.filter(connection=connection, **which).order_by("occurred_at").last()
        column = model.__name__.lower()
        LedgerEntry.objects.filter(**{f"{column}_id": row.id}).delete()
        model.objects.filter(id=row.id).delete()
        discrepancies.refresh(user_id=connection.user_id, now=clock.now())
    return row


@pytest.fixture
def short_of_a_deposit(alice, connect, visit):
    connection = connect(alice, 3)
    visit(connection)
    return connection, lose(connection, Transfer, direction="deposit", feed="deposits")


def only_difference(api):
    (row,) = api.get("/reconciliation").json()["results"]
    return row


def test_an_account_that_agrees_says_so(alice, connect, visit, client_of):
    visit(connect(alice, 3))
    with tenancy.as_user(alice.id):
        discrepancies.refresh(user_id=alice.id, now=clock.now())
    body = client_of(alice).get("/reconciliation").json()
    assert body["results"] == []
    (checked,) = body["checked"]
    assert checked["places"] > 5
    assert checked["differing"] == 0


def test_a_difference_says_how_much_since_when_and_why(short_of_a_deposit, alice, client_of):
    connection, lost = short_of_a_deposit
    row = only_difference(client_of(alice))
    assert row["connection"] == str(connection.id)
    assert Decimal(row["difference"]) == lost.quantity
    assert Decimal(row["reported"]) - Decimal(row["ledger"]) == lost.quantity
    assert row["agreed_at"] is None
    cause = row["causes"][0]
    assert cause["code"] == "missing_deposit"
    assert cause["feeds"] == ["deposits"]
    assert cause["remedies"][0] == "fetch_window"
    assert sum(Decimal(each["likelihood"]) for each in row["causes"]) <= Decimal("1.001")


def test_fetching_the_window_brings_the_fact_back(short_of_a_deposit, alice, client_of, visit):
    connection, lost = short_of_a_deposit
    api = client_of(alice)
    row = only_difference(api)
    answer = api.post(f"/reconciliation/{row['id']}/repair", {"action": "fetch_window"})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["feeds"] == ["deposits"]
    with tenancy.as_user(alice.id):
        assert not Coverage.objects.filter(connection=connection, feed="deposits").exists()
        assert Coverage.objects.filter(connection=connection, feed="withdrawals").exists()
        run = SyncRun.objects.get(id=answer.json()["sync_run"])
        assert (run.trigger, run.state) == ("repair", "queued")
    assert visit(connection, now=clock.now()) == {"complete": 1}
    with tenancy.as_user(alice.id):
        assert Transfer.objects.filter(connection=connection, exchange_id=lost.exchange_id).exists()
        discrepancies.refresh(user_id=alice.id, now=clock.now())
    assert api.get("/reconciliation").json()["results"] == []


def test_only_the_window_is_read_again_when_an_earlier_report_agreed(
    alice, connect, visit, sandbox, client_of
):
    """A deposit arrives between two visits, and its feed never tells."""
    connection = connect(alice, 41)
    visit(connection)
    first = clock.now()
    made = sandbox.add_fact(41, feed="deposits", asset="BTC", quantity="0.5")
    sandbox.hide_fact(41, "deposits", made["fact"]["id"])
    later = first + timedelta(days=3)
    visit(connection, now=later)
    with tenancy.as_user(alice.id):
        discrepancies.refresh(user_id=alice.id, now=later)
        before = Coverage.objects.get(connection=connection, feed="deposits")
    row = only_difference(client_of(alice))
    assert Decimal(row["difference"]) == Decimal("0.5")
    assert row["agreed_at"] is not None
    assert row["agreed_at"] < row["appeared_at"]
    assert row["causes"][0]["code"] == "missing_deposit"
    wish = {"action": "fetch_window", "feeds": ["deposits"]}
    answer = client_of(alice).post(f"/reconciliation/{row['id']}/repair", wish)
    assert answer.status_code == 200, answer.json()
    with tenancy.as_user(alice.id):
        after = Coverage.objects.get(connection=connection, feed="deposits")
    assert after.since == before.since
    assert after.until < first < before.until


def test_a_sale_before_any_purchase_in_an_account_by_hand(alice, client_of):
    """The books owe what nobody lent: a purchase is missing."""
    account = accounts_by_hand.open_account(user_id=alice.id, label="paper", now=clock.now())
    with tenancy.as_user(alice.id):
        entries.add_trade(
            user_id=alice.id,
            place=entries.Place(account.id, "spot", factories.EARLIER),
            side="sell", base="BTC", base_quantity=Decimal(2), quote="USD",
            quote_quantity=Decimal(100_000), now=clock.now(),
        )  # fmt: skip
        discrepancies.refresh(user_id=alice.id, now=clock.now())
    api = client_of(alice)
    row = only_difference(api)
    assert (row["code"], row["wallet"], Decimal(row["difference"])) == ("BTC", "spot", 2)
    assert row["causes"][0]["code"] == "missing_purchase"
    assert row["causes"][0]["remedies"] == ["book_adjustment"]
    refused = api.post(f"/reconciliation/{row['id']}/repair", {"action": "fetch_window"})
    assert (refused.status_code, refused.json()["code"]) == (409, "remedy_not_possible")
    usd = factories.asset("USD")
    wish = {
        "action": "book_adjustment", "reason": "opening", "cost_asset": str(usd.id),
        "cost_quantity": "60000",
    }  # fmt: skip
    answer = api.post(f"/reconciliation/{row['id']}/repair", wish)
    assert answer.status_code == 200, answer.json()
    with tenancy.as_user(alice.id):
        booked = Adjustment.objects.get(id=answer.json()["adjustment"])
    assert booked.occurred_at < factories.EARLIER
    assert (booked.quantity, booked.cost_quantity) == (2, 60_000)
    assert api.get("/reconciliation").json()["results"] == []


def test_an_adjustment_makes_up_for_the_difference_and_stays_visible(
    short_of_a_deposit, alice, client_of
):
    _connection, lost = short_of_a_deposit
    api = client_of(alice)
    row = only_difference(api)
    wish = {"action": "book_adjustment", "reason": "opening", "note": "from my old wallet"}
    answer = api.post(f"/reconciliation/{row['id']}/repair", wish)
    assert answer.status_code == 200, answer.json()
    with tenancy.as_user(alice.id):
        booked = Adjustment.objects.get(id=answer.json()["adjustment"])
    assert (booked.quantity, booked.reason, booked.note) == (
        lost.quantity, "opening", "from my old wallet",
    )  # fmt: skip
    assert api.get("/reconciliation").json()["results"] == []
    entries = api.get("/ledger?kind=adjustment").json()["results"]
    assert [Decimal(entry["quantity"]) for entry in entries] == [lost.quantity]
    again = api.post(f"/reconciliation/{row['id']}/repair", wish)
    assert again.status_code == 404


def enter_again(connection, known):
    """A fact that the exchange told, entered by hand as well."""
    return entries.add_adjustment(
        user_id=connection.user_id,
        place=entries.Place(connection.id, known.wallet, known.occurred_at),
        reason="correction", asset=str(known.asset_id), quantity=known.quantity, now=clock.now(),
    )  # fmt: skip


@pytest.fixture
def one_deposit_twice(alice, connect, visit):
    connection = connect(alice, 3)
    visit(connection)
    with tenancy.as_user(alice.id):
        known = Transfer.objects.filter(connection=connection, feed="deposits").latest(
            "occurred_at"
        )
    entry = enter_again(connection, known)
    with tenancy.as_user(alice.id):
        discrepancies.refresh(user_id=alice.id, now=clock.now())
    return connection, known, entry


def test_what_was_entered_twice_is_named_and_deleted_in_one_call(
    one_deposit_twice, alice, client_of
):
    _, known, entry = one_deposit_twice
    api = client_of(alice)
    row = only_difference(api)
    assert Decimal(row["difference"]) == -known.quantity
    cause = row["causes"][0]
    assert (cause["code"], cause["entries"], cause["remedies"]) == (
        "entered_or_imported", [str(entry["id"])], ["delete_entries"],
    )  # fmt: skip
    assert "the exchange told as much" in cause["evidence"][0]
    answer = api.post(f"/reconciliation/{row['id']}/repair", {"action": "delete_entries"})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["entries"] == [str(entry["id"])]
    assert api.get("/reconciliation").json()["results"] == []
    assert api.get("/entries").json()["results"] == []


def test_only_entries_that_are_too_much_are_deleted(short_of_a_deposit, alice, client_of):
    api = client_of(alice)
    row = only_difference(api)
    answer = api.post(f"/reconciliation/{row['id']}/repair", {"action": "delete_entries"})
    assert (answer.status_code, answer.json()["code"]) == (409, "remedy_not_possible")


def test_a_difference_that_was_mended_meanwhile_is_not_booked_again(
    short_of_a_deposit, alice, client_of
):
    """Nothing is derived between the entry and the repair: what is stored says the old figure."""
    connection, lost = short_of_a_deposit
    api = client_of(alice)
    row = only_difference(api)
    enter_again(connection, lost)
    answer = api.post(f"/reconciliation/{row['id']}/repair", {"action": "book_adjustment"})
    assert answer.status_code == 404
    with tenancy.as_user(alice.id):
        assert Adjustment.objects.filter(connection=connection).count() == 1
    assert api.get("/reconciliation").json()["results"] == []


def test_a_difference_that_has_changed_is_looked_at_again_first(
    short_of_a_deposit, alice, client_of
):
    connection, lost = short_of_a_deposit
    api = client_of(alice)
    row = only_difference(api)
    lost.quantity /= 2
    enter_again(connection, lost)
    path = f"/reconciliation/{row['id']}/repair"
    answer = api.post(path, {"action": "book_adjustment"})
    assert (answer.status_code, answer.json()["code"]) == (409, "difference_changed")
    assert Decimal(only_difference(api)["difference"]) == lost.quantity
    assert api.post(path, {"action": "book_adjustment"}).status_code == 200
    assert api.get("/reconciliation").json()["results"] == []


def test_money_spent_in_an_account_by_hand_came_from_outside(alice, client_of):
    """The first entry that anybody makes: bitcoin bought for dollars that nobody entered."""
    account = accounts_by_hand.open_account(user_id=alice.id, label="paper", now=clock.now())
    entries.add_trade(
        user_id=alice.id, place=entries.Place(account.id, "spot", factories.EARLIER),
        side="buy", base="BTC", base_quantity=Decimal(1), quote="USD",
        quote_quantity=Decimal(42_000), now=clock.now(),
    )  # fmt: skip
    with tenancy.as_user(alice.id):
        assert discrepancies.refresh(user_id=alice.id, now=clock.now()) == 0
    api = client_of(alice)
    assert api.get("/reconciliation").json()["results"] == []
    assert not {"discrepancy", "shortage"} & set(kinds(api))


@pytest.mark.parametrize(
    "path",
    [
        "/reconciliation", "/problems", "/imports", "/ledger/export", "/manual-accounts",
        "/transfer-matches", "/transfer-matches/suggestions",
    ],
)  # fmt: skip
def test_a_parameter_that_is_not_known_is_refused(alice, client_of, path):
    answer = client_of(alice).get(f"{path}?kinds=high")
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == "kinds"


def test_the_missing_half_of_a_transfer_is_booked_and_paired(alice, connect, visit, client_of):
    """The other account knows the withdrawal; this one's feed never told the deposit."""
    connection = connect(alice, 3)
    visit(connection)
    lost = lose(connection, Transfer, direction="deposit", feed="deposits")
    other = factories.connection(alice, "elsewhere")
    with tenancy.as_user(alice.id):
        known = Transfer.objects.create(
            user=alice, connection=other, feed="withdrawals", exchange_id="w1",
            direction="withdrawal", asset_id=lost.asset_id, quantity=lost.quantity, wallet="spot",
            occurred_at=lost.occurred_at - timedelta(minutes=5),
        )  # fmt: skip
        discrepancies.refresh(user_id=alice.id, now=clock.now())
    api = client_of(alice)
    row = only_difference(api)
    assert row["causes"][0]["code"] == "unmatched_transfer"
    answer = api.post(f"/reconciliation/{row['id']}/repair", {"action": "match_transfer"})
    assert answer.status_code == 200, answer.json()
    assert api.get("/reconciliation").json()["results"] == []
    (pair,) = api.get("/transfer-matches").json()["results"]
    assert (pair["withdrawal"], pair["deposit"]) == (str(known.id), answer.json()["transfer"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "burn"}, "action"),
        ({"action": "fetch_window", "feeds": ["nonsense"]}, "feeds"),
        ({"action": "book_adjustment", "reason": "fun"}, "reason"),
        ({"action": "book_adjustment", "reason": "lost"}, "reason"),
        ({"action": "book_adjustment", "cost_quantity": "5"}, "cost_quantity"),
        ({"action": "book_adjustment", "more": 1}, "more"),
    ],
)
def test_wrong_wishes_are_refused_by_field(short_of_a_deposit, alice, client_of, body, field):
    api = client_of(alice)
    answer = api.post(f"/reconciliation/{only_difference(api)['id']}/repair", body)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == field
    assert only_difference(api)


def test_nothing_is_forgotten_while_a_sync_runs(short_of_a_deposit, alice, client_of):
    """It would note as read, when it ends, what it never read."""
    connection, _ = short_of_a_deposit
    api = client_of(alice)
    row = only_difference(api)
    with tenancy.as_user(alice.id):
        SyncRun.objects.create(user=alice, connection=connection, trigger="x", state="running")
    answer = api.post(f"/reconciliation/{row['id']}/repair", {"action": "fetch_window"})
    assert (answer.status_code, answer.json()["code"]) == (409, "sync_running")
    with tenancy.as_user(alice.id):
        assert Coverage.objects.filter(connection=connection, feed="deposits").exists()


def test_what_is_another_person_s_does_not_exist(short_of_a_deposit, alice, charlie, client_of):
    row = only_difference(client_of(alice))
    stranger = client_of(charlie)
    assert stranger.get("/reconciliation").json()["results"] == []
    wish = {"action": "book_adjustment"}
    assert stranger.post(f"/reconciliation/{row['id']}/repair", wish).status_code == 404
    assert stranger.get("/problems").json()["results"] == []
    problem = client_of(alice).get("/problems").json()["results"][0]["id"]
    assert stranger.post(f"/problems/{problem}/dismiss").status_code == 404
    assert client_of(alice).get("/reconciliation").json()["results"]


# --- the inbox ----------------------------------------------------------------------------------
def kinds(api):
    return [problem["kind"] for problem in api.get("/problems").json()["results"]]


def test_a_difference_is_a_problem_with_its_remedy(short_of_a_deposit, alice, client_of):
    api = client_of(alice)
    problem = next(p for p in api.get("/problems").json()["results"] if p["kind"] == "discrepancy")
    row = only_difference(api)
    assert problem["severity"] == "high"
    assert problem["remedy"]["path"] == f"/api/v1/reconciliation/{row['id']}/repair"
    assert Decimal(problem["units"]) == Decimal(row["difference"])


def test_a_problem_put_aside_stays_aside_and_still_counts(short_of_a_deposit, alice, client_of):
    api = client_of(alice)
    before = api.get("/problems").json()
    problem = before["results"][0]
    for _ in range(2):
        assert api.post(f"/problems/{problem['id']}/dismiss").status_code == 204
    with tenancy.as_user(alice.id):
        assert ProblemDismissal.objects.count() == 1
        discrepancies.refresh(user_id=alice.id, now=clock.now())
    after = api.get("/problems").json()
    assert after["open"] == before["open"] - 1
    assert next(p for p in after["results"] if p["id"] == problem["id"])["is_dismissed"]
    assert api.delete(f"/problems/{problem['id']}/dismiss").status_code == 204
    assert api.get("/problems").json()["open"] == before["open"]
    assert api.delete(f"/problems/{problem['id']}/dismiss").status_code == 404


def test_connections_in_trouble_are_problems(alice, client_of):
    stopped, partial = (factories.connection(alice, name) for name in ("one", "two"))
    with tenancy.as_user(alice.id):
        rows = ExchangeConnection.objects
        rows.filter(id=stopped.id).update(state="needs_new_key", reason="wrong_key")
        rows.filter(id=partial.id).update(state="partial", reason="exchange_unreachable")
        QuarantinedPage.objects.create(
            user=alice, connection=partial, feed="deposits", reason="?", payload=b"x",
            payload_digest=bytes(32),
        )  # fmt: skip
    found = kinds(client_of(alice))
    assert found == ["connection_partial", "connection_stopped", "rows_not_understood"]


def test_a_person_without_anything_has_no_problems(alice, client_of):
    assert client_of(alice).get("/problems").json() == {
        "open": 0, "updating": False, "results": [],
    }  # fmt: skip


# --- what is computed ---------------------------------------------------------------------------
def found_of(api, kind):
    return [item for item in api.get("/problems").json()["results"] if item["kind"] == kind]


def test_units_without_a_known_cost_are_problems_with_a_call_that_helps(
    alice, connect, visit, client_of
):
    connection = connect(alice, 3)
    visit(connection)
    assert derivation.derive(user_id=alice.id, now=clock.now())
    api = client_of(alice)
    problem = found_of(api, "deposit_without_cost")[0]
    asset = problem["asset"]
    with tenancy.as_user(alice.id):
        deposits = Transfer.objects.filter(asset_id=asset, direction="deposit").order_by(
            "occurred_at"
        )
        assert problem["count"] == len(deposits)
        assert Decimal(problem["units"]) == sum(row.quantity for row in deposits)
    assert problem["remedy"]["path"] == f"/api/v1/transfers/{deposits[0].id}/note"
    told = api.call("PUT", problem["remedy"]["path"], {
        "meaning": "purchase", "cost_asset": str(factories.asset("USD").id),
        "cost_quantity": "1000",
    })  # fmt: skip
    assert told.status_code == 200, told.json()
    assert api.get("/problems").json()["updating"]
    assert derivation.derive(user_id=alice.id, now=clock.now())
    after = [item for item in found_of(api, "deposit_without_cost") if item["asset"] == asset]
    assert sum(item["count"] for item in after) == problem["count"] - 1


@pytest.mark.parametrize("meaning", ["purchase", "own_deposit"])
def test_a_deposit_that_was_explained_without_its_cost_stays_a_problem(alice, client_of, meaning):
    account = accounts_by_hand.open_account(user_id=alice.id, label="paper", now=clock.now())
    entry = entries.add_transfer(
        user_id=alice.id, place=entries.Place(account.id, "spot", factories.EARLIER),
        direction="deposit", asset="BTC", quantity=Decimal(2), now=clock.now(),
    )  # fmt: skip
    api = client_of(alice)
    note = api.call("PUT", f"/transfers/{entry['id']}/note", {"meaning": meaning})
    assert note.status_code == 200, note.json()
    assert derivation.derive(user_id=alice.id, now=clock.now())
    (problem,) = found_of(api, "deposit_without_cost")
    assert problem["remedy"]["path"] == f"/api/v1/transfers/{entry['id']}/note"


def test_a_withdrawal_without_explanation_is_one_until_it_is_explained(
    alice, connect, visit, client_of
):
    visit(connect(alice, 3))
    assert derivation.derive(user_id=alice.id, now=clock.now())
    api = client_of(alice)
    problem = found_of(api, "unexplained_withdrawal")[0]
    told = api.call("PUT", problem["remedy"]["path"], {"meaning": "own_withdrawal"})
    assert told.status_code == 200, told.json()
    assert derivation.derive(user_id=alice.id, now=clock.now())
    after = [
        item
        for item in found_of(api, "unexplained_withdrawal")
        if item["asset"] == problem["asset"]
    ]
    assert sum(item["count"] for item in after) == problem["count"] - 1


def test_a_sale_without_a_purchase_is_a_problem(alice, client_of):
    account = accounts_by_hand.open_account(user_id=alice.id, label="paper", now=clock.now())
    with tenancy.as_user(alice.id):
        entries.add_trade(
            user_id=alice.id, place=entries.Place(account.id, "spot", factories.EARLIER),
            side="sell", base="BTC", base_quantity=Decimal(2), quote="USD",
            quote_quantity=Decimal(100_000), now=clock.now(),
        )  # fmt: skip
    assert derivation.derive(user_id=alice.id, now=clock.now())
    api = client_of(alice)
    (problem,) = found_of(api, "unknown_basis")
    assert (problem["severity"], problem["code"], Decimal(problem["units"])) == ("high", "BTC", 2)
    (shortage,) = found_of(api, "shortage")
    assert shortage["sentence"].startswith("paper gives 2 BTC more than came in, in spot.")
