"""Accounts and entries by hand: what they do to the books, what is refused, who may touch them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from accounts.privacy import erasure
from exchanges.models import Exchange
from portfolios.models import Holding, LedgerEntry, PortfolioState
from tests import factories
from tracker import clock, tenancy

AT = "2026-01-05T12:00:00Z"
TRADE = {
    "side": "buy", "base": "BTC", "base_quantity": "0.5", "quote": "USD", "quote_quantity": "20000",
    "occurred_at": AT,
}  # fmt: skip
TRANSFER = {"direction": "deposit", "asset": "BTC", "quantity": "1", "occurred_at": AT}
REWARD = {"kind": "staking", "asset": "ETH", "quantity": "0.01", "occurred_at": AT}
ADJUSTMENT = {"reason": "opening", "asset": "XMR", "quantity": "5", "occurred_at": AT}
KINDS = {
    "trades": TRADE, "transfers": TRANSFER, "rewards": REWARD, "adjustments": ADJUSTMENT,
}  # fmt: skip


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def bob(db):
    return factories.person("bob@example.com")


@pytest.fixture
def api(client_of, alice):
    return client_of(alice)


@pytest.fixture
def account(api):
    return api.post("/manual-accounts", {"label": "safe"}).json()["id"]


def add(api: Any, account: str, which: str, /, **changes: Any) -> Any:
    body = KINDS[which] | {"connection": account} | changes
    return api.post(f"/entries/{which}", {k: v for k, v in body.items() if v is not ...})


def held(api: Any) -> dict[tuple[str, str], str]:
    rows = api.get("/holdings").json()["results"]
    return {(row["wallet"], row["code"]): row["quantity"] for row in rows}


def legs(user: Any) -> dict[tuple[str, str], Decimal]:
    with tenancy.as_user(user.id):
        found = LedgerEntry.objects.filter(user=user).values_list("kind", "asset__code", "quantity")
        return {(kind, code): quantity for kind, code, quantity in found}


def refused(answer: Any, field: str) -> str:
    assert answer.status_code == 400, answer.content
    (row,) = [row for row in answer.json()["details"]["fields"] if row["field"] == field]
    return row["message"]


# --- accounts -----------------------------------------------------------------------------------
def test_an_account_by_hand_is_among_the_connections_and_is_never_due(api, account):
    (listed,) = api.get("/manual-accounts").json()["results"]
    (connected,) = api.get("/connections").json()["results"]
    assert listed == connected
    assert (listed["id"], listed["exchange"], listed["kind"]) == (account, "manual", "manual")
    assert (listed["state"], listed["next_sync_at"]) == ("ok", None)


def test_two_accounts_need_two_labels(api, account):
    again = api.post("/manual-accounts", {"label": "safe"})
    assert (again.status_code, again.json()["code"]) == (409, "connection_label_taken")


def test_nobody_can_connect_to_the_exchange_of_accounts_by_hand(api, account):
    assert Exchange.objects.get(id="manual").is_available is False
    body = {"exchange": "manual", "api_key": "a", "api_secret": "b"}
    assert api.post("/connections", body).json()["code"] == "exchange_unknown"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/sync", None), ("POST", "/test", None), ("PATCH", "", {"paused": True}),
     ("PATCH", "", {"paused": False}), ("PATCH", "", {"api_key": "a", "api_secret": "b"})],
)  # fmt: skip
def test_there_is_no_exchange_to_ask_for_an_account_by_hand(api, account, method, path, body):
    answer = api.call(method, f"/connections/{account}{path}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "account_kept_by_hand")


def test_an_account_by_hand_is_renamed_and_removed_like_any_other(api, alice, account):
    add(api, account, "transfers")
    renamed = api.patch(f"/connections/{account}", {"label": "vault"})
    assert renamed.json()["label"] == "vault"
    assert api.delete(f"/connections/{account}").status_code == 204
    assert held(api) == {}
    assert legs(alice) == {}


def test_the_same_request_twice_makes_one_account(api):
    key = {"Idempotency-Key": "make-my-safe"}
    first = api.post("/manual-accounts", {"label": "safe"}, **key)
    second = api.post("/manual-accounts", {"label": "safe"}, **key)
    assert first.json() == second.json()
    assert len(api.get("/manual-accounts").json()["results"]) == 1


# --- entries ------------------------------------------------------------------------------------
def test_a_trade_moves_both_sides_and_its_fee(api, alice, account):
    add(api, account, "transfers", asset="USD", quantity="30000")
    made = add(api, account, "trades", fee_asset="BNB", fee_quantity="0.01")
    assert made.status_code == 201, made.content
    trade = made.json()["trade"]
    assert (trade["symbol"], trade["price"], trade["fee_code"]) == ("BTC/USD", "40000", "BNB")
    assert legs(alice) == {
        ("deposit", "USD"): 30_000, ("trade", "BTC"): Decimal("0.5"), ("trade", "USD"): -20_000,
        ("fee", "BNB"): Decimal("-0.01"),
    }  # fmt: skip
    # what went without having come is not shown as a debt
    assert held(api) == {("spot", "USD"): "10000", ("spot", "BTC"): "0.5"}


def test_a_price_stands_for_the_amount_paid(api, account):
    made = add(api, account, "trades", quote_quantity=..., price="40000.5")
    assert made.json()["trade"]["quote_quantity"] == "20000.25"


def test_a_move_between_wallets_needs_both_of_them(api, account):
    add(api, account, "transfers")
    moved = {"direction": "internal", "quantity": "0.4"}
    assert "which other wallet" in refused(add(api, account, "transfers", **moved), "to_wallet")
    assert add(api, account, "transfers", **moved, to_wallet="earn").status_code == 201
    assert held(api) == {("spot", "BTC"): "0.6", ("earn", "BTC"): "0.4"}


def test_each_kind_is_listed_with_what_belongs_to_it_newest_first(api, account):
    for day, kind in enumerate(KINDS, start=1):
        assert add(api, account, kind, occurred_at=f"2026-01-0{day}T00:00:00Z").status_code == 201
    rows = api.get("/entries").json()["results"]
    assert [row["kind"] for row in rows] == ["adjustment", "reward", "transfer", "trade"]
    assert rows[0]["adjustment"] == {
        "reason": "opening", "asset": rows[0]["adjustment"]["asset"], "code": "XMR",
        "quantity": "5", "cost_asset": None, "cost_code": None, "cost_quantity": None, "note": "",
    }  # fmt: skip
    assert (rows[1]["reward"]["kind"], rows[2]["transfer"]["direction"]) == ("staking", "deposit")
    assert [row["source"] for row in rows] == ["manual"] * 4
    only = api.get(f"/entries?kind=reward&connection={account}").json()["results"]
    assert [row["kind"] for row in only] == ["reward"]
    assert len(api.get("/entries?from=2026-01-02T00:00:00Z").json()["results"]) == 3


def test_pages_of_entries_follow_each_other_through_one_instant(api, account):
    made = {add(api, account, "transfers").json()["id"] for _ in range(5)}
    seen, path = [], "/entries?page_size=2"
    while path:
        page = api.get(path).json()
        seen += [row["id"] for row in page["results"]]
        path = (page["next"] or "").removeprefix("http://testserver")
    assert (len(seen), set(seen)) == (5, made)


def test_an_asset_is_named_by_its_id_or_its_code(api, account):
    first = add(api, account, "transfers", asset="btc").json()["transfer"]
    second = add(api, account, "transfers", asset=first["asset"]).json()["transfer"]
    assert (first["code"], second["asset"]) == ("BTC", first["asset"])


def test_a_code_that_nobody_knows_becomes_an_asset(api, account):
    made = add(api, account, "transfers", asset="newcoin9").json()["transfer"]
    assert made["code"] == "NEWCOIN9"
    nothing = add(api, account, "transfers", asset="01928374-0000-7000-8000-000000000000")
    assert refused(nothing, "asset") == "There is no asset with this id."


def test_quantities_are_exact_from_eighteen_decimals_to_a_million_billions(api, account):
    for quantity in ("0.000000000000000001", "1000000000000000", "0.1", 1):
        add(api, account, "transfers", asset="DUST", quantity=quantity)
    assert held(api)["spot", "DUST"] == "1000000000000001.100000000000000001"


def test_an_adjustment_may_take_units_away_and_has_a_cost_only_when_they_came(api, account):
    add(api, account, "adjustments", cost_asset="USD", cost_quantity="700")
    taken = {"quantity": "-2", "reason": "lost"}
    assert add(api, account, "adjustments", **taken).status_code == 201
    assert held(api) == {("spot", "XMR"): "3"}
    wrong = add(api, account, "adjustments", **taken, cost_asset="USD", cost_quantity="7")
    assert refused(wrong, "cost_quantity") == "Only units that came in have a cost."


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("trades", {"base_quantity": "0"}, "base_quantity"),
        ("trades", {"base_quantity": "-1"}, "base_quantity"),
        ("trades", {"quote_quantity": "0"}, "quote_quantity"),
        ("trades", {"quote_quantity": ..., "price": "-5"}, "price"),
        ("trades", {"quote_quantity": ..., "price": "0"}, "price"),
        ("trades", {"quote_quantity": ...}, "quote_quantity"),
        ("trades", {"price": "5"}, "quote_quantity"),
        ("trades", {"quote": "btc"}, "quote"),
        ("trades", {"fee_quantity": "1"}, "fee_asset"),
        ("trades", {"fee_asset": "BNB"}, "fee_asset"),
        ("trades", {"base_quantity": "1e-30", "quote_quantity": "1e17"}, "price"),
        ("trades", {"side": "hold"}, "side"),
        ("transfers", {"quantity": "NaN"}, "quantity"),
        ("transfers", {"quantity": "1e400"}, "quantity"),
        ("transfers", {"quantity": "1e-31"}, "quantity"),
        ("transfers", {"quantity": "9" * 31}, "quantity"),
        ("transfers", {"quantity": "x" * 5000}, "quantity"),
        ("transfers", {"asset": "=cmd"}, "asset"),
        ("transfers", {"asset": ""}, "asset"),
        ("transfers", {"to_wallet": "earn"}, "to_wallet"),
        ("transfers", {"occurred_at": "2008-12-31T00:00:00Z"}, "occurred_at"),
        ("transfers", {"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ("transfers", {"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at"),
        ("transfers", {"wallet": "pocket"}, "wallet"),
        ("transfers", {"connection": "x"}, "connection"),
        ("rewards", {"kind": "luck"}, "kind"),
        ("rewards", {"quantity": "-1"}, "quantity"),
        ("adjustments", {"quantity": "0"}, "quantity"),
        ("adjustments", {"cost_quantity": "5"}, "cost_asset"),
        ("adjustments", {"cost_quantity": "-5", "cost_asset": "USD"}, "cost_quantity"),
        ("adjustments", {"unknown": 1}, "unknown"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_with_a_sentence(api, alice, account, kind, changes, field):
    message = refused(add(api, account, kind, **changes), field)
    assert message.endswith(".")
    assert legs(alice) == {}


def test_an_entry_goes_again_with_all_its_legs(api, alice, account):
    made = add(api, account, "trades", fee_asset="BNB", fee_quantity="1").json()
    add(api, account, "transfers", asset="BNB", quantity="3")
    assert api.delete(f"/entries/{made['id']}").status_code == 204
    assert legs(alice) == {("deposit", "BNB"): 3}
    assert held(api) == {("spot", "BNB"): "3"}
    assert api.delete(f"/entries/{made['id']}").status_code == 404


def test_what_an_exchange_reported_cannot_be_removed(api, alice):
    connected = factories.something_everywhere(alice)
    reported = api.get("/trades").json()["results"][0]
    answer = api.delete(f"/entries/{reported['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "entry_reported_by_exchange")
    assert api.get("/trades").json()["results"] == [reported]
    assert reported["id"] not in str(api.get("/entries").json())
    # beside it an adjustment can stand, and what the exchange holds stays as it says
    before = held(api)
    made = add(api, str(connected.id), "adjustments", asset="BTC", quantity="-1")
    assert made.status_code == 201
    assert held(api) == before


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_books_into_the_account_of_somebody_else(client_of, api, alice, bob, account, kind):
    answer = add(client_of(bob), account, kind)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert legs(alice) == legs(bob) == {}


def test_every_change_has_the_figures_computed_anew_from_its_day_on(api, alice, account, queued):
    def state() -> PortfolioState:
        with tenancy.as_user(alice.id):
            return PortfolioState.objects.get(user=alice)

    made = add(api, account, "transfers", occurred_at="2026-02-01T00:00:00Z").json()
    first = state()
    assert str(first.revalue_from) == "2026-02-01"
    api.delete(f"/entries/{made['id']}")
    assert state().ledger_revision > first.ledger_revision
    assert first.next_snapshot_at is not None


def test_an_entry_of_this_moment_is_booked_and_one_of_tomorrow_is_not(client_of, alice):
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        api = client_of(alice)
        account = api.post("/manual-accounts", {"label": "safe"}).json()["id"]
        now = {"occurred_at": "2026-03-02T00:00:00+12:00"}  # the same instant, in Auckland
        assert add(api, account, "transfers", **now).status_code == 201
        later = add(api, account, "transfers", occurred_at="2026-03-02T00:00:00Z")
    assert refused(later, "occurred_at") == "This lies in the future."


def test_erasing_a_person_leaves_nothing_of_their_entries(api, alice, account):
    for kind in KINDS:
        add(api, account, kind)
    erasure.erase(user_id=alice.id, now=clock.now())
    with tenancy.as_system("test"):
        assert not LedgerEntry.objects.filter(user_id=alice.id).exists()
        assert not Holding.objects.filter(user_id=alice.id).exists()
