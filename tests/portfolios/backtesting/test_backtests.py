"""Backtests from the request to the chart: figures, comparisons, gaps, and bad days."""

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
import time_machine

from exchanges.models import PriceNeed
from portfolios import tasks
from portfolios.backtesting import jobs
from portfolios.models import Backtest, DailyValuation
from tests import broker, factories
from tests.api_client import ApiClient
from tests.portfolios.backtesting.conftest import (
    DAY,
    START,
    keep,
    recorded,
    store,
    wanted,
    waves,
    work,
)
from tracker import clock, ids, tenancy


def refused(answer):
    assert answer.status_code == 400, answer.content
    return [(row["field"], row["code"]) for row in answer.json()["details"]["fields"]]


# --- figures ------------------------------------------------------------------------------------
def test_buying_and_holding_is_worth_what_the_price_did(api, backtest):
    asset = store("BTC", [(100, 100, 100, 100), (100, 120, 100, 110), (110, 220, 110, 220)])
    found = backtest(keep(api, kind="buy_and_hold", parameters={}), asset, bars=3, fee="0",
                     cash="1000")  # fmt: skip
    assert found["state"] == "done", found
    # Decided at the close of the first day, bought at the open of the second for 100.
    assert D(found["result"]["metrics"]["final_equity"]) == D(2_200)
    assert D(found["total_return"]) == D("1.2")
    assert found["details"]["equity"][-1] == ["2020-01-04T00:00:00Z", "2200"]
    position = found["details"]["positions"][0]
    assert (position["code"], position["units"], position["share"]) == ("BTC", "10", "1")
    trade = found["details"]["trades"][0]
    assert (trade["entry_at"], trade["exit_at"]) == ("2020-01-02T00:00:00Z", None)


def test_the_figures_of_a_crossover_on_real_candles(api, backtest, shared_data):
    """The gain is what its own trades add up to, and what it is compared with is recomputed."""
    days = recorded(shared_data / "market", "BTC-USD-1d.csv")
    start, count = datetime(2017, 1, 1, tzinfo=UTC), 3 * 365
    bars = [days.get(start + place * DAY) for place in range(count)]
    gone = {place for place, bar in enumerate(bars) if bar is None}
    asset = store("BTC", bars, start=start, gone=gone)
    found = backtest(
        keep(api, parameters={}), asset, fee="0.001", cash="10000",
        fills_gaps=True, **{"from": start.isoformat(), "to": "2020-01-01T00:00:00Z"},
    )  # fmt: skip
    assert found["state"] == "done"
    metrics, held = found["result"]["metrics"], found["result"]["compared"]["buy_and_hold"]
    gains = sum(D(trade["gain"]) for trade in found["details"]["trades"])
    assert D(metrics["final_equity"]) == pytest.approx(D(10_000) + gains, abs=D("0.001"))
    bought = D(10_000) / D("1.001") / D(bars[1][0])
    assert D(held["final_equity"]) == pytest.approx(bought * D(bars[-1][3]), abs=D("0.001"))
    assert metrics["trades"] == len([t for t in found["details"]["trades"] if t["exit_at"]])
    assert D(metrics["drawdown"]["depth"]) < 0
    assert metrics["drawdown"]["peak"] < metrics["drawdown"]["trough"]
    assert [row["code"] for row in found["result"]["warnings"]] == ["gaps_filled"]
    assert found["result"]["range"]["bars"] == count


def test_the_same_inputs_have_the_same_digits_and_another_fee_has_others(api, backtest):
    asset, strategy = store("BTC", waves(200)), keep(api)
    first, again = (backtest(strategy, asset, bars=200, fee="0.001") for _ in range(2))
    other = backtest(strategy, asset, bars=200, fee="0.002")
    assert len(first["result_hash"]) == 64
    assert first["result_hash"] == again["result_hash"] != other["result_hash"]
    assert first["result"] == again["result"]
    assert first["details"] == again["details"]


def test_the_fee_is_the_persons_own_where_their_fills_tell_it(api, alice, backtest):
    asset, strategy = store("BTC", waves(60)), keep(api)
    assumed = backtest(strategy, asset, bars=60)
    assert (assumed["fee"], assumed["fee_source"]) == ("0.001", "default")
    connected = factories.connection(alice)
    with tenancy.as_user(alice.id):
        for number, share in enumerate(["0.0004", "0.00075", "0.00075", "0.00075", "0.002"]):
            factories.trade(
                alice, connected, number, occurred_at=clock.now(), quote_quantity=D(1_000),
                fee_asset=factories.asset("USDT"), fee_quantity=D(share) * 1_000,
            ).save(force_insert=True)  # fmt: skip
    own = backtest(strategy, asset, bars=60)
    assert (own["fee"], own["fee_source"]) == ("0.00075", "own_fills")
    given = backtest(strategy, asset, bars=60, fee="0")
    assert (given["fee"], given["fee_source"]) == ("0", "given")


def test_a_backtest_stands_beside_what_the_person_really_did(api, alice, backtest):
    asset, strategy = store("BTC", waves(30)), keep(api)
    alone = backtest(strategy, asset, bars=30)["result"]["compared"]["own_history"]
    assert alone == {"days": 0, "days_asked": 30, "status": "no_history"}
    with tenancy.as_user(alice.id):
        for place, growth in enumerate([None, 1.1, 0.5, 2.0]):
            DailyValuation.objects.create(
                user=alice, scope="portfolio", scope_id=alice.id, value=D(1), cost=D(1),
                day=(START + (10 + place) * DAY).date(), growth=growth,
            )  # fmt: skip
    found = backtest(strategy, asset, bars=30)
    own = found["result"]["compared"]["own_history"]
    assert (own["days"], own["status"], own["total_return"]) == (3, "partial", "0.1")
    assert own["drawdown"]["depth"] == "-0.5"
    assert [value for _, value in found["details"]["own_history"]] == ["11000", "5500", "11000"]


def test_it_keeps_what_it_ran_with_when_the_strategy_changes_or_goes(api, backtest):
    asset, strategy = store("BTC", waves(60)), keep(api)
    found = backtest(strategy, asset, bars=60)
    api.patch(f"/strategies/{strategy}", {"parameters": {"fast": 2, "slow": 3}})
    api.delete(f"/strategies/{strategy}")
    again = api.get(f"/backtests/{found['id']}").json()
    assert again["definition"]["parameters"] == {"fast": 5, "slow": 20}
    listed = api.get("/backtests").json()["results"]
    assert [row["total_return"] for row in listed] == [found["total_return"]]
    assert "details" not in listed[0]


# --- the other kinds ----------------------------------------------------------------------------
def test_a_sweep_ranks_its_trials_and_warns_of_luck(api, backtest):
    asset, strategy = store("BTC", waves(400)), keep(api)
    grid = {"fast": [3, 5, 10, 50], "slow": [20, 40]}
    found = backtest(strategy, asset, bars=400, kind="sweep", options={"grid": grid})
    assert found["state"] == "done", found
    result, trials = found["result"], found["details"]["trials"]
    assert (result["trials"], result["skipped"]) == (6, 2)
    assert [D(one["sharpe"]) for one in trials] == sorted(
        (D(one["sharpe"]) for one in trials), reverse=True
    )
    assert result["best"] == trials[0]
    warning = next(one for one in result["warnings"] if one["code"] == "overfitting")
    assert "Bailey" in warning["message"] or "Bailey" in result["overfitting"]["source"]
    alone = backtest(keep(api, name="alone", parameters=trials[0]["parameters"]), asset, bars=400)
    assert alone["result"]["metrics"]["total_return"] == trials[0]["total_return"]


def test_a_walk_forward_judges_where_it_did_not_choose(api, backtest):
    asset, strategy = store("BTC", waves(600)), keep(api)
    options = {"grid": {"fast": [3, 5], "slow": [20, 40]}, "folds": 3, "train_share": 0.5}
    found = backtest(strategy, asset, bars=600, kind="walk_forward", options=options)
    assert found["state"] == "done", found
    folds = found["result"]["folds"]
    assert len(folds) == 3
    assert all(one["train_from"] < one["test_from"] < one["test_to"] for one in folds)
    assert [one["test_to"] for one in folds[:-1]] == [one["test_from"] for one in folds[1:]]


def test_an_audit_finds_no_look_ahead(api, backtest):
    asset, strategy = store("BTC", waves(300)), keep(api)
    found = backtest(strategy, asset, bars=300, kind="look_ahead")
    assert found["result"]["ok"] is True
    assert found["result"]["cuts"] >= 8
    assert found["result"]["first_difference"] is None


def test_own_rules_are_tried_like_any_other(api, alice, backtest):
    factories.put_on_plan(alice, "enterprise")
    above = {"left": {"indicator": "sma", "bars": 5}, "is": "gt",
             "right": {"indicator": "sma", "bars": 20}}  # fmt: skip
    rules = {"enter": above, "exit": {"not": above}, "stops": {"stop_loss": 5}}
    asset = store("BTC", waves(200))
    found = backtest(keep(api, kind="custom", parameters={}, rules=rules), asset, bars=200)
    assert found["state"] == "done", found
    assert found["result"]["metrics"]["trades"] > 0


# --- candles ------------------------------------------------------------------------------------
def test_missing_candles_refuse_a_run_or_are_said(api, backtest):
    asset, strategy = store("BTC", waves(60), gone={30, 31}), keep(api)
    found = backtest(strategy, asset, bars=60)
    assert (found["state"], found["error"]) == ("failed", "has_gaps")
    assert found["result"]["gaps"][0]["from"] == "2020-01-31T00:00:00Z"
    assert found["result"]["gaps"][0]["to"] == "2020-02-02T00:00:00Z"
    filled = backtest(strategy, asset, bars=60, fills_gaps=True)
    assert filled["state"] == "done"
    assert [row["code"] for row in filled["result"]["warnings"]] == ["gaps_filled"]
    assert filled["result"]["filled_gaps"][0]["code"] == "BTC"


def test_a_range_that_begins_before_the_first_candle_is_shortened_and_says_so(api, backtest):
    asset, strategy = store("BTC", waves(60)), keep(api)
    found = backtest(strategy, asset, bars=60, **{"from": "2019-06-01T00:00:00Z"})
    assert found["state"] == "done"
    assert [row["code"] for row in found["result"]["warnings"]] == ["range_shortened"]
    assert found["result"]["range"]["from"] == "2020-01-01T00:00:00Z"


def test_a_range_without_candles_fails_with_a_sentence(api, backtest):
    asset, strategy = store("BTC", waves(60)), keep(api)
    found = backtest(
        strategy, asset, **{"from": "2015-01-01T00:00:00Z", "to": "2016-01-01T00:00:00Z"}
    )
    assert (found["state"], found["error"]) == ("failed", "no_candles")
    assert found["message"].endswith(".")
    assert found["total_return"] is None


def test_candles_that_are_not_here_are_fetched_and_waited_for(api, backtest, queued):
    asset, strategy = factories.asset("BTC"), keep(api)
    found = backtest(strategy, asset, bars=60)
    assert found["state"] == "waiting"
    assert PriceNeed.objects.filter(asset=asset, kind="candle").exists()
    PriceNeed.objects.all().delete()
    store("BTC", waves(60))
    soon = clock.now() + timedelta(seconds=45)
    with time_machine.travel(soon, tick=False):
        tasks.sweep_backtests()
        assert work() >= 1
    assert api.get(f"/backtests/{found['id']}").json()["state"] == "done"


def test_exchanges_that_bring_nothing_for_an_hour_end_it(api, backtest):
    found = backtest(keep(api), factories.asset("BTC"), bars=60)
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=False):
        tasks.sweep_backtests()
        work()
    again = Backtest.objects.filter(id=found["id"])
    with tenancy.as_system("test"):
        assert again.get().error == "candles_unavailable"


def test_several_assets_share_the_days_that_all_of_them_have(api, alice, backtest):
    factories.put_on_plan(alice, "pro")
    one = store("BTC", waves(100))
    other = store("ETH", waves(60, base=10), start=START + 40 * DAY)
    strategy = keep(api, kind="periodic_rebalancing", parameters={"every": 7})
    found = backtest(strategy, one, other, bars=100)
    assert found["result"]["range"]["from"] == "2020-02-10T00:00:00Z"
    assert {row["code"] for row in found["details"]["positions"]} == {"BTC", "ETH", "USD"}


# --- wrong input --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interval": "7m"}, ("interval", "invalid_choice")),
        ({"interval": "5m", "from": "2010-01-01T00:00:00Z"}, ("from", "too_many_bars")),
        ({"from": "2020-06-01T00:00:00Z", "to": "2020-05-01T00:00:00Z"}, ("from", "invalid")),
        ({"from": "2020-06-01T00:00:00Z", "to": "2020-06-01T12:00:00Z"}, ("from", "invalid")),
        ({"from": "1999-06-01T00:00:00Z"}, ("from", "invalid")),
        ({"from": "9999-12-31T23:59:59Z", "to": None}, ("from", "invalid")),
        ({"assets": []}, ("assets", "min_length")),
        ({"assets": ["nothing"]}, ("assets.0", "invalid")),
        ({"assets": [str(ids.UUID(int=7))]}, ("assets", "not_found")),
        ({"cash": "0"}, ("cash", "min_value")),
        ({"cash": "NaN"}, ("cash", "invalid")),
        ({"fee": "1"}, ("fee", "max_value")),
        ({"slippage": "-1"}, ("slippage", "min_value")),
        ({"kind": "magic"}, ("kind", "invalid_choice")),
        ({"options": {"grid": {"fast": [2**64]}}}, ("options", "not_offered")),
        ({"kind": "sweep", "options": {"grid": {"fast": [2**64]}}},
         ("grid.fast.0", "out_of_range")),
        ({"kind": "sweep", "options": {"grid": {"fast": [0]}}}, ("grid.fast.0", "out_of_range")),
        ({"kind": "sweep", "options": {"grid": {"sped": [1]}}}, ("grid.sped", "unknown")),
        ({"kind": "sweep", "options": {"grid": {"fast": list(range(2, 200)),
                                                "slow": list(range(200, 399))}}},
         ("grid", "too_many")),
        ({"colour": "red"}, ("colour", "unknown_field")),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_before_it_is_queued(api, queued, changes, expected):
    asset = store("BTC", waves(30))
    answer = api.post("/backtests", wanted(keep(api), asset) | changes)
    assert expected in refused(answer)
    assert broker.waiting("backtests") == []


def test_a_limit_is_named_when_too_much_is_asked(api):
    asset = factories.asset("BTC")
    body = wanted(keep(api), asset) | {"interval": "5m", "from": "2010-01-01T00:00:00Z", "to": None}
    fields = api.post("/backtests", body).json()["details"]["fields"]
    assert "1,000,000" in fields[0]["message"]


def test_a_naive_instant_is_refused_or_read_as_utc_but_never_a_fault(api):
    body = wanted(keep(api), factories.asset("BTC")) | {"from": "not a day"}
    assert api.post("/backtests", body).status_code == 400


# --- bad days -----------------------------------------------------------------------------------
def ask(api, strategy, asset, **changes):
    return api.post("/backtests", wanted(strategy, asset, bars=60, **changes)).json()["id"]


def test_a_backtest_whose_worker_died_starts_again_and_has_one_result(api, alice, backtest):
    strategy, asset = keep(api), store("BTC", waves(60))
    expected = backtest(strategy, asset, bars=60)["result"]
    left = ask(api, strategy, asset)
    with tenancy.as_user(alice.id):  # as a worker that was killed leaves it
        Backtest.objects.filter(id=left).update(
            state="running", attempts=1, leased_until=clock.now() + timedelta(minutes=2)
        )
    broker_before = work()
    tasks.sweep_backtests()
    assert (broker_before, work()) == (0, 0)  # its lease still runs
    assert api.get(f"/backtests/{left}").json()["state"] == "running"
    with time_machine.travel(clock.now() + timedelta(minutes=3), tick=False):
        tasks.sweep_backtests()
        tasks.sweep_backtests()
        work()
    found = ApiClient(alice).get(f"/backtests/{left}").json()
    assert found["state"] == "done"
    assert found["result"] == expected


def test_what_kills_its_workers_is_given_up(api, alice):
    left = ask(api, keep(api), store("BTC", waves(60)))
    with tenancy.as_user(alice.id):
        Backtest.objects.filter(id=left).update(
            state="running", attempts=3, leased_until=clock.now() - timedelta(minutes=1)
        )
    tasks.sweep_backtests()
    found = api.get(f"/backtests/{left}").json()
    assert (found["state"], found["error"]) == ("failed", "failed")


def test_a_task_that_runs_twice_has_one_result(api):
    left = ask(api, keep(api), store("BTC", waves(60)))
    tasks.run_backtest(backtest_id=left)
    first = api.get(f"/backtests/{left}").json()
    tasks.run_backtest(backtest_id=left)
    assert api.get(f"/backtests/{left}").json() == first


def test_cancelling_stops_what_waits_and_what_has_ended_stays(api):
    strategy, asset = keep(api), store("BTC", waves(60))
    left = ask(api, strategy, asset)
    assert api.post(f"/backtests/{left}/cancel").json()["state"] == "cancelled"
    assert api.post(f"/backtests/{left}/cancel").status_code == 200
    tasks.run_backtest(backtest_id=left)
    assert api.get(f"/backtests/{left}").json()["state"] == "cancelled"
    done = ask(api, strategy, asset)
    tasks.run_backtest(backtest_id=done)
    assert api.post(f"/backtests/{done}/cancel").json()["code"] == "backtest_ended"


def test_cancelling_reaches_a_run_at_its_next_step(api, alice):
    """The wish stands before the first step: the worker that holds it finds it there."""
    left = ask(api, keep(api), store("BTC", waves(60)), kind="sweep",
               options={"grid": {"fast": [3, 5], "slow": [20, 30]}})  # fmt: skip
    row = jobs._claim(ids.UUID(left), clock.now())
    assert row is not None
    assert api.post(f"/backtests/{left}/cancel").json()["state"] == "running"
    hold = jobs._Hold(row, clock.now)
    assert hold.stop() is True


def test_nobody_runs_too_many_at_once(api):
    strategy, asset = keep(api), store("BTC", waves(60))
    for _ in range(3):
        ask(api, strategy, asset)
    answer = api.post("/backtests", wanted(strategy, asset, bars=60))
    assert (answer.status_code, answer.json()["code"]) == (409, "backtests_busy")


def test_backtests_are_their_owners_alone(api, client_of, bob, charlie):
    left = ask(api, keep(api), store("BTC", waves(60)))
    tasks.run_backtest(backtest_id=left)
    for other in (bob, charlie):
        stranger = client_of(other)
        assert stranger.get("/backtests").json()["results"] == []
        for answer in (
            stranger.get(f"/backtests/{left}"), stranger.get(f"/backtests/{left}/chart.svg"),
            stranger.post(f"/backtests/{left}/cancel"), stranger.delete(f"/backtests/{left}"),
        ):  # fmt: skip
            assert answer.status_code == 404
    assert api.delete(f"/backtests/{left}").status_code == 204
    assert api.get(f"/backtests/{left}").status_code == 404


# --- the chart ----------------------------------------------------------------------------------
def test_the_chart_draws_every_curve_and_says_it_in_words(api, alice, backtest):
    with tenancy.as_user(alice.id):
        for place in range(20):
            DailyValuation.objects.create(
                user=alice, scope="portfolio", scope_id=alice.id, value=D(1), cost=D(1),
                day=(START + place * DAY).date(), growth=1.01,
            )  # fmt: skip
    found = backtest(keep(api, name="<b>mine</b> & yours"), store("BTC", waves(90)), bars=90)
    answer = api.get(f"/backtests/{found['id']}/chart.svg", Accept="image/svg+xml")
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    picture = ET.fromstring(answer.content)  # noqa: S314  (ours)
    space = "{http://www.w3.org/2000/svg}"
    curves = {one.get("class").split()[-1] for one in picture.iter(f"{space}polyline")}
    assert curves == {"equity", "buy_and_hold", "own_history"}
    assert picture.find(f"{space}title").text.startswith("<b>mine</b> & yours: 2020-01-02")
    assert "Deepest fall" in picture.find(f"{space}desc").text
    assert "script" not in answer.content.decode()


def test_there_is_no_chart_before_it_is_done(api):
    left = ask(api, keep(api), store("BTC", waves(60)))
    answer = api.get(f"/backtests/{left}/chart.svg", Accept="image/svg+xml")
    assert (answer.status_code, answer.json()["code"]) == (409, "backtest_without_chart")


def test_days_of_the_chart_are_utc():
    assert datetime(2020, 1, 1, tzinfo=UTC) == START


def test_numbers_past_all_bounds_are_refused(api):
    asset = store("BTC", waves(30))
    body = json.dumps(wanted(keep(api), asset) | {"kind": "sweep", "options": {"grid": {}}})
    for number in ("1e400", "-1e400", "1" + "0" * 400, "1e-400"):
        sent = body.replace('"grid": {}', '"grid": {"fast": [' + number + "]}")
        assert api.post("/backtests", sent).status_code == 400, number


def test_a_waiting_backtest_is_queued_again_once_in_a_while(api, alice):
    left = ask(api, keep(api), store("BTC", waves(60)))
    broker.work_off(tasks.sync_batch, "backtests")  # leaves it there
    with time_machine.travel(clock.now() + timedelta(minutes=5), tick=False):
        for _ in range(6):
            tasks.sweep_backtests()
        assert [kwargs["backtest_id"] for _, kwargs in broker.waiting("backtests")] == [left]


def test_many_messages_about_candles_that_are_awaited_are_one_look(api):
    left = ask(api, keep(api), factories.asset("BTC"))
    for _ in range(5):
        tasks.run_backtest(backtest_id=left)
    with tenancy.as_system("test"):
        row = Backtest.objects.get()
    assert (row.state, row.attempts) == ("waiting", 0)
    assert row.looked_after > clock.now() - timedelta(seconds=5)


def test_a_coin_of_a_billionth_has_a_price(api, backtest):
    price = 3.25e-9
    asset = store("PEPE", [(price, price * 2, price, price * 2)] * 3)
    found = backtest(keep(api, kind="buy_and_hold", parameters={}), asset, bars=3, fee="0")
    (trade,) = found["details"]["trades"]
    assert D(trade["entry_price"]) == D("3.25E-9")
    assert D(found["details"]["positions"][0]["units"]) > 10**11


def test_a_market_that_hardly_moves_is_drawn(api, backtest):
    """Steps of a scale that are smaller than the least difference of two numbers."""
    asset = store("BTC", [(0.9005, 0.9005, 0.9005, 0.9005)] * 5)
    found = backtest(keep(api, kind="buy_and_hold", parameters={}), asset, bars=5, fee="0",
                     cash="1000000000000")  # fmt: skip
    answer = api.get(f"/backtests/{found['id']}/chart.svg", Accept="image/svg+xml")
    assert answer.status_code == 200
