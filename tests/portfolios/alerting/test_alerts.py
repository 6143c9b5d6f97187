"""`/alerts`: made, read, changed and removed by whom they belong to."""

from datetime import timedelta
from decimal import Decimal as D
from uuid import uuid4

import pytest

from portfolios.models import AlertFiring, PriceAlert
from tests import factories
from tests.portfolios.alerting.conftest import firings, reread, told
from tracker import tenancy

ABOVE = {"kind": "price_above", "threshold": "100"}
CHANGE = {"kind": "price_change", "threshold": "5", "window_seconds": 3600}


@pytest.fixture
def api(client_of, alice, price):
    price("BTC", 90)
    return client_of(alice)


@pytest.fixture
def btc(price):
    return str(factories.asset("BTC").id)


def refused(answer) -> tuple[str, str]:
    """The field that was refused, and why."""
    assert answer.status_code == 400, answer.content
    (field,) = answer.json()["details"]["fields"]
    return field["field"], field["code"]


def make(api, asset, **fields):
    answer = api.post("/alerts", ABOVE | {"asset": asset} | fields)
    assert answer.status_code == 201, answer.content
    return answer.json()


# --- making -------------------------------------------------------------------------------------
def test_an_alert_shows_what_it_waits_for_and_how_it_stands(api, btc, time):
    made = make(api, btc, note="sell")
    now = time.now.isoformat().replace("+00:00", "Z")
    assert made == {
        "id": made["id"], "kind": "price_above", "asset": btc, "code": "BTC", "threshold": "100",
        "currency": "USD", "direction": None, "window_seconds": None, "repeats": False,
        "hysteresis": "0", "note": "sell", "state": "active", "armed": True, "told_count": 0,
        "told_at": None, "created_at": now, "updated_at": now,
        "current": {"value": "90", "as_of": now, "status": "complete"},
    }  # fmt: skip
    assert api.get(f"/alerts/{made['id']}").json() == made
    assert api.get("/alerts").json()["results"] == [made]


def test_the_currency_is_the_base_currency_unless_said(client_of, alice, price, btc):
    api = client_of(alice)
    api.patch("/me", {"base_currency": "EUR"})
    for code, usd in (("BTC", 100), ("EUR", "1.25")):
        price(code, usd)
    made = make(api, btc)
    assert (made["currency"], made["current"]["value"]) == ("EUR", "80")
    assert make(api, btc, currency="USD", threshold="101")["current"]["value"] == "100"


def test_a_repeating_one_has_a_hysteresis_of_one_or_ten_percent(api, btc):
    assert make(api, btc, repeats=True)["hysteresis"] == "1"
    assert make(api, btc, repeats=True, hysteresis="2.5")["hysteresis"] == "2.5"
    change = make(api, btc, **CHANGE, repeats=True)
    assert (change["hysteresis"], change["direction"]) == ("10", "any")


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"threshold": "0"}, "threshold", "zero"),
        ({"threshold": "-1"}, "threshold", "below_zero"),
        ({"threshold": "1000000000000"}, "threshold", "too_large"),
        ({"threshold": "NaN"}, "threshold", "invalid"),
        ({"asset": None}, "asset", "required"),
        ({"asset": str(uuid4())}, "asset", "does_not_exist"),
        ({"kind": "price_sideways"}, "kind", "invalid_choice"),
        ({"currency": "XXX"}, "currency", "invalid_choice"),
        ({"window_seconds": 3600}, "window_seconds", "invalid"),
        ({"direction": "up"}, "direction", "invalid"),
        ({"repeats": True, "hysteresis": "51"}, "hysteresis", "invalid"),
        ({"repeats": True, "hysteresis": "0.01"}, "hysteresis", "invalid"),
        ({"note": "x" * 201}, "note", "max_length"),
        ({"state": "active"}, "state", "unknown_field"),
        (CHANGE | {"window_seconds": None}, "window_seconds", "required"),
        (CHANGE | {"window_seconds": 240}, "window_seconds", "invalid"),
        (CHANGE | {"window_seconds": 301}, "window_seconds", "invalid"),
        (CHANGE | {"window_seconds": 31 * 86_400}, "window_seconds", "invalid"),
        (CHANGE | {"window_seconds": 10**12}, "window_seconds", "max_value"),
        (CHANGE | {"threshold": "101", "direction": "down"}, "threshold", "invalid"),
        (CHANGE | {"threshold": "0.01"}, "threshold", "invalid"),
        ({"kind": "value_above"}, "asset", "invalid"),
        (
            {"kind": "drawdown", "asset": None, "threshold": "10", "window_seconds": 3600},
            "window_seconds", "invalid",
        ),
        (
            {"kind": "drawdown", "asset": None, "threshold": "101", "window_seconds": 86_400},
            "threshold", "invalid",
        ),
        (
            {"kind": "drawdown", "asset": None, "threshold": "10", "window_seconds": 86_400,
             "currency": "CHF"},
            "currency", "invalid",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_field(api, btc, fields, field, code):
    answer = api.post("/alerts", ABOVE | {"asset": btc} | fields)
    assert refused(answer) == (field, code)
    assert api.get("/alerts").json()["results"] == []


def test_what_is_true_already_is_refused_of_one_that_is_told_once(api, btc, alice):
    answer = api.post("/alerts", ABOVE | {"asset": btc, "threshold": "90"})
    assert refused(answer) == ("threshold", "already_true")
    assert "90 USD" in answer.json()["details"]["fields"][0]["message"]


def test_a_repeating_one_that_is_true_already_waits_until_the_price_has_gone_back(
    api, btc, alice, sweep
):
    made = make(api, btc, threshold="80", repeats=True)
    assert not made["armed"]
    sweep(BTC=91)
    assert told(alice) == []
    for usd in (79, 81):
        sweep(BTC=usd)
    assert [title for title, _ in told(alice)] == ["BTC is above 80 USD"]


def test_an_asset_that_nobody_quotes_is_refused(api, price):
    never, gone = factories.asset("NEVER"), factories.asset("GONE")
    price("GONE", 1, age=timedelta(days=4))
    for asset in (never, gone):
        answer = api.post("/alerts", ABOVE | {"asset": str(asset.id)})
        assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_quoted")


def test_a_price_that_is_old_or_without_a_rate_is_no_figure_and_nothing_is_nought(api, btc, price):
    made = make(api, btc, currency="EUR", threshold="1")
    assert made["current"] == {"value": None, "as_of": None, "status": "unpriced"}
    price("BTC", 90, age=timedelta(minutes=20))
    made = make(api, btc, threshold="1")  # nobody knows whether it is true
    assert made["current"]["status"] == "stale"
    assert make(api, btc, **CHANGE)["current"]["value"] is None


def test_the_same_post_again_makes_one(api, btc):
    body = ABOVE | {"asset": btc}
    answers = [api.post("/alerts", body, **{"Idempotency-Key": "k" * 20}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(api.get("/alerts").json()["results"]) == 1


@pytest.mark.parametrize(("tier", "most"), [("free", 10), ("pro", 100)])
def test_a_plan_includes_so_many_alerts(client_of, alice, price, btc, tier, most):
    factories.put_on_plan(alice, tier)
    for _ in range(most - 1):
        factories.price_alert(alice)
    over = factories.price_alert(alice, state="triggered")
    price("BTC", 90)
    api = client_of(alice)
    make(api, btc)
    answer = api.post("/alerts", ABOVE | {"asset": btc})
    assert (answer.status_code, answer.json()["code"]) == (403, "alert_limit_reached")
    assert answer.json()["details"] == {"plan": tier, "limit": most}
    again = api.patch(f"/alerts/{over.id}", {"state": "active"})
    assert (again.status_code, again.json()["code"]) == (403, "alert_limit_reached")


# --- changing -----------------------------------------------------------------------------------
def test_a_paused_alert_tells_nothing_until_it_is_resumed(api, btc, alice, sweep):
    made = make(api, btc)
    path = f"/alerts/{made['id']}"
    assert api.patch(path, {"state": "paused"}).json()["state"] == "paused"
    sweep(BTC=101)
    assert told(alice) == []
    assert refused(api.patch(path, {"state": "active"})) == ("threshold", "already_true")
    changed = api.patch(path, {"state": "active", "threshold": "102"}).json()
    assert (changed["state"], changed["threshold"]) == ("active", "102")
    sweep(BTC=102)
    assert len(told(alice)) == 1


def test_one_that_was_told_can_be_set_going_again(api, btc, alice, sweep):
    made = make(api, btc)
    sweep(BTC=101)
    path = f"/alerts/{made['id']}"
    assert api.get(path).json()["state"] == "triggered"
    sweep(BTC=90)
    assert api.patch(path, {"state": "active"}).json()["armed"]
    sweep(BTC=103)
    assert api.get(path).json()["told_count"] == 2
    values = [row["value"] for row in api.get(f"{path}/firings").json()["results"]]
    assert values == ["103", "101"]


def test_note_and_repetition_change_and_nothing_else_does(api, btc):
    made = make(api, btc)
    path = f"/alerts/{made['id']}"
    changed = api.patch(path, {"note": "buy", "repeats": True}).json()
    assert (changed["note"], changed["repeats"], changed["hysteresis"]) == ("buy", True, "1")
    for field in ("kind", "asset", "currency", "window_seconds", "direction", "armed"):
        assert refused(api.patch(path, {field: None})) == (field, "unknown_field")
    assert refused(api.patch(path, {"state": "triggered"})) == ("state", "invalid_choice")


def test_a_removed_alert_is_gone_with_its_history(api, btc, alice, sweep):
    path = f"/alerts/{make(api, btc)['id']}"
    sweep(BTC=101)
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    with tenancy.as_system("test"):
        assert not PriceAlert.objects.exists()
        assert not AlertFiring.objects.exists()


# --- lists --------------------------------------------------------------------------------------
def test_alerts_are_listed_newest_first_and_narrowed(api, alice, time, price):
    price("ETH", 5)
    eth = factories.asset("ETH")
    for number in range(3):
        time.forward(seconds=1)
        factories.price_alert(alice, note=str(number), asset=[factories.asset(), eth][number % 2])
    factories.price_alert(alice, note="over", state="triggered", created_at=factories.EARLIER)

    def notes(query=""):
        return [row["note"] for row in api.get(f"/alerts{query}").json()["results"]]

    assert notes() == ["2", "1", "0", "over"]
    assert notes(f"?asset={eth.id}") == ["1"]
    assert notes("?state=triggered") == ["over"]
    assert notes("?page_size=2") == ["2", "1"]
    following = api.get("/alerts?page_size=2").json()["next"]
    assert following
    assert refused(api.get("/alerts?colour=red")) == ("colour", "unknown_field")
    assert refused(api.get("/alerts?state=odd"))[0] == "state"


def test_others_see_and_change_nothing_of_it(client_of, alice, bob, charlie, price, sweep):
    mine, his = factories.price_alert(alice), factories.price_alert(bob)
    sweep(BTC=100_001)
    for user, own in ((alice, [mine]), (bob, [his]), (charlie, [])):
        rows = client_of(user).get("/alerts").json()["results"]
        assert [row["id"] for row in rows] == [str(alert.id) for alert in own]
    stranger = client_of(charlie)
    for path in (f"/alerts/{mine.id}", f"/alerts/{mine.id}/firings"):
        assert stranger.get(path).status_code == 404
    assert stranger.patch(f"/alerts/{mine.id}", {"note": "x"}).status_code == 404
    assert stranger.delete(f"/alerts/{mine.id}").status_code == 404
    assert firings(mine) == [D(100_001)]
    assert reread(mine).note == ""


def test_pausing_is_no_way_around_the_limit(alice, client_of, price):
    price("BTC", 1)
    api = client_of(alice)
    for _ in range(10):
        factories.price_alert(alice)
    over = factories.price_alert(alice, state="triggered", armed=False)
    answer = api.patch(f"/alerts/{over.id}", {"state": "paused"})
    assert (answer.status_code, answer.json()["code"]) == (403, "alert_limit_reached")
